//! What can go wrong, said so that the reader knows on what, why, and what to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::server_message;

/// An address cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// An empty argument.
    #[error("an address is empty; give a path")]
    Empty,
    /// An unknown URI scheme.
    #[error(
        "cannot use {address}: the scheme {scheme}:// is not supported; use file://, hdfs:// or a bare local path"
    )]
    Scheme {
        /// The argument.
        address: String,
        /// Its scheme.
        scheme: String,
    },
    /// `file://host/…`.
    #[error("cannot use {address}: a file:// address has no host; write file:/// and an absolute path")]
    FileAuthority {
        /// The argument.
        address: String,
    },
    /// `file://` and nothing else.
    #[error("cannot use {address}: it has no path")]
    NoPath {
        /// The argument.
        address: String,
    },
    /// HDFS paths are text.
    #[error("cannot use {address}: HDFS paths are UTF-8")]
    NotUtf8 {
        /// The argument.
        address: String,
    },
}

/// An HDFS operation failed for good.
#[derive(Debug, thiserror::Error)]
pub enum HdfsError {
    /// No client could be made from the address and the configuration.
    #[error("cannot use {uri}: {source} ({origin})")]
    Client {
        /// The address.
        uri: String,
        /// Where the configuration comes from.
        origin: String,
        /// Why.
        source: hdfs_native::HdfsError,
    },
    /// The configuration cannot be used.
    #[error("cannot use the Hadoop configuration: {0}")]
    Configuration(#[from] forebay_hadoop::ConfError),
    /// `hdfs:///` without a default file system that is an HDFS.
    #[error(
        "cannot use hdfs:///, the default file system: {origin}; set HADOOP_CONF_DIR to a folder whose core-site.xml names an hdfs:// address, or write the NameNode into the path"
    )]
    NoDefault {
        /// Where the configuration comes from, or that there is none.
        origin: String,
    },
    /// The answer was clear: trying again would not help.
    #[error("cannot {action} {path}: {}", server_message(source))]
    Refused {
        /// What was asked for.
        action: &'static str,
        /// Full address of the file.
        path: String,
        /// Why.
        source: hdfs_native::HdfsError,
    },
    /// Tried again until the time was over.
    #[error("cannot {action} {path}: gave up after {} tries in {:.1} s; the last answer was: {}. Check that the NameNode and DataNodes are up and reachable", tries, waited.as_secs_f64(), last)]
    GaveUp {
        /// What was asked for.
        action: &'static str,
        /// Full address of the file, which names the NameNode or nameservice asked.
        path: String,
        /// How often.
        tries: u32,
        /// How long.
        waited: Duration,
        /// The last failure.
        last: String,
    },
    /// The NameNode does not tell where a file's blocks lie.
    #[error("cannot learn where the blocks of {path} lie: {why}")]
    Locations {
        /// Full address of the file.
        path: String,
        /// Why.
        why: String,
    },
    /// A task of the client ended without a word.
    #[error(
        "cannot read {path}: the HDFS client broke off; please report this with the log (FOREBAY_LOG=debug)"
    )]
    Broken {
        /// Full address of the file.
        path: String,
    },
    /// The tokio runtime could not be started.
    #[error("cannot start the HDFS client's threads: {0}")]
    Runtime(io::Error),
}

/// A file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Reading or writing on this machine failed.
    #[error("cannot {action} {}: {source}{}", path.display(), advice(source))]
    Local {
        /// `read`, `write`.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// HDFS said no, or nothing.
    #[error(transparent)]
    Hdfs(#[from] HdfsError),
    /// The file is another one than was planned.
    #[error(
        "cannot fetch {address}: it has {len} bytes and had {planned} when the job was planned; it must not change while the job runs"
    )]
    Changed {
        /// The file.
        address: String,
        /// Its length in bytes when planned.
        planned: u64,
        /// Its length in bytes now.
        len: u64,
    },
    /// A folder, FIFO, socket or device.
    #[error("cannot fetch {address}: it is no regular file")]
    NotAFile {
        /// What was asked for.
        address: String,
    },
    /// The caller called it off.
    #[error("fetching {address} was called off")]
    Cancelled {
        /// The file.
        address: String,
    },
}

/// What to do about a local error, where it can be said.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space there, or choose another --job-dir"
        }
        _ => "",
    }
}
