//! HDFS files through `hdfs-native`: chunks fetched ahead on other threads, handed over in order.
//!
//! A range is cut into chunks, each fetched by a read of its own, so several DataNode connections work at
//! once. A chunk is not asked for before its bytes fit the budget; the budget comes back when the chunk has
//! been delivered. So the pipe's reader, through the pipe, holds the network back.

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use forebay_record::{EndingStep, Format, Step};
use forebay_split::Span;
use futures_util::{StreamExt, stream};
use hdfs_native::HdfsError as NativeError;
use hdfs_native::file::FileReader;
use rustix::event::{EventfdFlags, PollFlags, eventfd};
use tokio::sync::mpsc::{self, error::TryRecvError};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Dry, Item, KnownBound, RecordRange, ending};
use crate::hdfs::Cluster;
use crate::plan::{Place, Plan};
use crate::sink::{Watch, wait_for};
use crate::{HdfsError, SourceError};

/// Bytes asked for and not yet delivered, at most. With what the last packets of chunks are rounded up to,
/// all bytes in flight stay within 32 MiB.
const BUDGET: u32 = 24 << 20;
/// Bytes of one read from a DataNode.
const CHUNK: u64 = 4 << 20;
/// Files opened before they are needed.
const OPEN_AHEAD: usize = 4;
/// Messages between planner and delivery: bounds how many small files are fetched at once.
const MESSAGES: usize = 48;
/// Packets of a chunk between fetch and delivery.
const PACKETS: usize = 64;

/// A run of ranges, fetched ahead.
pub(crate) struct Ahead {
    messages: mpsc::Receiver<Message>,
    chunk: Option<Chunk>,
    wake: Arc<OwnedFd>,
    planner: JoinHandle<()>,
}

enum Message {
    Begin(RecordRange),
    Chunk(Chunk),
    End,
    Failed(SourceError),
}

struct Chunk {
    packets: mpsc::Receiver<Result<Bytes, SourceError>>,
    left: u64,
    name: String,
    _budget: OwnedSemaphorePermit,
}

impl Ahead {
    pub(crate) fn start(plan: &Plan, spans: Vec<Span>) -> Result<Self, SourceError> {
        let visits = visits(plan, spans);
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|e| SourceError::Hdfs(HdfsError::Runtime(e.into())))?;
        let wake = Arc::new(wake);
        let (sender, messages) = waking(MESSAGES, &wake);
        let planner = match visits.first() {
            Some(visit) => visit.cluster.handle().clone().spawn(run(visits, plan.format().clone(), sender)),
            None => return Err(SourceError::Hdfs(HdfsError::Runtime(io::ErrorKind::NotFound.into()))),
        };
        Ok(Self { messages, chunk: None, wake, planner })
    }

    pub(crate) fn next(&mut self, watch: &Watch) -> Result<Option<Item>, Dry> {
        loop {
            if let Some(chunk) = &mut self.chunk {
                match chunk.packets.try_recv() {
                    Ok(packet) => {
                        let packet = packet?;
                        chunk.left = chunk.left.saturating_sub(packet.len() as u64);
                        if chunk.left == 0 {
                            self.chunk = None;
                        }
                        return Ok(Some(Item::Bytes(packet)));
                    }
                    Err(TryRecvError::Disconnected) => return Err(broken(&chunk.name).into()),
                    Err(TryRecvError::Empty) => {}
                }
            } else {
                match self.messages.try_recv() {
                    Ok(Message::Begin(range)) => return Ok(Some(Item::Begin(range))),
                    Ok(Message::Chunk(chunk)) => {
                        self.chunk = Some(chunk);
                        continue;
                    }
                    Ok(Message::End) => return Ok(Some(Item::End)),
                    Ok(Message::Failed(error)) => return Err(error.into()),
                    Err(TryRecvError::Disconnected) => return Ok(None),
                    Err(TryRecvError::Empty) => {}
                }
            }
            wait_for(watch, &*self.wake, PollFlags::IN, None).map_err(Dry::Halted)?;
            let _ = rustix::io::read(&*self.wake, &mut [0; 8]);
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.planner.abort();
    }
}

fn broken(name: &str) -> SourceError {
    SourceError::Hdfs(HdfsError::Broken { path: name.to_owned() })
}

