//! A small world around a scheduler: agents that feed bytes of made-up units, workers that read, acknowledge, exit, die or hang, an
//! application master that is killed between any two actions and goes on from its records, alone or with the agents that live on.
#![expect(clippy::unwrap_used, clippy::panic, clippy::too_many_lines, reason = "helpers of tests")]

mod agent;
mod masters;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use forebay_scheduler::{
    Ack, Action, Attempt, ClusterEnd, Config, EarlyExit, End, Event, Lease, LedgerRecord, OnRestart, Places,
    Position, Refusal, Scheduler, Story, Verdict,
};

use agent::{Agent, Word, Worker, bytes_of};

/// What may happen next.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Op {
    Launch,
    Register,
    Lease(usize),
    /// The same, and the answer is lost.
    LoseLease(usize),
    Deliver(u64),
    /// Lease, deliver, consume, tell.
    Feed {
        max: usize,
        deliver: u64,
        consume: u64,
    },
    Consume(u64),
    AckBytes(u64),
    AckRecords(u64),
    Heartbeat,
    StaleHeartbeat,
    ExitWell,
    ExitBadly,
    SayExit,
    Fail,
    KillAgent {
        known: bool,
    },
    Hang,
    Staged,
    StageFailed,
    ContainerEnds,
    Pass(u64),
    Wake,
    Repeat,
    Stop,
    KillMaster {
        after: usize,
        workers: u32,
    },
    /// The application master dies, its containers live on but for the `lost` (bits). A grant of so many units is `unheard`.
    ReplaceMaster {
        after: usize,
        lost: u8,
        unheard: usize,
    },
    Rejoin,
    /// Comes back and says that it holds this unit, too.
    Lie(u64),
    /// It is found which containers are not there.
    NotThere,
    ClusterEnds {
        what: ClusterEnd,
        known: bool,
    },
    Shortage,
    CommitFails,
}

#[expect(clippy::struct_excessive_bools, reason = "each is independent")]
pub(crate) struct World {
    pub(crate) config: Config,
    /// Where the splits lie, if that is known.
    pub(crate) places: Option<Places>,
    /// Nothing is heard of how far living agents are.
    pub(crate) lags: bool,
    pub(crate) scheduler: Scheduler,
    pub(crate) now: Duration,
    pub(crate) agents: BTreeMap<Attempt, Agent>,
    pub(crate) records: Vec<LedgerRecord>,
    pub(crate) staged: BTreeSet<Attempt>,
    pub(crate) commits: Vec<Vec<Attempt>>,
    pub(crate) committing: bool,
    pub(crate) aborted: bool,
    left_behind: BTreeSet<Attempt>,
    pub(crate) verdict: Option<Verdict>,
    pub(crate) told: Vec<String>,
    /// All workers were there, so that units may be given.
    gathered: bool,
    /// The records before are of earlier runs of the job.
    resumed_at: usize,
    /// Some attempt was told to ask again.
    waits: bool,
    last: Option<Event>,
    /// The application master dies after so many actions.
    dies_after: Option<usize>,
}

impl World {
    pub(crate) fn new(config: Config, places: Option<Places>, lags: bool) -> Self {
        let mut scheduler = Scheduler::new(config.clone()).unwrap();
        if let Some(places) = &places {
            scheduler.set_places(places.clone()).unwrap();
        }
        let mut world = Self {
            config,
            places,
            lags,
            scheduler,
            now: Duration::ZERO,
            agents: BTreeMap::new(),
            records: Vec::new(),
            staged: BTreeSet::new(),
            commits: Vec::new(),
            committing: false,
            aborted: false,
            left_behind: BTreeSet::new(),
            verdict: None,
            told: Vec::new(),
            gathered: false,
            resumed_at: 0,
            waits: false,
            last: None,
            dies_after: None,
        };
        world.tell(Event::Start);
        world
    }

