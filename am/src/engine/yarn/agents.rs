//! What a container is started with: files, environment, command, and the secrets of its agent.

use std::path::PathBuf;

use forebay_hadoop::Credentials;
use forebay_hadoop::yarn::{self, Command, ContainerLaunchContext, LocalResource};
use forebay_protocol::{AmSecrets, Bootstrap, ChannelEnd, Container};
use forebay_scheduler::Attempt;

use crate::AmError;
use crate::launch::{Launch, Resource, ResourceKind, Visibility};

/// How long an agent waits for an application master that has gone.
const PATIENCE_S: u64 = 600;

/// What agents are started with.
#[derive(Debug)]
pub(crate) struct Agents {
    /// `host:port` of this application master.
    pub(crate) address: String,
    /// The file that says where a later one is.
    pub(crate) am_file: String,
    /// The job's folder on HDFS.
    pub(crate) history: String,
    pub(crate) job_id: String,
    /// The job's folder in a container's.
    pub(crate) folder: PathBuf,
    pub(crate) secrets: AmSecrets,
    /// Those of the application master.
    pub(crate) credentials: Credentials,
    pub(crate) launch: Launch,
}

impl Agents {
    /// What the container of an attempt is started with.
    pub(crate) fn context(
        &self,
        attempt: Attempt,
        memory_mib: u64,
    ) -> Result<ContainerLaunchContext, AmError> {
        let unusable = |error: yarn::Error| AmError::Yarn(Box::new(error));
        let mut context = ContainerLaunchContext::new(
            Command::new("./forebay").arg("agent").output_to("agent.out", "agent.err"),
        )
        .env_shell("HADOOP_CONF_DIR", format!("$PWD/{}", self.launch.conf_dir))
        .env_literal("HADOOP_USER_NAME", &self.launch.user);
        if let Some(log) = &self.launch.log {
            context = context.env_literal("FOREBAY_LOG", log);
        }
        for resource in &self.launch.resources {
            context = context.resource(&resource.link, local(resource).map_err(unusable)?);
        }
        Ok(context.credentials(self.credentials(attempt, memory_mib)?))
    }

    fn credentials(&self, attempt: Attempt, memory_mib: u64) -> Result<Credentials, AmError> {
        let bootstrap = Bootstrap {
            channel: ChannelEnd::Tls {
                address: self.address.clone(),
                am_file: self.am_file.clone(),
                identity: self.secrets.agent.clone(),
            },
            token: self.secrets.token.clone(),
            index: attempt.index,
            number: attempt.number,
            job_id: self.job_id.clone(),
            job_folder: self.folder.clone(),
            container: Some(Container {
                links: self.launch.links.clone(),
                history: self.history.clone(),
                memory_mib,
                am_patience_s: PATIENCE_S,
            }),
        };
        let text = serde_json::to_vec(&bootstrap)
            .map_err(|error| AmError::System { action: "write an agent's secrets", source: error.into() })?;
        let mut credentials = Credentials::new();
        for (alias, token) in self.credentials.tokens().filter(|(_, token)| token.kind != yarn::AM_RM_TOKEN) {
            credentials.add_token(alias, token.clone());
        }
        credentials.add_secret(Bootstrap::SECRET, text);
        Ok(credentials)
    }
}

fn local(resource: &Resource) -> Result<LocalResource, yarn::Error> {
    let rest = resource.url.strip_prefix("hdfs://").unwrap_or(&resource.url);
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let mut local = LocalResource::hdfs(authority, path, resource.size, resource.timestamp)?;
    local.kind = match resource.kind {
        ResourceKind::File => yarn::ResourceKind::File,
        ResourceKind::Archive => yarn::ResourceKind::Archive,
    };
    local.visibility = match resource.visibility {
        Visibility::Private => yarn::Visibility::Private,
        Visibility::Application => yarn::Visibility::Application,
    };
    Ok(local)
}
