//! Avro's object container files: blocks of records, each block compressed by itself and ended by the file's sync marker.
//!
//! It begins at a block. What stands in one is walked over by the schema, so that each record's end is known; records are passed on as
//! they come, or held until their length is known where that has to stand before them.

mod schema;
mod walk;

use core::ops::ControlFlow;
use std::sync::Arc;

use crc_fast::CrcAlgorithm;
use forebay_record::{AvroHeader, Framing, MARKER, zigzag};

pub use self::schema::AvroSchema;
use self::walk::Walk;
use crate::decoder::{Fault, Steps};
use crate::gather::{Block, Gather};
use crate::hadoop::RawBlock;
use crate::packed::{Packed, Packing, Step};
use crate::snappy::SnappyBlock;
use crate::{Codec, Reason};

/// Most bytes that are held of a record whose length is not known yet, or of a block that can be decoded only as a whole.
const MOST_HELD: usize = if cfg!(fuzzing) { 1 << 20 } else { 64 << 20 };

/// Bytes of the length before a record.
const LENGTH: usize = 4;
/// Bytes of the checksum behind a block that snappy has made.
const CHECKSUM: usize = 4;

pub(crate) struct Avro {
    marker: [u8; MARKER],
    framing: Framing,
    unpacking: Unpacking,
    gather: Gather,
    walk: Walk,
    /// What goes out before anything else.
    ahead: Block,
    /// The record in hand, behind room for its length, where that has to come first and the record has come in parts.
    held: Vec<u8>,
    /// Records that are left of the block in hand.
    records: u64,
    part: Part,
}

/// How blocks are decoded.
enum Unpacking {
    Nothing,
    Streamed(Packed),
    Snappy(Snappy),
}

/// A block as a whole.
struct Snappy {
    decoder: SnappyBlock,
    /// What it has decoded to, and how many bytes of that were used.
    bytes: Vec<u8>,
    used: usize,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The number of a block's records.
    Count,
    /// The number of its bytes, as they are stored.
    Size,
    /// So many bytes that are records.
    Plain(u64),
    /// Bytes that are decoded as they come.
    Streamed,
    /// A block of so many bytes that is decoded as a whole.
    Whole(usize),
    /// Bytes of it that are decoded.
    Decoded,
    Marker,
}

impl Avro {
    pub(crate) fn new(
        header: &AvroHeader,
        schema: Arc<AvroSchema>,
        framing: Framing,
    ) -> Result<Self, Reason> {
        let streamed = |packing| Packed::new(packing).map(Unpacking::Streamed);
        let unpacking = match &*header.codec {
            "null" => Unpacking::Nothing,
            "deflate" => streamed(Packing::RawDeflate)?,
            "bzip2" => streamed(Packing::Whole(Codec::Bzip2))?,
            "zstandard" => streamed(Packing::Whole(Codec::Zstd))?,
            "snappy" => Unpacking::Snappy(Snappy { decoder: SnappyBlock::new(), bytes: Vec::new(), used: 0 }),
            codec => {
                let known = "null, deflate, snappy, bzip2 and zstandard";
                return Err(Reason::UnknownCodec { codec: codec.to_owned(), known });
            }
        };
        Ok(Self {
            marker: header.marker,
            framing,
            unpacking,
            gather: Gather::default(),
            walk: Walk::new(schema),
            ahead: Block::default(),
            held: Vec::new(),
            records: 0,
            part: Part::Count,
        })
    }

    /// Gathers a number that may not be negative.
    fn number(&mut self, input: &[u8], what: &'static str) -> Result<(usize, Option<u64>), Reason> {
        let mut n = 0;
        while self.gather.bytes().last().is_none_or(|&byte| byte >= 0x80) {
            if self.gather.len() == zigzag::MOST {
                return Err(Reason::damaged("a number of too many bytes"));
            }
            match self.gather.take(self.gather.len() + 1, &input[n..]) {
                0 => return Ok((n, None)),
                taken => n += taken,
            }
        }
        let number = u64::try_from(zigzag::number(self.gather.bytes())).map_err(|_| Reason::damaged(what))?;
        self.gather.clear();
        Ok((n, Some(number)))
    }

    /// A block of so many bytes begins.
    fn begin_block(&mut self, size: u64) -> Result<Part, Reason> {
        match &mut self.unpacking {
            Unpacking::Nothing => Ok(Part::Plain(size)),
            Unpacking::Streamed(packed) => packed.begin(size).map(|()| Part::Streamed),
            Unpacking::Snappy(_) => match usize::try_from(size) {
                Ok(len) if len < CHECKSUM => Err(Reason::damaged("a block shorter than its checksum")),
                Ok(len) if len <= MOST_HELD => Ok(Part::Whole(len)),
                _ => Err(Reason::TooLong { what: "a block", len: size, most: MOST_HELD as u64 }),
            },
        }
    }

    /// All of a block was passed on.
    fn end_block(&self) -> Result<Part, Reason> {
        match self.records {
            _ if self.walk.is_inside() => Err(Reason::damaged("a block that ends in the middle of a record")),
            0 => Ok(Part::Marker),
            _ => Err(Reason::damaged("a block with fewer records than it says")),
        }
    }

