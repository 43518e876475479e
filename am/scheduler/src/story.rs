//! What happened, in one plain English sentence each; as data for events and for the summary.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Ack, Attempt, Cause, Verdict};

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

fn worker(attempt: Attempt) -> String {
    format!("worker {} (attempt {})", attempt.index, attempt.number)
}

/// `1 split`, `3 splits`.
fn count(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let goes = |n: u64| if n == 1 { "goes" } else { "go" };
        match self {
            Self::JobStarts { workers, splits, epochs } => {
                write!(f, "the job starts with {}", count(u64::from(*workers), "worker"))?;
                match (splits, epochs) {
                    (0, _) | (_, 0) => Ok(()),
                    (_, 1) => write!(f, " and {}", count(*splits, "split")),
                    _ => write!(f, " and {} in {epochs} epochs", count(*splits, "split")),
                }
            }
            Self::JobResumes { done_workers, done, waiting, workers } => write!(
                f,
                "the job goes on with {}: {} of {} are done, by acknowledgements or by {} whose output is staged",
                count(*workers, "worker"),
                done,
                count(done + waiting, "split"),
                count(*done_workers, "worker"),
            ),
            Self::AttemptStarts { attempt, of } => {
                write!(f, "worker {} starts (attempt {} of {of})", attempt.index, attempt.number)
            }
            Self::Registered { attempt } => write!(f, "{} is there", worker(*attempt)),
            Self::AttemptEnded { attempt, cause, back, again } => {
                write!(f, "{} {cause}", worker(*attempt))?;
                match (*back, *again) {
                    (0, _) => Ok(()),
                    (n, 0) => write!(f, "; its {} {} back", count(n, "split"), goes(n)),
                    (n, again) => write!(
                        f,
                        "; its {} {} back, {again} of them already fed in part or whole",
                        count(n, "split"),
                        goes(n)
                    ),
                }
            }
            Self::Restarts { attempt, of, in_ms } => write!(
                f,
                "worker {} starts again (attempt {} of {of}) in {} s",
                attempt.index,
                attempt.number,
                *in_ms as f64 / 1000.0
            ),
            Self::ExitedWell { attempt, back: 0 } => {
                write!(f, "{} ended well; its output is being staged", worker(*attempt))
            }
            Self::ExitedWell { attempt, back } => write!(
                f,
                "{} ended well before all was read; {} {} back, its output is being staged",
                worker(*attempt),
                count(*back, "split"),
                goes(*back)
            ),
            Self::PartlyRead { attempt, split, byte } => {
                write!(f, "{} read {split} up to byte {byte} only", worker(*attempt))
            }
            Self::WorkerDone { attempt, units } => {
                write!(f, "{} is done with {}", worker(*attempt), count(*units, "split"))
            }
            Self::AckTooLarge { attempt, ack, delivered } => {
                let (n, noun) = match ack {
                    Ack::Records(n) => (*n, "record"),
                    Ack::Bytes(n) => (*n, "byte"),
                };
                write!(
                    f,
                    "{} acknowledged {}, though it was fed {delivered}: {delivered} count",
                    worker(*attempt),
                    count(n, noun)
                )
            }
            Self::Lingers { attempt, seconds } => {
                write!(f, "{} was asked to end {seconds} s ago and is still there", worker(*attempt))
            }
            Self::LeftBehind { attempt } => {
                write!(f, "{} does not end and is not waited for any longer", worker(*attempt))
            }
            Self::Unread { count: n, first } => write!(
                f,
                "all workers ended well and left {} unread, the first is {first}",
                count(*n, "split")
            ),
            Self::JobEnds { verdict } => match verdict {
                Verdict::Failed { why } => write!(f, "the job fails: {why}"),
                Verdict::Stopped { why } => write!(f, "the job is being stopped: {why}"),
                verdict => write!(f, "{verdict}"),
            },
            Self::TooLateToStop { why } => {
                write!(f, "the job is not stopped ({why}): its output is being committed")
            }
            Self::CommitStarts { workers } => {
                write!(f, "the output of {} is being committed", count(*workers, "worker"))
            }
            Self::FedAgain { count: n, first } => {
                let names: Vec<_> = first.iter().map(UnitName::to_string).collect();
                let more = if *n > first.len() as u64 { ", …" } else { "" };
                write!(f, "{} fed more than once: {}{more}", count(*n, "split"), names.join(", "))
            }
            Self::JobOver { verdict } => write!(f, "{verdict}"),
        }
    }
}
