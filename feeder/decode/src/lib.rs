//! Compressed formats, SequenceFiles and Avro files: bytes in, bytes out.
//!
//! Pure: no I/O, no clock. A [`Decoder`] takes a file's bytes in pieces of any length and gives what they decode to, never
//! more at once than the caller has room for, so that memory is bounded whatever the file says. The codecs themselves are
//! crates; what stands around their blocks (members, frames, Hadoop's block form) is read here. Whatever is wrong is an
//! error with the offset in the file, and a file that ends too early is one, too.

mod avro;
mod bzip2;
mod codec;
mod decoder;
mod error;
mod gather;
mod hadoop;
mod lz4;
mod packed;
mod sequence;
mod snappy;
mod zlib;
mod zstd;

pub use avro::AvroSchema;
pub use codec::Codec;
pub use decoder::Decoder;
pub use error::{DecodeError, Reason};
