//! gzip members and zlib streams, one or more to a file, and deflate streams with nothing around them.

use crc_fast::{CrcAlgorithm, Digest};
use flate2::{Decompress, FlushDecompress, Status};

use crate::Reason;
use crate::decoder::{Fault, Steps};
use crate::gather::Gather;

const FHCRC: u8 = 1 << 1;
const FEXTRA: u8 = 1 << 2;
const FNAME: u8 = 1 << 3;
const FCOMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// RFC 1952.
pub(crate) struct Gzip {
    state: Part,
    /// A member was read to its end.
    any: bool,
    gather: Gather,
    /// Of the header's bytes, while it is read; then of the decoded ones.
    crc: Digest,
    /// Bytes that the member has decoded to, as it counts them.
    len: u32,
    inflate: Decompress,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    /// The ten bytes that every header has.
    Fixed,
    /// The flags of what is still to come of the header.
    Extra(u8),
    ExtraBytes(u8, u16),
    Text(u8),
    HeaderCrc,
    Body,
    Trailer,
}

fn crc32() -> Digest {
    Digest::new(CrcAlgorithm::Crc32IsoHdlc)
}

fn crc32_value(digest: &Digest) -> u32 {
    u32::try_from(digest.finalize()).unwrap_or(0)
}

impl Gzip {
    pub(crate) fn new() -> Self {
        let inflate = Decompress::new(false);
        Self { state: Part::Fixed, any: false, gather: Gather::default(), crc: crc32(), len: 0, inflate }
    }

    /// Gathers a part of the header; whether it is there.
    fn header(&mut self, len: usize, input: &[u8]) -> (usize, bool) {
        let n = self.gather.take(len, input);
        self.crc.update(&input[..n]);
        (n, self.gather.len() == len)
    }

    /// Where the header goes on with these flags left.
    fn next(&mut self, flags: u8) -> Part {
        self.gather.clear();
        match flags {
            _ if flags & FEXTRA != 0 => Part::Extra(flags & !FEXTRA),
            _ if flags & (FNAME | FCOMMENT) != 0 => Part::Text(flags),
            _ if flags & FHCRC != 0 => Part::HeaderCrc,
            _ => {
                self.inflate.reset(false);
                (self.crc, self.len) = (crc32(), 0);
                Part::Body
            }
        }
    }

    fn fixed(&mut self, input: &[u8]) -> Result<usize, Fault> {
        let (n, whole) = self.header(10, input);
        let known = [0x1f, 0x8b, 8];
        let seen = self.gather.len().min(known.len());
        if self.gather.bytes()[..seen] != known[..seen] {
            let reason = if self.any { Reason::Trailing("member") } else { Reason::NotThis { found: None } };
            return Err(reason.into());
        }
        if whole {
            let flags = self.gather.bytes()[3];
            if flags & RESERVED != 0 {
                return Err(Reason::damaged("its header has unknown flags").into());
            }
            self.state = self.next(flags);
        }
        Ok(n)
    }

    fn text(&mut self, flags: u8, input: &[u8]) -> usize {
        let end = input.iter().position(|&byte| byte == 0);
        let n = end.map_or(input.len(), |at| at + 1);
        self.crc.update(&input[..n]);
        if end.is_some() {
            let done = if flags & FNAME != 0 { FNAME } else { FCOMMENT };
            self.state = self.next(flags & !done);
        }
        n
    }

    fn trailer(&mut self, input: &[u8]) -> Result<usize, Fault> {
        let n = self.gather.take(8, input);
        if self.gather.len() == 8 {
            if self.gather.le32(0) != crc32_value(&self.crc) {
                return Err(Reason::Mismatch("checksum of a member").into());
            }
            if self.gather.le32(4) != self.len {
                return Err(Reason::Mismatch("length of a member").into());
            }
            self.gather.clear();
            (self.state, self.any, self.crc) = (Part::Fixed, true, crc32());
        }
        Ok(n)
    }
}

impl Steps for Gzip {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, Fault> {
        if input.is_empty() && !matches!(self.state, Part::Body) {
            return Ok(None);
        }
        let n = match self.state {
            Part::Fixed => self.fixed(input)?,
            Part::Extra(flags) => {
                let (n, whole) = self.header(2, input);
                if whole {
                    let len = u16::from_le_bytes([self.gather.bytes()[0], self.gather.bytes()[1]]);
                    self.gather.clear();
                    self.state = if len > 0 { Part::ExtraBytes(flags, len) } else { self.next(flags) };
                }
                n
            }
            Part::ExtraBytes(flags, left) => {
                let n = input.len().min(left.into());
                self.crc.update(&input[..n]);
                let left = left - u16::try_from(n).unwrap_or(left);
                self.state = if left > 0 { Part::ExtraBytes(flags, left) } else { self.next(flags) };
                n
            }
            Part::Text(flags) => self.text(flags, input),
            Part::HeaderCrc => {
                let n = self.gather.take(2, input);
                if let &[low, high] = self.gather.bytes() {
                    if u32::from(u16::from_le_bytes([low, high])) != crc32_value(&self.crc) & 0xffff {
                        return Err(Reason::Mismatch("checksum of a member's header").into());
                    }
                    self.state = self.next(0);
                }
                n
            }
            Part::Body => {
                let before = out.len();
                let Some((n, at_end)) = inflate(&mut self.inflate, input, out)? else { return Ok(None) };
                self.crc.update(&out[before..]);
                // It counts modulo 2³².
                self.len = self.len.wrapping_add(u32::try_from(out.len() - before).unwrap_or(0));
                if at_end {
                    self.gather.clear();
                    self.state = Part::Trailer;
                }
                n
            }
            Part::Trailer => self.trailer(input)?,
        };
        Ok(Some(n))
    }

