//! Hadoop's block form, in which `SnappyCodec` and `Lz4Codec` write: each block is the length that it decodes to, then
//! chunks until that is reached, each behind its own length. All lengths are four bytes, the highest first.
//!
//! There is no mark of the form at its beginning and none at its end, and no checksum. An empty block, which Hadoop writes
//! at the end of some files, is passed over; Hadoop itself takes it for the end, whatever follows. Two in a row are what a file
//! holds that was lost to zeros.

use core::ops::ControlFlow;

use crate::Reason;
use crate::decoder::{Fault, Steps};
use crate::gather::{Block, Gather};

const LENGTH: usize = 4;
/// Most bytes of a chunk, encoded or decoded: what Hadoop's codecs write is 256 KiB unless configured otherwise.
const MOST: usize = 16 << 20;

/// A codec of single blocks.
pub(crate) trait RawBlock {
    /// Decodes a chunk into `out`, which is empty; to at most `most` bytes.
    fn decode(&mut self, input: &[u8], most: usize, out: &mut Vec<u8>) -> Result<(), Reason>;
}

pub(crate) struct Hadoop<B> {
    codec: B,
    length: Gather,
    chunk: Gather,
    /// What is left of the block in hand, in decoded bytes; 0 between blocks.
    left: usize,
    /// Bytes of the chunk in hand; 0 before its length is known.
    want: usize,
    any: bool,
    was_empty: bool,
    block: Block,
}

impl<B: RawBlock> Hadoop<B> {
    pub(crate) fn new(codec: B) -> Self {
        let (length, chunk) = (Gather::default(), Gather::default());
        Self { codec, length, chunk, left: 0, want: 0, any: false, was_empty: false, block: Block::default() }
    }

    /// A length is there: a block's, or a chunk's.
    fn length(&mut self) -> Result<(), Reason> {
        let number = self.length.be32();
        self.length.clear();
        let len = usize::try_from(number).unwrap_or(usize::MAX);
        if self.left == 0 {
            if i32::try_from(number).is_err() {
                return Err(self.strange(Reason::damaged("a block of a negative length")));
            }
            if len == 0 && self.was_empty {
                return Err(self.strange(Reason::damaged("two blocks of no bytes in a row")));
            }
            self.was_empty = len == 0;
            self.left = len;
            return Ok(());
        }
        if len == 0 {
            return Err(self.strange(Reason::damaged("a chunk of no bytes")));
        }
        if len > MOST {
            return Err(self.strange(Reason::TooLong {
                what: "a chunk",
                len: number.into(),
                most: MOST as u64,
            }));
        }
        self.want = len;
        Ok(())
    }

    /// What is wrong in the first chunk says that the file is no such file at all.
    fn strange(&self, reason: Reason) -> Reason {
        if self.any { reason } else { Reason::NotThis { found: None } }
    }

    fn decode(&mut self) -> Result<(), Reason> {
        let most = self.left.min(MOST);
        let decoded = self.codec.decode(self.chunk.bytes(), most, &mut self.block.bytes);
        decoded.map_err(|reason| self.strange(reason))?;
        self.chunk.clear();
        self.left -= self.block.bytes.len().min(self.left);
        (self.want, self.any) = (0, true);
        Ok(())
    }
}

impl<B: RawBlock> Steps for Hadoop<B> {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, Fault> {
        if let ControlFlow::Break(step) = self.block.comes_first(input, out) {
            return Ok(step);
        }
        if self.want == 0 {
            let n = self.length.take(LENGTH, input);
            if self.length.len() == LENGTH {
                self.length()?;
            }
            return Ok(Some(n));
        }
        let n = self.chunk.take(self.want, input);
        if self.chunk.len() == self.want {
            self.decode()?;
        }
        Ok(Some(n))
    }

    fn open(&self) -> Option<&'static str> {
        (self.left > 0 || self.length.len() > 0).then_some("a block")
    }
}
