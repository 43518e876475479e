//! YARN's protocols: to hand over an application, to be its application master, to start containers on nodes.
//!
//! - [`conf::load`] reads the configuration with `yarn-site.xml`; [`ResourceManagers`] says where the ResourceManagers and the
//!   proxies of their pages are.
//! - [`ResourceManager`], the client: [`get_new_application`](ResourceManager::get_new_application),
//!   [`submit`](ResourceManager::submit) an [`ApplicationSubmission`], reports, kill, lists, nodes, queues, labels, resource types,
//!   delegation tokens.
//! - [`ApplicationMaster`]: [`register`](ApplicationMaster::register), [`allocate`](ApplicationMaster::allocate) with an
//!   [`AllocateRequest`] of [`Ask`]s, which gives a [`Heartbeat`] (an [`Allocation`], or that the ResourceManager was restarted, or that
//!   the attempt is over), [`finish`](ApplicationMaster::finish). It numbers heartbeats, repeats the unanswered, and logs in with the
//!   newest AMRM token by itself.
//! - [`NodeManager`]: starts, stops and asks after containers on one node, with the node's token out of [`NmTokens`].
//! - [`ContainerLaunchContext`] and [`Command`]: what a container runs, escaped for the two shells it passes.
//!
//! ```no_run
//! use forebay_hadoop::yarn::*;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let conf = conf::load()?;
//! let yarn = ResourceManager::connect(&conf)?;
//! let new = yarn.get_new_application().await?;
//! let mut application = ApplicationSubmission::new(new.id, "a nap", Resource::new(128, 1));
//! application.container = Some(ContainerLaunchContext::new(Command::new("sleep").arg("60")));
//! println!("{} is {}", new.id, yarn.submit(&application).await?.state);
//! # Ok(())
//! # }
//! ```
//!
//! The facts are of Hadoop 3.4.2's own protocol files and of real daemons.

mod allocation;
mod ask;
mod command;
pub mod conf;
mod container;
mod error;
mod exit;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod ids;
mod launch;
mod local_resource;
mod master;
mod node_manager;
mod nodes;
mod proto;
mod queue;
mod report;
mod resource;
mod resource_manager;
mod shell;
mod submission;

pub use allocation::{Allocation, NmToken, Preemption, Registration};
pub use ask::{AllocateRequest, Ask, MAX_CONTAINERS, Place};
pub use command::Command;
pub use conf::ResourceManagers;
pub use container::{Container, ContainerState, ContainerStatus, Priority};
pub use error::Error;
pub use exit::ContainerExitStatus;
pub use ids::{ApplicationAttemptId, ApplicationId, ContainerId, IdError};
pub use launch::{AccessList, ContainerLaunchContext, LogAggregationContext};
pub use local_resource::{LocalResource, ResourceKind, Visibility};
pub use master::{AM_RM_TOKEN, ApplicationMaster, Finish, Heartbeat, Presence};
pub use node_manager::{ContainerFailure, NM_TOKEN, NmTokens, NodeManager, Outcome};
pub use nodes::{NodeLabel, NodeReport, NodeState};
pub use queue::{QueueInfo, QueuePartition, QueueState, QueueStatistics};
pub use report::{
    ApplicationReport, ApplicationState, AttemptReport, AttemptState, ContainerReport, FinalStatus,
    LogAggregation, Usage,
};
pub use resource::{Resource, ResourceType};
pub use resource_manager::{ApplicationFilter, NewApplication, RM_DELEGATION_TOKEN, ResourceManager};
pub use submission::ApplicationSubmission;
