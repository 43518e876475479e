//! Containers: as they are given, and as they are.

use super::exit::ContainerExitStatus;
use super::ids::ContainerId;
use super::proto::common::{ContainerProto, ContainerStatusProto, NodeIdProto};
use super::resource::Resource;
use crate::conf::Address;
use crate::credentials::Token;

/// How urgent an ask is among one application's: a smaller number is served first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(pub u16);

/// A container that the ResourceManager has given. It has to be started before its token expires (by default within
/// 600 s), or it is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// The NodeManager's host and port: the node's name towards YARN, and where to start the container.
    pub node: Address,
    /// `host:port` of the node's web pages.
    pub node_http_address: String,
    /// What it has: what was asked for, rounded up.
    pub resource: Resource,
    /// The priority it was asked for with.
    pub priority: Priority,
    /// What it was asked for as; `None` where the ask had no such id.
    pub allocation_request_id: Option<u64>,
    /// What starts it.
    pub token: Token,
}

impl Container {
    pub(super) fn from_wire(proto: ContainerProto) -> Result<Self, &'static str> {
        let priority = proto.priority.and_then(|priority| priority.priority).unwrap_or(0);
        Ok(Self {
            id: ContainerId::from_wire(proto.id).ok_or("a container has no proper id")?,
            node: node(proto.node_id).ok_or("a container is on no node")?,
            node_http_address: proto.node_http_address.unwrap_or_default(),
            resource: Resource::from_wire(proto.resource),
            priority: Priority(u16::try_from(priority.max(0)).unwrap_or(u16::MAX)),
            allocation_request_id: proto.allocation_request_id.and_then(|id| u64::try_from(id).ok()),
            token: proto.container_token.ok_or("a container has no token")?.into(),
        })
    }
}

/// What a container is doing (`ContainerStateProto`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContainerState {
    /// 1.
    New,
    /// 2: its files are fetched, or it runs.
    Running,
    /// 3.
    Complete,
    /// Another number, or none.
    Other(i32),
}

impl ContainerState {
    pub(super) fn from_wire(state: Option<i32>) -> Self {
        match state {
            Some(1) => Self::New,
            Some(2) => Self::Running,
            Some(3) => Self::Complete,
            other => Self::Other(other.unwrap_or(0)),
        }
    }
}

/// How a container is, as its NodeManager says, or how it has ended, as the ResourceManager says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerStatus {
    /// Its id.
    pub id: ContainerId,
    /// What it is doing.
    pub state: ContainerState,
    /// Whether its process runs, where the NodeManager says that: not while its files are fetched.
    pub process_runs: Option<bool>,
    /// How it has ended; [`ContainerExitStatus::INVALID`] until it has.
    pub exit_status: ContainerExitStatus,
    /// Why, in YARN's words, with the end of what the process wrote.
    pub diagnostics: String,
}

impl ContainerStatus {
    pub(super) fn from_wire(proto: ContainerStatusProto) -> Result<Self, &'static str> {
        Ok(Self {
            id: ContainerId::from_wire(proto.container_id).ok_or("a container's status has no proper id")?,
            state: ContainerState::from_wire(proto.state),
            process_runs: proto.container_sub_state.map(|state| state == 2),
            exit_status: proto.exit_status.map_or(ContainerExitStatus::INVALID, ContainerExitStatus),
            diagnostics: proto.diagnostics.unwrap_or_default(),
        })
    }
}

/// A node's name.
pub(super) fn node(proto: Option<NodeIdProto>) -> Option<Address> {
    let proto = proto?;
    let host = proto.host.filter(|host| !host.is_empty())?;
    Some(Address { host, port: u16::try_from(proto.port.unwrap_or(0)).ok()? })
}
