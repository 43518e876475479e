//! `ApplicationMasterProtocol`: its requests and answers (`yarn_service_protos.proto`).

use super::common::{
    ContainerIdProto, ContainerProto, ContainerStatusProto, NodeIdProto, NodeReportProto, ResourceProto,
    ResourceRequestProto, ResourceTypeInfoProto,
};
use crate::credentials::TokenProto;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RegisterApplicationMasterRequestProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) host: Option<String>,
    #[prost(int32, optional, tag = "2")]
    pub(crate) rpc_port: Option<i32>,
    #[prost(string, optional, tag = "3")]
    pub(crate) tracking_url: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RegisterApplicationMasterResponseProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) maximum_capability: Option<ResourceProto>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) containers_from_previous_attempts: Vec<ContainerProto>,
    #[prost(string, optional, tag = "5")]
    pub(crate) queue: Option<String>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) nm_tokens_from_previous_attempts: Vec<NmTokenProto>,
    #[prost(message, repeated, tag = "9")]
    pub(crate) resource_types: Vec<ResourceTypeInfoProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AllocateRequestProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) ask: Vec<ResourceRequestProto>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) release: Vec<ContainerIdProto>,
    #[prost(message, optional, tag = "3")]
    pub(crate) blacklist_request: Option<ResourceBlacklistRequestProto>,
    #[prost(int32, optional, tag = "4")]
    pub(crate) response_id: Option<i32>,
    #[prost(float, optional, tag = "5")]
    pub(crate) progress: Option<f32>,
    #[prost(string, optional, tag = "11")]
    pub(crate) tracking_url: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ResourceBlacklistRequestProto {
    #[prost(string, repeated, tag = "1")]
    pub(crate) blacklist_additions: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(crate) blacklist_removals: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct NmTokenProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) node_id: Option<NodeIdProto>,
    #[prost(message, optional, tag = "2")]
    pub(crate) token: Option<TokenProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AllocateResponseProto {
    #[prost(int32, optional, tag = "1")]
    pub(crate) am_command: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    pub(crate) response_id: Option<i32>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) allocated_containers: Vec<ContainerProto>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) completed_container_statuses: Vec<ContainerStatusProto>,
    #[prost(message, optional, tag = "5")]
    pub(crate) limit: Option<ResourceProto>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) updated_nodes: Vec<NodeReportProto>,
    #[prost(int32, optional, tag = "7")]
    pub(crate) num_cluster_nodes: Option<i32>,
    #[prost(message, optional, tag = "8")]
    pub(crate) preempt: Option<PreemptionMessageProto>,
    #[prost(message, repeated, tag = "9")]
    pub(crate) nm_tokens: Vec<NmTokenProto>,
    #[prost(message, optional, tag = "12")]
    pub(crate) am_rm_token: Option<TokenProto>,
    #[prost(message, repeated, tag = "17")]
    pub(crate) containers_from_previous_attempts: Vec<ContainerProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PreemptionMessageProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) strict_contract: Option<StrictPreemptionContractProto>,
    #[prost(message, optional, tag = "2")]
    pub(crate) contract: Option<PreemptionContractProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StrictPreemptionContractProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) container: Vec<PreemptionContainerProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PreemptionContractProto {
    #[prost(message, repeated, tag = "2")]
    pub(crate) container: Vec<PreemptionContainerProto>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct PreemptionContainerProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<ContainerIdProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FinishApplicationMasterRequestProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) diagnostics: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(crate) tracking_url: Option<String>,
    #[prost(int32, optional, tag = "3")]
    pub(crate) final_application_status: Option<i32>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct FinishApplicationMasterResponseProto {
    #[prost(bool, optional, tag = "1")]
    pub(crate) is_unregistered: Option<bool>,
}
