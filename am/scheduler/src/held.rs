//! What one attempt holds, and how far it has come in it.

use std::collections::VecDeque;

use crate::packed::Packed;
use crate::{Ack, Begin, Granted, OnRestart, Position, Skip};

/// A unit held that may still have to be told from its neighbours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) unit: u64,
    /// With what it was granted.
    pub(crate) skip: Skip,
    pub(crate) begin: Option<Begin>,
}

/// What one attempt holds: units that have left the pipe for good, then the open ones in the order of their delivery, of which the
/// first `begun` have begun.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Fed for good; only with [`OnRestart::ReplayAll`], where no more than their number matters.
    pub(crate) fed: Packed,
    pub(crate) open: VecDeque<Entry>,
    pub(crate) begun: usize,
    delivered: u64,
    delivered_records: u64,
    consumed: u64,
    whole: bool,
    complete: bool,
    acked_bytes: u64,
    acked_records: u64,
    /// As it was said last.
    pub(crate) ack: Option<Ack>,
    /// The very end was said; nothing that comes later is news.
    sealed: bool,
    /// At the end: the unit that was not read to its end, and the byte in it.
    pub(crate) partly: Option<(u64, u64)>,
}

/// Where a worker that ended well had come to, in the open units.
pub(crate) struct ReadTo {
    /// So many were read to their end.
    pub(crate) fed: usize,
    /// The byte of its own stream at which the next was left, if it was begun to be read.
    pub(crate) middle: Option<u64>,
}

impl Held {
    pub(crate) fn len(&self) -> u64 {
        self.fed.len() + self.open.len() as u64
    }

    pub(crate) fn grant(&mut self, granted: Granted) {
        self.open.push_back(Entry { unit: granted.unit, skip: granted.skip, begin: None });
    }

    /// The last `n` units granted, if none of them has begun.
    pub(crate) fn not_begun(&self, n: usize) -> Option<Vec<Granted>> {
        // Begins of the units before move none of these.
        let from = self.open.len().checked_sub(n).filter(|&from| from >= self.begun)?;
        let granted = |entry: &Entry| Granted { unit: entry.unit, skip: entry.skip };
        Some(self.open.range(from..).map(granted).collect())
    }

    /// Takes what is new in a position. Begins of units that are not held, or have begun already, are passed over.
    pub(crate) fn merge(&mut self, position: &Position, last_word: bool) {
        if self.sealed {
            return;
        }
        self.sealed = last_word;
        for begin in &position.begins {
            let mut not_begun = self.open.range(self.begun..);
            if let Some(at) = not_begun.position(|entry| entry.unit == begin.unit) {
                self.open[self.begun + at].begin = Some(*begin);
                self.open.swap(self.begun, self.begun + at);
                self.begun += 1;
            }
        }
        if last_word || position.delivered >= self.delivered {
            self.whole = position.whole;
        }
        self.complete |= position.complete;
        self.delivered = self.delivered.max(position.delivered);
        self.delivered_records = self.delivered_records.max(position.delivered_records);
        self.consumed = self.consumed.max(position.consumed);
        match position.ack {
            Some(Ack::Bytes(n)) => self.acked_bytes = self.acked_bytes.max(n),
            Some(Ack::Records(n)) => self.acked_records = self.acked_records.max(n),
            None => {}
        }
        self.ack = position.ack.or(self.ack);
    }

    /// Nobody knows what was delivered since it was said last.
    pub(crate) fn lose_sight(&mut self) {
        if !self.sealed {
            self.merge(&Position::of_journal(Vec::new(), None), true);
        }
    }

    /// The worker has read no further than here: what is behind the first `keep` open units is handed out.
    pub(crate) fn cut(&mut self, keep: usize) -> Vec<Entry> {
        self.begun = keep;
        self.whole = true;
        self.delivered = self.consumed;
        self.open.drain(keep..).collect()
    }

    /// How many open units a worker keeps that ended well, and the byte of the last of them at which it was left, if it was not read
    /// to its end.
    pub(crate) fn kept(&self) -> (usize, Option<u64>) {
        if self.complete {
            return (self.begun, None);
        }
        let read = self.read_to();
        (read.fed + usize::from(read.middle.is_some()), read.middle)
    }

    /// Lets go of all that is no longer needed of units that have left the pipe.
    pub(crate) fn pack(&mut self) {
        while self.begun >= 2 && self.open[1].begin.is_some_and(|next| next.bytes <= self.consumed) {
            let Some(entry) = self.open.pop_front() else { break };
            self.fed.push(entry.unit);
            self.begun -= 1;
        }
    }

