//! What is asked of the ResourceManager.
//!
//! Its scheduler keeps a table of numbers of containers by (priority, allocation request id, resource name), and what it is
//! sent replaces numbers: nothing is added up, and nothing may be negative. Each attempt of a worker is an allocation request
//! of its own, so that each number is 0 or 1. Only `*` rows yield containers; rows of hosts and racks say where they are
//! wanted, until the scheduler finds that it takes too long.

use std::collections::{BTreeMap, BTreeSet};

use forebay_scheduler::Attempt;

/// All rows have this priority. It is always sent: without one, the scheduler's queue is broken for everybody.
pub(crate) const PRIORITY: u16 = 1;

/// The size of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) memory_mib: u64,
    pub(crate) cores: u32,
    pub(crate) gpus: u32,
}

/// A container that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) size: Size,
    /// Hosts on which it would be best, as NodeManagers are named.
    pub(crate) hosts: Vec<String>,
    /// Racks of these.
    pub(crate) racks: Vec<String>,
    /// Nodes of this label only. YARN knows no hosts beside a label.
    pub(crate) label: Option<String>,
}

/// The place of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Where {
    Any,
    Host(String),
    Rack(String),
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// The allocation request.
    pub(crate) id: u64,
    pub(crate) place: Where,
    pub(crate) size: Size,
    pub(crate) count: u32,
    pub(crate) label: Option<String>,
}

/// What the ResourceManager has not been sent yet.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    pub(crate) rows: Vec<Row>,
    wants: Vec<(u64, Option<Want>)>,
}

/// The table, and what of it the ResourceManager has.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    wants: BTreeMap<u64, Want>,
    /// Rows that the ResourceManager may have with a number above 0.
    told: BTreeMap<u64, Want>,
    changed: BTreeSet<u64>,
}

/// The allocation request of an attempt: a later application master knows by it what a container is for.
pub(crate) fn request_id(attempt: Attempt) -> u64 {
    u64::from(attempt.number) << 32 | u64::from(attempt.index)
}

/// The attempt of an allocation request; `None` if it cannot be one of ours.
pub(crate) fn attempt_of(id: u64) -> Option<Attempt> {
    let number = u32::try_from(id >> 32).ok().filter(|&number| number > 0)?;
    Some(Attempt { index: u32::try_from(id & u64::from(u32::MAX)).ok()?, number })
}

impl Asks {
    /// A container is wanted.
    pub(crate) fn want(&mut self, attempt: Attempt, want: Want) {
        let id = request_id(attempt);
        self.wants.insert(id, want);
        self.changed.insert(id);
    }

    /// It was given, or is not wanted any more. Says whether it was wanted.
    pub(crate) fn drop(&mut self, attempt: Attempt) -> bool {
        let id = request_id(attempt);
        let wanted = self.wants.remove(&id).is_some();
        // Also where it is on its way to be told.
        self.changed.insert(id);
        wanted
    }

    /// Nothing is wanted any more. Returns what was.
    pub(crate) fn clear(&mut self) -> Vec<Attempt> {
        let wanted: Vec<_> = self.wants.keys().filter_map(|&id| attempt_of(id)).collect();
        for &attempt in &wanted {
            self.drop(attempt);
        }
        wanted
    }

    /// How many containers are wanted.
    pub(crate) fn len(&self) -> usize {
        self.wants.len()
    }

    /// What is wanted.
    pub(crate) fn wants(&self) -> impl Iterator<Item = &Want> {
        self.wants.values()
    }

    /// What the ResourceManager is to be sent: again and again, until it [`has`](Self::has) it.
    pub(crate) fn unsent(&self) -> Unsent {
        let mut unsent = Unsent::default();
        for &id in &self.changed {
            let want = self.wants.get(&id);
            match (want, self.told.get(&id)) {
                (Some(want), _) => unsent.rows.extend(rows_of(id, want, 1)),
                (None, Some(told)) => unsent.rows.extend(rows_of(id, told, 0)),
                (None, None) => {}
            }
            unsent.wants.push((id, want.cloned()));
        }
        unsent
    }

    /// It has been sent this. What has changed meanwhile is sent next.
    pub(crate) fn has(&mut self, sent: &Unsent) {
        for (id, want) in &sent.wants {
            match want {
                Some(want) => drop(self.told.insert(*id, want.clone())),
                None => drop(self.told.remove(id)),
            }
            let is_same = self.wants.get(id) == want.as_ref();
            if is_same || (!self.wants.contains_key(id) && !self.told.contains_key(id)) {
                self.changed.remove(id);
            } else {
                self.changed.insert(*id);
            }
        }
    }

    /// The ResourceManager was restarted and knows nothing.
    pub(crate) fn forgotten(&mut self) {
        self.told.clear();
        self.changed = self.wants.keys().copied().collect();
    }
}

