//! The messages that several of YARN's protocols share (`yarn_protos.proto`), and of their fields those that are read or written. All others are skipped
//! when they come.

use crate::credentials::TokenProto;

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct ApplicationIdProto {
    #[prost(int32, optional, tag = "1")]
    pub(crate) id: Option<i32>,
    #[prost(int64, optional, tag = "2")]
    pub(crate) cluster_timestamp: Option<i64>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct ApplicationAttemptIdProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) application_id: Option<ApplicationIdProto>,
    #[prost(int32, optional, tag = "2")]
    pub(crate) attempt_id: Option<i32>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct ContainerIdProto {
    #[prost(message, optional, tag = "2")]
    pub(crate) app_attempt_id: Option<ApplicationAttemptIdProto>,
    #[prost(int64, optional, tag = "3")]
    pub(crate) id: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct NodeIdProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) host: Option<String>,
    #[prost(int32, optional, tag = "2")]
    pub(crate) port: Option<i32>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct PriorityProto {
    #[prost(int32, optional, tag = "1")]
    pub(crate) priority: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ResourceProto {
    #[prost(int64, optional, tag = "1")]
    pub(crate) memory: Option<i64>,
    #[prost(int32, optional, tag = "2")]
    pub(crate) virtual_cores: Option<i32>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) resource_value_map: Vec<ResourceInformationProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ResourceInformationProto {
    #[prost(string, required, tag = "1")]
    pub(crate) key: String,
    #[prost(int64, optional, tag = "2")]
    pub(crate) value: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ResourceTypeInfoProto {
    #[prost(string, required, tag = "1")]
    pub(crate) name: String,
    #[prost(string, optional, tag = "2")]
    pub(crate) units: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ContainerProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<ContainerIdProto>,
    #[prost(message, optional, tag = "2")]
    pub(crate) node_id: Option<NodeIdProto>,
    #[prost(string, optional, tag = "3")]
    pub(crate) node_http_address: Option<String>,
    #[prost(message, optional, tag = "4")]
    pub(crate) resource: Option<ResourceProto>,
    #[prost(message, optional, tag = "5")]
    pub(crate) priority: Option<PriorityProto>,
    #[prost(message, optional, tag = "6")]
    pub(crate) container_token: Option<TokenProto>,
    #[prost(int64, optional, tag = "8")]
    pub(crate) allocation_request_id: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ContainerStatusProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) container_id: Option<ContainerIdProto>,
    #[prost(int32, optional, tag = "2")]
    pub(crate) state: Option<i32>,
    #[prost(string, optional, tag = "3")]
    pub(crate) diagnostics: Option<String>,
    #[prost(int32, optional, tag = "4")]
    pub(crate) exit_status: Option<i32>,
    #[prost(message, optional, tag = "5")]
    pub(crate) capability: Option<ResourceProto>,
    #[prost(int32, optional, tag = "8")]
    pub(crate) container_sub_state: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct NodeReportProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) node_id: Option<NodeIdProto>,
    #[prost(string, optional, tag = "2")]
    pub(crate) http_address: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub(crate) rack_name: Option<String>,
    #[prost(message, optional, tag = "4")]
    pub(crate) used: Option<ResourceProto>,
    #[prost(message, optional, tag = "5")]
    pub(crate) capability: Option<ResourceProto>,
    #[prost(int32, optional, tag = "6")]
    pub(crate) num_containers: Option<i32>,
    #[prost(int32, optional, tag = "7")]
    pub(crate) node_state: Option<i32>,
    #[prost(string, optional, tag = "8")]
    pub(crate) health_report: Option<String>,
    #[prost(string, repeated, tag = "10")]
    pub(crate) node_labels: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ResourceRequestProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) priority: Option<PriorityProto>,
    #[prost(string, optional, tag = "2")]
    pub(crate) resource_name: Option<String>,
    #[prost(message, optional, tag = "3")]
    pub(crate) capability: Option<ResourceProto>,
    #[prost(int32, optional, tag = "4")]
    pub(crate) num_containers: Option<i32>,
    #[prost(bool, optional, tag = "5")]
    pub(crate) relax_locality: Option<bool>,
    #[prost(string, optional, tag = "6")]
    pub(crate) node_label_expression: Option<String>,
    #[prost(int64, optional, tag = "8")]
    pub(crate) allocation_request_id: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SerializedExceptionProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) message: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub(crate) class_name: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StringStringMapProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) key: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(crate) value: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ApplicationAclMapProto {
    #[prost(int32, optional, tag = "1")]
    pub(crate) access_type: Option<i32>,
    #[prost(string, optional, tag = "2")]
    pub(crate) acl: Option<String>,
}
