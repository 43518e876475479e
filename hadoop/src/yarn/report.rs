//! What the ResourceManager says of applications, their attempts and containers.

use super::container::{ContainerState, node};
use super::exit::ContainerExitStatus;
use super::ids::{ApplicationAttemptId, ApplicationId, ContainerId};
use super::proto::client::{
    ApplicationAttemptReportProto, ApplicationReportProto, ApplicationResourceUsageReportProto,
    ContainerReportProto,
};
use super::resource::Resource;
use crate::conf::Address;
use crate::credentials::Token;

/// Makes an enum of a protocol's, with the numbers it has there.
macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $state:ident = $number:literal $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$of])* $state,)*
            /// Another number, or none.
            Other(i32),
        }

        impl $name {
            /// All that are known.
            pub const ALL: &[Self] = &[$(Self::$state),*];

            pub(super) fn from_wire(number: Option<i32>) -> Self {
                match number {
                    $(Some($number) => Self::$state,)*
                    other => Self::Other(other.unwrap_or(-1)),
                }
            }

            /// Its number in the protocol.
            pub fn number(self) -> i32 {
                match self {
                    $(Self::$state => $number,)*
                    Self::Other(number) => number,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$state => f.write_str($text),)*
                    Self::Other(number) => write!(f, "state {number}"),
                }
            }
        }
    };
}

states! {
    /// How far an application is (`YarnApplicationStateProto`).
    ApplicationState {
        /// 1.
        New = 1 "NEW",
        /// 2.
        NewSaving = 2 "NEW_SAVING",
        /// 3.
        Submitted = 3 "SUBMITTED",
        /// 4: it waits for its application master.
        Accepted = 4 "ACCEPTED",
        /// 5: its application master has registered.
        Running = 5 "RUNNING",
        /// 6: its application master has said how it ended.
        Finished = 6 "FINISHED",
        /// 7: YARN gave it up.
        Failed = 7 "FAILED",
        /// 8.
        Killed = 8 "KILLED",
    }
}

impl ApplicationState {
    /// Whether it will not change any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Killed)
    }
}

states! {
    /// How far an attempt is (`YarnApplicationAttemptStateProto`).
    AttemptState {
        /// 1.
        New = 1 "NEW",
        /// 2.
        Submitted = 2 "SUBMITTED",
        /// 3.
        Scheduled = 3 "SCHEDULED",
        /// 4.
        AllocatedSaving = 4 "ALLOCATED_SAVING",
        /// 5.
        Allocated = 5 "ALLOCATED",
        /// 6.
        Launched = 6 "LAUNCHED",
        /// 7.
        Failed = 7 "FAILED",
        /// 8.
        Running = 8 "RUNNING",
        /// 9.
        Finishing = 9 "FINISHING",
        /// 10.
        Finished = 10 "FINISHED",
        /// 11.
        Killed = 11 "KILLED",
    }
}

states! {
    /// How an application has ended (`FinalApplicationStatusProto`).
    FinalStatus {
        /// 0: it has not.
        Undefined = 0 "UNDEFINED",
        /// 1.
        Succeeded = 1 "SUCCEEDED",
        /// 2.
        Failed = 2 "FAILED",
        /// 3.
        Killed = 3 "KILLED",
        /// 4.
        Ended = 4 "ENDED",
    }
}

states! {
    /// What becomes of an application's logs (`LogAggregationStatusProto`).
    LogAggregation {
        /// 1.
        Disabled = 1 "DISABLED",
        /// 2.
        NotStarted = 2 "NOT_START",
        /// 3.
        Running = 3 "RUNNING",
        /// 4.
        Succeeded = 4 "SUCCEEDED",
        /// 5.
        Failed = 5 "FAILED",
        /// 6.
        TimedOut = 6 "TIME_OUT",
        /// 7.
        RunningWithFailure = 7 "RUNNING_WITH_FAILURE",
    }
}

/// An application (`ApplicationReportProto`). Times are in milliseconds since 1970, 0 for none.
#[derive(Debug, Clone, PartialEq)]
pub struct ApplicationReport {
    /// Its id.
    pub id: ApplicationId,
    /// The attempt that is at work, or was.
    pub attempt: Option<ApplicationAttemptId>,
    /// Whose it is.
    pub user: String,
    /// Its queue, such as `root.default`.
    pub queue: String,
    /// Its name.
    pub name: String,
    /// Its type.
    pub application_type: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// How far it is.
    pub state: ApplicationState,
    /// How it has ended.
    pub final_status: FinalStatus,
    /// What YARN or the application master says of how it is or has ended.
    pub diagnostics: String,
    /// From 0 to 1.
    pub progress: f32,
    /// The application master's host; `N/A` before it registers.
    pub host: String,
    /// The application master's port.
    pub rpc_port: Option<u16>,
    /// Its page, by way of the proxy.
    pub tracking_url: String,
    /// Its page as the application master has named it.
    pub original_tracking_url: String,
    /// When it was submitted.
    pub started: u64,
    /// When its first application master was started.
    pub launched: u64,
    /// When it ended.
    pub finished: u64,
    /// Its priority.
    pub priority: i32,
    /// The label its containers are on where they ask for none.
    pub label: String,
    /// What becomes of its logs.
    pub log_aggregation: Option<LogAggregation>,
    /// What it has and waits for.
    pub usage: Usage,
    /// Whether its application master is none of YARN's containers.
    pub is_unmanaged: bool,
    /// For the owner of an unmanaged application alone: what its application master logs in with.
    pub am_rm_token: Option<Token>,
    /// In a secure cluster: what a client logs in to the application master with.
    pub client_to_am_token: Option<Token>,
}

