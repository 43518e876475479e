//! Whole jobs on this machine: what goes well, what is refused, and how a job ends.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod jobs;
mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;

use jobs::{Jobs, KEEP, SPLIT_SIZE, SPLITS, assert_ok, assert_said, lines_below};
use rustix::process::Signal;
use support::{Running, code, run, text, wait_until};

#[test]
fn uploaded_output_holds_every_record_once() {
    let jobs = Jobs::new();
    let output = run(jobs.run(&["--workers=3"], KEEP));
    assert_ok(&output);
    jobs.assert_exact();
    for index in 0..3 {
        assert!(jobs.path(&format!("out/{index}")).is_dir(), "worker {index} has no folder");
    }
    let state = jobs.state();
    assert_eq!(
        (state["phase"].as_str(), state["units"]["done"].as_u64()),
        (Some("finished"), Some(SPLITS)),
        "{state}"
    );
    assert_eq!(state["bytes"], state["bytes_planned"], "{state}");
    jobs.assert_nothing_runs();
}

#[test]
fn streamed_output_holds_every_record_once() {
    let jobs = Jobs::new();
    assert_ok(&run(jobs.run(&["--workers=3", "--output-mode=stream"], "cat")));
    jobs.assert_exact();
    let mut names: Vec<_> = fs::read_dir(jobs.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["_SUCCESS", "part-00000", "part-00001", "part-00002"]);
}

#[test]
fn a_job_file_and_two_outputs() {
    let jobs = Jobs::new();
    let file = "workers = 2\ninput = [\"in\"]\nsplit-size = \"32K\"\noutput = [\"out#all\", \"counts#counts\"]\n\
        command = [\"sh\", \"-c\", \"mkdir -p all counts; tee all/got | wc -l > counts/lines\"]\n";
    jobs.0.file("job.toml", file);
    assert_ok(&run(jobs.forebay(["run", "--job-dir=job", "job.toml"])));
    jobs.assert_exact();
    let counts = lines_below(&jobs.path("counts"));
    let count = |line: &Vec<u8>| String::from_utf8_lossy(line).trim().parse::<usize>().unwrap();
    assert_eq!(counts.iter().map(count).sum::<usize>(), jobs.lines().len());
}

#[test]
fn several_epochs_are_each_fed_whole() {
    let jobs = Jobs::new();
    assert_ok(&run(jobs.run(&["--workers=2", "--epochs=3"], KEEP)));
    let mut expected = jobs.lines();
    expected = [expected.clone(), expected.clone(), expected].concat();
    expected.sort_unstable();
    assert!(jobs.output() == expected);
}

#[test]
fn an_output_that_is_not_empty_is_refused_before_anything_starts() {
    let jobs = Jobs::new();
    jobs.0.file("out/old", "old");
    let output = run(jobs.run(&[], ": > ran; cat > /dev/null"));
    assert_said(&output, 1, &["out", "old"]);
    assert!(!jobs.path("job").exists(), "a job that was refused has left a folder");
    assert_eq!(fs::read_dir(jobs.path("out")).unwrap().count(), 1);
}

#[test]
fn a_job_folder_that_is_taken_is_refused() {
    let jobs = Jobs::new();
    jobs.0.file("job/mine", "mine");
    let output = run(jobs.run(&[], KEEP));
    assert_said(&output, 2, &["job", "not empty"]);
    jobs.assert_untouched();
}

#[test]
fn an_input_that_does_not_exist_is_refused() {
    let jobs = Jobs::new();
    let output = run(jobs.forebay(["run", "--input=nothing", "--output=out", "--", "cat"]));
    assert_said(&output, 1, &["nothing"]);
    assert!(!jobs.path("home/.forebay").exists());
    jobs.assert_untouched();
}

#[test]
fn a_command_that_does_not_exist_fails_the_job_at_once() {
    let jobs = Jobs::new();
    let command =
        ["run", "--job-dir=job", "--input=in", "--output=out", "--workers=2", "--", "no-such-command"];
    assert_said(&run(jobs.forebay(command)), 127, &["no-such-command", "No such file"]);
    jobs.assert_untouched();
    jobs.assert_nothing_runs();
}

#[test]
fn a_worker_that_leaves_a_split_in_its_middle_fails_the_job() {
    let jobs = Jobs::new();
    let output = run(jobs.run(&["--workers=1"], "head -c 50000 > output/got"));
    assert_said(&output, 1, &["in the middle of split", "--early-exit ok"]);
    jobs.assert_untouched();
    jobs.assert_nothing_runs();
}

