//! Application masters that die, and what comes after them.

use forebay_scheduler::{
    Attempt, Begin, End, Event, Granted, LedgerRecord, OnRestart, Orders, ResumeError, Scheduler, Skip,
    Verdict, WorkerState,
};

use super::agent::{Agent, Word, Worker};
use super::{Op, World};

impl World {
    /// The application master dies amid the actions that an event asks for, and all agents with it.
    pub(super) fn kill_master(&mut self, who: usize, after: usize, workers: u32) {
        self.die(who, after);
        self.resume(workers);
    }

    fn die(&mut self, who: usize, after: usize) {
        self.dies_after = Some(after);
        match self.pick(who) {
            Some(attempt) if self.agents[&attempt].worker == Worker::Gone => {
                self.of_agent(attempt, Op::Staged);
            }
            Some(attempt) if matches!(self.agents[&attempt].worker, Worker::Exited(_)) => {
                self.of_agent(attempt, Op::SayExit);
            }
            Some(attempt) => self.of_agent(attempt, Op::KillAgent { known: true }),
            None => self.tell(Event::Tick),
        }
        self.dies_after = None;
    }

    /// The application master dies amid the actions that an event asks for; another goes on with the agents that live.
    pub(super) fn replace_master(&mut self, who: usize, after: usize, lost: u8, unheard: usize) {
        // Who resumes a job takes nothing over.
        if self.resumed_at > 0 || self.verdict.is_some() {
            return;
        }
        if let Some(attempt) = self.pick(who).filter(|_| unheard > 0) {
            self.of_agent(attempt, Op::LoseLease(unheard));
        }
        self.die(who, after);
        if self.verdict.is_some() {
            return;
        }
        for (at, agent) in self.agents.values_mut().filter(|agent| agent.container).enumerate() {
            (agent.back, agent.asked_to_end) = (false, false);
            // This one knows of no grant that the agent does not know of.
            agent.unheard.clear();
            if lost >> (at % 8) & 1 == 1 {
                (agent.container, agent.worker) = (false, Worker::Gone);
            }
        }
        let scheduler = Scheduler::recover(self.config.clone(), self.read());
        self.take_over(scheduler);
        self.gathered = self.records.contains(&LedgerRecord::Gathered {});
    }

    /// The records as they are read again.
    fn read(&self) -> Vec<LedgerRecord> {
        let lines: Vec<_> =
            self.records.iter().map(|record| serde_json::to_string(record).unwrap()).collect();
        let records: Vec<LedgerRecord> =
            lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(records, self.records);
        records
    }

    fn take_over(&mut self, scheduler: Result<Scheduler, ResumeError>) {
        match scheduler {
            Ok(mut scheduler) => {
                if let Some(places) = &self.places {
                    scheduler.set_places(places.clone()).unwrap();
                }
                (self.scheduler, self.verdict, self.committing, self.last) = (scheduler, None, false, None);
                self.tell(Event::Start);
            }
            Err(error) => {
                let aborted =
                    self.records.iter().any(|record| matches!(record, LedgerRecord::Aborted { .. }));
                assert!(aborted, "{error}");
                self.verdict = Some(Verdict::Failed { why: error.to_string() });
                self.aborted = true;
            }
        }
    }

    /// Says of all containers that are expected and not there that they are not.
    pub(super) fn not_there(&mut self) {
        for worker in self.scheduler.view().workers {
            let attempt = worker.attempt;
            let expected = matches!(
                worker.state,
                WorkerState::Asked | WorkerState::Rejoining | WorkerState::Ending | WorkerState::Done
            );
            if expected && !self.agents.get(&attempt).is_some_and(|agent| agent.container) {
                let position = self.agents.get(&attempt).map(Agent::journal);
                let how = End::Lost("it is not there".into());
                self.tell(Event::ContainerEnded { attempt, how, position });
            }
        }
    }

