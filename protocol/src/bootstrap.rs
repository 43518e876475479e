//! The first thing an agent is told, on its standard input.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Token;

/// One line of JSON on an agent's standard input. The end of that input means that the AM has gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    /// The AM's Unix socket.
    pub socket: PathBuf,
    /// Proves to the AM that the agent is its own.
    pub token: Token,
    /// The worker, from 0.
    pub index: u32,
    /// Its tries, from 1.
    pub number: u32,
    /// The job's id.
    pub job_id: String,
    /// The job's folder.
    pub job_folder: PathBuf,
}
