//! All that a worker has started: finding it, keeping it from wrong conclusions, waiting until it is gone.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, getpid, pidfd_open, waitid};

use crate::Stop;

/// All living descendants of this process, without `strangers` (children that it had before) and theirs.
pub fn descendants(strangers: &[Pid]) -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for process in processes().filter(|process| !process.is_dead) {
        children.entry(process.parent).or_default().push(process.id);
    }
    let mut family = Vec::new();
    let mut open = vec![own_id()];
    while let Some(pid) = open.pop() {
        for child in children.remove(&pid).unwrap_or_default() {
            if let Some(id) = Pid::from_raw(child).filter(|id| !strangers.contains(id)) {
                family.push(id);
                open.push(child);
            }
        }
    }
    family
}

fn own_id() -> i32 {
    getpid().as_raw_nonzero().get()
}

struct Process {
    id: i32,
    parent: i32,
    /// A zombie: ended, and not yet reaped.
    is_dead: bool,
}

fn processes() -> impl Iterator<Item = Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(process)
}

/// `/proc/PID/stat` reads `pid (name) state parent …`, and a name may hold parentheses. A process whose first
/// thread has ended looks like a zombie, and is none while others of its threads (field 20) live.
fn process(id: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let threads: u32 = fields.nth(15)?.parse().ok()?;
    Some(Process { id, parent, is_dead: ended && threads <= 1 })
}

/// Opens every pipe that a member of the family writes to, once more.
///
/// While these are held, no member that dies ends another's input: in `sh -c 'cat | program'`, the program does
/// not take the death of `cat` for the end of its data.
pub(crate) fn hold_pipes(family: &[Pid]) -> Vec<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let is_pipe = |path: &Path| {
        fs::read_link(path).is_ok_and(|target| target.as_os_str().to_string_lossy().starts_with("pipe:"))
    };
    family
        .iter()
        .flat_map(|pid| {
            fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).into_iter().flatten().flatten()
        })
        .filter(|entry| is_pipe(&entry.path()) && is_for_writing(&entry.path()))
        .filter_map(|entry| File::options().write(true).custom_flags(flags).open(entry.path()).ok())
        .collect()
}

/// A link in `/proc/PID/fd` has the owner's write bit where the descriptor is open for writing.
fn is_for_writing(link: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::symlink_metadata(link).is_ok_and(|meta| meta.mode() & 0o200 != 0)
}

/// Waits until all of `family` have ended, the deadline has passed, or the stop event was raised once more.
pub(crate) fn wait_until_gone(family: &[Pid], deadline: Instant, stop: Option<&Stop>) {
    let open = |pid: &Pid| pidfd_open(*pid, PidfdFlags::empty()).ok();
    for pidfd in family.iter().filter_map(open) {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut fds = vec![PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
            fds.extend(stop.map(|stop| PollFd::new(stop, PollFlags::IN)));
            let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
            let timeout = Timespec { tv_sec: seconds, tv_nsec: left.subsec_nanos().into() };
            match poll(&mut fds, Some(&timeout)) {
                Err(Errno::INTR) => {}
                Ok(n) if n > 0 && !fds[0].revents().is_empty() => break,
                _ => return,
            }
        }
    }
}

/// Reaps the orphans that this process adopts, in a thread of its own, until the worker itself has exited.
pub(crate) fn reap_orphans(worker: Pid) -> std::io::Result<()> {
    let reap = move || {
        loop {
            // Only looking: the worker's own status is for who waits for it.
            match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            let own = own_id();
            for dead in processes().filter(|process| process.is_dead && process.parent == own) {
                match Pid::from_raw(dead.id) {
                    Some(orphan) if orphan != worker => {
                        let _ = waitid(WaitId::Pid(orphan), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
                    }
                    _ => return,
                }
            }
        }
    };
    thread::Builder::new().name("forebay-reaper".into()).spawn(reap).map(drop)
}
