//! What the tests of whole jobs share: a home of one's own, jobs in folders whose names are known, and looking for what a
//! job has left.
#![allow(dead_code, reason = "each test binary uses its part of this")]

pub(crate) mod campaign;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Room, code, is_alive, text, wait_until};

/// A folder for one test, in which `home` is the home and `job` the job's folder.
pub(crate) struct Jobs(pub(crate) Room);

/// Splits of the input that [`Jobs::new`] makes.
pub(crate) const SPLITS: u64 = 33;
/// Their size.
pub(crate) const SPLIT_SIZE: &str = "--split-size=32K";

/// A worker that keeps all that it reads.
pub(crate) const KEEP: &str = "cat > output/got";

impl Jobs {
    /// With an input `in` of three files, 1 MiB together.
    pub(crate) fn new() -> Self {
        let room = Room::new();
        let all = text(1 << 20);
        let lines: Vec<_> = all.split_inclusive(|&b| b == b'\n').collect();
        let (a, rest) = lines.split_at(lines.len() / 2);
        let (b, c) = rest.split_at(rest.len() / 3);
        for (name, part) in [("in/a", a), ("in/b", b), ("in/c", c)] {
            room.file(name, part.concat());
        }
        fs::create_dir(room.path("home")).unwrap();
        Self(room)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    /// `forebay` with these arguments, at home here.
    pub(crate) fn forebay<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Command {
        let mut command = forebay_tests::forebay(args);
        command.current_dir(self.path("")).env("HOME", self.path("home")).env_remove("XDG_RUNTIME_DIR");
        // A group of its own: what a terminal would do to the test's group is not to reach it.
        command.process_group(0);
        command
    }

    /// `forebay run` in the folder `job`, over all of the input, into `out`, with more options and a `sh` worker.
    pub(crate) fn run(&self, options: &[&str], worker: &str) -> Command {
        let usual = ["run", "--job-dir=job", "--input=in", SPLIT_SIZE, "--output=out"];
        let mut command = self.forebay(usual);
        command.arg(self.room_variable()).args(options).args(["--", "sh", "-c", worker]);
        command
    }

    /// Tells workers where this test's folder is: `$ROOM`.
    pub(crate) fn room_variable(&self) -> String {
        format!("--env=ROOM={}", self.path("").display())
    }

    /// Goes on with the job in the folder `job`.
    pub(crate) fn resume(&self, options: &[&str]) -> Command {
        let mut command = self.forebay(["run", "--resume", "job"]);
        command.args(options);
        command
    }

    /// What the job's application master wrote last of it.
    pub(crate) fn state(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("job/state.json")).unwrap()).unwrap()
    }

    /// The lines of the input, sorted.
    pub(crate) fn lines(&self) -> Vec<Vec<u8>> {
        lines_below(&self.path("in"))
    }

    /// The lines of the committed output, sorted. It must be there.
    pub(crate) fn output(&self) -> Vec<Vec<u8>> {
        assert!(self.path("out/_SUCCESS").is_file(), "no output was committed");
        assert!(!self.path("out/_temporary").exists(), "something is staged behind a committed output");
        lines_below(&self.path("out"))
    }

    /// The committed output holds every line of the input exactly once.
    pub(crate) fn assert_exact(&self) {
        let (got, expected) = (self.output(), self.lines());
        assert!(got == expected, "{} lines were committed of {}", got.len(), expected.len());
    }

    /// Nothing of the output is there.
    pub(crate) fn assert_untouched(&self) {
        let left: Vec<_> = fs::read_dir(self.path("out")).into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    /// No process of this test's jobs is left: each has the test's folder in its environment or as its working folder.
    pub(crate) fn assert_nothing_runs(&self) {
        let mut left = Vec::new();
        wait_until("all processes of the job to be gone", || {
            left = self.processes();
            left.is_empty()
        });
    }

    /// Processes that belong to this test's jobs.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        let home = self.path("");
        let needle = format!("HOME={}", self.path("home").display());
        let belongs = |pid: i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|&b| b == 0).any(|variable| variable == needle.as_bytes())
                || fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder.starts_with(&home))
        };
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|&pid| belongs(pid)).filter_map(Pid::from_raw).filter(|&pid| is_alive(pid)).collect()
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        for pid in self.processes() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Ids of a process's children.
pub(crate) fn children(pid: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .filter_map(Pid::from_raw)
        .collect()
}

/// The lines of all files below a folder, sorted; marker files are left out.
pub(crate) fn lines_below(folder: &Path) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if !entry.file_name().to_string_lossy().starts_with('_') {
                let content = fs::read(path).unwrap();
                lines.extend(content.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec));
            }
        }
    }
    lines.sort_unstable();
    lines
}

/// Status 0, or what was said.
pub(crate) fn assert_ok(output: &Output) {
    assert_eq!(code(output), 0, "{}", forebay_tests::said(output));
}

/// This status, and all of this said.
pub(crate) fn assert_said(output: &Output, status: i32, words: &[&str]) {
    let said = forebay_tests::said(output);
    assert_eq!(code(output), status, "{said}");
    for word in words {
        assert!(said.contains(word), "'{word}' is not in: {said}");
    }
}
