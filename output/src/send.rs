//! One file or folder of a worker to its place in a store.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use forebay_store::{HdfsError, copy_bytes};
use hdfs_native::HdfsError as NativeError;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::OutputError;
use crate::store::{Hdfs, Store};

/// Bytes that are read and sent at once.
const CHUNK: usize = 1 << 20;

/// Sends what lies in one local folder to one folder of a store.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    store: Store,
    /// Relative to the store.
    room: String,
    /// The worker's folder, for messages.
    shown: PathBuf,
}

impl Sender {
    pub(crate) fn new(store: &Store, room: &str, shown: &Path) -> Self {
        Self { store: store.clone(), room: room.to_owned(), shown: shown.to_owned() }
    }

    /// A path below the room on HDFS, whose names are text of a certain kind.
    fn name(&self, path: &Path) -> Result<String, OutputError> {
        let refused = |why| OutputError::Name { path: self.shown.join(path), why };
        let text = path.to_str().ok_or_else(|| refused("its name is not UTF-8"))?;
        if text.contains(':') {
            return Err(refused("HDFS allows no colon in a name"));
        }
        Ok(format!("{}/{text}", self.room))
    }

    pub(crate) async fn make_folder(&self, path: &Path) -> Result<(), OutputError> {
        match &self.store {
            Store::Local(local) => {
                let to = local.path(&self.room).join(path);
                local.run(move |_| DirBuilder::new().create(&to).map_err(local_error("make", &to))).await
            }
            Store::Hdfs(_) => self.store.make_folder(&self.name(path)?, false).await,
        }
    }

    /// Sends a file and gives its length in bytes, which the store confirms.
    pub(crate) async fn send(
        &self,
        path: &Path,
        file: Arc<File>,
        executable: bool,
        cancel: &CancellationToken,
    ) -> Result<u64, OutputError> {
        let shown = self.shown.join(path);
        let len = file.metadata().map_err(local_error("read", &shown))?.len();
        match &self.store {
            Store::Local(local) => {
                let (to, cancel) = (local.path(&self.room).join(path), cancel.clone());
                local.run(move |_| copy(&file, len, executable, &shown, &to, &cancel)).await?;
            }
            Store::Hdfs(hdfs) => {
                let to = self.name(path)?;
                cancel
                    .run_until_cancelled(Box::pin(put(hdfs, &file, len, &shown, &to)))
                    .await
                    .ok_or(OutputError::Cancelled)??;
            }
        }
        Ok(len)
    }

    /// Makes the names of all that was sent durable.
    pub(crate) async fn make_durable(&self, folders: &[PathBuf]) -> Result<(), OutputError> {
        let Store::Local(local) = &self.store else { return Ok(()) };
        let (room, folders) = (self.room.clone(), folders.to_owned());
        local
            .run(move |local| {
                let room = local.path(&room);
                crate::store::sync_folder(&room)?;
                folders.iter().try_for_each(|folder| crate::store::sync_folder(&room.join(folder)))
            })
            .await
    }
}

fn local_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OutputError {
    crate::store::failed(action, path)
}

fn copy(
    file: &File,
    len: u64,
    executable: bool,
    shown: &Path,
    to: &Path,
    cancel: &CancellationToken,
) -> Result<(), OutputError> {
    let permission = if executable { 0o777 } else { 0o666 };
    let made = File::options().write(true).create_new(true).mode(permission).open(to);
    let made = made.map_err(local_error("write", to))?;
    let copied = copy_bytes(file, &made, len, cancel).map_err(local_error("write", to))?;
    let copied = copied.ok_or(OutputError::Cancelled)?;
    unchanged(file, len, copied, shown)?;
    made.sync_all().map_err(local_error("write", to))
}

/// Whether a file ended where it was to end.
fn unchanged(file: &File, before: u64, read: u64, shown: &Path) -> Result<(), OutputError> {
    let len = file.metadata().map_err(local_error("read", shown))?.len();
    if read == before && len == before {
        return Ok(());
    }
    let after = if len == before { read } else { len };
    Err(OutputError::Changed { path: shown.to_owned(), before, after })
}

