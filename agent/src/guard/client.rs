//! The agent's side of its guard.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::sync::Arc;

use forebay_feeder::{Stop, Worker, WorkerError};
use rustix::process::Signal;

use super::channel::{Channel, Order};
use super::own_binary;
use crate::folder::AttemptFolder;

/// A running guard, and through it the worker.
#[derive(Debug)]
pub(crate) struct Guard {
    process: Worker,
    channel: Arc<Channel>,
}

/// What a worker is started with.
pub(crate) struct Start<'a> {
    pub(crate) folder: &'a AttemptFolder,
    /// The job's lock.
    pub(crate) lock: &'a std::path::Path,
    pub(crate) command: &'a [String],
    pub(crate) env: &'a [(String, String)],
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    /// Standard input and what keeps it open; `None`: no input.
    pub(crate) stdin: Option<(OwnedFd, OwnedFd)>,
    /// The worker stays in our process group.
    pub(crate) keeps_group: bool,
}

impl Guard {
    /// Starts a guard and has it start the worker; how that went, it will tell.
    pub(crate) fn start(start: Start<'_>) -> io::Result<Self> {
        let (channel, theirs) = Channel::pair()?;
        let mut process = own_binary("guard");
        process.arg("--attempt").arg(start.folder.path()).arg("--lock").arg(start.lock);
        process.arg("--").args(start.command.iter().map(OsStr::new));
        process.envs(start.env.iter().map(|(name, value)| (name, value)));
        process.current_dir(start.folder.work());
        process.stdin(Stdio::from(theirs.into_fd()));
        process.stdout(Stdio::from(start.stdout)).stderr(Stdio::from(start.stderr));
        let process = Worker::spawn(process).map_err(io::Error::other)?;
        let guard = Self { process, channel: Arc::new(channel) };
        let order = Order::Start { keeps_group: start.keeps_group };
        match &start.stdin {
            Some((read, held)) => guard.channel.send(&order, &[read.as_fd(), held.as_fd()])?,
            None => guard.channel.send(&order, &[])?,
        }
        Ok(guard)
    }

    /// Where it tells its news.
    pub(crate) fn channel(&self) -> Arc<Channel> {
        Arc::clone(&self.channel)
    }

    /// The worker may see the end of its input, as far as it is up to the guard.
    pub(crate) fn close_input(&self) {
        // If it has died, others find out.
        let _ = self.channel.send(&Order::CloseInput, &[]);
    }

    /// Has it end the worker, with little time if somebody else is about to kill us all.
    pub(crate) fn end_worker(&self, is_hurried: bool) {
        let _ = self.channel.send(&Order::End { is_hurried }, &[]);
    }

    /// Ends the guard and all processes that are left, whatever state they are in.
    pub(crate) fn end_all(&mut self, stop: &Stop) -> Result<(), WorkerError> {
        self.process.end(Some(Signal::TERM), stop).map(drop)
    }

    /// Lets the guard go: it ends when nobody has the channel any more.
    pub(crate) fn leave(self) -> Result<(), WorkerError> {
        let Self { mut process, channel } = self;
        drop(channel);
        let never = Stop::new().map_err(|source| WorkerError::Watch { pid: process.id(), source })?;
        process.end(None, &never).map(drop)
    }
}
