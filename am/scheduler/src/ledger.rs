//! The ledger: where every unit is: waiting, held by one attempt, or done.

mod locality;
mod rejoin;
mod restore;

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::held::{Entry, Held};
use crate::intervals::Intervals;
use crate::{Ack, Attempt, Counts, Granted, Named, OnRestart, Places, Position, Skip};
use locality::Locality;
pub(crate) use rejoin::Contradiction;

/// A unit that was not read to its end by a worker that ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partly {
    /// The unit.
    pub unit: u64,
    /// The byte of its own stream behind the last one that was read.
    pub byte: u64,
}

/// Where a unit goes on that is acknowledged in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// The unit.
    pub unit: u64,
    /// What of it is acknowledged.
    pub skip: Skip,
}

/// What an acknowledgement has settled.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Acked {
    /// Units that are done by it.
    pub units: Vec<Range<u64>>,
    /// The unit it reaches into; only said when the attempt is over.
    pub next: Option<Next>,
}

impl Acked {
    /// How many units are done by it.
    pub fn count(&self) -> u64 {
        self.units.iter().map(|range| range.end - range.start).sum()
    }

    fn is_empty(&self) -> bool {
        self.units.is_empty() && self.next.is_none()
    }
}

/// What became of an attempt's units at its end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Returned {
    /// So many are waiting again.
    pub back: u64,
    /// Those of them that had begun to leave the pipe, and will be fed more than once.
    pub again: Vec<Range<u64>>,
    /// What was acknowledged and not settled before.
    pub acked: Option<Acked>,
    /// The worker acknowledged more than it was fed: the acknowledgement, and what was delivered.
    pub overstated: Option<(Ack, u64)>,
}

/// What a worker leaves that ended well.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exit {
    /// The units it gives back.
    pub returned: Returned,
    /// It keeps nothing: all that it had not acknowledged went back.
    pub empty_handed: bool,
    /// The split in whose middle it ended. It is still held.
    pub middle: Option<Partly>,
}

/// Where every unit is.
#[derive(Debug)]
pub struct Ledger {
    total: u64,
    splits_per_epoch: u64,
    on_restart: OnRestart,
    waiting: Intervals,
    locality: Option<Locality>,
    /// Of units that wait or are about to: where they go on.
    skips: BTreeMap<u64, Skip>,
    held: BTreeMap<Attempt, Held>,
    done: Intervals,
    again: Intervals,
    partly: Vec<Partly>,
    partly_count: u64,
}

impl Ledger {
    /// All units wait. `splits_per_epoch * epochs` must fit 64 bits (what does not is cut off).
    pub fn new(splits_per_epoch: u64, epochs: u64, on_restart: OnRestart) -> Self {
        let total = splits_per_epoch.saturating_mul(epochs);
        let mut waiting = Intervals::default();
        waiting.insert_range(0..total);
        Self {
            total,
            splits_per_epoch,
            on_restart,
            waiting,
            locality: None,
            skips: BTreeMap::new(),
            held: BTreeMap::new(),
            done: Intervals::default(),
            again: Intervals::default(),
            partly: Vec::new(),
            partly_count: 0,
        }
    }

    /// Says where the splits lie.
    pub fn set_places(&mut self, places: Places) {
        self.locality = Some(Locality::new(places, self.splits_per_epoch));
    }

    /// A living attempt feeds on the host `at`, or does no more: its splits are the last that others are given.
    pub fn feeds_at(&mut self, at: u32, feeds: bool) {
        if let Some(locality) = &mut self.locality {
            locality.feeds_at(at, feeds);
        }
    }

