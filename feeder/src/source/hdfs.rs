//! HDFS files: ranges planned ahead on other threads, handed over in order.
//!
//! A range's blocks that this host has, or stretches of them in its cache, are opened as files and handed over as such. Of the others, streams are
//! opened at their DataNodes, some of them ahead, and handed over. What no such stream can be had of is fetched
//! through `hdfs-native` in chunks, each by a read of its own, so several DataNode connections work at once. A
//! chunk is not asked for before its bytes fit the budget; the budget comes back when the chunk has been
//! delivered. So the pipe's reader, through the pipe, holds the network back.

mod cached;
mod file;
mod hedge;
mod late;
mod order;
mod place;
mod readahead;
mod streams;

use std::collections::VecDeque;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use forebay_cache::Part;
use forebay_hadoop::namenode::{LocatedBlock, Replica};
use forebay_record::Format;
use forebay_remote::ReadError;
use forebay_shortcircuit::VerifyError;
use futures_util::{StreamExt, stream};
use rustix::event::{EventfdFlags, PollFlags, eventfd};
use tokio::sync::mpsc::{self, error::TryRecvError};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

pub(crate) use self::cached::{ClusterCache, Here};
use self::file::HdfsFile;
pub(crate) use self::hedge::{Hedge, Race, Second, Won};
use self::place::LocalBlock;
pub(crate) use self::place::{Local, Remote};
pub(crate) use self::streams::{RemotePiece, Remotes};
use self::streams::{STREAMS, Turn};
use super::{Dry, Item, KnownBound, RecordRange, Task};
use crate::feed::Settings;
use crate::hdfs::Cluster;
use crate::plan::PlannedFile;
use crate::sink::{Watch, wait_for};
use crate::{HdfsError, Meter, SourceError};

/// Bytes asked for and not yet delivered, at most. With what the last packets of chunks are rounded up to,
/// all bytes in flight stay within 32 MiB.
const BUDGET: u32 = 24 << 20;
/// Bytes of one read from a DataNode.
const CHUNK: u64 = 4 << 20;
/// Files opened before they are needed, each with its locations and its first block.
const OPEN_AHEAD: usize = 16;
/// Tasks taken before they are needed: enough to keep that many files open ahead.
const TASKS_AHEAD: usize = 64;
/// Messages between planner and delivery: bounds how many small files are fetched at once.
const MESSAGES: usize = 32;
/// Messages taken from the planner before they are needed, so that what they tell of can be read ahead.
const FORESEEN: usize = 16;
/// Packets of a chunk between fetch and delivery.
const PACKETS: usize = 64;

/// Ranges fetched ahead. It is fed with tasks as long as there are any, and is over when it has none.
pub(crate) struct Ahead {
    visits: mpsc::Sender<Visit>,
    /// Tasks taken whose end has not been handed out.
    under_way: usize,
    /// The file taken last: the next task is often of the same one.
    last: Option<Arc<Opening>>,
    messages: mpsc::Receiver<Message>,
    foreseen: VecDeque<Message>,
    chunk: Option<Chunk>,
    /// A piece whose stream is being opened, and whose turn it is.
    remote: Option<Box<RemotePiece>>,
    wake: Arc<OwnedFd>,
    planner: JoinHandle<()>,
    meter: Arc<Meter>,
    /// The replica that the chunk or the stream in hand stands in for.
    corrupt: Option<Corrupt>,
}

/// A replica found corrupt.
struct Corrupt {
    block: String,
    host: String,
    /// Where in the file the first bad chunk is.
    at: u64,
}

enum Message {
    Begin(RecordRange),
    Chunk(Chunk),
    Local(LocalPiece),
    Remote(Box<RemotePiece>),
    End,
    Failed(SourceError),
}

/// Part of what this host has of a block, and the file that it is of.
pub(crate) struct LocalPiece {
    pub(crate) block: Here,
    /// Offsets in its files.
    pub(crate) bytes: Range<u64>,
    file: Arc<HdfsFile>,
    /// Whether it is compared with its checksums. What is cached always is.
    pub(crate) verify: bool,
    /// The kernel was asked for its beginning.
    asked: bool,
}

struct Chunk {
    packets: mpsc::Receiver<Result<Bytes, SourceError>>,
    left: u64,
    name: String,
    _budget: Option<OwnedSemaphorePermit>,
}

