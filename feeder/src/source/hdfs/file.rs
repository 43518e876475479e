//! A file on HDFS: opened, bounded, and read by whatever way its blocks allow.

use std::io;
use std::ops::Range;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use forebay_decode::Codec;
use forebay_hadoop::namenode::LocatedBlock;
use forebay_record::{Archive, EndingStep, ExtentStep, Format, Step, TarScan, TarStep};
use forebay_remote::Stream;
use forebay_shortcircuit::{Reason, read_verified};
use futures_util::StreamExt;
use hdfs_native::HdfsError as NativeError;
use hdfs_native::file::FileReader;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::timeout;

use super::Waking;
use super::cached;
use super::place::{LocalBlock, Places, Remote};
use super::streams::{Asked, Remotes};
use crate::hdfs::Cluster;
use crate::plan::{Place, PlannedFile};
use crate::source::{KnownBound, RecordRange, Task, ending};
use crate::{HdfsError, SourceError, codec};

/// A read of so many bytes takes about as long as asking a DataNode once more.
const GAP: u64 = 1 << 20;

/// An open file.
pub(crate) struct HdfsFile {
    cluster: Arc<Cluster>,
    path: String,
    len: u64,
    /// Replaced when its tokens have expired.
    places: std::sync::Mutex<Arc<Places>>,
    reader: Mutex<Option<Arc<FileReader>>>,
    /// Reads from DataNodes, where that is possible.
    remotes: Option<Arc<Remotes>>,
    verify: bool,
    /// Its first bytes, once they were looked at.
    head: OnceCell<Vec<u8>>,
}

impl HdfsFile {
    pub(super) async fn open(planned: &PlannedFile, verify: bool) -> Result<Self, SourceError> {
        let Place::Hdfs(cluster, path) = &planned.place else {
            return Err(super::broken(&planned.name()));
        };
        let (cluster, path, len) = (Arc::clone(cluster), path.clone(), planned.len);
        let places = std::sync::Mutex::new(Arc::new(Places::nowhere(Remote::NoLocations)));
        let remotes = cluster.remotes().await;
        let (reader, head) = (Mutex::default(), OnceCell::new());
        let file = Self { cluster, path, len, places, reader, remotes, verify, head };
        let mut located = file.cluster.locations(&file.path).await;
        if located.as_ref().is_ok_and(|located| located.encryption.is_some()) {
            return Err(SourceError::Encrypted { path: file.name() });
        }
        if located.as_ref().map_or(true, |located| located.file_len < len) {
            // Opening it the other way tells what is wrong, if anything is, and waits for a last block being written.
            file.reader().await?;
            located = match located {
                Ok(_) => file.cluster.locations(&file.path).await,
                Err(reason) => Err(reason),
            };
        }
        file.set_places(located.map_or_else(Places::nowhere, Places::new));
        Ok(file)
    }

    pub(crate) fn name(&self) -> String {
        self.cluster.address(&self.path)
    }

    pub(crate) fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Reads from DataNodes, where that is possible.
    pub(super) fn remotes(&self) -> Option<&Arc<Remotes>> {
        self.remotes.as_ref()
    }

    /// Whether blocks are compared with their checksums.
    pub(super) fn verify(&self) -> bool {
        self.verify
    }

    /// Cuts a range at the borders of blocks.
    pub(super) fn cut(&self, range: Range<u64>) -> Vec<(Range<u64>, Result<LocatedBlock, Remote>)> {
        let places = self.places();
        places.cut(range).into_iter().map(|(range, place)| (range, place.cloned())).collect()
    }

    /// Opens what this host has of a block.
    pub(super) async fn place(&self, place: Result<LocatedBlock, Remote>) -> Result<LocalBlock, Remote> {
        let located = place?;
        if !self.cluster.local().is_on() {
            return Err(Remote::NotOpened(Reason::Off));
        }
        match self.cluster.local().opened(&located) {
            Some(opened) => Ok(opened),
            None => self.open_local(&located).await,
        }
    }

    /// Opens a block's replica, with a new token where the one that was given has expired.
    async fn open_local(&self, located: &LocatedBlock) -> Result<LocalBlock, Remote> {
        let places = self.places();
        let located = places.renewed(located);
        let opened = self.try_local(located).await;
        if !matches!(opened, Err(Remote::NotOpened(Reason::Token))) || places.tokens_are_refused() {
            return opened;
        }
        tracing::info!(path = self.path, block = %located.block, "asking for new block tokens");
        let renewed = Places::new(self.cluster.locations(&self.path).await?);
        let opened = self.try_local(renewed.renewed(located)).await;
        // If fresh tokens are no better, the other blocks need not ask for more.
        let refused = matches!(opened, Err(Remote::NotOpened(Reason::Token)));
        self.set_places(if refused { renewed.refuse_tokens() } else { renewed });
        opened
    }

