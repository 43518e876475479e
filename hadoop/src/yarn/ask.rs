//! What an application master asks for, and how that is said.
//!
//! The ResourceManager keeps a table of each application's asks: (priority, request id, place) → number of containers. An
//! ask without priority, or for a negative number, damages the queue's books so that nobody in the queue is given anything any
//! more. Neither can be said with these types.

use super::container::Priority;
use super::error::Error;
use super::ids::ContainerId;
use super::proto::common::{PriorityProto, ResourceRequestProto};
use super::proto::master::{AllocateRequestProto, ResourceBlacklistRequestProto};
use super::resource::Resource;

/// No ask is for more containers than this.
pub const MAX_CONTAINERS: u32 = 1_000_000;

/// Where a container may be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// Anywhere. Only asks with a row for this place are served; those for hosts and racks say what is liked better.
    Any,
    /// On a rack, such as `/default-rack`.
    Rack(String),
    /// On a host, as the nodes' reports name it.
    Host(String),
}

/// One row of the table. The number is what is wanted in all from now on, not so many more; 0 takes the ask back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// How urgent it is. Asks of different sizes need different priorities or request ids.
    pub priority: Priority,
    /// What tells asks of one priority apart; it comes back with the containers.
    pub allocation_request_id: Option<u64>,
    /// Where.
    pub place: Place,
    /// What each container has.
    pub capability: Resource,
    /// How many, up to [`MAX_CONTAINERS`].
    pub containers: u32,
    /// Whether, after a while, a place further away will do. For containers on given hosts alone: false in the rows for
    /// the racks and for any place, true in those for the hosts.
    pub relax_locality: bool,
    /// The label of the nodes, in a row for any place.
    pub node_label: Option<String>,
}

impl Ask {
    /// So many containers of a size, anywhere.
    pub fn any(priority: Priority, capability: Resource, containers: u32) -> Self {
        Self {
            priority,
            allocation_request_id: None,
            place: Place::Any,
            capability,
            containers,
            relax_locality: true,
            node_label: None,
        }
    }

    /// The same ask under a request id.
    #[must_use]
    pub fn with_id(mut self, id: u64) -> Self {
        self.allocation_request_id = Some(id);
        self
    }

    /// The same ask for another place, without label.
    #[must_use]
    pub fn at(&self, place: Place) -> Self {
        Self { place, relax_locality: true, node_label: None, ..self.clone() }
    }

    /// The same ask, to be served at no other place.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.relax_locality = false;
        self
    }

    fn to_wire(&self) -> Result<ResourceRequestProto, Error> {
        let refused =
            |why| Error::Request { what: format!("an ask for {} containers", self.containers), why };
        if self.containers > MAX_CONTAINERS {
            return Err(refused("that is more than a million"));
        }
        let name = match &self.place {
            Place::Any => "*",
            Place::Rack(name) | Place::Host(name) => name,
        };
        if name.is_empty() || (name == "*" && self.place != Place::Any) {
            return Err(refused("its host or rack has no name"));
        }
        if self.node_label.is_some() && self.place != Place::Any {
            return Err(refused("only a row for any place may have a label"));
        }
        Ok(ResourceRequestProto {
            priority: Some(PriorityProto { priority: Some(self.priority.0.into()) }),
            resource_name: Some(name.to_owned()),
            capability: Some(self.capability.to_wire()),
            num_containers: Some(self.containers.cast_signed()),
            relax_locality: Some(self.relax_locality),
            node_label_expression: self.node_label.clone(),
            allocation_request_id: Some(
                self.allocation_request_id.map_or(-1, |id| i64::try_from(id).unwrap_or(i64::MAX)),
            ),
        })
    }
}

/// What an application master says in a heartbeat. Rows not named stay as they are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AllocateRequest {
    /// Rows of the table that change.
    pub asks: Vec<Ask>,
    /// Containers given back; those that run are killed.
    pub releases: Vec<ContainerId>,
    /// Hosts on which nothing more is wanted.
    pub blacklist: Vec<String>,
    /// Hosts that will do again.
    pub unblacklist: Vec<String>,
    /// How far the application is, from 0 to 1.
    pub progress: f32,
    /// Another page of the application master's than it registered with.
    pub tracking_url: Option<String>,
}

impl AllocateRequest {
    /// Adds what is to be said after this, as one: of rows for the same the later counts.
    pub(super) fn absorb(&mut self, later: &Self) {
        for ask in &later.asks {
            let key = |ask: &Ask| (ask.priority, ask.allocation_request_id, ask.place.clone());
            self.asks.retain(|earlier| key(earlier) != key(ask));
            self.asks.push(ask.clone());
        }
        add(&mut self.releases, &later.releases);
        self.blacklist.retain(|host| !later.unblacklist.contains(host));
        self.unblacklist.retain(|host| !later.blacklist.contains(host));
        add(&mut self.blacklist, &later.blacklist);
        add(&mut self.unblacklist, &later.unblacklist);
        self.progress = later.progress;
        self.tracking_url = later.tracking_url.clone().or_else(|| self.tracking_url.take());
    }

