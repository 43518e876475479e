//! Stretches of blocks that the cache of this host has, and how it gets them.
//!
//! An entry is a replica of a stretch: it is verified and delivered in the same way as one that a DataNode has passed. What comes
//! over the network is shown to the cache once it was compared with its checksums; the copy is written by a thread of the cache's.
//!
//! HDFS counts blocks and generations up in each namespace, so a namespace that was copied or set back gives the same numbers to
//! other bytes. An entry's name has the cluster's, too, which tells a copy from what it is a copy of.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use forebay_cache::{BlockKey, Cache, Entry, Extent, Filler, Part};
use forebay_hadoop::namenode::LocatedBlock;
use forebay_remote::{Stream, Witness};
use forebay_shortcircuit::{ChecksumType, MetaHeader, ReplicaFiles, read_verified};

use super::place::{LONGEST_CHUNK, LocalBlock};

/// How long the cache's folder may take to answer before the feed goes on without it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The cache as one cluster has it.
#[derive(Debug, Clone)]
pub(crate) struct ClusterCache {
    cache: Arc<Cache>,
    /// In the manner of a file's name.
    cluster: String,
}

impl ClusterCache {
    pub(crate) fn new(cache: Arc<Cache>, authority: &str) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        Self { cache, cluster: authority.chars().map(plain).collect() }
    }

    fn key(&self, located: &LocatedBlock) -> Option<BlockKey> {
        let block = &located.block;
        BlockKey::new(&format!("{}_{}", self.cluster, block.pool), block.id, block.generation, block.len)
    }
}

/// What this host has of a block.
#[derive(Debug, Clone)]
pub(crate) enum Here {
    /// A DataNode's replica of all of it.
    Replica(Box<LocalBlock>),
    /// A stretch of it.
    Cached(Arc<CachedBlock>),
}

impl Here {
    pub(crate) fn files(&self) -> ReplicaFiles<'_> {
        match self {
            Self::Replica(block) => block.files(),
            Self::Cached(block) => block.files(),
        }
    }

    /// Whether the files may still be used.
    pub(crate) fn is_valid(&self) -> bool {
        match self {
            Self::Replica(block) => block.replica.is_valid(),
            // Bytes with this block's checksums are this block's.
            Self::Cached(_) => true,
        }
    }

    /// Offset in the block of the files' first byte.
    pub(crate) fn start(&self) -> u64 {
        match self {
            Self::Replica(_) => 0,
            Self::Cached(block) => block.entry.extent.from,
        }
    }

    pub(crate) fn located(&self) -> &LocatedBlock {
        match self {
            Self::Replica(block) => &block.located,
            Self::Cached(block) => &block.located,
        }
    }
}

/// An entry of the cache, and the block that it is of.
#[derive(Debug)]
pub(crate) struct CachedBlock {
    cache: Arc<Cache>,
    entry: Entry,
    header: MetaHeader,
    located: LocatedBlock,
}

impl CachedBlock {
    /// Blocks the thread. `None` if it has gone, or is no such entry.
    fn open(kept: &ClusterCache, located: &LocatedBlock, extent: Extent) -> Option<Self> {
        let cache = &kept.cache;
        let entry = cache.entry(&kept.key(located)?, extent)?;
        let Some(header) = header(&entry, located) else {
            cache.is_bad(&entry);
            return None;
        };
        Some(Self { cache: Arc::clone(cache), entry, header, located: located.clone() })
    }

    fn files(&self) -> ReplicaFiles<'_> {
        let len = self.entry.extent.len();
        let (file, header) = (&self.entry.file, self.header);
        ReplicaFiles { block: file, meta: file, meta_at: len, header, len }
    }

    /// It does not match its checksums, or cannot be read.
    pub(crate) fn is_bad(&self) {
        self.cache.is_bad(&self.entry);
    }

    /// So many bytes of it were delivered.
    pub(crate) fn was_delivered(&self, bytes: u64) {
        self.cache.hit(bytes);
    }

    /// Reads a part of the block that lies in it. Blocks the thread.
    fn read(&self, bytes: Range<u64>) -> Option<Vec<u8>> {
        let mut out = vec![0; usize::try_from(bytes.end - bytes.start).ok()?];
        let at = bytes.start - self.entry.extent.from;
        let read = read_verified(self.files(), at, &mut out, true);
        read.inspect_err(|_| self.is_bad()).ok().map(|()| out)
    }
}

