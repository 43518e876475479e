//! The way to a job's application master: TLS, with the secrets that only the job's user can read.

use std::time::{Duration, Instant};

use forebay_am::JobState;
use forebay_protocol::{Client, ClientSecrets, v1};
use tokio::time::timeout;
use tonic::Status;

use crate::ClientError;
use crate::history::History;
use crate::remote::Remote;

/// How long an application master may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How often is looked where it is.
const LOOK: Duration = Duration::from_secs(1);
/// The client's half of the channel's secrets, in the staging folder.
pub(crate) const SECRETS: &str = "channel.json";

/// The way to an application master, which may move.
#[derive(Debug)]
pub(crate) struct Link {
    remote: Remote,
    /// Where the secrets are.
    path: String,
    history: History,
    secrets: Option<ClientSecrets>,
    client: Option<Client>,
    looked: Option<Instant>,
}

impl Link {
    /// `staging` is the job's staging folder.
    pub(crate) fn new(remote: Remote, staging: &str, history: History) -> Self {
        let path = format!("{staging}/{SECRETS}");
        Self { remote, path, history, secrets: None, client: None, looked: None }
    }

    /// Secrets that are known already.
    pub(crate) fn with_secrets(mut self, secrets: Option<ClientSecrets>) -> Self {
        self.secrets = secrets;
        self
    }

    /// The application master, if one is known to be somewhere. Looked for once a second at most.
    pub(crate) async fn client(&mut self) -> Result<Option<Client>, ClientError> {
        if let Some(client) = &self.client {
            return Ok(Some(client.clone()));
        }
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return Ok(None);
        }
        self.looked = Some(Instant::now());
        if self.secrets.is_none() {
            let Some(text) = self.remote.read(&self.path).await? else { return Ok(None) };
            let secrets = serde_json::from_slice(&text).map_err(|error| ClientError::Malformed {
                path: self.remote.address(&self.path),
                // Where in the file, and no word of it.
                why: format!("line {}, column {}", error.line(), error.column()),
            })?;
            self.secrets = Some(secrets);
        }
        let Some(at) = self.history.am().await? else { return Ok(None) };
        let Some(secrets) = &self.secrets else { return Ok(None) };
        match timeout(ANSWER, secrets.connect(&at.address)).await {
            Ok(Ok(client)) => self.client = Some(client),
            Ok(Err(error)) => tracing::info!(%error, "the application master is not there"),
            Err(_) => tracing::info!(at.address, "the application master does not answer"),
        }
        Ok(self.client.clone())
    }

    /// Whether nothing is heard of it at present.
    pub(crate) fn is_lost(&self) -> bool {
        self.client.is_none()
    }

    /// It did not answer as it should: it is looked for anew.
    pub(crate) fn lost(&mut self, status: &Status) {
        tracing::info!(%status, "the application master was lost");
        self.client = None;
    }

    /// How the job stands, if its application master says so.
    pub(crate) async fn state(&mut self) -> Result<Option<JobState>, ClientError> {
        let Some(mut client) = self.client().await? else { return Ok(None) };
        match in_time(client.state(v1::StateRequest {})).await {
            Ok(reply) => match serde_json::from_slice(&reply.into_inner().json) {
                Ok(state) => Ok(Some(state)),
                // Another version's.
                Err(error) => {
                    tracing::warn!(%error, "the application master's word is not understood");
                    Ok(None)
                }
            },
            Err(status) => {
                self.lost(&status);
                Ok(None)
            }
        }
    }

    /// Asks the application master to stop the job. Whether it has heard.
    pub(crate) async fn kill(&mut self, why: &str) -> Result<bool, ClientError> {
        let Some(mut client) = self.client().await? else { return Ok(false) };
        match in_time(client.kill(v1::KillRequest { why: why.to_owned() })).await {
            Ok(_) => Ok(true),
            Err(status) => {
                self.lost(&status);
                Ok(false)
            }
        }
    }
}

/// No answer is an answer, too.
pub(crate) async fn in_time<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    match timeout(ANSWER, call).await {
        Ok(answer) => answer,
        Err(_) => Err(Status::deadline_exceeded("no answer")),
    }
}
