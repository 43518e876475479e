//! Why a folder does not serve as a cache.

use std::io;
use std::path::PathBuf;

/// A folder that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// It cannot be made or opened.
    #[error("cannot open the cache folder {path}: {source}")]
    Open {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else could have put anything into it.
    #[error("the cache folder {path} belongs to the user with the id {owner}; name a folder of your own")]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Its owner's id.
        owner: u32,
    },
    /// Somebody else could put anything into it.
    #[error(
        "others may write to the cache folder {path} (its mode is {mode:o}); take that away with chmod go-w"
    )]
    Writable {
        /// The folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}