impl Ahead {
    /// Starts with a task whose file is on this cluster.
    pub(crate) fn start(
        cluster: &Arc<Cluster>,
        task: Task,
        format: &Format,
        meter: &Arc<Meter>,
        settings: &Settings,
    ) -> Result<Self, SourceError> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|e| SourceError::Hdfs(HdfsError::Runtime(e.into())))?;
        let wake = Arc::new(wake);
        let (sender, messages) = waking(MESSAGES, &wake);
        let (visits, taken) = mpsc::channel(TASKS_AHEAD);
        let run = run(taken, format.clone(), sender, Arc::clone(meter), settings.clone());
        let planner = cluster.handle().spawn(run);
        let mut ahead = Self {
            visits,
            under_way: 0,
            last: None,
            messages,
            foreseen: VecDeque::new(),
            chunk: None,
            remote: None,
            wake,
            planner,
            meter: Arc::clone(meter),
            corrupt: None,
        };
        ahead.take(task);
        Ok(ahead)
    }

    /// Whether it is to be given more tasks, if there are any.
    pub(crate) fn wants_more(&self) -> bool {
        self.under_way < TASKS_AHEAD
    }

    /// Takes a task, behind all others.
    pub(crate) fn take(&mut self, task: Task) {
        let opening = match self.last.take() {
            Some(last) if Arc::ptr_eq(&last.file, &task.file) => last,
            _ => Arc::new(Opening { file: Arc::clone(&task.file), opened: OnceCell::new() }),
        };
        self.last = Some(Arc::clone(&opening));
        self.under_way += 1;
        // There is room for all that are under way. If the planner has gone, it has said why.
        let _ = self.visits.try_send(Visit { task, opening });
    }

    /// A piece is being delivered, from `at` in its files on: has that and what follows read ahead.
    pub(crate) fn read_ahead(&mut self, piece: &mut LocalPiece, at: u64) {
        while self.foreseen.len() < FORESEEN
            && let Ok(message) = self.messages.try_recv()
        {
            self.foreseen.push_back(message);
        }
        let following = self.foreseen.iter_mut().filter_map(|message| match message {
            Message::Local(piece) => Some(piece),
            _ => None,
        });
        readahead::advance(piece, at, following);
    }

    pub(crate) fn next(&mut self, watch: &Watch) -> Result<Option<Item>, Dry> {
        loop {
            let mut look_again = None;
            if let Some(chunk) = &mut self.chunk {
                match chunk.packets.try_recv() {
                    Ok(packet) => {
                        let packet =
                            packet.map_err(|error| blame(self.corrupt.take(), &chunk.name, error))?;
                        chunk.left = chunk.left.saturating_sub(packet.len() as u64);
                        if chunk.left == 0 {
                            (self.chunk, self.corrupt) = (None, None);
                        }
                        return Ok(Some(Item::Bytes(packet)));
                    }
                    Err(TryRecvError::Disconnected) => return Err(broken(&chunk.name).into()),
                    Err(TryRecvError::Empty) => {}
                }
            } else if let Some(mut piece) = self.remote.take() {
                match piece.turn(&self.wake, &self.meter) {
                    Turn::Open(stream) if piece.is_outdated(&stream) => {
                        self.reopen(piece);
                        continue;
                    }
                    Turn::Open(stream) => return Ok(Some(Item::Remote(piece, stream))),
                    Turn::Nobody => {
                        self.fetch_rest(&piece);
                        continue;
                    }
                    Turn::Broken => return Err(broken(&piece.file.name()).into()),
                    Turn::Pending(time) => (self.remote, look_again) = (Some(piece), time),
                }
            } else if self.under_way == 0 {
                return Ok(None);
            } else {
                self.corrupt = None;
                let foreseen = self.foreseen.pop_front();
                match foreseen.map_or_else(|| self.messages.try_recv(), Ok) {
                    Ok(Message::Begin(range)) => return Ok(Some(Item::Begin(range))),
                    Ok(Message::Chunk(chunk)) => {
                        self.chunk = Some(chunk);
                        continue;
                    }
                    Ok(Message::Local(piece)) => return Ok(Some(Item::Local(piece))),
                    Ok(Message::Remote(piece)) => {
                        self.remote = Some(piece);
                        continue;
                    }
                    Ok(Message::End) => {
                        self.under_way -= 1;
                        return Ok(Some(Item::End));
                    }
                    Ok(Message::Failed(error)) => return Err(error.into()),
                    Err(TryRecvError::Disconnected) => return Err(broken("a file on HDFS").into()),
                    Err(TryRecvError::Empty) => {}
                }
            }
            wait_for(watch, &*self.wake, PollFlags::IN, look_again).map_err(Dry::Halted)?;
            let _ = rustix::io::read(&*self.wake, &mut [0; 8]);
        }
    }

    /// Gives the rest of a piece, from `at` in its files, over the network: they are not good.
    pub(crate) fn go_around(&mut self, piece: &LocalPiece, at: u64, error: &VerifyError) {
        let LocalPiece { block, bytes, file, .. } = piece;
        let (located, start) = (block.located(), block.start());
        let (reason, bad) = match block {
            Here::Replica(block) => (self.give_up(block, file, at, error), Some(block)),
            Here::Cached(block) => {
                let path = file.name();
                tracing::warn!(path, block = %located.block, at = start + at, %error, "bad cache entry");
                // What a pipe of our own does is not the entry's fault.
                if !error.is_of_a_pipe() {
                    block.is_bad();
                }
                (Remote::BadCacheEntry, None)
            }
        };
        let rest = start + at..start + bytes.end;
        if rest.is_empty() {
            return;
        }
        self.meter.remote(reason.as_str(), rest.end - rest.start);
        match file.remotes() {
            Some(remotes) => {
                let is_bad = |replica: &&Replica| bad.is_some_and(|block| block.is_at(replica));
                let tried = located.replicas.iter().filter(is_bad).map(|replica| remotes.address(replica));
                let (tried, part) = (tried.collect(), (located.clone(), rest));
                self.remote = Some(RemotePiece::start(file, remotes, part, tried, &self.wake, None));
            }
            None => self.fetch(file, located.offset + rest.start..located.offset + rest.end),
        }
    }

    /// A replica of this host is not good, from `at` on: says why, and tells whom it concerns.
    fn give_up(&mut self, block: &LocalBlock, file: &HdfsFile, at: u64, error: &VerifyError) -> Remote {
        let reason = match error {
            _ if !block.replica.is_valid() || block.has_grown() => Remote::Invalidated,
            VerifyError::Mismatch { .. } | VerifyError::Short { .. } => Remote::Corrupt,
            VerifyError::Read { .. } | VerifyError::NoRoom { .. } => Remote::ReadFailed,
        };
        let (cluster, located) = (file.cluster(), &block.located);
        cluster.local().forget(block);
        if reason == Remote::Corrupt {
            let bad = located.offset + if let VerifyError::Mismatch { at, .. } = error { *at } else { at };
            let (name, host) = (block.replica.block().to_string(), block.host.clone());
            let path = file.name();
            tracing::warn!(path, block = name, host, at = bad, %error, "corrupt replica, reading another one");
            self.corrupt = Some(Corrupt { block: name, host, at: bad });
            cluster.report_corrupt(file.path(), located.with_replicas(|replica| block.is_at(replica)));
        }
        reason
    }

    /// Has the rest of a piece, from `at` in its block, come from another DataNode, or from the same if it has only closed the
    /// connection: a worker that pauses for long makes it do so.
    pub(crate) fn lost(&mut self, piece: Box<RemotePiece>, at: u64, error: &ReadError) {
        let RemotePiece { located, bytes, file, remotes, mut tried, mut closed, permit, .. } = *piece;
        let path = file.name();
        if at >= bytes.end {
            // All of it has come, and only the word that it is all has not.
            tracing::info!(path, %error, "a read broke off behind its end");
            return;
        }
        tracing::warn!(path, %error, "a read broke off, going on");
        self.meter.resumed.fetch_add(1, Relaxed);
        if error.is_corrupt() {
            let is_at = |replica: &forebay_hadoop::namenode::Replica| remotes.address(replica) == error.host;
            file.cluster().report_corrupt(file.path(), located.with_replicas(is_at));
            let (block, host) = (error.block.clone(), error.host.clone());
            self.corrupt = Some(Corrupt { block, host, at: located.offset + error.at });
        }
        if error.is_slow() {
            // Its bytes are good, and it may be asked again when no other one is left.
            remotes.avoid(&error.host);
            self.meter.left_slow(&error.host);
        } else if error.is_closed() && (at > bytes.start || !closed) {
            closed = at == bytes.start;
        } else {
            remotes.failed(error, &mut tried);
        }
        let part = (located, at..bytes.end);
        let mut piece = RemotePiece::start(&file, &remotes, part, tried, &self.wake, permit);
        piece.closed = closed;
        self.remote = Some(piece);
    }

    /// Has a piece come from another DataNode than the one whose stream was opened ahead.
    fn reopen(&mut self, piece: Box<RemotePiece>) {
        let RemotePiece { located, bytes, file, remotes, tried, permit, .. } = *piece;
        self.remote = Some(RemotePiece::start(&file, &remotes, (located, bytes), tried, &self.wake, permit));
    }

    /// Has a piece that no DataNode gives fetched with more patience.
    fn fetch_rest(&mut self, piece: &RemotePiece) {
        let at = piece.located.offset;
        self.fetch(&piece.file, at + piece.bytes.start..at + piece.bytes.end);
    }

    /// Fetches a range of a file as the chunk in hand.
    fn fetch(&mut self, file: &Arc<HdfsFile>, range: Range<u64>) {
        let left = range.end - range.start;
        let (sender, packets) = waking(PACKETS, &self.wake);
        file.cluster().handle().spawn(Arc::clone(file).fetch(range, sender));
        self.chunk = Some(Chunk { packets, left, name: file.name(), _budget: None });
    }
}

