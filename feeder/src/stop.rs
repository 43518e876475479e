//! The stop event: something every wait polls, and a signal handler may raise.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::pipe::{PipeFlags, pipe_with};

/// Asks a feed to stop, from another thread or from a signal handler.
#[derive(Debug)]
pub struct Stop {
    cause: Arc<AtomicUsize>,
    read: OwnedFd,
    write: OwnedFd,
}

impl Stop {
    /// A stop event that has not been raised.
    pub fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { cause: Arc::default(), read, write })
    }

    /// Raises it; `cause` is a signal's number, or any other number above 0.
    pub fn raise(&self, cause: usize) {
        self.cause.store(cause, Ordering::SeqCst);
        // A full pipe is as readable as one byte makes it.
        let _ = rustix::io::write(&self.write, b"!");
    }

    /// Where a signal handler stores the signal's number, before it writes to [`Stop::trigger`].
    pub fn cause_cell(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.cause)
    }

    /// A descriptor that wakes every wait when a byte is written to it.
    pub fn trigger(&self) -> io::Result<OwnedFd> {
        self.write.try_clone()
    }

    /// Why it was raised, if it was.
    pub fn cause(&self) -> Option<usize> {
        match self.cause.load(Ordering::Relaxed) {
            0 => None,
            cause => Some(cause),
        }
    }

    /// Forgets wake-ups seen so far, so that waits notice when it is raised once more. The cause stays.
    pub fn rearm(&self) {
        let mut bytes = [0; 64];
        while matches!(rustix::io::read(&self.read, &mut bytes), Ok(n) if n > 0) {}
    }
}

impl AsFd for Stop {
    /// Readable once it is raised.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}
