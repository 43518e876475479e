//! The worker: starting it on a pipe, waiting for it beside other events, and ending it with all that it
//! started.
//!
//! A worker that must not take a failed feed for a complete one has to be gone before its standard input is
//! closed, and so has every process it has left behind with that input: [`Worker::end`] ends them all.
//! For that this process becomes the reaper of its orphaned descendants.

mod family;

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, getpid, kill_process, pidfd_open, set_child_subreaper};

pub use self::family::descendants;
use self::family::{hold_pipes, reap_orphans, wait_until_gone};
use crate::{Stop, Watch};

/// How long a process that was asked to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How long killed processes may take to be gone.
const DYING: Duration = Duration::from_secs(5);

/// Why a worker could not be started, waited for or ended.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// It could not be started.
    #[error("cannot start {command}: {source}")]
    Start {
        /// The command's name.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// The kernel did not let us watch it.
    #[error("cannot watch the worker (process {pid}): {source}")]
    Watch {
        /// Its process id.
        pid: u32,
        /// Why.
        source: io::Error,
    },
    /// Processes outlived a kill.
    #[error("processes {pids:?} of the worker did not end after SIGKILL; they hang in the kernel")]
    Unkillable {
        /// Their ids.
        pids: Vec<i32>,
    },
}

impl WorkerError {
    /// The status a shell exits with for this failure: 127 for a command that is not found, 126 for one that
    /// cannot be run, 1 otherwise.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Start { source, .. } if source.kind() == ErrorKind::NotFound => 127,
            Self::Start { .. } => 126,
            _ => 1,
        }
    }
}

/// A running worker. The process that owns it should start no other children: see [`Worker::end`].
#[derive(Debug)]
pub struct Worker {
    child: Child,
    pidfd: Arc<OwnedFd>,
    /// Children that this process had before: not the worker's.
    strangers: Vec<Pid>,
}

impl Worker {
    /// Starts `command` with `stdin` as its standard input and `env` added to the environment.
    pub fn start(
        command: &OsStr,
        args: &[OsString],
        env: &[(&str, String)],
        stdin: OwnedFd,
    ) -> Result<Self, WorkerError> {
        let mut prepared = Command::new(command);
        prepared.args(args).envs(env.iter().map(|(name, value)| (name, value)));
        prepared.stdin(Stdio::from(stdin));
        Self::spawn(prepared)
    }

    /// Starts a command that has all it needs. Its descriptors are closed here when this returns.
    pub fn spawn(mut command: Command) -> Result<Self, WorkerError> {
        let name = command.get_program().to_string_lossy().into_owned();
        let named = |source| WorkerError::Start { command: name.clone(), source };
        // Orphans of the worker become our children, so that none escapes by double forking.
        set_child_subreaper(Some(getpid())).map_err(|e| named(e.into()))?;
        let strangers = descendants(&[]);
        let mut child = command.spawn().map_err(named)?;
        drop(command);
        let id = Pid::from_child(&child);
        let watched = pidfd_open(id, PidfdFlags::empty())
            .map_err(io::Error::from)
            .and_then(|pidfd| reap_orphans(id).map(|()| pidfd));
        match watched {
            Ok(pidfd) => Ok(Self { child, pidfd: Arc::new(pidfd), strangers }),
            Err(source) => {
                // It has read nothing yet, and must not read an end of input.
                let _ = child.kill();
                let _ = child.wait();
                Err(WorkerError::Watch { pid: child.id(), source })
            }
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A descriptor that is readable once it has exited.
    pub fn pidfd(&self) -> &Arc<OwnedFd> {
        &self.pidfd
    }

    /// What ends a delivery's waits: the stop event, and this worker's exit.
    pub fn watch(&self, stop: &Arc<Stop>) -> Watch {
        Watch { stop: Arc::clone(stop), worker: Some(Arc::clone(&self.pidfd)) }
    }

    /// Waits for the worker's exit; `None` if the stop event was raised first.
    pub fn wait(&mut self, stop: &Stop) -> Result<Option<ExitStatus>, WorkerError> {
        let pid = self.child.id();
        let failed = |source: io::Error| WorkerError::Watch { pid, source };
        loop {
            if stop.cause().is_some() {
                return Ok(None);
            }
            let mut fds = [PollFd::new(&*self.pidfd, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
            match poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failed(error.into())),
            }
            if !fds[0].revents().is_empty() {
                return self.child.wait().map(Some).map_err(failed);
            }
        }
    }

    /// Ends the worker and everything it has started: asks with `signal` (nothing is sent if `None`: it has
    /// been told already), waits, kills. Raising `stop` once more kills at once. When this returns, nobody
    /// holds the worker's standard input any more.
    pub fn end(&mut self, signal: Option<Signal>, stop: &Stop) -> Result<ExitStatus, WorkerError> {
        stop.rearm();
        let pid = self.child.id();
        let family = descendants(&self.strangers);
        // Until all are gone, nobody's death may look like an end of input to another.
        let _held = hold_pipes(&family);
        if let Some(signal) = signal {
            for &member in &family {
                let _ = kill_process(member, signal);
            }
        }
        wait_until_gone(&family, Instant::now() + GRACE, Some(stop));
        let deadline = Instant::now() + DYING;
        loop {
            let family = descendants(&self.strangers);
            if family.is_empty() {
                break;
            }
            if Instant::now() > deadline {
                return Err(WorkerError::Unkillable {
                    pids: family.iter().map(|p| p.as_raw_nonzero().get()).collect(),
                });
            }
            for &member in &family {
                let _ = kill_process(member, Signal::KILL);
            }
            wait_until_gone(&family, deadline, None);
        }
        self.child.wait().map_err(|source| WorkerError::Watch { pid, source })
    }

    /// The status a shell would exit with: the worker's own, or 128 and the signal's number.
    pub fn shell_status(status: ExitStatus) -> i32 {
        status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1)
    }
}
