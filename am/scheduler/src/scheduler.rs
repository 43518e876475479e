//! The scheduler: workers and their attempts around the ledger.

mod deadlines;
mod ends;
mod gang;
mod leases;
mod over;
mod recover;
mod rejoin;
mod resume;
mod shown;
mod worker;

use core::time::Duration;
use std::collections::BTreeMap;

use crate::intervals::Intervals;
use crate::{
    Action, Attempt, Cause, Config, ConfigError, Event, Input, Ledger, LedgerRecord, Orders, Position, Story,
    UnitName, VERSION, Verdict, balance,
};
use rejoin::Hold;
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
    places_of: BTreeMap<u32, usize>,
    ledger: Ledger,
    /// With static input, the units of each place.
    shares: Vec<Vec<u64>>,
    done_before: Vec<Attempt>,
    /// What a resumed job has to do first.
    first: Vec<Action>,
    resumed: bool,
    /// A commit begun by an earlier run of the job, or over already.
    commit: Option<resume::Commit>,
    /// What a recovered job has to do first.
    recovery: Option<recover::Recovery>,
    /// By when all workers have to be there; `None`: none waits for others.
    gathering: Option<Duration>,
    /// What the cluster lacked last.
    shortage: Option<String>,
    /// Of a recovered job: workers may be fed units of which it is not known that they are held.
    unseen: bool,
    /// Of a recovered job: what attempts acknowledged that have not come back yet.
    acked: BTreeMap<Attempt, Intervals>,
    /// The ledger says that the job ends.
    is_ending_recorded: bool,
}

impl Scheduler {
    /// A new job. Nothing happens before [`Event::Start`].
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let ledger = Ledger::new(config.splits_per_epoch, config.epochs, Self::on_restart(&config));
        let workers: Vec<_> = (0..config.workers).map(|index| Worker::new(index, 1)).collect();
        let shares = Self::shares(&config, ledger.waiting_units(), workers.len());
        Ok(Self::with(config, ledger, workers, shares))
    }

    fn with(config: Config, ledger: Ledger, workers: Vec<Worker>, shares: Vec<Vec<u64>>) -> Self {
        let places_of = workers.iter().enumerate().map(|(place, worker)| (worker.index, place)).collect();
        Self {
            config,
            phase: Phase::New,
            workers,
            places_of,
            ledger,
            shares,
            done_before: Vec::new(),
            first: Vec::new(),
            resumed: false,
            commit: None,
            recovery: None,
            gathering: None,
            shortage: None,
            unseen: false,
            acked: BTreeMap::new(),
            is_ending_recorded: false,
        }
    }

    /// With static input, `units` dealt out to so many workers.
    fn shares(config: &Config, units: impl Iterator<Item = u64>, workers: usize) -> Vec<Vec<u64>> {
        let Input::Static { bytes } = &config.input else { return Vec::new() };
        let length = |unit: u64| usize::try_from(unit).ok().and_then(|at| bytes.get(at)).copied();
        let units: Vec<_> = units.map(|unit| (unit, length(unit).unwrap_or(0))).collect();
        balance(&units, u32::try_from(workers).unwrap_or(u32::MAX))
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
            Event::Launched(attempt) => self.launched(now, attempt),
            Event::Shortage { why } => self.shortage = Some(why),
            Event::Rejoined { attempt, fed, held, position, exited } => {
                self.rejoined(now, attempt, Hold { fed: &fed, held: &held }, &position, exited, &mut out);
            }
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
                // What it holds is not in this word. Where nobody has seen that yet, its container's end tells.
                let is_unseen =
                    self.current(attempt).is_some_and(|place| self.workers[place].state.is_unseen());
                if !is_unseen {
                    self.given_up(now, attempt, Cause::Staging { why }, None, &mut out);
                }
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

    /// How many workers there are, with those of an earlier run of the job.
    pub fn world_size(&self) -> usize {
        self.workers.len() + self.done_before.len()
    }

    /// How many attempts of a worker ran out of memory.
    pub fn memory_steps(&self, index: u32) -> u32 {
        self.places_of.get(&index).map_or(0, |&place| self.workers[place].memory_steps)
    }

    /// What the agent of an attempt is to do: the answer to its calls, once their event was handled.
    pub fn orders(&self, attempt: Attempt) -> Orders {
        let stop = |why: &str| Orders::Stop(why.to_owned());
        match (self.current(attempt).map(|place| &self.workers[place].state), &self.phase) {
            (Some(State::Done { .. }), _) => Orders::GoOn,
            (_, Phase::Ending(_) | Phase::Finished(_)) => stop("the job ends"),
            (Some(State::Staging { .. }), _) => Orders::Stage,
            (Some(State::Rejoining { .. }), _) => Orders::Rejoin,
            (Some(State::Asked | State::Launched { .. } | State::Running { .. }), _)
                if self.gathering.is_some() =>
            {
                Orders::WaitForOthers
            }
            (Some(State::Asked | State::Launched { .. } | State::Running { .. }), _) => Orders::GoOn,
            (Some(State::Ending { cause: Some(cause), .. }), _) => {
                Orders::Stop(format!("the attempt {cause}"))
            }
            _ => stop("the attempt is over"),
        }
    }

    /// Where to find the worker whose current attempt this is.
    fn current(&self, attempt: Attempt) -> Option<usize> {
        let place = *self.places_of.get(&attempt.index)?;
        (self.workers[place].attempt() == attempt).then_some(place)
    }

    fn start(&mut self, now: Duration, out: &mut Vec<Action>) {
        if self.phase != Phase::New {
            return;
        }
        self.phase = Phase::Running;
        self.gathering = self.config.gang.map(|gang| now.saturating_add(gang.deadline));
        if let Some(recovery) = self.recovery.take() {
            return self.start_recovered(now, recovery, out);
        }
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
            self.start_attempt(place, out);
        }
    }

    fn start_attempt(&mut self, place: usize, out: &mut Vec<Action>) {
        let worker = &mut self.workers[place];
        let attempt = worker.attempt();
        worker.state = State::Asked;
        worker.end_given = false;
        let of = worker.last_number(&self.config);
        out.push(Action::Record(LedgerRecord::Started { attempt }));
        out.push(Action::Tell(Story::AttemptStarts { attempt, of }));
        out.push(Action::StartContainer(attempt));
    }

    fn launched(&mut self, now: Duration, attempt: Attempt) {
        let Some(place) = self.current(attempt) else { return };
        if self.workers[place].state == State::Asked {
            let deadline = now.saturating_add(self.config.register_deadline);
            self.workers[place].state = State::Launched { deadline };
        }
    }

    fn registered(&mut self, now: Duration, attempt: Attempt, out: &mut Vec<Action>) {
        let Some(place) = self.current(attempt) else { return };
        match &mut self.workers[place].state {
            State::Running { heard } => *heard = now.max(*heard),
            // An agent that had got further would have come back with what it holds.
            state
            @ (State::Asked | State::Launched { .. } | State::Rejoining { empty_handed: false, .. }) => {
                *state = State::Running { heard: now };
                out.push(Action::Tell(Story::Registered { attempt }));
            }
            _ => {}
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
}
