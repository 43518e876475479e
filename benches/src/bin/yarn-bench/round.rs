//! A run of a job, and one of `forebay feed`, measured from outside.

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use forebay_benches::{Taken, now, peak_memory};
use forebay_fixtures::Yarn;
use serde::Serialize;
use tempfile::TempDir;

/// Rarely enough to cost what is measured little.
const SAMPLE_EVERY: Duration = Duration::from_millis(50);
/// How often the client is looked at: what it takes to return is measured to that.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// No run takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_mins(10);

/// A job and a feed over the same file, one after the other.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Round {
    pub(crate) job: Job,
    pub(crate) feed: Feed,
}

/// What a job took.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Job {
    /// Seconds from the client's start until its worker had the first byte.
    pub(crate) first_byte: f64,
    /// Seconds from the worker's last byte to the client's end.
    pub(crate) after_last_byte: f64,
    /// Seconds from the client's start to its end.
    pub(crate) whole: f64,
    /// From the first byte to the last.
    pub(crate) gb_per_s: f64,
    /// The application master's `VmHWM` in bytes, as last seen.
    pub(crate) am_peak: Option<u64>,
    /// The agent's, with its feed.
    pub(crate) agent_peak: Option<u64>,
}

/// What a feed took.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Feed {
    /// From the first byte to the last.
    pub(crate) gb_per_s: f64,
    /// Its `VmHWM` in bytes, as last seen.
    pub(crate) peak: Option<u64>,
}

/// What runs are made with.
pub(crate) struct Bench<'a> {
    yarn: &'a Yarn,
    forebay: PathBuf,
    sink: PathBuf,
    input: String,
    bytes: u64,
    folder: TempDir,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(yarn: &'a Yarn, bins: &Path, input: &str, bytes: u64) -> Result<Self, Box<dyn Error>> {
        let (forebay, sink) = (bins.join("forebay"), bins.join("bench-sink").canonicalize()?);
        let input = format!("{}{input}", yarn.hdfs().uri());
        Ok(Self { yarn, forebay, sink, input, bytes, folder: tempfile::tempdir()? })
    }

    /// A job of one worker that only takes the bytes.
    pub(crate) fn job(&self) -> Result<Job, Box<dyn Error>> {
        let mut submit = Command::new(&self.forebay);
        submit.args(["submit", "--quiet", "--worker-memory", "256M", "--input", &self.input]);
        let (mut am_peak, mut agent_peak) = (None, None);
        let (begin, taken, end) = self.run(submit, |_| {
            for pid in self.yarn.container_pids(None).into_values().flatten() {
                let peak = match command(pid).as_deref() {
                    Some("am") => &mut am_peak,
                    Some("agent") => &mut agent_peak,
                    _ => continue,
                };
                *peak = peak_memory(pid).max(*peak);
            }
        })?;
        Ok(Job {
            first_byte: taken.first - begin,
            after_last_byte: end - taken.last,
            whole: end - begin,
            gb_per_s: rate(&taken),
            am_peak,
            agent_peak,
        })
    }

    /// The same without a cluster.
    pub(crate) fn feed(&self) -> Result<Feed, Box<dyn Error>> {
        let mut feed = Command::new(&self.forebay);
        feed.args(["feed", "--quiet", &self.input]);
        let mut peak = None;
        let (_, taken, _) = self.run(feed, |pid| peak = peak_memory(pid).max(peak))?;
        Ok(Feed { gb_per_s: rate(&taken), peak })
    }

    /// Runs it with the sink as its worker. Gives when it began, what the sink says, and when it had ended.
    fn run(
        &self,
        mut command: Command,
        mut sample: impl FnMut(u32),
    ) -> Result<(f64, Taken, f64), Box<dyn Error>> {
        let out = self.folder.path().join("taken");
        let _ = fs::remove_file(&out);
        command.arg("--").arg(&self.sink).arg(&out).env("HADOOP_CONF_DIR", self.yarn.conf_dir());
        let what = format!("{command:?}");
        let begin = now();
        let mut child = command.stdin(Stdio::null()).spawn()?;
        let (started, mut sampled) = (Instant::now(), Instant::now());
        let status: ExitStatus = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if started.elapsed() > PATIENCE {
                child.kill()?;
                child.wait()?;
                return Err(format!("{what} hangs").into());
            }
            if sampled.elapsed() >= SAMPLE_EVERY {
                sample(child.id());
                sampled = Instant::now();
            }
            thread::sleep(LOOK_EVERY);
        };
        let end = now();
        let taken = File::open(&out).map_err(|_| format!("{what}: the worker left no word; {status}"))?;
        let taken: Taken = serde_json::from_reader(taken)?;
        if !status.success() || taken.bytes != self.bytes {
            return Err(format!("{what}: {status}, {} of {} bytes arrived", taken.bytes, self.bytes).into());
        }
        Ok((begin, taken, end))
    }
}

fn rate(taken: &Taken) -> f64 {
    taken.bytes as f64 / 1e9 / (taken.last - taken.first)
}

/// Which part of Forebay a process is: its first argument.
fn command(pid: u32) -> Option<String> {
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = line.split('\0');
    let program = words.next()?;
    program.ends_with("forebay").then(|| words.next().unwrap_or_default().to_owned())
}
