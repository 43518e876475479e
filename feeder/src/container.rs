//! Files that hold records in a form of their own, and have no lines; but for archives, their first bytes tell.

use core::fmt;

use forebay_record::{Format, begins_avro_file, begins_sequence_file};

/// Such a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// Hadoop's SequenceFiles.
    Sequence,
    /// Avro's object container files.
    Avro,
    /// Tar archives.
    Tar,
}

impl Container {
    /// The one that a record format reads.
    pub(crate) fn of_format(format: &Format) -> Option<Self> {
        match format {
            Format::Sequence(_) => Some(Self::Sequence),
            Format::Avro(_) => Some(Self::Avro),
            Format::Tar => Some(Self::Tar),
            Format::Lines(_) | Format::Bytes | Format::Fixed(_) | Format::TfRecord => None,
        }
    }

    /// The one that a file with these first bytes is.
    pub(crate) fn of_head(head: &[u8]) -> Option<Self> {
        match head {
            _ if begins_sequence_file(head) => Some(Self::Sequence),
            _ if begins_avro_file(head) => Some(Self::Avro),
            _ => None,
        }
    }

    /// What `--format` calls it.
    pub fn format(self) -> &'static str {
        match self {
            Self::Sequence => "sequencefile",
            Self::Avro => "avro",
            Self::Tar => "tar",
        }
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sequence => "a SequenceFile",
            Self::Avro => "an Avro file",
            Self::Tar => "a tar archive",
        })
    }
}
