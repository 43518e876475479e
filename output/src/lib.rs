//! A job's output: each worker's part is staged out of sight, verified, and then all of it appears, or nothing.
//!
//! The life of an output path, here `PATH`, for one job:
//!
//! 1. [`OutputDir::begin`]: `PATH` is absent or holds nothing but `_temporary` and `_saved`. The job gets a folder of its own,
//!    `PATH/_temporary/<job>/`, readable by its owner only.
//! 2. [`OutputDir::upload`] or [`OutputDir::stream`]: what a worker's attempt made goes to
//!    `PATH/_temporary/<job>/<index>.<number>/`. Lengths are compared with what the store says, and then a note
//!    (`<index>.<number>.staged`) says that this attempt's part is whole. [`OutputDir::discard`] removes it again.
//! 3. [`commit()`]: a plan (`_temporary/<job>/_commit.json`), an exclusive claim on the path (`_temporary/_commit`, which names
//!    the job), renames, `_SUCCESS`, and then the staging goes. Each step may be the last before a crash: the next
//!    [`commit()`] or [`finish_commit()`] goes on, [`OutputDir::abort`] undoes.
//!
//! Nothing is visible in `PATH` before the commit. Paths are local folders or HDFS; everything runs within tokio.

mod attempt;
mod commit;
mod dir;
mod error;
mod note;
mod send;
mod store;
mod stream;
mod tally;
mod upload;
mod walk;

pub use attempt::Attempt;
pub use commit::{abort, commit, finish_commit};
pub use dir::{OutputDir, State};
pub use error::OutputError;
pub use note::{Kind, Staged};
pub use stream::{HdfsStream, LocalStream, StreamTarget};
pub use tally::Tally;
