//! Which of a block's DataNodes is asked first: by distance, and by what was seen of them. No I/O, and no clock of its own.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// For how long what was seen of a DataNode counts, and one that has failed is asked last.
const REMEMBERED: Duration = Duration::from_secs(30);
/// How many times faster another DataNode must have been for one to count as slow.
const TIMES_FASTER: f64 = 4.0;
/// What a DataNode is expected to give that nothing is known of yet, in bytes per second.
const EXPECTED: f64 = 80e6;

/// A DataNode that has a block.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// `HOST:PORT`.
    pub(super) address: String,
    /// It runs on this host.
    pub(super) is_here: bool,
    /// Empty where the NameNode says nothing.
    pub(super) rack: String,
}

/// The nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Distance {
    Host,
    Rack,
    Other,
}

/// What was seen of the DataNodes of a cluster.
#[derive(Debug, Default)]
pub(super) struct Seen {
    nodes: HashMap<String, Node>,
    /// That of this host, once a DataNode of it was met.
    rack: Option<String>,
}

#[derive(Debug, Default)]
struct Node {
    failed: Option<Instant>,
    overtaken: Option<Instant>,
    /// Bytes per second.
    rate: Option<(f64, Instant)>,
}

impl Node {
    fn is_avoided(&self, now: Instant) -> bool {
        is_recent(self.failed, now)
    }

    fn rate(&self, now: Instant) -> Option<f64> {
        self.rate.filter(|(_, at)| is_recent(Some(*at), now)).map(|(rate, _)| rate)
    }
}

fn is_recent(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| now.saturating_duration_since(at) < REMEMBERED)
}

impl Seen {
    /// It has failed, or is slow: it is asked last for a while.
    pub(super) fn avoid(&mut self, address: &str, now: Instant) {
        self.node(address).failed = Some(now);
    }

    pub(super) fn is_avoided(&self, address: &str, now: Instant) -> bool {
        self.nodes.get(address).is_some_and(|node| node.is_avoided(now))
    }

    /// It was late, and another one that was asked for the same was there first. Once may be chance.
    pub(super) fn overtaken(&mut self, address: &str, now: Instant) {
        let node = self.node(address);
        if is_recent(node.overtaken.replace(now), now) {
            node.failed = Some(now);
        }
    }

    /// So many bytes per second came from it, while they were waited for. Newer figures count as much as all older ones.
    pub(super) fn note(&mut self, address: &str, rate: f64, now: Instant) {
        let node = self.node(address);
        let rate = node.rate(now).map_or(rate, |known| f64::midpoint(known, rate));
        node.rate = Some((rate, now));
    }

    /// So many bytes per second came from it, and more might have.
    pub(super) fn note_at_least(&mut self, address: &str, rate: f64, now: Instant) {
        let node = self.node(address);
        if node.rate(now).is_none_or(|known| known < rate) {
            node.rate = Some((rate, now));
        }
    }

    /// Who is asked, in this order. Who is avoided comes last, before them who is known to be slow; of the others the nearest come
    /// first, and what is alike in all of that stays as the NameNode has sorted it.
    pub(super) fn order(&mut self, candidates: &[Candidate], now: Instant) -> Vec<String> {
        // The NameNode has its own idea of where we are, from our address; a DataNode beside us knows better.
        let beside = candidates.iter().find(|candidate| candidate.is_here && !candidate.rack.is_empty());
        if let Some(beside) = beside {
            self.rack = Some(beside.rack.clone());
        }
        let mut order: Vec<_> = candidates
            .iter()
            .map(|candidate| {
                let address = &candidate.address;
                let key = (
                    self.is_avoided(address, now),
                    self.is_slow(candidates, address, now),
                    self.distance(candidate),
                );
                (key, address)
            })
            .collect();
        order.sort_by_key(|(key, _)| *key);
        order.into_iter().map(|(_, address)| address.clone()).collect()
    }

    /// The most that may be expected from another one of them that is not avoided, in bytes per second; `None` if there is none.
    pub(super) fn elsewhere(&self, candidates: &[Candidate], address: &str, now: Instant) -> Option<f64> {
        let others = candidates
            .iter()
            .map(|other| other.address.as_str())
            .filter(|other| *other != address && !self.is_avoided(other, now));
        // Nobody is expected to give more than the best one that was seen: the network may be what limits all of them.
        let best = self.nodes.values().filter_map(|node| node.rate(now)).max_by(f64::total_cmp);
        let expected = best.map_or(EXPECTED, |best| best.min(EXPECTED));
        others.map(|other| self.rate(other, now).unwrap_or(expected)).max_by(f64::total_cmp)
    }

    /// Whether so many bytes per second are slow beside what another one gives.
    pub(super) fn are_slow(rate: f64, elsewhere: f64) -> bool {
        rate * TIMES_FASTER < elsewhere
    }

