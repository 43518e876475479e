//! What a symbolic link within a folder means, if it means something in that folder.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, OFlags, readlinkat, statat};
use rustix::io::Errno;

use super::beneath;
use crate::OutputError;

/// As many as the kernel follows.
const MOST_LINKS: u32 = 40;

/// Why a link cannot be followed.
#[derive(Debug)]
pub(super) enum LinkError {
    Refused(&'static str),
    Failed(Errno),
}

impl LinkError {
    pub(super) fn into_output(self, path: PathBuf) -> OutputError {
        match self {
            Self::Refused(why) => OutputError::Link { path, why },
            Self::Failed(error) => {
                OutputError::Local { action: "read", path, source: io::Error::from(error) }
            }
        }
    }
}

/// The path, below `root` and free of links, of what `name` in the folder `real` stands for. That it is still so when it is
/// opened is for the opener to check.
pub(super) fn resolve(root: &OwnedFd, real: &Path, name: &OsStr) -> Result<PathBuf, LinkError> {
    let mut done = real.to_owned();
    // Last first.
    let mut todo: Vec<OsString> = vec![name.to_owned()];
    let mut links = 0;
    while let Some(name) = todo.pop() {
        if name == ".." {
            if !done.pop() {
                return Err(LinkError::Refused("it points out of the output folder"));
            }
            continue;
        }
        let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let at = beneath(root, &done, folder).map_err(missing)?;
        let found = statat(&at, &*name, AtFlags::SYMLINK_NOFOLLOW).map_err(missing)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::Symlink {
            done.push(name);
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(LinkError::Refused("it leads through too many links, or round in a circle"));
        }
        let target = readlinkat(&at, &*name, Vec::new()).map_err(missing)?;
        for part in Path::new(OsStr::from_bytes(target.to_bytes())).components().rev() {
            match part {
                Component::Normal(part) => todo.push(part.to_owned()),
                Component::ParentDir => todo.push("..".into()),
                Component::CurDir => {}
                Component::RootDir | Component::Prefix(_) => {
                    return Err(LinkError::Refused("it is an absolute path"));
                }
            }
        }
    }
    Ok(done)
}

fn missing(error: Errno) -> LinkError {
    match error {
        Errno::NOENT | Errno::NOTDIR => LinkError::Refused("what it points to does not exist"),
        Errno::LOOP => LinkError::Refused("a folder on its way was replaced by a link during the upload"),
        error => LinkError::Failed(error),
    }
}
