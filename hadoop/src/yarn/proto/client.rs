//! `ApplicationClientProtocol`: its requests and answers (`yarn_service_protos.proto`, `yarn_protos.proto`).

use super::common::{
    ApplicationAttemptIdProto, ApplicationIdProto, ContainerIdProto, NodeIdProto, NodeReportProto,
    PriorityProto, ResourceProto, ResourceRequestProto, ResourceTypeInfoProto,
};
use super::node::ContainerLaunchContextProto;
use crate::credentials::TokenProto;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetNewApplicationResponseProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) application_id: Option<ApplicationIdProto>,
    #[prost(message, optional, tag = "2")]
    pub(crate) maximum_capability: Option<ResourceProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SubmitApplicationRequestProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) application_submission_context: Option<ApplicationSubmissionContextProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ApplicationSubmissionContextProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) application_id: Option<ApplicationIdProto>,
    #[prost(string, optional, tag = "2")]
    pub(crate) application_name: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub(crate) queue: Option<String>,
    #[prost(message, optional, tag = "4")]
    pub(crate) priority: Option<PriorityProto>,
    #[prost(message, optional, tag = "5")]
    pub(crate) am_container_spec: Option<ContainerLaunchContextProto>,
    #[prost(bool, optional, tag = "7")]
    pub(crate) unmanaged_am: Option<bool>,
    #[prost(int32, optional, tag = "8")]
    pub(crate) max_app_attempts: Option<i32>,
    #[prost(message, optional, tag = "9")]
    pub(crate) resource: Option<ResourceProto>,
    #[prost(string, optional, tag = "10")]
    pub(crate) application_type: Option<String>,
    #[prost(bool, optional, tag = "11")]
    pub(crate) keep_containers_across_application_attempts: Option<bool>,
    #[prost(string, repeated, tag = "12")]
    pub(crate) application_tags: Vec<String>,
    #[prost(int64, optional, tag = "13")]
    pub(crate) attempt_failures_validity_interval: Option<i64>,
    #[prost(message, optional, tag = "14")]
    pub(crate) log_aggregation_context: Option<LogAggregationContextProto>,
    #[prost(string, optional, tag = "16")]
    pub(crate) node_label_expression: Option<String>,
    #[prost(message, repeated, tag = "17")]
    pub(crate) am_container_resource_request: Vec<ResourceRequestProto>,
    #[prost(message, repeated, tag = "18")]
    pub(crate) application_timeouts: Vec<ApplicationTimeoutMapProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LogAggregationContextProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) include_pattern: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(crate) exclude_pattern: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub(crate) rolled_logs_include_pattern: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub(crate) rolled_logs_exclude_pattern: Option<String>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct ApplicationTimeoutMapProto {
    #[prost(int32, optional, tag = "1")]
    pub(crate) application_timeout_type: Option<i32>,
    #[prost(int64, optional, tag = "2")]
    pub(crate) timeout: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ApplicationReportProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) application_id: Option<ApplicationIdProto>,
    #[prost(string, optional, tag = "2")]
    pub(crate) user: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub(crate) queue: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub(crate) name: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub(crate) host: Option<String>,
    #[prost(int32, optional, tag = "6")]
    pub(crate) rpc_port: Option<i32>,
    #[prost(message, optional, tag = "7")]
    pub(crate) client_to_am_token: Option<TokenProto>,
    #[prost(int32, optional, tag = "8")]
    pub(crate) yarn_application_state: Option<i32>,
    #[prost(string, optional, tag = "9")]
    pub(crate) tracking_url: Option<String>,
    #[prost(string, optional, tag = "10")]
    pub(crate) diagnostics: Option<String>,
    #[prost(int64, optional, tag = "11")]
    pub(crate) start_time: Option<i64>,
    #[prost(int64, optional, tag = "12")]
    pub(crate) finish_time: Option<i64>,
    #[prost(int32, optional, tag = "13")]
    pub(crate) final_application_status: Option<i32>,
    #[prost(message, optional, tag = "14")]
    pub(crate) app_resource_usage: Option<ApplicationResourceUsageReportProto>,
    #[prost(string, optional, tag = "15")]
    pub(crate) original_tracking_url: Option<String>,
    #[prost(message, optional, tag = "16")]
    pub(crate) current_application_attempt_id: Option<ApplicationAttemptIdProto>,
    #[prost(float, optional, tag = "17")]
    pub(crate) progress: Option<f32>,
    #[prost(string, optional, tag = "18")]
    pub(crate) application_type: Option<String>,
    #[prost(message, optional, tag = "19")]
    pub(crate) am_rm_token: Option<TokenProto>,
    #[prost(string, repeated, tag = "20")]
    pub(crate) application_tags: Vec<String>,
    #[prost(int32, optional, tag = "21")]
    pub(crate) log_aggregation_status: Option<i32>,
    #[prost(bool, optional, tag = "22")]
    pub(crate) unmanaged_application: Option<bool>,
    #[prost(message, optional, tag = "23")]
    pub(crate) priority: Option<PriorityProto>,
    #[prost(string, optional, tag = "24")]
    pub(crate) app_node_label_expression: Option<String>,
    #[prost(int64, optional, tag = "27")]
    pub(crate) launch_time: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetApplicationReportResponseProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) application_report: Option<ApplicationReportProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ApplicationResourceUsageReportProto {
    #[prost(int32, optional, tag = "1")]
    pub(crate) num_used_containers: Option<i32>,
    #[prost(message, optional, tag = "3")]
    pub(crate) used_resources: Option<ResourceProto>,
    #[prost(message, optional, tag = "5")]
    pub(crate) needed_resources: Option<ResourceProto>,
    #[prost(float, optional, tag = "8")]
    pub(crate) queue_usage_percentage: Option<f32>,
    #[prost(float, optional, tag = "9")]
    pub(crate) cluster_usage_percentage: Option<f32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct KillApplicationRequestProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) application_id: Option<ApplicationIdProto>,
    #[prost(string, optional, tag = "2")]
    pub(crate) diagnostics: Option<String>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct KillApplicationResponseProto {
    #[prost(bool, optional, tag = "1")]
    pub(crate) is_kill_completed: Option<bool>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetApplicationsRequestProto {
    #[prost(string, repeated, tag = "1")]
    pub(crate) application_types: Vec<String>,
    #[prost(int32, repeated, packed = "false", tag = "2")]
    pub(crate) application_states: Vec<i32>,
    #[prost(string, repeated, tag = "3")]
    pub(crate) users: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub(crate) queues: Vec<String>,
    #[prost(int64, optional, tag = "5")]
    pub(crate) limit: Option<i64>,
    #[prost(string, repeated, tag = "10")]
    pub(crate) application_tags: Vec<String>,
    #[prost(string, optional, tag = "12")]
    pub(crate) name: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetApplicationsResponseProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) applications: Vec<ApplicationReportProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetClusterNodesRequestProto {
    #[prost(int32, repeated, packed = "false", tag = "1")]
    pub(crate) node_states: Vec<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetClusterNodesResponseProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) node_reports: Vec<NodeReportProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetQueueInfoRequestProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) queue_name: Option<String>,
    #[prost(bool, optional, tag = "2")]
    pub(crate) include_applications: Option<bool>,
    #[prost(bool, optional, tag = "3")]
    pub(crate) include_child_queues: Option<bool>,
    #[prost(bool, optional, tag = "4")]
    pub(crate) recursive: Option<bool>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetQueueInfoResponseProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) queue_info: Option<QueueInfoProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct QueueInfoProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) queue_name: Option<String>,
    #[prost(float, optional, tag = "2")]
    pub(crate) capacity: Option<f32>,
    #[prost(float, optional, tag = "3")]
    pub(crate) maximum_capacity: Option<f32>,
    #[prost(float, optional, tag = "4")]
    pub(crate) current_capacity: Option<f32>,
    #[prost(int32, optional, tag = "5")]
    pub(crate) state: Option<i32>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) child_queues: Vec<QueueInfoProto>,
    #[prost(string, repeated, tag = "8")]
    pub(crate) accessible_node_labels: Vec<String>,
    #[prost(string, optional, tag = "9")]
    pub(crate) default_node_label_expression: Option<String>,
    #[prost(message, optional, tag = "10")]
    pub(crate) queue_statistics: Option<QueueStatisticsProto>,
    #[prost(message, repeated, tag = "12")]
    pub(crate) queue_configurations_map: Vec<QueueConfigurationsMapProto>,
    #[prost(string, optional, tag = "15")]
    pub(crate) queue_path: Option<String>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct QueueStatisticsProto {
    #[prost(int64, optional, tag = "2")]
    pub(crate) num_apps_running: Option<i64>,
    #[prost(int64, optional, tag = "3")]
    pub(crate) num_apps_pending: Option<i64>,
    #[prost(int64, optional, tag = "8")]
    pub(crate) available_memory_mb: Option<i64>,
    #[prost(int64, optional, tag = "9")]
    pub(crate) allocated_memory_mb: Option<i64>,
    #[prost(int64, optional, tag = "10")]
    pub(crate) pending_memory_mb: Option<i64>,
    #[prost(int64, optional, tag = "12")]
    pub(crate) available_vcores: Option<i64>,
    #[prost(int64, optional, tag = "13")]
    pub(crate) allocated_vcores: Option<i64>,
    #[prost(int64, optional, tag = "14")]
    pub(crate) pending_vcores: Option<i64>,
    #[prost(int64, optional, tag = "16")]
    pub(crate) allocated_containers: Option<i64>,
    #[prost(int64, optional, tag = "17")]
    pub(crate) pending_containers: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct QueueConfigurationsMapProto {
    #[prost(string, required, tag = "1")]
    pub(crate) partition_name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) queue_configurations: Option<QueueConfigurationsProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct QueueConfigurationsProto {
    #[prost(float, optional, tag = "2")]
    pub(crate) absolute_capacity: Option<f32>,
    #[prost(float, optional, tag = "4")]
    pub(crate) absolute_max_capacity: Option<f32>,
    #[prost(message, optional, tag = "6")]
    pub(crate) effective_min_capacity: Option<ResourceProto>,
    #[prost(message, optional, tag = "7")]
    pub(crate) effective_max_capacity: Option<ResourceProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetAllResourceTypeInfoResponseProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) resource_type_info: Vec<ResourceTypeInfoProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetClusterNodeLabelsResponseProto {
    #[prost(string, repeated, tag = "1")]
    pub(crate) deprecated_node_labels: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) node_labels: Vec<NodeLabelProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct NodeLabelProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) name: Option<String>,
    #[prost(bool, optional, tag = "2")]
    pub(crate) is_exclusive: Option<bool>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ApplicationAttemptReportProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) application_attempt_id: Option<ApplicationAttemptIdProto>,
    #[prost(string, optional, tag = "2")]
    pub(crate) host: Option<String>,
    #[prost(int32, optional, tag = "3")]
    pub(crate) rpc_port: Option<i32>,
    #[prost(string, optional, tag = "4")]
    pub(crate) tracking_url: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub(crate) diagnostics: Option<String>,
    #[prost(int32, optional, tag = "6")]
    pub(crate) yarn_application_attempt_state: Option<i32>,
    #[prost(message, optional, tag = "7")]
    pub(crate) am_container_id: Option<ContainerIdProto>,
    #[prost(int64, optional, tag = "9")]
    pub(crate) start_time: Option<i64>,
    #[prost(int64, optional, tag = "10")]
    pub(crate) finish_time: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetApplicationAttemptsResponseProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) application_attempts: Vec<ApplicationAttemptReportProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetContainersResponseProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) containers: Vec<ContainerReportProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ContainerReportProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) container_id: Option<ContainerIdProto>,
    #[prost(message, optional, tag = "2")]
    pub(crate) resource: Option<ResourceProto>,
    #[prost(message, optional, tag = "3")]
    pub(crate) node_id: Option<NodeIdProto>,
    #[prost(message, optional, tag = "4")]
    pub(crate) priority: Option<PriorityProto>,
    #[prost(int64, optional, tag = "5")]
    pub(crate) creation_time: Option<i64>,
    #[prost(int64, optional, tag = "6")]
    pub(crate) finish_time: Option<i64>,
    #[prost(string, optional, tag = "7")]
    pub(crate) diagnostics_info: Option<String>,
    #[prost(string, optional, tag = "8")]
    pub(crate) log_url: Option<String>,
    #[prost(int32, optional, tag = "9")]
    pub(crate) container_exit_status: Option<i32>,
    #[prost(int32, optional, tag = "10")]
    pub(crate) container_state: Option<i32>,
    #[prost(string, optional, tag = "11")]
    pub(crate) node_http_address: Option<String>,
}

/// `GetApplicationReportRequestProto` and `GetApplicationAttemptsRequestProto`, which are alike.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct ApplicationRequestProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) application_id: Option<ApplicationIdProto>,
}

/// `GetContainersRequestProto`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct AttemptRequestProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) application_attempt_id: Option<ApplicationAttemptIdProto>,
}
