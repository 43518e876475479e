//! A walk through a worker's output folder that never leaves it.
//!
//! A worker may put anything there, and may still be changing it. So every path is opened component by component from the
//! folder's own descriptor, and no component may be a symbolic link. A link is resolved here, by name; what it means is then
//! opened in the same way, so that a link swapped in meanwhile is an error and not a way out. Nothing that is
//! opened can block.

mod resolve;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use crate::OutputError;

/// Something to upload.
#[derive(Debug)]
pub(crate) enum Item {
    /// A folder; comes before what is in it.
    Folder(PathBuf),
    /// A regular file, open for reading.
    File { path: PathBuf, file: File, executable: bool },
}

/// A worker's output folder.
#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
    /// For messages.
    shown: PathBuf,
}

/// A folder to be walked. `real` is free of links; `path` is where it appears.
struct Pending {
    path: PathBuf,
    real: PathBuf,
    above: Option<Arc<Above>>,
}

/// The folders above one, as the walk came to it.
struct Above {
    real: PathBuf,
    above: Option<Arc<Self>>,
}

const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

impl Tree {
    /// Opens `folder`, a relative path, within `root`, which is taken as it is; nothing if it is not there.
    pub(crate) fn open(root: &Path, folder: &Path) -> Result<Option<Self>, OutputError> {
        let shown = root.join(folder);
        let unopened =
            |error: Errno| OutputError::Local { action: "read", path: shown.clone(), source: error.into() };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let work = openat(CWD, root, flags, Mode::empty()).map_err(unopened)?;
        match beneath(&work, folder, READ | OFlags::DIRECTORY) {
            Ok(root) => Ok(Some(Self { root, shown })),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR | Errno::INVAL) => Err(OutputError::WorkerFolder { path: shown }),
            Err(error) => Err(unopened(error)),
        }
    }

    /// Gives all that is in the folder to `each`, until it says no.
    pub(crate) fn walk(
        &self,
        each: &mut dyn FnMut(Item) -> Result<(), OutputError>,
    ) -> Result<(), OutputError> {
        let mut pending = vec![Pending { path: PathBuf::new(), real: PathBuf::new(), above: None }];
        while let Some(folder) = pending.pop() {
            let fd = beneath(&self.root, &folder.real, READ | OFlags::DIRECTORY)
                .map_err(|error| self.failed(&folder.path, error))?;
            let above = Some(Arc::new(Above { real: folder.real.clone(), above: folder.above.clone() }));
            for entry in Dir::read_from(&fd).map_err(|error| self.failed(&folder.path, error))? {
                let entry = entry.map_err(|error| self.failed(&folder.path, error))?;
                let name = OsStr::from_bytes(entry.file_name().to_bytes());
                if name == "." || name == ".." {
                    continue;
                }
                let path = folder.path.join(name);
                let kind = statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|error| self.failed(&path, error))?
                    .st_mode;
                match FileType::from_raw_mode(kind) {
                    FileType::Directory => {
                        each(Item::Folder(path.clone()))?;
                        pending.push(Pending { path, real: folder.real.join(name), above: above.clone() });
                    }
                    FileType::Symlink => {
                        let real = resolve::resolve(&self.root, &folder.real, name)
                            .map_err(|error| error.into_output(self.shown.join(&path)))?;
                        if let Some(linked) = self.follow(path, real, above.as_ref(), each)? {
                            pending.push(linked);
                        }
                    }
                    FileType::RegularFile => {
                        let file = openat(&fd, name, READ, Mode::empty());
                        let file = file.map_err(|error| self.failed(&path, error))?;
                        self.emit(path, file, each)?;
                    }
                    kind => return Err(self.special(&path, kind)),
                }
            }
        }
        Ok(())
    }

    /// What a link stands for, in its place.
    fn follow(
        &self,
        path: PathBuf,
        real: PathBuf,
        above: Option<&Arc<Above>>,
        each: &mut dyn FnMut(Item) -> Result<(), OutputError>,
    ) -> Result<Option<Pending>, OutputError> {
        // A FIFO is opened without waiting, a socket not at all, and neither is read.
        let fd = beneath(&self.root, &real, READ).map_err(|error| self.failed(&path, error))?;
        let kind = rustix::fs::fstat(&fd).map_err(|error| self.failed(&path, error))?.st_mode;
        if FileType::from_raw_mode(kind) != FileType::Directory {
            self.emit(path, fd, each)?;
            return Ok(None);
        }
        let mut next = above;
        while let Some(folder) = next {
            if folder.real == real {
                let why = "it leads back to a folder that it is in";
                return Err(OutputError::Link { path: self.shown.join(path), why });
            }
            next = folder.above.as_ref();
        }
        each(Item::Folder(path.clone()))?;
        Ok(Some(Pending { path, real, above: above.cloned() }))
    }

    fn emit(
        &self,
        path: PathBuf,
        fd: OwnedFd,
        each: &mut dyn FnMut(Item) -> Result<(), OutputError>,
    ) -> Result<(), OutputError> {
        let mode = rustix::fs::fstat(&fd).map_err(|error| self.failed(&path, error))?.st_mode;
        match FileType::from_raw_mode(mode) {
            FileType::RegularFile => {
                each(Item::File { path, file: fd.into(), executable: mode & 0o100 != 0 })
            }
            kind => Err(self.special(&path, kind)),
        }
    }

    fn special(&self, path: &Path, kind: FileType) -> OutputError {
        let kind = match kind {
            FileType::Fifo => "FIFO",
            FileType::Socket => "socket",
            FileType::CharacterDevice | FileType::BlockDevice => "device",
            _ => "special file",
        };
        OutputError::Special { path: self.shown.join(path), kind }
    }

    fn failed(&self, path: &Path, error: Errno) -> OutputError {
        let path = self.shown.join(path);
        match error {
            Errno::LOOP | Errno::NOTDIR => {
                OutputError::Link { path, why: "it took the place of something else during the upload" }
            }
            Errno::NXIO => OutputError::Special { path, kind: "socket" },
            error => OutputError::Local { action: "read", path, source: io::Error::from(error) },
        }
    }
}

/// Opens a relative path of plain names below `root`, following no link on the way or at its end.
fn beneath(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at: Option<OwnedFd> = None;
    let mut parts = path.components().peekable();
    if parts.peek().is_none() {
        return openat(root, ".", flags, Mode::empty());
    }
    while let Some(part) = parts.next() {
        let name = match part {
            Component::Normal(name) => name,
            Component::CurDir => OsStr::new("."),
            _ => return Err(Errno::INVAL),
        };
        let flags = if parts.peek().is_some() { folder } else { flags };
        at = Some(openat(at.as_ref().unwrap_or(root), name, flags, Mode::empty())?);
    }
    at.ok_or(Errno::INVAL)
}
