//! What a process has had of a cache.

use serde::Serialize;

/// What one process has read from a cache, and put into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct CacheFigures {
    /// Bytes delivered from entries.
    pub hit_bytes: u64,
    /// Bytes of blocks that were kept as new entries.
    pub stored_bytes: u64,
    /// Bytes of blocks that went by and were not kept, since the folder takes them more slowly than they come.
    pub skipped_bytes: u64,
    /// Bytes of files removed to make room.
    pub evicted_bytes: u64,
    /// Entries that did not match their checksums, or were no entries at all. They were dropped.
    pub bad_entries: u64,
}
