//! LZ4: single blocks, and the frame format.

use core::hash::Hasher;
use core::ops::ControlFlow;

use lz4_flex::block::{DecompressError, decompress_into, decompress_into_with_dict};
use twox_hash::XxHash32;

use crate::Reason;
use crate::decoder::{Fault, Steps};
use crate::gather::{Block, Gather};
use crate::hadoop::RawBlock;

const MAGIC: u32 = 0x184d_2204;
const LEGACY: u32 = 0x184c_2102;
const SKIPPABLE: core::ops::RangeInclusive<u32> = 0x184d_2a50..=0x184d_2a5f;
/// How far back a block may refer.
const WINDOW: usize = 64 << 10;
/// What a block without a length of its own is first given room for.
const FIRST: usize = 256 << 10;
const STORED: u32 = 1 << 31;

/// Blocks by themselves, as Hadoop frames them.
pub(crate) struct Lz4Block;

impl RawBlock for Lz4Block {
    fn decode(&mut self, input: &[u8], most: usize, out: &mut Vec<u8>) -> Result<(), Reason> {
        // A block does not say how long it is.
        let mut room = FIRST.min(most);
        loop {
            out.resize(room, 0);
            match decompress_into(input, out) {
                Ok(n) => {
                    out.truncate(n);
                    return Ok(());
                }
                Err(DecompressError::OutputTooSmall { .. }) if room < most => room = (room * 4).min(most),
                Err(error) => return Err(Reason::Damaged(error.to_string())),
            }
        }
    }
}

/// The frame format.
pub(crate) struct Lz4Frame {
    part: Part,
    gather: Gather,
    /// There was a frame that is no mere company of one.
    any: bool,
    frame: Frame,
    block: Block,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Magic,
    SkipLen,
    Skip(u32),
    Flags,
    /// So many bytes, the flags among them.
    Descriptor(usize),
    BlockLen,
    /// The block's length as it was written.
    Block(u32),
    Checksum,
}

/// What a frame's descriptor says, and how far the frame is.
#[derive(Default)]
struct Frame {
    is_linked: bool,
    has_block_sums: bool,
    /// Most bytes of a block.
    most: usize,
    /// Bytes that it decodes to, where that is told.
    told: Option<u64>,
    len: u64,
    /// Of what it has decoded to, where its checksum is told.
    sum: Option<XxHash32>,
    /// The last bytes before the block in hand, where it may refer to them.
    window: Vec<u8>,
}

impl Lz4Frame {
    pub(crate) fn new() -> Self {
        let (gather, frame, block) = (Gather::default(), Frame::default(), Block::default());
        Self { part: Part::Magic, gather, any: false, frame, block }
    }

    /// Whether a file with these first bytes is of the frame format, or of the one before that. (Hadoop's form begins with the
    /// length of a block, which is none of these unless somebody takes great pains.)
    pub(crate) fn begins(head: &[u8]) -> bool {
        let first = head.first_chunk().map(|first| u32::from_le_bytes(*first));
        first.is_some_and(|magic| magic == MAGIC || magic == LEGACY || SKIPPABLE.contains(&magic))
    }

    /// How many bytes the part in hand has.
    fn wanted(&self) -> usize {
        match self.part {
            Part::Skip(_) => 0,
            Part::Flags => 2,
            Part::Descriptor(len) => len,
            Part::Block(len) => {
                let sum = if self.frame.has_block_sums { 4 } else { 0 };
                usize::try_from(len & !STORED).unwrap_or(usize::MAX) + sum
            }
            Part::Magic | Part::SkipLen | Part::BlockLen | Part::Checksum => 4,
        }
    }

