//! A job goes on under another application master while its containers live.

use core::time::Duration;
use std::collections::BTreeSet;

use super::resume::read;
use super::worker::{State, Worker};
use super::{Phase, Scheduler};
use crate::{Action, Attempt, Config, Ledger, LedgerRecord, ResumeError, Story, Verdict};

/// What a recovered job has to do first.
#[derive(Debug)]
pub(super) struct Recovery {
    /// Attempts that are over: what they may have staged.
    discard: Vec<Attempt>,
    /// Places of workers whose last attempt is over, and whether that counts.
    ended: Vec<(usize, bool)>,
    /// All workers were there before.
    gathered: bool,
    /// The job was about to end so.
    verdict: Option<Verdict>,
}

impl Scheduler {
    /// The job that `records` are of goes on under another application master, and containers of the last one may live. What an
    /// attempt holds that no record says to be over is what its agent says ([`crate::Event::Rejoined`], or
    /// [`crate::Event::Registered`] if it had not got so far); one that does not come back within [`Config::rejoin_deadline`] is
    /// ended. Until it is known of all what they hold, or that they are gone, nothing is leased. Whoever finds that a container is
    /// not there says [`crate::Event::ContainerEnded`] ([`crate::End::Lost`] does not count against the restarts then).
    ///
    /// Workers that were not started yet are started, a commit cut short is finished, a job that was about to end ends. No
    /// record: the job begins. Times may go on from the job's first start. Not for jobs that were resumed.
    pub fn recover(
        config: Config,
        records: impl IntoIterator<Item = LedgerRecord>,
    ) -> Result<Self, ResumeError> {
        let mut records = records.into_iter().peekable();
        if records.peek().is_none() {
            return Ok(Self::new(config)?);
        }
        config.check()?;
        let mut ledger = Ledger::new(config.splits_per_epoch, config.epochs, Self::on_restart(&config));
        // As they were dealt out first.
        let shares = Self::shares(&config, ledger.waiting_units(), config.workers as usize);
        let found = read(&config, records, &mut ledger)?;

        let mut indexes: BTreeSet<u32> = found.numbers.keys().copied().collect();
        if found.commit.is_none() {
            indexes.extend(0..config.workers);
        }
        let mut recovery =
            Recovery { discard: Vec::new(), ended: Vec::new(), gathered: found.gathered, verdict: None };
        let mut workers = Vec::with_capacity(indexes.len());
        for (place, index) in indexes.into_iter().enumerate() {
            let number = found.numbers.get(&index).copied();
            let mut worker = Worker::new(index, number.unwrap_or(1));
            let attempt = worker.attempt();
            if number.is_some() {
                // Times are known at the start.
                let deadline = Duration::ZERO;
                worker.state = if found.done.contains(&attempt) {
                    State::Done { lingers: Some((deadline, 0)) }
                } else if found.ended.contains_key(&attempt) {
                    recovery.ended.push((place, found.ended[&attempt].free));
                    State::Over
                } else if found.returned.get(&attempt) == Some(&false) {
                    State::Ending { cause: None, since: deadline, deadline, asked: 0, unseen: false }
                } else {
                    State::Rejoining { deadline, empty_handed: found.returned.contains_key(&attempt) }
                };
            }
            for (&ended, how) in found.ended.range(Attempt { index, number: 0 }..attempt) {
                debug_assert_eq!(ended.index, index);
                worker.free_restarts += u32::from(how.free);
                worker.restarts += u32::from(!how.free);
            }
            worker.memory_steps = found.memory_steps(index);
            worker.done = found.done_units.get(&index).copied().unwrap_or(0);
            workers.push(worker);
        }
        let is_over = |attempt: &&Attempt| {
            !found.done.contains(attempt)
                && (found.ended.contains_key(attempt) || found.numbers[&attempt.index] > attempt.number)
        };
        recovery.discard = found.started.iter().filter(is_over).copied().collect();

        recovery.verdict = found.ending;
        let mut scheduler = Self::with(config, ledger, workers, shares);
        scheduler.commit = found.commit;
        scheduler.acked = found.acked;
        scheduler.recovery = Some(recovery);
        scheduler.unseen = true;
        Ok(scheduler)
    }

    /// The first thing that a recovered job does.
    pub(super) fn start_recovered(&mut self, now: Duration, recovery: Recovery, out: &mut Vec<Action>) {
        out.extend(recovery.discard.into_iter().map(Action::DiscardOutput));
        self.gathering = self.gathering.filter(|_| !recovery.gathered);
        let mut expected = 0;
        for worker in &mut self.workers {
            match &mut worker.state {
                State::Rejoining { deadline, .. } => {
                    *deadline = now.saturating_add(self.config.rejoin_deadline);
                    expected += 1;
                }
                State::Ending { since, deadline, .. } => {
                    (*since, *deadline) = (now, now.saturating_add(self.config.end_deadline));
                }
                State::Done { lingers: Some((deadline, _)) } => {
                    *deadline = now.saturating_add(self.config.end_deadline);
                }
                _ => {}
            }
        }
        let counts = self.ledger.counts();
        out.push(Action::Tell(Story::JobRecovers { expected, done: counts.done, total: counts.total }));
        if let Some(verdict) = recovery.verdict {
            self.is_ending_recorded = true;
            return self.end_job(now, verdict, out);
        }
        for place in 0..self.workers.len() {
            if let State::Waiting { .. } = self.workers[place].state {
                self.start_attempt(place, out);
            }
        }
        for (place, free) in recovery.ended {
            if self.phase == Phase::Running {
                self.restart(now, place, free, out);
            }
        }
    }
}