#[test]
fn a_worker_may_leave_early_where_that_is_meant() {
    let jobs = Jobs::new();
    let output = run(jobs.run(&["--workers=1", "--early-exit=ok"], "head -c 50000 > output/got"));
    assert_said(&output, 0, &["read split", "left", "unread"]);
    assert_eq!(fs::metadata(jobs.path("out/0/got")).unwrap().len(), 50_000);
    let state = jobs.state();
    assert_eq!(state["partly_read"], 1, "{state}");
}

/// What one has not read, others read.
#[test]
fn splits_that_a_worker_gives_back_go_to_the_others() {
    let jobs = Jobs::new();
    // More than the pipe and what is leased ahead of need.
    jobs.0.file("in/d", text(6 << 20));
    let worker = "if test $INDEX = 0; then exec 0<&-; : > $ROOM/left; exit 0; fi
        until test -e $ROOM/left; do sleep 0.01; done; cat > output/got";
    assert_ok(&run(jobs.run(&["--workers=2"], worker)));
    jobs.assert_exact();
}

#[test]
fn restarts_that_are_used_up_fail_the_job_and_nothing_is_left() {
    let jobs = Jobs::new();
    let worker = "echo oh dear >&2; head -c 10000 > output/got; sleep 1000 & test $INDEX = 1 && exit 7; cat > output/more";
    let output = run(jobs.run(&["--workers=2", "--max-restarts=1"], worker));
    assert_said(&output, 1, &["worker 1 ended with status 7, after 1 restart", "oh dear", "job folder"]);
    jobs.assert_untouched();
    jobs.assert_nothing_runs();
}

#[test]
fn a_job_that_takes_too_long_is_ended() {
    let jobs = Jobs::new();
    let output = run(jobs.run(&["--workers=2", "--job-timeout=2s"], "sleep 1000"));
    assert_said(&output, 1, &["time limit", "--job-timeout"]);
    jobs.assert_untouched();
    jobs.assert_nothing_runs();
}

#[test]
fn a_stopped_job_ends_its_workers_and_can_be_resumed() {
    let jobs = Jobs::new();
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let jobs = if signal == Signal::INT { &jobs } else { &Jobs::new() };
        let worker = "test -e $ROOM/resumed || { : > $ROOM/ready; sleep 1000; }; cat > output/got";
        let running = Running::start(jobs.run(&["--workers=2"], worker));
        jobs.0.wait_for("ready");
        running.signal(signal);
        let output = running.output();
        assert_said(&output, status, &["stopped", "forebay run --resume", "nothing was put into"]);
        jobs.assert_nothing_runs();
        assert!(!jobs.path("out/_SUCCESS").exists());
        jobs.0.file("resumed", "");
        assert_ok(&run(jobs.resume(&[])));
        jobs.assert_exact();
    }
}

#[test]
fn a_second_signal_kills_what_does_not_end() {
    let jobs = Jobs::new();
    let worker = "trap '' TERM INT; : > $ROOM/ready; while :; do sleep 1000; done";
    let running = Running::start(jobs.run(&["--workers=1"], worker));
    jobs.0.wait_for("ready");
    running.signal(Signal::INT);
    wait_until("the first signal's effect", || {
        fs::read_to_string(jobs.path("job/events.jsonl")).is_ok_and(|story| story.contains("being stopped"))
    });
    running.signal(Signal::INT);
    assert_eq!(code(&running.output()), 130);
    jobs.assert_nothing_runs();
}

#[test]
fn a_signal_ends_a_job_that_waits_for_its_output_to_answer() {
    let jobs = Jobs::new();
    // A host that takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = format!("--output=hdfs://{}/out", silent.local_addr().unwrap());
    let mut command = jobs.forebay(["run", "--job-dir=job", "--input=in", "--hdfs-timeout=3600", &output]);
    command.args(["--", "cat"]);
    let running = Running::start(command);
    drop(silent.accept().unwrap());
    running.signal(Signal::TERM);
    assert_said(&running.output(), 143, &["before the job had begun"]);
    assert!(!jobs.path("job").exists());
}

