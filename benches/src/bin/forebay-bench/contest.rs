//! Runs contestants and measures them from outside.

use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use forebay_benches::{Taken, cpu, now, start_worker_on};
use nix::sys::resource::UsageWho;
use serde::Serialize;

use crate::process::{cpu_so_far, peak_until_exit};

/// How long a JVM may take to become warm.
const WARM_WITHIN: f64 = 600.0;

/// How a contestant meets the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feeding {
    /// It is given the worker's command and starts it.
    Starts,
    /// It writes into a pipe to the worker; with the kernel's usual size where none is named.
    Writes { pipe: Option<usize> },
    /// The same, but it reads everything once before, says so by making the file that its last argument names, and waits
    /// for a byte. Its figures begin with that byte.
    WritesWhenWarm { pipe: Option<usize> },
}

/// One way to get the input into the worker.
pub(crate) struct Contestant {
    /// What `--only` selects it by.
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) feeding: Feeding,
    pub(crate) command: Command,
    /// Is called before every run.
    pub(crate) prepare: Option<Box<dyn Fn()>>,
}

/// Contestants on the same work; the first is what the others are compared with.
pub(crate) struct Group {
    pub(crate) title: &'static str,
    /// Every run finds an empty page cache. Needs root.
    pub(crate) cold: bool,
    pub(crate) contestants: Vec<Contestant>,
}

/// One run.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Run {
    /// Seconds from exec, or from the word to a warm JVM, to the first byte at the worker.
    pub(crate) first_byte: f64,
    /// Seconds from the first byte to the last.
    pub(crate) stream: f64,
    /// Seconds from exec, or from the word, to the end of all processes.
    pub(crate) whole: f64,
    /// CPU seconds of the feeding side.
    pub(crate) cpu: f64,
    /// The feeding process's `VmHWM` in bytes, as last seen before its end.
    pub(crate) peak: Option<u64>,
}

/// All runs of a group, by contestant.
pub(crate) struct Results {
    pub(crate) group: Group,
    pub(crate) bytes: u64,
    pub(crate) runs: Vec<Vec<Run>>,
}

/// What a start leaves to be waited for.
struct Started {
    feeder: Child,
    /// Where it is not the feeder's own child.
    worker: Option<Child>,
    /// When the clock began, and what the feeder had used by then.
    begin: f64,
    cpu_before: f64,
}

impl Contestant {
    fn run(&mut self, folder: &Path, cold: bool, bytes: u64) -> Result<Run, Box<dyn Error>> {
        if let Some(prepare) = &self.prepare {
            prepare();
        }
        let out = folder.join("sink");
        let _ = std::fs::remove_file(&out);
        let sink = std::env::current_exe()?.with_file_name("bench-sink");
        let worker = [sink, out.clone()].map(|path| path.display().to_string());
        let before = cpu(UsageWho::RUSAGE_CHILDREN)?;
        let mut started = self.start(folder, cold, &worker)?;
        let peak = peak_until_exit(started.feeder.id())?;
        let status = started.feeder.wait()?;
        if let Some(worker) = &mut started.worker {
            worker.wait()?;
        }
        let whole = now() - started.begin;
        let taken =
            File::open(&out).map_err(|_| format!("{}: the worker left no word; {status}", self.id))?;
        let taken: Taken = serde_json::from_reader(taken)?;
        if !status.success() || taken.bytes != bytes {
            return Err(format!("{}: {status}, {} of {bytes} bytes arrived", self.id, taken.bytes).into());
        }
        let cpu = cpu(UsageWho::RUSAGE_CHILDREN)? - before - taken.cpu - started.cpu_before;
        let (first_byte, stream) = (taken.first - started.begin, taken.last - taken.first);
        Ok(Run { first_byte, stream, whole, cpu, peak })
    }

    fn start(&mut self, folder: &Path, cold: bool, worker: &[String]) -> Result<Started, Box<dyn Error>> {
        if cold {
            empty_page_cache()?;
        }
        match self.feeding {
            Feeding::Starts => {
                let mut command = again(&self.command);
                let begin = now();
                let feeder = command.args(worker).stdin(Stdio::null()).spawn()?;
                Ok(Started { feeder, worker: None, begin, cpu_before: 0.0 })
            }
            Feeding::Writes { pipe } => {
                let (worker, write) = start_worker_on(pipe, worker)?;
                let begin = now();
                let feeder = again(&self.command).stdin(Stdio::null()).stdout(write).spawn()?;
                Ok(Started { feeder, worker: Some(worker), begin, cpu_before: 0.0 })
            }
            Feeding::WritesWhenWarm { pipe } => {
                let (worker, write) = start_worker_on(pipe, worker)?;
                let ready = folder.join("ready");
                let _ = std::fs::remove_file(&ready);
                let mut command = again(&self.command);
                let mut feeder = command.arg(&ready).stdin(Stdio::piped()).stdout(write).spawn()?;
                // Ours is the last other hand on the pipe's end.
                drop(command);
                self.wait_warm(&ready, &mut feeder)?;
                if cold {
                    empty_page_cache()?;
                }
                let cpu_before = cpu_so_far(feeder.id())?;
                let begin = now();
                let mut stdin = feeder.stdin.take().ok_or("a child without standard input")?;
                std::io::Write::write_all(&mut stdin, b"\n")?;
                Ok(Started { feeder, worker: Some(worker), begin, cpu_before })
            }
        }
    }

    fn wait_warm(&self, ready: &Path, feeder: &mut Child) -> Result<(), Box<dyn Error>> {
        let begin = now();
        while !ready.exists() {
            if let Some(status) = feeder.try_wait()? {
                return Err(format!("{}: ended before it was warm: {status}", self.id).into());
            }
            if now() - begin > WARM_WITHIN {
                feeder.kill()?;
                feeder.wait()?;
                return Err(format!("{}: not warm within {WARM_WITHIN} s", self.id).into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

/// The same command once more: a [`Command`] keeps what a run added to it.
fn again(command: &Command) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => copy.env(name, value),
            None => copy.env_remove(name),
        };
    }
    copy
}

/// Drops all clean pages, after writing back the dirty ones.
pub(crate) fn empty_page_cache() -> Result<(), Box<dyn Error>> {
    rustix::fs::sync();
    std::fs::write("/proc/sys/vm/drop_caches", "3")
        .map_err(|e| format!("cannot empty the page cache, for which --cold needs root: {e}").into())
}

impl Group {
    /// Runs everybody `rounds` times, in a warm contest once before, unmeasured.
    pub(crate) fn run(mut self, rounds: u32, bytes: u64) -> Result<Results, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let path: PathBuf = folder.path().to_owned();
        if !self.cold {
            for contestant in &mut self.contestants {
                contestant.run(&path, false, bytes)?;
            }
        }
        let mut runs = vec![Vec::new(); self.contestants.len()];
        for round in 0..rounds {
            let mut order: Vec<usize> = (0..self.contestants.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for i in order {
                runs[i].push(self.contestants[i].run(&path, self.cold, bytes)?);
            }
            eprintln!("{}: round {} of {rounds}", self.title, round + 1);
        }
        Ok(Results { group: self, bytes, runs })
    }
}
