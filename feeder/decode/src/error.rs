//! What is wrong with a compressed file, and where.

use crate::Codec;

/// A file that cannot be decoded further. What was decoded before is good as far as its checksums have been reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {reason}")]
pub struct DecodeError {
    /// Offset in the compressed file, in bytes, of what was being decoded when it was noticed.
    pub offset: u64,
    /// What.
    pub reason: Reason,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The first bytes are of no or another format.
    #[error("it does not begin like one{}", found.map_or_else(String::new, |found| format!(", but like {found}")))]
    NotThis {
        /// What they are the first bytes of, where that can be told.
        found: Option<Codec>,
    },
    /// The file ends where it cannot.
    #[error("it ends in the middle of {0}")]
    Truncated(&'static str),
    /// What was decoded is not what was encoded.
    #[error("the {0} does not match")]
    Mismatch(&'static str),
    /// No encoder writes this.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// Something follows the last member, stream or frame that is not another one.
    #[error("what follows the last {0} is not another one")]
    Trailing(&'static str),
    /// More than any encoder makes, or than memory is given for.
    #[error("{what} of {len} bytes is announced, and at most {most} are taken")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its length in bytes.
        len: u64,
        /// The limit in bytes.
        most: u64,
    },
    /// A feature of the format that is not decoded.
    #[error("it needs {0}, which is not supported")]
    Unsupported(&'static str),
}

impl Reason {
    pub(crate) fn damaged(what: &str) -> Self {
        Self::Damaged(what.to_owned())
    }
}
