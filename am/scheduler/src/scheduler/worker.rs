//! A worker and the state of its current attempt.

use core::time::Duration;

use crate::{Attempt, Cause, WorkerState};

/// The state of a worker's current attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// To be started at `until`.
    Waiting { until: Duration },
    /// Its container was asked for.
    Starting { deadline: Duration },
    /// Its agent is there and was last heard then.
    Running { heard: Duration },
    /// The worker ended well, the agent stages its output.
    Staging { heard: Duration },
    /// The attempt failed or is to end; its container is not gone.
    Ending {
        /// Why, until its units are decided on; then `None`.
        cause: Option<Cause>,
        since: Duration,
        /// When to ask it to end, or to ask again.
        deadline: Duration,
        /// How often it was asked.
        asked: u32,
    },
    /// The output is staged. `lingers`: the container is still there; when to ask it to end, and how often it was asked.
    Done { lingers: Option<(Duration, u32)> },
    /// It will not be started again.
    Over,
}

impl State {
    pub(super) fn has_container(&self) -> bool {
        match self {
            Self::Starting { .. } | Self::Running { .. } | Self::Staging { .. } | Self::Ending { .. } => true,
            Self::Done { lingers } => lingers.is_some(),
            Self::Waiting { .. } | Self::Over => false,
        }
    }

    pub(super) fn shown(&self) -> WorkerState {
        match self {
            Self::Waiting { .. } => WorkerState::Waiting,
            Self::Starting { .. } => WorkerState::Starting,
            Self::Running { .. } => WorkerState::Running,
            Self::Staging { .. } => WorkerState::Staging,
            Self::Ending { .. } => WorkerState::Ending,
            Self::Done { .. } => WorkerState::Done,
            Self::Over => WorkerState::Over,
        }
    }
}

/// A worker.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) index: u32,
    /// Of the current attempt.
    number: u32,
    /// Of its first attempt in this run of the job.
    pub(super) first_number: u32,
    pub(super) state: State,
    /// The current attempt was told that there is no more.
    pub(super) end_given: bool,
    /// Units done by it.
    pub(super) done: u64,
    /// Why its last failed attempt failed.
    pub(super) failure: Option<String>,
}

impl Worker {
    pub(super) fn new(index: u32, number: u32) -> Self {
        let state = State::Waiting { until: Duration::ZERO };
        Self { index, number, first_number: number, state, end_given: false, done: 0, failure: None }
    }

    pub(super) fn attempt(&self) -> Attempt {
        Attempt { index: self.index, number: self.number }
    }

    pub(super) fn restarts(&self) -> u32 {
        self.number - self.first_number
    }

    /// The next attempt, to be started at `until`.
    pub(super) fn next(&mut self, until: Duration) {
        self.number = self.number.saturating_add(1);
        self.state = State::Waiting { until };
        self.end_given = false;
    }
}