    /// Gives up to `max` of the waiting units to an attempt: an epoch before the next; those first that lie on the host `at`, then those of
    /// its rack, then others; the lowest first, so returned ones before new ones. Units of hosts on which others feed are the last.
    /// Empty when nothing waits.
    pub fn lease(&mut self, attempt: Attempt, max: usize, at: Option<u32>) -> Vec<Granted> {
        let mut granted = Vec::new();
        if let (Some(locality), Some(at)) = (&mut self.locality, at) {
            let mut units = Vec::new();
            while units.len() < max
                && let Some(unit) = locality.next(&self.waiting, at)
            {
                self.waiting.remove(unit);
                units.push(unit);
            }
            granted.extend(units.into_iter().map(|unit| self.grant(attempt, unit)));
        }
        while let Some(range) = self.waiting.pop(max.saturating_sub(granted.len()) as u64) {
            granted.extend(range.map(|unit| self.grant(attempt, unit)));
        }
        granted
    }

    /// Gives those of `units` that wait to an attempt.
    pub fn take(&mut self, attempt: Attempt, units: &[u64]) -> Vec<Granted> {
        let waiting: Vec<_> = units.iter().copied().filter(|&unit| self.waiting.remove(unit)).collect();
        waiting.into_iter().map(|unit| self.grant(attempt, unit)).collect()
    }

    fn grant(&mut self, attempt: Attempt, unit: u64) -> Granted {
        let granted = Granted { unit, skip: self.skips.remove(&unit).unwrap_or_default() };
        self.held.entry(attempt).or_default().grant(granted);
        granted
    }

    /// Takes note of how far a living attempt has come. Says what its acknowledgement has settled.
    pub fn note(&mut self, attempt: Attempt, position: &Position) -> Option<Acked> {
        let held = self.held.get_mut(&attempt)?;
        held.merge(position, false);
        if Held::packs(self.on_restart) {
            held.pack();
            return None;
        }
        let units = self.settle(attempt);
        (!units.is_empty()).then_some(Acked { units, next: None })
    }

    /// Units that are wholly acknowledged are done, whoever acknowledged them.
    fn settle(&mut self, attempt: Attempt) -> Vec<Range<u64>> {
        let Some(held) = self.held.get_mut(&attempt) else { return Vec::new() };
        let (whole, _) = held.acknowledged();
        held.begun -= whole;
        let settled: Intervals = held.open.drain(..whole).map(|entry| entry.unit).collect();
        settled.ranges().for_each(|range| self.done.insert_range(range));
        settled.ranges().collect()
    }

    /// An attempt is dead: what it held goes back, under `from-ack` but for what it acknowledged. `None`: of what it was fed no more is known
    /// than was said last.
    pub fn died(&mut self, attempt: Attempt, position: Option<&Position>) -> Returned {
        let Some(held) = self.held.get_mut(&attempt) else { return Returned::default() };
        match position {
            Some(position) => held.merge(position, true),
            None => held.lose_sight(),
        }
        self.give_up(attempt)
    }

    /// Takes from an attempt all that it holds and has not acknowledged.
    fn give_up(&mut self, attempt: Attempt) -> Returned {
        let mut acked = Acked::default();
        if self.on_restart == OnRestart::FromAck {
            acked.units = self.settle(attempt);
        }
        let Some(mut held) = self.held.remove(&attempt) else { return Returned::default() };
        let overstated = held.overstated();
        let mut goes_on = None;
        if self.on_restart == OnRestart::FromAck {
            goes_on = held.acknowledged().1;
        }
        let seen: Vec<_> =
            (0..held.open.len()).map(|at| held.seen(at, goes_on.filter(|_| at == 0))).collect();
        if let (Some(skip), Some(front)) = (goes_on, held.open.front_mut()) {
            front.skip = skip;
            acked.next = Some(Next { unit: front.unit, skip });
        }
        let back = held.len();
        let open = held.open.iter().zip(&seen).filter(|&(_, &seen)| seen).map(|(entry, _)| entry.unit);
        let again: Intervals = held.fed.iter().chain(open).collect();
        again.ranges().for_each(|range| self.again.insert_range(range));
        held.fed.iter().for_each(|unit| self.wait_again(unit));
        held.open.drain(..).for_each(|entry| self.give_back(entry));
        Returned {
            back,
            again: again.ranges().collect(),
            acked: (!acked.is_empty()).then_some(acked),
            overstated,
        }
    }