/// The error of a read that a corrupt replica made necessary names that replica.
fn blame(corrupt: Option<Corrupt>, path: &str, error: SourceError) -> SourceError {
    match corrupt {
        None => error,
        Some(Corrupt { block, host, at }) => {
            SourceError::Corrupt { path: path.to_owned(), block, host, at, others: error.to_string() }
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
pub(crate) struct Waking<T> {
    sender: Option<mpsc::Sender<T>>,
    wake: Arc<OwnedFd>,
}

fn waking<T>(capacity: usize, wake: &Arc<OwnedFd>) -> (Waking<T>, mpsc::Receiver<T>) {
    let (sender, receiver) = mpsc::channel(capacity);
    (Waking { sender: Some(sender), wake: Arc::clone(wake) }, receiver)
}

impl<T> Waking<T> {
    /// Fails when nobody receives any more.
    pub(crate) async fn send(&self, message: T) -> Result<(), Gone> {
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
pub(crate) struct Gone;

/// A file that some tasks need, opened for the first of them.
struct Opening {
    file: Arc<PlannedFile>,
    opened: OnceCell<Arc<HdfsFile>>,
}

/// A task, and the file that it needs.
struct Visit {
    task: Task,
    opening: Arc<Opening>,
}

impl Visit {
    /// Opens the file if no task before has, and then its first block, too, while those before it are still being read:
    /// of small files there is no other.
    async fn open(self, verify: bool) -> Result<(Arc<HdfsFile>, Task), SourceError> {
        let Self { task, opening } = self;
        let open = async || {
            let file = HdfsFile::open(&opening.file, verify).await?;
            let first = task.span.start;
            if let Some((_, place)) = file.cut(first..first + 1).pop() {
                let _ = file.place(place).await;
            }
            Ok::<_, SourceError>(Arc::new(file))
        };
        let file = opening.opened.get_or_try_init(open).await.map(Arc::clone)?;
        Ok((file, task))
    }
}

/// Plans and starts the fetches of all tasks, in order.
async fn run(
    visits: mpsc::Receiver<Visit>,
    format: Format,
    messages: Waking<Message>,
    meter: Arc<Meter>,
    settings: Settings,
) {
    let Settings { verify, detect, .. } = settings;
    let visits = stream::unfold(visits, async |mut visits| visits.recv().await.map(|visit| (visit, visits)));
    let opened = visits.map(|visit| tokio::spawn(visit.open(verify))).buffered(OPEN_AHEAD);
    let mut opened = std::pin::pin!(opened);
    let budget = Arc::new(Semaphore::new(BUDGET as usize));
    let streams = Arc::new(Semaphore::new(STREAMS));
    let mut planner = Planner { format, detect, messages, budget, streams, meter, known: None };
    while let Some(visit) = opened.next().await {
        let outcome = match visit {
            Ok(Ok((file, task))) => planner.read(&file, task).await,
            Ok(Err(error)) => Err(Some(error)),
            Err(_) => Err(Some(broken("a file on HDFS"))),
        };
        match outcome {
            Ok(()) => {}
            Err(None) => return,
            Err(Some(error)) => {
                let _ = planner.messages.send(Message::Failed(error)).await;
                return;
            }
        }
    }
}

/// What all tasks share.
struct Planner {
    format: Format,
    /// First bytes may say that a file is compressed, too.
    detect: bool,
    messages: Waking<Message>,
    budget: Arc<Semaphore>,
    /// A permit for each stream that may be open.
    streams: Arc<Semaphore>,
    meter: Arc<Meter>,
    /// The last bound found, and in which file.
    known: Option<(Arc<HdfsFile>, KnownBound)>,
}

/// Why planning goes no further; `None`: nothing more is wanted.
type Over = Option<SourceError>;

impl Planner {
    /// Bounds a task, opens its local blocks and starts the fetches of the others.
    async fn read(&mut self, file: &Arc<HdfsFile>, task: Task) -> Result<(), Over> {
        let known = self.known.take().filter(|(of, _)| Arc::ptr_eq(of, file));
        let mut known = known.map_or_else(KnownBound::default, |(_, known)| known);
        let range = file.range(&self.format, self.detect, task, &mut known).await?;
        self.known = Some((Arc::clone(file), known));
        let bytes = range.bytes.clone();
        self.send(Message::Begin(range)).await?;
        // One by one: many blocks opened ahead are many descriptors, and the queue bounds them.
        for (piece, place) in file.cut(bytes) {
            let located = place.clone().ok();
            match file.place(place).await {
                Ok(block) => {
                    let at = block.located.offset;
                    let bytes = piece.start - at..piece.end - at;
                    let (verify, file) = (file.verify(), Arc::clone(file));
                    let block = Here::Replica(Box::new(block));
                    let piece = LocalPiece { block, bytes, verify, file, asked: false };
                    self.send(Message::Local(piece)).await?;
                }
                Err(reason) => self.elsewhere(file, located, piece, reason).await?,
            }
        }
        self.send(Message::End).await
    }

    /// Has a range of a block come from the cache, as far as that has it, and the rest over the network.
    async fn elsewhere(
        &self,
        file: &Arc<HdfsFile>,
        located: Option<LocatedBlock>,
        range: Range<u64>,
        reason: Remote,
    ) -> Result<(), Over> {
        let (Some(block), Some(cache)) = (&located, file.cluster().cache()) else {
            self.meter.remote(reason.as_str(), range.end - range.start);
            return self.remote(file, located, range).await;
        };
        let at = block.offset;
        for part in cached::parts(cache, block, range.start - at..range.end - at).await {
            let bytes = part.bytes();
            if let Part::Kept(extent, _) = part
                && let Some(entry) = cached::open(cache, block, extent).await
            {
                let bytes = bytes.start - extent.from..bytes.end - extent.from;
                let (block, file) = (Here::Cached(entry), Arc::clone(file));
                let piece = LocalPiece { block, bytes, verify: true, file, asked: false };
                self.send(Message::Local(piece)).await?;
            } else {
                self.meter.remote(reason.as_str(), bytes.end - bytes.start);
                self.remote(file, Some(block.clone()), at + bytes.start..at + bytes.end).await?;
            }
        }
        Ok(())
    }

    /// Starts to open the stream of a part of a block, when there may be one more; what has none is fetched.
    async fn remote(
        &self,
        file: &Arc<HdfsFile>,
        located: Option<LocatedBlock>,
        range: Range<u64>,
    ) -> Result<(), Over> {
        let (Some(located), Some(remotes)) = (located, file.remotes()) else {
            return self.fetch(file, range).await;
        };
        let permit = Arc::clone(&self.streams).acquire_owned().await.map_err(|_| None)?;
        let bytes = range.start - located.offset..range.end - located.offset;
        let (part, wake) = ((located, bytes), &self.messages.wake);
        let piece = RemotePiece::start(file, remotes, part, Vec::new(), wake, Some(permit));
        self.send(Message::Remote(piece)).await
    }

    /// Starts the fetches of a range, each when the budget has room for it.
    async fn fetch(&self, file: &Arc<HdfsFile>, range: Range<u64>) -> Result<(), Over> {
        let mut at = range.start;
        while at < range.end {
            let chunk = at..range.end.min(at + CHUNK);
            at = chunk.end;
            let left = chunk.end - chunk.start;
            let len = u32::try_from(left).unwrap_or(BUDGET).min(BUDGET);
            let permit = Arc::clone(&self.budget).acquire_many_owned(len).await.map_err(|_| None)?;
            let (sender, packets) = waking(PACKETS, &self.messages.wake);
            tokio::spawn(Arc::clone(file).fetch(chunk, sender));
            self.send(Message::Chunk(Chunk { packets, left, name: file.name(), _budget: Some(permit) }))
                .await?;
        }
        Ok(())
    }

    async fn send(&self, message: Message) -> Result<(), Over> {
        self.messages.send(message).await.map_err(|Gone| None)
    }
}
