//! What a record is: lines, raw bytes, records of a fixed length, or those of a container.

use std::num::NonZeroU64;

use crate::{Delimiter, Framing, SequenceRecords};

/// What ends a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Terminator {
    /// `\n`, `\r\n` or a lone `\r`: Hadoop's `TextInputFormat` without a delimiter of the user's.
    Any,
    /// This byte string and nothing else (`textinputformat.record.delimiter`).
    Delimiter(Delimiter),
}

/// A record format. Formats of a fixed shape need no byte of the file to bound a split; for [`Format::TfRecord`] there
/// is [`crate::Extent`] in place of [`crate::Search`], for [`Format::Tar`] [`crate::TarScan`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// Text lines by Hadoop's rule: the first split owns the lines that begin in `[0, end]`, any other
    /// split `[start, end)` those that begin in `(start, end]`; a BOM at offset 0 is no part of a record.
    Lines(Terminator),
    /// No records: a split is its own bytes.
    Bytes,
    /// Records of this many bytes; a split owns those that begin in `[start, end)`.
    Fixed(NonZeroU64),
    /// Records of Hadoop's SequenceFiles, by Hadoop's rule: a split owns what begins at a sync marker in `[start, end)`, and
    /// the first one what follows the header.
    Sequence(SequenceRecords),
    /// Records of Avro's object container files, by the rule of Avro's readers: a split owns the blocks before which a sync marker begins
    /// in `[start, end)`, the header's own included.
    Avro(Framing),
    /// Tar archives; an archive is one split, which has its entries, as [`crate::TarScan`] finds them.
    Tar,
    /// TFRecord; a split owns the records that begin in `[start, end)`, as [`crate::Extent`] finds them.
    TfRecord,
}

impl Format {
    /// The name that users give and see.
    pub fn name(&self) -> String {
        match self {
            Self::Lines(_) => "lines".into(),
            Self::Bytes => "bytes".into(),
            Self::Fixed(n) => format!("fixed:{n}"),
            Self::Sequence(_) => "sequencefile".into(),
            Self::Avro(_) => "avro".into(),
            Self::Tar => "tar".into(),
            Self::TfRecord => "tfrecord".into(),
        }
    }
}
