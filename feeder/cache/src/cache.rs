//! A cache as one process has it.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::error::CacheError;
use crate::figures::CacheFigures;
use crate::filler::Filler;
use crate::folder::Folder;
use crate::key::{self, BlockKey, Extent, Part};
use crate::pool::Pool;
use crate::writer::{Job, Writer};

/// Between two looks at whether whoever waits has given up.
const GLANCE: Duration = Duration::from_millis(50);

/// A cache. Whatever happens to it, it gives nothing at worst. May be used from several threads.
#[derive(Debug)]
pub struct Cache {
    /// `None`: the folder cannot be used.
    shared: Option<Arc<Shared>>,
    /// Why not.
    refused: Option<CacheError>,
    writer: OnceLock<Option<Writer>>,
}

/// An entry, open.
#[derive(Debug)]
pub struct Entry {
    /// The bytes of the stretch from its beginning on, and behind them their checksums as in a meta file.
    pub file: File,
    /// Which block.
    pub key: BlockKey,
    /// Which stretch of it.
    pub extent: Extent,
}

/// What the threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) folder: Folder,
    pub(crate) limit: u64,
    pub(crate) pool: Pool,
    filling: AtomicBool,
    /// Whether it is read.
    looking: AtomicBool,
    note: OnceLock<String>,
    hit: AtomicU64,
    stored: AtomicU64,
    skipped: AtomicU64,
    evicted: AtomicU64,
    bad: AtomicU64,
    /// Jobs that are not done.
    to_do: Mutex<u64>,
    all_done: Condvar,
}

impl Cache {
    /// Uses a folder, of which entries take at most `limit` bytes. One that cannot be used is [told](Self::note), and the cache
    /// is empty and stays so.
    pub fn new(folder: &Path, limit: u64) -> Self {
        match Folder::open(folder) {
            Ok(folder) => {
                let shared = Shared {
                    folder,
                    limit,
                    pool: Pool::default(),
                    filling: AtomicBool::new(true),
                    looking: AtomicBool::new(true),
                    note: OnceLock::new(),
                    hit: AtomicU64::new(0),
                    stored: AtomicU64::new(0),
                    skipped: AtomicU64::new(0),
                    evicted: AtomicU64::new(0),
                    bad: AtomicU64::new(0),
                    to_do: Mutex::new(0),
                    all_done: Condvar::new(),
                };
                Self { shared: Some(Arc::new(shared)), refused: None, writer: OnceLock::new() }
            }
            Err(error) => {
                tracing::warn!(%error, "no block cache");
                Self { shared: None, refused: Some(error), writer: OnceLock::new() }
            }
        }
    }

    /// Makes up a range of a block from what is kept. Blocks the thread.
    pub fn parts(&self, key: &BlockKey, range: Range<u64>) -> Vec<Part> {
        let shared = self.shared.as_ref().filter(|shared| shared.looking.load(Relaxed));
        let extents = shared.and_then(|shared| shared.looked(shared.folder.extents(key)));
        key::cover(&extents.unwrap_or_default(), range)
    }

    /// Opens an entry; `None` if it has gone in the meantime. Blocks the thread.
    pub fn entry(&self, key: &BlockKey, extent: Extent) -> Option<Entry> {
        let shared = self.shared.as_ref().filter(|shared| shared.looking.load(Relaxed))?;
        let file = shared.looked(shared.folder.entry(key, extent))??;
        Some(Entry { file, key: key.clone(), extent })
    }

    /// What takes a copy of `[.., end)` of a block, whose checksums are of `chunk` bytes each, while it goes by. `header` is
    /// what stands between an entry's bytes and their checksums. `None` where nothing can be kept.
    pub fn filler(&self, key: BlockKey, header: Vec<u8>, chunk: u64, end: u64) -> Option<Filler> {
        if !self.shared.as_ref()?.is_filling() {
            return None;
        }
        Filler::new(self.writer()?.clone(), key, header, chunk, end)
    }

    /// So many bytes of an entry were delivered.
    pub fn hit(&self, bytes: u64) {
        if let Some(shared) = &self.shared {
            shared.hit.fetch_add(bytes, Relaxed);
        }
    }

