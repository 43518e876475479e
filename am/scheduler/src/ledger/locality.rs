//! Which of the waiting units an attempt is given next, by where its host is.

use std::collections::BTreeMap;

use crate::Places;
use crate::intervals::Intervals;

/// The splits by host, and how far each host's list is known to be used up.
///
/// A list is walked from a cursor: all before it is known not to be wanted, until a unit comes back or another host's workers go.
/// So a walk costs what has changed since the last one, and not the length of the list.
#[derive(Debug)]
pub(super) struct Locality {
    places: Places,
    splits_per_epoch: u64,
    /// Where each host's list ends.
    ends: Vec<u32>,
    /// The splits of each host, ascending.
    lists: Vec<u32>,
    /// Living attempts that feed on each host.
    feeding: Vec<u32>,
    /// The hosts of each rack; empty where all hosts are of one rack.
    racks: BTreeMap<u32, Vec<u32>>,
    /// Of each host's list: what waits.
    waits: Vec<Cursor>,
    /// Of each host's list: what waits and lies on no host on which an attempt feeds.
    free: Vec<Cursor>,
    /// The same, of all splits.
    any_free: Cursor,
    /// Changes when splits may have become free.
    version: u64,
}

/// Nothing before `at` is wanted, in this epoch and version.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    epoch: u64,
    version: u64,
    at: u32,
}

impl Cursor {
    fn seek(&mut self, epoch: u64, version: u64) -> usize {
        if (self.epoch, self.version) != (epoch, version) {
            *self = Self { epoch, version, at: 0 };
        }
        self.at as usize
    }

    fn put(&mut self, at: usize) {
        self.at = u32::try_from(at).unwrap_or(u32::MAX);
    }

    fn back_to(&mut self, epoch: u64, at: usize) {
        if self.epoch == epoch {
            self.at = self.at.min(u32::try_from(at).unwrap_or(u32::MAX));
        }
    }
}

impl Locality {
    pub(super) fn new(places: Places, splits_per_epoch: u64) -> Self {
        let hosts = places.hosts();
        let mut ends = vec![0u32; hosts];
        for split in 0..places.splits() {
            places.hosts_of(split).iter().for_each(|&host| ends[host as usize] += 1);
        }
        let mut sum = 0;
        for end in &mut ends {
            // Where the list begins, until it is filled.
            (sum, *end) = (sum + *end, sum);
        }
        let mut lists = vec![0u32; sum as usize];
        for split in 0..places.splits() {
            for &host in places.hosts_of(split) {
                let end = &mut ends[host as usize];
                lists[*end as usize] = u32::try_from(split).unwrap_or(u32::MAX);
                *end += 1;
            }
        }
        let mut racks: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for host in 0..u32::try_from(hosts).unwrap_or(u32::MAX) {
            if let Some(rack) = places.rack(host) {
                racks.entry(rack).or_default().push(host);
            }
        }
        if racks.len() < 2 {
            racks.clear();
        }
        Self {
            places,
            splits_per_epoch,
            ends,
            lists,
            feeding: vec![0; hosts],
            racks,
            waits: vec![Cursor::default(); hosts],
            free: vec![Cursor::default(); hosts],
            any_free: Cursor::default(),
            version: 0,
        }
    }

    pub(super) fn feeds_at(&mut self, host: u32, feeds: bool) {
        let Some(feeding) = self.feeding.get_mut(host as usize) else { return };
        if feeds {
            *feeding += 1;
        } else {
            *feeding = feeding.saturating_sub(1);
            self.version += u64::from(*feeding == 0);
        }
    }

    /// A unit was given back.
    pub(super) fn waits_again(&mut self, unit: u64) {
        let (epoch, split) = (unit / self.splits_per_epoch, unit % self.splits_per_epoch);
        let Ok(split) = u32::try_from(split) else { return };
        for &host in self.places.hosts_of(split as usize) {
            let at = self.list(host).partition_point(|&other| other < split);
            self.waits[host as usize].back_to(epoch, at);
            self.free[host as usize].back_to(epoch, at);
        }
        self.any_free.back_to(epoch, split as usize);
    }

