//! The header of a file that holds records in a form of its own, and what it says of where they may begin.

use std::sync::Arc;

use crate::{AvroHeader, ESCAPE, Format, HeaderError, SequenceHeader};

/// A file's header, whichever of these files it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Header {
    /// A SequenceFile's.
    Sequence(Arc<SequenceHeader>),
    /// An Avro file's.
    Avro(Arc<AvroHeader>),
}

impl From<SequenceHeader> for Header {
    fn from(header: SequenceHeader) -> Self {
        Self::Sequence(header.into())
    }
}

impl From<AvroHeader> for Header {
    fn from(header: AvroHeader) -> Self {
        Self::Avro(header.into())
    }
}

/// What stands where a split may begin.
pub(crate) struct Mark {
    pub(crate) bytes: Vec<u8>,
    /// How many of these bytes are no part of what begins.
    pub(crate) before: usize,
}

impl Header {
    /// Reads a header from a file's first bytes; `None` if there are too few of them.
    pub(crate) fn parse(format: &Format, bytes: &[u8]) -> Result<Option<Self>, HeaderError> {
        match format {
            Format::Avro(_) => AvroHeader::parse(bytes).map(|header| header.map(Self::from)),
            _ => SequenceHeader::parse(bytes).map(|header| header.map(Self::from)),
        }
    }

    /// Where it ends and records begin, in bytes.
    pub(crate) fn end(&self) -> u64 {
        match self {
            Self::Sequence(header) => header.end,
            Self::Avro(header) => header.end,
        }
    }

    /// The last offset of a split's that has what follows the header: of SequenceFiles what is written there, of Avro files
    /// where the header's own marker begins.
    pub(crate) fn owner(&self) -> u64 {
        self.end() - self.mark().before as u64
    }

    pub(crate) fn mark(&self) -> Mark {
        match self {
            Self::Sequence(header) => Mark { bytes: [&ESCAPE[..], &header.marker].concat(), before: 0 },
            // It ends a block, and as much of it as is read belongs to what it ends.
            Self::Avro(header) => Mark { bytes: header.marker.to_vec(), before: header.marker.len() },
        }
    }
}