    /// The first `n` open units have left the pipe.
    pub(crate) fn pack_first(&mut self, n: usize) {
        self.open.drain(..n.min(self.open.len())).for_each(|entry| self.fed.push(entry.unit));
    }

    /// How many units have left the pipe.
    pub(crate) fn fed(&self) -> u64 {
        self.fed.len() + self.read_to().fed as u64
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Bytes before the open unit `at`, which has begun.
    fn bytes_before(&self, at: usize) -> u64 {
        self.open[at].begin.map_or(0, |begin| begin.bytes)
    }

    /// Whether any byte of the open unit `at` may have left the pipe, behind `skip` if that is where it goes on.
    pub(crate) fn seen(&self, at: usize, skip: Option<Skip>) -> bool {
        let Some(begin) = self.open[at].begin else { return false };
        match skip {
            Some(Skip::Bytes(n)) => {
                self.consumed > begin.bytes.saturating_add(n.saturating_sub(begin.skipped.bytes))
            }
            Some(Skip::Records(n)) => {
                let acked = begin.records.saturating_add(n.saturating_sub(begin.skipped.records));
                self.consumed > begin.bytes && self.delivered_records > acked
            }
            _ => self.consumed > begin.bytes,
        }
    }

    /// How far the open units were read.
    pub(crate) fn read_to(&self) -> ReadTo {
        let is_fed = |at: usize| {
            if at + 1 < self.begun {
                self.consumed >= self.bytes_before(at + 1)
            } else {
                (self.whole || self.complete) && self.consumed >= self.delivered
            }
        };
        let fed = (0..self.begun).take_while(|&at| is_fed(at)).count();
        let begin = self.open.get(fed).and_then(|entry| entry.begin);
        let middle = begin.filter(|begin| self.consumed > begin.bytes);
        let byte = |begin: Begin| begin.skipped.bytes.saturating_add(self.consumed - begin.bytes);
        ReadTo { fed, middle: middle.map(byte) }
    }

    /// How many open units are wholly acknowledged, and where the one behind them goes on, if the acknowledgement reaches into it.
    pub(crate) fn acknowledged(&self) -> (usize, Option<Skip>) {
        let (bytes, records) =
            (self.acked_bytes.min(self.delivered), self.acked_records.min(self.delivered_records));
        let ends_by = |at: usize| match self.open.get(at + 1).filter(|_| at + 1 < self.begun) {
            Some(Entry { begin: Some(next), .. }) => {
                (bytes > 0 && next.bytes <= bytes) || (records > 0 && next.records <= records)
            }
            _ if !(self.whole || self.complete) => false,
            _ => {
                (bytes > 0 && self.delivered != Position::UNKNOWN && self.delivered <= bytes)
                    || (records > 0
                        && self.delivered_records != Position::UNKNOWN
                        && self.delivered_records <= records)
            }
        };
        let whole = (0..self.begun).take_while(|&at| ends_by(at)).count();
        let Some(Entry { begin: Some(begin), skip, .. }) = self.open.get(whole).copied() else {
            return (whole, None);
        };
        let by_bytes = (bytes > begin.bytes)
            .then(|| Skip::Bytes(begin.skipped.bytes.saturating_add(bytes - begin.bytes)));
        let by_records = (records > begin.records)
            .then(|| Skip::Records(begin.skipped.records.saturating_add(records - begin.records)));
        let reached = match self.ack {
            Some(Ack::Bytes(_)) => by_bytes.or(by_records),
            _ => by_records.or(by_bytes),
        };
        (whole, reached.map(|reached| further(skip, reached)))
    }

    /// An acknowledgement of more than was delivered, and what was.
    pub(crate) fn overstated(&self) -> Option<(Ack, u64)> {
        if self.acked_bytes > self.delivered {
            Some((Ack::Bytes(self.acked_bytes), self.delivered))
        } else if self.acked_records > self.delivered_records {
            Some((Ack::Records(self.acked_records), self.delivered_records))
        } else {
            None
        }
    }

    /// Whether units that were fed may be packed away.
    pub(crate) fn packs(on_restart: OnRestart) -> bool {
        on_restart == OnRestart::ReplayAll
    }
}

/// The later of two places in a unit; the new one where they cannot be compared.
fn further(granted: Skip, reached: Skip) -> Skip {
    match (granted, reached) {
        (Skip::Bytes(a), Skip::Bytes(b)) => Skip::Bytes(a.max(b)),
        (Skip::Records(a), Skip::Records(b)) => Skip::Records(a.max(b)),
        (granted, Skip::None) => granted,
        (_, reached) => reached,
    }
}
