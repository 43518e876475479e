//! An attempt's logs on their way to the job's history on HDFS.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_protocol::LOGS;
use forebay_store::{Address, Cluster, Clusters};
use futures_util::future::join_all;
use hdfs_native::{HdfsError as NativeError, WriteOptions};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::folder::AttemptFolder;
use crate::logs;

/// How long HDFS may be away.
const PATIENCE: Duration = Duration::from_secs(30);
/// The job's history is its user's alone.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
/// Of a longer log, the beginning and the end are kept, half of this each.
const LONGEST: u64 = 1 << 30;
/// Bytes sent at once.
const PIECE: u64 = 1 << 20;

/// What has become of one or several logs.
type Told = Result<(), String>;

/// Logs being sent.
pub(crate) struct Kept {
    to: To,
    /// The worker's own logs.
    workers: Option<mpsc::Receiver<Told>>,
    is_finished: bool,
}

#[derive(Clone)]
struct To {
    clusters: Arc<Clusters>,
    /// The job's folder.
    history: String,
    attempt: (u32, u32),
    folder: AttemptFolder,
    handle: Handle,
}

impl Kept {
    /// Begins to send what the worker has written, which nobody writes to any more, to `history/logs/<index>/<number>/`.
    pub(crate) fn begin(history: &str, attempt: (u32, u32), folder: &AttemptFolder, handle: &Handle) -> Self {
        let to = To {
            clusters: Arc::new(Clusters::new(PATIENCE, handle.clone())),
            history: history.to_owned(),
            attempt,
            folder: folder.clone(),
            handle: handle.clone(),
        };
        let workers = Some(to.send(&LOGS[..2]));
        Self { to, workers, is_finished: false }
    }

    /// Sends the agent's own log too, and waits until all is sent or the time is over. Does nothing the second time.
    pub(crate) fn finish(&mut self, limit: Duration) -> Told {
        if std::mem::replace(&mut self.is_finished, true) {
            return Ok(());
        }
        let deadline = Instant::now() + limit;
        let own = self.to.send(&LOGS[2..]);
        self.workers.take().into_iter().chain([own]).try_for_each(|sent| {
            let left = deadline.saturating_duration_since(Instant::now());
            let late = |_| format!("they could not be written in {} s", limit.as_secs());
            sent.recv_timeout(left).map_err(late)?
        })
    }
}

impl To {
    fn send(&self, names: &'static [&'static str]) -> mpsc::Receiver<Told> {
        let (sender, receiver) = mpsc::channel();
        let to = self.clone();
        self.handle.spawn(async move {
            // Nobody waits when the time is over.
            let _ = sender.send(Box::pin(to.sent(names)).await);
        });
        receiver
    }

    async fn sent(&self, names: &[&str]) -> Told {
        let shown = |error: &dyn std::fmt::Display| error.to_string();
        let Address::Hdfs { authority, path } =
            Address::parse(self.history.as_ref()).map_err(|error| shown(&error))?
        else {
            return Err(format!("{} is not on HDFS", self.history));
        };
        let cluster = self.clusters.cluster(authority.as_deref()).map_err(|error| shown(&error))?;
        let (index, number) = self.attempt;
        let room = format!("{}/logs/{index}/{number}", path.trim_end_matches('/'));
        let made =
            cluster.retry("make", &room, async |client, path| client.mkdirs(&path, FOLDER_MODE, true).await);
        Box::pin(made).await.map_err(|error| shown(&error))?;
        // Side by side: most of the time is spent waiting for the NameNode to hear of a block. One that fails takes no other with it.
        join_all(names.iter().map(|name| self.sent_one(&cluster, &room, name))).await.into_iter().collect()
    }

    async fn sent_one(&self, cluster: &Cluster, room: &str, name: &str) -> Told {
        let Some(path) = logs::path(&self.folder, name) else { return Ok(()) };
        let opened = tokio::task::spawn_blocking(move || logs::open(&path)).await;
        let opened = opened.unwrap_or_else(|error| Err(io::Error::other(error)));
        // A worker whose output goes elsewhere has none.
        let Some(file) = opened.map_err(|error| format!("{name}: {error}"))? else { return Ok(()) };
        Box::pin(put(cluster, &format!("{room}/{name}"), Arc::new(file))).await
    }
}

