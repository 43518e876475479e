//! The cluster's nodes and their labels.

use super::container::node;
use super::proto::client::NodeLabelProto;
use super::proto::common::NodeReportProto;
use super::resource::Resource;
use crate::conf::Address;

/// What a node is up to (`NodeStateProto`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeState {
    /// 1.
    New,
    /// 2.
    Running,
    /// 3: it or its disks are not well.
    Unhealthy,
    /// 4.
    Decommissioned,
    /// 5: it has not been heard of.
    Lost,
    /// 6.
    Rebooted,
    /// 7: it takes nothing new.
    Decommissioning,
    /// 8.
    Shutdown,
    /// Another number, or none.
    Other(i32),
}

impl NodeState {
    fn from_wire(state: Option<i32>) -> Self {
        match state {
            Some(1) => Self::New,
            Some(2) => Self::Running,
            Some(3) => Self::Unhealthy,
            Some(4) => Self::Decommissioned,
            Some(5) => Self::Lost,
            Some(6) => Self::Rebooted,
            Some(7) => Self::Decommissioning,
            Some(8) => Self::Shutdown,
            other => Self::Other(other.unwrap_or(0)),
        }
    }

    pub(super) fn to_wire(self) -> i32 {
        match self {
            Self::New => 1,
            Self::Running => 2,
            Self::Unhealthy => 3,
            Self::Decommissioned => 4,
            Self::Lost => 5,
            Self::Rebooted => 6,
            Self::Decommissioning => 7,
            Self::Shutdown => 8,
            Self::Other(number) => number,
        }
    }
}

/// A node (`NodeReportProto`).
#[derive(Debug, Clone, PartialEq)]
pub struct NodeReport {
    /// The NodeManager's host and port: its host is what asks name it by.
    pub node: Address,
    /// `host:port` of its web pages.
    pub http_address: String,
    /// Its rack, such as `/default-rack`.
    pub rack: String,
    /// What it has.
    pub capability: Resource,
    /// What of that is given out.
    pub used: Resource,
    /// How many containers it has.
    pub containers: u32,
    /// What it is up to.
    pub state: NodeState,
    /// What it says of its health.
    pub health: String,
    /// Its labels.
    pub labels: Vec<String>,
}

impl NodeReport {
    pub(super) fn from_wire(proto: NodeReportProto) -> Result<Self, &'static str> {
        Ok(Self {
            node: node(proto.node_id).ok_or("a node has no name")?,
            http_address: proto.http_address.unwrap_or_default(),
            rack: proto.rack_name.unwrap_or_default(),
            capability: Resource::from_wire(proto.capability),
            used: Resource::from_wire(proto.used),
            containers: u32::try_from(proto.num_containers.unwrap_or(0)).unwrap_or(0),
            state: NodeState::from_wire(proto.node_state),
            health: proto.health_report.unwrap_or_default(),
            labels: proto.node_labels,
        })
    }
}

/// A label of the cluster's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLabel {
    /// Its name.
    pub name: String,
    /// Whether its nodes take only what asks for it.
    pub is_exclusive: bool,
}

impl NodeLabel {
    pub(super) fn from_wire(proto: NodeLabelProto) -> Self {
        Self { name: proto.name.unwrap_or_default(), is_exclusive: proto.is_exclusive.unwrap_or(true) }
    }
}