    /// The part in hand is there: what comes next.
    fn take(&mut self) -> Result<Part, Reason> {
        let number = self.gather.le32(0);
        match self.part {
            Part::Magic => match number {
                MAGIC => Ok(Part::Flags),
                LEGACY => Err(Reason::Unsupported("the frame format that lz4 -l writes")),
                _ if SKIPPABLE.contains(&number) => Ok(Part::SkipLen),
                _ if self.any => Err(Reason::Trailing("frame")),
                _ => Err(Reason::NotThis { found: None }),
            },
            Part::SkipLen => Ok(if number > 0 { Part::Skip(number) } else { Part::Magic }),
            Part::Flags => {
                // The length of what is told, its dictionary, and the descriptor's own checksum.
                let flags = self.gather.bytes()[0];
                Ok(Part::Descriptor(3 + usize::from(flags & 8) + 4 * usize::from(flags & 1)))
            }
            Part::Descriptor(_) => {
                self.frame.begin(self.gather.bytes())?;
                Ok(Part::BlockLen)
            }
            Part::BlockLen if number == 0 => {
                if self.frame.told.is_some_and(|told| told != self.frame.len) {
                    return Err(Reason::Mismatch("length of a frame"));
                }
                Ok(if self.frame.sum.is_some() { Part::Checksum } else { self.over() })
            }
            Part::BlockLen => {
                let len = usize::try_from(number & !STORED).unwrap_or(usize::MAX);
                if len > self.frame.most {
                    let (len, most) = (len as u64, self.frame.most as u64);
                    return Err(Reason::TooLong { what: "a block", len, most });
                }
                Ok(Part::Block(number))
            }
            Part::Block(len) => {
                self.frame.decode(len, self.gather.bytes(), &mut self.block.bytes)?;
                Ok(Part::BlockLen)
            }
            Part::Checksum => {
                if self.frame.sum.as_ref().is_some_and(|sum| sum.finish_32() != number) {
                    return Err(Reason::Mismatch("checksum of a frame"));
                }
                Ok(self.over())
            }
            Part::Skip(_) => Ok(Part::Magic),
        }
    }

    fn over(&mut self) -> Part {
        self.any = true;
        Part::Magic
    }
}

impl Frame {
    /// Reads a whole descriptor.
    fn begin(&mut self, descriptor: &[u8]) -> Result<(), Reason> {
        let Some((&[flags, sizes], _)) = descriptor.split_first_chunk() else { return Ok(()) };
        let Some((&sum, told)) = descriptor.split_last() else { return Ok(()) };
        if flags >> 6 != 1 || flags & 2 != 0 || sizes & 0x8f != 0 || sizes >> 4 < 4 {
            return Err(Reason::damaged("its descriptor is of another version"));
        }
        if XxHash32::oneshot(0, told).to_le_bytes()[1] != sum {
            return Err(Reason::Mismatch("checksum of a frame's descriptor"));
        }
        if flags & 1 != 0 {
            return Err(Reason::Unsupported("a dictionary"));
        }
        let len = told.get(2..10).and_then(|len| len.try_into().ok()).map(u64::from_le_bytes);
        self.window.clear();
        (self.is_linked, self.has_block_sums) = (flags & 0x20 == 0, flags & 0x10 != 0);
        self.most = 1 << (8 + 2 * (sizes >> 4));
        self.told = len.filter(|_| flags & 8 != 0);
        self.len = 0;
        self.sum = (flags & 4 != 0).then(|| XxHash32::with_seed(0));
        Ok(())
    }

    /// Decodes a block, with its checksum if blocks have some.
    fn decode(&mut self, len: u32, data: &[u8], out: &mut Vec<u8>) -> Result<(), Reason> {
        let (data, sum) = data.split_at(if self.has_block_sums { data.len() - 4 } else { data.len() });
        if let Ok(sum) = sum.try_into()
            && XxHash32::oneshot(0, data) != u32::from_le_bytes(sum)
        {
            return Err(Reason::Mismatch("checksum of a block"));
        }
        if len & STORED != 0 {
            out.extend_from_slice(data);
        } else {
            out.resize(self.most, 0);
            let decoded = if self.is_linked {
                decompress_into_with_dict(data, out, &self.window)
            } else {
                decompress_into(data, out)
            };
            out.truncate(decoded.map_err(|error| Reason::Damaged(error.to_string()))?);
        }
        self.len += out.len() as u64;
        if let Some(sum) = &mut self.sum {
            sum.write(out);
        }
        if self.is_linked {
            let kept = self.window.len().min(WINDOW.saturating_sub(out.len()));
            self.window.drain(..self.window.len() - kept);
            self.window.extend_from_slice(&out[out.len().saturating_sub(WINDOW)..]);
        }
        Ok(())
    }
}

impl Steps for Lz4Frame {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, Fault> {
        if let ControlFlow::Break(step) = self.block.comes_first(input, out) {
            return Ok(step);
        }
        if let Part::Skip(left) = self.part {
            let n = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
            let left = left - u32::try_from(n).unwrap_or(left);
            self.part = if left > 0 { Part::Skip(left) } else { Part::Magic };
            return Ok(Some(n));
        }
        let n = self.gather.take(self.wanted(), input);
        if self.gather.len() == self.wanted() {
            let next = self.take()?;
            // The flags are the descriptor's beginning.
            if !matches!(next, Part::Descriptor(_)) {
                self.gather.clear();
            }
            self.part = next;
        }
        Ok(Some(n))
    }

    fn open(&self) -> Option<&'static str> {
        match self.part {
            Part::Magic if self.any && self.gather.len() == 0 => None,
            Part::Block(_) => Some("a block"),
            _ => Some("a frame"),
        }
    }
}