    pub(super) fn to_wire(&self, response_id: i32) -> Result<AllocateRequestProto, Error> {
        let blacklist = ResourceBlacklistRequestProto {
            blacklist_additions: self.blacklist.clone(),
            blacklist_removals: self.unblacklist.clone(),
        };
        let says_nothing = self.blacklist.is_empty() && self.unblacklist.is_empty();
        Ok(AllocateRequestProto {
            ask: self.asks.iter().map(Ask::to_wire).collect::<Result<_, _>>()?,
            release: self.releases.iter().map(|id| id.to_wire()).collect(),
            blacklist_request: (!says_nothing).then_some(blacklist),
            response_id: Some(response_id),
            progress: Some(if self.progress.is_nan() { 0.0 } else { self.progress.clamp(0.0, 1.0) }),
            tracking_url: self.tracking_url.clone(),
        })
    }
}

fn add<T: Clone + PartialEq>(to: &mut Vec<T>, more: &[T]) {
    for item in more {
        if !to.contains(item) {
            to.push(item.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    fn place() -> impl Strategy<Value = Place> {
        prop_oneof![Just(Place::Any), ".{0,9}".prop_map(Place::Rack), ".{0,9}".prop_map(Place::Host)]
    }

    proptest! {
        /// Whatever is asked for: it is refused here, or it is well-formed.
        #[test]
        fn no_ask_lacks_a_priority_or_is_negative(
            priority in any::<u16>(), id in any::<Option<u64>>(), place in place(), memory in any::<u64>(), vcores in any::<u32>(),
            containers in any::<u32>(), shift in 0..32, relax_locality in any::<bool>(), node_label in any::<Option<String>>(),
        ) {
            let ask = Ask {
                priority: Priority(priority), allocation_request_id: id, place, capability: Resource::new(memory, vcores),
                containers: containers >> shift, relax_locality, node_label,
            };
            if let Ok(wire) = ask.to_wire() {
                prop_assert_eq!(wire.priority.and_then(|priority| priority.priority), Some(i32::from(priority)));
                prop_assert!((0..=1_000_000).contains(&wire.num_containers.unwrap()));
                prop_assert!(!wire.resource_name.unwrap().is_empty());
                let capability = wire.capability.unwrap();
                prop_assert!(capability.memory.unwrap() >= 0 && capability.virtual_cores.unwrap() >= 0);
            } else {
                prop_assert!(ask.containers > MAX_CONTAINERS || ask.place != Place::Any);
            }
        }
    }

    #[test]
    fn a_priority_of_zero_is_said() {
        let wire = Ask::any(Priority(0), Resource::new(1, 1), 1).to_wire().unwrap();
        assert!(wire.encode_to_vec().starts_with(&[0x0a, 2, 8, 0]));
        assert_eq!((wire.relax_locality, wire.allocation_request_id), (Some(true), Some(-1)));
    }

    #[test]
    fn wrong_asks_are_refused_before_they_are_sent() {
        let ask = Ask::any(Priority(1), Resource::new(1, 1), 1);
        let labelled = Ask { node_label: Some("gpu".into()), ..ask.clone() };
        assert!(labelled.to_wire().is_ok());
        assert!(Ask { node_label: Some("gpu".into()), ..ask.at(Place::Host("h".into())) }.to_wire().is_err());
        assert_eq!(labelled.at(Place::Rack("/r".into())).node_label, None);
        for wrong in [Place::Host(String::new()), Place::Rack("*".into())] {
            assert!(ask.at(wrong).to_wire().is_err());
        }
        let request =
            AllocateRequest { asks: vec![Ask { containers: u32::MAX, ..ask }], ..Default::default() };
        assert!(request.to_wire(0).unwrap_err().to_string().contains("4294967295 containers cannot be sent"));
    }

    #[test]
    fn of_what_waits_the_later_counts() {
        let ask = |priority, containers| Ask::any(Priority(priority), Resource::new(1, 1), containers);
        let hosts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut waiting = AllocateRequest {
            asks: vec![ask(1, 1), ask(2, 1)],
            blacklist: hosts(&["a", "b"]),
            unblacklist: hosts(&["c"]),
            tracking_url: Some("x".into()),
            ..Default::default()
        };
        let container = "container_1_1_01_000001".parse().unwrap();
        let later = AllocateRequest {
            asks: vec![ask(1, 0), ask(1, 3).with_id(0)],
            releases: vec![container],
            blacklist: hosts(&["c", "b"]),
            unblacklist: hosts(&["a"]),
            progress: 0.5,
            tracking_url: None,
        };
        waiting.absorb(&later);
        waiting.absorb(&AllocateRequest { progress: 0.75, releases: vec![container], ..Default::default() });
        let wanted = AllocateRequest {
            asks: vec![ask(2, 1), ask(1, 0), ask(1, 3).with_id(0)],
            releases: vec![container],
            blacklist: hosts(&["b", "c"]),
            unblacklist: hosts(&["a"]),
            progress: 0.75,
            tracking_url: Some("x".into()),
        };
        assert_eq!(waiting, wanted);
    }

    #[test]
    fn progress_is_a_share() {
        for (said, wanted) in [(f32::NAN, 0.0), (-1.0, 0.0), (0.5, 0.5), (7.0, 1.0)] {
            let request = AllocateRequest { progress: said, ..Default::default() };
            assert_eq!(request.to_wire(0).unwrap().progress, Some(wanted));
        }
    }
}
