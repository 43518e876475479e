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
    /// For what waits in tokio.
    flag: watch::Sender<bool>,
    /// For what polls.
    stop: Arc<Stop>,
}

impl Over {
    pub(crate) fn new() -> io::Result<Self> {
        let stop = Arc::new(Stop::new()?);
        Ok(Self(Arc::new(State { cause: OnceLock::new(), flag: watch::Sender::new(false), stop })))
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

    /// Is raised when it is over.
    pub(crate) fn stop(&self) -> &Arc<Stop> {
        &self.0.stop
    }

    /// Waits until it is over.
    pub(crate) async fn wait(&self) {
        // Fails only when the sender is gone, which lives as long as we do.
        let _ = self.0.flag.subscribe().wait_for(|&over| over).await;
    }

    /// From now on signals, and the end of standard input, end the attempt.
    pub(crate) fn listen(&self) -> io::Result<()> {
        let signals = Stop::new()?;
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            // In this order: who is woken by the second finds the cause set by the first.
            flag::register_usize(signal, signals.cause_cell(), usize::try_from(signal).unwrap_or(1))?;
            pipe::register(signal, signals.trigger()?)?;
        }
        let over = self.clone();
        thread::Builder::new().name("forebay-ends".into()).spawn(move || {
            let cause = end(&signals);
            over.set(cause);
        })?;
        Ok(())
    }
}

fn end(signals: &Stop) -> Cause {
    let mut stdin = io::stdin();
    loop {
        let input = stdin.as_fd().try_clone_to_owned();
        let Ok(input) = input else { return Cause::AmGone };
        let mut fds = [PollFd::new(&input, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
        let _ = poll(&mut fds, None);
        let is_readable = !fds[0].revents().is_empty();
        if let Some(signal) = signals.cause().and_then(|signal| i32::try_from(signal).ok()) {
            return Cause::Signal(signal);
        }
        if is_readable && !matches!(stdin.read(&mut [0; 64]), Ok(n) if n > 0) {
            return Cause::AmGone;
        }
    }
}
