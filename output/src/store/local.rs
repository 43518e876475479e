//! A folder of this machine. All calls block; [`Local::run`] takes them off the runtime's threads.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::fuse::Fuse;
use super::{Entry, Renamed};
use crate::{OutputError, Tally};

/// Bytes of a note, at most: far more than a commit's plan for very many workers takes.
const LONGEST_NOTE: u64 = 64 << 20;

#[derive(Debug, Clone)]
pub(crate) struct Local {
    root: PathBuf,
    pub(super) fuse: Fuse,
}

/// Names the path in an error.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OutputError {
    move |source| OutputError::Local { action, path: path.to_owned(), source }
}

/// Reads a small file that somebody else may have put there: a FIFO is not waited for, and a huge one is no note.
fn read_note(path: &Path) -> io::Result<Vec<u8>> {
    let no_wait = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(no_wait).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file; remove it"));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST_NOTE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Local {
    pub(super) fn new(root: &Path) -> Result<Self, OutputError> {
        let root = std::path::absolute(root).map_err(failed("use", root))?;
        Ok(Self { root, fuse: Fuse::whole() })
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }

    /// Runs a call on a thread that may block.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Self) -> Result<T, OutputError> + Send + 'static,
    ) -> Result<T, OutputError> {
        let local = self.clone();
        let called = tokio::task::spawn_blocking(move || call(&local)).await;
        called.unwrap_or_else(|error| Err(failed("use", &self.root)(io::Error::other(error))))
    }

    fn change<T>(&self, change: impl FnOnce() -> Result<T, OutputError>) -> Result<T, OutputError> {
        self.fuse.before()?;
        let changed = change()?;
        self.fuse.after()?;
        Ok(changed)
    }

    pub(super) fn stat(&self, path: &str) -> Result<Option<Entry>, OutputError> {
        let full = self.path(path);
        // The root may be a link to a folder; what is in it is ours and is none.
        let facts = if path.is_empty() { full.metadata() } else { full.symlink_metadata() };
        match facts {
            Ok(facts) => Ok(Some(entry(full.file_name().unwrap_or_default(), &facts))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                Err(OutputError::NotAFolder { path: full.display().to_string() })
            }
            Err(error) => Err(failed("look at", &full)(error)),
        }
    }

    pub(super) fn list(&self, path: &str) -> Result<Vec<Entry>, OutputError> {
        let full = self.path(path);
        let unlisted = |error| failed("list", &full)(error);
        let mut entries = Vec::new();
        for found in fs::read_dir(&full).map_err(unlisted)? {
            let found = found.map_err(unlisted)?;
            match found.metadata() {
                Ok(facts) => entries.push(entry(&found.file_name(), &facts)),
                // Another job's staging comes and goes.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(failed("look at", &found.path())(error)),
            }
        }
        Ok(entries)
    }

    pub(super) fn make_folder(&self, path: &str, private: bool) -> Result<(), OutputError> {
        let full = self.path(path);
        self.change(|| {
            let mut builder = DirBuilder::new();
            builder.recursive(true);
            if private {
                builder.mode(0o700);
            }
            builder.create(&full).map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
                    OutputError::NotAFolder { path: full.display().to_string() }
                }
                _ => failed("make", &full)(error),
            })
        })
    }

    pub(super) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, OutputError> {
        let full = self.path(path);
        match read_note(&full) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &full)(error)),
        }
    }

    pub(super) fn write(&self, path: &str, bytes: &[u8]) -> Result<(), OutputError> {
        let full = self.path(path);
        let mut name = full.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = full.with_file_name(name);
        self.change(|| {
            let written = File::create(&new).and_then(|mut file| {
                file.write_all(bytes)?;
                file.sync_all()
            });
            written.map_err(failed("write", &new))
        })?;
        self.change(|| {
            fs::rename(&new, &full).map_err(failed("write", &full))?;
            sync_folder(full.parent().unwrap_or(&self.root))
        })
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> Result<Renamed, OutputError> {
        let (from, to) = (self.path(from), self.path(to));
        self.change(|| match renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(Renamed::Done),
            Err(Errno::EXIST) => Ok(Renamed::Exists),
            Err(Errno::NOENT) if !exists(&from)? => Ok(Renamed::NoSource),
            // File systems without it, NFS for one.
            Err(Errno::INVAL | Errno::NOSYS) => rename_by_hand(&from, &to),
            Err(error) => Err(failed("rename", &from)(error.into())),
        })
    }

    pub(super) fn remove(&self, path: &str) -> Result<(), OutputError> {
        let full = self.path(path);
        self.change(|| {
            let removed = match full.symlink_metadata() {
                Ok(facts) if facts.is_dir() => fs::remove_dir_all(&full),
                Ok(_) => fs::remove_file(&full),
                Err(error) => Err(error),
            };
            match removed {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", &full)(error)),
                _ => Ok(()),
            }
        })
    }

    pub(super) fn remove_if_empty(&self, path: &str) -> Result<(), OutputError> {
        let full = self.path(path);
        self.change(|| match fs::remove_dir(&full) {
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {
                Err(failed("remove", &full)(error))
            }
            _ => Ok(()),
        })
    }

    pub(super) fn tally(&self, path: &str) -> Result<Option<Tally>, OutputError> {
        let Some(entry) = self.stat(path)? else { return Ok(None) };
        let (full, mut tally) = (self.path(path), Tally::default());
        if !entry.is_folder {
            tally.file(b"", entry.len);
            return Ok(Some(tally));
        }
        let mut pending = vec![PathBuf::new()];
        while let Some(folder) = pending.pop() {
            let at = full.join(&folder);
            let unlisted = |error| failed("list", &at)(error);
            for found in fs::read_dir(&at).map_err(unlisted)? {
                let found = found.map_err(unlisted)?;
                let facts = found.metadata().map_err(unlisted)?;
                let relative = folder.join(found.file_name());
                let bytes = relative.as_os_str().as_bytes();
                if facts.is_dir() {
                    tally.folder(bytes);
                    pending.push(relative);
                } else {
                    tally.file(bytes, facts.len());
                }
            }
        }
        Ok(Some(tally))
    }

    pub(super) fn sync(&self, path: &str) -> Result<(), OutputError> {
        sync_folder(&self.path(path))
    }
}

