//! TFRecord, as TensorFlow documents it: a record is the length of its payload (8 bytes, the lowest first), the masked
//! CRC-32C of these 8 bytes, the payload, and the masked CRC-32C of the payload.
//!
//! Nothing marks a record's beginning but that its length matches its checksum. Checksums of payloads are not compared.

mod extent;

pub use extent::{Extent, ExtentStep, SplitPlace};

use memchr::memchr;

/// Bytes of a header: the length and its checksum.
pub(crate) const HEADER: usize = 12;
/// Bytes of a record beside its payload.
const FRAME: u64 = 16;

/// What is wrong with a TFRecord file. Offsets are in bytes from its beginning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TfRecordError {
    /// There is no header where one must be.
    #[error("at byte {at}: there must be a record's header, and its length does not match its checksum")]
    Header {
        /// Where.
        at: u64,
    },
    /// The file ends before a record does.
    #[error("at byte {at}: a record of {len} bytes begins there, and the file ends at byte {end}")]
    CutRecord {
        /// Where it begins.
        at: u64,
        /// Bytes of its payload.
        len: u64,
        /// The file's length.
        end: u64,
    },
    /// The file ends before a record's header does.
    #[error("at byte {at}: a record's header begins there, and the file ends at byte {end}")]
    CutHeader {
        /// Where it begins.
        at: u64,
        /// The file's length.
        end: u64,
    },
    /// No record leads to where one begins, or to the file's end.
    #[error(
        "at byte {at}: the next record from there on begins at byte {next}, and no record before ends there: one in between has lost its header"
    )]
    Lost {
        /// Where a split begins.
        at: u64,
        /// The next record.
        next: u64,
    },
    /// From some place on there is no record, and none before ends with the file.
    #[error(
        "at byte {at}: no record begins there or later, and none before ends with the file at byte {end}"
    )]
    LostEnd {
        /// Where a split begins.
        at: u64,
        /// The file's length.
        end: u64,
    },
    /// A split's records do not end where those of the next one begin.
    #[error(
        "the splits at byte {at} do not meet: the records of the one before end at byte {end}, and those of the one behind begin at byte {next}, as if a record there held more than a split of TFRecords itself"
    )]
    Apart {
        /// Where the second split begins.
        at: u64,
        /// Behind the first split's last record.
        end: u64,
        /// The second split's first record.
        next: u64,
    },
}

impl TfRecordError {
    /// Whether larger splits may mend it.
    pub fn is_of_splits(&self) -> bool {
        matches!(self, Self::Apart { .. })
    }
}

/// Tables for eight bytes at once, for the polynomial of Castagnoli with its bits reversed.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut i = 0;
    while i < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "less than 256")]
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 };
            bit += 1;
        }
        tables[0][i] = crc;
        i += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut i = 0;
        while i < 256 {
            let before: u32 = tables[table - 1][i];
            tables[table][i] = (before >> 8) ^ tables[0][(before & 0xFF) as usize];
            i += 1;
        }
        table += 1;
    }
    tables
}

