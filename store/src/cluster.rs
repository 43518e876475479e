//! One HDFS, asked with patience.

use std::time::Duration;

use hdfs_native::{Client, HdfsError as NativeError};

use crate::small::Small;
use crate::{HdfsError, Patience};

/// One HDFS.
#[derive(Debug)]
pub struct Cluster {
    asking: Client,
    writing: Client,
    /// Writes small files, where it can.
    pub(crate) small: Option<Small>,
    authority: String,
    /// `hdfs://authority`, for messages.
    uri: String,
    /// Addresses behind a nameservice, for messages.
    namenodes: Vec<String>,
    timeout: Duration,
}

impl Cluster {
    pub(crate) fn new(
        [asking, writing]: [Client; 2],
        small: Option<Small>,
        authority: String,
        namenodes: Vec<String>,
        timeout: Duration,
    ) -> Self {
        let uri = format!("hdfs://{authority}");
        Self { asking, writing, small, authority, uri, namenodes, timeout }
    }

    /// `host:port` or the nameservice.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The full address of a path.
    pub fn address(&self, path: &str) -> String {
        format!("{}{path}", self.uri)
    }

    /// The client for everything but writing. It gives up quickly: the retries are [`Patience`]'s.
    pub fn client(&self) -> &Client {
        &self.asking
    }

    /// The client for writing files. It waits for a NameNode that is away, so bound its calls in time.
    pub fn writing_client(&self) -> &Client {
        &self.writing
    }

    /// How long an operation may go without progress.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A clock for one operation on `path`, with this cluster's patience.
    pub fn patience(&self, action: &'static str, path: &str) -> Patience {
        let mut asked = self.address(path);
        if !self.namenodes.is_empty() {
            asked = format!("{asked} (NameNodes {})", self.namenodes.join(", "));
        }
        Patience::new(action, asked, self.timeout)
    }

    /// Runs `call` until it succeeds, is refused for good, or the time is over. `call` may run again after it took effect
    /// without an answer.
    pub async fn retry<T, F>(
        &self,
        action: &'static str,
        path: &str,
        mut call: impl FnMut(Client, String) -> F,
    ) -> Result<T, HdfsError>
    where
        F: Future<Output = Result<T, NativeError>>,
    {
        let mut patience = self.patience(action, path);
        loop {
            match tokio::time::timeout(patience.left(), call(self.asking.clone(), path.to_owned())).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => patience.after(error).await?,
                Err(_) => return Err(patience.give_up()),
            }
        }
    }
}
