//! What a job asks of its scheduler.

// `core`: a duration is a value, not a clock.
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// Whose a dead attempt's units are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnRestart {
    /// All that it was fed goes back; its acknowledgements are void.
    #[default]
    ReplayAll,
    /// What was acknowledged is done; feeding goes on behind it, inside the unit.
    FromAck,
}

/// What it means that a worker ends well with input unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EarlyExit {
    /// The job fails, if it was in the middle of a split or nobody is left to read the rest.
    #[default]
    Fail,
    /// It is told, and fine.
    Ok,
}

/// How units come to workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Leased one after the other to whoever asks.
    Leased,
    /// Dealt out before the start, balanced by bytes; an attempt gets its share at once. One epoch.
    Static {
        /// Length of each unit in bytes.
        bytes: Vec<u64>,
    },
}

/// All workers begin together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gang {
    /// From the start until all are there; else the job fails.
    pub deadline: Duration,
}

/// What a job asks of its scheduler. Times count from the job's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The job's id, for the ledger's header.
    pub job: String,
    /// Workers to run at once, at least 1.
    pub workers: u32,
    /// Units of an epoch.
    pub splits_per_epoch: u64,
    /// Passes over them.
    pub epochs: u64,
    /// How units come to workers.
    pub input: Input,
    /// Whose a dead attempt's units are. Static input is always replayed.
    pub on_restart: OnRestart,
    /// What an early good end means.
    pub early_exit: EarlyExit,
    /// Restarts of each worker, beside [`Self::FREE_RESTARTS`] after ends that were the cluster's doing.
    pub max_restarts: u32,
    /// No worker begins before all are there.
    pub gang: Option<Gang>,
    /// An attempt is not given more that has not begun than half of its worker's equal part of what waits (but two units), unless it is
    /// the only one left: agents that lease far ahead would leave nothing to others, and be the only ones at work at the end.
    pub fair: bool,
    /// From the start of a container's process to its agent's registration.
    pub register_deadline: Duration,
    /// Between two signs of life of an agent. A tick that comes later than half of it after it was due is not held against
    /// the agents.
    pub heartbeat_deadline: Duration,
    /// From the start of a recovered scheduler until the attempts that live have come back to it.
    pub rejoin_deadline: Duration,
    /// From asking a container to end until asking again.
    pub end_deadline: Duration,
    /// Wait before a worker's first restart; doubles with each, up to `longest_backoff`.
    pub first_backoff: Duration,
    /// Longest wait before a restart.
    pub longest_backoff: Duration,
    /// The job fails when it is not ready to commit by then.
    pub job_timeout: Option<Duration>,
}

impl Config {
    /// Restarts of each worker after ends that were the cluster's doing.
    pub const FREE_RESTARTS: u32 = 100;

    /// Leased units and everything else as a user gets it who asks for nothing.
    pub fn new(job: impl Into<String>, workers: u32, splits_per_epoch: u64, epochs: u64) -> Self {
        Self {
            job: job.into(),
            workers,
            splits_per_epoch,
            epochs,
            input: Input::Leased,
            on_restart: OnRestart::default(),
            early_exit: EarlyExit::default(),
            max_restarts: 3,
            gang: None,
            fair: false,
            register_deadline: Duration::from_mins(1),
            heartbeat_deadline: Duration::from_secs(30),
            rejoin_deadline: Duration::from_mins(2),
            end_deadline: Duration::from_secs(30),
            first_backoff: Duration::from_millis(500),
            longest_backoff: Duration::from_secs(10),
            job_timeout: None,
        }
    }

    /// Wait before the restart that follows `restarts` earlier ones.
    pub(crate) fn backoff(&self, restarts: u32) -> Duration {
        self.first_backoff.saturating_mul(1 << restarts.min(20)).min(self.longest_backoff)
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.workers == 0 {
            return Err(ConfigError::NoWorkers);
        }
        let (splits, epochs) = (self.splits_per_epoch, self.epochs);
        if splits.checked_mul(epochs).is_none() {
            return Err(ConfigError::TooManyUnits { splits, epochs });
        }
        match &self.input {
            Input::Static { bytes } if epochs != 1 || bytes.len() as u64 != splits => {
                Err(ConfigError::Static { lengths: bytes.len(), splits, epochs })
            }
            _ => Ok(()),
        }
    }
}

/// A job that cannot be scheduled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Nobody to do it.
    #[error("a job needs at least one worker")]
    NoWorkers,
    /// The number of units does not fit 64 bits.
    #[error("{splits} splits in {epochs} epochs are more than can be counted; ask for fewer epochs")]
    TooManyUnits {
        /// Units of an epoch.
        splits: u64,
        /// Epochs.
        epochs: u64,
    },
    /// Lengths that do not belong to the units.
    #[error(
        "files dealt out before the start need one epoch and one length each, not {lengths} lengths for {splits} files in {epochs} epochs"
    )]
    Static {
        /// Lengths given.
        lengths: usize,
        /// Units of an epoch.
        splits: u64,
        /// Epochs.
        epochs: u64,
    },
    /// Places that do not belong to the splits.
    #[error("places are known of {known} splits, and there are {splits}")]
    Places {
        /// Splits with places.
        known: u64,
        /// Splits of an epoch.
        splits: u64,
    },
}