/// A channel whose receiver also hears an eventfd, at each message and at the end.
struct Waking<T> {
    sender: Option<mpsc::Sender<T>>,
    wake: Arc<OwnedFd>,
}

fn waking<T>(capacity: usize, wake: &Arc<OwnedFd>) -> (Waking<T>, mpsc::Receiver<T>) {
    let (sender, receiver) = mpsc::channel(capacity);
    (Waking { sender: Some(sender), wake: Arc::clone(wake) }, receiver)
}

impl<T> Waking<T> {
    /// Fails when nobody receives any more.
    async fn send(&self, message: T) -> Result<(), Gone> {
        let sender = self.sender.as_ref().ok_or(Gone)?;
        sender.send(message).await.map_err(|_| Gone)?;
        self.ring();
        Ok(())
    }

    fn ring(&self) {
        // Fails only when the counter is full, and then it is readable.
        let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
    }
}

impl<T> Drop for Waking<T> {
    fn drop(&mut self) {
        self.sender = None;
        self.ring();
    }
}

/// The feed has ended; nothing more is wanted.
struct Gone;

/// The spans of one file that follow each other in the share.
struct Visit {
    cluster: Arc<Cluster>,
    path: String,
    len: u64,
    spans: Vec<Span>,
}

fn visits(plan: &Plan, spans: Vec<Span>) -> Vec<Visit> {
    let mut visits: Vec<Visit> = Vec::new();
    for span in spans {
        let file = &plan.files[span.file];
        let Place::Hdfs(cluster, path) = &file.place else { continue };
        match visits.last_mut() {
            Some(visit) if visit.spans[0].file == span.file => visit.spans.push(span),
            _ => visits.push(Visit {
                cluster: Arc::clone(cluster),
                path: path.clone(),
                len: file.len,
                spans: vec![span],
            }),
        }
    }
    visits
}

/// Plans and starts the fetches of all visits, in order.
async fn run(visits: Vec<Visit>, format: Format, messages: Waking<Message>) {
    let mut files =
        stream::iter(visits).map(|visit| tokio::spawn(RemoteFile::open(visit))).buffered(OPEN_AHEAD);
    let budget = Arc::new(Semaphore::new(BUDGET as usize));
    while let Some(opened) = files.next().await {
        let outcome = match opened {
            Ok(Ok((file, spans))) => read_file(&Arc::new(file), &spans, &format, &messages, &budget).await,
            Ok(Err(error)) => Err(Some(error)),
            Err(_) => Err(Some(broken("a file on HDFS"))),
        };
        match outcome {
            Ok(()) => {}
            Err(None) => return,
            Err(Some(error)) => {
                let _ = messages.send(Message::Failed(error)).await;
                return;
            }
        }
    }
}

/// Bounds each span and starts its fetches. `Err(None)`: nothing more is wanted.
async fn read_file(
    file: &Arc<RemoteFile>,
    spans: &[Span],
    format: &Format,
    messages: &Waking<Message>,
    budget: &Arc<Semaphore>,
) -> Result<(), Option<SourceError>> {
    let mut known = KnownBound::default();
    for &span in spans {
        let range = file.range(format, span, &mut known).await?;
        let bytes = range.bytes.clone();
        messages.send(Message::Begin(range)).await.map_err(|Gone| None)?;
        let mut at = bytes.start;
        while at < bytes.end {
            let chunk = at..bytes.end.min(at + CHUNK);
            at = chunk.end;
            let len = u32::try_from(chunk.end - chunk.start).unwrap_or(BUDGET).min(BUDGET);
            let permit = Arc::clone(budget).acquire_many_owned(len).await.map_err(|_| None)?;
            let (sender, packets) = waking(PACKETS, &messages.wake);
            let left = chunk.end - chunk.start;
            tokio::spawn(Arc::clone(file).fetch(chunk, sender));
            let chunk = Chunk { packets, left, name: file.name(), _budget: permit };
            messages.send(Message::Chunk(chunk)).await.map_err(|Gone| None)?;
        }
        messages.send(Message::End).await.map_err(|Gone| None)?;
    }
    Ok(())
}

struct RemoteFile {
    cluster: Arc<Cluster>,
    path: String,
    len: u64,
    reader: Mutex<Arc<FileReader>>,
}

