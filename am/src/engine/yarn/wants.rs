//! How large containers are, and where they are wanted.

use std::collections::{BTreeMap, BTreeSet};

use forebay_hadoop::yarn::Resource;
use forebay_job::Job;

use super::asks::Want;
use crate::JobPlan;

/// Memory that each container gets beside what its worker is given: for the agent and its feed, in MiB.
pub const FEED_MIB: u64 = 128;
/// What a worker gets of which nothing is said, in MiB.
pub const USUAL_WORKER_MIB: u64 = 1024;

/// So many hosts are named for a container: more would say nothing.
const MOST_HOSTS: usize = 16;
/// With --grow-memory, a worker gets half as much again after each time that it was killed for its memory.
const GROWTH: (u64, u64) = (3, 2);

/// What a worker's container is to have, in MiB.
pub fn container_mib(worker_memory: Option<u64>) -> u64 {
    worker_mib(worker_memory) + FEED_MIB
}

fn worker_mib(worker_memory: Option<u64>) -> u64 {
    worker_memory.map_or(USUAL_WORKER_MIB, |bytes| bytes.div_ceil(1 << 20).max(1))
}

/// What the containers of a job are to be.
#[derive(Debug)]
pub(crate) struct Wants {
    worker_mib: u64,
    cores: u32,
    gpus: u32,
    grows: bool,
    label: Option<String>,
    /// Those that have replicas of the input, the one with most of it first.
    hosts: Vec<String>,
    racks: BTreeMap<String, String>,
    /// The largest container that the cluster gives.
    pub(crate) most_mib: u64,
}

impl Wants {
    pub(crate) fn new(job: &Job, plan: &JobPlan, racks: BTreeMap<String, String>) -> Self {
        Self {
            worker_mib: worker_mib(job.worker_memory),
            cores: job.worker_cores.unwrap_or(1),
            gpus: job.worker_gpus,
            grows: job.grow_memory,
            label: job.node_label.clone(),
            hosts: hosts(plan),
            racks,
            most_mib: u64::MAX,
        }
    }

    /// The container of a worker that was killed for its memory so many times.
    pub(crate) fn of(&self, index: u32, memory_steps: u32) -> Want {
        let mut hosts = self.hosts.clone();
        if !hosts.is_empty() {
            // The first named are no better than the others; but who reads this list may think so.
            hosts.rotate_left(index as usize % self.hosts.len());
        }
        let racks: BTreeSet<_> = hosts.iter().filter_map(|host| self.racks.get(host)).cloned().collect();
        let size = Resource::new(self.memory_mib(memory_steps), self.cores);
        let size = if self.gpus == 0 { size } else { size.with(Resource::GPU, self.gpus.into()) };
        Want { size, hosts, racks: racks.into_iter().collect(), label: self.label.clone() }
    }

    fn memory_mib(&self, steps: u32) -> u64 {
        let steps = if self.grows { steps } else { 0 };
        let grown = (0..steps).fold(self.worker_mib, |mib, _| mib.saturating_mul(GROWTH.0) / GROWTH.1);
        let asked = self.worker_mib + FEED_MIB;
        // What was asked for at first is never made smaller: the cluster is to say that it is too much.
        grown.saturating_add(FEED_MIB).min(self.most_mib).max(asked)
    }
}

fn hosts(plan: &JobPlan) -> Vec<String> {
    plan.host_bytes().into_iter().take(MOST_HOSTS).map(|(host, _)| host.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(grows: bool) -> Wants {
        Wants {
            worker_mib: 1000,
            cores: 2,
            gpus: 1,
            grows,
            label: None,
            hosts: vec!["a".into(), "b".into()],
            racks: BTreeMap::from([("b".into(), "/r".into())]),
            most_mib: 2000,
        }
    }

    #[test]
    fn memory_grows_when_that_is_meant_and_not_beyond_what_the_cluster_has() {
        let mib = |wants: &Wants, steps| wants.of(0, steps).size.memory_mib;
        assert_eq!([0, 1, 2, 9].map(|steps| mib(&wants(true), steps)), [1128, 1628, 2000, 2000]);
        assert_eq!([0, 9].map(|steps| mib(&wants(false), steps)), [1128, 1128]);
        let small = Wants { most_mib: 512, ..wants(true) };
        assert_eq!(mib(&small, 3), 1128);
    }

    #[test]
    fn a_containers_memory_is_its_workers_and_the_feeds() {
        assert_eq!(container_mib(None), 1152);
        assert_eq!(container_mib(Some(1)), 129);
        assert_eq!(container_mib(Some((2 << 30) + 1)), 2049 + 128);
    }

    #[test]
    fn hosts_are_named_in_turn_and_their_racks_once() {
        let want = wants(true).of(1, 0);
        assert_eq!((want.hosts, want.racks), (vec!["b".to_owned(), "a".to_owned()], vec!["/r".to_owned()]));
    }
}
