//! How attempts end, and how the job does.

use core::time::Duration;

use super::worker::State;
use super::{Phase, Scheduler};
use crate::{
    Action, Attempt, Cause, EarlyExit, End, Input, LedgerRecord, Position, Returned, Story, Verdict,
};

impl Scheduler {
    /// A container is gone.
    pub(super) fn container_ended(
        &mut self,
        now: Duration,
        attempt: Attempt,
        how: End,
        position: Option<&Position>,
        out: &mut Vec<Action>,
    ) {
        let Some(place) = self.current(attempt) else { return };
        let cause = match &mut self.workers[place].state {
            State::Starting { .. } | State::Running { .. } | State::Staging { .. } => {
                Some(Cause::Agent { how })
            }
            State::Ending { cause, .. } => cause.take(),
            State::Done { lingers } => {
                *lingers = None;
                return;
            }
            State::Waiting { .. } | State::Over => return,
        };
        if let Some(cause) = cause {
            self.decide(place, cause, position, out);
        }
        self.container_gone(now, place, out);
    }

    /// The worker has ended, by itself or because it was told to.
    pub(super) fn exited(
        &mut self,
        now: Duration,
        attempt: Attempt,
        status: i32,
        position: &Position,
        out: &mut Vec<Action>,
    ) {
        let Some(place) = self.current(attempt) else { return };
        let alive = matches!(self.workers[place].state, State::Starting { .. } | State::Running { .. });
        if status != 0 || !alive {
            // Also of an attempt that was to end; a second word of one that is staging or over is not news.
            if !matches!(self.workers[place].state, State::Staging { .. }) {
                self.given_up(now, attempt, Cause::Exited { status }, Some(position), out);
            }
            return;
        }
        let mut back = 0;
        if self.config.input == Input::Leased {
            let exit = self.ledger.exited_well(attempt, position);
            back = exit.returned.back;
            self.keep(place, &exit.returned, exit.empty_handed, out);
            if let Some(partly) = exit.middle {
                let (split, byte) = (self.name(partly.unit), partly.byte);
                if self.config.early_exit == EarlyExit::Fail {
                    let why = format!(
                        "worker {} (attempt {}) ended with status 0 in the middle of {split}, at byte {byte}; \
                         if that is meant, allow it with --early-exit ok",
                        attempt.index, attempt.number
                    );
                    self.end_job(now, Verdict::Failed { why }, out);
                    return;
                }
                out.push(Action::Tell(Story::PartlyRead { attempt, split, byte }));
            }
        }
        self.workers[place].state = State::Staging { heard: now };
        out.push(Action::Tell(Story::ExitedWell { attempt, back }));
        out.push(Action::StageOutput(attempt));
    }

    /// The agent gave up; if that is `fatal`, so does the job.
    pub(super) fn failed(
        &mut self,
        now: Duration,
        attempt: Attempt,
        why: String,
        position: &Position,
        fatal: bool,
        out: &mut Vec<Action>,
    ) {
        let Some(place) = self.current(attempt) else { return };
        let alive = matches!(
            self.workers[place].state,
            State::Starting { .. } | State::Running { .. } | State::Staging { .. }
        );
        let verdict = Verdict::Failed { why: format!("worker {} cannot run: {why}", attempt.index) };
        self.given_up(now, attempt, Cause::Failed { why }, Some(position), out);
        if fatal && alive && self.phase == Phase::Running {
            self.end_job(now, verdict, out);
        }
    }

    /// The agent says that its attempt has failed; the worker is gone, the container will be.
    pub(super) fn given_up(
        &mut self,
        now: Duration,
        attempt: Attempt,
        cause: Cause,
        position: Option<&Position>,
        out: &mut Vec<Action>,
    ) {
        let Some(place) = self.current(attempt) else { return };
        match &mut self.workers[place].state {
            State::Starting { .. } | State::Running { .. } | State::Staging { .. } => {
                let deadline = now.saturating_add(self.config.end_deadline);
                self.workers[place].state = State::Ending { cause: None, since: now, deadline, asked: 0 };
                self.decide(place, cause, position, out);
                if self.phase == Phase::Running && self.is_exhausted(place) {
                    self.exhausted(now, place, out);
                }
            }
            State::Ending { cause, .. } => {
                if let Some(cause) = cause.take() {
                    self.decide(place, cause, position, out);
                }
            }
            State::Waiting { .. } | State::Done { .. } | State::Over => {}
        }
    }