    /// An entry does not match its checksums, or is none: it is counted, and dropped if it has not been replaced meanwhile.
    /// Does not wait.
    pub fn is_bad(&self, entry: &Entry) {
        let Some(shared) = &self.shared else { return };
        let Entry { file, key, extent } = entry;
        shared.bad.fetch_add(1, Relaxed);
        tracing::warn!(?key, ?extent, folder = %shared.folder.path().display(), "dropping a bad cache entry");
        let Ok(of) = file.metadata() else { return };
        if let Some(writer) = self.writer() {
            writer.send(Job::Remove { key: key.clone(), extent: *extent, of: (of.dev(), of.ino()) });
        }
    }

    /// Looking into the folder takes too long: it is not done any more, and nothing is kept either.
    pub fn does_not_answer(&self) {
        if let Some(shared) = &self.shared {
            shared.looking.store(false, Relaxed);
            shared.fail("the folder does not answer");
        }
    }

    /// Waits until all that was handed over is written, for at most `patience`, and not where the folder does not answer or once
    /// `is_given_up` says so: whether it is.
    pub fn finish(&self, patience: Duration, mut is_given_up: impl FnMut() -> bool) -> bool {
        let Some(shared) = &self.shared else { return true };
        let deadline = Instant::now() + patience;
        let mut to_do = shared.to_do.lock().unwrap_or_else(PoisonError::into_inner);
        while *to_do > 0 && shared.looking.load(Relaxed) && Instant::now() < deadline && !is_given_up() {
            let wait = shared.all_done.wait_timeout(to_do, GLANCE);
            (to_do, _) = wait.unwrap_or_else(PoisonError::into_inner);
        }
        if *to_do > 0 {
            shared.fail(&format!("it takes long to write, {} left out", count(*to_do)));
        }
        *to_do == 0
    }

    /// What this process has had of it.
    pub fn figures(&self) -> CacheFigures {
        let Some(shared) = &self.shared else { return CacheFigures::default() };
        CacheFigures {
            hit_bytes: shared.hit.load(Relaxed),
            stored_bytes: shared.stored.load(Relaxed),
            skipped_bytes: shared.skipped.load(Relaxed),
            evicted_bytes: shared.evicted.load(Relaxed),
            bad_entries: shared.bad.load(Relaxed),
        }
    }

    /// Why it is not used, or not any more, if so.
    pub fn note(&self) -> Option<String> {
        match (&self.refused, &self.shared) {
            (Some(error), _) => Some(format!("no block cache: {error}")),
            (None, Some(shared)) => shared.note.get().cloned(),
            (None, None) => None,
        }
    }

    fn writer(&self) -> Option<&Writer> {
        let shared = self.shared.as_ref()?;
        let start = || {
            let started = Writer::start(shared);
            started.inspect_err(|error| shared.fail(&format!("no thread for it: {error}"))).ok()
        };
        self.writer.get_or_init(start).as_ref()
    }
}

fn count(entries: u64) -> String {
    format!("{entries} {}", if entries == 1 { "entry is" } else { "entries are" })
}

impl Shared {
    pub(crate) fn is_filling(&self) -> bool {
        self.filling.load(Relaxed)
    }

    /// Nothing is written any more. Only the first reason is told.
    fn fail(&self, why: &str) {
        self.filling.store(false, Relaxed);
        let path = self.folder.path().display();
        tracing::warn!(folder = %path, why, "nothing more is kept in the block cache");
        let _ = self.note.set(format!("nothing more is kept in the block cache {path}: {why}"));
    }

    /// What came of writing; `None` if it failed, which ends the filling.
    pub(crate) fn worked<T>(&self, result: std::io::Result<T>) -> Option<T> {
        result.inspect_err(|error| self.fail(&error.to_string())).ok()
    }

    /// What came of reading; `None` if it failed.
    fn looked<T>(&self, result: std::io::Result<T>) -> Option<T> {
        let tell = |error: &std::io::Error| {
            let path = self.folder.path().display();
            tracing::warn!(folder = %path, %error, "cannot read from the block cache");
            let _ = self.note.set(format!("cannot read from the block cache {path}: {error}"));
        };
        result.inspect_err(tell).ok()
    }

    pub(crate) fn stored(&self, bytes: u64) {
        self.stored.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn skipped(&self, bytes: u64) {
        self.skipped.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn evicted(&self, bytes: u64) {
        self.evicted.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn is_to_do(&self) {
        *self.to_do.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }

    pub(crate) fn is_done(&self) {
        *self.to_do.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.all_done.notify_all();
    }
}
