//! Jobs with input and output on a real HDFS.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cluster;
mod jobs;
mod support;

use std::fs;
use std::process::Command;
use std::sync::Arc;

use cluster::{Cluster, shared};
use forebay_fixtures::HdfsOptions;
use jobs::campaign::{SLOW, runs, trial};
use jobs::{Jobs, KEEP, SPLIT_SIZE, assert_ok, assert_said};
use rustix::process::Signal;
use support::{Running, code, run, wait_until};

fn options() -> HdfsOptions {
    HdfsOptions { block_size: 1 << 20, ..HdfsOptions::default() }
}

/// A job on HDFS: its input is [`Jobs::lines`], its output is below `/<name>`.
struct OnHdfs {
    hdfs: Arc<Cluster>,
    jobs: Jobs,
    name: String,
}

impl OnHdfs {
    fn new(name: &str) -> Self {
        Self::on(shared(&options()), name)
    }

    fn on(hdfs: Arc<Cluster>, name: &str) -> Self {
        let this = Self { hdfs, jobs: Jobs::new(), name: name.to_owned() };
        for file in ["a", "b", "c"] {
            let bytes = fs::read(this.jobs.path(&format!("in/{file}"))).unwrap();
            this.hdfs.write(&format!("/{name}/in/{file}"), bytes, None).unwrap();
        }
        this
    }

    fn at_home(&self, mut command: Command) -> Command {
        command.env("HADOOP_CONF_DIR", self.hdfs.conf_dir());
        command
    }

    fn run(&self, options: &[&str], worker: &str) -> Command {
        let (input, output) =
            (format!("--input=hdfs:///{}/in", self.name), format!("--output={}", self.out()));
        let mut command = self.jobs.forebay(["run", "--job-dir=job", &input, &output]);
        if !options.contains(&"--input-mode") {
            command.arg(SPLIT_SIZE);
        }
        command.arg(self.jobs.room_variable()).args(options).args(["--", "sh", "-c", worker]);
        self.at_home(command)
    }

    fn out(&self) -> String {
        format!("{}/{}/out", self.hdfs.uri(), self.name)
    }

    /// Paths of the output, relative to it.
    fn listing(&self) -> Vec<String> {
        let prefix = format!("/{}/out/", self.name);
        let paths = self.hdfs.list(&format!("/{}/out", self.name)).unwrap();
        paths.into_iter().filter_map(|path| path.strip_prefix(&prefix).map(ToOwned::to_owned)).collect()
    }

    /// Lines of the committed output, sorted.
    fn lines(&self) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for path in self.listing().iter().filter(|path| *path != "_SUCCESS") {
            let bytes = self.hdfs.read(&format!("/{}/out/{path}", self.name)).unwrap();
            lines.extend(bytes.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec));
        }
        lines.sort_unstable();
        lines
    }

    fn assert_exact(&self) {
        let listing = self.listing();
        assert!(listing.iter().any(|path| path == "_SUCCESS"), "{listing:?}");
        assert!(!listing.iter().any(|path| path.starts_with("_temporary")), "{listing:?}");
        assert!(self.lines() == self.jobs.lines(), "{listing:?}");
    }
}

#[test]
fn uploaded_and_streamed_output_hold_every_record_once() {
    let job = OnHdfs::new("upload");
    assert_ok(&run(job.run(&["--workers=3"], KEEP)));
    job.assert_exact();
    let job = OnHdfs::new("stream");
    assert_ok(&run(job.run(&["--workers=3", "--output-mode=stream"], "cat")));
    job.assert_exact();
    let parts = job.listing().iter().filter(|path| path.starts_with("part-0000")).count();
    assert_eq!(parts, 3);
}

#[test]
fn a_worker_and_an_agent_killed_midway_leave_no_trace() {
    let job = OnHdfs::new("deaths");
    let worker = format!(
        "if test $FOREBAY_ATTEMPT = 1; then head -c 100000 > output/got
            test $INDEX = 0 && kill -9 $$; kill -9 $(cut -d ' ' -f 4 /proc/$PPID/stat); sleep 1000; fi; {KEEP}"
    );
    assert_said(&run(job.run(&["--workers=2"], &worker)), 0, &["killed by signal 9", "lost its agent"]);
    job.assert_exact();
    job.jobs.assert_nothing_runs();
}