    /// A stream of a part of a block, with a new token where the one that was given has expired. Who fails is added to `tried`.
    pub(super) async fn stream(
        &self,
        remotes: &Arc<Remotes>,
        located: &LocatedBlock,
        range: Range<u64>,
        tried: &mut Vec<String>,
    ) -> Option<Box<Stream>> {
        let places = self.places();
        let end = range.end;
        let keep = |mut stream: Box<Stream>| {
            if let Some(cache) = self.cluster.cache() {
                cached::keep(cache, located, end, &mut stream);
            }
            stream
        };
        match ask(remotes, places.renewed(located), range.clone(), self.verify, tried).await {
            Asked::Opened(stream) => return Some(keep(stream)),
            Asked::Token if !places.tokens_are_refused() => {}
            Asked::Token | Asked::Nobody => return None,
        }
        tracing::info!(path = self.path, block = %located.block, "asking for new block tokens");
        let renewed = Places::new(self.cluster.locations(&self.path).await.ok()?);
        let asked = ask(remotes, renewed.renewed(located), range, self.verify, tried).await;
        let refused = matches!(asked, Asked::Token);
        self.set_places(if refused { renewed.refuse_tokens() } else { renewed });
        if let Asked::Opened(stream) = asked { Some(keep(stream)) } else { None }
    }

    async fn try_local(&self, located: &LocatedBlock) -> Result<LocalBlock, Remote> {
        let (cluster, located) = (Arc::clone(&self.cluster), located.clone());
        let opened = tokio::task::spawn_blocking(move || cluster.local().open(&located)).await;
        opened.unwrap_or(Err(Remote::ReadFailed))
    }

