//! A folder on this machine or on HDFS, as far as staging and commits need it. Paths are relative to it; the folder itself
//! is the empty path.

mod fuse;
mod hdfs;
mod local;

use std::ffi::OsString;

use forebay_store::{Address, Clusters};

pub(crate) use self::hdfs::Hdfs;
pub(crate) use self::local::{Local, failed, sync_folder};
use crate::{OutputError, Tally};

/// Something in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its last component.
    pub(crate) name: OsString,
    pub(crate) is_folder: bool,
    /// In bytes; 0 for a folder.
    pub(crate) len: u64,
}

/// What a rename came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renamed {
    Done,
    /// There is no source (any more).
    NoSource,
    /// There is something at the destination.
    Exists,
}

#[derive(Debug, Clone)]
pub(crate) enum Store {
    Local(Local),
    Hdfs(Hdfs),
}

/// The same call of either store.
macro_rules! either {
    ($self:ident, $store:ident => $call:expr) => {
        match $self {
            Self::Local(local) => local.run(move |$store| $call).await,
            Self::Hdfs($store) => $call.await,
        }
    };
}

impl Store {
    pub(crate) fn open(address: &Address, clusters: &Clusters) -> Result<Self, OutputError> {
        match address {
            Address::Local(path) => Local::new(path).map(Self::Local),
            Address::Hdfs { authority, path } => {
                Hdfs::new(clusters, authority.as_deref(), path).map(Self::Hdfs)
            }
        }
    }

    /// The full address of a path, for messages.
    pub(crate) fn address(&self, path: &str) -> String {
        match self {
            Self::Local(local) => local.path(path).display().to_string(),
            Self::Hdfs(hdfs) => hdfs.address(path),
        }
    }

    /// What is at a path, if anything.
    pub(crate) async fn stat(&self, path: &str) -> Result<Option<Entry>, OutputError> {
        let path = path.to_owned();
        either!(self, store => store.stat(&path))
    }

    /// What a folder holds; nothing if it is not there.
    pub(crate) async fn list(&self, path: &str) -> Result<Option<Vec<Entry>>, OutputError> {
        match self.stat(path).await? {
            None => Ok(None),
            Some(entry) if !entry.is_folder => Err(OutputError::NotAFolder { path: self.address(path) }),
            Some(_) => {
                let path = path.to_owned();
                either!(self, store => store.list(&path)).map(Some)
            }
        }
    }

    /// Makes a folder and those above it; it may be there. A private one is its owner's alone.
    pub(crate) async fn make_folder(&self, path: &str, private: bool) -> Result<(), OutputError> {
        let path = path.to_owned();
        either!(self, store => store.make_folder(&path, private))
    }

    /// A small file's content; nothing if it is not there.
    pub(crate) async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, OutputError> {
        let path = path.to_owned();
        either!(self, store => store.read(&path))
    }

    /// Writes a small file, whole or not at all, in place of one that may be there. On return it is durable.
    pub(crate) async fn write(&self, path: &str, bytes: Vec<u8>) -> Result<(), OutputError> {
        match self {
            Self::Local(local) => {
                let path = path.to_owned();
                local.run(move |local| local.write(&path, &bytes)).await
            }
            Self::Hdfs(hdfs) => hdfs.write(path, bytes.into()).await,
        }
    }

    /// Renames in one step, and never onto something.
    pub(crate) async fn rename(&self, from: &str, to: &str) -> Result<Renamed, OutputError> {
        let (from, to) = (from.to_owned(), to.to_owned());
        either!(self, store => store.rename(&from, &to))
    }

    /// Removes a file or a whole folder, which may be gone already.
    pub(crate) async fn remove(&self, path: &str) -> Result<(), OutputError> {
        let path = path.to_owned();
        either!(self, store => store.remove(&path))
    }

    /// Removes a folder if it is empty.
    pub(crate) async fn remove_if_empty(&self, path: &str) -> Result<(), OutputError> {
        let path = path.to_owned();
        either!(self, store => store.remove_if_empty(&path))
    }

    /// What a folder or a file holds; nothing if it is not there. A file by itself has no name.
    pub(crate) async fn tally(&self, path: &str) -> Result<Option<Tally>, OutputError> {
        let path = path.to_owned();
        either!(self, store => store.tally(&path))
    }

    /// Makes the names in a folder durable.
    pub(crate) async fn sync(&self, path: &str) -> Result<(), OutputError> {
        match self {
            Self::Local(local) => {
                let path = path.to_owned();
                local.run(move |local| local.sync(&path)).await
            }
            // A NameNode answers when its journal has it.
            Self::Hdfs(_) => Ok(()),
        }
    }

    /// Breaks before or after a certain number of further changes.
    #[cfg(test)]
    pub(crate) fn with_fuse(mut self, fuse: &fuse::Fuse) -> Self {
        match &mut self {
            Self::Local(local) => local.fuse = fuse.clone(),
            Self::Hdfs(hdfs) => hdfs.fuse = fuse.clone(),
        }
        self
    }
}

#[cfg(test)]
pub(crate) use self::fuse::Fuse;
