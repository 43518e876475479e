//! The socket at which agents find the application master: in a folder of its own user, gone with the job.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::net::UnixListener;

use crate::{AmError, JobFolder};

/// The kernel's limit for a socket's path is 108 bytes with the NUL behind it.
const LONGEST: usize = 107;
const NAME: &str = "am.sock";

/// A listening socket. Its file is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) path: PathBuf,
    listener: Option<UnixListener>,
    /// Where the job's folder does not do: a folder of its own.
    _folder: Option<TempDir>,
}

impl Socket {
    /// Listens in the job's folder if its path is short enough and its file system can hold sockets; else in a fresh folder
    /// of the user's runtime folder or of `/tmp`.
    pub(crate) fn new(folder: &JobFolder) -> Result<Self, AmError> {
        let path = folder.path().join(NAME);
        // Of an earlier run, whose lock is ours now.
        let _ = fs::remove_file(&path);
        if is_short(&path)
            && let Ok(listener) = UnixListener::bind(&path)
        {
            return Ok(Self { path, listener: Some(listener), _folder: None });
        }
        let runtime =
            std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
        let place = runtime.into_iter().chain([PathBuf::from("/tmp")]);
        let mut failure = None;
        for place in place {
            // Made with mode 0700.
            let made = tempfile::Builder::new().prefix("forebay-").tempdir_in(&place);
            let listening = made.and_then(|folder| {
                let path = folder.path().join(NAME);
                UnixListener::bind(&path).map(|listener| (folder, path, listener))
            });
            match listening {
                Ok((folder, path, listener)) if is_short(&path) => {
                    return Ok(Self { path, listener: Some(listener), _folder: Some(folder) });
                }
                Ok(_) => {}
                Err(source) => failure = Some(AmError::io("make a socket in", &place)(source)),
            }
        }
        Err(failure.unwrap_or_else(|| AmError::System {
            action: "make a socket",
            source: std::io::Error::other("every place for it has too long a path"),
        }))
    }

    /// What to accept connections from; can be taken once.
    pub(crate) fn listen(&mut self) -> Result<UnixListener, AmError> {
        let taken =
            || AmError::System { action: "listen", source: std::io::Error::other("somebody does already") };
        self.listener.take().ok_or_else(taken)
    }
}

fn is_short(path: &Path) -> bool {
    path.as_os_str().as_bytes().len() <= LONGEST
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
