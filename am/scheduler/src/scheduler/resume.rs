//! A job goes on from its ledger's checkpoint after its application master ended.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::worker::Worker;
use super::{Phase, Scheduler};
use crate::intervals::Intervals;
use crate::{Action, Attempt, Config, Ledger, LedgerRecord, Position, ResumeError, Story, VERSION, Verdict};

/// A commit of an earlier run of the job.
#[derive(Debug)]
pub(super) enum Commit {
    Begun(Vec<Attempt>),
    Over,
}

/// How an attempt ended.
pub(super) struct Ended {
    pub(super) free: bool,
    memory: bool,
}

/// What the records say.
#[derive(Default)]
pub(super) struct Found {
    /// Highest attempt number of each index.
    pub(super) numbers: BTreeMap<u32, u32>,
    pub(super) started: BTreeSet<Attempt>,
    /// Hold nothing any more; whether their output may be staged yet.
    pub(super) returned: BTreeMap<Attempt, bool>,
    /// Are over, and their containers gone.
    pub(super) ended: BTreeMap<Attempt, Ended>,
    pub(super) done: BTreeSet<Attempt>,
    /// What attempts acknowledged.
    pub(super) acked: BTreeMap<Attempt, Intervals>,
    /// Units done by each worker.
    pub(super) done_units: BTreeMap<u32, u64>,
    pub(super) gathered: bool,
    pub(super) ending: Option<Verdict>,
    pub(super) commit: Option<Commit>,
}

impl Scheduler {
    /// The job that `records` are of, to go on with `config.workers` workers: indexes whose attempts ended well are not used again, and
    /// attempt numbers neither. If no unit waits, there are as many workers more as are not done.
    ///
    /// `left`: how far the attempts had come that no record says to be over, from the journals they left
    /// ([`Position::of_journal`]). Under `from-ack` what they acknowledged is done; otherwise they only tell what is fed again.
    /// No process of the earlier run may be left.
    pub fn resume(
        config: Config,
        records: impl IntoIterator<Item = LedgerRecord>,
        left: impl IntoIterator<Item = (Attempt, Position)>,
    ) -> Result<Self, ResumeError> {
        config.check()?;
        let mut ledger = Ledger::new(config.splits_per_epoch, config.epochs, Self::on_restart(&config));
        let found = read(&config, records, &mut ledger)?;

        let mut first = Vec::new();
        for (attempt, position) in left {
            if !found.started.contains(&attempt)
                || found.done.contains(&attempt)
                || found.returned.contains_key(&attempt)
            {
                continue;
            }
            ledger.restore_held(attempt, &position);
            let returned = ledger.died(attempt, Some(&position));
            if let Some(acked) = returned.acked {
                let (units, next) = (acked.units, acked.next);
                first.push(Action::Record(LedgerRecord::Acked { attempt, units, next }));
            }
            first.push(Action::Record(LedgerRecord::Returned {
                attempt,
                again: returned.again,
                well: false,
            }));
            if let Some((ack, delivered)) = returned.overstated {
                first.push(Action::Tell(Story::AckTooLarge { attempt, ack, delivered }));
            }
        }
        first.extend(found.started.difference(&found.done).map(|&attempt| Action::DiscardOutput(attempt)));

        let wanted = if found.commit.is_some() {
            0
        } else if ledger.is_waiting() {
            config.workers as usize
        } else {
            (config.workers as usize).saturating_sub(found.done.len())
        };
        let used: BTreeSet<_> = found.done.iter().map(|attempt| attempt.index).collect();
        let free = (0..=u32::MAX).filter(|index| !used.contains(index));
        let number = |index: u32| found.numbers.get(&index).map_or(1, |number| number.saturating_add(1));
        let workers: Vec<_> = free
            .take(wanted)
            .map(|index| Worker {
                memory_steps: found.memory_steps(index),
                ..Worker::new(index, number(index))
            })
            .collect();

        let shares = Self::shares(&config, ledger.waiting_units(), workers.len());
        let mut scheduler = Self::with(config, ledger, workers, shares);
        scheduler.phase = Phase::New;
        scheduler.done_before = found.done.into_iter().collect();
        scheduler.first = first;
        scheduler.resumed = true;
        scheduler.commit = found.commit;
        Ok(scheduler)
    }
}

