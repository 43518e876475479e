//! The application master: carries out one job.
//!
//! [`Prepared`] plans a job, or finds one that was begun; [`Prepared::run`] carries it out. Inside, a dispatcher owns all
//! that changes: calls of agents, ends of processes, timers, signals and what comes of staged output reach it one after the
//! other; `forebay-scheduler` decides; the dispatcher carries its decisions out in order. The ledger's records are on disk
//! before anything that follows from them is done, so that a job can be resumed whenever its application master was ended.
//!
//! [`JobFolder`] and [`JobState`] are for those who look at a job from outside, [`StatusPage`] for browsers behind a cluster's
//! web proxy.

mod checkpoint;
mod clock;
mod convert;
mod dispatcher;
mod engine;
mod error;
mod folder;
mod history;
mod id;
mod job;
mod journal;
pub mod launch;
mod listen;
mod located;
mod outputs;
mod page;
mod plan;
mod relay;
mod remote;
mod seen;
mod service;
mod socket;
mod state;
mod story;
pub mod yarn;

pub use engine::{FEED_MIB, USUAL_WORKER_MIB, container_mib};
pub use error::AmError;
pub use folder::{JobFolder, usual_place};
pub use forebay_scheduler::{Attempt, Cause, Counts, Story, UnitName, Verdict, WorkerState};
pub use id::{is_id, seconds_since};
pub use job::{Outcome, Prepared};
pub use launch::Launch;
pub use located::Located;
pub use page::StatusPage;
pub use plan::JobPlan;
pub use state::{Condition, Figures, JobState, OnCluster, PartlyRead, Phase, WorkerReport};
pub use story::{Happening, Note, Seat, Told, Update};
