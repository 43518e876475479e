//! A worker's standard output on its way into a local file of the output.
//!
//! The worker gets a pipe rather than the file: programs open `/dev/stdout` by name, and what is a file then is emptied,
//! and written from its beginning, without anybody being told.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread;

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use tokio::sync::oneshot;

use crate::error::Failure;
use crate::over::Over;

/// Pipe size in bytes: what the kernel allows a user without privileges.
const PIPE: usize = 1 << 20;

/// Tells when all that was written into the pipe is in the file.
pub(crate) type Relayed = oneshot::Receiver<Result<(), Failure>>;

/// Starts moving what is written into a pipe to `file`; ends when nobody has the pipe any more, or the file takes no more,
/// which ends the attempt. `path` is for the error.
pub(crate) fn relay(file: File, path: PathBuf, over: Over) -> io::Result<(OwnedFd, Relayed)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    // A smaller one does, too.
    let _ = fcntl_setpipe_size(&write, PIPE);
    let (sender, relayed) = oneshot::channel();
    thread::Builder::new().name("forebay-stdout".into()).spawn(move || {
        // The kernel moves it where it can.
        let moved = io::copy(&mut File::from(read), &mut &file);
        let moved = moved.map(drop).map_err(|error| {
            Failure::new(format!("cannot write the worker's standard output to {}: {error}", path.display()))
        });
        if let Err(failure) = &moved {
            over.set(failure.clone().into());
        }
        // Nobody waits for it only when it is over.
        let _ = sender.send(moved);
    })?;
    Ok((write, relayed))
}
