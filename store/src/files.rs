//! Small files and folders of an HDFS, asked for with patience. As each call may have had its effect before its answer was lost,
//! all of them come out the same the second time.

use bytes::Bytes;
use hdfs_native::client::FileStatus;
use hdfs_native::{Client, HdfsError as NativeError, WriteOptions};

use crate::small::Written;
use crate::{Cluster, HdfsError};

impl Cluster {
    /// [`retry`](Self::retry) in a box: the future of a writer is large, and so would be all that wait for it.
    pub async fn ask<T, F>(
        &self,
        action: &'static str,
        path: &str,
        call: impl FnMut(Client, String) -> F,
    ) -> Result<T, HdfsError>
    where
        F: Future<Output = Result<T, NativeError>>,
    {
        Box::pin(self.retry(action, path, call)).await
    }

    /// What is there, if anything is.
    pub async fn stat(&self, path: &str) -> Result<Option<FileStatus>, HdfsError> {
        self.ask("read", path, async |client, path| unless_missing(client.get_file_info(&path).await)).await
    }

    /// What a folder holds; nothing if it is not there.
    pub async fn list(&self, path: &str) -> Result<Vec<FileStatus>, HdfsError> {
        let listed = self
            .ask("list", path, async |client, path| unless_missing(client.list_status(&path, false).await));
        Ok(listed.await?.unwrap_or_default())
    }

    /// A file's content in memory, if it is there.
    pub async fn read(&self, path: &str) -> Result<Option<Bytes>, HdfsError> {
        let read = async |client: Client, path: String| {
            let Some(reader) = unless_missing(client.read(&path).await)? else { return Ok(None) };
            reader.read_range(0, reader.file_length()).await.map(Some)
        };
        self.ask("read", path, read).await
    }

    /// Writes a small file. Broken off, it may be there in part.
    pub async fn write(&self, path: &str, bytes: &Bytes, options: &WriteOptions) -> Result<(), HdfsError> {
        if let Some(small) = &self.small {
            let writing = small.write(path, bytes, options, self.patience("write", path));
            if Box::pin(writing).await? == Written::Whole {
                return Ok(());
            }
        }
        self.write_natively(path, bytes, options).await
    }

    /// Writes a file through `hdfs-native`, whatever it is.
    pub async fn write_natively(
        &self,
        path: &str,
        bytes: &Bytes,
        options: &WriteOptions,
    ) -> Result<(), HdfsError> {
        let write = async |client: Client, path: String| {
            let mut writer = client.create(&path, options).await?;
            Box::pin(writer.write_bytes(bytes.clone())).await?;
            Box::pin(writer.close()).await
        };
        self.ask("write", path, write).await
    }

    /// Renames a file that holds `bytes`, in place of one that may be there.
    pub async fn rename_over(&self, from: &str, to: &str, bytes: &Bytes) -> Result<(), HdfsError> {
        let renamed =
            self.ask("write", from, async |client, from| client.rename(&from, to, true).await).await;
        match renamed {
            // Done before, and the answer was lost.
            Err(HdfsError::Refused { source, .. })
                if is_missing(&source) && self.read(to).await?.as_ref() == Some(bytes) =>
            {
                Ok(())
            }
            renamed => renamed,
        }
    }

    /// Removes a file, or a folder with all that is in it; either may be gone already.
    pub async fn remove(&self, path: &str) -> Result<(), HdfsError> {
        self.ask("remove", path, async |client, path| client.delete(&path, true).await).await.map(drop)
    }
}

/// Whether it says that there is no such file.
pub fn is_missing(error: &NativeError) -> bool {
    match error {
        NativeError::FileNotFound(_) => true,
        NativeError::RPCError(class, _) => class.ends_with("FileNotFoundException"),
        _ => false,
    }
}

/// Nothing where there is no such file.
pub fn unless_missing<T>(answer: Result<T, NativeError>) -> Result<Option<T>, NativeError> {
    match answer {
        Err(error) if is_missing(&error) => Ok(None),
        answer => answer.map(Some),
    }
}
