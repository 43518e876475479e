//! A file from an address to a local path: whole or not there, and not again if it is there already.

use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use hdfs_native::HdfsError as NativeError;
use rustix::fs::OFlags;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{Address, Cluster, Clusters, FetchError, copy_bytes};

/// What fetching a file came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// It is there now.
    Copied,
    /// It was there already: same length, same modification time.
    Kept,
}

/// Brings the file at `address`, which had `len` bytes when planned, to the local path `to`.
///
/// Missing folders above `to` are made. The bytes go to a file beside it (`.NAME.part`), which takes its name when it is
/// whole; it then has the modification time of the original, by which a later call knows it. Memory is bounded. Runs
/// within tokio.
pub async fn fetch(
    clusters: &Clusters,
    address: &Address,
    len: u64,
    to: &Path,
    cancel: &CancellationToken,
) -> Result<Fetched, FetchError> {
    match address {
        Address::Local(from) => {
            let (from, to, cancel) = (from.clone(), to.to_owned(), cancel.clone());
            let local = tokio::task::spawn_blocking(move || fetch_local(&from, len, &to, &cancel));
            local.await.map_err(|e| failed("read", to_path(address), io::Error::other(e)))?
        }
        Address::Hdfs { authority, path } => {
            let cluster = clusters.cluster(authority.as_deref())?;
            fetch_hdfs(&cluster, path, len, to, cancel).await
        }
    }
}

fn to_path(address: &Address) -> PathBuf {
    PathBuf::from(address.to_string())
}

fn failed(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> FetchError {
    FetchError::Local { action, path: path.into(), source }
}

fn fetch_local(
    from: &Path,
    planned: u64,
    to: &Path,
    cancel: &CancellationToken,
) -> Result<Fetched, FetchError> {
    let address = || from.display().to_string();
    let unread = |error| failed("read", from, error);
    // A FIFO must not keep us.
    let nonblock = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(nonblock).open(from).map_err(unread)?;
    let facts = file.metadata().map_err(unread)?;
    if !facts.is_file() {
        return Err(FetchError::NotAFile { address: address() });
    }
    if facts.len() != planned {
        return Err(FetchError::Changed { address: address(), planned, len: facts.len() });
    }
    let changed = facts.modified().map_err(unread)?;
    if is_there(to, planned, changed) {
        return Ok(Fetched::Kept);
    }
    let part = Part::new(to)?;
    let copied = copy_bytes(&file, &part.file, planned, cancel)
        .map_err(|e| failed("write", &part.path, e))?
        .ok_or_else(|| FetchError::Cancelled { address: address() })?;
    if copied != planned {
        return Err(FetchError::Changed { address: address(), planned, len: copied });
    }
    part.finish(planned, changed)
}

async fn fetch_hdfs(
    cluster: &Cluster,
    path: &str,
    planned: u64,
    to: &Path,
    cancel: &CancellationToken,
) -> Result<Fetched, FetchError> {
    let called_off = || FetchError::Cancelled { address: cluster.address(path) };
    let told = cancel.run_until_cancelled(
        cluster.retry("read", path, async |client, path| client.get_file_info(&path).await),
    );
    let facts = told.await.ok_or_else(called_off)??;
    if facts.isdir {
        return Err(FetchError::NotAFile { address: cluster.address(path) });
    }
    if facts.length as u64 != planned {
        let (address, len) = (cluster.address(path), facts.length as u64);
        return Err(FetchError::Changed { address, planned, len });
    }
    let changed = SystemTime::UNIX_EPOCH + Duration::from_millis(facts.modification_time);
    if is_there(to, planned, changed) {
        return Ok(Fetched::Kept);
    }
    let mut part = Part::new(to)?;
    let (mut done, mut patience) = (0, cluster.patience("read", path));
    while done < planned {
        let before = done;
        let reading = read_on(cluster, path, planned, &mut done, &mut part);
        // Stalls are ended by hdfs-native, which hears nothing of a DataNode for too long.
        let read = cancel.run_until_cancelled(reading).await.ok_or_else(called_off)?;
        if done > before {
            patience.renew();
        }
        match read {
            Ok(()) => break,
            Err(ReadError::Hdfs(error)) => patience.after(error).await?,
            Err(ReadError::Fetch(error)) => return Err(error),
            Err(ReadError::Silence) => return Err(patience.give_up().into()),
        }
    }
    part.finish(planned, changed)
}

enum ReadError {
    Hdfs(NativeError),
    Fetch(FetchError),
    Silence,
}

/// Reads from byte `done` until the end or an error, counting in `done`.
async fn read_on(
    cluster: &Cluster,
    path: &str,
    planned: u64,
    done: &mut u64,
    part: &mut Part,
) -> Result<(), ReadError> {
    let patient = cluster.timeout();
    let reader = timeout(patient, cluster.client().read(path)).await.map_err(|_| ReadError::Silence)?;
    let reader = reader.map_err(ReadError::Hdfs)?;
    if reader.file_length() as u64 != planned {
        let (address, len) = (cluster.address(path), reader.file_length() as u64);
        return Err(ReadError::Fetch(FetchError::Changed { address, planned, len }));
    }
    let wide = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let mut stream = pin!(reader.read_range_stream(wide(*done), wide(planned - *done)));
    while let Some(bytes) = timeout(patient, stream.next()).await.map_err(|_| ReadError::Silence)? {
        let bytes = bytes.map_err(ReadError::Hdfs)?;
        // Packets are small and go to the page cache: not worth another thread.
        part.file.write_all(&bytes).map_err(|e| ReadError::Fetch(failed("write", &part.path, e)))?;
        *done += bytes.len() as u64;
    }
    Ok(())
}

/// Whether the file is there already. What cannot be told is fetched.
fn is_there(to: &Path, len: u64, changed: SystemTime) -> bool {
    let same = |facts: &fs::Metadata| {
        facts.is_file() && facts.len() == len && facts.modified().is_ok_and(|time| time == changed)
    };
    to.symlink_metadata().is_ok_and(|facts| same(&facts))
}

/// A file that is not whole. Dropped before it is, it disappears.
struct Part {
    file: File,
    path: PathBuf,
    to: PathBuf,
    whole: bool,
}

impl Part {
    fn new(to: &Path) -> Result<Self, FetchError> {
        let unwritten = |error| failed("write", to, error);
        let folder = to.parent().unwrap_or(Path::new(""));
        let name = to.file_name().ok_or_else(|| unwritten(io::ErrorKind::InvalidInput.into()))?;
        fs::create_dir_all(folder).map_err(unwritten)?;
        let mut hidden = OsString::from(".");
        // Names end at 255 bytes.
        if name.as_bytes().len() < 250 {
            hidden.push(name);
        } else {
            let mut hasher = DefaultHasher::new();
            name.hash(&mut hasher);
            hidden.push(format!("{:016x}", hasher.finish()));
        }
        hidden.push(".part");
        let path = folder.join(hidden);
        let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(nofollow)
            .open(&path)
            .map_err(|e| failed("write", &path, e))?;
        Ok(Self { file, path, to: to.to_owned(), whole: false })
    }

    fn finish(mut self, len: u64, changed: SystemTime) -> Result<Fetched, FetchError> {
        let written = || {
            self.file.set_modified(changed)?;
            if self.file.metadata()?.len() != len {
                return Err(io::Error::other("another process writes to the same file"));
            }
            fs::rename(&self.path, &self.to)
        };
        written().map_err(|e| failed("write", &self.path, e))?;
        self.whole = true;
        Ok(Fetched::Copied)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.whole {
            let _ = fs::remove_file(&self.path);
        }
    }
}
