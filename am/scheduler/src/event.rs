//! What happens to a job, and what is to be done about it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Attempt, End, Granted, LedgerRecord, Position, Story};

/// What has happened. Events of attempts that are over, and events told twice, are harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The job begins, or goes on after [`crate::Scheduler::resume`]; the first event.
    Start,
    /// An attempt's container was given and its process is started.
    Launched(Attempt),
    /// An attempt's agent is there. May be said again while it waits for others, and is a sign of life.
    Registered(Attempt),
    /// An attempt's agent has lived through the application master's restart: what it says first.
    Rejoined {
        /// Whose.
        attempt: Attempt,
        /// The units that it was granted first and that have left the pipe for good; none with [`crate::OnRestart::FromAck`].
        fed: Vec<u64>,
        /// All else that it was granted and has not given back, in order.
        held: Vec<Granted>,
        /// How far it has come, with all begins of what it holds besides `fed`.
        position: Position,
        /// Its worker's shell status, if it has ended.
        exited: Option<i32>,
    },
    /// Containers are asked for and not given.
    Shortage {
        /// What the cluster lacks, for people.
        why: String,
    },
    /// A sign of life, with how far the attempt has come.
    Heartbeat(Attempt, Position),
    /// A container is gone with all its processes, or could not be started.
    ContainerEnded {
        /// Whose.
        attempt: Attempt,
        /// How.
        how: End,
        /// How far it had come, from the journal it left ([`Position::of_journal`]); `None`: what was said last holds.
        position: Option<Position>,
    },
    /// The worker and all it started are gone, its acknowledgements are drained.
    Exited {
        /// Whose.
        attempt: Attempt,
        /// Its shell status.
        status: i32,
        /// How far it had come at the very end.
        position: Position,
    },
    /// The attempt's output is staged and its manifests are kept.
    Staged {
        /// Whose.
        attempt: Attempt,
    },
    /// The attempt's output could not be staged.
    StageFailed {
        /// Whose.
        attempt: Attempt,
        /// Why.
        why: String,
    },
    /// The agent gave up, and has ended the worker and drained its acknowledgements if there was one.
    Failed {
        /// Whose.
        attempt: Attempt,
        /// Why.
        why: String,
        /// How far it had come.
        position: Position,
        /// Every other attempt would fail in the same way: the job fails.
        fatal: bool,
    },
    /// Time has passed, see [`crate::Scheduler::wake_at`].
    Tick,
    /// Somebody asks the job to end.
    Stop {
        /// Who or why.
        why: String,
    },
    /// The output is committed.
    Committed,
    /// The output may not be committed, now or later; nothing of it is visible, and what was staged may be gone.
    CommitRefused {
        /// Why.
        why: String,
    },
    /// The output could not be committed; what was begun is finished or undone by a resumed job.
    CommitFailed {
        /// Why.
        why: String,
    },
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Get and start an attempt's container: [`Event::Launched`]. If that fails: [`Event::ContainerEnded`].
    StartContainer(Attempt),
    /// End a container with all its processes, and say [`Event::ContainerEnded`] when it is gone. Asked again when it takes
    /// long. One that was only asked for is not asked for any more. The text says why.
    EndContainer(Attempt, String),
    /// All workers are there: those that wait for others may begin.
    GangReady,
    /// The attempt's agent is to stage its output.
    StageOutput(Attempt),
    /// Remove what the attempt has staged. May be asked of an attempt that has staged nothing.
    DiscardOutput(Attempt),
    /// Append to the ledger's file, durably, before anything that follows.
    Record(LedgerRecord),
    /// Commit the outputs of these attempts, or finish the commit begun before. Then: [`Event::Committed`] or
    /// [`Event::CommitFailed`].
    Commit(Vec<Attempt>),
    /// Remove all that the job has staged; nothing of it is visible.
    Abort,
    /// The job is over; the last action.
    Finish(Verdict),
    /// Something for people.
    Tell(Story),
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// All was delivered and the output is committed.
    Succeeded,
    /// It failed; staged output is removed, it cannot be resumed.
    Failed {
        /// Why.
        why: String,
    },
    /// It was stopped; the output of workers that are done stays staged, it can be resumed.
    Stopped {
        /// Who or why.
        why: String,
    },
    /// All was delivered, the commit failed; it can be resumed.
    CommitFailed {
        /// Why.
        why: String,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded => write!(f, "the job succeeded"),
            Self::Failed { why } => write!(f, "the job failed: {why}"),
            Self::Stopped { why } => write!(f, "the job was stopped: {why}; it can be resumed"),
            Self::CommitFailed { why } => {
                write!(f, "the job's output could not be committed: {why}; it can be resumed")
            }
        }
    }
}

/// What an attempt asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Units, at most.
    pub max: usize,
    /// Units granted to it so far, as far as it knows.
    pub have: u64,
    /// How many of these have not begun.
    pub ahead: u64,
    /// The host that it is on, by its id in the [`crate::Places`].
    pub at: Option<u32>,
}

/// The answer to an attempt that asks for units. Whoever does not hear it asks again, and still says that it has what it had before:
/// then it is granted the same again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lease {
    /// Feed these, in this order.
    Granted(Vec<Granted>),
    /// Nothing is waiting: the worker may see the end of its input once it has all that was granted. Who asks again before
    /// that may be granted what has come back meanwhile.
    EndOfInput,
    /// Nothing may be given now; to be asked again soon.
    Wait,
    /// It has its fair part ahead; to be asked again when another of its units has begun, or after a while.
    Enough,
    /// This attempt gets nothing.
    Refused(Refusal),
}

/// Why an attempt gets no units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// It is over, or was never started.
    #[error("this attempt is over")]
    Stale,
    /// It has not registered.
    #[error("this attempt has not registered")]
    NotRegistered,
    /// The job ends.
    #[error("the job ends")]
    JobEnds,
    /// What it knows of is not what it was granted, with or without the last grant.
    #[error("this attempt says that it was granted {have} splits so far, and it was granted {granted}")]
    Miscounts {
        /// What it says.
        have: u64,
        /// What is so.
        granted: u64,
    },
}

/// What an attempt's agent is to do now; the answer to its calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Orders {
    /// Go on.
    GoOn,
    /// Begin nothing yet, not all workers are there. Ask again.
    WaitForOthers,
    /// Say first what you hold: [`Event::Rejoined`].
    Rejoin,
    /// Stage the output, then say so.
    Stage,
    /// End the worker, then yourself.
    Stop(String),
}
