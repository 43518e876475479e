//! Where the units of a plan lie, in little room: there may be very many.

use std::collections::{BTreeMap, HashMap};

use forebay_feeder::{FileEntry, Plan, PlanError};
use forebay_scheduler::Places;
use forebay_split::{HostShare, Split};
use serde::{Deserialize, Serialize};

/// So many hosts of a unit are kept.
const MOST_HOSTS: usize = 8;
/// `NetworkTopology.DEFAULT_RACK`
const DEFAULT_RACK: &str = "/default-rack";

/// The hosts of each unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Located {
    /// Names of DataNodes' hosts, as the NameNode has them.
    hosts: Vec<String>,
    /// For each unit how many hosts it has, then which: one flat list.
    units: Vec<u32>,
}

impl Located {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// The hosts; units name them by their place here.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// The hosts of each unit, in the units' order, the one with most of it first.
    pub fn units(&self) -> impl Iterator<Item = &[u32]> {
        let mut rest = &*self.units;
        std::iter::from_fn(move || {
            let (&count, behind) = rest.split_first()?;
            let (hosts, behind) = behind.split_at_checked(count as usize)?;
            rest = behind;
            Some(hosts)
        })
    }

    /// For the scheduler: where units lie, and the racks of hosts. Those of which no rack is known share one.
    pub fn places(&self, racks: &BTreeMap<String, String>) -> Places {
        let mut ids: BTreeMap<&str, u32> = BTreeMap::new();
        let rack_of = self.hosts.iter().map(|host| {
            let next = u32::try_from(ids.len()).unwrap_or(u32::MAX);
            *ids.entry(racks.get(host).map_or(DEFAULT_RACK, String::as_str)).or_insert(next)
        });
        let mut places = Places::new(rack_of.collect());
        self.units().for_each(|hosts| places.push(hosts.iter().copied()));
        places
    }

    /// Asks where a plan's splits lie, or its files where whole files are given, and adds them.
    pub(crate) fn add(&mut self, plan: &Plan, entries: &[FileEntry], by_file: bool) -> Result<(), PlanError> {
        let locations = plan.locations()?;
        let mut ids: HashMap<String, u32> = self.hosts.drain(..).zip(0..).collect();
        let mut put = |hosts: Vec<HostShare>| {
            let most = hosts.first().map_or(0, |first| first.bytes);
            let hosts =
                hosts.into_iter().filter(|host| host.bytes > 0 && host.bytes >= most / 2).take(MOST_HOSTS);
            let begin = self.units.len();
            self.units.push(0);
            for host in hosts {
                let next = u32::try_from(ids.len()).unwrap_or(u32::MAX);
                let id = *ids.entry(host.host.to_string()).or_insert(next);
                // One that has parts on storages of several kinds is told of for each.
                if !self.units[begin + 1..].contains(&id) {
                    self.units.push(id);
                    self.units[begin] += 1;
                }
            }
        };
        if by_file {
            for (file, entry) in entries.iter().enumerate() {
                let whole = Split { file, start: 0, end: entry.len, ordinal: 0 };
                put(locations.hosts(&whole));
            }
        } else {
            plan.share().for_each(|split| put(locations.hosts(&split)));
        }
        let mut hosts: Vec<_> = ids.into_iter().collect();
        hosts.sort_unstable_by_key(|(_, id)| *id);
        self.hosts = hosts.into_iter().map(|(host, _)| host).collect();
        Ok(())
    }

    /// Whether this says something of so many units, or nothing.
    pub(crate) fn check(&self, units: u64) -> Result<(), String> {
        if self.is_empty() {
            return Ok(());
        }
        let said: usize = self.units().map(|hosts| hosts.len() + 1).sum();
        if said != self.units.len() || self.units().count() as u64 != units {
            return Err(format!("it does not say of {units} units where they lie"));
        }
        match self.units().flatten().find(|&&host| host as usize >= self.hosts.len()) {
            Some(host) => Err(format!("there is no host {host} in it")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(hosts: &[&str], units: &[u32]) -> Located {
        Located { hosts: hosts.iter().map(|&host| host.to_owned()).collect(), units: units.to_vec() }
    }

    #[test]
    fn a_flat_list_holds_the_hosts_of_each_unit() {
        let some = located(&["a", "b"], &[2, 1, 0, 0, 1, 1]);
        assert_eq!(some.units().collect::<Vec<_>>(), [&[1, 0][..], &[], &[1]]);
        assert_eq!(some.check(3), Ok(()));
        let text = serde_json::to_string(&some).unwrap();
        assert_eq!(serde_json::from_str::<Located>(&text).unwrap(), some);
    }

    #[test]
    fn the_scheduler_gets_hosts_and_racks() {
        let racks = BTreeMap::from([("b".to_owned(), "/r2".to_owned())]);
        let some = located(&["a", "b", "c"], &[2, 1, 0, 0, 1, 2]);
        let places = some.places(&racks);
        assert_eq!((places.hosts(), places.splits()), (3, 3));
        assert_eq!([places.hosts_of(0), places.hosts_of(1), places.hosts_of(2)], [&[1, 0][..], &[], &[2]]);
        assert_eq!(places.rack(0), places.rack(2));
        assert_ne!(places.rack(0), places.rack(1));
    }

    #[test]
    fn what_does_not_fit_the_units_is_refused() {
        assert_eq!(Located::default().check(7), Ok(()));
        for (units, count) in [(&[2, 0][..], 1), (&[1, 0], 2), (&[1, 1], 1), (&[u32::MAX], 1), (&[0, 0], 1)] {
            assert!(located(&["a"], units).check(count).is_err(), "{units:?}");
        }
    }
}