fn entry(name: &OsStr, facts: &fs::Metadata) -> Entry {
    let len = if facts.is_dir() { 0 } else { facts.len() };
    Entry { name: name.to_owned(), is_folder: facts.is_dir(), len }
}

fn exists(path: &Path) -> Result<bool, OutputError> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("look at", path)(error)),
    }
}

/// A link is as exclusive as a rename that replaces nothing, but there are none of folders. For those, what is not empty is
/// never replaced.
fn rename_by_hand(from: &Path, to: &Path) -> Result<Renamed, OutputError> {
    let unrenamed = |error| failed("rename", from)(error);
    let facts = match from.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Renamed::NoSource),
        facts => facts.map_err(unrenamed)?,
    };
    if facts.is_dir() {
        if exists(to)? {
            return Ok(Renamed::Exists);
        }
        return fs::rename(from, to).map(|()| Renamed::Done).map_err(unrenamed);
    }
    match fs::hard_link(from, to) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Renamed::Exists),
        Err(error) => Err(unrenamed(error)),
        Ok(()) => fs::remove_file(from).map(|()| Renamed::Done).map_err(unrenamed),
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), OutputError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(failed("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifo_in_a_notes_place_is_named_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let store = Local::new(folder.path()).unwrap();
        assert!(store.read("note").unwrap().is_none());
        let fifo = folder.path().join("note");
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(CWD, &fifo, kind, rustix::fs::Mode::from(0o600), 0).unwrap();
        assert!(store.read("note").unwrap_err().to_string().contains("no regular file"));
    }

    #[test]
    fn without_the_kernels_help_nothing_is_replaced_either() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "x").unwrap();
        fs::create_dir(at("folder")).unwrap();
        fs::create_dir(at("there")).unwrap();
        for (from, to, wanted) in [
            ("none", "new", Renamed::NoSource),
            ("file", "there", Renamed::Exists),
            ("folder", "there", Renamed::Exists),
            ("folder", "file", Renamed::Exists),
            ("file", "new", Renamed::Done),
            ("folder", "newer", Renamed::Done),
        ] {
            assert_eq!(rename_by_hand(&at(from), &at(to)).unwrap(), wanted, "{from} to {to}");
        }
        assert!(at("new").is_file() && at("newer").is_dir() && !at("file").exists());
    }
}
