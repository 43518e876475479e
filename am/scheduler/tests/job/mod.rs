//! A job whose events are told one by one.
#![allow(dead_code, reason = "not every test needs everything")]

use core::time::Duration;
use std::collections::BTreeMap;

use forebay_scheduler::{
    Action, Ask, Attempt, Begin, Config, End, Event, Granted, Lease, LedgerRecord, OnRestart, Position,
    Scheduler, Skipped, Verdict,
};

pub(crate) const fn attempt(index: u32, number: u32) -> Attempt {
    Attempt { index, number }
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Units of 10 bytes and 5 records each, in order from the first.
pub(crate) fn begins(units: &[u64]) -> Vec<Begin> {
    let begin = |(at, &unit): (u64, &u64)| Begin {
        unit,
        bytes: at * 10,
        records: at * 5,
        skipped: Skipped::default(),
    };
    (0..).zip(units).map(begin).collect()
}

/// All of these units were written; `consumed` bytes were read.
pub(crate) fn position(units: &[u64], consumed: u64) -> Position {
    let (delivered, delivered_records) = (units.len() as u64 * 10, units.len() as u64 * 5);
    let begins = begins(units);
    Position { begins, delivered, delivered_records, consumed, whole: true, complete: false, ack: None }
}

pub(crate) fn complete(units: &[u64]) -> Position {
    Position { complete: true, ..position(units, units.len() as u64 * 10) }
}

pub(crate) struct Job {
    pub(crate) scheduler: Scheduler,
    pub(crate) now: Duration,
    pub(crate) actions: Vec<Action>,
    /// Units granted to each attempt, and how many have begun, as its agent knows.
    pub(crate) counts: BTreeMap<Attempt, (u64, u64)>,
}

impl Job {
    /// Begun, with no worker registered.
    pub(crate) fn begun(config: Config) -> Self {
        Self::of(Scheduler::new(config).unwrap())
    }

    pub(crate) fn of(scheduler: Scheduler) -> Self {
        let mut job = Self { scheduler, now: Duration::ZERO, actions: Vec::new(), counts: BTreeMap::new() };
        job.tell(Event::Start);
        job
    }

    /// With all workers registered.
    pub(crate) fn new(config: Config) -> Self {
        let workers = config.workers;
        let mut job = Self::begun(config);
        (0..workers).for_each(|index| job.tell(Event::Registered(attempt(index, 1))));
        job
    }

    pub(crate) fn tell(&mut self, event: Event) {
        match &event {
            Event::Rejoined { attempt, fed, held, position, .. } => {
                let (fed, begun) = (fed.len() as u64, position.begins.len() as u64);
                self.counts.insert(*attempt, (fed + held.len() as u64, fed + begun));
            }
            Event::Heartbeat(attempt, position) => {
                let begun = &mut self.counts.entry(*attempt).or_default().1;
                *begun = (*begun).max(position.begins.len() as u64);
            }
            _ => {}
        }
        self.actions = self.scheduler.handle(self.now, event);
    }

    pub(crate) fn tick(&mut self) {
        self.now = self.scheduler.wake_at().unwrap();
        self.tell(Event::Tick);
    }

    pub(crate) fn lease(&mut self, whose: Attempt, max: usize) -> Vec<u64> {
        self.granted(whose, max).into_iter().map(|granted| granted.unit).collect()
    }

    /// Asks for so many units, somewhere.
    pub(crate) fn ask(&mut self, whose: Attempt, max: usize) -> Lease {
        self.ask_at(whose, max, None)
    }

    pub(crate) fn ask_at(&mut self, whose: Attempt, max: usize, at: Option<u32>) -> Lease {
        let lease = self.ask_in_vain(whose, max, at);
        if let Lease::Granted(granted) = &lease {
            self.counts.entry(whose).or_default().0 += granted.len() as u64;
        }
        lease
    }

    /// Asks, and the agent does not hear the answer.
    pub(crate) fn ask_in_vain(&mut self, whose: Attempt, max: usize, at: Option<u32>) -> Lease {
        let (have, begun) = self.counts.get(&whose).copied().unwrap_or_default();
        self.scheduler.lease(self.now, whose, Ask { max, have, ahead: have.saturating_sub(begun), at })
    }

    pub(crate) fn granted(&mut self, whose: Attempt, max: usize) -> Vec<Granted> {
        match self.ask(whose, max) {
            Lease::Granted(granted) => granted,
            Lease::EndOfInput => Vec::new(),
            other => panic!("{whose}: {other:?}"),
        }
    }

    pub(crate) fn exited(&mut self, whose: Attempt, status: i32, position: Position) {
        self.tell(Event::Exited { attempt: whose, status, position });
    }

    pub(crate) fn killed(&mut self, whose: Attempt, position: Option<Position>) {
        self.tell(Event::ContainerEnded { attempt: whose, how: End::Signal(9), position });
    }

    pub(crate) fn done(&mut self, whose: Attempt, position: Position) {
        self.exited(whose, 0, position);
        assert!(self.actions.contains(&Action::StageOutput(whose)), "{:?}", self.actions);
        self.tell(Event::Staged { attempt: whose });
    }

    pub(crate) fn gone(&mut self, whose: Attempt) {
        self.tell(Event::ContainerEnded { attempt: whose, how: End::Exit(0), position: None });
    }

    /// The next attempt of a worker whose container is gone.
    pub(crate) fn again(&mut self, whose: Attempt) {
        self.tick();
        assert!(self.actions.contains(&Action::StartContainer(whose)), "{:?}", self.actions);
        self.tell(Event::Registered(whose));
    }

    pub(crate) fn told(&self) -> Vec<String> {
        self.actions
            .iter()
            .filter_map(|action| match action {
                Action::Tell(story) => Some(story.to_string()),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn records(&self) -> Vec<LedgerRecord> {
        self.actions
            .iter()
            .filter_map(|action| match action {
                Action::Record(record) => Some(record.clone()),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn verdict(&self) -> Option<Verdict> {
        self.actions.iter().find_map(|action| match action {
            Action::Finish(verdict) => Some(verdict.clone()),
            _ => None,
        })
    }
}

pub(crate) fn config(workers: u32, splits: u64) -> Config {
    Config::new("job_1", workers, splits, 1)
}

pub(crate) fn from_ack(workers: u32, splits: u64) -> Config {
    Config { on_restart: OnRestart::FromAck, ..config(workers, splits) }
}

pub(crate) fn returned(attempt: Attempt, again: Vec<std::ops::Range<u64>>) -> LedgerRecord {
    LedgerRecord::Returned { attempt, again, well: false }
}

pub(crate) fn ended(attempt: Attempt) -> LedgerRecord {
    LedgerRecord::Ended { attempt, free: false, memory: false }
}

pub(crate) const A: Attempt = attempt(0, 1);
pub(crate) const A2: Attempt = attempt(0, 2);
pub(crate) const B: Attempt = attempt(1, 1);
pub(crate) const B2: Attempt = attempt(1, 2);
