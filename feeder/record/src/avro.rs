//! What stands at the beginning of one of Avro's object container files: the schema, the codec, and the file's own sync marker.

use crate::sequence::MOST;
use crate::{HeaderError, HeaderReason, MARKER};

/// The header of an Avro file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvroHeader {
    /// The schema that the records were written with: JSON, as the writer has put it.
    pub schema: Vec<u8>,
    /// The codec of the blocks; `null` for none.
    pub codec: String,
    /// What stands behind the header and behind each block.
    pub marker: [u8; MARKER],
    /// Where the header ends, its marker included, and the first block begins, in bytes.
    pub end: u64,
}

const MAGIC: &[u8] = b"Obj\x01";

/// Whether a file's first bytes are an Avro file's, and of no text.
pub fn begins_avro_file(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

impl AvroHeader {
    /// Reads a header from a file's first bytes; `None` if there are too few of them.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, HeaderError> {
        let mut cursor = Cursor { bytes, at: 0 };
        match cursor.header() {
            Ok(header) => Ok(Some(header)),
            Err(Stuck::More) => Ok(None),
            Err(Stuck::Wrong(reason)) => Err(HeaderError { offset: cursor.at as u64, reason }),
        }
    }
}

enum Stuck {
    More,
    Wrong(HeaderReason),
}

fn damaged<T>(what: &'static str) -> Result<T, Stuck> {
    Err(Stuck::Wrong(HeaderReason::Damaged(what)))
}

/// A cursor over the header, which stays at the part that is read until that is there and right.
struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Cursor<'b> {
    fn header(&mut self) -> Result<AvroHeader, Stuck> {
        let seen = self.bytes.len().min(MAGIC.len());
        if self.bytes[..seen] != MAGIC[..seen] {
            return Err(Stuck::Wrong(HeaderReason::NotThis("Obj and the version 1")));
        }
        self.take(MAGIC.len())?;
        let (mut schema, mut codec): (Option<&[u8]>, &[u8]) = (None, b"null");
        loop {
            let count = match self.number()? {
                0 => break,
                count @ 1.. => count.unsigned_abs(),
                count => {
                    // Their size in bytes, for who passes over them.
                    self.number()?;
                    count.unsigned_abs()
                }
            };
            for _ in 0..count {
                let (name, value) = (self.bytes()?, self.bytes()?);
                match name {
                    b"avro.schema" => schema = Some(value),
                    b"avro.codec" => codec = value,
                    _ => {}
                }
            }
        }
        let Some(schema) = schema else { return damaged("it has no schema") };
        let Ok(codec) = str::from_utf8(codec) else { return damaged("a codec whose name is no text") };
        let mut marker = [0; MARKER];
        marker.copy_from_slice(self.take(MARKER)?);
        Ok(AvroHeader { schema: schema.to_vec(), codec: codec.to_owned(), marker, end: self.at as u64 })
    }

    fn take(&mut self, len: usize) -> Result<&'b [u8], Stuck> {
        let taken = self.bytes[self.at..].get(..len).ok_or(Stuck::More)?;
        self.at += len;
        Ok(taken)
    }

    /// A `long`.
    fn number(&mut self) -> Result<i64, Stuck> {
        let rest = &self.bytes[self.at..];
        let Some(last) = rest.iter().take(zigzag::MOST).position(|&byte| byte < 0x80) else {
            return if rest.len() < zigzag::MOST {
                Err(Stuck::More)
            } else {
                damaged("a number of too many bytes")
            };
        };
        self.at += last + 1;
        Ok(zigzag::number(&rest[..=last]))
    }

    /// A `string` or `bytes`.
    fn bytes(&mut self) -> Result<&'b [u8], Stuck> {
        let begin = self.at;
        let bytes = self.number().and_then(|len| match usize::try_from(len) {
            Ok(len) if len as u64 <= MOST => self.take(len),
            Ok(_) => Err(Stuck::Wrong(HeaderReason::TooLong)),
            Err(_) => damaged("a text of a negative length"),
        });
        if bytes.is_err() {
            self.at = begin;
        }
        bytes
    }
}

/// Numbers of variable length, as Avro writes them.
pub mod zigzag {
    /// Bytes of the longest.
    pub const MOST: usize = 10;

    /// The number that these bytes are, of which only the last is below 0x80.
    pub fn number(bytes: &[u8]) -> i64 {
        let places = bytes.iter().take(MOST).zip((0..).step_by(7));
        signed(places.fold(0, |number, (&byte, shift)| number | u64::from(byte & 0x7f) << shift))
    }

    /// What a number without a sign stands for: 0, -1, 1, -2 and so on.
    pub fn signed(number: u64) -> i64 {
        (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
    }
}

#[cfg(test)]
#[path = "avro/tests.rs"]
mod tests;
