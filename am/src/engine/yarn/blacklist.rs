//! Which nodes are not to be given to the job any more.
//!
//! A node is left out after failures that look like its own: containers that it could not start, its disks, or the quick
//! ends of several workers. Never more than a third of the nodes are: a job that fails everywhere is at fault itself.

use std::collections::{BTreeMap, BTreeSet};

/// So many of its own failures.
const OWN: u32 = 2;
/// So many different workers that ended quickly, without one that did not.
const QUICK: usize = 3;

/// What happened on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It could not start a container, or its disks are at fault.
    Own,
    /// The worker of this index failed soon after its start.
    Quick(u32),
    /// A worker did well for a while.
    Good,
}

#[derive(Debug, Default)]
struct Node {
    own: u32,
    quick: BTreeSet<u32>,
}

/// What is known of the nodes.
#[derive(Debug, Default)]
pub(crate) struct Blacklist {
    nodes: BTreeMap<String, Node>,
    left_out: BTreeSet<String>,
}

impl Blacklist {
    /// Takes note of something on `host`, one of `nodes`. Says whether the host is to be left out from now on.
    pub(crate) fn note(&mut self, host: &str, sign: Sign, nodes: usize) -> bool {
        let node = self.nodes.entry(host.to_owned()).or_default();
        match sign {
            Sign::Own => node.own += 1,
            Sign::Quick(index) => drop(node.quick.insert(index)),
            Sign::Good => node.quick.clear(),
        }
        let is_bad = node.own >= OWN || node.quick.len() >= QUICK;
        is_bad && self.left_out.len() < nodes / 3 && self.left_out.insert(host.to_owned())
    }

    /// The nodes left out.
    pub(crate) fn left_out(&self) -> impl Iterator<Item = &str> {
        self.left_out.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_fails_by_itself_is_left_out_once() {
        let mut list = Blacklist::default();
        assert!(!list.note("a", Sign::Own, 6));
        assert!(list.note("a", Sign::Own, 6));
        assert!(!list.note("a", Sign::Own, 6), "it is left out already");
        assert_eq!(list.left_out().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn one_worker_that_fails_again_and_again_is_not_its_nodes_fault() {
        let mut list = Blacklist::default();
        for _ in 0..10 {
            assert!(!list.note("a", Sign::Quick(1), 6));
        }
        assert!(!list.note("a", Sign::Quick(2), 6));
        // Somebody works there.
        assert!(!list.note("a", Sign::Good, 6));
        assert!(!list.note("a", Sign::Quick(3), 6));
        assert!(!list.note("a", Sign::Quick(4), 6));
        assert!(list.note("a", Sign::Quick(5), 6));
    }

    #[test]
    fn no_more_than_a_third_is_left_out() {
        for (nodes, most) in [(1, 0), (2, 0), (3, 1), (7, 2)] {
            let mut list = Blacklist::default();
            for host in ["a", "b", "c", "d"] {
                list.note(host, Sign::Own, nodes);
                list.note(host, Sign::Own, nodes);
            }
            assert_eq!(list.left_out().count(), most, "{nodes}");
        }
    }
}
