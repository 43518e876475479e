//! A job's folder on HDFS. Every call is tried again until it is answered or the time is over.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_store::{Cluster, Patience};
use hdfs_native::file::FileWriter;
use hdfs_native::{Client, HdfsError as NativeError, WriteOptions};
use tokio::time::timeout;

use crate::AmError;

/// What is in it is its user's alone.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
/// One try of what has to wait for DataNodes takes at most so long: then somebody else is asked.
const LONGEST_TRY: Duration = Duration::from_secs(30);

/// A folder on HDFS. Paths are relative to it; the folder itself is the empty path.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    cluster: Arc<Cluster>,
    /// Absolute, without a slash at the end.
    root: String,
}

/// A file in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) name: String,
    /// In bytes, as far as the NameNode knows.
    pub(crate) len: u64,
}

/// Why a try did not come to anything.
#[derive(Debug)]
pub(crate) enum Trouble {
    Hdfs(NativeError),
    Silence,
}

impl Remote {
    pub(crate) fn new(cluster: Arc<Cluster>, root: &str) -> Self {
        Self { cluster, root: root.trim_end_matches('/').to_owned() }
    }

    /// A folder in it.
    pub(crate) fn folder(&self, name: &str) -> Self {
        Self { cluster: Arc::clone(&self.cluster), root: self.path(name) }
    }

    fn path(&self, path: &str) -> String {
        if path.is_empty() { self.root.clone() } else { format!("{}/{path}", self.root) }
    }

    /// The full address of a path.
    pub(crate) fn address(&self, path: &str) -> String {
        self.cluster.address(&self.path(path))
    }

    pub(crate) fn patience(&self, action: &'static str, path: &str) -> Patience {
        self.cluster.patience(action, &self.path(path))
    }

    /// Makes the folder and those above it.
    pub(crate) async fn make(&self) -> Result<(), AmError> {
        let make = async |client: Client, path: String| client.mkdirs(&path, FOLDER_MODE, true).await;
        Ok(self.cluster.ask("make", &self.root, make).await.map(drop)?)
    }

    /// The files in the folder; none if it is not there.
    pub(crate) async fn list(&self) -> Result<Vec<Found>, AmError> {
        let found = self.cluster.list(&self.root).await?;
        let files = found.into_iter().filter(|status| !status.isdir).map(|status| Found {
            name: status.path.rsplit('/').next().unwrap_or_default().to_owned(),
            len: status.length as u64,
        });
        Ok(files.collect())
    }

    /// A file's content; nothing if it is not there.
    pub(crate) async fn read(&self, path: &str) -> Result<Option<Bytes>, AmError> {
        Ok(self.cluster.read(&self.path(path)).await?)
    }

    /// Writes a small file, whole or not at all, in place of one that may be there.
    pub(crate) async fn replace(&self, path: &str, bytes: Bytes) -> Result<(), AmError> {
        let (path, new) = (self.path(path), self.path(&format!("{path}.new")));
        self.cluster.write(&new, &bytes, &options()).await?;
        Ok(self.cluster.rename_over(&new, &path, &bytes).await?)
    }

    /// Removes a file or a whole folder, which may be gone already.
    pub(crate) async fn remove(&self, path: &str) -> Result<(), AmError> {
        Ok(self.cluster.remove(&self.path(path)).await?)
    }

    /// Begins a file, in place of one that may be there.
    pub(crate) async fn create(&self, path: &str) -> Result<FileWriter, AmError> {
        let mut patience = self.patience("write", path);
        let path = self.path(path);
        loop {
            let client = self.cluster.writing_client();
            match timeout(patience.left(), client.create(&path, &options())).await {
                Ok(Ok(writer)) => return Ok(writer),
                Ok(Err(error)) => patience.after(error).await?,
                Err(_) => return Err(patience.give_up().into()),
            }
        }
    }

    /// Takes a file from whoever writes it, and waits until it is closed. Returns its length: what was made durable is
    /// below it.
    pub(crate) async fn close_for_writer(&self, path: &str) -> Result<u64, AmError> {
        let mut patience = self.patience("take over", path);
        let file = self.path(path);
        loop {
            let recovered =
                self.cluster.ask("take over", &file, async |client, path| client.recover_lease(&path).await);
            if recovered.await? {
                break;
            }
            // Its last block is being recovered by its DataNodes.
            if !patience.pause().await {
                return Err(patience.give_up().into());
            }
        }
        let status =
            self.cluster.ask("read", &file, async |client, path| client.get_file_info(&path).await).await?;
        Ok(status.length as u64)
    }

    /// One try of `call`, which waits for DataNodes.
    pub(crate) async fn once<T>(
        &self,
        call: impl Future<Output = Result<T, NativeError>>,
    ) -> Result<T, Trouble> {
        match timeout((self.cluster.timeout() / 3).min(LONGEST_TRY), call).await {
            Ok(answer) => answer.map_err(Trouble::Hdfs),
            Err(_) => Err(Trouble::Silence),
        }
    }
}

fn options() -> WriteOptions {
    WriteOptions::default().overwrite(true).permission(FILE_MODE)
}
