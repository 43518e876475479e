//! How attempts end.

use core::time::Duration;

use super::worker::State;
use super::{Phase, Scheduler};
use crate::{
    Action, Attempt, Cause, ClusterEnd, EarlyExit, End, Input, LedgerRecord, Position, Returned, Story,
    Verdict,
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
        let unseen = self.workers[place].state.is_unseen();
        let is_expected = unseen || matches!(self.workers[place].state, State::Rejoining { .. });
        let (mut asked, mut was_decided) = (false, false);
        let cause = match &mut self.workers[place].state {
            State::Ending { cause, asked: times, .. } => {
                asked = *times > 0;
                was_decided = !matches!(cause, Some(Cause::JobEnds));
                cause.take()
            }
            State::Done { lingers } => {
                *lingers = None;
                return;
            }
            state if state.is_live() => Some(Cause::Agent { how: how.clone() }),
            _ => return,
        };
        if let Some(cause) = cause {
            self.decide(place, cause, position, unseen, out);
        }
        let (mut free, mut memory) = (is_expected && matches!(how, End::Lost(_)), false);
        if let End::Cluster { what, .. } = how {
            // That it is given back is news only where that was not asked for.
            let is_news = !(asked && what == ClusterEnd::Released);
            free = what.is_free() && is_news;
            memory = what.is_memory();
            if was_decided && is_news {
                if let Some(failure) = &mut self.workers[place].failure {
                    *failure = format!("{failure}, and its container {how}");
                }
                out.push(Action::Tell(Story::ContainerEnded { attempt, how }));
            }
        }
        self.workers[place].memory_steps += u32::from(memory);
        out.push(Action::Record(LedgerRecord::Ended { attempt, free, memory }));
        out.push(Action::DiscardOutput(attempt));
        self.restart(now, place, free, out);
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
        let alive = matches!(
            self.workers[place].state,
            State::Asked | State::Launched { .. } | State::Running { .. }
        );
        if status == 0 && matches!(self.workers[place].state, State::Rejoining { .. }) {
            // What it keeps is to be said first.
            return;
        }
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
            self.keep(place, &exit.returned, exit.empty_handed.then_some(true), out);
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
        self.forget_place(place);
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
        let alive = self.workers[place].state.is_live();
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
        let was_unseen = self.workers[place].state.is_unseen();
        match &mut self.workers[place].state {
            State::Ending { cause, unseen, .. } => {
                *unseen = false;
                if let Some(cause) = cause.take() {
                    self.decide(place, cause, position, was_unseen, out);
                }
            }
            state if state.is_live() => {
                let deadline = now.saturating_add(self.config.end_deadline);
                *state = State::Ending { cause: None, since: now, deadline, asked: 0, unseen: false };
                self.decide(place, cause, position, was_unseen, out);
            }
            _ => {}
        }
    }

    /// An attempt is dead: decides on its units; if it was `unseen`, on those of which its position tells.
    fn decide(
        &mut self,
        place: usize,
        cause: Cause,
        position: Option<&Position>,
        unseen: bool,
        out: &mut Vec<Action>,
    ) {
        let attempt = self.workers[place].attempt();
        self.forget_place(place);
        if let Some(position) = position.filter(|_| unseen) {
            self.ledger.restore_held(attempt, position);
        }
        let returned = self.ledger.died(attempt, position);
        self.keep(place, &returned, Some(false), out);
        self.workers[place].failure = Some(cause.to_string());
        let again = returned.again.iter().map(|range| range.end - range.start).sum();
        out.push(Action::Tell(Story::AttemptEnded { attempt, cause, back: returned.back, again }));
    }

    /// Records what became of an attempt's units; `over`: it holds nothing any more, and whether its worker ended well.
    fn keep(&mut self, place: usize, returned: &Returned, over: Option<bool>, out: &mut Vec<Action>) {
        let attempt = self.workers[place].attempt();
        if let Some(acked) = &returned.acked {
            self.workers[place].done += acked.count();
            let (units, next) = (acked.units.clone(), acked.next);
            out.push(Action::Record(LedgerRecord::Acked { attempt, units, next }));
        }
        if let Some(well) = over {
            let again = returned.again.clone();
            out.push(Action::Record(LedgerRecord::Returned { attempt, again, well }));
        }
        if let Some((ack, delivered)) = returned.overstated {
            out.push(Action::Tell(Story::AckTooLarge { attempt, ack, delivered }));
        }
    }

    fn exhausted(&mut self, now: Duration, place: usize, free: bool, out: &mut Vec<Action>) {
        let worker = &self.workers[place];
        let last = worker.failure.as_deref().unwrap_or("failed");
        let why = match self.config.max_restarts {
            _ if free => {
                let n = worker.free_restarts;
                format!("worker {} {last}, after {n} restarts that were not its own doing", worker.index)
            }
            0 => format!("worker {} {last}, and no restarts are allowed", worker.index),
            n => {
                format!("worker {} {last}, after {n} restart{}", worker.index, if n == 1 { "" } else { "s" })
            }
        };
        self.end_job(now, Verdict::Failed { why }, out);
    }

    /// Nothing of a worker's last attempt is left that could write, its units are decided on: starts the next. `free`: it does not count.
    pub(super) fn restart(&mut self, now: Duration, place: usize, free: bool, out: &mut Vec<Action>) {
        if self.phase != Phase::Running {
            self.workers[place].state = State::Over;
        } else if self.workers[place].is_exhausted(&self.config, free) {
            self.workers[place].state = State::Over;
            self.exhausted(now, place, free, out);
        } else {
            let worker = &mut self.workers[place];
            let wait = self.config.backoff(worker.restarts.saturating_add(worker.free_restarts));
            worker.next(now.saturating_add(wait), free);
            let of = worker.last_number(&self.config);
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
}
