//! What the ResourceManager answers an application master.

use super::container::{Container, ContainerStatus, node};
use super::error::Error;
use super::ids::ContainerId;
use super::nodes::NodeReport;
use super::proto::master::{
    AllocateResponseProto, NmTokenProto, PreemptionContainerProto, PreemptionMessageProto,
    RegisterApplicationMasterResponseProto,
};
use super::resource::{Resource, ResourceType};
use crate::conf::Address;
use crate::credentials::Token;

/// A token for a node: what [`NodeManager`](super::NodeManager) logs in with. It comes with the first container on each
/// node, and again when it is renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NmToken {
    /// The node.
    pub node: Address,
    /// Its token.
    pub token: Token,
}

/// What an application master learns when it registers.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// The most that one container may have.
    pub maximum_capability: Resource,
    /// The application's queue.
    pub queue: String,
    /// What the cluster counts.
    pub resource_types: Vec<ResourceType>,
    /// Containers that run on from earlier attempts.
    pub previous_containers: Vec<Container>,
    /// The tokens for their nodes.
    pub nm_tokens: Vec<NmToken>,
}

/// What a heartbeat brings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Allocation {
    /// New containers. They come one heartbeat or more after they were asked for.
    pub containers: Vec<Container>,
    /// Containers that have ended, each told once.
    pub completed: Vec<ContainerStatus>,
    /// Nodes whose state has changed.
    pub updated_nodes: Vec<NodeReport>,
    /// What the ResourceManager wants back.
    pub preemption: Option<Preemption>,
    /// What could still be had.
    pub headroom: Resource,
    /// New tokens for nodes.
    pub nm_tokens: Vec<NmToken>,
    /// How many nodes the cluster has.
    pub cluster_nodes: u32,
    /// Containers of earlier attempts that were found only now.
    pub previous_containers: Vec<Container>,
    /// Whether the ResourceManager has handed out a new AMRM token, which is in use from now on.
    pub token_rolled: bool,
}

/// Containers that the ResourceManager wants back (`PreemptionMessageProto`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preemption {
    /// It will take these.
    pub strict: Vec<ContainerId>,
    /// It will take of these, unless it is given others.
    pub negotiable: Vec<ContainerId>,
}

impl Registration {
    pub(super) fn from_wire(proto: RegisterApplicationMasterResponseProto) -> Result<Self, Error> {
        let wrong = |why| Error::answer("registerApplicationMaster", why);
        let previous = proto.containers_from_previous_attempts.into_iter().map(Container::from_wire);
        let tokens = proto.nm_tokens_from_previous_attempts.into_iter().map(NmToken::from_wire);
        Ok(Self {
            maximum_capability: Resource::from_wire(proto.maximum_capability),
            queue: proto.queue.unwrap_or_default(),
            resource_types: proto.resource_types.into_iter().map(ResourceType::from_wire).collect(),
            previous_containers: previous.collect::<Result<_, _>>().map_err(wrong)?,
            nm_tokens: tokens.collect::<Result<_, _>>().map_err(wrong)?,
        })
    }
}

impl Allocation {
    pub(super) fn from_wire(proto: AllocateResponseProto) -> Result<Self, Error> {
        Self::of(proto).map_err(|why| Error::answer("allocate", why))
    }

    fn of(proto: AllocateResponseProto) -> Result<Self, &'static str> {
        let containers = proto.allocated_containers.into_iter().map(Container::from_wire);
        let completed = proto.completed_container_statuses.into_iter().map(ContainerStatus::from_wire);
        let previous = proto.containers_from_previous_attempts.into_iter().map(Container::from_wire);
        let nodes = proto.updated_nodes.into_iter().map(NodeReport::from_wire);
        let tokens = proto.nm_tokens.into_iter().map(NmToken::from_wire);
        Ok(Self {
            containers: containers.collect::<Result<_, _>>()?,
            completed: completed.collect::<Result<_, _>>()?,
            updated_nodes: nodes.collect::<Result<_, _>>()?,
            preemption: proto.preempt.map(Preemption::from_wire),
            headroom: Resource::from_wire(proto.limit),
            nm_tokens: tokens.collect::<Result<_, _>>()?,
            cluster_nodes: u32::try_from(proto.num_cluster_nodes.unwrap_or(0)).unwrap_or(0),
            previous_containers: previous.collect::<Result<_, _>>()?,
            token_rolled: false,
        })
    }

    /// This answer, and a later one behind it, as one.
    pub(super) fn followed_by(mut self, later: Self) -> Self {
        self.containers.extend(later.containers);
        self.completed.extend(later.completed);
        self.updated_nodes.extend(later.updated_nodes);
        self.nm_tokens.extend(later.nm_tokens);
        self.previous_containers.extend(later.previous_containers);
        Self {
            containers: self.containers,
            completed: self.completed,
            updated_nodes: self.updated_nodes,
            nm_tokens: self.nm_tokens,
            previous_containers: self.previous_containers,
            preemption: later.preemption.or(self.preemption),
            token_rolled: self.token_rolled || later.token_rolled,
            ..later
        }
    }
}

impl Preemption {
    fn from_wire(proto: PreemptionMessageProto) -> Self {
        let ids = |containers: Vec<PreemptionContainerProto>| {
            containers.into_iter().filter_map(|container| ContainerId::from_wire(container.id)).collect()
        };
        Self {
            strict: proto.strict_contract.map(|contract| ids(contract.container)).unwrap_or_default(),
            negotiable: proto.contract.map(|contract| ids(contract.container)).unwrap_or_default(),
        }
    }
}

impl NmToken {
    pub(super) fn from_wire(proto: NmTokenProto) -> Result<Self, &'static str> {
        let node = node(proto.node_id).ok_or("a token is for no node")?;
        let token = proto.token.ok_or("a node's token is none")?.into();
        Ok(Self { node, token })
    }
}
