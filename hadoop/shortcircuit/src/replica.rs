//! A local replica: its two files, what its checksums are like, and whether it may still be used.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Block;
use crate::meta::MetaHeader;
use crate::request::Files;
use crate::slots::Slot;

/// An open local replica. Its descriptors are closed, and its slot given back, when the last user drops it.
#[derive(Debug)]
pub struct Replica {
    block: Block,
    // Closed before the slot is given back.
    files: Files,
    slot: Option<Slot>,
    opened: Instant,
    stale_after: Duration,
}

impl Replica {
    pub(crate) fn new(block: Block, files: Files, slot: Option<Slot>, stale_after: Duration) -> Self {
        Self { block, files, slot, opened: Instant::now(), stale_after }
    }

    /// Which block it is, as it was asked for.
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// The block file, open for reading only. It had at least the block's length when it was opened.
    pub fn block_file(&self) -> &File {
        &self.files.block
    }

    /// The meta file, open for reading only. It held all of the block's checksums when it was opened.
    pub fn meta_file(&self) -> &File {
        &self.files.meta
    }

    /// The meta file's header.
    pub fn header(&self) -> MetaHeader {
        self.files.header
    }

    /// Whether the DataNode can tell us that the replica is not valid any more. If not, it counts as valid for
    /// [`Settings::stale_after`](crate::Settings::stale_after).
    pub fn has_slot(&self) -> bool {
        self.slot.is_some()
    }

    /// Whether the replica may still be used: the DataNode has not invalidated it (deleted, replaced, disk lost) and lives.
    /// A descriptor of an invalid replica still reads, but nobody says what.
    pub fn is_valid(&self) -> bool {
        self.slot.as_ref().map_or_else(|| self.opened.elapsed() < self.stale_after, Slot::is_valid)
    }

    /// Asks that the replica stays locked in memory, if the DataNode has locked it there (centralized cache); `None` if
    /// it has not. The DataNode keeps it locked while the anchor lives.
    pub fn anchor(self: &Arc<Self>) -> Option<Anchor> {
        self.slot.as_ref()?.anchor().then(|| Anchor { replica: Arc::clone(self) })
    }
}

/// Keeps a replica locked in memory.
#[derive(Debug)]
pub struct Anchor {
    replica: Arc<Replica>,
}

impl Drop for Anchor {
    fn drop(&mut self) {
        if let Some(slot) = &self.replica.slot {
            slot.unanchor();
        }
    }
}
