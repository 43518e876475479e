//! Where an application master is on a cluster: a file in its job's folder, for agents and clients.

use serde::{Deserialize, Serialize};

/// What the file says. Who is there proves itself by its certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmAddress {
    /// Of this form: [`AmAddress::VERSION`].
    pub version: u32,
    /// The application's attempt, from 1.
    pub attempt: u32,
    /// `host:port`.
    pub address: String,
}

impl AmAddress {
    /// The file's name in the job's folder.
    pub const FILE: &str = "am.json";
    /// The form that is written and read here.
    pub const VERSION: u32 = 1;
}
