//! A folder on HDFS. Every call is tried again until it is answered or the time is over; as it may have had its effect before,
//! each must come out the same the second time.

use std::ffi::OsString;
use std::sync::Arc;

use bytes::Bytes;
use forebay_store::{Cluster, Clusters, HdfsError, is_missing};
use hdfs_native::client::FileStatus;
use hdfs_native::{Client, HdfsError as NativeError, WriteOptions};

use super::fuse::Fuse;
use super::{Entry, Renamed};
use crate::{OutputError, Tally};

/// Hadoop's default for `fs.permissions.umask-mode`.
const DEFAULT_UMASK: u32 = 0o022;

#[derive(Debug, Clone)]
pub(crate) struct Hdfs {
    pub(crate) cluster: Arc<Cluster>,
    /// Absolute, without a slash at the end; the file system's root is empty.
    root: String,
    umask: u32,
    pub(super) fuse: Fuse,
}

impl Hdfs {
    pub(super) fn new(clusters: &Clusters, authority: Option<&str>, path: &str) -> Result<Self, OutputError> {
        let cluster = clusters.cluster(authority)?;
        let configured = clusters.configuration()?.get("fs.permissions.umask-mode");
        let umask = configured.map_err(HdfsError::from)?;
        let umask = umask.map_or(Some(DEFAULT_UMASK), |text| u32::from_str_radix(text.trim(), 8).ok());
        let umask = umask.unwrap_or_else(|| {
            tracing::warn!("fs.permissions.umask-mode is no octal number, 077 is used");
            0o077
        });
        // NameNodes refuse `//` and a slash at the end.
        let components = path.split('/').filter(|part| !part.is_empty() && *part != ".");
        let root = components.flat_map(|part| ["/", part]).collect();
        Ok(Self { cluster, root, umask, fuse: Fuse::whole() })
    }

    pub(crate) fn path(&self, path: &str) -> String {
        match (&*self.root, path) {
            ("", "") => "/".into(),
            (root, "") => root.into(),
            (root, path) => format!("{root}/{path}"),
        }
    }

    pub(crate) fn address(&self, path: &str) -> String {
        self.cluster.address(&self.path(path))
    }

    /// How a new file is made: in place of one that may be there.
    pub(crate) fn write_options(&self) -> WriteOptions {
        WriteOptions::default().overwrite(true).permission(0o666 & !self.umask)
    }

    /// Asks with patience, on a path relative to this folder.
    async fn ask<T, F>(
        &self,
        action: &'static str,
        path: &str,
        call: impl FnMut(Client, String) -> F,
    ) -> Result<T, HdfsError>
    where
        F: Future<Output = Result<T, NativeError>>,
    {
        self.cluster.ask(action, &self.path(path), call).await
    }

    async fn change<T, E: Into<OutputError>>(
        &self,
        change: impl Future<Output = Result<T, E>>,
    ) -> Result<T, OutputError> {
        self.fuse.before()?;
        let changed = change.await.map_err(Into::into)?;
        self.fuse.after()?;
        Ok(changed)
    }

    /// A file on the way to a path gets its own error.
    fn in_folder<T>(&self, path: &str, answer: Result<T, HdfsError>) -> Result<T, OutputError> {
        match answer {
            Err(HdfsError::Refused { source, .. }) if is_file(&source) => {
                Err(OutputError::NotAFolder { path: self.address(path) })
            }
            answer => Ok(answer?),
        }
    }

    pub(super) async fn stat(&self, path: &str) -> Result<Option<Entry>, OutputError> {
        let found = self.cluster.stat(&self.path(path)).await;
        Ok(self.in_folder(path, found)?.map(|status| entry(&status)))
    }

    pub(super) async fn list(&self, path: &str) -> Result<Vec<Entry>, OutputError> {
        Ok(self.cluster.list(&self.path(path)).await?.iter().map(entry).collect())
    }

    pub(super) async fn make_folder(&self, path: &str, private: bool) -> Result<(), OutputError> {
        let permission = if private { 0o700 } else { 0o777 & !self.umask };
        let made = self.ask("make", path, async |client, path| client.mkdirs(&path, permission, true).await);
        self.change(async { self.in_folder(path, made.await) }).await
    }

    pub(super) async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, OutputError> {
        let read = self.cluster.read(&self.path(path)).await;
        Ok(self.in_folder(path, read)?.map(|bytes| bytes.to_vec()))
    }

    pub(super) async fn write(&self, path: &str, bytes: Bytes) -> Result<(), OutputError> {
        let (path, new) = (self.path(path), self.path(&format!("{path}.new")));
        self.change(self.cluster.write(&new, &bytes, &self.write_options())).await?;
        self.change(self.cluster.rename_over(&new, &path, &bytes)).await
    }

    pub(super) async fn rename(&self, from: &str, to: &str) -> Result<Renamed, OutputError> {
        let to = self.path(to);
        let renamed =
            self.ask("rename", from, async |client, from| match client.rename(&from, &to, false).await {
                Ok(()) => Ok(Renamed::Done),
                Err(NativeError::AlreadyExists(_)) => Ok(Renamed::Exists),
                // A file and a folder (`FSDirRenameOp.validateOverwrite`, which looks at that first).
                Err(NativeError::RPCError(_, message)) if message.contains("must both be") => {
                    Ok(Renamed::Exists)
                }
                Err(error) if is_missing(&error) => Ok(Renamed::NoSource),
                Err(error) => Err(error),
            });
        self.change(renamed).await
    }

    pub(super) async fn remove(&self, path: &str) -> Result<(), OutputError> {
        self.change(self.cluster.remove(&self.path(path))).await
    }

    pub(super) async fn remove_if_empty(&self, path: &str) -> Result<(), OutputError> {
        let removed =
            self.ask("remove", path, async |client, path| match client.delete(&path, false).await {
                Err(NativeError::RPCError(class, _))
                    if class.ends_with("PathIsNotEmptyDirectoryException") =>
                {
                    Ok(false)
                }
                removed => removed,
            });
        self.change(removed).await.map(drop)
    }

    pub(super) async fn tally(&self, path: &str) -> Result<Option<Tally>, OutputError> {
        let Some(entry) = self.stat(path).await? else { return Ok(None) };
        let mut tally = Tally::default();
        if !entry.is_folder {
            tally.file(b"", entry.len);
            return Ok(Some(tally));
        }
        let mut pending = vec![String::new()];
        while let Some(folder) = pending.pop() {
            let at = if folder.is_empty() { path.to_owned() } else { format!("{path}/{folder}") };
            for entry in self.list(&at).await? {
                let name = entry.name.to_string_lossy();
                let relative = if folder.is_empty() { name.into() } else { format!("{folder}/{name}") };
                if entry.is_folder {
                    tally.folder(relative.as_bytes());
                    pending.push(relative);
                } else {
                    tally.file(relative.as_bytes(), entry.len);
                }
            }
        }
        Ok(Some(tally))
    }
}

fn entry(status: &FileStatus) -> Entry {
    let name = status.path.rsplit('/').next().unwrap_or(&status.path);
    let len = if status.isdir { 0 } else { status.length as u64 };
    Entry { name: OsString::from(name), is_folder: status.isdir, len }
}

/// A file where there should be a folder.
fn is_file(error: &NativeError) -> bool {
    match error {
        NativeError::AlreadyExists(_) => true,
        // `FSPermissionChecker` has no class of its own for it.
        NativeError::RPCError(class, message) => {
            class.ends_with("ParentNotDirectoryException") || message.contains("(is not a directory)")
        }
        _ => false,
    }
}
