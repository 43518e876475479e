//! What an application master finds in its container: who it is, what it may do, where its job is.

use std::env;

use forebay_hadoop::yarn::ContainerId;
use forebay_hadoop::{Configuration, Credentials};
use forebay_protocol::AmSecrets;

use crate::AmError;
use crate::launch::JOB_FOLDER;

/// What an application master finds in its container.
pub(crate) struct Surroundings {
    /// Its own container.
    pub(crate) container: ContainerId,
    /// The host, as YARN calls it.
    pub(crate) host: String,
    /// The job's folder, an absolute path of the default file system.
    pub(crate) job_folder: String,
    pub(crate) conf: Configuration,
    /// All that the token file holds.
    pub(crate) credentials: Credentials,
    pub(crate) secrets: AmSecrets,
}

impl Surroundings {
    pub(crate) fn read() -> Result<Self, AmError> {
        let container = variable("CONTAINER_ID")?;
        let container = container
            .parse()
            .map_err(|error| AmError::NoContainer { why: format!("CONTAINER_ID: {error}") })?;
        let conf = forebay_hadoop::yarn::conf::load().map_err(no_container)?;
        let credentials = Credentials::load(&conf).map_err(no_container)?;
        let secret = credentials.secrets().find(|(alias, _)| *alias == AmSecrets::SECRET);
        let (_, secret) = secret.ok_or_else(|| AmError::NoContainer {
            why: format!(
                "the token file has no secret {}; `forebay submit` puts it there",
                AmSecrets::SECRET
            ),
        })?;
        // What cannot be read is not shown: it is secret.
        let secrets = serde_json::from_slice(secret.expose()).map_err(|_| AmError::NoContainer {
            why: format!(
                "the secret {} is not what this program writes; submit the job with this program",
                AmSecrets::SECRET
            ),
        })?;
        let (host, job_folder) = (variable("NM_HOST")?, variable(JOB_FOLDER)?);
        Ok(Self { container, host, job_folder, conf, credentials, secrets })
    }

    /// Which attempt of its application this application master is, from 1.
    pub(crate) fn attempt(&self) -> u32 {
        self.container.attempt().number()
    }

    /// The application's id.
    pub(crate) fn application(&self) -> String {
        self.container.application().to_string()
    }
}

fn variable(name: &'static str) -> Result<String, AmError> {
    let missing = || AmError::NoContainer { why: format!("the environment has no {name}") };
    env::var(name).ok().filter(|value| !value.is_empty()).ok_or_else(missing)
}

pub(super) fn no_container(error: impl std::fmt::Display) -> AmError {
    AmError::NoContainer { why: error.to_string() }
}
