//! What containers and nodes have: memory, cores, and whatever else a cluster counts.

use std::collections::BTreeMap;
use std::fmt;

use super::proto::common::{ResourceInformationProto, ResourceProto, ResourceTypeInfoProto};

/// Memory and cores have names, too, and come in the list of all resources once more.
const MEMORY: &str = "memory-mb";
const VCORES: &str = "vcores";

/// An amount of memory, cores and other resources. No amount is negative: what a server says below zero is read as 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resource {
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Virtual cores.
    pub vcores: u32,
    /// Others by name, such as `yarn.io/gpu`, each in the unit that the cluster counts it in
    /// ([`ResourceType::units`]). What a server says has none that is 0.
    pub others: BTreeMap<String, u64>,
}

impl Resource {
    /// YARN's name for GPUs.
    pub const GPU: &str = "yarn.io/gpu";

    /// Memory and cores alone.
    pub fn new(memory_mib: u64, vcores: u32) -> Self {
        Self { memory_mib, vcores, others: BTreeMap::new() }
    }

    /// The same with so much of another resource.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, amount: u64) -> Self {
        self.others.insert(name.into(), amount);
        self
    }

    /// How much there is of a resource, by name.
    pub fn amount(&self, name: &str) -> u64 {
        match name {
            MEMORY => self.memory_mib,
            VCORES => self.vcores.into(),
            _ => self.others.get(name).copied().unwrap_or(0),
        }
    }

    /// Whether all of this is to be had from `whole`.
    pub fn fits_in(&self, whole: &Self) -> bool {
        self.first_beyond(whole).is_none()
    }

    /// The first resource of which `whole` has less: its name, what is wanted, what is there.
    pub fn first_beyond(&self, whole: &Self) -> Option<(String, u64, u64)> {
        let names = [MEMORY, VCORES].into_iter().chain(self.others.keys().map(String::as_str));
        names
            .map(|name| (name.to_owned(), self.amount(name), whole.amount(name)))
            .find(|(_, wanted, there)| wanted > there)
    }

    pub(super) fn from_wire(proto: Option<ResourceProto>) -> Self {
        let Some(proto) = proto else { return Self::default() };
        let others =
            proto.resource_value_map.into_iter().filter(|entry| entry.key != MEMORY && entry.key != VCORES);
        Self {
            memory_mib: amount(proto.memory),
            vcores: u32::try_from(proto.virtual_cores.unwrap_or(0)).unwrap_or(0),
            // All that the cluster counts is listed, also where there is none of it.
            others: others
                .map(|entry| (entry.key, amount(entry.value)))
                .filter(|(_, amount)| *amount > 0)
                .collect(),
        }
    }

    /// More than the wire can say is said as the most it can: the ResourceManager refuses either.
    pub(super) fn to_wire(&self) -> ResourceProto {
        let others = self.others.iter().map(|(name, amount)| ResourceInformationProto {
            key: name.clone(),
            value: Some(i64::try_from(*amount).unwrap_or(i64::MAX)),
        });
        ResourceProto {
            memory: Some(i64::try_from(self.memory_mib).unwrap_or(i64::MAX)),
            virtual_cores: Some(i32::try_from(self.vcores).unwrap_or(i32::MAX)),
            resource_value_map: others.collect(),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB, {} vcores", self.memory_mib, self.vcores)?;
        self.others.iter().try_for_each(|(name, amount)| write!(f, ", {amount} {name}"))
    }
}

/// Something that a cluster counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceType {
    /// Its name: `memory-mb`, `vcores`, `yarn.io/gpu`.
    pub name: String,
    /// Its unit, such as `Mi`; often empty.
    pub units: String,
}

impl ResourceType {
    pub(super) fn from_wire(proto: ResourceTypeInfoProto) -> Self {
        Self { name: proto.name, units: proto.units.unwrap_or_default() }
    }
}

fn amount(value: Option<i64>) -> u64 {
    u64::try_from(value.unwrap_or(0)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_pass_the_wire() {
        let some = Resource::new(2048, 2).with("yarn.io/gpu", 4);
        assert_eq!(Resource::from_wire(Some(some.to_wire())), some);
        assert_eq!(some.to_string(), "2048 MiB, 2 vcores, 4 yarn.io/gpu");
        let mut proto = some.to_wire();
        // Servers list memory and cores twice, and say -1 for what they do not know.
        proto.resource_value_map.push(ResourceInformationProto { key: MEMORY.into(), value: Some(1) });
        proto.resource_value_map.push(ResourceInformationProto { key: "none".into(), value: Some(0) });
        assert_eq!(Resource::from_wire(Some(proto.clone())), some);
        (proto.memory, proto.virtual_cores) = (Some(-5), Some(i32::MIN));
        assert_eq!(Resource::from_wire(Some(proto)).to_string(), "0 MiB, 0 vcores, 4 yarn.io/gpu");
    }

    #[test]
    fn nothing_on_the_wire_is_negative() {
        let most = Resource::new(u64::MAX, u32::MAX).with("x", u64::MAX).to_wire();
        assert_eq!((most.memory, most.virtual_cores), (Some(i64::MAX), Some(i32::MAX)));
        assert_eq!(most.resource_value_map[0].value, Some(i64::MAX));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let node = Resource::new(8192, 8);
        assert!(Resource::new(8192, 8).fits_in(&node));
        assert_eq!(Resource::new(1, 9).first_beyond(&node), Some(("vcores".into(), 9, 8)));
        let gpus = Resource::new(1, 1).with("yarn.io/gpu", 1);
        assert_eq!(gpus.first_beyond(&node), Some(("yarn.io/gpu".into(), 1, 0)));
    }
}
