//! `ContainerManagementProtocol`: its requests and answers (`yarn_service_protos.proto`), and what starts a container (`yarn_protos.proto`).

use bytes::Bytes;

use super::common::{
    ApplicationAclMapProto, ContainerIdProto, ContainerStatusProto, SerializedExceptionProto,
    StringStringMapProto,
};
use crate::credentials::TokenProto;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StartContainersRequestProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) start_container_request: Vec<StartContainerRequestProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StartContainerRequestProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) container_launch_context: Option<ContainerLaunchContextProto>,
    #[prost(message, optional, tag = "2")]
    pub(crate) container_token: Option<TokenProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct ContainerLaunchContextProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) local_resources: Vec<StringLocalResourceMapProto>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub(crate) tokens: Option<Bytes>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) environment: Vec<StringStringMapProto>,
    #[prost(string, repeated, tag = "5")]
    pub(crate) command: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) application_acls: Vec<ApplicationAclMapProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StringLocalResourceMapProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) key: Option<String>,
    #[prost(message, optional, tag = "2")]
    pub(crate) value: Option<LocalResourceProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LocalResourceProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) resource: Option<UrlProto>,
    #[prost(int64, optional, tag = "2")]
    pub(crate) size: Option<i64>,
    #[prost(int64, optional, tag = "3")]
    pub(crate) timestamp: Option<i64>,
    #[prost(int32, optional, tag = "4")]
    pub(crate) kind: Option<i32>,
    #[prost(int32, optional, tag = "5")]
    pub(crate) visibility: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UrlProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) scheme: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(crate) host: Option<String>,
    #[prost(int32, optional, tag = "3")]
    pub(crate) port: Option<i32>,
    #[prost(string, optional, tag = "4")]
    pub(crate) file: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ContainerExceptionMapProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) container_id: Option<ContainerIdProto>,
    #[prost(message, optional, tag = "2")]
    pub(crate) exception: Option<SerializedExceptionProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StartContainersResponseProto {
    #[prost(message, repeated, tag = "2")]
    pub(crate) succeeded_requests: Vec<ContainerIdProto>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) failed_requests: Vec<ContainerExceptionMapProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetContainerStatusesResponseProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) status: Vec<ContainerStatusProto>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) failed_requests: Vec<ContainerExceptionMapProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StopContainersResponseProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) succeeded_requests: Vec<ContainerIdProto>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) failed_requests: Vec<ContainerExceptionMapProto>,
}

/// `StopContainersRequestProto` and `GetContainerStatusesRequestProto`, which are alike.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ContainersRequestProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) container_id: Vec<ContainerIdProto>,
}

impl std::fmt::Debug for ContainerLaunchContextProto {
    /// Without what it holds: tokens, and an environment that may hold what its owner keeps for itself.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContainerLaunchContextProto").finish_non_exhaustive()
    }
}
