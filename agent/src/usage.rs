//! What all processes of a container use: the resident memory of the agent and of all that it has started, and their processor
//! time.
//!
//! The memory is the sum of what `/proc/PID/stat` says, as the NodeManager sums it up for its own check
//! (`ProcfsBasedProcessTree`): a page that several processes have in memory counts for each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use forebay_protocol::v1;

/// Between two looks, at least.
const EVERY: Duration = Duration::from_secs(1);
/// Looking takes one part in so many of a processor's time, at most: a host may have many processes.
const SHARE: u32 = 100;

/// Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Usage(Arc<Mutex<Option<Figures>>>);

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Figures {
    memory: u64,
    peak: u64,
    cpu: f64,
}

impl Usage {
    /// Measures from now on, as long as anybody has this.
    pub(crate) fn measure(&self) -> io::Result<()> {
        let shared = Arc::downgrade(&self.0);
        let measure = move || {
            while let Some(figures) = shared.upgrade() {
                let begin = Instant::now();
                let (memory, cpu) = tree(i32::try_from(std::process::id()).unwrap_or_default());
                let mut figures = figures.lock().unwrap_or_else(PoisonError::into_inner);
                let before = figures.unwrap_or_default();
                // Processes that nobody waits for take their time with them.
                let cpu = cpu.max(before.cpu);
                *figures = Some(Figures { memory, peak: memory.max(before.peak), cpu });
                drop(figures);
                thread::sleep(EVERY.max(begin.elapsed() * SHARE));
            }
        };
        thread::Builder::new().name("forebay-usage".into()).spawn(measure).map(drop)
    }

    /// Nothing where nothing is measured.
    pub(crate) fn put_into(&self, progress: &mut v1::Progress) {
        if let Some(Figures { memory, peak, cpu }) = *self.figures() {
            progress.memory_bytes = Some(memory);
            progress.memory_peak_bytes = Some(peak);
            progress.cpu_seconds = Some(cpu);
        }
    }

    fn figures(&self) -> MutexGuard<'_, Option<Figures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of one process: its parent, its memory in pages, and its processor time in ticks with that of the children it has
/// waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    parent: i32,
    pages: u64,
    ticks: u64,
}

/// Resident bytes and seconds of processor time of a process and all its descendants.
fn tree(root: i32) -> (u64, f64) {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let all: HashMap<i32, Process> = pids
        .filter_map(|pid: i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, process(&stat)?))
        })
        .collect();
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for (&pid, process) in &all {
        children.entry(process.parent).or_default().push(pid);
    }
    let (mut pages, mut ticks, mut open) = (0, 0, vec![root]);
    while let Some(pid) = open.pop() {
        if let Some(process) = all.get(&pid) {
            pages += process.pages;
            ticks += process.ticks;
        }
        open.extend(children.remove(&pid).unwrap_or_default());
    }
    let seconds = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    (pages * rustix::param::page_size() as u64, seconds)
}

/// `pid (name) state parent …`: a name may hold parentheses. Counted from the state: 11 to 14 are processor times, 21 is
/// the resident set (`proc_pid_stat(5)`).
fn process(stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<i64>().ok()?.try_into().ok();
    let times: Option<u64> = (11..15).map(number).sum();
    Some(Process { parent: fields.get(1)?.parse().ok()?, pages: number(21)?, ticks: times? })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn names_do_not_confuse() {
        let stat = "7 (a) S 1 (b) ) R 42 1 1 0 -1 4194304 9 9 9 9 5 6 700 8000 20 0 1 0 99 1000 33 18446744073709551615";
        assert_eq!(process(stat), Some(Process { parent: 42, pages: 33, ticks: 8711 }));
        assert_eq!(process("7 (a) S 1"), None);
    }

    #[test]
    fn children_count() {
        let own = i32::try_from(std::process::id()).unwrap();
        let script = "x=$(head -c 50000000 /dev/zero | tr '\\0' x); echo ready; read y";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        let with = tree(own);
        child.kill().unwrap();
        child.wait().unwrap();
        let without = tree(own);
        assert!(with.0 > without.0 + 40_000_000, "{with:?} {without:?}");
        assert!(with.1 > 0.0);
    }
}