    fn places(&self) -> Arc<Places> {
        Arc::clone(&self.places.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_places(&self, places: Places) {
        *self.places.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(places);
    }

    /// Reads a short range whole: verified from this host's replicas where there are any.
    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        let mut bytes = Vec::new();
        for (piece, place) in self.cut(range) {
            let located = place.clone().ok();
            let local = self.place(place).await;
            let (from, len) = (piece.start, position(piece.end - piece.start));
            let verify = self.verify;
            let read = match local {
                Ok(local) => tokio::task::spawn_blocking(move || {
                    let mut out = vec![0; len];
                    let at = from - local.located.offset;
                    read_verified(local.files(), at, &mut out, verify).ok().map(|()| out)
                })
                .await
                .ok()
                .flatten(),
                Err(_) => None,
            };
            // Whatever is wrong with the replica: it is found again, and told, when its bytes are delivered.
            match read {
                Some(read) => bytes.extend(read),
                None => bytes.extend(self.read_remote(located, piece).await?),
            }
        }
        Ok(bytes)
    }

    pub(super) async fn range(
        &self,
        format: &Format,
        detect: bool,
        task: Task,
        known: &mut KnownBound,
    ) -> Result<RecordRange, SourceError> {
        if let Some(codec) = self.codec(format, detect).await? {
            return Ok(RecordRange::of_compressed(task, codec, self.len));
        }
        if *format == Format::TfRecord {
            let bytes = self.tfrecords(&task, known).await?;
            return Ok(RecordRange::plain(task, bytes));
        }
        if *format == Format::Tar {
            return Ok(RecordRange::of_archive(task, self.archive().await?));
        }
        let span = task.span;
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
        Ok(RecordRange { coding: known.coding(format), append, ..RecordRange::plain(task, bytes) })
    }

    /// The bytes of a task's TFRecords.
    async fn tfrecords(&self, task: &Task, known: &mut KnownBound) -> Result<Range<u64>, SourceError> {
        let mut extent = known.extent(task, GAP);
        let mut step = extent.step();
        loop {
            match step {
                ExtentStep::Found(found) => {
                    known.set_extent(task, &found);
                    return Ok(found);
                }
                ExtentStep::Read(range) => {
                    let fed = extent.feed(&self.read(range).await?);
                    step = fed.map_err(|error| SourceError::of_tfrecords(self.name(), error))?;
                }
            }
        }
    }

    /// What the file is as an archive.
    async fn archive(&self) -> Result<Archive, SourceError> {
        let failed = |source| SourceError::Tar { path: self.name(), source };
        let mut scan = TarScan::new(self.len, GAP);
        let mut step = scan.step().map_err(failed)?;
        loop {
            match step {
                TarStep::Found(archive) => return Ok(archive),
                TarStep::Read(range) => step = scan.feed(&self.read(range).await?).map_err(failed)?,
            }
        }
    }

    /// How it is compressed: as its name says, or its first bytes where they may.
    async fn codec(&self, format: &Format, detect: bool) -> Result<Option<Codec>, SourceError> {
        let named = codec::by_name(format, &self.path);
        if named.is_some() || !detect || !matches!(format, Format::Lines(_)) {
            return Ok(named);
        }
        let look = async || self.read(0..self.len.min(Codec::HEAD as u64)).await;
        codec::by_head(&self.name(), format, self.head.get_or_try_init(look).await?)
    }

    /// A short range for a search: what is known already is not read again.
    async fn look(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        let known = self.head.get().and_then(|head| head.get(position(range.start)..position(range.end)));
        match known {
            Some(known) => Ok(known.to_vec()),
            None => self.read(range).await,
        }
    }

    async fn bound(&self, format: &Format, at: u64, known: &mut KnownBound) -> Result<u64, SourceError> {
        if let Some(offset) = known.get(at) {
            return Ok(offset);
        }
        let mut search = known.search(format, at, self.len);
        let mut step = search.step();
        loop {
            match step {
                Step::Read(range) => step = search.feed(&self.look(range).await?),
                Step::Found(bound) => {
                    known.set(at, bound, &search);
                    return Ok(bound.offset);
                }
                Step::Failed(error) => {
                    return Err(SourceError::of_container(self.name(), format, error.into()));
                }
            }
        }
    }

    /// Reads a short range of a block from one of its DataNodes.
    async fn read_direct(&self, located: &LocatedBlock, range: &Range<u64>) -> Option<Vec<u8>> {
        let remotes = self.remotes.as_ref()?;
        let range = range.start - located.offset..range.end - located.offset;
        let mut tried = Vec::new();
        loop {
            let mut stream = self.stream(remotes, located, range.clone(), &mut tried).await?;
            let silence = remotes.silence();
            let read = tokio::task::spawn_blocking(move || stream.read_to_end(silence)).await.ok()?;
            match read {
                Ok(bytes) => return Some(bytes),
                // A corrupt replica is found again, and told, when its bytes are delivered.
                Err(error) => remotes.failed(&error, &mut tried),
            }
        }
    }

    /// Reads a short range that no replica of this host has: from the cache, or over the network.
    async fn read_remote(
        &self,
        located: Option<LocatedBlock>,
        range: Range<u64>,
    ) -> Result<Vec<u8>, SourceError> {
        if let Some(located) = located {
            if let Some(cache) = self.cluster.cache() {
                let bytes = range.start - located.offset..range.end - located.offset;
                if let Some(bytes) = cached::read(cache, &located, bytes).await {
                    return Ok(bytes);
                }
            }
            if let Some(bytes) = self.read_direct(&located, &range).await {
                return Ok(bytes);
            }
        }
        let mut patience = self.cluster.patience("read", &self.path);
        let (offset, len) = (position(range.start), position(range.end - range.start));
        loop {
            let reader = self.reader().await?;
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
    pub(super) async fn fetch(
        self: Arc<Self>,
        mut range: Range<u64>,
        packets: Waking<Result<Bytes, SourceError>>,
    ) {
        let mut patience = self.cluster.patience("read", &self.path);
        loop {
            let reader = match self.reader().await {
                Ok(reader) => reader,
                Err(error) => {
                    let _ = packets.send(Err(error)).await;
                    return;
                }
            };
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

    /// The client's reader of the file, opened when it is first needed.
    async fn reader(&self) -> Result<Arc<FileReader>, SourceError> {
        let mut reader = self.reader.lock().await;
        if let Some(reader) = &*reader {
            return Ok(Arc::clone(reader));
        }
        let opened = open(&self.cluster, &self.path, self.len).await?;
        Ok(Arc::clone(reader.insert(opened)))
    }

    /// Asks the NameNode for the blocks' places anew, unless somebody else has done so since.
    async fn reopen(&self, failed: &Arc<FileReader>) -> Result<(), SourceError> {
        let mut reader = self.reader.lock().await;
        if reader.as_ref().is_none_or(|reader| Arc::ptr_eq(reader, failed)) {
            *reader = Some(open(&self.cluster, &self.path, self.len).await?);
        }
        Ok(())
    }
}

/// Asks the DataNodes that have a block for a part of it.
async fn ask(
    remotes: &Arc<Remotes>,
    located: &LocatedBlock,
    range: Range<u64>,
    verify: bool,
    tried: &mut Vec<String>,
) -> Asked {
    let (remotes, located, before) = (Arc::clone(remotes), located.clone(), std::mem::take(tried));
    let asked = tokio::task::spawn_blocking(move || {
        let mut tried = before;
        let asked = remotes.open(&located, range, verify, &mut tried);
        (asked, tried)
    });
    let Ok((asked, all)) = asked.await else { return Asked::Nobody };
    *tried = all;
    asked
}

/// Opens a file of at least the planned length. An append in progress hides the last block: it is waited for.
async fn open(cluster: &Cluster, path: &str, planned: u64) -> Result<Arc<FileReader>, SourceError> {
    let mut patience = cluster.patience("open", path);
    loop {
        let reader = match cluster.retry("open", path, async |client, path| client.read(&path).await).await {
            Ok(reader) => reader,
            Err(HdfsError::Refused { source: NativeError::UnsupportedFeature(_), .. }) => {
                return Err(SourceError::Encrypted { path: cluster.address(path) });
            }
            Err(error) => return Err(error.into()),
        };
        let end = reader.file_length() as u64;
        if end >= planned {
            return Ok(Arc::new(reader));
        }
        let path_said = cluster.address(path);
        if !cluster.is_being_written(path).await {
            return Err(SourceError::Shrank { path: path_said, planned, end });
        }
        if !patience.pause().await {
            return Err(SourceError::BeingWritten { path: path_said, planned, end });
        }
    }
}

/// The stream ended before the range did.
fn short() -> NativeError {
    NativeError::IOError(io::ErrorKind::UnexpectedEof.into())
}

/// A file offset as the client wants it.
fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