    /// Says an event to the scheduler and does what it asks.
    pub(crate) fn tell(&mut self, event: Event) {
        self.last = Some(event.clone());
        let is_end = matches!(event, Event::ContainerEnded { .. } | Event::Start);
        let actions = self.scheduler.handle(self.now, event);
        let over = self.verdict.is_some();
        assert!(!over || actions.is_empty(), "{actions:?} after the end");
        for action in actions {
            match &mut self.dies_after {
                Some(0) => return,
                Some(left) => *left -= 1,
                None => {}
            }
            assert!(self.verdict.is_none(), "{action:?} behind the last action");
            self.act(action);
        }
        let view = self.scheduler.view();
        let units = view.units;
        assert_eq!(units.total, units.waiting + units.leased + units.fed + units.done, "no unit is lost");
        assert!(view.workers.iter().all(|worker| worker.restarts <= self.config.max_restarts));
        if is_end {
            self.check_memory_steps();
        }
    }

    fn check_memory_steps(&self) {
        let mut steps: BTreeMap<u32, u32> = BTreeMap::new();
        for record in &self.records {
            if let LedgerRecord::Ended { attempt, memory: true, .. } = record {
                *steps.entry(attempt.index).or_default() += 1;
            }
        }
        for worker in self.scheduler.view().workers {
            let index = worker.attempt.index;
            let expected = steps.get(&index).copied().unwrap_or(0);
            assert_eq!(self.scheduler.memory_steps(index), expected);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::StartContainer(attempt) => {
                let other = self
                    .agents
                    .values()
                    .find(|agent| agent.attempt.index == attempt.index && agent.container);
                assert!(other.is_none(), "{attempt} starts beside {other:?}");
                assert!(
                    self.agents.insert(attempt, Agent::new(attempt)).is_none(),
                    "{attempt} was used before"
                );
            }
            Action::EndContainer(attempt, _) => self.agents.get_mut(&attempt).unwrap().asked_to_end = true,
            Action::GangReady => self.gathered = true,
            Action::StageOutput(attempt) => self.agents.get_mut(&attempt).unwrap().staging = true,
            Action::DiscardOutput(attempt) => {
                assert!(
                    self.agents.get(&attempt).is_none_or(|agent| !agent.container),
                    "{attempt} may still write"
                );
                self.staged.remove(&attempt);
            }
            Action::Record(record) => self.records.push(record),
            Action::Commit(attempts) => {
                assert!(attempts.iter().all(|attempt| self.staged.contains(attempt)));
                self.commits.push(attempts);
                self.committing = true;
            }
            Action::Abort => {
                assert!(self.commits.is_empty());
                assert!(self.is_empty());
                self.aborted = true;
                self.staged.clear();
            }
            Action::Finish(verdict) => {
                let mut records = self.records[self.resumed_at..].iter();
                let decided = records.find_map(|record| match record {
                    LedgerRecord::Ending { verdict } => Some(verdict),
                    _ => None,
                });
                assert!(
                    decided.is_none_or(|decided| *decided == verdict),
                    "{decided:?}, and then {verdict:?}"
                );
                self.verdict = Some(verdict);
            }
            Action::Tell(story) => {
                if let Story::LeftBehind { attempt } = story {
                    self.left_behind.insert(attempt);
                }
                self.told.push(story.to_string());
            }
        }
    }

    /// An agent with a container, if there is one.
    fn pick(&self, who: usize) -> Option<Attempt> {
        let live: Vec<_> =
            self.agents.values().filter(|agent| agent.container).map(|agent| agent.attempt).collect();
        (!live.is_empty()).then(|| live[who % live.len()])
    }