pub(super) fn read(
    config: &Config,
    records: impl IntoIterator<Item = LedgerRecord>,
    ledger: &mut Ledger,
) -> Result<Found, ResumeError> {
    let mut found = Found::default();
    let mut records = (1..).zip(records);
    match records.next() {
        Some((_, LedgerRecord::Header { version, job, splits, epochs })) => {
            check_header(config, version, job, splits, epochs)?;
        }
        _ => return Err(ResumeError::Header { at: 1 }),
    }
    for (at, record) in records {
        let wrong_unit = |unit| ResumeError::Unit { at, unit };
        match record {
            LedgerRecord::Header { .. } => return Err(ResumeError::Header { at }),
            LedgerRecord::Started { attempt } => {
                let number = found.numbers.entry(attempt.index).or_default();
                if attempt.number <= *number {
                    return Err(ResumeError::Attempt { at, attempt });
                }
                *number = attempt.number;
                found.started.insert(attempt);
            }
            LedgerRecord::Acked { attempt, units, next } => {
                found.held_by(at, attempt)?;
                let acked = found.acked.entry(attempt).or_default();
                for range in &units {
                    acked.insert_range(range.clone());
                }
                found.are_done(attempt, &units);
                for range in units {
                    ledger.restore_done(range).map_err(wrong_unit)?;
                }
                next.map_or(Ok(()), |next| ledger.restore_skip(next)).map_err(wrong_unit)?;
            }
            // Also twice: when it ended well under `from-ack`, and when its output could not be staged then.
            LedgerRecord::Returned { attempt, again, well } => {
                if !found.started.contains(&attempt) || found.done.contains(&attempt) {
                    return Err(ResumeError::Attempt { at, attempt });
                }
                for range in again {
                    ledger.restore_again(range);
                }
                found.acked.remove(&attempt);
                found.returned.insert(attempt, well);
            }
            LedgerRecord::Ended { attempt, free, memory } => {
                if !found.started.contains(&attempt)
                    || found.done.contains(&attempt)
                    || found.ended.insert(attempt, Ended { free, memory }).is_some()
                {
                    return Err(ResumeError::Attempt { at, attempt });
                }
            }
            LedgerRecord::Gathered {} => found.gathered = true,
            LedgerRecord::Ending { verdict } => found.ending = Some(verdict),
            LedgerRecord::Done { attempt, units, partly } => {
                if !found.started.contains(&attempt) || !found.done.insert(attempt) {
                    return Err(ResumeError::Attempt { at, attempt });
                }
                found.acked.remove(&attempt);
                found.are_done(attempt, &units);
                for range in units {
                    ledger.restore_done(range).map_err(wrong_unit)?;
                }
                if let Some(partly) = partly {
                    ledger.close_partly(partly);
                }
            }
            LedgerRecord::CommitBegun { attempts } => found.commit = Some(Commit::Begun(attempts)),
            LedgerRecord::Committed {} => found.commit = Some(Commit::Over),
            LedgerRecord::Aborted { why } => return Err(ResumeError::Aborted { why }),
        }
    }
    Ok(found)
}

impl Found {
    /// How many attempts of a worker ran out of memory.
    pub(super) fn memory_steps(&self, index: u32) -> u32 {
        let all = Attempt { index, number: 0 }..=Attempt { index, number: u32::MAX };
        self.ended.range(all).map(|(_, ended)| u32::from(ended.memory)).sum()
    }

    fn are_done(&mut self, attempt: Attempt, units: &[Range<u64>]) {
        *self.done_units.entry(attempt.index).or_default() +=
            units.iter().map(|range| range.end.saturating_sub(range.start)).sum::<u64>();
    }

    /// The attempt was started and may hold something.
    fn held_by(&self, at: usize, attempt: Attempt) -> Result<(), ResumeError> {
        let holds = self.started.contains(&attempt)
            && !self.returned.contains_key(&attempt)
            && !self.done.contains(&attempt);
        if holds { Ok(()) } else { Err(ResumeError::Attempt { at, attempt }) }
    }
}

fn check_header(
    config: &Config,
    version: u32,
    job: String,
    splits: u64,
    epochs: u64,
) -> Result<(), ResumeError> {
    if version != VERSION {
        return Err(ResumeError::Version { version });
    }
    if job != config.job {
        return Err(ResumeError::Job { found: job, expected: config.job.clone() });
    }
    let (planned_splits, planned_epochs) = (config.splits_per_epoch, config.epochs);
    if (splits, epochs) != (planned_splits, planned_epochs) {
        return Err(ResumeError::Plan { splits, epochs, planned_splits, planned_epochs });
    }
    Ok(())
}
