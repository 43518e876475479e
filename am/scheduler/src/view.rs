//! What people and programs may see of a job at any time.

use serde::{Deserialize, Serialize};

use crate::intervals::Intervals;
use crate::{Ack, Attempt, Partly, Verdict};

/// How many units are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// All: splits times epochs.
    pub total: u64,
    /// Nobody has them.
    pub waiting: u64,
    /// Given to an attempt, not yet read to their end.
    pub leased: u64,
    /// The last byte has left the pipe.
    pub fed: u64,
    /// Read by an attempt that ended well with its output staged, or acknowledged under `from-ack`.
    pub done: u64,
}

/// Units of which the first few are named.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Named {
    /// How many there are.
    pub count: u64,
    /// The lowest, at most [`Self::FIRST`].
    pub first: Vec<u64>,
}

impl Named {
    /// So many are named.
    pub const FIRST: usize = 20;

    pub(crate) fn of(units: &Intervals) -> Self {
        Self { count: units.len(), first: units.iter().take(Self::FIRST).collect() }
    }
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkerState {
    /// It will be started, or started again.
    Waiting,
    /// Its container was asked for.
    Asked,
    /// Its container's process was started, its agent has not registered.
    Launched,
    /// It lived before the application master began, and has not come back to it yet.
    Rejoining,
    /// Its agent is there.
    Running,
    /// It ended well, its output is being staged.
    Staging,
    /// Its attempt failed or is being ended, the container is not gone yet.
    Ending,
    /// It ended well and its output is staged.
    Done,
    /// It will not be started again.
    Over,
}

/// A worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerView {
    /// The current attempt, or the last.
    pub attempt: Attempt,
    /// What it is doing.
    pub state: WorkerState,
    /// Restarts so far that count.
    pub restarts: u32,
    /// Restarts beside those, after ends that were the cluster's doing.
    pub free_restarts: u32,
    /// How many of its attempts ran out of memory.
    pub memory_steps: u32,
    /// Restarts allowed.
    pub max_restarts: u32,
    /// Units given to the current attempt and not yet read to their end.
    pub leased: u64,
    /// Units that have left the current attempt's pipe.
    pub fed: u64,
    /// Units done by this worker.
    pub done: u64,
    /// The current attempt was told that there is no more.
    pub end_of_input: bool,
    /// The current attempt's last acknowledgement.
    pub ack: Option<Ack>,
    /// Why its last failed attempt failed.
    pub failure: Option<String>,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Its id.
    pub job: String,
    /// Units of an epoch.
    pub splits_per_epoch: u64,
    /// Epochs.
    pub epochs: u64,
    /// Where its units are.
    pub units: Counts,
    /// Its workers, in the order of their ranks; without those of an earlier run of the job.
    pub workers: Vec<WorkerView>,
    /// Attempts that ended well in an earlier run of the job.
    pub done_before: Vec<Attempt>,
    /// Units that were or will be fed more than once.
    pub again: Named,
    /// The first few units that were not read to their end.
    pub partly: Vec<Partly>,
    /// How many they are.
    pub partly_count: u64,
    /// Workers that are there wait for the others.
    pub gathering: bool,
    /// What the cluster lacked last, while containers are asked for.
    pub shortage: Option<String>,
    /// The output is being committed.
    pub committing: bool,
    /// How it ended or is about to end.
    pub verdict: Option<Verdict>,
    /// It is over.
    pub finished: bool,
}
