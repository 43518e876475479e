//! What happened, in one plain English sentence each; as data for events and for the summary.

mod words;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Ack, Attempt, Cause, End, Verdict};

/// A unit as people count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitName {
    /// The unit.
    pub unit: u64,
    /// Its split.
    pub split: u64,
    /// Its epoch; `None` where the job has one.
    pub epoch: Option<u64>,
}

impl UnitName {
    /// Names a unit.
    pub fn new(unit: u64, splits_per_epoch: u64, epochs: u64) -> Self {
        let splits = splits_per_epoch.max(1);
        Self { unit, split: unit % splits, epoch: (epochs > 1).then_some(unit / splits) }
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.epoch {
            Some(epoch) => write!(f, "split {} of epoch {epoch}", self.split),
            None => write!(f, "split {}", self.split),
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Story {
    /// The job begins.
    JobStarts {
        /// Workers.
        workers: u32,
        /// Splits of an epoch.
        splits: u64,
        /// Epochs.
        epochs: u64,
    },
    /// The job goes on after its application master ended.
    JobResumes {
        /// Workers that were done.
        done_workers: u64,
        /// Units that were done.
        done: u64,
        /// Units that wait.
        waiting: u64,
        /// Workers to be started.
        workers: u64,
    },
    /// The job goes on under another application master; containers of the last one may live.
    JobRecovers {
        /// Attempts that are expected to come back.
        expected: u64,
        /// Units that were done.
        done: u64,
        /// All units.
        total: u64,
    },
    /// An attempt has come back to another application master.
    CameBack {
        /// Which.
        attempt: Attempt,
        /// Units that it holds.
        units: u64,
    },
    /// All workers are there for the first time.
    AllThere {
        /// How many.
        workers: u64,
    },
    /// What the cluster says about the end of a container whose attempt had failed before.
    ContainerEnded {
        /// Whose.
        attempt: Attempt,
        /// How.
        how: End,
    },
    /// An attempt is started.
    AttemptStarts {
        /// Which.
        attempt: Attempt,
        /// The number of its worker's last attempt, if all fail.
        of: u32,
    },
    /// Its agent is there.
    Registered {
        /// Which.
        attempt: Attempt,
    },
    /// An attempt failed or was ended.
    AttemptEnded {
        /// Which.
        attempt: Attempt,
        /// Why.
        cause: Cause,
        /// Units that go back.
        back: u64,
        /// Those of them that had begun to leave the pipe.
        again: u64,
    },
    /// The worker is started again.
    Restarts {
        /// The new attempt.
        attempt: Attempt,
        /// The number of its worker's last attempt, if all fail.
        of: u32,
        /// After so many milliseconds.
        in_ms: u64,
    },
    /// A worker ended well.
    ExitedWell {
        /// Which.
        attempt: Attempt,
        /// Units that it did not read and that go back.
        back: u64,
    },
    /// A worker ended well in the middle of a split, and that is fine.
    PartlyRead {
        /// Which.
        attempt: Attempt,
        /// The split.
        split: UnitName,
        /// The byte of the split's stream behind the last one read.
        byte: u64,
    },
    /// A worker is done, its output is staged.
    WorkerDone {
        /// Which.
        attempt: Attempt,
        /// Units done.
        units: u64,
    },
    /// A worker acknowledged more than it was fed.
    AckTooLarge {
        /// Which.
        attempt: Attempt,
        /// What it acknowledged.
        ack: Ack,
        /// What was delivered, in the same measure.
        delivered: u64,
    },
    /// A container was asked to end and is still there.
    Lingers {
        /// Whose.
        attempt: Attempt,
        /// For so many seconds.
        seconds: u64,
    },
    /// A container does not end and is not waited for any longer.
    LeftBehind {
        /// Whose.
        attempt: Attempt,
    },
    /// All workers are done and units were left unread; that is fine.
    Unread {
        /// How many.
        count: u64,
        /// The first.
        first: UnitName,
    },
    /// The job is about to end without a commit.
    JobEnds {
        /// How.
        verdict: Verdict,
    },
    /// Somebody asked the job to stop, too late.
    TooLateToStop {
        /// Who or why.
        why: String,
    },
    /// The output is about to be committed.
    CommitStarts {
        /// Of so many workers.
        workers: u64,
    },
    /// Units were fed more than once.
    FedAgain {
        /// How many.
        count: u64,
        /// The first.
        first: Vec<UnitName>,
    },
    /// The job is over.
    JobOver {
        /// How.
        verdict: Verdict,
    },
}
