//! A job that was submitted and is followed by its client, and the processes that it has on the cluster's nodes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use forebay_fixtures::Yarn;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::Me;

/// How long a job may take, or anything that is waited for: only what is broken takes so long.
const PATIENCE: Duration = Duration::from_mins(4);

/// A job whose client runs.
pub(crate) struct Submitted<'a> {
    me: &'a Me,
    client: Child,
    /// The application's id.
    pub(crate) id: String,
}

impl<'a> Submitted<'a> {
    /// Submits a job over the input of `me` into `output`, and waits until YARN has it. `$ROOM` is the test's folder to the
    /// workers, who all run `script`.
    pub(crate) fn new(me: &'a Me, options: &[&str], program: &[&str], script: &str) -> Self {
        Self::with(me, options, program, script, |_| {})
    }

    /// Like [`new`](Self::new), from a client that is changed by `change`.
    pub(crate) fn with(
        me: &'a Me,
        options: &[&str],
        program: &[&str],
        script: &str,
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let (input, room) = (me.input_path(), format!("--env=ROOM={}", me.room.path("").display()));
        let said = me.room.path("said");
        let mut command = me.forebay(["submit", "--json", "--input", &input, "--worker-memory=128M", &room]);
        command.args(options).arg("--").args(program).arg(script);
        change(&mut command);
        let client = command.stderr(File::create(&said).unwrap()).stdout(Stdio::null()).spawn().unwrap();
        let mut job = Self { me, client, id: String::new() };
        patiently("the job to be submitted", || {
            if let Some(status) = job.client.try_wait().unwrap() {
                panic!("it was not submitted: {status}: {}", job.said());
            }
            let submitted = job.events("submitted").pop();
            job.id = submitted.map_or(String::new(), |event| event["application"].as_str().unwrap().into());
            !job.id.is_empty()
        });
        job
    }

    /// All that the client has said.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.me.room.path("said")).unwrap()
    }

    /// What the client has said under this name.
    fn events(&self, name: &str) -> Vec<Value> {
        let said = self.said();
        let events = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.filter(|event| event["event"] == name).collect()
    }

    /// The container ids of an attempt of the application master have this in them: `_` and the application's numbers.
    fn number(&self) -> &str {
        self.id.trim_start_matches("application")
    }

    /// The application master's process of this attempt, as soon as there is one.
    pub(crate) fn wait_for_am(&self, attempt: u32) -> Pid {
        let wanted = format!("{}_{attempt:02}_000001", self.number());
        let mut found = None;
        patiently("an application master", || {
            let all = self.me.cluster.container_pids(None);
            let pids = all.into_iter().filter(|(container, _)| container.ends_with(&wanted));
            found = pids.flat_map(|(_, pids)| pids).find(|&pid| is_forebay(pid));
            found.is_some()
        });
        pid(found.unwrap())
    }

    /// The node of the application master's container of this attempt.
    pub(crate) fn node_of_am(&self, attempt: u32) -> usize {
        let wanted = format!("{}_{attempt:02}_000001", self.number());
        let is_there = |node: &usize| {
            self.me.cluster.container_pids(Some(*node)).keys().any(|container| container.ends_with(&wanted))
        };
        (0..self.me.cluster.nodemanagers()).find(is_there).unwrap()
    }

    /// Waits for the test's folder to hold all these files, which workers make.
    pub(crate) fn wait_for_files(&self, names: &[&str]) {
        patiently(&format!("{names:?}"), || {
            self.assert_goes_on();
            names.iter().all(|name| self.me.room.path(name).exists())
        });
    }

    /// Waits for something that comes while the job goes on.
    pub(crate) fn wait_for(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        patiently(what, || {
            self.assert_goes_on();
            is_so()
        });
    }

    fn assert_goes_on(&self) {
        let over = self.events("finished");
        assert!(over.is_empty(), "the job is over: {}", self.said());
    }

    /// A file in the job's folder on HDFS.
    pub(crate) fn kept(&self, name: &str) -> Option<String> {
        let path = self.me.forebay_folder(&format!("jobs/{}/{name}", self.id));
        let bytes = self.me.cluster.hdfs().read(&path).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Which attempt of the application master agents are to turn to.
    pub(crate) fn am_attempt(&self) -> Option<u64> {
        serde_json::from_str::<Value>(&self.kept("am.json")?).ok()?["attempt"].as_u64()
    }

    /// Waits for the end, which must be a good one for YARN and for the client, with nothing staged left. Gives the last state.
    pub(crate) fn succeed(mut self) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.client.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if Instant::now() > deadline => break None,
                None => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        let end = self.me.cluster.application(&self.id).unwrap();
        let is_good = status.is_some_and(|status| status.success())
            && end["state"] == "FINISHED"
            && end["finalStatus"] == "SUCCEEDED";
        if !is_good {
            self.show_logs();
        }
        assert!(is_good, "{status:?}, {end}: {}", self.said());
        let staging = self.me.forebay_folder(&format!("staging/{}", self.id));
        assert!(self.me.stat(&staging).is_none(), "what was staged is left");
        serde_json::from_str(&self.kept("state.json").unwrap()).unwrap()
    }

    /// What the job's containers have logged, for whoever looks at a test that failed.
    #[allow(clippy::print_stdout, reason = "the test's harness shows it where the test fails")]
    fn show_logs(&self) {
        for node in 0..self.me.cluster.nodemanagers() {
            let logs = self.me.cluster.node_dir(node).join("logs").join(&self.id);
            for container in fs::read_dir(logs).into_iter().flatten().flatten() {
                for log in fs::read_dir(container.path()).into_iter().flatten().flatten() {
                    let text = fs::read_to_string(log.path()).unwrap_or_default();
                    println!("== {}\n{text}", log.path().display());
                }
            }
        }
        for name in ["events.jsonl", "state.json"] {
            println!("== {name}\n{}", self.kept(name).unwrap_or_default());
        }
    }
}

