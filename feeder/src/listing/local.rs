//! This machine's file system, links followed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
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

    fn list(
        &self,
        folder: &Path,
        wanted: &dyn Fn(&OsStr) -> bool,
    ) -> Result<Vec<(OsString, Kind)>, PlanError> {
        let failed = |source| PlanError::Local { action: "list", path: folder.to_owned(), source };
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let (name, path) = entry.map(|e| (e.file_name(), e.path())).map_err(failed)?;
            if wanted(&name) {
                let meta = fs::metadata(&path).map_err(|source| PlanError::Local {
                    action: "read",
                    path: path.clone(),
                    source,
                })?;
                entries.push((name, kind(&path, &meta)?));
            }
        }
        Ok(entries)
    }
}

/// What it is; a file must be readable, which is better known before a worker is started.
fn kind(path: &Path, meta: &Metadata) -> Result<Kind, PlanError> {
    let failed = |source| PlanError::Local { action: "read", path: path.to_owned(), source };
    if meta.is_file() {
        accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS).map_err(|e| failed(e.into()))?;
        // The kernel's own files say that they are empty, and are not.
        if meta.len() == 0 && File::open(path).and_then(|mut file| file.read(&mut [0])).map_err(failed)? > 0 {
            return Ok(Kind::Other("file that does not know its length"));
        }
    }
    Ok(bare(meta))
}

fn bare(meta: &Metadata) -> Kind {
    let file_type = meta.file_type();
    match () {
        () if file_type.is_file() => Kind::File(FileFacts {
            len: meta.len(),
            block_size: None,
            identity: Some((meta.dev(), meta.ino())),
        }),
        () if file_type.is_dir() => Kind::Folder(Some((meta.dev(), meta.ino()))),
        () if file_type.is_fifo() => Kind::Other("FIFO"),
        () if file_type.is_socket() => Kind::Other("socket"),
        () if file_type.is_char_device() => Kind::Other("character device"),
        () => Kind::Other("block device"),
    }
}
