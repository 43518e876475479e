//! YARN's answers for `fuzz/`.

use prost::Message;

use super::proto::{client, master, node};
use super::{
    Allocation, ApplicationReport, AttemptReport, ContainerReport, ContainerStatus, NodeReport, QueueInfo,
    Registration,
};
use crate::credentials::Token;

/// An answer to a heartbeat, as it would be merged with itself.
pub fn allocation(bytes: &[u8]) -> Option<Allocation> {
    let proto = master::AllocateResponseProto::decode(bytes).ok()?;
    let allocation = Allocation::from_wire(proto);
    Some(allocation.clone().followed_by(allocation))
}

/// An answer to a registration.
pub fn registration(bytes: &[u8]) -> Option<Registration> {
    Some(Registration::from_wire(master::RegisterApplicationMasterResponseProto::decode(bytes).ok()?))
}

/// All reports and lists of the ResourceManager's that these bytes are.
pub fn reports(bytes: &[u8]) -> String {
    let report = client::GetApplicationReportResponseProto::decode(bytes).ok();
    let report = report.and_then(|answer| answer.application_report).map(ApplicationReport::from_wire);
    let attempts = client::GetApplicationAttemptsResponseProto::decode(bytes).unwrap_or_default();
    let attempts: Vec<_> = attempts.application_attempts.into_iter().map(AttemptReport::from_wire).collect();
    let containers = client::GetContainersResponseProto::decode(bytes).unwrap_or_default();
    let containers: Vec<_> = containers.containers.into_iter().map(ContainerReport::from_wire).collect();
    let nodes = client::GetClusterNodesResponseProto::decode(bytes).unwrap_or_default();
    let nodes: Vec<_> = nodes.node_reports.into_iter().map(NodeReport::from_wire).collect();
    let queue = client::GetQueueInfoResponseProto::decode(bytes).ok().and_then(|answer| answer.queue_info);
    let queue = queue.map(QueueInfo::from_wire);
    format!("{report:?}{attempts:?}{containers:?}{nodes:?}{queue:?}")
}

/// Containers' statuses, and failures, of a node's answers.
pub fn statuses(bytes: &[u8]) -> String {
    let answer = node::GetContainerStatusesResponseProto::decode(bytes).unwrap_or_default();
    let statuses: Vec<_> = answer.status.into_iter().map(ContainerStatus::from_wire).collect();
    let failed = super::node_manager::failures(answer.failed_requests);
    format!("{statuses:?}{failed:?}")
}

/// Whose token an identifier is.
pub fn token_owner(identifier: &[u8]) -> Option<String> {
    let token = Token::new(identifier.to_vec(), Vec::new(), super::AM_RM_TOKEN, "");
    super::master::attempt_of(&token).map(|attempt| attempt.to_string())
}
