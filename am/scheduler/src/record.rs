//! The ledger's checkpoint: what is appended to `ledger.jsonl` (see `docs/formats/ledger.md`).

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{Attempt, ConfigError, Next, Partly, Verdict};

/// The version of the records that this crate writes and reads.
pub const VERSION: u32 = 1;

/// One line of the ledger's checkpoint. Ranges are of units, without their end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LedgerRecord {
    /// The first record, and only the first.
    Header {
        /// [`VERSION`].
        version: u32,
        /// The job's id.
        job: String,
        /// Units of an epoch.
        splits: u64,
        /// Epochs.
        epochs: u64,
    },
    /// An attempt is about to be started.
    Started {
        /// Which.
        attempt: Attempt,
    },
    /// An attempt's worker has acknowledged these units (`on-restart from-ack`): they are done.
    Acked {
        /// Whose.
        attempt: Attempt,
        /// Wholly acknowledged.
        units: Vec<Range<u64>>,
        /// The unit in which it stands, and what of it is acknowledged.
        next: Option<Next>,
    },
    /// An attempt holds nothing any more: what it held and did not acknowledge is waiting again. It failed, was ended, or ended
    /// well under `from-ack` without having taken all.
    Returned {
        /// Which.
        attempt: Attempt,
        /// Of that, what had begun to leave the pipe: it will be fed more than once.
        again: Vec<Range<u64>>,
        /// Its worker ended well: its output may yet be staged. Only said if it is so.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        well: bool,
    },
    /// An attempt that was not done is over and its container is gone.
    Ended {
        /// Which.
        attempt: Attempt,
        /// It was the cluster's doing: the restart does not count.
        free: bool,
        /// It ran out of memory.
        memory: bool,
    },
    /// All workers were there for the first time and may begin.
    Gathered {},
    /// An attempt ended well and its output is staged: its units are done.
    Done {
        /// Which.
        attempt: Attempt,
        /// Its units.
        units: Vec<Range<u64>>,
        /// The one of them that was not read to its end.
        partly: Option<Partly>,
    },
    /// The output of these attempts is about to be committed.
    CommitBegun {
        /// Whose.
        attempts: Vec<Attempt>,
    },
    /// The output is committed.
    Committed {},
    /// The job is about to end without a commit; another application master ends it, too.
    Ending {
        /// How.
        verdict: Verdict,
    },
    /// The job failed and its staged output is about to be removed: it cannot be resumed.
    Aborted {
        /// Why it failed.
        why: String,
    },
}

/// A checkpoint from which a job cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResumeError {
    /// The job itself cannot be scheduled.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The first record is not a header, or a later one is.
    #[error("record {at} of the ledger is out of place: a ledger has one header, as its first record")]
    Header {
        /// Which record, from 1.
        at: usize,
    },
    /// A version that is not known here.
    #[error(
        "the ledger has version {version}, this program reads version {VERSION}; resume the job with the program that began it"
    )]
    Version {
        /// The one found.
        version: u32,
    },
    /// The ledger is another job's.
    #[error("the ledger belongs to {found}, not to {expected}")]
    Job {
        /// In the header.
        found: String,
        /// Asked for.
        expected: String,
    },
    /// The units are not those of the plan.
    #[error(
        "the ledger counts {splits} splits in {epochs} epochs, the plan {planned_splits} in {planned_epochs}: the plan is not the one that the job began with"
    )]
    Plan {
        /// In the header.
        splits: u64,
        /// In the header.
        epochs: u64,
        /// In the plan.
        planned_splits: u64,
        /// In the plan.
        planned_epochs: u64,
    },
    /// A record names a unit that does not exist or is done already.
    #[error("record {at} of the ledger is wrong: unit {unit} is not there or was done before")]
    Unit {
        /// Which record, from 1.
        at: usize,
        /// The unit.
        unit: u64,
    },
    /// A record names an attempt that cannot do what it says.
    #[error("record {at} of the ledger is wrong: attempt {attempt} was not started, or was over")]
    Attempt {
        /// Which record, from 1.
        at: usize,
        /// The attempt.
        attempt: Attempt,
    },
    /// The job failed for good.
    #[error(
        "the job failed and its staged output was removed, so it cannot be resumed ({why}); run it again"
    )]
    Aborted {
        /// Why it failed.
        why: String,
    },
}
