//! What ends an attempt.

use std::fmt;
use std::path::PathBuf;

/// An attempt cannot be gone on with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Failure {
    /// What failed, on what, why, and what to do.
    pub(crate) reason: String,
    /// Another attempt would fail in the same way.
    pub(crate) fatal: bool,
    /// Status for the job to exit with.
    pub(crate) status: i32,
}

impl Failure {
    /// One that another attempt may be spared.
    pub(crate) fn new(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string(), fatal: false, status: 1 }
    }

    /// One that another attempt would see again.
    pub(crate) fn fatal(reason: impl fmt::Display) -> Self {
        Self { fatal: true, ..Self::new(reason) }
    }
}

/// An agent could not even begin.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Standard input does not say what to do.
    #[error("cannot read what to do from standard input: {0}; an agent is started by 'forebay run'")]
    Bootstrap(String),
    /// The container's credentials do not say what to do.
    #[error(
        "cannot read what to do from the container's credentials: {0}; an agent of a container is started by 'forebay submit'"
    )]
    Credentials(String),
    /// Something of this machine.
    #[error("cannot {action} {}: {source}", path.display())]
    Local {
        /// What was to be done.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Threads, descriptors, signals.
    #[error("cannot start an agent: {0}")]
    Start(#[from] std::io::Error),
}
