//! Snappy: single blocks, and the framing format.

use core::ops::ControlFlow;

use crc_fast::CrcAlgorithm;
use snap::raw::{Decoder, decompress_len, max_compress_len};

use crate::Reason;
use crate::decoder::{Fault, Steps};
use crate::gather::{Block, Gather};
use crate::hadoop::RawBlock;

const IDENTIFIER: &[u8] = b"sNaPpY";
/// A chunk's type and length.
const HEADER: usize = 4;
const CHECKSUM: usize = 4;
/// Most bytes that a chunk of the framing format decodes to.
const MOST: usize = 1 << 16;

fn damaged(error: &snap::Error) -> Reason {
    Reason::Damaged(error.to_string())
}

/// Blocks by themselves, as Hadoop frames them.
pub(crate) struct SnappyBlock(Decoder);

impl SnappyBlock {
    pub(crate) fn new() -> Self {
        Self(Decoder::new())
    }
}

impl RawBlock for SnappyBlock {
    fn decode(&mut self, input: &[u8], most: usize, out: &mut Vec<u8>) -> Result<(), Reason> {
        let len = decompress_len(input).map_err(|error| damaged(&error))?;
        if len > most {
            let what = "a decoded chunk";
            return Err(Reason::TooLong { what, len: len as u64, most: most as u64 });
        }
        out.resize(len, 0);
        let n = self.0.decompress(input, out).map_err(|error| damaged(&error))?;
        out.truncate(n);
        Ok(())
    }
}

/// The framing format.
pub(crate) struct SnappyFrame {
    decoder: SnappyBlock,
    any: bool,
    header: Gather,
    chunk: Gather,
    /// What is left of a chunk that is passed over.
    skip: usize,
    block: Block,
}

impl SnappyFrame {
    pub(crate) fn new() -> Self {
        let (header, chunk) = (Gather::default(), Gather::default());
        Self { decoder: SnappyBlock::new(), any: false, header, chunk, skip: 0, block: Block::default() }
    }

    /// Whether a file with these first bytes is of the framing format. (Hadoop's form begins with a length of less than 2³¹.)
    pub(crate) fn begins(head: &[u8]) -> bool {
        head.first().is_some_and(|&first| first >= 0x80)
    }

    /// Looks at a chunk's type and length.
    fn check(&mut self, kind: u8, len: usize) -> Result<(), Reason> {
        let too_long = |what, most| Err(Reason::TooLong { what, len: len as u64, most });
        match kind {
            0xff if len == IDENTIFIER.len() => Ok(()),
            0x82 if !self.any => Err(Reason::Unsupported("snappy-java's own stream format")),
            _ if !self.any => Err(Reason::NotThis { found: None }),
            0xff => Err(Reason::damaged("a stream identifier of another length")),
            0 | 1 if len < CHECKSUM => Err(Reason::damaged("a chunk shorter than its checksum")),
            0 if len - CHECKSUM > max_compress_len(MOST) => {
                too_long("a chunk", (max_compress_len(MOST) + CHECKSUM) as u64)
            }
            1 if len - CHECKSUM > MOST => too_long("a chunk", (MOST + CHECKSUM) as u64),
            0 | 1 => Ok(()),
            0x80.. => {
                self.skip = len;
                Ok(())
            }
            _ => Err(Reason::Unsupported("a kind of chunk that may not be passed over")),
        }
    }

    /// A chunk is there.
    fn take(&mut self, kind: u8) -> Result<(), Reason> {
        let chunk = self.chunk.bytes();
        if kind == 0xff {
            if chunk != IDENTIFIER {
                let found = None;
                return Err(if self.any { Reason::Trailing("stream") } else { Reason::NotThis { found } });
            }
            self.any = true;
            return Ok(());
        }
        let (_, data) = chunk.split_at(CHECKSUM);
        let bytes = &mut self.block.bytes;
        if kind == 0 {
            self.decoder.decode(data, MOST, bytes)?;
        } else {
            bytes.extend_from_slice(data);
        }
        if masked_crc(bytes) != self.chunk.le32(0) {
            return Err(Reason::Mismatch("checksum of a chunk"));
        }
        Ok(())
    }
}

/// CRC32C as the framing format writes it.
fn masked_crc(bytes: &[u8]) -> u32 {
    let crc = u32::try_from(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes)).unwrap_or(0);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

impl Steps for SnappyFrame {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, Fault> {
        if let ControlFlow::Break(step) = self.block.comes_first(input, out) {
            return Ok(step);
        }
        if self.skip > 0 {
            let n = self.skip.min(input.len());
            self.skip -= n;
            return Ok(Some(n));
        }
        if self.header.len() < HEADER {
            let n = self.header.take(HEADER, input);
            if self.header.len() < HEADER {
                return Ok(Some(n));
            }
            let (kind, len) = (self.header.bytes()[0], self.header.le32(0) >> 8);
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            self.check(kind, len)?;
            if !matches!(kind, 0 | 1 | 0xff) {
                self.header.clear();
            }
            return Ok(Some(n));
        }
        let (kind, len) = (self.header.bytes()[0], self.header.le32(0) >> 8);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let n = self.chunk.take(len, input);
        if self.chunk.len() == len {
            self.take(kind)?;
            self.chunk.clear();
            self.header.clear();
        }
        Ok(Some(n))
    }

    fn open(&self) -> Option<&'static str> {
        (self.header.len() > 0 || self.skip > 0 || !self.any).then_some("a chunk")
    }
}