    pub(crate) fn step(&mut self, who: usize, op: Op) {
        if matches!(self.verdict, Some(Verdict::Stopped { .. } | Verdict::CommitFailed { .. })) {
            self.check();
            self.resume(self.config.workers);
        }
        match op {
            Op::Pass(ms) => {
                self.now += Duration::from_millis(ms);
                return self.tell(Event::Tick);
            }
            Op::Wake => {
                if let Some(at) = self.scheduler.wake_at() {
                    self.now = self.now.max(at);
                    self.tell(Event::Tick);
                }
                return;
            }
            Op::Repeat => {
                // Not of a heartbeat: what it says may be older than what was said since, which is another case.
                if let Some(event) = self.last.clone().filter(|event| !matches!(event, Event::Heartbeat(..)))
                {
                    self.tell(event);
                }
                return;
            }
            Op::Stop => return self.tell(Event::Stop { why: "asked".into() }),
            Op::CommitFails if self.committing => {
                self.committing = false;
                return self.tell(Event::CommitFailed { why: "HDFS went away".into() });
            }
            Op::KillMaster { after, workers } => return self.kill_master(who, after, workers),
            Op::ReplaceMaster { after, lost, unheard } => {
                return self.replace_master(who, after, lost, unheard);
            }
            Op::NotThere => return self.not_there(),
            Op::Shortage => return self.tell(Event::Shortage { why: "the queue is full".into() }),
            _ => {}
        }
        let Some(attempt) = self.pick(who) else { return };
        self.of_agent(attempt, op);
    }

    /// An attempt asks for units.
    fn lease(&mut self, attempt: Attempt, max: usize, is_heard: bool) {
        let hosts = self.places.as_ref().map_or(0, |places| u32::try_from(places.hosts()).unwrap());
        let agent = self.agents.get_mut(&attempt).unwrap();
        let (queued, unheard) = (agent.queue.len(), std::mem::take(&mut agent.unheard));
        match self.scheduler.lease(self.now, attempt, agent.ask(max, hosts)) {
            Lease::Granted(granted) => {
                assert!(unheard.is_empty() || unheard == granted, "{granted:?} rather than {unheard:?}");
                for grant in &granted {
                    let holder = self.agents.values().find(|other| {
                        other.attempt != attempt
                            && other.worker == Worker::Alive
                            && other.granted.contains(&grant.unit)
                    });
                    assert!(holder.is_none(), "{grant:?} goes to {attempt} while {holder:?} has it");
                }
                assert!(self.gathered || self.config.gang.is_none(), "{granted:?} before all are there");
                let agent = self.agents.get_mut(&attempt).unwrap();
                if is_heard {
                    agent.granted.extend(granted.iter().map(|grant| grant.unit));
                    agent.grants.extend(&granted);
                    agent.queue.extend(granted);
                } else {
                    agent.unheard = granted;
                }
            }
            Lease::EndOfInput => {
                assert_eq!(unheard, []);
                agent.end = is_heard;
            }
            Lease::Wait => {
                agent.unheard = unheard;
                self.waits = true;
            }
            Lease::Enough => {
                assert_eq!(unheard, []);
                assert!(self.config.fair && self.config.workers > 1 && queued >= 2, "{attempt} starves");
            }
            Lease::Refused(refusal) => {
                // Whoever claims more than it has is found out when it asks for more.
                let has_lied = self.agents[&attempt].has_lied;
                assert!(has_lied || !matches!(refusal, Refusal::Miscounts { .. }), "{attempt}: {refusal}");
                if is_heard {
                    let agent = self.agents.get_mut(&attempt).unwrap();
                    agent.worker = Worker::Exited(143);
                }
            }
        }
    }