#[test]
fn a_job_whose_application_master_was_killed_is_resumed() {
    let job = OnHdfs::new("resumed");
    let worker = "head -c 60000 > output/got; : > $ROOM/ready; until test -e $ROOM/go; do sleep 0.02; done; cat >> output/got";
    let running = Running::start(job.run(&["--workers=2"], worker));
    job.jobs.0.wait_for("ready");
    running.signal(Signal::KILL);
    drop(running);
    job.jobs.0.file("go", "");
    assert_ok(&run(job.at_home(job.jobs.resume(&["--workers=3"]))));
    job.assert_exact();
}

#[test]
fn whole_files_are_downloaded_and_listed() {
    for (mode, worker) in
        [("download", "cat input/* > output/got"), ("list", "echo \"$INPUT_FILE_LIST\" > output/got")]
    {
        let job = OnHdfs::new(mode);
        assert_ok(&run(job.run(&["--workers=2", "--input-mode", mode], worker)));
        if mode == "download" {
            job.assert_exact();
        } else {
            let lists = String::from_utf8(job.lines().concat()).unwrap();
            for file in ["a", "b", "c"] {
                assert_eq!(lists.matches(&format!("/list/in/{file}\"")).count(), 1, "{lists}");
            }
        }
    }
}

#[test]
fn an_output_that_is_not_empty_is_refused() {
    let job = OnHdfs::new("taken");
    job.hdfs.write("/taken/out/old", b"old".to_vec(), None).unwrap();
    assert_said(&run(job.run(&[], KEEP)), 1, &["/taken/out", "old"]);
    assert_eq!(job.listing(), ["old"]);
}

/// The NameNode is held when the commit begins, and the job gives it up in time; then it is finished.
#[test]
fn a_namenode_that_goes_away_during_the_commit_leaves_a_job_that_can_be_resumed() {
    let hdfs = Arc::new(Cluster::start(&options()).unwrap());
    let job = OnHdfs::on(Arc::clone(&hdfs), "commit");
    let running = Running::start(job.run(&["--workers=8", "--hdfs-timeout=5"], KEEP));
    wait_until("the commit", || {
        fs::read_to_string(job.jobs.path("job/events.jsonl"))
            .is_ok_and(|story| story.contains("commit-starts"))
    });
    let silent = hdfs.namenode().stop();
    let output = running.output();
    silent.cont();
    // Whoever is quicker than this test has committed.
    if code(&output) == 0 {
        eprintln!("the commit was quicker");
    } else {
        assert_said(&output, 1, &["could not be committed", "forebay run --resume"]);
        assert_ok(&run(job.at_home(job.jobs.resume(&[]))));
    }
    job.assert_exact();
}

#[test]
fn whatever_is_killed_the_output_is_exact_or_untouched() {
    // One cluster for all.
    let _hdfs = shared(&options());
    let (mut committed, mut failed) = (0, 0);
    for seed in 0..runs(3, 200) {
        let job = OnHdfs::new(&format!("campaign{seed}"));
        let start = job.run(&["--workers=3", "--max-restarts=2"], SLOW);
        let resume = |workers| job.at_home(job.jobs.resume(&[&format!("--workers={workers}")]));
        let ended = trial(seed, start, resume);
        job.jobs.assert_nothing_runs();
        let listing = job.listing();
        let visible: Vec<_> = listing.into_iter().filter(|path| !path.starts_with("_temporary")).collect();
        let lines = if ended.code == 0 { job.lines() } else { Vec::new() };
        if ended.check(&job.jobs, &lines, &visible) {
            assert!(visible.iter().any(|path| path == "_SUCCESS"), "{}", ended.story);
            committed += 1;
        } else {
            eprintln!("{}", ended.why());
            failed += 1;
        }
        let _ = job.hdfs.delete(&format!("/{}", job.name));
    }
    eprintln!("{committed} jobs have committed exact output, {failed} failed and left none");
    assert!(committed > 0);
}