/// What an application has and waits for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usage {
    /// Its containers; `None` before it has an attempt, and when the user may not know.
    pub containers: Option<u32>,
    /// What they have.
    pub used: Resource,
    /// What they have and what is asked for.
    pub needed: Resource,
    /// Percent of its queue's share.
    pub queue_percent: f32,
    /// Percent of the cluster.
    pub cluster_percent: f32,
}

impl ApplicationReport {
    pub(super) fn from_wire(proto: ApplicationReportProto) -> Result<Self, &'static str> {
        Ok(Self {
            id: ApplicationId::from_wire(proto.application_id).ok_or("an application has no proper id")?,
            attempt: ApplicationAttemptId::from_wire(proto.current_application_attempt_id),
            user: proto.user.unwrap_or_default(),
            queue: proto.queue.unwrap_or_default(),
            name: proto.name.unwrap_or_default(),
            application_type: proto.application_type.unwrap_or_default(),
            tags: proto.application_tags,
            state: ApplicationState::from_wire(proto.yarn_application_state),
            final_status: FinalStatus::from_wire(proto.final_application_status),
            diagnostics: proto.diagnostics.unwrap_or_default(),
            progress: proto.progress.unwrap_or(0.0),
            host: proto.host.unwrap_or_default(),
            rpc_port: proto.rpc_port.and_then(|port| u16::try_from(port).ok()),
            tracking_url: proto.tracking_url.unwrap_or_default(),
            original_tracking_url: proto.original_tracking_url.unwrap_or_default(),
            started: time(proto.start_time),
            launched: time(proto.launch_time),
            finished: time(proto.finish_time),
            priority: proto.priority.and_then(|priority| priority.priority).unwrap_or(0),
            // In words, where there is none.
            label: proto.app_node_label_expression.filter(|label| label != "<Not set>").unwrap_or_default(),
            log_aggregation: proto
                .log_aggregation_status
                .map(|status| LogAggregation::from_wire(Some(status))),
            usage: proto.app_resource_usage.map(Usage::from_wire).unwrap_or_default(),
            is_unmanaged: proto.unmanaged_application.unwrap_or(false),
            am_rm_token: proto.am_rm_token.map(Token::from).filter(|token| !token.is_empty()),
            client_to_am_token: proto.client_to_am_token.map(Token::from).filter(|token| !token.is_empty()),
        })
    }
}

impl Usage {
    fn from_wire(proto: ApplicationResourceUsageReportProto) -> Self {
        Self {
            // -1 stands for "not known", or not to you.
            containers: proto.num_used_containers.and_then(|count| u32::try_from(count).ok()),
            used: Resource::from_wire(proto.used_resources),
            needed: Resource::from_wire(proto.needed_resources),
            queue_percent: proto.queue_usage_percentage.unwrap_or(0.0),
            cluster_percent: proto.cluster_usage_percentage.unwrap_or(0.0),
        }
    }
}

/// An attempt of an application (`ApplicationAttemptReportProto`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptReport {
    /// Its id.
    pub id: ApplicationAttemptId,
    /// How far it is.
    pub state: AttemptState,
    /// The application master's container; none of an unmanaged one.
    pub am_container: Option<ContainerId>,
    /// The application master's host; `N/A` before it registers.
    pub host: String,
    /// Why it is as it is.
    pub diagnostics: String,
    /// The application master's page, by way of the proxy.
    pub tracking_url: String,
    /// When it began, in milliseconds since 1970.
    pub started: u64,
    /// When it ended; 0 while it has not.
    pub finished: u64,
}

impl AttemptReport {
    pub(super) fn from_wire(proto: ApplicationAttemptReportProto) -> Result<Self, &'static str> {
        let id = ApplicationAttemptId::from_wire(proto.application_attempt_id);
        Ok(Self {
            id: id.ok_or("an attempt has no proper id")?,
            state: AttemptState::from_wire(proto.yarn_application_attempt_state),
            am_container: ContainerId::from_wire(proto.am_container_id),
            host: proto.host.unwrap_or_default(),
            diagnostics: proto.diagnostics.unwrap_or_default(),
            tracking_url: proto.tracking_url.unwrap_or_default(),
            started: time(proto.start_time),
            finished: time(proto.finish_time),
        })
    }
}

/// A container of an attempt (`ContainerReportProto`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerReport {
    /// Its id.
    pub id: ContainerId,
    /// The node; none where it is not known any more.
    pub node: Option<Address>,
    /// `http://host:port` of the node's web pages.
    pub node_http_address: String,
    /// What it has.
    pub resource: Resource,
    /// What it is doing.
    pub state: ContainerState,
    /// How it has ended; meaningless before it has.
    pub exit_status: ContainerExitStatus,
    /// Why.
    pub diagnostics: String,
    /// Where its logs can be read with a browser.
    pub log_url: String,
    /// When it began, in milliseconds since 1970.
    pub started: u64,
    /// When it ended; 0 while it has not.
    pub finished: u64,
}

impl ContainerReport {
    pub(super) fn from_wire(proto: ContainerReportProto) -> Result<Self, &'static str> {
        Ok(Self {
            id: ContainerId::from_wire(proto.container_id).ok_or("a container has no proper id")?,
            node: node(proto.node_id),
            node_http_address: proto.node_http_address.unwrap_or_default(),
            resource: Resource::from_wire(proto.resource),
            state: ContainerState::from_wire(proto.container_state),
            exit_status: ContainerExitStatus(proto.container_exit_status.unwrap_or(0)),
            diagnostics: proto.diagnostics_info.unwrap_or_default(),
            log_url: proto.log_url.unwrap_or_default(),
            started: time(proto.creation_time),
            finished: time(proto.finish_time),
        })
    }
}

fn time(milliseconds: Option<i64>) -> u64 {
    u64::try_from(milliseconds.unwrap_or(0)).unwrap_or(0)
}