    /// An attempt is dead: decides on its units.
    fn decide(&mut self, place: usize, cause: Cause, position: Option<&Position>, out: &mut Vec<Action>) {
        let attempt = self.workers[place].attempt();
        let returned = self.ledger.died(attempt, position);
        self.keep(place, &returned, true, out);
        self.workers[place].failure = Some(cause.to_string());
        let again = returned.again.iter().map(|range| range.end - range.start).sum();
        out.push(Action::Tell(Story::AttemptEnded { attempt, cause, back: returned.back, again }));
    }

    /// Records what became of an attempt's units.
    fn keep(&mut self, place: usize, returned: &Returned, empty_handed: bool, out: &mut Vec<Action>) {
        let attempt = self.workers[place].attempt();
        if let Some(acked) = &returned.acked {
            self.workers[place].done += acked.count();
            let (units, next) = (acked.units.clone(), acked.next);
            out.push(Action::Record(LedgerRecord::Acked { attempt, units, next }));
        }
        if empty_handed {
            let again = returned.again.clone();
            out.push(Action::Record(LedgerRecord::Returned { attempt, again }));
        }
        if let Some((ack, delivered)) = returned.overstated {
            out.push(Action::Tell(Story::AckTooLarge { attempt, ack, delivered }));
        }
    }

    fn is_exhausted(&self, place: usize) -> bool {
        self.workers[place].restarts() >= self.config.max_restarts
    }

    fn exhausted(&mut self, now: Duration, place: usize, out: &mut Vec<Action>) {
        let worker = &self.workers[place];
        let last = worker.failure.as_deref().unwrap_or("failed");
        let why = match self.config.max_restarts {
            0 => format!("worker {} {last}, and no restarts are allowed", worker.index),
            n => {
                format!("worker {} {last}, after {n} restart{}", worker.index, if n == 1 { "" } else { "s" })
            }
        };
        self.end_job(now, Verdict::Failed { why }, out);
    }

    /// Nothing of an attempt is left that could write; its units are decided on.
    pub(super) fn container_gone(&mut self, now: Duration, place: usize, out: &mut Vec<Action>) {
        out.push(Action::DiscardOutput(self.workers[place].attempt()));
        if self.phase != Phase::Running {
            self.workers[place].state = State::Over;
        } else if self.is_exhausted(place) {
            self.workers[place].state = State::Over;
            self.exhausted(now, place, out);
        } else {
            let wait = self.config.backoff(self.workers[place].restarts());
            let worker = &mut self.workers[place];
            worker.next(now.saturating_add(wait));
            let of = worker.first_number.saturating_add(self.config.max_restarts);
            let in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            out.push(Action::Tell(Story::Restarts { attempt: worker.attempt(), of, in_ms }));
        }
    }

    /// An attempt's output is staged.
    pub(super) fn staged(&mut self, now: Duration, attempt: Attempt, out: &mut Vec<Action>) {
        let Some(place) = self.current(attempt) else { return };
        if self.phase != Phase::Running || !matches!(self.workers[place].state, State::Staging { .. }) {
            return;
        }
        let (units, partly) = self.ledger.staged(attempt);
        let worker = &mut self.workers[place];
        worker.done += units.iter().map(|range| range.end - range.start).sum::<u64>();
        worker.state = State::Done { lingers: Some((now.saturating_add(self.config.end_deadline), 0)) };
        let done = worker.done;
        out.push(Action::Record(LedgerRecord::Done { attempt, units, partly }));
        out.push(Action::Tell(Story::WorkerDone { attempt, units: done }));
    }

    /// Asks the job to end; ignored when it ends already.
    pub(super) fn stop(&mut self, now: Duration, why: String, out: &mut Vec<Action>) {
        match self.phase {
            Phase::New | Phase::Running => self.end_job(now, Verdict::Stopped { why }, out),
            Phase::Committing => out.push(Action::Tell(Story::TooLateToStop { why })),
            Phase::Ending(_) | Phase::Finished(_) => {}
        }
    }

    pub(super) fn committed(&mut self, now: Duration, out: &mut Vec<Action>) {
        if self.phase == Phase::Committing {
            out.push(Action::Record(LedgerRecord::Committed {}));
            self.end_job(now, Verdict::Succeeded, out);
        }
    }

