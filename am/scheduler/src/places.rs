//! Where splits lie: the hosts of their replicas, and the racks of the hosts.

/// The hosts (by ids from 0) that hold each split, and the rack of each host. Four bytes a split and four a replica.
#[derive(Debug, Clone, Default)]
pub struct Places {
    rack_of: Vec<u32>,
    /// Where the hosts of each split end.
    ends: Vec<u32>,
    hosts: Vec<u32>,
}

impl Places {
    /// No split yet. `rack_of`: the rack (any number) of each host.
    pub fn new(rack_of: Vec<u32>) -> Self {
        Self { rack_of, ends: Vec::new(), hosts: Vec::new() }
    }

    /// The next split, from 0, has replicas on these hosts. Hosts without a rack are passed over, and so is one that is named again.
    pub fn push(&mut self, hosts: impl IntoIterator<Item = u32>) {
        let start = self.hosts.len();
        for host in hosts {
            let is_known = (host as usize) < self.rack_of.len();
            // Beyond what 32 bits count, splits lie nowhere.
            if is_known && !self.hosts[start..].contains(&host) && self.hosts.len() < u32::MAX as usize {
                self.hosts.push(host);
            }
        }
        self.ends.push(u32::try_from(self.hosts.len()).unwrap_or(u32::MAX));
    }

    /// How many hosts there are.
    pub fn hosts(&self) -> usize {
        self.rack_of.len()
    }

    /// How many splits there are.
    pub fn splits(&self) -> usize {
        self.ends.len()
    }

    /// The rack of a host.
    pub fn rack(&self, host: u32) -> Option<u32> {
        self.rack_of.get(host as usize).copied()
    }

    /// The hosts that hold a split.
    pub fn hosts_of(&self, split: usize) -> &[u32] {
        let Some(&end) = self.ends.get(split) else { return &[] };
        let start = split.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.hosts[start as usize..end as usize]
    }
}
