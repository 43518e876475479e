//! A worker and the state of its current attempt.

use core::time::Duration;

use crate::{Attempt, Cause, Config, WorkerState};

/// The state of a worker's current attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// To be started at `until`.
    Waiting { until: Duration },
    /// Its container was asked for.
    Asked,
    /// Its process was started; its agent has to register by then.
    Launched { deadline: Duration },
    /// It was started before the application master was, and has to come back by then.
    Rejoining {
        deadline: Duration,
        /// Its worker had ended well, and what it read is decided on.
        empty_handed: bool,
    },
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
        /// It was started before the application master was, and what it holds is not known.
        unseen: bool,
    },
    /// The output is staged. `lingers`: the container is still there; when to ask it to end, and how often it was asked.
    Done { lingers: Option<(Duration, u32)> },
    /// It will not be started again.
    Over,
}

impl State {
    /// The attempt may still come to a good end.
    pub(super) fn is_live(&self) -> bool {
        match self {
            Self::Asked
            | Self::Launched { .. }
            | Self::Rejoining { .. }
            | Self::Running { .. }
            | Self::Staging { .. } => true,
            Self::Waiting { .. } | Self::Ending { .. } | Self::Done { .. } | Self::Over => false,
        }
    }

    pub(super) fn has_container(&self) -> bool {
        match self {
            Self::Ending { .. } => true,
            Self::Done { lingers } => lingers.is_some(),
            state => state.is_live(),
        }
    }

    /// Its worker may be fed units that the ledger does not know to be held.
    pub(super) fn is_unseen(&self) -> bool {
        matches!(self, Self::Rejoining { empty_handed: false, .. } | Self::Ending { unseen: true, .. })
    }

    pub(super) fn shown(&self) -> WorkerState {
        match self {
            Self::Waiting { .. } => WorkerState::Waiting,
            Self::Asked => WorkerState::Asked,
            Self::Launched { .. } => WorkerState::Launched,
            Self::Rejoining { .. } => WorkerState::Rejoining,
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
    pub(super) number: u32,
    /// That count.
    pub(super) restarts: u32,
    /// After ends that were the cluster's doing.
    pub(super) free_restarts: u32,
    /// How many of its attempts ran out of memory.
    pub(super) memory_steps: u32,
    pub(super) state: State,
    /// The current attempt was told that there is no more.
    pub(super) end_given: bool,
    /// Units leased to the current attempt so far, and how many of them with the last grant.
    pub(super) granted: u64,
    pub(super) granted_last: u64,
    /// Units done by it.
    pub(super) done: u64,
    /// Why its last failed attempt failed.
    pub(super) failure: Option<String>,
    /// The host whose splits are the current attempt's first choice.
    pub(super) at: Option<u32>,
}

impl Worker {
    pub(super) fn new(index: u32, number: u32) -> Self {
        Self {
            index,
            number,
            restarts: 0,
            free_restarts: 0,
            memory_steps: 0,
            state: State::Waiting { until: Duration::ZERO },
            end_given: false,
            granted: 0,
            granted_last: 0,
            done: 0,
            failure: None,
            at: None,
        }
    }

    pub(super) fn attempt(&self) -> Attempt {
        Attempt { index: self.index, number: self.number }
    }

    /// The number of its last attempt, if all fail and none for free.
    pub(super) fn last_number(&self, config: &Config) -> u32 {
        self.number.saturating_add(config.max_restarts.saturating_sub(self.restarts))
    }

    /// An end has come; `free`: it does not count.
    pub(super) fn is_exhausted(&self, config: &Config, free: bool) -> bool {
        if free { self.free_restarts >= Config::FREE_RESTARTS } else { self.restarts >= config.max_restarts }
    }

    /// The next attempt, to be started at `until`.
    pub(super) fn next(&mut self, until: Duration, free: bool) {
        if free {
            self.free_restarts += 1;
        } else {
            self.restarts += 1;
        }
        self.number = self.number.saturating_add(1);
        self.state = State::Waiting { until };
        self.end_given = false;
        (self.granted, self.granted_last) = (0, 0);
    }

    /// The current attempt was leased so many more units.
    pub(super) fn granted(&mut self, units: usize) {
        self.granted_last = units as u64;
        self.granted += self.granted_last;
    }
}