    pub(crate) fn of_agent(&mut self, attempt: Attempt, op: Op) {
        let agent = self.agents.get_mut(&attempt).unwrap();
        let speaks = agent.registered && !agent.hung && agent.container && agent.back;
        let feeds = speaks && agent.worker == Worker::Alive;
        match op {
            Op::Launch if !agent.launched => {
                agent.launched = true;
                self.tell(Event::Launched(attempt));
            }
            // Said again while others are waited for.
            Op::Register
                if agent.launched && !agent.hung && (!agent.registered || agent.back && !self.gathered) =>
            {
                (agent.registered, agent.back) = (true, true);
                self.tell(Event::Registered(attempt));
                self.obey(attempt);
            }
            Op::Rejoin if agent.registered && !agent.back && !agent.hung && agent.container => {
                self.rejoin(attempt, None);
            }
            Op::Lie(unit) if agent.registered && !agent.back && !agent.hung && agent.container => {
                self.rejoin(attempt, Some(unit));
            }
            Op::Lease(max) if feeds && !agent.end => self.lease(attempt, max, true),
            Op::LoseLease(max) if feeds && !agent.end => self.lease(attempt, max, false),
            Op::Feed { max, deliver, consume } => {
                for op in [Op::Lease(max), Op::Deliver(deliver), Op::Consume(consume), Op::Heartbeat] {
                    self.of_agent(attempt, op);
                }
            }
            Op::Deliver(n) if feeds => agent.deliver(n),
            Op::Consume(n) if agent.worker == Worker::Alive => {
                agent.consumed = (agent.consumed + n).min(agent.delivered);
            }
            Op::AckBytes(behind) if agent.worker == Worker::Alive => {
                let bytes = agent.consumed.saturating_sub(behind).max(agent.acked_bytes());
                agent.ack = Some(Ack::Bytes(bytes));
            }
            Op::AckRecords(behind) if agent.worker == Worker::Alive => {
                let records = agent.records_by(agent.consumed).saturating_sub(behind);
                if records > agent.records_by(agent.acked_bytes()) {
                    agent.ack = Some(Ack::Records(records));
                }
            }
            Op::Heartbeat if speaks => {
                let position = if self.lags { Position::default() } else { agent.position() };
                self.tell(Event::Heartbeat(attempt, position));
            }
            Op::StaleHeartbeat => {
                let stale = Attempt { number: attempt.number.saturating_sub(1), ..attempt };
                let position = self.agents.get(&stale).map(Agent::position).unwrap_or_default();
                self.tell(Event::Heartbeat(stale, position.clone()));
                self.tell(Event::Exited { attempt: stale, status: 0, position });
                self.tell(Event::Staged { attempt: stale });
                self.tell(Event::ContainerEnded { attempt: stale, how: End::Exit(0), position: None });
            }
            Op::ExitWell if agent.worker == Worker::Alive && agent.registered => {
                agent.worker = Worker::Exited(0);
            }
            Op::ExitBadly if agent.worker == Worker::Alive && agent.registered => {
                agent.worker = Worker::Exited(1);
            }
            Op::SayExit if speaks => {
                if let Worker::Exited(status) = agent.worker {
                    (agent.worker, agent.said) = (Worker::Gone, Some(Word::Exited(status)));
                    let position = agent.position();
                    self.tell(Event::Exited { attempt, status, position });
                }
            }
            Op::Fail if feeds => {
                (agent.worker, agent.said) = (Worker::Gone, Some(Word::Failed));
                let position = agent.position();
                self.tell(Event::Failed { attempt, why: "the feed failed".into(), position, fatal: false });
            }
            Op::KillAgent { known } => {
                agent.worker = Worker::Gone;
                agent.container = false;
                let known = known || self.config.on_restart == OnRestart::FromAck;
                let position = known.then(|| agent.journal());
                self.tell(Event::ContainerEnded { attempt, how: End::Signal(9), position });
            }
            Op::ClusterEnds { what, known } => {
                (agent.worker, agent.container) = (Worker::Gone, false);
                let known = known || self.config.on_restart == OnRestart::FromAck;
                let position = known.then(|| agent.journal());
                let how = End::Cluster { what, why: "its words".into() };
                self.tell(Event::ContainerEnded { attempt, how, position });
            }
            Op::Hang => agent.hung = true,
            Op::Staged if speaks && agent.staging => {
                agent.staging = false;
                self.staged.insert(attempt);
                self.tell(Event::Staged { attempt });
            }
            Op::StageFailed if speaks && agent.staging => {
                (agent.staging, agent.said) = (false, Some(Word::StageFailed));
                self.tell(Event::StageFailed { attempt, why: "no space".into() });
            }
            Op::ContainerEnds
                if agent.asked_to_end || (speaks && agent.worker == Worker::Gone && !agent.staging) =>
            {
                agent.worker = Worker::Gone;
                agent.container = false;
                let position = Some(agent.journal());
                self.tell(Event::ContainerEnded { attempt, how: End::Exit(0), position });
            }
            _ => {}
        }
    }