/// Why a try to write to HDFS ended.
enum Failure {
    Hdfs(NativeError),
    /// No answer for as long as is waited at most.
    Silence,
    Output(OutputError),
}

/// Writes a file to HDFS, which confirms its length.
async fn put(hdfs: &Hdfs, file: &Arc<File>, len: u64, shown: &Path, to: &str) -> Result<(), OutputError> {
    let path = hdfs.path(to);
    if len <= CHUNK as u64 {
        let bytes = read_chunk(file, 0, shown).await?;
        unchanged(file, len, bytes.len() as u64, shown)?;
        hdfs.cluster.write(&path, &bytes, &hdfs.write_options()).await?;
    } else {
        put_in_chunks(hdfs, file, len, shown, &path).await?;
    }
    let stored = hdfs.cluster.retry("read", &path, async |client, path| client.get_file_info(&path).await);
    let stored = stored.await?.length as u64;
    if stored == len {
        return Ok(());
    }
    let tally = |len| {
        let mut tally = crate::Tally::default();
        tally.file(b"", len);
        tally
    };
    Err(OutputError::Mismatch { path: hdfs.address(to), wanted: tally(len), found: tally(stored) })
}

/// After an error it begins anew, as long as each try comes further than those before, or for as long as is waited without
/// progress.
async fn put_in_chunks(
    hdfs: &Hdfs,
    file: &Arc<File>,
    len: u64,
    shown: &Path,
    path: &str,
) -> Result<(), OutputError> {
    let (mut patience, mut furthest) = (hdfs.cluster.patience("write", path), 0);
    loop {
        let mut sent = 0;
        let tried = try_put(hdfs, file, len, shown, path, &mut sent).await;
        if sent > furthest {
            furthest = sent;
            patience.renew();
        }
        match tried {
            Ok(()) => return Ok(()),
            Err(Failure::Hdfs(error)) => patience.after(error).await?,
            Err(Failure::Silence) => return Err(patience.give_up().into()),
            Err(Failure::Output(error)) => return Err(error),
        }
    }
}

async fn try_put(
    hdfs: &Hdfs,
    file: &Arc<File>,
    len: u64,
    shown: &Path,
    path: &str,
    sent: &mut u64,
) -> Result<(), Failure> {
    let (client, options) = (hdfs.cluster.writing_client(), hdfs.write_options());
    let mut writer = bounded(hdfs, client.create(path, &options)).await?;
    loop {
        let bytes = read_chunk(file, *sent, shown).await.map_err(Failure::Output)?;
        if bytes.is_empty() || *sent >= len {
            break;
        }
        let n = bytes.len() as u64;
        bounded(hdfs, Box::pin(writer.write_bytes(bytes))).await?;
        *sent += n;
    }
    unchanged(file, len, *sent, shown).map_err(Failure::Output)?;
    bounded(hdfs, Box::pin(writer.close())).await
}

async fn bounded<T>(hdfs: &Hdfs, call: impl Future<Output = Result<T, NativeError>>) -> Result<T, Failure> {
    match timeout(hdfs.cluster.timeout(), call).await {
        Ok(answer) => answer.map_err(Failure::Hdfs),
        Err(_) => Err(Failure::Silence),
    }
}

/// The bytes at an offset; empty at the end.
async fn read_chunk(file: &Arc<File>, at: u64, shown: &Path) -> Result<Bytes, OutputError> {
    let file = Arc::clone(file);
    let read = tokio::task::spawn_blocking(move || {
        let mut buffer = vec![0; CHUNK];
        let n = loop {
            match file.read_at(&mut buffer, at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        buffer.truncate(n);
        Ok(Bytes::from(buffer))
    });
    read.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(local_error("read", shown))
}

impl From<HdfsError> for Failure {
    fn from(error: HdfsError) -> Self {
        Self::Output(error.into())
    }
}
