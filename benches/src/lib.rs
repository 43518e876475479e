//! What the contestants share: a worker that only takes bytes, and how each of them starts it.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// What the sink prints, as JSON, where its first argument says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// Bytes read.
    pub bytes: u64,
    /// When the first bytes had come, as [`now`] tells it.
    pub first: f64,
    /// When the last bytes had come.
    pub last: f64,
    /// The sink's own CPU seconds.
    pub cpu: f64,
}

/// The pipe every contestant that makes one uses: what Forebay uses.
pub const PIPE_SIZE: usize = 1 << 20;

/// Seconds on the clock that all processes of a machine share.
pub fn now() -> f64 {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::try_from(time).unwrap_or_default().as_secs_f64()
}

/// CPU seconds, user and system together.
pub fn cpu(who: UsageWho) -> io::Result<f64> {
    let usage = getrusage(who)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(micros.unsigned_abs()).as_secs_f64())
}

/// Starts a contestant's worker, a program and its arguments, on a pipe of [`PIPE_SIZE`].
pub fn start_worker(worker: &[String]) -> io::Result<(Child, OwnedFd)> {
    start_worker_on(Some(PIPE_SIZE), worker)
}

/// Like [`start_worker`], on a pipe of this size; of the kernel's usual one for `None`.
pub fn start_worker_on(pipe_size: Option<usize>, worker: &[String]) -> io::Result<(Child, OwnedFd)> {
    let (program, args) = worker.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    if let Some(size) = pipe_size {
        fcntl_setpipe_size(&write, size)?;
    }
    Ok((Command::new(program).args(args).stdin(Stdio::from(read)).spawn()?, write))
}

/// The peak memory (`VmHWM`) of a running process, in bytes.
pub fn peak_memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}