    /// Decodes a block that is there as a whole.
    fn unpack(&mut self) -> Result<(), Reason> {
        let Unpacking::Snappy(snappy) = &mut self.unpacking else { return Ok(()) };
        let (bytes, crc) = self.gather.bytes().split_at(self.gather.len().saturating_sub(CHECKSUM));
        snappy.bytes.clear();
        snappy.used = 0;
        snappy.decoder.decode(bytes, MOST_HELD, &mut snappy.bytes)?;
        let sum = crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, &snappy.bytes);
        if crc.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)) != sum {
            return Err(Reason::Mismatch("checksum of a block"));
        }
        self.gather.clear();
        Ok(())
    }

    /// Passes on decoded bytes, of which there are some. How many.
    fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Reason> {
        let room = out.capacity() - out.len();
        let bytes = if self.framing == Framing::Raw { &bytes[..bytes.len().min(room)] } else { bytes };
        let mut used = 0;
        while used < bytes.len() && self.ahead.bytes.is_empty() {
            if self.records == 0 {
                return Err(Reason::damaged("a block with more bytes than its records have"));
            }
            let (n, ends) = self.walk.over(&bytes[used..])?;
            self.records -= u64::from(ends);
            if self.framing == Framing::Length {
                self.hold(&bytes[used..used + n], ends, out)?;
            }
            used += n;
        }
        if self.framing == Framing::Raw {
            out.extend_from_slice(&bytes[..used]);
        }
        Ok(used)
    }

    /// Bytes of a record, to be passed on behind their length.
    fn hold(&mut self, bytes: &[u8], ends: bool, out: &mut Vec<u8>) -> Result<(), Reason> {
        let len = self.held.len().saturating_sub(LENGTH) + bytes.len();
        if len > MOST_HELD {
            return Err(Reason::LongRecord { most: MOST_HELD as u64 });
        }
        let length = u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
        if ends && self.held.is_empty() {
            let fits = out.capacity() - out.len() >= LENGTH + len;
            let to = if fits { out } else { &mut self.ahead.bytes };
            to.extend_from_slice(&length);
            to.extend_from_slice(bytes);
            return Ok(());
        }
        if self.held.is_empty() {
            self.held.extend_from_slice(&[0; LENGTH]);
        }
        self.held.extend_from_slice(bytes);
        if ends {
            self.held[..LENGTH].copy_from_slice(&length);
            // It may be long, and is not copied.
            std::mem::swap(&mut self.ahead.bytes, &mut self.held);
            self.held.clear();
        }
        Ok(())
    }

    /// A step in a block that is decoded as it comes: what was taken, and whether it has ended. `None`: it needs more input.
    fn streamed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<(usize, bool)>, Fault> {
        let unpacking = std::mem::replace(&mut self.unpacking, Unpacking::Nothing);
        let Unpacking::Streamed(mut packed) = unpacking else {
            return Err(Reason::damaged("no codec").into());
        };
        let result = if packed.unused().is_empty() {
            packed.step(input).map(|step| match step {
                Step::Took(n) => Some((n, false)),
                Step::Wants => None,
                Step::Ended => Some((0, true)),
            })
        } else {
            self.pass(packed.unused(), out).map_err(Fault::from).map(|used| {
                packed.advance(used);
                Some((0, false))
            })
        };
        self.unpacking = Unpacking::Streamed(packed);
        result
    }

    /// Passes on bytes of a block that is decoded as a whole; whether there were any left.
    fn decoded(&mut self, out: &mut Vec<u8>) -> Result<bool, Reason> {
        let unpacking = std::mem::replace(&mut self.unpacking, Unpacking::Nothing);
        let Unpacking::Snappy(mut snappy) = unpacking else { return Ok(false) };
        let rest = &snappy.bytes[snappy.used..];
        let is_any = !rest.is_empty();
        let result = if is_any { self.pass(rest, out) } else { Ok(0) };
        if let Ok(used) = result {
            snappy.used += used;
        }
        self.unpacking = Unpacking::Snappy(snappy);
        result.map(|_| is_any)
    }
}

impl Steps for Avro {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, Fault> {
        // Decoded bytes may wait, and so it goes on where there is no input, too.
        if let ControlFlow::Break(Some(n)) = self.ahead.comes_first(input, out) {
            return Ok(Some(n));
        }
        let (n, next) = match self.part {
            Part::Count | Part::Size | Part::Marker | Part::Whole(_) if input.is_empty() => return Ok(None),
            Part::Count => match self.number(input, "a block of a negative number of records")? {
                (n, None) => (n, Part::Count),
                (n, Some(records)) => {
                    self.records = records;
                    (n, Part::Size)
                }
            },
            Part::Size => match self.number(input, "a block of a negative size")? {
                (n, None) => (n, Part::Size),
                (n, Some(size)) => (n, self.begin_block(size)?),
            },
            Part::Plain(0) => (0, self.end_block()?),
            Part::Plain(_) if input.is_empty() => return Ok(None),
            Part::Plain(left) => {
                let most = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                let n = self.pass(&input[..most], out)?;
                (n, Part::Plain(left - n as u64))
            }
            Part::Streamed => match self.streamed(input, out)? {
                None => return Ok(None),
                Some((n, false)) => (n, Part::Streamed),
                Some((n, true)) => (n, self.end_block()?),
            },
            Part::Whole(len) => {
                let n = self.gather.take(len, input);
                if self.gather.len() < len {
                    (n, Part::Whole(len))
                } else {
                    self.unpack()?;
                    (n, Part::Decoded)
                }
            }
            Part::Decoded => {
                let is_any = self.decoded(out)?;
                (0, if is_any { Part::Decoded } else { self.end_block()? })
            }
            Part::Marker => {
                let n = self.gather.take(MARKER, input);
                if self.gather.len() < MARKER {
                    (n, Part::Marker)
                } else if self.gather.bytes() == self.marker {
                    self.gather.clear();
                    (n, Part::Count)
                } else {
                    return Err(Reason::Mismatch("sync marker").into());
                }
            }
        };
        self.part = next;
        Ok(Some(n))
    }

    fn open(&self) -> Option<&'static str> {
        match self.part {
            Part::Count if self.gather.len() == 0 => None,
            Part::Marker => Some("a sync marker"),
            _ => Some("a block"),
        }
    }
}