impl Drop for Submitted<'_> {
    fn drop(&mut self) {
        // Both fail only where it has ended already; the job itself ends with its cluster, at the latest.
        let _ = self.client.kill();
        let _ = self.client.wait();
        if std::thread::panicking() {
            self.show_logs();
            let _ = self.me.cluster.kill_application(&self.id);
        }
    }
}

/// The lines of all files below `folder` of HDFS but of those whose names begin with `_`, sorted.
pub(crate) fn lines_of(cluster: &Yarn, folder: &str) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    let is_marker = |path: &str| path.rsplit('/').next().is_some_and(|name| name.starts_with('_'));
    for path in cluster.hdfs().list(folder).unwrap().iter().filter(|path| !is_marker(path)) {
        assert!(!path.contains("/_temporary/"), "{path} is staged behind a committed output");
        lines.extend(split(&cluster.hdfs().read(path).unwrap()));
    }
    lines.sort_unstable();
    lines
}

/// The committed output holds every line of the input exactly once.
pub(crate) fn assert_exact(me: &Me, input: &[u8], output: &str) {
    let folder = format!("/user/{}/{output}", me.user);
    assert!(me.stat(&format!("{folder}/_SUCCESS")).is_some(), "no output was committed");
    let (got, mut wanted) = (lines_of(&me.cluster, &folder), split(input));
    wanted.sort_unstable();
    assert!(got == wanted, "{} lines were committed of {}", got.len(), wanted.len());
}

fn split(text: &[u8]) -> Vec<Vec<u8>> {
    text.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// Names in the test's folder that begin so.
pub(crate) fn names(me: &Me, prefix: &str) -> BTreeSet<String> {
    let names = fs::read_dir(me.room.path("")).unwrap().flatten();
    let names = names.map(|entry| entry.file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(prefix)).collect()
}

pub(crate) fn patiently(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).unwrap();
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
}

/// A container's process is a shell until it becomes the program.
fn is_forebay(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == "forebay")
}
