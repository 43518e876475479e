//! Where records begin and end, per format: bytes in, offsets out.
//!
//! Pure: no I/O, no clock, no allocation per record. A caller that holds a file asks a [`Search`] for the
//! first record start at or after a split's offset; the search answers with the byte range it wants to see
//! next, so the same code serves blocking and asynchronous readers.

mod avro;
mod count;
mod delimiter;
mod ending;
mod format;
mod header;
mod lf;
mod seam;
mod search;
mod sequence;
mod tar;
mod tfrecord;

pub use avro::{AvroHeader, begins_avro_file, zigzag};
pub use count::Counter;
pub use delimiter::{Delimiter, DelimiterError};
pub use ending::{Ending, EndingStep};
pub use format::{Format, Terminator};
pub use header::Header;
pub use lf::LfRewriter;
pub use seam::Seam;
pub use search::{Bound, Search, Step};
pub use sequence::{
    Compression, ESCAPE, Fields, Framing, HeaderError, HeaderReason, MARKER, SequenceHeader, SequenceRecords,
    begins_sequence_file, vint, vint_len,
};
pub use tar::{Archive, Samples, TarError, TarReason, TarScan, TarStep};
pub use tfrecord::{Extent, ExtentStep, SplitPlace, TfRecordError, TfRecordStream};

/// The UTF-8 byte order mark; Hadoop's `LineRecordReader` drops it at offset 0 of a file.
pub const BOM: &[u8] = b"\xEF\xBB\xBF";
