//! This machine's file system, links followed.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::{FileFacts, Kind, Namespace};
use crate::PlanError;

/// Local files and folders.
pub(crate) struct LocalNamespace;

impl Namespace for LocalNamespace {
    fn stat(&self, path: &Path) -> Result<Option<Kind>, PlanError> {
        match fs::metadata(path) {
            Ok(meta) => kind(path, &meta).map(Some),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(source) => Err(PlanError::Local { action: "read", path: path.to_owned(), source }),
        }
    }

    fn list(&self, folder: &Path) -> Result<Vec<(OsString, Kind)>, PlanError> {
        let failed = |source| PlanError::Local { action: "list", path: folder.to_owned(), source };
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let (name, path) = entry.map(|e| (e.file_name(), e.path())).map_err(failed)?;
            if super::is_hidden(std::os::unix::ffi::OsStrExt::as_bytes(name.as_os_str())) {
                // Whether it is fed is decided by name alone: an unreadable lock file is nobody's problem.
                entries.push((name, fs::metadata(&path).map_or(Kind::Other("broken link"), |m| bare(&m))));
                continue;
            }
            let meta = fs::metadata(&path).map_err(|source| PlanError::Local {
                action: "read",
                path: path.clone(),
                source,
            })?;
            entries.push((name, kind(&path, &meta)?));
        }
        Ok(entries)
    }
}

/// What it is; a file must be readable, which is better known before a worker is started.
fn kind(path: &Path, meta: &Metadata) -> Result<Kind, PlanError> {
    if meta.is_file() {
        accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS).map_err(|e| PlanError::Local {
            action: "read",
            path: path.to_owned(),
            source: e.into(),
        })?;
    }
    Ok(bare(meta))
}

fn bare(meta: &Metadata) -> Kind {
    let file_type = meta.file_type();
    match () {
        () if file_type.is_file() => Kind::File(FileFacts { len: meta.len(), block_size: None }),
        () if file_type.is_dir() => Kind::Folder(Some((meta.dev(), meta.ino()))),
        () if file_type.is_fifo() => Kind::Other("FIFO"),
        () if file_type.is_socket() => Kind::Other("socket"),
        () if file_type.is_char_device() => Kind::Other("character device"),
        () => Kind::Other("block device"),
    }
}