    /// An agent comes back: with all that it was granted, and perhaps with a unit that it was not.
    pub(super) fn rejoin(&mut self, attempt: Attempt, lie: Option<u64>) {
        // Who claims a unit is believed while nothing is heard of another one that has it. If it was a lie, and what the other one
        // has acknowledged of it cannot be taken back, that is fed again: no application master can know better.
        let lie = lie.filter(|unit| {
            self.config.on_restart == OnRestart::ReplayAll
                || !self.agents.values().any(|other| {
                    other.attempt != attempt
                        && !(other.back && other.container)
                        && other.granted.contains(unit)
                })
        });
        let agent = self.agents.get_mut(&attempt).unwrap();
        agent.back = true;
        let exited = match (agent.said, agent.worker) {
            (Some(Word::Exited(status)), _) | (_, Worker::Exited(status)) => Some(status),
            (Some(Word::StageFailed), _) => Some(0),
            _ => None,
        };
        if let Worker::Exited(status) = agent.worker {
            (agent.worker, agent.said) = (Worker::Gone, Some(Word::Exited(status)));
        }
        let mut position = agent.position();
        // What has left the pipe need not be told from its neighbours, and some agents do not.
        let packs = attempt.index.is_multiple_of(2) && self.config.on_restart == OnRestart::ReplayAll;
        let is_fed = |next: &&Begin| packs && next.bytes <= agent.consumed;
        let packed = position.begins.iter().skip(1).take_while(is_fed).count();
        let fed: Vec<_> = position.begins.drain(..packed).map(|begin| begin.unit).collect();
        let mut held = agent.grants[packed..].to_vec();
        held.extend(lie.map(|unit| Granted { unit, skip: Skip::None }));
        let (said, alive) = (agent.said, agent.worker == Worker::Alive);
        let was_awaited = self.scheduler.orders(attempt) == Orders::Rejoin;
        let rejoined = Event::Rejoined { attempt, fed, held, position: position.clone(), exited };
        self.tell(rejoined.clone());
        if let Some(unit) = lie.filter(|_| was_awaited && alive) {
            let is_of_another = self.agents.values().any(|other| {
                other.attempt != attempt
                    && other.back
                    && other.worker == Worker::Alive
                    && other.container
                    && other.granted.contains(&unit)
                    && self.scheduler.orders(other.attempt) == Orders::GoOn
            });
            let units = self.config.splits_per_epoch * self.config.epochs;
            if is_of_another || self.agents[&attempt].granted.contains(&unit) || unit >= units {
                assert!(matches!(self.scheduler.orders(attempt), Orders::Stop(_)), "a lie is believed");
            }
        }
        let is_believed = !matches!(self.scheduler.orders(attempt), Orders::Stop(_));
        self.agents.get_mut(&attempt).unwrap().has_lied = lie.is_some() && is_believed;
        // Told twice, it is no news.
        let view = self.scheduler.view();
        self.tell(rejoined);
        assert_eq!(self.scheduler.view(), view);
        match said {
            Some(Word::Failed) => {
                self.tell(Event::Failed { attempt, why: "the feed failed".into(), position, fatal: false });
            }
            Some(Word::StageFailed) if self.scheduler.orders(attempt) == Orders::Stage => {
                self.tell(Event::StageFailed { attempt, why: "no space".into() });
                self.agents.get_mut(&attempt).unwrap().staging = false;
            }
            _ => {}
        }
        self.obey(attempt);
    }

    /// An agent that is told to stop ends its container.
    pub(super) fn obey(&mut self, attempt: Attempt) {
        if let Orders::Stop(_) = self.scheduler.orders(attempt) {
            self.agents.get_mut(&attempt).unwrap().asked_to_end = true;
        }
    }

    /// Goes on from the records; whoever resumes a job has waited for what was left of its processes.
    pub(crate) fn resume(&mut self, workers: u32) {
        for agent in self.agents.values_mut() {
            (agent.container, agent.worker) = (false, Worker::Gone);
        }
        self.config.workers = workers;
        let left = self.agents.values().map(|agent| (agent.attempt, agent.journal()));
        let scheduler = Scheduler::resume(self.config.clone(), self.read(), left);
        (self.gathered, self.resumed_at) = (false, self.records.len());
        self.take_over(scheduler);
    }
}