    fn wait_again(&mut self, unit: u64) {
        self.waiting.insert(unit);
        if let Some(locality) = &mut self.locality {
            locality.waits_again(unit);
        }
    }

    fn give_back(&mut self, entry: Entry) {
        self.wait_again(entry.unit);
        if entry.skip != Skip::None {
            self.skips.insert(entry.unit, entry.skip);
        }
    }

    /// A worker ended well. What it has read stays held until its output is staged; what it has not goes back.
    pub fn exited_well(&mut self, attempt: Attempt, position: &Position) -> Exit {
        let Some(held) = self.held.get_mut(&attempt) else { return Exit::default() };
        held.merge(position, true);
        let overstated = held.overstated();
        if self.on_restart == OnRestart::FromAck && !held.is_complete() {
            return Exit { returned: self.give_up(attempt), empty_handed: true, middle: None };
        }
        let (keep, byte) = held.kept();
        let middle = byte.map(|byte| Partly { unit: held.open[keep - 1].unit, byte });
        held.partly = middle.map(|partly| (partly.unit, partly.byte));
        let unread = held.cut(keep);
        let back = unread.len() as u64;
        for entry in unread {
            self.give_back(entry);
        }
        Exit { returned: Returned { back, overstated, ..Returned::default() }, empty_handed: false, middle }
    }

    /// An attempt's output is staged: all that it still holds is done.
    pub fn staged(&mut self, attempt: Attempt) -> (Vec<Range<u64>>, Option<Partly>) {
        let held = self.held.remove(&attempt).unwrap_or_default();
        let open = held.open.iter().map(|entry| entry.unit);
        let units: Intervals = held.fed.iter().chain(open).collect();
        units.ranges().for_each(|range| self.done.insert_range(range));
        let partly = held.partly.map(|(unit, byte)| Partly { unit, byte });
        if let Some(partly) = partly {
            self.close_partly(partly);
        }
        (units.ranges().collect(), partly)
    }

    /// Whether any unit waits.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The units that wait, the first few by name.
    pub fn waiting(&self) -> Named {
        Named::of(&self.waiting)
    }

    pub(crate) fn waiting_units(&self) -> impl Iterator<Item = u64> + '_ {
        self.waiting.iter()
    }

    pub(crate) fn counts_waiting(&self) -> u64 {
        self.waiting.len()
    }

    /// The last `n` units that an attempt was granted, if none of them has begun.
    pub(crate) fn not_begun(&self, attempt: Attempt, n: u64) -> Option<Vec<Granted>> {
        self.held.get(&attempt)?.not_begun(usize::try_from(n).ok()?)
    }

    /// The units that went back after they had begun to leave a pipe, the first few by name.
    pub fn again(&self) -> Named {
        Named::of(&self.again)
    }

    /// The first few of the units that were not read to their end, and how many they are.
    pub fn partly(&self) -> (&[Partly], u64) {
        (&self.partly, self.partly_count)
    }

    /// What an attempt holds: units not yet fed, units fed, and its last acknowledgement.
    pub fn held(&self, attempt: Attempt) -> (u64, u64, Option<Ack>) {
        self.held.get(&attempt).map_or((0, 0, None), |held| (held.len() - held.fed(), held.fed(), held.ack))
    }

    /// How many units are where.
    pub fn counts(&self) -> Counts {
        let fed = self.held.values().map(Held::fed).sum();
        let held: u64 = self.held.values().map(Held::len).sum();
        Counts {
            total: self.total,
            waiting: self.waiting.len(),
            leased: held - fed,
            fed,
            done: self.done.len(),
        }
    }
}
