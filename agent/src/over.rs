//! What ends an attempt before its worker ends by itself.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};
use std::thread;

use forebay_feeder::Stop;
use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::{flag, low_level::pipe};
use tokio::sync::watch;

use crate::error::Failure;

/// Why.
#[derive(Debug, Clone)]
pub(crate) enum Cause {
    /// The application master wants it to.
    Told(String),
    /// It has gone.
    AmGone,
    /// Somebody has sent this signal.
    Signal(i32),
    /// Something cannot be done.
    Failed(Failure),
}

/// The end, once there is a cause. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Over(Arc<State>);

#[derive(Debug)]
struct State {
    cause: OnceLock<Cause>,
    /// The first signal, whatever the cause.
    signal: OnceLock<i32>,
    /// For what waits in tokio.
    flag: watch::Sender<bool>,
    /// For what polls.
    stop: Arc<Stop>,
}

impl Over {
    pub(crate) fn new() -> io::Result<Self> {
        let stop = Arc::new(Stop::new()?);
        let (cause, signal) = (OnceLock::new(), OnceLock::new());
        Ok(Self(Arc::new(State { cause, signal, flag: watch::Sender::new(false), stop })))
    }

    /// The first cause counts.
    pub(crate) fn set(&self, cause: Cause) {
        if self.0.cause.set(cause).is_ok() {
            tracing::info!(cause = ?self.0.cause.get(), "the attempt is over");
            self.0.stop.raise(1);
            self.0.flag.send_replace(true);
        }
    }

    pub(crate) fn cause(&self) -> Option<&Cause> {
        self.0.cause.get()
    }

    /// The signal that has come, though something else may have ended the attempt before.
    pub(crate) fn signal(&self) -> Option<i32> {
        self.0.signal.get().copied()
    }

    /// Is raised when it is over.
    pub(crate) fn stop(&self) -> &Arc<Stop> {
        &self.0.stop
    }

    /// Waits until it is over.
    pub(crate) async fn wait(&self) {
        // Fails only when the sender is gone, which lives as long as we do.
        let _ = self.0.flag.subscribe().wait_for(|&over| over).await;
    }

    /// From now on signals end the attempt, and, if it comes from the application master, the end of standard input.
    pub(crate) fn listen(&self, also_to_input: bool) -> io::Result<()> {
        let signals = Stop::new()?;
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            // In this order: who is woken by the second finds the cause set by the first.
            flag::register_usize(signal, signals.cause_cell(), usize::try_from(signal).unwrap_or(1))?;
            pipe::register(signal, signals.trigger()?)?;
        }
        let over = self.clone();
        thread::Builder::new().name("forebay-ends".into()).spawn(move || {
            let cause = end(&signals, also_to_input);
            if let Cause::Signal(signal) = cause {
                let _ = over.0.signal.set(signal);
            }
            over.set(cause);
        })?;
        Ok(())
    }
}

fn end(signals: &Stop, also_to_input: bool) -> Cause {
    let mut stdin = io::stdin();
    loop {
        let input = stdin.as_fd().try_clone_to_owned();
        let Ok(input) = input else { return Cause::AmGone };
        let mut fds = vec![PollFd::new(signals, PollFlags::IN)];
        if also_to_input {
            fds.push(PollFd::new(&input, PollFlags::IN));
        }
        let _ = poll(&mut fds, None);
        let is_readable = fds.get(1).is_some_and(|input| !input.revents().is_empty());
        if let Some(signal) = signals.cause().and_then(|signal| i32::try_from(signal).ok()) {
            return Cause::Signal(signal);
        }
        if is_readable && !matches!(stdin.read(&mut [0; 64]), Ok(n) if n > 0) {
            return Cause::AmGone;
        }
    }
}
