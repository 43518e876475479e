//! The scheduler: workers and their attempts around the ledger.

mod deadlines;
mod ends;
mod resume;
mod worker;

use core::time::Duration;
use std::collections::BTreeMap;

use crate::{
    Action, Attempt, Cause, Config, ConfigError, Event, Input, Lease, Ledger, LedgerRecord, Orders, Position,
    Refusal, Story, UnitName, VERSION, Verdict, View, WorkerView, balance,
};
use worker::{State, Worker};

/// How far the job is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    New,
    Running,
    Committing,
    /// Waiting for containers to be gone.
    Ending(Verdict),
    Finished(Verdict),
}

/// Decides for one job. See the crate's documentation for what the caller owes.
#[derive(Debug)]
pub struct Scheduler {
    config: Config,
    phase: Phase,
    workers: Vec<Worker>,
    /// Worker's index to its place in `workers`.
    places: BTreeMap<u32, usize>,
    ledger: Ledger,
    /// With static input, the units of each place.
    shares: Vec<Vec<u64>>,
    done_before: Vec<Attempt>,
    /// What a resumed job has to do first.
    first: Vec<Action>,
    resumed: bool,
    /// A commit begun by an earlier run of the job, or over already.
    commit: Option<resume::Commit>,
}

impl Scheduler {
    /// A new job. Nothing happens before [`Event::Start`].
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let ledger = Ledger::new(config.splits_per_epoch, config.epochs, Self::on_restart(&config));
        let workers = (0..config.workers).map(|index| Worker::new(index, 1)).collect();
        Ok(Self::with(config, ledger, workers))
    }

    fn with(config: Config, ledger: Ledger, workers: Vec<Worker>) -> Self {
        let shares = match &config.input {
            Input::Leased => Vec::new(),
            Input::Static { bytes } => {
                let length = |unit: u64| usize::try_from(unit).ok().and_then(|at| bytes.get(at)).copied();
                let units: Vec<_> =
                    ledger.waiting_units().map(|unit| (unit, length(unit).unwrap_or(0))).collect();
                balance(&units, u32::try_from(workers.len()).unwrap_or(u32::MAX))
            }
        };
        let places = workers.iter().enumerate().map(|(place, worker)| (worker.index, place)).collect();
        Self {
            config,
            phase: Phase::New,
            workers,
            places,
            ledger,
            shares,
            done_before: Vec::new(),
            first: Vec::new(),
            resumed: false,
            commit: None,
        }
    }

    /// What is dealt out beforehand is always replayed: there is no stream to acknowledge.
    fn on_restart(config: &Config) -> crate::OnRestart {
        match config.input {
            Input::Leased => config.on_restart,
            Input::Static { .. } => crate::OnRestart::ReplayAll,
        }
    }

    /// Takes note of an event at `now` (since the job's start; never less than before) and says what is to be done.
    pub fn handle(&mut self, now: Duration, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        match event {
            Event::Start => self.start(now, &mut out),
            Event::Registered(attempt) => self.registered(now, attempt, &mut out),
            Event::Heartbeat(attempt, position) => self.heartbeat(now, attempt, &position, &mut out),
            Event::ContainerEnded { attempt, how, position } => {
                self.container_ended(now, attempt, how, position.as_ref(), &mut out);
            }
            Event::Exited { attempt, status, position } => {
                self.exited(now, attempt, status, &position, &mut out);
            }
            Event::Staged { attempt } => self.staged(now, attempt, &mut out),
            Event::StageFailed { attempt, why } => {
                self.given_up(now, attempt, Cause::Staging { why }, None, &mut out);
            }
            Event::Failed { attempt, why, position, fatal } => {
                self.failed(now, attempt, why, &position, fatal, &mut out);
            }
            Event::Tick => self.tick(now, &mut out),
            Event::Stop { why } => self.stop(now, why, &mut out),
            Event::Committed => self.committed(now, &mut out),
            Event::CommitRefused { why } => self.commit_refused(now, &why, &mut out),
            Event::CommitFailed { why } => self.commit_failed(now, why, &mut out),
        }
        self.advance(now, &mut out);
        out
    }

    /// Gives up to `max` units to an attempt, a little ahead of its need. With static input: all of its units, once.
    /// Counts as a sign of life.
    pub fn lease(&mut self, now: Duration, attempt: Attempt, max: usize) -> Lease {
        let Some(place) = self.current(attempt) else { return Lease::Refused(Refusal::Stale) };
        if self.phase != Phase::Running {
            return Lease::Refused(Refusal::JobEnds);
        }
        let worker = &mut self.workers[place];
        match &mut worker.state {
            State::Running { heard } => *heard = now.max(*heard),
            State::Starting { .. } => return Lease::Refused(Refusal::NotRegistered),
            _ => return Lease::Refused(Refusal::Stale),
        }
        let granted = if let Some(share) = self.shares.get(place) {
            if std::mem::replace(&mut worker.end_given, true) {
                return Lease::EndOfInput;
            }
            self.ledger.take(attempt, share)
        } else {
            // Who asks has not shown its worker the end yet: what has come back since is for it, too.
            worker.end_given = !self.ledger.is_waiting();
            self.ledger.lease(attempt, max)
        };
        if worker.end_given && granted.is_empty() { Lease::EndOfInput } else { Lease::Granted(granted) }
    }

    /// What the agent of an attempt is to do: the answer to its calls, once their event was handled.
    pub fn orders(&self, attempt: Attempt) -> Orders {
        let stop = |why: &str| Orders::Stop(why.to_owned());
        match (self.current(attempt).map(|place| &self.workers[place].state), &self.phase) {
            (Some(State::Done { .. }), _) => Orders::GoOn,
            (_, Phase::Ending(_) | Phase::Finished(_)) => stop("the job ends"),
            (Some(State::Staging { .. }), _) => Orders::Stage,
            (Some(State::Starting { .. } | State::Running { .. }), _) => Orders::GoOn,
            (Some(State::Ending { cause: Some(cause), .. }), _) => {
                Orders::Stop(format!("the attempt {cause}"))
            }
            _ => stop("the attempt is over"),
        }
    }

    /// Where to find the worker whose current attempt this is.
    fn current(&self, attempt: Attempt) -> Option<usize> {
        let place = *self.places.get(&attempt.index)?;
        (self.workers[place].attempt() == attempt).then_some(place)
    }

    fn start(&mut self, now: Duration, out: &mut Vec<Action>) {
        if self.phase != Phase::New {
            return;
        }
        self.phase = Phase::Running;
        let (splits, epochs) = (self.config.splits_per_epoch, self.config.epochs);
        let counts = self.ledger.counts();
        if self.resumed {
            out.append(&mut self.first);
            out.push(Action::Tell(Story::JobResumes {
                done_workers: self.done_before.len() as u64,
                done: counts.done,
                waiting: counts.waiting,
                workers: self.workers.len() as u64,
            }));
        } else {
            let (version, job) = (VERSION, self.config.job.clone());
            out.push(Action::Record(LedgerRecord::Header { version, job, splits, epochs }));
            out.push(Action::Tell(Story::JobStarts { workers: self.config.workers, splits, epochs }));
        }
        for place in 0..self.workers.len() {
            self.start_attempt(now, place, out);
        }
    }

    fn start_attempt(&mut self, now: Duration, place: usize, out: &mut Vec<Action>) {
        let worker = &mut self.workers[place];
        let attempt = worker.attempt();
        worker.state = State::Starting { deadline: now.saturating_add(self.config.register_deadline) };
        worker.end_given = false;
        let of = worker.first_number.saturating_add(self.config.max_restarts);
        out.push(Action::Record(LedgerRecord::Started { attempt }));
        out.push(Action::Tell(Story::AttemptStarts { attempt, of }));
        out.push(Action::StartContainer(attempt));
    }

    fn registered(&mut self, now: Duration, attempt: Attempt, out: &mut Vec<Action>) {
        let Some(place) = self.current(attempt) else { return };
        let state = &mut self.workers[place].state;
        if let State::Starting { .. } = state {
            *state = State::Running { heard: now };
            out.push(Action::Tell(Story::Registered { attempt }));
        }
    }

    fn heartbeat(&mut self, now: Duration, attempt: Attempt, position: &Position, out: &mut Vec<Action>) {
        let Some(place) = self.current(attempt) else { return };
        let worker = &mut self.workers[place];
        match &mut worker.state {
            State::Running { heard } => *heard = now.max(*heard),
            State::Staging { heard } => {
                *heard = now.max(*heard);
                return;
            }
            _ => return,
        }
        if let Some(acked) = self.ledger.note(attempt, position) {
            worker.done += acked.count();
            let (units, next) = (acked.units, acked.next);
            out.push(Action::Record(LedgerRecord::Acked { attempt, units, next }));
        }
    }

    fn name(&self, unit: u64) -> UnitName {
        UnitName::new(unit, self.config.splits_per_epoch, self.config.epochs)
    }

    /// What people and programs may see of the job now.
    pub fn view(&self) -> View {
        let worker = |worker: &Worker| {
            let attempt = worker.attempt();
            let (leased, fed, ack) = self.ledger.held(attempt);
            WorkerView {
                attempt,
                state: worker.state.shown(),
                restarts: worker.restarts(),
                max_restarts: self.config.max_restarts,
                leased,
                fed,
                done: worker.done,
                end_of_input: worker.end_given,
                ack,
                failure: worker.failure.clone(),
            }
        };
        let (partly, partly_count) = self.ledger.partly();
        View {
            job: self.config.job.clone(),
            splits_per_epoch: self.config.splits_per_epoch,
            epochs: self.config.epochs,
            units: self.ledger.counts(),
            workers: self.workers.iter().map(worker).collect(),
            done_before: self.done_before.clone(),
            again: self.ledger.again(),
            partly: partly.to_vec(),
            partly_count,
            committing: self.phase == Phase::Committing,
            verdict: match &self.phase {
                Phase::Ending(verdict) | Phase::Finished(verdict) => Some(verdict.clone()),
                _ => None,
            },
            finished: matches!(self.phase, Phase::Finished(_)),
        }
    }
}