#[test]
fn a_job_that_was_killed_before_its_ledger_began_is_resumed() {
    let jobs = Jobs::new();
    assert_said(&run(jobs.run(&["--workers=1", "--max-restarts=0"], "exit 3")), 1, &[]);
    for name in ["ledger.jsonl", "state.json", "workers"] {
        let path = jobs.path("job").join(name);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    jobs.0
        .file("job/job.toml", fs::read_to_string(jobs.path("job/job.toml")).unwrap().replace("exit 3", KEEP));
    assert_ok(&run(jobs.resume(&[])));
    jobs.assert_exact();
}

#[test]
fn resuming_a_job_that_succeeded_leaves_its_output_path_alone() {
    let jobs = Jobs::new();
    assert_ok(&run(jobs.run(&["--workers=1"], KEEP)));
    fs::rename(jobs.path("out"), jobs.path("moved")).unwrap();
    assert_ok(&run(jobs.resume(&[])));
    assert!(!jobs.path("out").exists());
}

#[test]
fn of_two_jobs_for_one_output_one_wins_and_the_other_fails() {
    let jobs = Jobs::new();
    let job = |folder: &str, line: &str| {
        let mut command = jobs.forebay(["run", "--input=in", SPLIT_SIZE, "--output=out", "--workers=1"]);
        command.arg(format!("--job-dir={folder}")).arg(jobs.room_variable());
        let worker = format!(
            ": > $ROOM/{folder}.ready; until test -e $ROOM/go; do sleep 0.01; done; cat > /dev/null; echo {line} > output/got"
        );
        command.args(["--", "sh", "-c", &worker]);
        Running::start(command)
    };
    let (a, b) = (job("a", "a"), job("b", "b"));
    jobs.0.wait_for("a.ready");
    jobs.0.wait_for("b.ready");
    jobs.0.file("go", "");
    let outputs = [a.output(), b.output()];
    let mut codes = outputs.iter().map(code).collect::<Vec<_>>();
    let winner = usize::from(codes[0] != 0);
    codes.sort_unstable();
    assert_eq!(codes, [0, 1], "{outputs:?}");
    assert_eq!(jobs.output(), [[b"a\n".to_vec(), b"b\n".to_vec()][winner].clone()]);
}

#[test]
fn whole_files_are_downloaded_before_a_worker_starts() {
    let jobs = Jobs::new();
    jobs.0.file("more/a", "another a\n");
    let options = [
        "run",
        "--job-dir=job",
        "--input=in#data",
        "--input=more#data",
        "--output=out",
        "--input-mode=download",
        "--workers=2",
    ];
    let mut command = jobs.forebay(options);
    command.args(["--", "sh", "-c", "cat data/* > output/got; ls data > output/_names"]);
    assert_ok(&run(command));
    let mut expected = jobs.lines();
    expected.push(b"another a\n".to_vec());
    expected.sort_unstable();
    assert!(jobs.output() == expected);
}

#[test]
fn lists_name_every_file_once() {
    let jobs = Jobs::new();
    let options =
        ["run", "--job-dir=job", "--input=in#data", "--output=out", "--input-mode=list", "--workers=2"];
    let script = "import json, os
for path in json.loads(os.environ['INPUT_FILE_LIST'])['data']:
    open('output/got', 'ab').write(open(path, 'rb').read())";
    let mut command = jobs.forebay(options);
    command.args(["--", "python3", "-c", script]);
    assert_ok(&run(command));
    jobs.assert_exact();
}

#[test]
fn a_job_folder_is_its_users_alone() {
    let jobs = Jobs::new();
    assert_ok(&run(jobs.run(&["--workers=2"], KEEP)));
    let mut open = vec![jobs.path("job")];
    let mut seen = 0;
    while let Some(path) = open.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        // What workers make themselves has the mode that they give it.
        if path.parent().is_some_and(|parent| parent.ends_with("output")) || meta.is_symlink() {
            continue;
        }
        let expected = if meta.is_dir() { 0o700 } else { 0o600 };
        if !path.ends_with("output") {
            assert_eq!(meta.mode() & 0o777, expected, "{}", path.display());
        }
        seen += 1;
        if meta.is_dir() {
            open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    assert!(seen > 15, "{seen}");
    let links: Vec<_> = fs::read_dir(jobs.path("home/.forebay/jobs")).unwrap().flatten().collect();
    assert_eq!(links.len(), 1);
    assert_eq!(fs::read_link(links[0].path()).unwrap(), fs::canonicalize(jobs.path("job")).unwrap());
}

#[test]
fn without_a_home_the_job_runs_in_the_folder_that_is_named() {
    let jobs = Jobs::new();
    let mut command = jobs.run(&["--workers=1"], KEEP);
    command.env_remove("HOME");
    assert_said(&run(command), 0, &["HOME is not set"]);
    jobs.assert_exact();
    let mut command = jobs.forebay(["run", "--input=in", "--", "cat"]);
    command.env_remove("HOME");
    assert_said(&run(command), 2, &["HOME is not set", "--job-dir"]);
}