/// Hosts and racks first, as the scheduler has to know them when it sees what they are for.
fn rows_of(id: u64, want: &Want, count: u32) -> impl Iterator<Item = Row> {
    let (hosts, racks): (&[String], &[String]) =
        if want.label.is_some() { (&[], &[]) } else { (&want.hosts, &want.racks) };
    let hosts = hosts.iter().cloned().map(Where::Host);
    let racks = racks.iter().cloned().map(Where::Rack);
    hosts.chain(racks).chain([Where::Any]).map(move |place| Row {
        id,
        place,
        size: want.size.clone(),
        count,
        label: want.label.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Attempt = Attempt { index: 3, number: 2 };

    fn want(hosts: &[&str], label: Option<&str>) -> Want {
        Want {
            size: Size { memory_mib: 1152, cores: 1, gpus: 0 },
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            racks: Vec::new(),
            label: label.map(str::to_owned),
        }
    }

    fn shown(asks: &Asks) -> Vec<(String, u32)> {
        let name = |place| match place {
            Where::Any => "*".to_owned(),
            Where::Host(name) | Where::Rack(name) => name,
        };
        asks.unsent().rows.into_iter().map(|row| (name(row.place), row.count)).collect()
    }

    fn sent(asks: &mut Asks) {
        let unsent = asks.unsent();
        asks.has(&unsent);
    }

    fn pairs(pairs: &[(&str, u32)]) -> Vec<(String, u32)> {
        pairs.iter().map(|&(name, count)| (name.to_owned(), count)).collect()
    }

    #[test]
    fn an_allocation_request_names_its_attempt() {
        assert_eq!(request_id(A), 0x2_0000_0003);
        for attempt in
            [A, Attempt { index: u32::MAX, number: 1 }, Attempt { index: 0, number: i32::MAX.unsigned_abs() }]
        {
            assert_eq!(attempt_of(request_id(attempt)), Some(attempt));
        }
        for stranger in [0, 7, u64::from(u32::MAX)] {
            assert_eq!(attempt_of(stranger), None);
        }
    }

    #[test]
    fn numbers_replace_each_other_and_go_back_to_nothing() {
        let mut asks = Asks::default();
        asks.want(A, want(&["a", "b"], None));
        let one = pairs(&[("a", 1), ("b", 1), ("*", 1)]);
        assert_eq!(shown(&asks), one);
        // Until they have arrived.
        assert_eq!(shown(&asks), one);
        sent(&mut asks);
        assert_eq!(shown(&asks), []);
        // All rows are taken back, also those of hosts where it did not come to be.
        assert!(asks.drop(A));
        assert!(!asks.drop(A));
        assert_eq!(shown(&asks), pairs(&[("a", 0), ("b", 0), ("*", 0)]));
        sent(&mut asks);
        assert_eq!((shown(&asks), asks.len()), (vec![], 0));
    }

    #[test]
    fn what_was_never_sent_is_never_taken_back() {
        let mut asks = Asks::default();
        asks.want(A, want(&[], None));
        asks.drop(A);
        assert_eq!(shown(&asks), []);
        assert_eq!(asks.len(), 0);
    }

    #[test]
    fn a_restarted_resource_manager_hears_of_what_is_wanted_and_of_nothing_else() {
        let mut asks = Asks::default();
        let other = Attempt { index: 9, number: 1 };
        asks.want(A, want(&[], None));
        asks.want(other, want(&["a"], None));
        sent(&mut asks);
        asks.drop(A);
        asks.forgotten();
        assert_eq!(shown(&asks), pairs(&[("a", 1), ("*", 1)]));
        sent(&mut asks);
        // What it was not told again needs no taking back.
        assert!(!asks.drop(A));
        assert_eq!(shown(&asks), []);
    }

    #[test]
    fn what_changes_while_it_is_sent_is_sent_next() {
        let mut asks = Asks::default();
        asks.want(A, want(&[], None));
        let on_its_way = asks.unsent();
        let other = Attempt { index: 9, number: 1 };
        asks.want(other, want(&[], None));
        asks.drop(A);
        asks.has(&on_its_way);
        let rows: Vec<_> = asks.unsent().rows.into_iter().map(|row| (row.id, row.count)).collect();
        assert_eq!(rows, [(request_id(other), 1), (request_id(A), 0)]);
    }

    #[test]
    fn beside_a_label_there_are_no_hosts() {
        let mut asks = Asks::default();
        asks.want(A, want(&["a"], Some("gpu")));
        let rows = asks.unsent().rows;
        assert_eq!(shown(&asks), pairs(&[("*", 1)]));
        assert_eq!(rows[0].label.as_deref(), Some("gpu"));
    }
}