    fn open(&self) -> Option<&'static str> {
        match self.state {
            Part::Fixed if self.any && self.gather.len() == 0 => None,
            Part::Body => Some("a member"),
            Part::Trailer => Some("a member's trailer"),
            _ => Some("a member's header"),
        }
    }
}

/// RFC 1950.
pub(crate) struct Zlib {
    /// The header's two bytes, looked at before they go on.
    header: Gather,
    /// How many of them have gone on.
    given: usize,
    is_open: bool,
    any: bool,
    inflate: Decompress,
}

impl Zlib {
    const HEADER: usize = 2;

    pub(crate) fn new() -> Self {
        let inflate = Decompress::new(true);
        Self { header: Gather::default(), given: 0, is_open: false, any: false, inflate }
    }

    fn check_header(&self) -> Result<(), Fault> {
        let &[method, flags] = self.header.bytes() else { return Ok(()) };
        let is_right =
            method & 0x0f == 8 && method >> 4 <= 7 && u16::from_be_bytes([method, flags]).is_multiple_of(31);
        match (is_right, self.any) {
            (true, _) if flags & 0x20 != 0 => Err(Reason::Unsupported("a preset dictionary").into()),
            (true, _) => Ok(()),
            (false, true) => Err(Reason::Trailing("stream").into()),
            (false, false) => Err(Reason::NotThis { found: None }.into()),
        }
    }
}

impl Steps for Zlib {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, Fault> {
        if !self.is_open {
            if input.is_empty() {
                return Ok(None);
            }
            let n = self.header.take(Self::HEADER, input);
            if self.header.len() == Self::HEADER {
                self.check_header()?;
                self.inflate.reset(true);
                (self.is_open, self.given) = (true, 0);
            }
            return Ok(Some(n));
        }
        let from_header = self.given < self.header.len();
        let input = if from_header { &self.header.bytes()[self.given..] } else { input };
        let Some((n, at_end)) = inflate(&mut self.inflate, input, out)? else { return Ok(None) };
        if at_end {
            self.header.clear();
            (self.is_open, self.any, self.given) = (false, true, 0);
        } else if from_header {
            self.given += n;
            return Ok(Some(0));
        }
        Ok(Some(n))
    }

    fn open(&self) -> Option<&'static str> {
        let is_between = !self.is_open && self.header.len() == 0;
        (!is_between || !self.any).then_some("a stream")
    }
}

/// RFC 1951, one stream.
pub(crate) struct RawDeflate {
    inflate: Decompress,
    /// Behind its end, how many bytes have followed.
    behind: Option<usize>,
}

impl RawDeflate {
    /// Some writers make a zlib stream and cut off its header, but not its checksum, or not all of that.
    const CHECKSUM: usize = 4;

    pub(crate) fn new() -> Self {
        Self { inflate: Decompress::new(false), behind: None }
    }
}

impl Steps for RawDeflate {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, Fault> {
        if let Some(behind) = &mut self.behind {
            if input.is_empty() {
                return Ok(None);
            }
            *behind += input.len();
            if *behind > Self::CHECKSUM {
                return Err(Reason::Trailing("stream").into());
            }
            return Ok(Some(input.len()));
        }
        let Some((n, at_end)) = inflate(&mut self.inflate, input, out)? else { return Ok(None) };
        self.behind = at_end.then_some(0);
        Ok(Some(n))
    }

    fn open(&self) -> Option<&'static str> {
        self.behind.is_none().then_some("a stream")
    }
}

/// Inflates into `out`'s capacity: bytes taken, and whether the stream is at its end. `None`: it came no further.
fn inflate(
    inflate: &mut Decompress,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<Option<(usize, bool)>, Fault> {
    let (before, given) = (inflate.total_in(), out.len());
    let result = inflate.decompress_vec(input, out, FlushDecompress::None);
    let taken = usize::try_from(inflate.total_in() - before).unwrap_or(0);
    match result {
        Ok(Status::StreamEnd) => Ok(Some((taken, true))),
        Ok(Status::Ok | Status::BufError) if taken == 0 && out.len() == given => Ok(None),
        Ok(Status::Ok | Status::BufError) => Ok(Some((taken, false))),
        Err(error) => {
            let reason = Reason::damaged(error.message().unwrap_or("its deflated data is invalid"));
            Err(Fault { behind: taken, reason })
        }
    }
}
