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

#[cfg(test)]
mod tests {
    use forebay_am::{JobState, Phase};
    use serde_json::json;

    /// A job of no workers as it stood then.
    pub(crate) fn state(phase: Phase, updated: &str) -> JobState {
        let state = json!({
            "version": 1, "job": "j", "name": "n", "folder": "/", "pid": 1, "started": "", "updated": updated, "seconds": 0.0,
            "phase": phase, "verdict": null, "input_mode": "stream", "worker_memory": null, "worker_cores": null,
            "files": 0, "bytes_planned": 0, "epochs": 1,
            "units": { "total": 0, "waiting": 0, "leased": 0, "fed": 0, "done": 0 },
            "bytes": 0, "bytes_moved": 0, "gb_per_s": 0.0, "workers": [], "done_before": [], "fed_again": 0,
            "fed_again_first": [], "partly_read": 0, "partly_read_first": [], "outputs": [],
        });
        serde_json::from_value(state).unwrap()
    }
}
