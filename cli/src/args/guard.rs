//! The flags of `forebay guard`, which only agents and guards start.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// Keeps a worker; started by its agent
#[derive(Debug, Args)]
#[command(hide = true)]
pub(crate) struct GuardFlags {
    /// Become COMMAND, bound to the life of this process
    #[arg(long, value_name = "PID", conflicts_with_all = ["attempt", "lock"])]
    pub(crate) exec: Option<u32>,

    /// The attempt's folder
    #[arg(long, value_name = "DIR", required_unless_present = "exec")]
    pub(crate) attempt: Option<PathBuf>,

    /// The job's file whose lock says that there may be workers
    #[arg(long, value_name = "FILE", required_unless_present = "exec")]
    pub(crate) lock: Option<PathBuf>,

    /// The worker's program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}
