//! Agents that feed bytes of made-up units, and their workers.

use std::collections::{BTreeSet, VecDeque};

use forebay_scheduler::{Ack, Ask, Attempt, Begin, Granted, Position, Skip, Skipped};

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

/// What an agent has said last of its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Exited(i32),
    Failed,
    StageFailed,
}

/// One attempt, from its container's start to whatever becomes of it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is independent")]
pub(crate) struct Agent {
    pub(crate) attempt: Attempt,
    /// Its container is there; its process may not be started yet.
    pub(crate) container: bool,
    pub(crate) launched: bool,
    /// It has said to this application master what it holds.
    pub(crate) back: bool,
    pub(crate) asked_to_end: bool,
    pub(crate) registered: bool,
    pub(crate) hung: bool,
    pub(crate) worker: Worker,
    /// The last words about its worker that may have to be said again.
    pub(crate) said: Option<Word>,
    pub(crate) queue: VecDeque<Granted>,
    /// In order.
    pub(crate) grants: Vec<Granted>,
    /// What it was granted last, if it has not heard of it.
    pub(crate) unheard: Vec<Granted>,
    pub(crate) granted: BTreeSet<u64>,
    /// It was believed to hold a unit that it was never granted.
    pub(crate) has_lied: bool,
    pub(crate) begins: Vec<Begin>,
    /// Behind which byte of the stream each record ends.
    record_ends: Vec<u64>,
    /// What is left of the last unit begun.
    rest: u64,
    pub(crate) delivered: u64,
    pub(crate) consumed: u64,
    pub(crate) end: bool,
    pub(crate) ack: Option<Ack>,
    pub(crate) staging: bool,
}

impl Agent {
    pub(crate) fn new(attempt: Attempt) -> Self {
        Self {
            attempt,
            container: true,
            launched: false,
            back: true,
            said: None,
            grants: Vec::new(),
            unheard: Vec::new(),
            asked_to_end: false,
            registered: false,
            hung: false,
            worker: Worker::Alive,
            queue: VecDeque::new(),
            granted: BTreeSet::new(),
            has_lied: false,
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

    /// Asks for up to `max` units.
    pub(crate) fn ask(&self, max: usize, hosts: u32) -> Ask {
        let at = (hosts > 0).then(|| self.attempt.index % hosts);
        Ask { max, have: self.grants.len() as u64, ahead: self.queue.len() as u64, at }
    }

    pub(crate) fn records_by(&self, bytes: u64) -> u64 {
        self.record_ends.iter().filter(|&&end| end <= bytes).count() as u64
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.end && self.queue.is_empty() && self.rest == 0 && self.consumed == self.delivered
    }

    /// Writes up to `n` bytes; units without bytes in front of them begin too.
    pub(crate) fn deliver(&mut self, mut n: u64) {
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

    pub(crate) fn acked_bytes(&self) -> u64 {
        match self.ack {
            None | Some(Ack::Records(0)) => 0,
            Some(Ack::Bytes(n)) => n,
            Some(Ack::Records(n)) => self.record_ends[usize::try_from(n).unwrap() - 1],
        }
    }

    /// The bytes of units in the first `bytes` of the stream.
    pub(crate) fn stream(&self, bytes: u64) -> Vec<(u64, u64)> {
        let ends = self.begins.iter().skip(1).map(|begin| begin.bytes).chain([self.delivered]);
        let parts = self.begins.iter().zip(ends).flat_map(|(begin, end)| {
            (begin.bytes..end.min(bytes)).map(|at| (begin.unit, begin.skipped.bytes + at - begin.bytes))
        });
        parts.collect()
    }
}