    fn is_slow(&self, candidates: &[Candidate], address: &str, now: Instant) -> bool {
        let rates = self.rate(address, now).zip(self.elsewhere(candidates, address, now));
        rates.is_some_and(|(rate, elsewhere)| Self::are_slow(rate, elsewhere))
    }

    fn rate(&self, address: &str, now: Instant) -> Option<f64> {
        self.nodes.get(address)?.rate(now)
    }

    fn distance(&self, candidate: &Candidate) -> Distance {
        match &self.rack {
            _ if candidate.is_here => Distance::Host,
            Some(rack) if *rack == candidate.rack => Distance::Rack,
            _ => Distance::Other,
        }
    }

    fn node(&mut self, address: &str) -> &mut Node {
        self.nodes.entry(address.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(address: &str, rack: &str) -> Candidate {
        Candidate { address: address.to_owned(), is_here: false, rack: rack.to_owned() }
    }

    fn here(address: &str, rack: &str) -> Candidate {
        Candidate { is_here: true, ..on(address, rack) }
    }

    #[test]
    fn without_other_knowledge_the_namenodes_order_stays() {
        let mut seen = Seen::default();
        let candidates = [on("c", "/r2"), on("a", "/r1"), on("b", "/r2")];
        assert_eq!(seen.order(&candidates, Instant::now()), ["c", "a", "b"]);
    }

    #[test]
    fn this_host_comes_first_and_then_its_rack() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        let candidates = [on("a", "/r1"), on("b", "/r2"), here("c", "/r2"), on("d", "/r1")];
        assert_eq!(seen.order(&candidates, now), ["c", "b", "a", "d"]);
        // The rack is known from then on.
        assert_eq!(seen.order(&[on("a", "/r1"), on("b", "/r2")], now), ["b", "a"]);
        // One that says nothing of its rack says nothing of ours.
        let mut seen = Seen::default();
        assert_eq!(seen.order(&[on("a", ""), on("b", "/r1"), here("c", "")], now), ["c", "a", "b"]);
    }

    #[test]
    fn who_has_failed_comes_last_for_a_while_however_near() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        let candidates = [here("a", "/r1"), on("b", "/r1"), on("c", "/r2")];
        seen.avoid("a", now);
        assert_eq!(seen.order(&candidates, now), ["b", "c", "a"]);
        seen.avoid("b", now + REMEMBERED / 2);
        assert_eq!(seen.order(&candidates, now + REMEMBERED / 2), ["c", "a", "b"]);
        assert_eq!(seen.order(&candidates, now + REMEMBERED), ["a", "c", "b"]);
    }

    #[test]
    fn who_is_overtaken_twice_is_avoided() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        seen.overtaken("a", now);
        assert!(!seen.is_avoided("a", now));
        seen.overtaken("a", now + REMEMBERED);
        assert!(!seen.is_avoided("a", now + REMEMBERED), "long ago does not count");
        seen.overtaken("a", now + REMEMBERED + REMEMBERED / 2);
        assert!(seen.is_avoided("a", now + REMEMBERED + REMEMBERED / 2));
    }

    #[test]
    fn who_is_much_slower_than_another_one_comes_behind_it() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        let candidates = [here("a", "/r1"), on("b", "/r1"), on("c", "/r2")];
        seen.note("a", 100e6, now);
        seen.note_at_least("b", 390e6, now);
        assert_eq!(seen.order(&candidates, now), ["a", "b", "c"], "not so much slower");
        seen.note_at_least("b", 410e6, now);
        seen.note_at_least("b", 1e6, now);
        assert_eq!(seen.order(&candidates, now), ["b", "c", "a"]);
        assert_eq!(seen.order(&candidates, now + REMEMBERED), ["a", "b", "c"], "long ago does not count");
        // Beside those that are avoided nobody is slow, and they come last even so.
        seen.avoid("b", now);
        seen.avoid("c", now);
        assert_eq!(seen.order(&candidates, now), ["a", "b", "c"]);
    }

    #[test]
    fn of_whom_nothing_is_known_something_is_expected_and_nothing_of_who_is_avoided() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        let candidates = [on("a", ""), on("b", ""), on("c", "")];
        let elsewhere =
            |seen: &Seen, candidates: &[Candidate]| seen.elsewhere(candidates, "b", now).map(f64::to_bits);
        seen.avoid("a", now);
        assert_eq!(elsewhere(&seen, &candidates), Some(EXPECTED.to_bits()));
        seen.note("b", 2000.0, now);
        let expected = elsewhere(&seen, &candidates);
        assert_eq!(expected, Some(2000f64.to_bits()), "the network may give no more to anybody");
        seen.note("c", 500.0, now);
        seen.note("c", 1500.0, now);
        assert_eq!(elsewhere(&seen, &candidates), Some(1000f64.to_bits()));
        assert_eq!(elsewhere(&seen, &candidates[..2]), None);
    }
}
