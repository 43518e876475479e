//! The guard: the worker's parent, which outlives the agent for as long as it takes to end the worker.
//!
//! It holds the write end of the worker's standard input, so that the agent's death is no end of input, and it is the
//! one that ends the whole tree of the worker, whoever asks: the agent, or the agent's death. If it dies itself, the
//! kernel kills the worker, and the agent ends what the worker had started.

mod channel;
mod client;
mod exec;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use forebay_feeder::{Stop, Worker, WorkerError};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::Signal;

use self::channel::{Become, NotStarted, Order, reason};
pub(crate) use self::channel::{Channel, News};
pub(crate) use self::client::{Guard, Start};
pub use self::exec::become_worker;
use crate::acks::AckFifo;
use crate::folder::{AttemptFolder, share};

/// How long a worker may take to end when somebody else is about to kill all of us: a NodeManager waits 250 ms
/// (`yarn.nodemanager.sleep-delay-before-sigkill.ms`), and what the worker has acknowledged is to be told before.
const HURRY: Duration = Duration::from_millis(100);

/// What a guard needs to know.
#[derive(Debug)]
pub struct GuardArgs {
    /// The attempt's folder.
    pub attempt: std::path::PathBuf,
    /// The file whose lock says that there may be workers.
    pub lock: std::path::PathBuf,
    /// The worker's program and its arguments.
    pub command: Vec<OsString>,
}

/// Guards a worker until it and the agent are gone. Standard input is the socket to the agent; the worker inherits
/// everything else. Gives the status to exit with.
pub fn guard(args: &GuardArgs) -> i32 {
    let Ok(agent) = Channel::stdin() else { return 1 };
    // Its name in `ps` would be that of the link by which it was started.
    let _ = rustix::thread::set_name(c"forebay-guard");
    let folder = AttemptFolder::at(&args.attempt);
    let ends = || -> io::Result<_> {
        // Until the process ends: whoever wants to be sure that no worker is left waits for these.
        let locks = [share(&args.lock)?, share(&folder.lock())?];
        // While nobody has it open, a FIFO forgets what was written into it.
        Ok((locks, AckFifo::open(&folder)?))
    };
    let ((_locks, mut fifo), news) = match ends() {
        Ok(ends) => (ends, guarded(&args.command, &agent)),
        Err(error) => {
            let _ = agent.send(&News::Failed { reason: reason(&error) }, &[]);
            return 1;
        }
    };
    let news = news.unwrap_or_else(|error| News::Failed { reason: reason(&error) });
    if agent.send(&news, &[]).is_ok() {
        // The agent takes the worker's acknowledgements itself, if it lives long enough.
        while let Ok(Some(_)) = agent.receive::<Order>() {}
    }
    i32::from(fifo.save_rest(&folder).is_err())
}

/// Starts the worker and waits for its end, or the order to end it.
fn guarded(command: &[OsString], agent: &Channel) -> io::Result<News> {
    heed_no_signals()?;
    let Some((Order::Start { keeps_group }, descriptors)) = agent.receive::<Order>()? else {
        return Err(io::Error::other("the agent has gone before the worker was started"));
    };
    let mut descriptors = descriptors.into_iter();
    let (stdin, mut held) = (descriptors.next(), descriptors.next());
    let stdin = match stdin {
        Some(stdin) => stdin,
        None => std::fs::File::open("/dev/null")?.into(),
    };
    let mut worker = match start(command, stdin, keeps_group)? {
        Ok(worker) => worker,
        Err(not_started) => return Ok(News::CannotStart(not_started)),
    };
    let enough = Arc::new(Stop::new()?);
    let started = agent.send(&News::Started { pid: worker.id() }, &[worker.pidfd().as_fd()]);
    if started.is_ok() && watch(&worker, agent, &mut held)? {
        let enough = Arc::clone(&enough);
        thread::Builder::new().name("forebay-hurry".into()).spawn(move || {
            thread::sleep(HURRY);
            enough.raise(1);
        })?;
    }
    // Also after it has exited by itself: what it has left behind may still write to its files. Its input stays
    // open until all are gone.
    let status = worker.end(Some(Signal::TERM), &enough).map_err(io::Error::other)?;
    drop(held);
    Ok(News::Exited { status: Worker::shell_status(status) })
}

/// Until the worker exits, or the agent wants it to, or dies. Gives whether it is to end within a moment.
fn watch(worker: &Worker, agent: &Channel, held: &mut Option<OwnedFd>) -> io::Result<bool> {
    loop {
        let mut fds = [PollFd::new(&**worker.pidfd(), PollFlags::IN), PollFd::new(agent, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let [exited, told] = fds.map(|fd| !fd.revents().is_empty());
        if told {
            match agent.receive::<Order>() {
                Ok(Some((Order::CloseInput, _))) => *held = None,
                Ok(Some((Order::Start { .. }, _))) => {}
                Ok(Some((Order::End { is_hurried }, _))) => return Ok(is_hurried),
                Ok(None) | Err(_) => return Ok(false),
            }
        } else if exited {
            return Ok(false);
        }
    }
}

/// Starts the command through a process that binds its life to ours.
fn start(command: &[OsString], stdin: OwnedFd, keeps_group: bool) -> io::Result<Result<Worker, NotStarted>> {
    let (ours, theirs) = Channel::pair()?;
    let mut process = own_binary("guard");
    process.arg("--exec").arg(std::process::id().to_string()).arg("--").args(command);
    process.stdin(Stdio::from(theirs.into_fd()));
    let mut worker = match Worker::spawn(process) {
        Ok(worker) => worker,
        Err(error @ WorkerError::Start { .. }) => {
            // It is we who cannot be started: arguments too long, no more processes.
            return Ok(Err(NotStarted { status: error.exit_code(), reason: reason(&error) }));
        }
        Err(error) => return Err(io::Error::other(error)),
    };
    let answer = ours.send(&Become { keeps_group }, &[stdin.as_fd()]).and_then(|()| {
        drop(stdin);
        ours.receive::<NotStarted>()
    });
    match answer {
        Ok(None) => Ok(Ok(worker)),
        other => {
            worker.end(Some(Signal::KILL), &Stop::new()?).map_err(io::Error::other)?;
            other.map(|said| Err(said.map_or_else(unsaid, |(not_started, _)| not_started)))
        }
    }
}

fn unsaid() -> NotStarted {
    NotStarted { status: 126, reason: "the worker could not be started".into() }
}

/// This program again, whatever has become of its file.
pub(crate) fn own_binary(subcommand: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("forebay").arg(subcommand);
    command
}

/// The agent decides when the worker ends: signals that somebody sends to all of us change nothing. They are caught
/// rather than ignored, because a program inherits what is ignored.
fn heed_no_signals() -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}
