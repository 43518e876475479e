//! Stretches of HDFS blocks kept in a local folder: least recently used ones go first, several processes of a user share it,
//! and a crash at any point leaves nothing that anybody would read.
//!
//! An [entry](Entry) is one file: the bytes of a stretch, and behind them the block's own checksums of these bytes, as in
//! Hadoop's meta files. It is written under another name, and renamed when it is whole. Nothing is synced: whoever reads an
//! entry compares it with its checksums anyway, so one that a crash of the machine has torn is found, dropped, and fetched again.
//!
//! [`Cache::parts`] and [`Cache::entry`] read, on the caller's thread. All that writes happens on a thread of the cache's own: a
//! [`Filler`] copies what it is shown into memory that is set aside, and leaves out what finds no room there. So a slow folder
//! costs what is kept, and never the feed. The first failure to write ends the filling, and is [told](Cache::note).

mod cache;
mod error;
mod figures;
mod filler;
mod folder;
mod key;
mod lru;
mod pool;
mod writer;

pub use cache::{Cache, Entry};
pub use error::CacheError;
pub use figures::CacheFigures;
pub use filler::Filler;
pub use key::{BlockKey, Extent, Part};

/// Longest stretch of a block that is kept as one entry, in bytes. Entries end where a multiple of it lies in the block.
pub const STRETCH: u64 = 8 << 20;
