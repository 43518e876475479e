//! Looking at jobs: `forebay status`, `list` and `logs`, and what a running job says.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod jobs;
mod support;

use std::fs;
use std::process::{Command, Output};

use jobs::{Jobs, KEEP, SPLITS, assert_ok, assert_said};
use rustix::process::Signal;
use serde_json::Value;
use support::{Running, code, run, wait_until};

fn printed(output: &Output) -> String {
    assert_ok(output);
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A job whose workers wait until `go` is there.
fn waiting(jobs: &Jobs, options: &[&str]) -> Running {
    let worker = "echo worker $INDEX waits >&2; : > $ROOM/ready.$INDEX
        until test -e $ROOM/go; do sleep 0.02; done; cat > output/got; echo worker $INDEX has all";
    let running = Running::start(jobs.run(options, worker));
    jobs.0.wait_for("ready.0");
    running
}

/// The job's condition by folder, by id, and in the list.
fn conditions(jobs: &Jobs) -> [String; 3] {
    let of = |value: Value| value["condition"].as_str().unwrap().to_owned();
    let by = |job: &str| {
        of(serde_json::from_str(&printed(&run(jobs.forebay(["status", "--json", job])))).unwrap())
    };
    let list = printed(&run(jobs.forebay(["list", "--json"])));
    let id = serde_json::from_str::<Value>(list.lines().next().unwrap()).unwrap()["job"]
        .as_str()
        .unwrap()
        .to_owned();
    [by("job"), by(&id), of(serde_json::from_str(list.lines().next().unwrap()).unwrap())]
}

#[test]
fn status_and_list_know_running_succeeded_failed_stopped_and_lost_jobs() {
    let jobs = Jobs::new();
    let running = waiting(&jobs, &["--workers=2"]);
    wait_until("its state", || jobs.path("job/state.json").exists());
    assert_eq!(conditions(&jobs), ["running"; 3]);
    wait_until("both workers to be seen", || {
        let page = printed(&run(jobs.forebay(["status", "job"])));
        page.contains("running") && page.contains("worker 1 (attempt 1): running")
    });
    running.signal(Signal::KILL);
    drop(running);
    jobs.assert_nothing_runs();
    assert_eq!(conditions(&jobs), ["lost"; 3]);
    let page = printed(&run(jobs.forebay(["status", "job"])));
    assert!(page.contains("is gone") && page.contains("forebay run --resume"), "{page}");
    jobs.0.file("go", "");
    assert_ok(&run(jobs.resume(&[])));
    assert_eq!(conditions(&jobs), ["succeeded"; 3]);
    let page = printed(&run(jobs.forebay(["status", "job"])));
    assert!(page.contains(&format!("{SPLITS} done")) && page.contains("fed more than once"), "{page}");

    let jobs = Jobs::new();
    assert_eq!(code(&run(jobs.run(&["--max-restarts=0"], "exit 9"))), 1);
    assert_eq!(conditions(&jobs), ["failed"; 3]);
    let table = printed(&run(jobs.forebay(["list"])));
    assert!(table.lines().count() == 2 && table.contains("failed"), "{table}");

    let jobs = Jobs::new();
    let running = waiting(&jobs, &[]);
    running.signal(Signal::TERM);
    assert_eq!(code(&running.output()), 143);
    assert_eq!(conditions(&jobs), ["stopped"; 3]);
}

#[test]
fn what_is_no_job_is_an_error() {
    let jobs = Jobs::new();
    for args in [
        ["status", "job_20260102_030405_abcd"],
        ["logs", "job_20260102_030405_abcd"],
        ["status", "in"],
        ["logs", "no/such"],
    ] {
        assert_said(&run(jobs.forebay(args)), 2, &["is no job", args[1]]);
    }
    assert_eq!(printed(&run(jobs.forebay(["list"]))), "no jobs\n");
}

#[test]
fn logs_are_those_of_every_attempt_or_of_the_one_asked_for() {
    let jobs = Jobs::new();
    let worker = format!(
        "echo out $INDEX.$FOREBAY_ATTEMPT; echo err $INDEX.$FOREBAY_ATTEMPT >&2
        test $INDEX.$FOREBAY_ATTEMPT = 1.1 && exit 3; {KEEP}"
    );
    assert_ok(&run(jobs.run(&["--workers=2"], &worker)));
    let all = printed(&run(jobs.forebay(["logs", "job"])));
    for line in [
        "==> worker 1, attempt 2, stderr <==\nerr 1.2\n",
        "==> worker 0, attempt 1, stdout <==\nout 0.1\n",
        "err 1.1",
    ] {
        assert!(all.contains(line), "{all}");
    }
    let one = printed(&run(jobs.forebay(["logs", "job", "--worker", "1", "--attempt", "1", "--stdout"])));
    assert_eq!(one, "out 1.1\n");
    let one = printed(&run(jobs.forebay([
        "logs",
        "job",
        "--worker",
        "1",
        "--attempt",
        "2",
        "--stderr",
        "--follow",
    ])));
    assert_eq!(one, "err 1.2\n");
    assert_said(&run(jobs.forebay(["logs", "job", "--worker", "7"])), 1, &["worker 7"]);
}

#[test]
fn logs_are_followed_until_the_job_ends() {
    let jobs = Jobs::new();
    let running = waiting(&jobs, &["--workers=2"]);
    let logs = Running::start(jobs.forebay(["logs", "job", "--follow"]));
    jobs.0.file("go", "");
    assert_ok(&running.output());
    let printed = printed(&logs.output());
    let mut lines: Vec<_> = printed.lines().collect();
    lines.sort_unstable();
    let expected = [
        "0.1 stderr | worker 0 waits",
        "0.1 stdout | worker 0 has all",
        "1.1 stderr | worker 1 waits",
        "1.1 stdout | worker 1 has all",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn logs_of_more_files_than_may_be_open_are_followed() {
    let jobs = Jobs::new();
    jobs.0.file("job/job.toml", "");
    for index in 0..40 {
        jobs.0.file(&format!("job/workers/{index}/1/stdout"), format!("first\nsecond of {index}"));
    }
    let forebay = jobs.forebay(["logs", "job", "--follow"]);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -n 32; exec \"$0\" \"$@\""])
        .arg(forebay.get_program())
        .args(forebay.get_args());
    limited.current_dir(jobs.path("")).env("HOME", jobs.path("home"));
    let printed = printed(&run(limited));
    let mut lines: Vec<_> = printed.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    let of = |index| [format!("{index}.1 stdout | first"), format!("{index}.1 stdout | second of {index}")];
    let mut expected: Vec<_> = (0..40).flat_map(of).collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[test]
fn machines_are_told_the_status_of_a_job_that_a_signal_stopped() {
    let jobs = Jobs::new();
    let running = waiting(&jobs, &["--workers=1", "--json"]);
    running.signal(Signal::TERM);
    let output = running.output();
    assert_said(&output, 143, &[]);
    let said = forebay_tests::said(&output);
    let mut events = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let finished = events.find(|event| event["event"] == "finished").unwrap();
    assert_eq!(finished["exit"], 143, "{finished}");
}

#[test]
fn machines_are_told_of_events_and_people_of_what_happened() {
    let jobs = Jobs::new();
    let worker = format!(
        "echo 'reporter:counter:g,c,7' >&2; test $INDEX.$FOREBAY_ATTEMPT = 0.1 && kill -9 $$; {KEEP}"
    );
    let output = run(jobs.run(&["--workers=2", "--json"], &worker));
    assert_ok(&output);
    let events: Vec<Value> =
        forebay_tests::said(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    for name in [
        "planned",
        "begun",
        "attempt-starts",
        "registered",
        "attempt-ended",
        "worker-done",
        "commit-starts",
        "finished",
    ] {
        assert!(names.contains(&name), "no {name} in {names:?}");
    }
    let finished = events.iter().find(|event| event["event"] == "finished").unwrap();
    assert_eq!(finished["state"]["verdict"]["verdict"], "succeeded", "{finished}");
    let workers = finished["state"]["workers"].as_array().unwrap();
    assert!(workers.iter().all(|worker| worker["counters"][0][2] == 7), "{workers:?}");
    let story = fs::read_to_string(jobs.path("job/events.jsonl")).unwrap();
    assert!(story.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{story}");
}

#[test]
fn a_quiet_job_says_nothing() {
    let jobs = Jobs::new();
    let output = run(jobs.run(&["--quiet"], KEEP));
    assert_ok(&output);
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn all_that_is_said_in_json_is_events() {
    let jobs = Jobs::new();
    let mut command = jobs.run(&["--json"], KEEP);
    command.env("FOREBAY_LOG", "debug");
    let output = run(command);
    assert_eq!(code(&output), 0);
    let said = String::from_utf8(output.stderr).unwrap();
    let events: Vec<Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let logged = events.iter().find(|event| event["event"] == "log").unwrap_or_else(|| panic!("{said}"));
    assert!(logged["message"].as_str().is_some_and(|text| !text.is_empty()), "{logged}");
}

#[test]
fn who_has_taken_the_id_of_a_jobs_process_is_not_signalled() {
    let jobs = Jobs::new();
    let running = waiting(&jobs, &[]);
    let mut other = Command::new("sleep").arg("600").spawn().unwrap();
    let lock = jobs.path("job/am.lock");
    let said = fs::read_to_string(&lock).unwrap();
    fs::write(&lock, other.id().to_string()).unwrap();
    let refused = run(jobs.forebay(["kill", "job"]));
    assert_said(&refused, 1, &["am.lock"]);
    assert!(other.try_wait().unwrap().is_none(), "a process that has nothing to do with it was ended");
    other.kill().unwrap();
    other.wait().unwrap();
    fs::write(&lock, said).unwrap();
    assert_said(&run(jobs.forebay(["kill", "job"])), 0, &["was stopped"]);
    drop(running);
}