impl RemoteFile {
    async fn open(visit: Visit) -> Result<(Self, Vec<Span>), SourceError> {
        let Visit { cluster, path, len, spans } = visit;
        let reader = Mutex::new(open(&cluster, &path, len).await?);
        Ok((Self { cluster, path, len, reader }, spans))
    }

    fn name(&self) -> String {
        self.cluster.address(&self.path)
    }

    async fn range(
        &self,
        format: &Format,
        span: Span,
        known: &mut KnownBound,
    ) -> Result<RecordRange, SourceError> {
        let start = self.bound(format, span.start, known).await?;
        let bytes = start..self.bound(format, span.end, known).await?;
        let mut append = Vec::new();
        if let Some(mut ending) = ending(format, &bytes, self.len) {
            let mut step = ending.step();
            append = loop {
                match step {
                    EndingStep::Append(bytes) => break bytes,
                    EndingStep::Read(range) => step = ending.feed(&self.read(range).await?),
                }
            };
        }
        Ok(RecordRange { span, bytes, append })
    }

    async fn bound(&self, format: &Format, at: u64, known: &mut KnownBound) -> Result<u64, SourceError> {
        if let Some(offset) = known.get(at) {
            return Ok(offset);
        }
        let mut search = known.search(format, at, self.len);
        let mut step = search.step();
        loop {
            match step {
                Step::Read(range) => step = search.feed(&self.read(range).await?),
                Step::Found(bound) => {
                    known.set(at, bound);
                    return Ok(bound.offset);
                }
            }
        }
    }

    /// Reads a short range whole.
    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        let mut patience = self.cluster.patience("read", &self.path);
        let (offset, len) = (position(range.start), position(range.end - range.start));
        loop {
            let reader = Arc::clone(&*self.reader.lock().await);
            match timeout(patience.left(), reader.read_range(offset, len)).await {
                Ok(Ok(bytes)) if bytes.len() == len => return Ok(bytes.into()),
                Ok(Ok(_)) => patience.after(short()).await?,
                Ok(Err(error)) => patience.after(error).await?,
                Err(_) => return Err(patience.give_up().into()),
            }
            self.reopen(&reader).await?;
        }
    }

    /// Sends a range packet by packet; after a failure goes on behind the last byte sent, with new locations.
    async fn fetch(self: Arc<Self>, mut range: Range<u64>, packets: Waking<Result<Bytes, SourceError>>) {
        let mut patience = self.cluster.patience("read", &self.path);
        loop {
            let reader = Arc::clone(&*self.reader.lock().await);
            let len = position(range.end - range.start);
            let mut stream = std::pin::pin!(reader.read_range_stream(position(range.start), len));
            let error = loop {
                let Ok(next) = timeout(patience.left(), stream.next()).await else {
                    let _ = packets.send(Err(patience.give_up().into())).await;
                    return;
                };
                match next {
                    Some(Ok(packet)) => {
                        range.start += packet.len() as u64;
                        if packets.send(Ok(packet)).await.is_err() {
                            return;
                        }
                        // Only now: waiting for the reader is not waiting for HDFS.
                        patience.renew();
                    }
                    Some(Err(error)) => break error,
                    None if range.is_empty() => return,
                    None => break short(),
                }
            };
            let recovered = match patience.after(error).await {
                Ok(()) => self.reopen(&reader).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = recovered {
                let _ = packets.send(Err(error)).await;
                return;
            }
        }
    }

    /// Asks the NameNode for the blocks' places anew, unless somebody else has done so since.
    async fn reopen(&self, failed: &Arc<FileReader>) -> Result<(), SourceError> {
        let mut reader = self.reader.lock().await;
        if Arc::ptr_eq(&reader, failed) {
            *reader = open(&self.cluster, &self.path, self.len).await?;
        }
        Ok(())
    }
}

async fn open(cluster: &Cluster, path: &str, planned: u64) -> Result<Arc<FileReader>, SourceError> {
    let reader = cluster.retry("open", path, async |client, path| client.read(&path).await).await?;
    let end = reader.file_length() as u64;
    if end < planned {
        return Err(SourceError::Shrank { path: cluster.address(path), planned, end });
    }
    Ok(Arc::new(reader))
}

/// The stream ended before the range did.
fn short() -> NativeError {
    NativeError::IOError(io::ErrorKind::UnexpectedEof.into())
}

/// A file offset as the client wants it.
fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
