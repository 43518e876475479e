//! What happened, in words.

use std::fmt;

use super::{Story, UnitName};
use crate::{Ack, Attempt, Verdict};

fn worker(attempt: Attempt) -> String {
    format!("worker {} (attempt {})", attempt.index, attempt.number)
}

/// `1 split`, `3 splits`.
fn count(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

impl fmt::Display for Story {
    #[expect(clippy::too_many_lines, reason = "one sentence each")]
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
            Self::JobRecovers { expected, done, total } => write!(
                f,
                "the job goes on under another application master: {done} of {} are done, {} expected back",
                count(*total, "split"),
                match expected {
                    1 => "1 worker is".to_owned(),
                    n => format!("{n} workers are"),
                }
            ),
            Self::CameBack { attempt, units } => {
                write!(f, "{} is back and holds {}", worker(*attempt), count(*units, "split"))
            }
            Self::AllThere { workers } => match workers {
                1 => write!(f, "the worker is there and begins"),
                n => write!(f, "all {n} workers are there and begin"),
            },
            Self::ContainerEnded { attempt, how } => {
                write!(f, "the container of {} {how}", worker(*attempt))
            }
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
