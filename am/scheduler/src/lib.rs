//! The ledger of splits and the states of workers: what an application master decides, and nothing that it does.
//!
//! Pure: no I/O, no clock, no threads. [`Scheduler::handle`] takes an event and the time since the job's start and returns the
//! actions to be carried out, in order. [`Scheduler::lease`] hands out splits. Times are values passed in; the same events at
//! the same times give the same actions everywhere.
//!
//! What the caller owes: all calls come from one place, one after the other, and the [`LedgerRecord`]s of a call are appended
//! durably before its later actions are carried out and before the next call. That is all that [`Scheduler::resume`] needs
//! to go on after the application master was killed at any point and nothing is left of its containers, and
//! [`Scheduler::recover`] where they live on.
//!
//! A *unit* is a split of an epoch: `epoch * splits_per_epoch + split`. It is in one place at a time: waiting, held by one
//! attempt, or done.

mod attempt;
mod balance;
mod config;
mod event;
mod held;
mod intervals;
mod ledger;
mod packed;
mod places;
mod position;
mod record;
mod scheduler;
mod story;
mod view;

pub use attempt::{Attempt, Cause, ClusterEnd, End};
pub use balance::balance;
pub use config::{Config, ConfigError, EarlyExit, Gang, Input, OnRestart};
pub use event::{Action, Ask, Event, Lease, Orders, Refusal, Verdict};
pub use ledger::{Acked, Exit, Ledger, Next, Partly, Returned};
pub use places::Places;
pub use position::{Ack, Begin, Granted, Position, Skip, Skipped};
pub use record::{LedgerRecord, ResumeError, VERSION};
pub use scheduler::Scheduler;
pub use story::{Story, UnitName};
pub use view::{Counts, Named, View, WorkerState, WorkerView};