    /// Lets everything go well from here on.
    pub(crate) fn run_to_the_end(&mut self) {
        for _ in 0..20_000 {
            if self.verdict.is_some() {
                return;
            }
            if self.committing {
                self.committing = false;
                self.tell(Event::Committed);
                continue;
            }
            self.not_there();
            self.waits = false;
            let live: Vec<_> =
                self.agents.values().filter(|agent| agent.container).map(|agent| agent.attempt).collect();
            for attempt in live {
                for op in [
                    Op::Launch,
                    Op::Rejoin,
                    Op::Register,
                    Op::Lease(2),
                    Op::Deliver(50),
                    Op::Consume(50),
                    Op::AckRecords(1),
                    Op::Heartbeat,
                ] {
                    self.of_agent(attempt, op);
                }
                let agent = &self.agents[&attempt];
                if agent.is_complete() {
                    self.of_agent(attempt, Op::ExitWell);
                }
                for op in [Op::SayExit, Op::Staged, Op::ContainerEnds] {
                    self.of_agent(attempt, op);
                }
            }
            let quiet = !self.agents.values().any(|agent| agent.container && !agent.hung);
            if quiet
                || self.waits
                || self.scheduler.wake_at().is_some_and(|at| at <= self.now + Duration::from_secs(2))
            {
                self.step(0, Op::Wake);
            }
        }
        panic!("the job does not end: {:?}\n{:#?}", self.scheduler.view(), self.told);
    }

    /// Checks what was committed against the units.
    pub(crate) fn check(&self) {
        match self.verdict.as_ref().unwrap() {
            Verdict::Succeeded => self.check_delivered(),
            Verdict::Failed { .. } => assert!(self.aborted && self.commits.is_empty()),
            Verdict::Stopped { .. } | Verdict::CommitFailed { .. } => assert!(!self.aborted),
        }
        assert!(self.is_empty(), "a container is left");
    }

    /// No container is there, but for those that were given up, which is told.
    fn is_empty(&self) -> bool {
        self.agents.values().all(|agent| !agent.container || self.left_behind.contains(&agent.attempt))
    }

    fn check_delivered(&self) {
        let committed: BTreeSet<_> = self.commits.last().unwrap().iter().copied().collect();
        let mut times: BTreeMap<(u64, u64), u32> = BTreeMap::new();
        for agent in self.agents.values() {
            let counts = committed.contains(&agent.attempt);
            let upto = match self.config.on_restart {
                OnRestart::ReplayAll if !counts => continue,
                OnRestart::ReplayAll => agent.consumed,
                OnRestart::FromAck if counts && agent.is_complete() => agent.delivered,
                OnRestart::FromAck => agent.acked_bytes(),
            };
            for byte in agent.stream(upto) {
                *times.entry(byte).or_default() += 1;
            }
        }
        let twice: Vec<_> = times.iter().filter(|&(_, &n)| n > 1).collect();
        assert!(twice.is_empty(), "more than once: {twice:?}\n{:#?}", self.told);
        let all = (0..self.config.splits_per_epoch * self.config.epochs)
            .flat_map(|unit| (0..bytes_of(unit)).map(move |byte| (unit, byte)));
        let missing: Vec<_> = all.filter(|byte| !times.contains_key(byte)).collect();
        if self.config.early_exit == EarlyExit::Fail {
            assert!(missing.is_empty(), "never: {missing:?}\n{:#?}", self.told);
        } else {
            let excused = self.told.iter().any(|line| line.contains("unread") || line.contains("only"));
            assert!(missing.is_empty() || excused, "never, and not told: {missing:?}\n{:#?}", self.told);
        }
    }
}
