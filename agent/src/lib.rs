//! The container's side of a job: the agent, which runs one attempt of one worker, and the guard, which sees to it that
//! the worker ends when it must.
//!
//! An agent ([`agent`]) registers with the application master, prepares the worker's folder, has its guard
//! ([`guard()`]) start the worker, leases splits and feeds them, tells how far it is, and stages what the worker has
//! made. What must survive its death is on disk before it matters: where in the stream each split begins, and what the
//! worker has acknowledged ([`read_attempt`]).

mod acks;
mod ahead;
mod am;
mod attempt;
mod bootstrap;
mod download;
mod environment;
mod error;
mod feed;
mod folder;
mod guard;
mod heartbeat;
mod journal;
mod kept;
mod leases;
mod left;
mod logs;
mod over;
mod prepare;
mod relay;
mod run;
mod stage;
mod standing;
mod stream;
mod told;
mod usage;
mod watch;
mod worker;

pub use error::AgentError;
pub use folder::AttemptFolder;
pub use guard::{GuardArgs, become_worker, guard};
pub use left::{Left, read_attempt};
pub use run::agent;