/// The masked CRC-32C of a length's eight bytes.
fn masked_crc(len: u64) -> u32 {
    let bytes = (len ^ 0xFFFF_FFFF).to_le_bytes();
    let crc =
        !bytes.iter().zip(TABLES.iter().rev()).fold(0, |crc, (&byte, table)| crc ^ table[usize::from(byte)]);
    crc.rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// The payload's length in bytes, if these are a header.
pub(crate) fn header(bytes: &[u8]) -> Option<u64> {
    let (len, rest) = bytes.split_first_chunk()?;
    let len = u64::from_le_bytes(*len);
    (u32::from_le_bytes(*rest.first_chunk()?) == masked_crc(len)).then_some(len)
}

/// Where a record that begins at `at` ends; `None` behind the file's end.
fn end_of(at: u64, len: u64, file_len: u64) -> Option<u64> {
    at.checked_add(FRAME)?.checked_add(len).filter(|&end| end <= file_len)
}

/// The first place in `bytes`, which begin at `at` in the file, where a header stands whose record ends in the file; and
/// that end.
fn find(bytes: &[u8], at: u64, file_len: u64) -> Option<(usize, u64)> {
    let last = bytes.len().checked_sub(HEADER)?;
    let mut i = 0;
    while i <= last {
        // No record has 2⁵⁶ bytes: the highest byte of its length is 0, and most bytes of text and of numbers are not.
        i += memchr(0, &bytes[i + 7..=last + 7])?;
        while i <= last && bytes[i + 7] == 0 {
            let len = bytes[i..].first_chunk().map_or(u64::MAX, |len| u64::from_le_bytes(*len));
            if let Some(end) = end_of(at + i as u64, len, file_len)
                && header(&bytes[i..]) == Some(len)
            {
                return Some((i, end));
            }
            i += if len == 0 { behind_zeros(&bytes[i..]) } else { 1 };
        }
    }
    None
}

/// How far to go on where eight bytes are 0: past all headers that would be nothing but zeros.
fn behind_zeros(bytes: &[u8]) -> usize {
    let zeros = bytes.chunks_exact(16).take_while(|chunk| **chunk == [0; 16]).count() * 16;
    zeros.saturating_sub(HEADER) + 1
}

/// Whether what follows `before` is the payload of a record of eight bytes: that and its checksum look like a header. `None`
/// where more would have to be seen; `is_all`: there is no more.
fn is_payload_of_eight(before: &[u8], is_all: bool) -> Option<bool> {
    // The payload may be the number eight, and look like the header of such a record itself: then they alternate.
    let eights = before.rchunks_exact(HEADER).take_while(|bytes| header(bytes) == Some(8)).count();
    (is_all || (eights + 1) * HEADER <= before.len()).then_some(eights % 2 == 1)
}

/// The last place in `bytes`, which begin at `at` in the file, where a header stands whose record ends at `end`.
fn find_ending_at(bytes: &[u8], at: u64, end: u64) -> Option<usize> {
    let whole = end.checked_sub(at)?.checked_sub(FRAME)?;
    bytes.windows(HEADER).enumerate().rev().find_map(|(i, window)| {
        let len = window.first_chunk().map(|len| u64::from_le_bytes(*len))?;
        (whole.checked_sub(i as u64) == Some(len) && header(window).is_some()).then_some(i)
    })
}

/// Follows records through a stream that begins at a record's beginning and comes in pieces.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frames {
    held: [u8; HEADER],
    have: usize,
    /// What is left of the record in hand behind its header; 0 where that has not come whole.
    left: u64,
}

/// A header is none.
pub(crate) struct NoHeader;

impl Frames {
    /// Bytes of what ends the record in hand; `None` if all of `bytes` are taken and it goes on behind them.
    pub(crate) fn length_to_next(&mut self, bytes: &[u8]) -> Result<Option<usize>, NoHeader> {
        let mut used = 0;
        if self.left == 0 {
            used = (HEADER - self.have).min(bytes.len());
            self.held[self.have..self.have + used].copy_from_slice(&bytes[..used]);
            self.have += used;
            if self.have < HEADER {
                return Ok(None);
            }
            self.have = 0;
            let header = header(&self.held);
            // What is no header begins a record without end.
            self.left = header.map_or(u64::MAX, |len| len.saturating_add(FRAME - HEADER as u64));
            header.ok_or(NoHeader)?;
        }
        let rest = (bytes.len() - used) as u64;
        if self.left > rest {
            self.left -= rest;
            return Ok(None);
        }
        let end = used + crate::delimiter::index(self.left);
        self.left = 0;
        Ok(Some(end))
    }

    /// Bytes seen of the record in hand, if it is not whole: of its header, or all of that.
    fn open(&self) -> Option<(usize, u64)> {
        (self.have > 0 || self.left > 0).then_some((self.have, self.left))
    }
}

/// Follows a stream of records and sees where it is none. Of payloads nothing is looked at.
#[derive(Debug, Default)]
pub struct TfRecordStream {
    frames: Frames,
    offset: u64,
    /// Where the record in hand begins.
    begin: u64,
}

impl TfRecordStream {
    /// Takes the next bytes of the stream.
    pub fn advance(&mut self, mut bytes: &[u8]) -> Result<(), TfRecordError> {
        while !bytes.is_empty() {
            let found = self.frames.length_to_next(bytes);
            let found = found.map_err(|NoHeader| TfRecordError::Header { at: self.begin })?;
            let used = found.unwrap_or(bytes.len());
            self.offset += used as u64;
            if found.is_some() {
                self.begin = self.offset;
            }
            bytes = &bytes[used..];
        }
        Ok(())
    }

    /// The stream has ended.
    pub fn finish(&self) -> Result<(), TfRecordError> {
        let (at, end) = (self.begin, self.offset);
        match self.frames.open() {
            None => Ok(()),
            Some((_, 0)) => Err(TfRecordError::CutHeader { at, end }),
            Some((_, left)) => {
                let len = (end - at).saturating_add(left).saturating_sub(FRAME);
                Err(TfRecordError::CutRecord { at, len, end })
            }
        }
    }
}

#[cfg(test)]
#[path = "tfrecord/tests.rs"]
pub(crate) mod tests;
