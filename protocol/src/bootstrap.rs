//! The first thing an agent is told: on its standard input by `forebay run`, in its container's credentials on YARN.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Identity, Token};

/// What an agent needs to know to find its AM and to be let in. On standard input it is one line of JSON, and the end of
/// that input means that the AM has gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    /// Where the AM listens.
    pub channel: ChannelEnd,
    /// Proves to the AM that the agent is its own.
    pub token: Token,
    /// The worker, from 0.
    pub index: u32,
    /// Its tries, from 1.
    pub number: u32,
    /// The job's id.
    pub job_id: String,
    /// The job's folder on this machine; in a container, from the container's own folder.
    pub job_folder: PathBuf,
    /// What is so in a container of YARN's only.
    pub container: Option<Container>,
}

impl Bootstrap {
    /// The secret's name in a container's credentials.
    pub const SECRET: &str = "forebay.bootstrap";
}

/// An agent's end of the channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ChannelEnd {
    /// On this machine.
    Socket {
        /// The AM's Unix socket.
        path: PathBuf,
    },
    /// On any machine: TLS, both sides with certificates.
    Tls {
        /// `host:port` of the AM when this was written.
        address: String,
        /// The file that says where it is now: `hdfs://…/am.json`.
        am_file: String,
        /// The agent's own.
        identity: Identity,
    },
}

/// What an agent in a container of YARN's is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// Names in the container's folder that the worker is to find in its own.
    pub links: Vec<String>,
    /// The job's history, where logs are kept: `hdfs://…/jobs/<application id>`.
    pub history: String,
    /// The container's memory in MiB.
    pub memory_mib: u64,
    /// Seconds for which the agent waits for an AM that has gone.
    pub am_patience_s: u64,
}
