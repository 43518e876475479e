//! What is wrong with a compressed file, a SequenceFile or an Avro file, and where.

use forebay_record::{HeaderError, HeaderReason};

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
    /// A codec of a SequenceFile, or of an Avro file, that is not known.
    #[error("its records are compressed by {codec}, and {known} are known; write it again with one of them")]
    UnknownCodec {
        /// The codec.
        codec: String,
        /// Those that are known.
        known: &'static str,
    },
    /// A schema that tells no record from the next.
    #[error("its schema cannot be used: {0}")]
    Schema(String),
    /// A record that would have to be held whole before its length is known.
    #[error(
        "a record has more than {most} bytes, which is the most that is held until its length is known; take the records without \
         their lengths, with --framing raw"
    )]
    LongRecord {
        /// The limit in bytes.
        most: u64,
    },
    /// A SequenceFile's keys or values that make no lines.
    #[error(
        "its {what} are of the class {class}, which are bytes and make no lines; ask for them behind their lengths, with --framing length"
    )]
    NotText {
        /// `keys`, `values`.
        what: &'static str,
        /// Their Java class.
        class: String,
    },
    /// The header of a SequenceFile, or of an Avro file.
    #[error("{0}")]
    Header(HeaderReason),
    /// A feature of the format that is not decoded.
    #[error("it needs {0}, which is not supported")]
    Unsupported(&'static str),
}

impl From<HeaderError> for DecodeError {
    fn from(HeaderError { offset, reason }: HeaderError) -> Self {
        Self { offset, reason: Reason::Header(reason) }
    }
}

impl DecodeError {
    /// Whether the file may be whole, but is of a kind that is not read, or not in the way that was asked for.
    pub fn is_refusal(&self) -> bool {
        let version = matches!(self.reason, Reason::Header(HeaderReason::Version(_)));
        let refused = matches!(
            self.reason,
            Reason::UnknownCodec { .. }
                | Reason::NotText { .. }
                | Reason::Schema(_)
                | Reason::LongRecord { .. }
        );
        version || refused
    }
}

impl Reason {
    pub(crate) fn damaged(what: &str) -> Self {
        Self::Damaged(what.to_owned())
    }
}
