//! Where containers come from: the seam between the dispatcher and a cluster.

mod local;
mod yarn;

use std::io;

use forebay_scheduler::{Attempt, End};

pub(crate) use local::{Address, LocalEngine};
pub(crate) use yarn::{Agents, Finisher, Kept, Master, Registration, Wants, YarnEngine, is_killed};
pub use yarn::{FEED_MIB, USUAL_WORKER_MIB, container_mib};

/// What a dispatcher hears of its containers.
#[derive(Debug)]
pub(crate) enum News {
    /// A container's process was started.
    Launched {
        attempt: Attempt,
        /// Its host, where there may be several.
        host: Option<String>,
    },
    /// A container is gone with all its processes, or will never be.
    Gone { attempt: Attempt, how: End },
    /// How many containers are wanted and not given, how many there are, and why none are given, if that has taken a while.
    Standing { wanted: usize, running: usize, waiting_for: Option<String> },
    /// Something that a person should know.
    Note(String),
    /// The cluster has given this application master up: nothing is to be done any more.
    Over(String),
}

/// Where containers come from.
#[derive(Debug)]
pub(crate) enum Engine {
    /// This machine.
    Local(Box<LocalEngine>),
    /// YARN.
    Yarn(Box<YarnEngine>),
}

impl Engine {
    /// Starts a container for an attempt of a worker that was killed for its memory so many times; news of it follow.
    pub(crate) fn start(&mut self, attempt: Attempt, memory_steps: u32) -> io::Result<()> {
        match self {
            Self::Local(local) => local.start(attempt),
            Self::Yarn(yarn) => {
                yarn.launch(attempt, memory_steps);
                Ok(())
            }
        }
    }

    /// Ends a container: an agent that lives hears of it with the answer to its next call; one that does not, or that
    /// `hangs`, is killed.
    pub(crate) fn end(&mut self, attempt: Attempt, hangs: bool) {
        match self {
            Self::Local(local) => local.end(attempt, hangs),
            Self::Yarn(yarn) => yarn.end(attempt, hangs),
        }
    }

    /// An attempt's container will be gone soon: the cluster is asked for it often.
    pub(crate) fn leaves(&mut self, attempt: Attempt) {
        if let Self::Yarn(yarn) = self {
            yarn.leaves(attempt);
        }
    }

    /// How far the job is, 0 to 1.
    pub(crate) fn progress(&mut self, fraction: f32) {
        if let Self::Yarn(yarn) = self {
            yarn.progress(fraction);
        }
    }

    /// Kills everything.
    pub(crate) fn kill_all(&mut self) {
        match self {
            Self::Local(local) => local.kill_all(),
            Self::Yarn(yarn) => yarn.end_all(),
        }
    }

    /// How many containers are not gone.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Local(local) => local.len(),
            Self::Yarn(yarn) => yarn.len(),
        }
    }

    /// Whether agents leave on this machine how far they had come.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Self::Local(_))
    }

    /// Waits for the next news.
    pub(crate) async fn next(&mut self) -> News {
        match self {
            Self::Local(local) => local.next().await,
            Self::Yarn(yarn) => yarn.next().await,
        }
    }
}
