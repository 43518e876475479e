//! What the ResourceManager answers an application master.

use super::container::{Container, ContainerStatus, node};
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
    pub(super) fn from_wire(proto: RegisterApplicationMasterResponseProto) -> Self {
        const METHOD: &str = "registerApplicationMaster";
        Self {
            maximum_capability: Resource::from_wire(proto.maximum_capability),
            queue: proto.queue.unwrap_or_default(),
            resource_types: proto.resource_types.into_iter().map(ResourceType::from_wire).collect(),
            previous_containers: sound(METHOD, proto.containers_from_previous_attempts, Container::from_wire),
            nm_tokens: sound(METHOD, proto.nm_tokens_from_previous_attempts, NmToken::from_wire),
        }
    }
}

impl Allocation {
    pub(super) fn from_wire(proto: AllocateResponseProto) -> Self {
        const METHOD: &str = "allocate";
        let completed = proto.completed_container_statuses;
        Self {
            containers: sound(METHOD, proto.allocated_containers, Container::from_wire),
            completed: sound(METHOD, completed, ContainerStatus::from_wire),
            updated_nodes: sound(METHOD, proto.updated_nodes, NodeReport::from_wire),
            preemption: proto.preempt.map(Preemption::from_wire),
            headroom: Resource::from_wire(proto.limit),
            nm_tokens: sound(METHOD, proto.nm_tokens, NmToken::from_wire),
            cluster_nodes: u32::try_from(proto.num_cluster_nodes.unwrap_or(0)).unwrap_or(0),
            previous_containers: sound(METHOD, proto.containers_from_previous_attempts, Container::from_wire),
            token_rolled: false,
        }
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

/// Those elements of an answer that make sense. An answer comes once, so that one that does not must not take the others with it.
fn sound<P, T>(method: &str, protos: Vec<P>, from_wire: impl Fn(P) -> Result<T, &'static str>) -> Vec<T> {
    let elements = protos.into_iter().map(from_wire);
    let heard = elements.inspect(|element| {
        if let Err(why) = element {
            tracing::warn!("{method}: a part of the answer makes no sense and is passed over: {why}");
        }
    });
    heard.filter_map(Result::ok).collect()
}

#[cfg(test)]
mod tests {
    use super::super::proto::common::{ContainerIdProto, ContainerProto, ContainerStatusProto, NodeIdProto};
    use super::*;
    use crate::credentials::TokenProto;

    fn wire(id: &str) -> ContainerIdProto {
        id.parse::<ContainerId>().unwrap().to_wire()
    }

    #[test]
    fn one_malformed_element_does_not_cost_the_others() {
        let node = Some(NodeIdProto { host: Some("h".into()), port: Some(1) });
        let (one, two) = ("container_1_0001_01_000002", "container_1_0001_01_000003");
        let whole = ContainerProto {
            id: Some(wire(one)),
            node_id: node.clone(),
            container_token: Some(TokenProto::default()),
            ..ContainerProto::default()
        };
        let without_node = ContainerProto { node_id: None, ..whole.clone() };
        let status =
            ContainerStatusProto { container_id: Some(wire(two)), ..ContainerStatusProto::default() };
        let token = NmTokenProto { node_id: node, token: Some(TokenProto::default()) };
        let ids = |containers: &[Container]| containers.iter().map(|c| c.id.to_string()).collect::<Vec<_>>();

        let answer = Allocation::from_wire(AllocateResponseProto {
            allocated_containers: vec![without_node.clone(), whole.clone()],
            completed_container_statuses: vec![ContainerStatusProto::default(), status],
            containers_from_previous_attempts: vec![ContainerProto::default(), whole.clone()],
            nm_tokens: vec![NmTokenProto::default(), token.clone()],
            ..AllocateResponseProto::default()
        });
        assert_eq!(
            (ids(&answer.containers), ids(&answer.previous_containers)),
            (vec![one.into()], vec![one.into()])
        );
        assert_eq!((answer.completed.len(), answer.completed[0].id.to_string()), (1, two.to_owned()));
        assert_eq!(answer.nm_tokens.len(), 1);

        let registration = Registration::from_wire(RegisterApplicationMasterResponseProto {
            containers_from_previous_attempts: vec![without_node, whole],
            nm_tokens_from_previous_attempts: vec![token, NmTokenProto::default()],
            ..RegisterApplicationMasterResponseProto::default()
        });
        assert_eq!(
            (ids(&registration.previous_containers), registration.nm_tokens.len()),
            (vec![one.into()], 1)
        );
    }
}
