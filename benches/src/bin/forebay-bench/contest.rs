//! Runs contestants and measures them from outside.

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use forebay_benches::{Taken, cpu};
use nix::sys::resource::UsageWho;

/// One way to get the input into the worker.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    /// The command, to which the worker's own command is appended. The word `REPORT` stands for a file that
    /// Forebay's report is written to.
    argv: Vec<String>,
    env: Vec<(&'static str, String)>,
}

/// Contestants on the same work; the first is what the others are compared with.
pub(crate) struct Group {
    pub(crate) title: &'static str,
    /// Every run finds an empty page cache. Needs root.
    pub(crate) cold: bool,
    pub(crate) contestants: Vec<Contestant>,
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// Seconds from start to exit.
    pub(crate) whole: f64,
    /// Seconds from the first byte to the end of input, as the worker saw it.
    pub(crate) stream: f64,
    /// CPU seconds of the feeding side.
    pub(crate) cpu: f64,
    /// Peak resident bytes, where the contestant tells.
    pub(crate) peak: Option<u64>,
}

/// All runs of a group, by contestant.
pub(crate) struct Results {
    pub(crate) group: Group,
    pub(crate) bytes: u64,
    pub(crate) runs: Vec<Vec<Run>>,
}

impl Contestant {
    pub(crate) fn new(name: &'static str, argv: &[&str], env: &[(&'static str, String)]) -> Self {
        Self { name, argv: argv.iter().map(ToString::to_string).collect(), env: env.to_vec() }
    }

    fn run(&self, folder: &Path, bytes: u64) -> Result<Run, Box<dyn Error>> {
        let (out, report) = (folder.join("sink"), folder.join("report"));
        let _ = std::fs::remove_file(&report);
        let sink = std::env::current_exe()?.with_file_name("bench-sink");
        let place =
            |word: &String| if word == "REPORT" { report.display().to_string() } else { word.clone() };
        let argv: Vec<String> = self.argv.iter().map(place).collect();
        let before = cpu(UsageWho::RUSAGE_CHILDREN)?;
        let begin = Instant::now();
        let status = Command::new(&argv[0])
            .args(&argv[1..])
            .arg(sink)
            .arg(&out)
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .status()?;
        let whole = begin.elapsed().as_secs_f64();
        let taken: Taken = serde_json::from_reader(File::open(&out)?)?;
        if !status.success() || taken.bytes != bytes {
            return Err(format!("{}: {status}, {} of {bytes} bytes arrived", self.name, taken.bytes).into());
        }
        let peak = File::open(&report).ok().and_then(|file| {
            let report: serde_json::Value = serde_json::from_reader(file).ok()?;
            report.get("peak_memory_bytes")?.as_u64()
        });
        let cpu = cpu(UsageWho::RUSAGE_CHILDREN)? - before - taken.cpu;
        Ok(Run { whole, stream: taken.seconds, cpu, peak })
    }
}

impl Group {
    /// Runs everybody once unmeasured, then `rounds` times.
    pub(crate) fn run(self, rounds: usize, bytes: u64) -> Result<Results, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        for contestant in &self.contestants {
            contestant.run(folder.path(), bytes)?;
        }
        let mut runs = vec![Vec::new(); self.contestants.len()];
        for round in 0..rounds {
            let mut order: Vec<usize> = (0..self.contestants.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for i in order {
                if self.cold {
                    rustix::fs::sync();
                    std::fs::write("/proc/sys/vm/drop_caches", "3")?;
                }
                runs[i].push(self.contestants[i].run(folder.path(), bytes)?);
            }
            eprintln!("{}: round {} of {rounds}", self.title, round + 1);
        }
        Ok(Results { group: self, bytes, runs })
    }
}
