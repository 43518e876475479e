//! What is asked of the ResourceManager.
//!
//! Its scheduler keeps a table of numbers of containers by (priority, allocation request id, resource name), and what it is
//! sent replaces numbers: nothing is added up, and nothing may be negative. Each attempt of a worker is an allocation request
//! of its own, so that each number is 0 or 1. Only `*` rows yield containers; rows of hosts and racks say where they are
//! wanted, until the scheduler finds that it takes too long.

use std::collections::{BTreeMap, BTreeSet};

use forebay_hadoop::yarn::{Ask, Place, Priority, Resource};
use forebay_scheduler::Attempt;

/// All rows have this priority.
const PRIORITY: Priority = Priority(1);

/// A container that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) size: Resource,
    /// Hosts on which it would be best, as NodeManagers are named.
    pub(crate) hosts: Vec<String>,
    /// Racks of these.
    pub(crate) racks: Vec<String>,
    /// Nodes of this label only. YARN knows no hosts beside a label.
    pub(crate) label: Option<String>,
}

/// What the ResourceManager has not been sent yet.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    pub(crate) rows: Vec<Ask>,
    wants: Vec<(u64, Option<Want>)>,
}

/// The table, and what of it the ResourceManager has.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    wants: BTreeMap<u64, Want>,
    /// Rows that the ResourceManager may have with a number above 0.
    told: BTreeMap<u64, Want>,
    changed: BTreeSet<u64>,
    /// Something of what has changed is refused: it is sent one by one until it is known what.
    one_by_one: bool,
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
        let most = if self.one_by_one { 1 } else { usize::MAX };
        for &id in self.changed.iter().take(most) {
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
        self.one_by_one &= !self.changed.is_empty();
    }

    /// It has been sent this, and refuses all of it. What is refused for its own sake is not wanted any more, and returned; while
    /// that is not known, what has changed is to be sent again.
    pub(crate) fn refused(&mut self, sent: &Unsent) -> Vec<Attempt> {
        let [(id, want)] = &sent.wants[..] else {
            if sent.wants.is_empty() {
                // It is about something that was sent before and is not answered, but passed for told.
                self.forgotten();
            }
            self.one_by_one = true;
            return Vec::new();
        };
        let Some(refused) = want else {
            // What cannot be taken back cannot be given either.
            self.told.remove(id);
            self.changed.remove(id);
            return Vec::new();
        };
        // All others like it would hear the same.
        let is_like = |id: &u64| {
            self.wants.get(id).is_some_and(|want| want.size == refused.size && want.label == refused.label)
        };
        let ended: Vec<_> = self.changed.iter().copied().filter(is_like).collect();
        for id in &ended {
            self.wants.remove(id);
            if !self.told.contains_key(id) {
                self.changed.remove(id);
            }
        }
        self.one_by_one &= !self.changed.is_empty();
        ended.into_iter().filter_map(attempt_of).collect()
    }

    /// The ResourceManager was restarted and knows nothing.
    pub(crate) fn forgotten(&mut self) {
        self.told.clear();
        self.changed = self.wants.keys().copied().collect();
    }
}

/// Hosts and racks first, as the scheduler has to know them when it sees what they are for.
fn rows_of(id: u64, want: &Want, count: u32) -> impl Iterator<Item = Ask> {
    let any =
        Ask { node_label: want.label.clone(), ..Ask::any(PRIORITY, want.size.clone(), count).with_id(id) };
    let (hosts, racks): (&[String], &[String]) =
        if want.label.is_some() { (&[], &[]) } else { (&want.hosts, &want.racks) };
    let hosts = hosts.iter().cloned().map(Place::Host);
    let near: Vec<_> =
        hosts.chain(racks.iter().cloned().map(Place::Rack)).map(|place| any.at(place)).collect();
    near.into_iter().chain([any])
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Attempt = Attempt { index: 3, number: 2 };

    fn want(hosts: &[&str], label: Option<&str>) -> Want {
        Want {
            size: Resource::new(1152, 1),
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            racks: Vec::new(),
            label: label.map(str::to_owned),
        }
    }

    fn shown(asks: &Asks) -> Vec<(String, u32)> {
        let name = |place| match place {
            Place::Any => "*".to_owned(),
            Place::Host(name) | Place::Rack(name) => name,
        };
        asks.unsent().rows.into_iter().map(|row| (name(row.place), row.containers)).collect()
    }

    fn ids(asks: &Asks) -> Vec<(u64, u32)> {
        let rows = asks.unsent().rows.into_iter();
        rows.map(|row| (row.allocation_request_id.unwrap(), row.containers)).collect()
    }

    fn refused(asks: &mut Asks) -> Vec<Attempt> {
        let unsent = asks.unsent();
        asks.refused(&unsent)
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
        assert_eq!(ids(&asks), [(request_id(other), 1), (request_id(A), 0)]);
    }

    #[test]
    fn beside_a_label_there_are_no_hosts() {
        let mut asks = Asks::default();
        asks.want(A, want(&["a"], Some("gpu")));
        let rows = asks.unsent().rows;
        assert_eq!(shown(&asks), pairs(&[("*", 1)]));
        assert_eq!(rows[0].node_label.as_deref(), Some("gpu"));
    }

    #[test]
    fn of_several_only_what_is_refused_ends_with_all_that_are_like_it() {
        let mut asks = Asks::default();
        let large = Want { size: Resource::new(1 << 20, 1), ..want(&[], None) };
        let [first, good, like, told] = [1, 2, 3, 4].map(|index| Attempt { index, number: 1 });
        asks.want(told, want(&[], None));
        sent(&mut asks);
        asks.drop(told);
        asks.want(first, large.clone());
        asks.want(good, want(&[], None));
        asks.want(like, large);
        assert_eq!(refused(&mut asks), [], "it is not known which");
        assert_eq!(ids(&asks), [(request_id(first), 1)]);
        assert_eq!(refused(&mut asks), [first, like]);
        for rest in [(request_id(good), 1), (request_id(told), 0)] {
            assert_eq!(ids(&asks), [rest]);
            sent(&mut asks);
        }
        assert_eq!((ids(&asks), asks.len()), (vec![], 1));
        // Then all at once again.
        let [two, three] = [2, 3].map(|number| Attempt { index: 9, number });
        asks.want(two, want(&[], None));
        asks.want(three, want(&[], None));
        assert_eq!(ids(&asks).len(), 2);
    }

    #[test]
    fn a_refusal_of_what_passed_for_told_has_all_said_again() {
        let mut asks = Asks::default();
        asks.want(A, want(&[], None));
        sent(&mut asks);
        assert!(asks.unsent().wants.is_empty());
        assert_eq!(refused(&mut asks), [], "it is not known which");
        assert_eq!(refused(&mut asks), [A]);
    }

    #[test]
    fn what_is_refused_when_it_is_taken_back_is_let_be() {
        let mut asks = Asks::default();
        asks.want(A, want(&[], Some("gone")));
        sent(&mut asks);
        asks.drop(A);
        assert_eq!(shown(&asks), pairs(&[("*", 0)]));
        assert_eq!(refused(&mut asks), []);
        assert_eq!(shown(&asks), []);
    }
}