    /// The unit to be given next to an attempt on the host `at`. `None`: nothing waits.
    pub(super) fn next(&mut self, waiting: &Intervals, at: u32) -> Option<u64> {
        let lowest = waiting.first_from(0)?;
        if at as usize >= self.feeding.len() {
            return Some(lowest);
        }
        let epoch = lowest / self.splits_per_epoch;
        self.next_waiting(waiting, epoch, at)
            .or_else(|| self.of_rack(at, |this, host| this.next_free(waiting, epoch, host)))
            .or_else(|| self.next_free_anywhere(waiting, epoch))
            .or_else(|| self.of_rack(at, |this, host| this.next_waiting(waiting, epoch, host)))
            .or(Some(lowest))
    }

    fn list(&self, host: u32) -> &[u32] {
        let host = host as usize;
        let start = host.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.lists[start as usize..self.ends[host] as usize]
    }

    /// Whether nobody feeds where the split lies.
    fn is_free(&self, split: u32) -> bool {
        self.places.hosts_of(split as usize).iter().all(|&host| self.feeding[host as usize] == 0)
    }

    /// The lowest of what the hosts of the same rack have.
    fn of_rack(&mut self, at: u32, mut of_host: impl FnMut(&mut Self, u32) -> Option<u64>) -> Option<u64> {
        let rack = self.places.rack(at)?;
        // Lent, so that cursors can be moved meanwhile.
        let hosts = std::mem::take(self.racks.get_mut(&rack)?);
        let lowest = hosts.iter().filter(|&&host| host != at).filter_map(|&host| of_host(self, host)).min();
        self.racks.insert(rack, hosts);
        lowest
    }

    /// The lowest unit of the epoch that waits and lies on the host.
    fn next_waiting(&mut self, waiting: &Intervals, epoch: u64, host: u32) -> Option<u64> {
        let from = self.waits[host as usize].seek(epoch, 0);
        let (at, unit) = self.walk(waiting, epoch, host, from, |_| true);
        self.waits[host as usize].put(at);
        unit
    }

    /// The same, of splits that lie where nobody feeds.
    fn next_free(&mut self, waiting: &Intervals, epoch: u64, host: u32) -> Option<u64> {
        if self.feeding[host as usize] > 0 {
            return None;
        }
        let from = self.free[host as usize].seek(epoch, self.version);
        let (at, unit) = self.walk(waiting, epoch, host, from, |split| self.is_free(split));
        self.free[host as usize].put(at);
        unit
    }

    /// Walks a host's list to the first split that waits and is wanted.
    fn walk(
        &self,
        waiting: &Intervals,
        epoch: u64,
        host: u32,
        from: usize,
        wanted: impl Fn(u32) -> bool,
    ) -> (usize, Option<u64>) {
        let list = self.list(host);
        let first = epoch * self.splits_per_epoch;
        let mut at = from;
        while let Some(&split) = list.get(at) {
            let unit = first + u64::from(split);
            match waiting.first_from(unit) {
                Some(found) if found == unit && wanted(split) => return (at, Some(unit)),
                Some(found) if found == unit => at += 1,
                // Nothing waits before that one.
                Some(found) => at += list[at..].partition_point(|&split| first + u64::from(split) < found),
                None => break,
            }
        }
        (list.len().max(at), None)
    }

    /// The lowest unit of the epoch that waits and lies where nobody feeds.
    fn next_free_anywhere(&mut self, waiting: &Intervals, epoch: u64) -> Option<u64> {
        let (first, end) = (epoch * self.splits_per_epoch, (epoch + 1) * self.splits_per_epoch);
        let mut unit = first + self.any_free.seek(epoch, self.version) as u64;
        let found = loop {
            match waiting.first_from(unit).filter(|&unit| unit < end) {
                Some(next) if u32::try_from(next - first).is_ok_and(|split| !self.is_free(split)) => {
                    unit = next + 1;
                }
                found => break found,
            }
        };
        self.any_free.put(usize::try_from(found.unwrap_or(end) - first).unwrap_or(usize::MAX));
        found
    }
}
