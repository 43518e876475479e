//! The client of jobs on YARN: submits one, follows it, looks at it, ends it. From any machine that has the cluster's
//! configuration, with nothing installed on the cluster.

mod application;
mod clean;
mod client;
mod error;
mod follow;
mod history;
mod jobs;
mod kill;
mod link;
mod logs;
mod pack;
mod prepare;
mod remote;
mod rm;
mod site;
mod sizes;
mod source;
mod staging;
mod stop;
mod submit;

pub use application::{Application, ApplicationState, is_application_id, time};
pub use client::Client;
pub use error::ClientError;
pub use follow::{Ended, Followed, Seen};
pub use jobs::Status;
pub use kill::{EndedBy, Killed};
pub use logs::{Log, LogsError, Wanted};
pub use pack::PackError;
pub use prepare::{Container, DryRun, HostBytes, Prepared, Shipped};
pub use sizes::Size;
pub use submit::Submitted;