/// Why a try ended.
enum Trouble {
    Hdfs(NativeError),
    Local(io::Error),
    Silence,
}

/// Writes a log to HDFS; after an error, from its beginning.
async fn put(cluster: &Cluster, path: &str, file: Arc<File>) -> Told {
    let mut patience = cluster.patience("write", path);
    let unread = |error: io::Error| format!("cannot read what is to be {}: {error}", cluster.address(path));
    // What the agent itself writes meanwhile does not count.
    let len = file.metadata().map_err(unread)?.len();
    if len <= PIECE {
        let read = tokio::task::spawn_blocking(move || read(&file, 0, len)).await;
        let bytes = read.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(unread)?;
        return cluster.write(path, &bytes, &options()).await.map_err(|error| error.to_string());
    }
    let parts = Parts::of(len, LONGEST);
    loop {
        match Box::pin(try_put(cluster, path, &file, &parts)).await {
            Ok(()) => return Ok(()),
            Err(Trouble::Hdfs(error)) => patience.after(error).await.map_err(|error| error.to_string())?,
            Err(Trouble::Silence) => return Err(patience.give_up().to_string()),
            Err(Trouble::Local(error)) => return Err(unread(error)),
        }
    }
}

async fn try_put(cluster: &Cluster, path: &str, file: &Arc<File>, parts: &Parts) -> Result<(), Trouble> {
    let options = options();
    let mut writer = bounded(cluster, cluster.writing_client().create(path, &options)).await?;
    for (part, notice) in parts.0.iter().zip([None, parts.notice()]) {
        if let Some(notice) = notice {
            bounded(cluster, Box::pin(writer.write_bytes(notice))).await?;
        }
        let mut at = part.start;
        while at < part.end {
            let file = Arc::clone(file);
            let end = part.end.min(at + PIECE);
            let read = tokio::task::spawn_blocking(move || read(&file, at, end)).await;
            let bytes = read.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(Trouble::Local)?;
            if bytes.is_empty() {
                break;
            }
            at += bytes.len() as u64;
            bounded(cluster, Box::pin(writer.write_bytes(bytes))).await?;
        }
    }
    bounded(cluster, Box::pin(writer.close())).await
}

fn options() -> WriteOptions {
    WriteOptions::default().overwrite(true).permission(FILE_MODE)
}

async fn bounded<T>(
    cluster: &Cluster,
    call: impl Future<Output = Result<T, NativeError>>,
) -> Result<T, Trouble> {
    match timeout(cluster.timeout(), call).await {
        Ok(answer) => answer.map_err(Trouble::Hdfs),
        Err(_) => Err(Trouble::Silence),
    }
}

fn read(file: &File, at: u64, end: u64) -> io::Result<Bytes> {
    let mut buffer = vec![0; usize::try_from(end - at).map_err(io::Error::other)?];
    loop {
        match file.read_at(&mut buffer, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => {
                buffer.truncate(read?);
                return Ok(buffer.into());
            }
        }
    }
}

/// What of a file is kept: all, or its beginning and its end.
#[derive(Debug, PartialEq, Eq)]
struct Parts(Vec<std::ops::Range<u64>>);

impl Parts {
    fn of(len: u64, longest: u64) -> Self {
        if len <= longest {
            return Self(std::iter::once(0..len).collect());
        }
        let half = longest / 2;
        Self(vec![0..half, len - half..len])
    }

    /// The line between two parts.
    fn notice(&self) -> Option<Bytes> {
        let [head, tail] = &self.0[..] else { return None };
        let left_out = tail.start - head.end;
        Some(format!("\n[forebay: {left_out} bytes of this log are left out here]\n").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_log_both_ends_are_kept() {
        assert_eq!(Parts::of(0, 10).0.len(), 1);
        assert_eq!(Parts::of(10, 10).notice(), None);
        let parts = Parts::of(11, 10);
        assert_eq!(parts.0, [0..5, 6..11]);
        assert!(String::from_utf8_lossy(&parts.notice().unwrap()).contains(" 1 bytes "));
    }
}
