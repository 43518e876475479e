//! What the local tests share: a folder of one's own, running to an end that must come, and hand-made meetings between
//! a test and a worker.
#![allow(dead_code, reason = "each test binary uses its part of this")]

use std::borrow::BorrowMut;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything here may take before it counts as hanging.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A folder for one test.
pub(crate) struct Room(TempDir);

impl Room {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Where `name` is, or will be.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file with this content; folders on its way are made.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// A file of NULs that takes no place on disk.
    pub(crate) fn sparse(&self, name: &str, len: u64) -> PathBuf {
        let path = self.path(name);
        File::create(&path).unwrap().set_len(len).unwrap();
        path
    }

    /// `forebay feed` with these arguments, in this folder, so that workers can use bare names.
    pub(crate) fn feed<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Command {
        let mut command = forebay_tests::forebay(["feed"]);
        command.args(args).current_dir(self.0.path());
        command
    }

    /// A report that was written here.
    pub(crate) fn report(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// Waits until a worker has made this file.
    pub(crate) fn wait_for(&self, name: &str) {
        let path = self.path(name);
        wait_until(name, || path.exists());
    }

    /// The process ids that workers have written into a file, one a line.
    pub(crate) fn pids(&self, name: &str) -> Vec<Pid> {
        let text = fs::read_to_string(self.path(name)).unwrap();
        text.lines().map(|line| Pid::from_raw(line.trim().parse().unwrap()).unwrap()).collect()
    }
}

/// A FIFO that a worker waits at (`read x < NAME`) until the test opens it.
pub(crate) struct Gate(File);

impl Gate {
    pub(crate) fn new(room: &Room, name: &str) -> Self {
        let path = room.path(name);
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        // Opened both ways it never blocks, neither here nor the worker's opening.
        Self(File::options().read(true).write(true).open(path).unwrap())
    }

    /// Lets one worker pass. The gate must live until it has.
    pub(crate) fn open(&mut self) {
        self.0.write_all(b"go\n").unwrap();
    }
}

/// Runs to the end, which must come.
pub(crate) fn run(command: impl BorrowMut<Command>) -> Output {
    Running::start(command).output()
}

/// A started process that does not outlive its test.
pub(crate) struct Running {
    child: Option<Child>,
    pid: Pid,
}

impl Running {
    /// Starts with both outputs captured.
    pub(crate) fn start(mut command: impl BorrowMut<Command>) -> Self {
        Self::just_start(command.borrow_mut().stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    /// Starts with the outputs that the test has set.
    pub(crate) fn just_start(mut command: impl BorrowMut<Command>) -> Self {
        let child = command.borrow_mut().spawn().unwrap();
        let pid = Pid::from_child(&child);
        Self { child: Some(child), pid }
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        self.child.as_mut().unwrap()
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// Waits for its end and for that of its outputs.
    pub(crate) fn output(mut self) -> Output {
        let child = self.child.take().unwrap();
        let (send, receive) = mpsc::channel();
        thread::spawn(move || send.send(child.wait_with_output()));
        let Ok(output) = receive.recv_timeout(PATIENCE) else {
            let _ = kill_process(self.pid, Signal::KILL);
            panic!("process {:?} hangs", self.pid);
        };
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked"), "{said}");
        output
    }

    pub(crate) fn status(self) -> ExitStatus {
        self.output().status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A process of a worker that the test ends itself, whatever happens.
pub(crate) struct Stray(pub(crate) Pid);

impl Drop for Stray {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::KILL);
    }
}

/// Looks again and again, up to a deadline that only a broken program reaches.
pub(crate) fn wait_until(what: &str, mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// Whether a process runs (a dead one that nobody has buried does not).
pub(crate) fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !matches!(rest.trim_start().as_bytes(), [b'Z' | b'X', ..]))
}

/// A `sh` worker: what follows `--`.
pub(crate) fn sh(script: &str) -> [&str; 4] {
    ["--", "sh", "-c", script]
}

/// The exit status, which must not be a signal's.
pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("ended by a signal: {output:?}"))
}

/// `path` as an argument.
pub(crate) fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Lines of different lengths, about `len` bytes of them, the last one ended.
pub(crate) fn text(len: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(len + 100);
    let mut n = 0;
    while text.len() < len {
        text.extend_from_slice(format!("{n} {}\n", "x".repeat(n * 7 % 61)).as_bytes());
        n += 1;
    }
    text
}
