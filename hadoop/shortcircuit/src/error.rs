//! Why a replica is not had as descriptors: on which block, over which socket, and what to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::meta::MetaError;
use crate::wire::Status;

/// A local replica could not be opened. The block can still be read over the network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Short-circuit reads are switched off.
    #[error(
        "short-circuit reads are off; set dfs.client.read.shortcircuit to true and dfs.domain.socket.path as on the DataNode"
    )]
    Off,
    /// A domain socket's path has an end.
    #[error(
        "the domain socket path {} has {} bytes, the system allows 107; shorten dfs.domain.socket.path on the DataNode and here",
        path.display(), path.as_os_str().len()
    )]
    PathTooLong {
        /// The path, with its port.
        path: PathBuf,
    },
    /// No DataNode listens there.
    #[error(
        "cannot connect to the DataNode's domain socket {}: {source}; is the DataNode local and running, and dfs.domain.socket.path the same on both sides?",
        path.display()
    )]
    Connect {
        /// The socket's path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// This DataNode has failed just now and is left alone for a while.
    #[error(
        "the DataNode at {} is not asked again for {} s, since {cause}",
        path.display(), left.as_secs().max(1)
    )]
    Resting {
        /// The socket's path.
        path: PathBuf,
        /// For how long still.
        left: Duration,
        /// What had gone wrong.
        cause: String,
        /// What had gone wrong, in one word.
        reason: Reason,
    },
    /// `ERROR_ACCESS_TOKEN`.
    #[error(
        "the DataNode at {} does not accept the token for {block}: {message}; ask the NameNode for the block's location again",
        path.display()
    )]
    Token {
        /// The block.
        block: String,
        /// The socket's path.
        path: PathBuf,
        /// The DataNode's words.
        message: String,
    },
    /// `ERROR_UNSUPPORTED`.
    #[error(
        "the DataNode at {} passes no descriptors: {message}; see dfs.client.read.shortcircuit in its configuration",
        path.display()
    )]
    Unsupported {
        /// The socket's path.
        path: PathBuf,
        /// The DataNode's words.
        message: String,
    },
    /// Any other status but success.
    #[error("the DataNode at {} refuses {block} ({status:?}): {message}", path.display())]
    Refused {
        /// The block.
        block: String,
        /// The socket's path.
        path: PathBuf,
        /// What it answered.
        status: Status,
        /// The DataNode's words.
        message: String,
    },
    /// The exchange broke off.
    #[error("cannot {action} for {block} at the DataNode's socket {}: {source}", path.display())]
    Exchange {
        /// What was being done.
        action: &'static str,
        /// The block.
        block: String,
        /// The socket's path.
        path: PathBuf,
        /// What went wrong.
        source: Fault,
    },
    /// The descriptors came and are not what they should be.
    #[error("the local replica of {block} cannot be used: {source}")]
    Replica {
        /// The block.
        block: String,
        /// What is wrong.
        source: ReplicaError,
    },
    /// The thread that gives slots back could not be started.
    #[error("cannot start the thread that gives slots back: {source}; raise the limit of processes")]
    Thread {
        /// Why.
        source: io::Error,
    },
}

/// What went wrong between us and a socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The deadline came first.
    #[error("no answer within {:.1} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The other side ended the connection.
    #[error("the DataNode closed the connection")]
    Closed,
    /// The system said no.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A length that no reply has.
    #[error("a reply of {0} bytes, more than any DataNode sends")]
    TooLong(u64),
    /// The reply is no such message.
    #[error("the reply is malformed: {0}")]
    Malformed(String),
    /// The reply's version is not ours.
    #[error("block files of format {0}, only 1 is known")]
    Version(u32),
    /// Too few, too many.
    #[error("{got} descriptors came, {wanted} were expected")]
    Descriptors {
        /// How many came (at least).
        got: usize,
        /// How many it should be.
        wanted: usize,
    },
    /// A descriptor of the shared-memory segment that is none.
    #[error("the shared-memory segment is unusable: {0}")]
    Segment(&'static str),
}

/// What is wrong with a pair of descriptors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplicaError {
    /// A pipe, a socket, a folder.
    #[error("the {file} file's descriptor is no regular file")]
    NotRegular {
        /// `block` or `meta`.
        file: &'static str,
    },
    /// Open for writing.
    #[error("the {file} file's descriptor is not open for reading only")]
    NotReadOnly {
        /// `block` or `meta`.
        file: &'static str,
    },
    /// One file given twice.
    #[error("both descriptors are of one file")]
    SameFile,
    /// The file is shorter than the block.
    #[error("the block file has {have} bytes of the block's {want}; it was truncated")]
    Short {
        /// How long it is.
        have: u64,
        /// How long it must be.
        want: u64,
    },
    /// The meta file.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// Looking at a descriptor failed.
    #[error("cannot look at the {file} file: {source}")]
    Io {
        /// `block` or `meta`.
        file: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// An [`OpenError`] in one word, to count by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// Switched off, or no path configured.
    Off,
    /// Nobody listens at the socket.
    NoSocket,
    /// The token was not accepted.
    Token,
    /// The DataNode passes no descriptors.
    Unsupported,
    /// Refused for another reason.
    Refused,
    /// No answer in time.
    TimedOut,
    /// The exchange broke off or made no sense.
    Broken,
    /// The files are not as they should be.
    Unusable,
}

impl Reason {
    /// The word, as reports have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::NoSocket => "no-socket",
            Self::Token => "token",
            Self::Unsupported => "unsupported",
            Self::Refused => "refused",
            Self::TimedOut => "timed-out",
            Self::Broken => "broken",
            Self::Unusable => "unusable",
        }
    }
}

impl OpenError {
    /// The error in one word.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Off => Reason::Off,
            // A full backlog makes a connect wait as a read does.
            Self::Connect { source, .. } if source.kind() == io::ErrorKind::TimedOut => Reason::TimedOut,
            Self::Connect { .. } | Self::PathTooLong { .. } => Reason::NoSocket,
            Self::Resting { reason, .. } => *reason,
            Self::Token { .. } => Reason::Token,
            Self::Unsupported { .. } => Reason::Unsupported,
            Self::Refused { .. } => Reason::Refused,
            Self::Exchange { source: Fault::TimedOut(_), .. } => Reason::TimedOut,
            Self::Exchange { .. } | Self::Thread { .. } => Reason::Broken,
            Self::Replica { .. } => Reason::Unusable,
        }
    }
}
