//! What the kernel tells of a running process: its peak memory and its CPU time.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use forebay_benches::peak_memory;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// Rarely enough to cost the contestants nothing.
const SAMPLE_EVERY: Duration = Duration::from_millis(20);

/// Waits until a child has ended, but leaves it to be reaped, so that its id stays its own. Gives the last `VmHWM` seen,
/// in bytes.
pub(crate) fn peak_until_exit(pid: u32) -> io::Result<Option<u64>> {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut peak = None;
            while !ended.load(Ordering::Relaxed) {
                // A process that has ended tells none any more; what was seen before stands.
                peak = peak_memory(pid).or(peak);
                thread::park_timeout(SAMPLE_EVERY);
            }
            peak
        });
        let waited = wait_for_exit(pid);
        ended.store(true, Ordering::Relaxed);
        sampler.thread().unpark();
        let peak = sampler.join().map_err(|_| io::Error::other("the sampling thread ended early"))?;
        waited.map(|()| peak)
    })
}

fn wait_for_exit(pid: u32) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    loop {
        match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// User and system seconds of a running process, in steps of 10 ms (proc(5), fields 14 and 15 of `stat`).
pub(crate) fn cpu_so_far(pid: u32) -> io::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is a name in parentheses that may hold anything.
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<u64>().ok());
    match (ticks(14), ticks(15)) {
        (Some(user), Some(system)) => {
            Ok((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64)
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn this_process_has_a_peak_and_cpu_time() {
        assert!(peak_memory(std::process::id()).unwrap() > 1 << 20);
        assert!(cpu_so_far(std::process::id()).unwrap() >= 0.0);
    }

    #[test]
    fn a_child_is_waited_for_and_can_still_be_reaped() {
        let mut child = Command::new("sleep").arg("0.2").spawn().unwrap();
        assert!(peak_until_exit(child.id()).unwrap().unwrap() > 1 << 16);
        assert!(child.wait().unwrap().success());
    }
}
