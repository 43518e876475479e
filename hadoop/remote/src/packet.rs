//! The packets of one read: what each header says, and whether it may say so. Pure: bytes in, lengths out.
//!
//! A packet is 4 bytes length (of all behind the header, these 4 included), 2 bytes length of the header, the header, one
//! checksum for each chunk of the data, the data (Hadoop's `PacketReceiver`).

use forebay_hadoop::transfer::ReadOpChecksumInfoProto;
use forebay_shortcircuit::ChecksumType;
use prost::Message;

use crate::PacketFault;
use crate::wire::PacketHeaderProto;

/// The two lengths before a header.
pub(crate) const LENGTHS: usize = 6;
/// What a DataNode's header takes: all its fields have fixed lengths.
pub(crate) const USUAL_HEADER: usize = 25;
/// More than a header may have, also one with fields that are not known here.
const LONGEST_HEADER: u16 = 256;
/// `PacketReceiver.MAX_PACKET_SIZE`.
const LONGEST_PACKET: i32 = 16 << 20;
/// Bytes of a checksum.
pub(crate) const CHECKSUM_LEN: u64 = 4;
/// The longest chunk that is read: all of it must have come before any of it can be checked.
pub(crate) const LONGEST_CHUNK: u32 = 256 << 10;
/// The shortest one that is read: the checksums of the longest packet, which come before its data, then take 1 MiB.
pub(crate) const SHORTEST_CHUNK: u32 = 64;

/// What the packets of a read must be like, and how far they are.
#[derive(Debug, Clone)]
pub(crate) struct Packets {
    checksum: ChecksumType,
    chunk: u64,
    /// Where the next packet begins, and its number.
    next: u64,
    seqno: i64,
    /// Offsets of what was asked for, and of the end of its last chunk.
    end: u64,
    limit: u64,
}

/// What a packet holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet {
    /// Bytes of checksums, then of data; none of either in the last packet.
    pub(crate) sums: usize,
    pub(crate) data: usize,
    pub(crate) last: bool,
}

/// How the packets are laid out, in the DataNode's words.
#[derive(Debug)]
pub(crate) enum Layout {
    Known(Packets),
    /// Possible, and not read here.
    Unsupported(String),
}

impl Packets {
    /// Of the answer to a request for `[start, end)` of a block.
    pub(crate) fn announced(
        info: &ReadOpChecksumInfoProto,
        start: u64,
        end: u64,
    ) -> Result<Layout, PacketFault> {
        let (chunk, from) = (info.checksum.bytes_per_checksum, info.chunk_offset);
        let checksum = match info.checksum.kind {
            0 => ChecksumType::Null,
            1 => ChecksumType::Crc32,
            2 => ChecksumType::Crc32c,
            other => return Ok(Layout::Unsupported(format!("checksums of type {other} are not known"))),
        };
        let wrong = PacketFault::Layout { chunk, from, wanted: start };
        if chunk == 0 || chunk > i32::MAX.cast_unsigned() {
            return Err(wrong);
        }
        let shortest = if checksum == ChecksumType::Null { 1 } else { SHORTEST_CHUNK };
        if !(shortest..=LONGEST_CHUNK).contains(&chunk) {
            return Ok(Layout::Unsupported(format!(
                "chunks of {chunk} bytes per checksum are not read here, only of {shortest} to {LONGEST_CHUNK}"
            )));
        }
        let chunk = u64::from(chunk);
        if !from.is_multiple_of(chunk) || from > start || start - from >= chunk {
            return Err(wrong);
        }
        let limit = end.checked_next_multiple_of(chunk).ok_or(wrong)?;
        Ok(Layout::Known(Self { checksum, chunk, next: from, seqno: 0, end, limit }))
    }

    pub(crate) fn checksum(&self) -> ChecksumType {
        self.checksum
    }

    /// Bytes per checksum.
    pub(crate) fn chunk(&self) -> u64 {
        self.chunk
    }

    /// Where the next packet begins.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The most bytes that can still come.
    pub(crate) fn left(&self) -> u64 {
        self.limit.saturating_sub(self.next)
    }

    /// Bytes of the checksums of so many bytes of data.
    pub(crate) fn sums(&self, data: u64) -> u64 {
        if self.checksum == ChecksumType::Null { 0 } else { data.div_ceil(self.chunk) * CHECKSUM_LEN }
    }

    /// How long a header is with its two lengths; `None` while too little of it is there to tell.
    pub(crate) fn header_len(bytes: &[u8]) -> Result<Option<usize>, PacketFault> {
        let Some(&[.., high, low]) = bytes.first_chunk::<LENGTHS>() else { return Ok(None) };
        let header = u16::from_be_bytes([high, low]);
        if header > LONGEST_HEADER {
            return Err(PacketFault::HeaderLength(header));
        }
        Ok(Some(LENGTHS + usize::from(header)))
    }

    /// What the packet holds whose header, with its lengths, this is.
    pub(crate) fn read(&self, header: &[u8]) -> Result<Packet, PacketFault> {
        let Some((&[a, b, c, d, _, _], message)) = header.split_first_chunk::<LENGTHS>() else {
            return Err(PacketFault::Header);
        };
        let len = i32::from_be_bytes([a, b, c, d]);
        if !(4..=LONGEST_PACKET).contains(&len) {
            return Err(PacketFault::Length(len));
        }
        let header = PacketHeaderProto::decode(message).map_err(|_| PacketFault::Header)?;
        if header.seqno != self.seqno {
            return Err(PacketFault::Sequence(header.seqno, self.seqno));
        }
        if u64::try_from(header.offset_in_block) != Ok(self.next) {
            return Err(PacketFault::Offset(header.offset_in_block, self.next));
        }
        let data = u64::try_from(header.data_len)
            .ok()
            .filter(|data| (*data == 0) == header.last)
            .ok_or(PacketFault::Last(header.data_len.into(), header.last))?;
        let sums = self.sums(data);
        let (have, want) = (u64::from(len.cast_unsigned()) - 4, sums + data);
        if have != want {
            return Err(PacketFault::Parts { have, data, want });
        }
        let end = self.next + data;
        if header.last && end < self.end {
            return Err(PacketFault::Early(end, self.end));
        }
        // Behind the end of what was asked for nothing begins.
        if end > self.limit || (!header.last && self.next >= self.end) {
            return Err(PacketFault::Beyond(end, self.limit));
        }
        if !end.is_multiple_of(self.chunk) && end < self.end {
            return Err(PacketFault::Cut(end));
        }
        // Neither is longer than a packet.
        let [sums, data] = [sums, data].map(|len| usize::try_from(len).unwrap_or(usize::MAX));
        Ok(Packet { sums, data, last: header.last })
    }

    /// Goes on behind a packet that was [read](Self::read).
    pub(crate) fn pass(&mut self, packet: Packet) {
        self.next += packet.data as u64;
        self.seqno += 1;
    }
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
