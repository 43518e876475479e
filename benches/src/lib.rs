//! What the contestants share: a worker that only takes bytes, and how each of them starts it.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use serde::{Deserialize, Serialize};

/// What the sink prints, as JSON, where its first argument says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// Bytes read.
    pub bytes: u64,
    /// Seconds between the first byte and the end of input.
    pub seconds: f64,
    /// The sink's own CPU seconds.
    pub cpu: f64,
}

/// The pipe every contestant that makes one uses: what Forebay uses.
pub const PIPE_SIZE: usize = 1 << 20;

/// CPU seconds, user and system together.
pub fn cpu(who: UsageWho) -> io::Result<f64> {
    let usage = getrusage(who)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(std::time::Duration::from_micros(micros.unsigned_abs()).as_secs_f64())
}

/// Starts a contestant's worker, a program and its arguments, on a pipe of [`PIPE_SIZE`].
pub fn start_worker(worker: &[String]) -> io::Result<(Child, OwnedFd)> {
    let (program, args) = worker.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    fcntl_setpipe_size(&write, PIPE_SIZE)?;
    Ok((Command::new(program).args(args).stdin(Stdio::from(read)).spawn()?, write))
}