    pub(super) fn commit_refused(&mut self, now: Duration, why: &str, out: &mut Vec<Action>) {
        if self.phase == Phase::Committing {
            let why = format!("its output may not be committed: {why}");
            self.end_job(now, Verdict::Failed { why }, out);
        }
    }

    pub(super) fn commit_failed(&mut self, now: Duration, why: String, out: &mut Vec<Action>) {
        if self.phase == Phase::Committing {
            self.end_job(now, Verdict::CommitFailed { why }, out);
        }
    }

    /// The verdict stands; all containers are to go.
    pub(super) fn end_job(&mut self, now: Duration, verdict: Verdict, out: &mut Vec<Action>) {
        if verdict != Verdict::Succeeded {
            out.push(Action::Tell(Story::JobEnds { verdict: verdict.clone() }));
        }
        self.phase = Phase::Ending(verdict);
        let deadline = now.saturating_add(self.config.end_deadline);
        for worker in &mut self.workers {
            let attempt = worker.attempt();
            let ask = match &mut worker.state {
                State::Starting { .. } | State::Running { .. } | State::Staging { .. } => {
                    worker.state =
                        State::Ending { cause: Some(Cause::JobEnds), since: now, deadline, asked: 1 };
                    true
                }
                State::Ending { asked, deadline: next, .. }
                | State::Done { lingers: Some((next, asked)) } => {
                    let first = *asked == 0;
                    (*asked, *next) = (1, deadline);
                    first
                }
                State::Waiting { .. } => {
                    worker.state = State::Over;
                    false
                }
                State::Done { lingers: None } | State::Over => false,
            };
            if ask {
                out.push(Action::EndContainer(attempt, "the job ends".to_owned()));
            }
        }
    }

    /// Goes on where nothing more is to be waited for.
    pub(super) fn advance(&mut self, now: Duration, out: &mut Vec<Action>) {
        if self.phase == Phase::Running
            && self.workers.iter().all(|worker| matches!(worker.state, State::Done { .. }))
        {
            self.all_done(now, out);
        }
        if let Phase::Ending(verdict) = &self.phase
            && !self.workers.iter().any(|worker| worker.state.has_container())
        {
            let verdict = verdict.clone();
            self.finish(verdict, out);
        }
    }

    fn all_done(&mut self, now: Duration, out: &mut Vec<Action>) {
        let begun = match self.commit.take() {
            Some(super::resume::Commit::Over) => return self.end_job(now, Verdict::Succeeded, out),
            Some(super::resume::Commit::Begun(attempts)) => Some(attempts),
            None => None,
        };
        let unread = self.ledger.waiting();
        if let Some(&first) = unread.first.first() {
            let (count, first) = (unread.count, self.name(first));
            if begun.is_none() && self.config.early_exit == EarlyExit::Fail {
                let splits = if count == 1 { "split" } else { "splits" };
                let why = format!(
                    "all workers ended with status 0 and left {count} {splits} unread, the first is {first}; \
                     if that is meant, allow it with --early-exit ok"
                );
                return self.end_job(now, Verdict::Failed { why }, out);
            }
            out.push(Action::Tell(Story::Unread { count, first }));
        }
        let attempts = begun.unwrap_or_else(|| {
            let mut attempts = self.done_before.clone();
            attempts.extend(self.workers.iter().map(super::Worker::attempt));
            attempts.sort_unstable();
            out.push(Action::Record(LedgerRecord::CommitBegun { attempts: attempts.clone() }));
            attempts
        });
        out.push(Action::Tell(Story::CommitStarts { workers: attempts.len() as u64 }));
        out.push(Action::Commit(attempts));
        self.phase = Phase::Committing;
    }

    fn finish(&mut self, verdict: Verdict, out: &mut Vec<Action>) {
        if let Verdict::Failed { why } = &verdict {
            out.push(Action::Record(LedgerRecord::Aborted { why: why.clone() }));
            out.push(Action::Abort);
        }
        let again = self.ledger.again();
        if again.count > 0 {
            let first = again.first.iter().map(|&unit| self.name(unit)).collect();
            out.push(Action::Tell(Story::FedAgain { count: again.count, first }));
        }
        out.push(Action::Tell(Story::JobOver { verdict: verdict.clone() }));
        out.push(Action::Finish(verdict.clone()));
        self.phase = Phase::Finished(verdict);
    }
}
