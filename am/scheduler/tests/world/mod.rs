//! A small world around a scheduler: agents that feed bytes of made-up units, workers that read, acknowledge, exit, die or hang, an
//! application master that is killed between any two actions and goes on from its records.
#![expect(clippy::unwrap_used, clippy::panic, clippy::too_many_lines, reason = "helpers of tests")]

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use forebay_scheduler::{
    Ack, Action, Attempt, Begin, Config, EarlyExit, End, Event, Granted, Lease, LedgerRecord, OnRestart,
    Position, Scheduler, Skip, Skipped, Story, Verdict,
};

/// Lengths of the records of a unit: 0 to 3 records of 1 to 4 bytes.
pub(crate) fn records(unit: u64) -> Vec<u64> {
    (0..(unit * 7 + 3) % 4).map(|record| 1 + (unit + record * 3) % 4).collect()
}

pub(crate) fn bytes_of(unit: u64) -> u64 {
    records(unit).iter().sum()
}

/// What a skip leaves out of a unit.
fn skipped(unit: u64, skip: Skip) -> Skipped {
    let lengths = records(unit);
    match skip {
        Skip::None => Skipped::default(),
        Skip::Records(n) => {
            let n = usize::try_from(n).unwrap_or(usize::MAX).min(lengths.len());
            Skipped { bytes: lengths[..n].iter().sum(), records: n as u64 }
        }
        Skip::Bytes(n) => {
            let mut end = 0;
            let whole = lengths.iter().take_while(|&&length| {
                end += length;
                end <= n
            });
            Skipped { records: whole.count() as u64, bytes: n.min(bytes_of(unit)) }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Worker {
    Alive,
    /// Ended, and the agent has not said so.
    Exited(i32),
    /// Ended, and the agent has said so or is gone.
    Gone,
}

/// One attempt, from its container's start to whatever becomes of it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is independent")]
pub(crate) struct Agent {
    pub(crate) attempt: Attempt,
    pub(crate) container: bool,
    pub(crate) asked_to_end: bool,
    pub(crate) registered: bool,
    pub(crate) hung: bool,
    pub(crate) worker: Worker,
    queue: VecDeque<Granted>,
    pub(crate) granted: BTreeSet<u64>,
    pub(crate) begins: Vec<Begin>,
    /// Behind which byte of the stream each record ends.
    record_ends: Vec<u64>,
    /// What is left of the last unit begun.
    rest: u64,
    pub(crate) delivered: u64,
    pub(crate) consumed: u64,
    end: bool,
    pub(crate) ack: Option<Ack>,
    staging: bool,
}

impl Agent {
    fn new(attempt: Attempt) -> Self {
        Self {
            attempt,
            container: true,
            asked_to_end: false,
            registered: false,
            hung: false,
            worker: Worker::Alive,
            queue: VecDeque::new(),
            granted: BTreeSet::new(),
            begins: Vec::new(),
            record_ends: Vec::new(),
            rest: 0,
            delivered: 0,
            consumed: 0,
            end: false,
            ack: None,
            staging: false,
        }
    }

    fn records_by(&self, bytes: u64) -> u64 {
        self.record_ends.iter().filter(|&&end| end <= bytes).count() as u64
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.end && self.queue.is_empty() && self.rest == 0 && self.consumed == self.delivered
    }

    /// Writes up to `n` bytes; units without bytes in front of them begin too.
    fn deliver(&mut self, mut n: u64) {
        loop {
            let now = n.min(self.rest);
            (self.delivered, self.rest, n) = (self.delivered + now, self.rest - now, n - now);
            if n == 0 || self.rest > 0 {
                return;
            }
            let Some(Granted { unit, skip }) = self.queue.pop_front() else { return };
            let skipped = skipped(unit, skip);
            // Records are counted when they are whole.
            self.begins.push(Begin {
                unit,
                bytes: self.delivered,
                records: self.records_by(self.delivered),
                skipped,
            });
            self.rest = bytes_of(unit) - skipped.bytes;
            let mut end = 0;
            for length in records(unit) {
                end += length;
                if end > skipped.bytes {
                    self.record_ends.push(self.delivered + end - skipped.bytes);
                }
            }
        }
    }

    pub(crate) fn position(&self) -> Position {
        Position {
            begins: self.begins.clone(),
            delivered: self.delivered,
            delivered_records: self.records_by(self.delivered),
            consumed: self.consumed,
            whole: self.rest == 0,
            complete: self.is_complete(),
            ack: self.ack,
        }
    }

    pub(crate) fn journal(&self) -> Position {
        Position::of_journal(self.begins.clone(), self.ack)
    }

    fn acked_bytes(&self) -> u64 {
        match self.ack {
            None | Some(Ack::Records(0)) => 0,
            Some(Ack::Bytes(n)) => n,
            Some(Ack::Records(n)) => self.record_ends[usize::try_from(n).unwrap() - 1],
        }
    }

    /// The bytes of units in the first `bytes` of the stream.
    fn stream(&self, bytes: u64) -> Vec<(u64, u64)> {
        let ends = self.begins.iter().skip(1).map(|begin| begin.bytes).chain([self.delivered]);
        let parts = self.begins.iter().zip(ends).flat_map(|(begin, end)| {
            (begin.bytes..end.min(bytes)).map(|at| (begin.unit, begin.skipped.bytes + at - begin.bytes))
        });
        parts.collect()
    }
}

/// What may happen next.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Op {
    Register,
    Lease(usize),
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
    CommitFails,
}

pub(crate) struct World {
    pub(crate) config: Config,
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
    last: Option<Event>,
    /// The application master dies after so many actions.
    dies_after: Option<usize>,
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        let scheduler = Scheduler::new(config.clone()).unwrap();
        let mut world = Self {
            config,
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
            last: None,
            dies_after: None,
        };
        world.tell(Event::Start);
        world
    }

    /// Says an event to the scheduler and does what it asks.
    pub(crate) fn tell(&mut self, event: Event) {
        self.last = Some(event.clone());
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
        let units = self.scheduler.view().units;
        assert_eq!(units.total, units.waiting + units.leased + units.fed + units.done, "no unit is lost");
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
            Action::Finish(verdict) => self.verdict = Some(verdict),
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
            _ => {}
        }
        let Some(attempt) = self.pick(who) else { return };
        self.of_agent(attempt, op);
    }

    pub(crate) fn of_agent(&mut self, attempt: Attempt, op: Op) {
        let agent = self.agents.get_mut(&attempt).unwrap();
        let speaks = agent.registered && !agent.hung && agent.container;
        let feeds = speaks && agent.worker == Worker::Alive;
        match op {
            Op::Register if !agent.hung && !agent.registered => {
                agent.registered = true;
                self.tell(Event::Registered(attempt));
            }
            Op::Lease(max) if feeds && !agent.end => match self.scheduler.lease(self.now, attempt, max) {
                Lease::Granted(granted) => {
                    for grant in &granted {
                        let holder = self.agents.values().find(|other| {
                            other.attempt != attempt
                                && other.worker == Worker::Alive
                                && other.granted.contains(&grant.unit)
                        });
                        assert!(holder.is_none(), "{grant:?} goes to {attempt} while {holder:?} has it");
                    }
                    let agent = self.agents.get_mut(&attempt).unwrap();
                    agent.granted.extend(granted.iter().map(|grant| grant.unit));
                    agent.queue.extend(granted);
                }
                Lease::EndOfInput => agent.end = true,
                Lease::Refused(_) => agent.worker = Worker::Exited(143),
            },
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
                let position = agent.position();
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
                    agent.worker = Worker::Gone;
                    let position = agent.position();
                    self.tell(Event::Exited { attempt, status, position });
                }
            }
            Op::Fail if feeds => {
                agent.worker = Worker::Gone;
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
            Op::Hang => agent.hung = true,
            Op::Staged if speaks && agent.staging => {
                agent.staging = false;
                self.staged.insert(attempt);
                self.tell(Event::Staged { attempt });
            }
            Op::StageFailed if speaks && agent.staging => {
                agent.staging = false;
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

    /// The application master dies amid the actions that an event asks for, and all agents with it.
    fn kill_master(&mut self, who: usize, after: usize, workers: u32) {
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
        self.resume(workers);
    }

    /// Goes on from the records; whoever resumes a job has waited for what was left of its processes.
    pub(crate) fn resume(&mut self, workers: u32) {
        for agent in self.agents.values_mut() {
            (agent.container, agent.worker) = (false, Worker::Gone);
        }
        let lines: Vec<_> =
            self.records.iter().map(|record| serde_json::to_string(record).unwrap()).collect();
        let records: Vec<LedgerRecord> =
            lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(records, self.records);
        self.config.workers = workers;
        let left = self.agents.values().map(|agent| (agent.attempt, agent.journal()));
        match Scheduler::resume(self.config.clone(), records, left) {
            Ok(scheduler) => {
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
            let live: Vec<_> =
                self.agents.values().filter(|agent| agent.container).map(|agent| agent.attempt).collect();
            for attempt in live {
                for op in [
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
            if quiet || self.scheduler.wake_at().is_some_and(|at| at <= self.now + Duration::from_secs(2)) {
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
