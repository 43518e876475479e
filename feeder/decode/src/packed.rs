//! A compressed part of a file: of a SequenceFile one value, or the keys, values or lengths of a block; a block of an Avro file.

use core::fmt;

use crate::bzip2::Bzip2;
use crate::decoder::{Fault, Steps};
use crate::hadoop::Hadoop;
use crate::lz4::Lz4Block;
use crate::snappy::SnappyBlock;
use crate::zlib::{Gzip, RawDeflate, Zlib};
use crate::zstd::Zstd;
use crate::{Codec, Reason};

/// Decoded bytes held at once.
const ROOM: usize = 64 << 10;

/// The codecs, as Hadoop names their classes.
const CLASSES: [(&str, Codec); 7] = [
    ("DefaultCodec", Codec::Deflate),
    ("DeflateCodec", Codec::Deflate),
    ("GzipCodec", Codec::Gzip),
    ("BZip2Codec", Codec::Bzip2),
    ("SnappyCodec", Codec::Snappy),
    ("Lz4Codec", Codec::Lz4),
    ("ZStandardCodec", Codec::Zstd),
];

/// What parts are compressed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// As a whole file by this codec, or where Hadoop has a form of its own, in that.
    Whole(Codec),
    /// Deflate (RFC 1951), with nothing around it.
    RawDeflate,
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(codec) => codec.fmt(f),
            Self::RawDeflate => f.write_str("deflate"),
        }
    }
}

/// One part after the other, each fed in pieces.
pub(crate) struct Packed {
    packing: Packing,
    steps: Box<dyn Steps + Send>,
    /// Compressed bytes that are still to come.
    left: u64,
    /// Decoded bytes, and how many of them were used.
    bytes: Vec<u8>,
    used: usize,
}

/// What came of a step.
pub(crate) enum Step {
    /// So many compressed bytes were taken.
    Took(usize),
    /// It needs more of them.
    Wants,
    /// The part has ended, and all that it decodes to was used.
    Ended,
}

impl Packed {
    /// By a codec of Hadoop's with this class.
    pub(crate) fn of_class(class: &str) -> Result<Self, Reason> {
        let name = class.strip_prefix("org.apache.hadoop.io.compress.");
        let codec = CLASSES.iter().find(|(known, _)| Some(*known) == name).map(|(_, codec)| *codec);
        let known = "Default-, Deflate-, Gzip-, BZip2-, Snappy-, Lz4- and ZStandardCodec";
        let codec = codec.ok_or_else(|| Reason::UnknownCodec { codec: class.to_owned(), known })?;
        Self::new(Packing::Whole(codec))
    }

    pub(crate) fn new(packing: Packing) -> Result<Self, Reason> {
        let steps = steps(packing)?;
        Ok(Self { packing, steps, left: 0, bytes: Vec::with_capacity(ROOM), used: 0 })
    }

    /// Begins the next part, of so many compressed bytes.
    pub(crate) fn begin(&mut self, len: u64) -> Result<(), Reason> {
        self.left = len;
        match self.packing {
            Packing::Whole(Codec::Snappy | Codec::Lz4) => self.steps = steps(self.packing)?,
            _ if len == 0 => return Err(Reason::damaged("a compressed part of no bytes")),
            Packing::RawDeflate => self.steps = steps(self.packing)?,
            // As members, streams or frames of one file can follow each other, so can these.
            Packing::Whole(_) => {}
        }
        Ok(())
    }

    /// Decoded bytes that are to be used.
    pub(crate) fn unused(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    /// So many of them were.
    pub(crate) fn advance(&mut self, n: usize) {
        self.used += n;
    }

    /// Decodes some more. Called when all decoded bytes were used.
    pub(crate) fn step(&mut self, input: &[u8]) -> Result<Step, Fault> {
        self.bytes.clear();
        self.used = 0;
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
        let input = &input[..most];
        match self.steps.step(input, &mut self.bytes) {
            Ok(Some(n)) => {
                self.left -= n as u64;
                Ok(Step::Took(n))
            }
            Ok(None) if !input.is_empty() => Err(Reason::damaged("it cannot be decoded any further").into()),
            Ok(None) if self.left > 0 => Ok(Step::Wants),
            Ok(None) => match self.steps.open() {
                None => Ok(Step::Ended),
                Some(_) => Err(Reason::damaged("a compressed part ends too early").into()),
            },
            Err(Fault { behind, reason: Reason::NotThis { .. } | Reason::Trailing(_) }) => {
                let reason = format!("a compressed part that is not what {} writes", self.packing);
                Err(Fault { behind, reason: Reason::Damaged(reason) })
            }
            Err(fault) => Err(fault),
        }
    }
}

fn steps(packing: Packing) -> Result<Box<dyn Steps + Send>, Reason> {
    Ok(match packing {
        Packing::RawDeflate => Box::new(RawDeflate::new()),
        Packing::Whole(Codec::Gzip) => Box::new(Gzip::new()),
        Packing::Whole(Codec::Deflate) => Box::new(Zlib::new()),
        Packing::Whole(Codec::Zstd) => Box::new(Zstd::new()?),
        Packing::Whole(Codec::Bzip2) => Box::new(Bzip2::new()),
        Packing::Whole(Codec::Snappy) => Box::new(Hadoop::new(SnappyBlock::new())),
        Packing::Whole(Codec::Lz4) => Box::new(Hadoop::new(Lz4Block)),
    })
}