/// The header behind an entry's bytes; `None` if that is no entry of this block.
fn header(entry: &Entry, located: &LocatedBlock) -> Option<MetaHeader> {
    let Extent { from, to } = entry.extent;
    let header = MetaHeader::read_at(&entry.file, to - from, to - from).ok()?;
    let chunk = u64::from(header.bytes_per_checksum);
    let len = entry.file.metadata().ok()?.len();
    let is_one = header.checksum != ChecksumType::Null
        && header.bytes_per_checksum <= LONGEST_CHUNK
        && from.is_multiple_of(chunk)
        && (to.is_multiple_of(chunk) || to == located.block.len)
        && to <= located.block.len
        && len == to - from + header.file_len(to - from);
    is_one.then_some(header)
}

/// Shows a stream of a part of a block, up to `end`, to the cache, if it has checksums.
pub(super) fn keep(cache: &ClusterCache, located: &LocatedBlock, end: u64, stream: &mut Stream) {
    if !stream.is_checked() {
        return;
    }
    let header = stream.header();
    let chunk = u64::from(header.bytes_per_checksum);
    let key = cache.key(located);
    let filler = key.and_then(|key| cache.cache.filler(key, header.to_bytes().to_vec(), chunk, end));
    if let Some(filler) = filler {
        stream.show_to(Box::new(Keeper(filler)));
    }
}

#[derive(Debug)]
struct Keeper(Filler);

impl Witness for Keeper {
    fn seen(&mut self, at: u64, bytes: &[u8], sums: &[u8]) {
        self.0.seen(at, bytes, sums);
    }
}

/// Makes up a part of a block from what is kept.
pub(super) async fn parts(cache: &ClusterCache, located: &LocatedBlock, bytes: Range<u64>) -> Vec<Part> {
    let Some(key) = cache.key(located) else { return vec![Part::Missing(bytes)] };
    let (range, all) = (bytes.clone(), Part::Missing(bytes));
    asked(cache, move |kept| Some(kept.cache.parts(&key, range))).await.unwrap_or_else(|| vec![all])
}

/// Opens an entry.
pub(super) async fn open(
    cache: &ClusterCache,
    located: &LocatedBlock,
    extent: Extent,
) -> Option<Arc<CachedBlock>> {
    let located = located.clone();
    asked(cache, move |cache| CachedBlock::open(cache, &located, extent)).await.map(Arc::new)
}

/// Reads a part of a block, if all of it is kept.
pub(super) async fn read(cache: &ClusterCache, located: &LocatedBlock, bytes: Range<u64>) -> Option<Vec<u8>> {
    let (key, located) = (cache.key(located)?, located.clone());
    let read = move |cache: &ClusterCache| {
        let mut all = Vec::new();
        for part in cache.cache.parts(&key, bytes) {
            let Part::Kept(extent, bytes) = part else { return None };
            all.extend(CachedBlock::open(cache, &located, extent)?.read(bytes)?);
        }
        Some(all)
    };
    asked(cache, read).await
}

/// Has the folder looked at on another thread, and does without it if that takes too long.
async fn asked<T: Send + 'static>(
    cache: &ClusterCache,
    look: impl FnOnce(&ClusterCache) -> Option<T> + Send + 'static,
) -> Option<T> {
    let own = cache.clone();
    let looking = tokio::task::spawn_blocking(move || look(&own));
    let Ok(found) = tokio::time::timeout(PATIENCE, looking).await else {
        cache.cache.does_not_answer();
        return None;
    };
    found.ok().flatten()
}
