//! An application as it is handed to the ResourceManager.

use std::time::Duration;

use super::error::Error;
use super::ids::ApplicationId;
use super::launch::{ContainerLaunchContext, LogAggregationContext, milliseconds};
use super::proto::client::{
    ApplicationSubmissionContextProto, ApplicationTimeoutMapProto, LogAggregationContextProto,
};
use super::proto::common::{PriorityProto, ResourceRequestProto};
use super::proto::node::ContainerLaunchContextProto;
use super::resource::Resource;

/// An application as it is handed to the ResourceManager (`ApplicationSubmissionContextProto`).
#[derive(Debug, Clone, PartialEq)]
pub struct ApplicationSubmission {
    /// The id that [`get_new_application`](super::ResourceManager::get_new_application) gave.
    pub id: ApplicationId,
    /// Its name.
    pub name: String,
    /// Its type, such as `FOREBAY`; YARN keeps 20 bytes of it.
    pub application_type: String,
    /// Its queue.
    pub queue: String,
    /// Its priority in the queue, the greater the more urgent; the cluster's maximum is the most it gets.
    pub priority: Option<u32>,
    /// What its application master is; `None` for one that YARN does not start (an unmanaged one).
    pub container: Option<ContainerLaunchContext>,
    /// What the application master's container has.
    pub resource: Resource,
    /// The label of the nodes that the application master may be on.
    pub am_node_label: Option<String>,
    /// The label for all that asks for none.
    pub node_label: Option<String>,
    /// How often an application master is started; `None` and more than the cluster allows are the cluster's own number.
    pub max_attempts: Option<u16>,
    /// Failures longer ago than this do not count against `max_attempts`.
    pub failures_validity: Option<Duration>,
    /// Whether containers go on when their application master fails, and are handed to the next.
    pub keep_containers: bool,
    /// Tags. They are sent in lower case, as Hadoop's own clients do, which also look for them so.
    pub tags: Vec<String>,
    /// Which logs are gathered; all at the end when `None`.
    pub log_aggregation: Option<LogAggregationContext>,
    /// How long the application may take, waiting included; the ResourceManager kills it then.
    pub lifetime: Option<Duration>,
}

impl ApplicationSubmission {
    /// An application in the queue `default` and with the cluster's own settings.
    pub fn new(id: ApplicationId, name: impl Into<String>, resource: Resource) -> Self {
        Self {
            id,
            name: name.into(),
            application_type: "YARN".to_owned(),
            queue: "default".to_owned(),
            priority: None,
            container: None,
            resource,
            am_node_label: None,
            node_label: None,
            max_attempts: None,
            failures_validity: None,
            keep_containers: false,
            tags: Vec::new(),
            log_aggregation: None,
            lifetime: None,
        }
    }

    pub(super) fn to_wire(&self) -> Result<ApplicationSubmissionContextProto, Error> {
        let lifetime = self.lifetime.map(|time| ApplicationTimeoutMapProto {
            application_timeout_type: Some(1),
            // Zero would be refused.
            timeout: Some(i64::try_from(time.as_secs().max(1)).unwrap_or(i64::MAX)),
        });
        let log_aggregation = self.log_aggregation.clone().map(|which| LogAggregationContextProto {
            include_pattern: which.include,
            exclude_pattern: which.exclude,
            rolled_logs_include_pattern: which.rolled_include,
            rolled_logs_exclude_pattern: which.rolled_exclude,
        });
        let container = self.container.as_ref().map(ContainerLaunchContext::to_wire).transpose()?;
        Ok(ApplicationSubmissionContextProto {
            application_id: Some(self.id.to_wire()),
            application_name: Some(self.name.clone()),
            queue: Some(self.queue.clone()),
            priority: self.priority.map(|priority| PriorityProto {
                priority: Some(i32::try_from(priority).unwrap_or(i32::MAX)),
            }),
            unmanaged_am: container.is_none().then_some(true),
            // It must be there even where there is nothing to start.
            am_container_spec: Some(container.unwrap_or_else(ContainerLaunchContextProto::default)),
            max_app_attempts: self.max_attempts.map(|attempts| i32::from(attempts.max(1))),
            resource: Some(self.resource.to_wire()),
            application_type: Some(self.application_type.clone()),
            keep_containers_across_application_attempts: Some(self.keep_containers),
            application_tags: self.tags.iter().map(|tag| tag.to_lowercase()).collect(),
            attempt_failures_validity_interval: self.failures_validity.map(milliseconds),
            log_aggregation_context: log_aggregation,
            node_label_expression: self.node_label.clone(),
            am_container_resource_request: self.am_request().into_iter().collect(),
            application_timeouts: lifetime.into_iter().collect(),
        })
    }

    /// Only needed for a label of the application master's own.
    fn am_request(&self) -> Option<ResourceRequestProto> {
        let label = self.am_node_label.clone()?;
        Some(ResourceRequestProto {
            priority: Some(PriorityProto { priority: Some(0) }),
            resource_name: Some("*".to_owned()),
            capability: Some(self.resource.to_wire()),
            num_containers: Some(1),
            relax_locality: Some(true),
            node_label_expression: Some(label),
            allocation_request_id: None,
        })
    }
}
