//! Files and folders of the user's on HDFS, that nobody else may read.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_store::{Cluster, HdfsError, Patience, unless_missing};
use hdfs_native::client::FileStatus;
use hdfs_native::{Client, HdfsError as NativeError, WriteOptions};
use tokio::time::timeout;

use crate::ClientError;
use crate::pack::PackError;
use crate::site::short;
use crate::source::Source;

/// Files of a job are its user's alone.
pub(crate) const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
/// The bits of a mode that others have.
const OTHERS: u16 = 0o077;
/// How often an upload is begun anew.
const UPLOADS: u32 = 3;

/// The default file system.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    cluster: Arc<Cluster>,
}

/// A file that is there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Uploaded {
    /// In bytes.
    pub(crate) size: u64,
    /// Milliseconds since 1970.
    pub(crate) timestamp: u64,
}

/// Why a try of an upload did not come to anything.
enum Trouble {
    Hdfs(NativeError),
    Here(PackError),
    Silence,
}

impl Remote {
    pub(crate) fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster }
    }

    /// The full address of a path.
    pub(crate) fn address(&self, path: &str) -> String {
        self.cluster.address(path)
    }

    /// What is there, if anything is.
    pub(crate) async fn stat(&self, path: &str) -> Result<Option<FileStatus>, HdfsError> {
        self.cluster.stat(path).await
    }

    /// What a folder holds; none if it is not there.
    pub(crate) async fn list(&self, path: &str) -> Result<Vec<FileStatus>, HdfsError> {
        self.cluster.list(path).await
    }

    /// A file's content, if it is there. It must be a small one.
    pub(crate) async fn read(&self, path: &str) -> Result<Option<Bytes>, HdfsError> {
        self.cluster.read(path).await
    }

    /// So many bytes of a file from `offset`, fewer where it ends; none if it is not there.
    pub(crate) async fn read_at(&self, path: &str, offset: u64, most: usize) -> Result<Bytes, HdfsError> {
        let read = async |client: Client, path: String| {
            let Some(reader) = unless_missing(client.read(&path).await)? else { return Ok(Bytes::new()) };
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            let len = reader.file_length().saturating_sub(offset).min(most);
            if len == 0 { Ok(Bytes::new()) } else { reader.read_range(offset, len).await }
        };
        self.cluster.ask("read", path, read).await
    }

    /// Makes a folder that is `user`'s alone, and those above it. One that is there must be the user's; what others may do
    /// with it is taken from them.
    pub(crate) async fn make_private(&self, path: &str, user: &str) -> Result<(), ClientError> {
        let make = async |client: Client, path: String| client.mkdirs(&path, FOLDER_MODE, true).await;
        self.cluster.ask("make", path, make).await?;
        let found =
            self.cluster.ask("read", path, async |client, path| client.get_file_info(&path).await).await?;
        if found.owner != user && found.owner != short(user) {
            let path = self.address(path);
            return Err(ClientError::NotOurs { path, owner: found.owner, user: user.to_owned() });
        }
        if found.permission & OTHERS != 0 {
            let private =
                async |client: Client, path: String| client.set_permission(&path, FOLDER_MODE).await;
            self.cluster.ask("make private", path, private).await?;
        }
        Ok(())
    }

    /// Writes a file that is the user's alone, in place of one that may be there.
    pub(crate) async fn upload(
        &self,
        path: &str,
        mode: u32,
        source: &Source,
    ) -> Result<Uploaded, ClientError> {
        let options = WriteOptions::default().overwrite(true).permission(mode);
        match source.whole().await? {
            Some(bytes) => self.cluster.write(path, &bytes, &options).await?,
            None => self.upload_in_pieces(path, &options, source).await?,
        }
        let found =
            self.cluster.ask("read", path, async |client, path| client.get_file_info(&path).await).await?;
        Ok(Uploaded { size: found.length as u64, timestamp: found.modification_time })
    }

    async fn upload_in_pieces(
        &self,
        path: &str,
        options: &WriteOptions,
        source: &Source,
    ) -> Result<(), ClientError> {
        let mut patience = self.cluster.patience("write", path);
        let mut tries = 0;
        while let Err(trouble) = self.try_upload(path, options, source, &mut patience).await {
            tries += 1;
            match trouble {
                Trouble::Here(error) => return Err(error.into()),
                Trouble::Silence => return Err(patience.give_up().into()),
                Trouble::Hdfs(error) if tries == UPLOADS => {
                    let path = self.address(path);
                    return Err(HdfsError::Refused { action: "write", path, source: error }.into());
                }
                Trouble::Hdfs(error) => patience.after(error).await?,
            }
        }
        Ok(())
    }

    async fn try_upload(
        &self,
        path: &str,
        options: &WriteOptions,
        source: &Source,
        patience: &mut Patience,
    ) -> Result<(), Trouble> {
        let client = self.cluster.writing_client();
        let longest = self.cluster.timeout();
        let mut writer = in_time(longest, client.create(path, options)).await?;
        let mut pieces = source.pieces();
        while let Some(piece) = pieces.recv().await {
            in_time(longest, Box::pin(writer.write_bytes(piece.map_err(Trouble::Here)?))).await?;
            patience.renew();
        }
        in_time(longest, Box::pin(writer.close())).await
    }

    /// Gives a file of these `bytes` another name, in place of a file that may have it.
    pub(crate) async fn rename_over(&self, from: &str, to: &str, bytes: &Bytes) -> Result<(), HdfsError> {
        self.cluster.rename_over(from, to, bytes).await
    }

    /// Removes a file, or a folder with all that is in it; either may be gone already.
    pub(crate) async fn remove(&self, path: &str) -> Result<(), HdfsError> {
        self.cluster.remove(path).await
    }
}

async fn in_time<T>(
    longest: Duration,
    call: impl Future<Output = Result<T, NativeError>>,
) -> Result<T, Trouble> {
    match timeout(longest, call).await {
        Ok(answer) => answer.map_err(Trouble::Hdfs),
        Err(_) => Err(Trouble::Silence),
    }
}
