//! What stands at the beginning of one of Hadoop's SequenceFiles: classes, compression, and the file's own sync marker.

/// What is read of the records of a SequenceFile, and how it is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceRecords {
    /// Which parts.
    pub fields: Fields,
    /// How each is set apart from the next.
    pub framing: Framing,
}

/// The parts of a record with a key and a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fields {
    /// The value.
    Value,
    /// The key, then the value.
    KeyValue,
}

/// How records are set apart in a delivered stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// As the format itself does it, or by line ends.
    Raw,
    /// Each behind its length in bytes: four bytes, the lowest first.
    Length,
}

/// How the records of a SequenceFile are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// Each value by itself.
    Record,
    /// Keys and values of many records together.
    Block,
}

/// The header of a SequenceFile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceHeader {
    /// The Java class of the keys.
    pub key_class: String,
    /// The Java class of the values.
    pub value_class: String,
    /// Whether and how records are compressed.
    pub compression: Compression,
    /// The Java class of the codec, if records are compressed.
    pub codec_class: Option<String>,
    /// What stands, behind four bytes of ones, between some of the records and before each block of them.
    pub marker: [u8; MARKER],
    /// Where the header ends and the first record begins, in bytes.
    pub end: u64,
}

/// Length of a file's sync marker, in bytes, without its escape.
pub const MARKER: usize = 16;

/// What stands before a marker, where a record has its length.
pub const ESCAPE: [u8; 4] = [0xff; 4];

/// The codec of files that are too old to name one.
const DEFAULT_CODEC: &str = "org.apache.hadoop.io.compress.DefaultCodec";

/// Versions that are read: since 4 there are blocks, since 5 codecs have names, since 6 there is metadata.
const VERSIONS: core::ops::RangeInclusive<u8> = 4..=6;

/// Most bytes of a header. Its metadata may be of any length.
pub(crate) const MOST: u64 = 16 << 20;

/// Java knows no longer name of a class.
const LONGEST_NAME: usize = 65_535;

/// A file whose first bytes are no header of a SequenceFile, or of an Avro file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {reason}")]
pub struct HeaderError {
    /// Offset in the file, in bytes, of what is wrong.
    pub offset: u64,
    /// What.
    pub reason: HeaderReason,
}

/// What is wrong with a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderReason {
    /// Another file.
    #[error("it does not begin like one, with {0}")]
    NotThis(&'static str),
    /// A version that is not read.
    #[error("it is of version {0}, and versions 4 to 6 are read; write it again with a Hadoop of today")]
    Version(u8),
    /// The file ends in it.
    #[error("it ends in the middle of its header")]
    Truncated,
    /// More metadata than anybody writes.
    #[error("its header has more than {MOST} bytes, which is the most that is read")]
    TooLong,
    /// No writer writes this.
    #[error("its header is damaged: {0}")]
    Damaged(&'static str),
}

/// Whether a file's first bytes are a SequenceFile's, of a version that is read, and of no text.
pub fn begins_sequence_file(head: &[u8]) -> bool {
    matches!(head, [b'S', b'E', b'Q', version, ..] if VERSIONS.contains(version))
}

impl SequenceHeader {
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
    fn header(&mut self) -> Result<SequenceHeader, Stuck> {
        let known = b"SEQ";
        let seen = self.bytes.len().min(known.len());
        if self.bytes[..seen] != known[..seen] {
            return Err(Stuck::Wrong(HeaderReason::NotThis("SEQ and a version")));
        }
        let version = *self.bytes.get(known.len()).ok_or(Stuck::More)?;
        self.at = known.len();
        if !VERSIONS.contains(&version) {
            return Err(Stuck::Wrong(HeaderReason::Version(version)));
        }
        self.at += 1;
        let key_class = self.name()?;
        let value_class = self.name()?;
        let is_compressed = self.flag()?;
        let compression = match (is_compressed, self.flag()?) {
            (false, false) => Compression::None,
            (true, false) => Compression::Record,
            (true, true) => Compression::Block,
            (false, true) => return damaged("blocks of records that are not compressed"),
        };
        let codec_class = match (is_compressed, version) {
            (false, _) => None,
            (true, 4) => Some(DEFAULT_CODEC.to_owned()),
            (true, _) => Some(self.name()?),
        };
        if version >= 6 {
            self.metadata()?;
        }
        let mut marker = [0; MARKER];
        marker.copy_from_slice(self.take(MARKER)?);
        Ok(SequenceHeader { key_class, value_class, compression, codec_class, marker, end: self.at as u64 })
    }

    fn take(&mut self, len: usize) -> Result<&'b [u8], Stuck> {
        let taken = self.bytes[self.at..].get(..len).ok_or(Stuck::More)?;
        self.at += len;
        Ok(taken)
    }

    /// A length, of which no sign is taken.
    fn length(&mut self) -> Result<usize, Stuck> {
        let rest = &self.bytes[self.at..];
        let len = vint_len(*rest.first().ok_or(Stuck::More)?);
        let number = vint(rest.get(..len).ok_or(Stuck::More)?);
        let number = i32::try_from(number).ok().and_then(|number| usize::try_from(number).ok());
        let Some(number) = number else { return damaged("a length that no text has") };
        self.at += len;
        Ok(number)
    }

    fn name(&mut self) -> Result<String, Stuck> {
        let begin = self.at;
        let name = self.length().and_then(|len| match len {
            1..=LONGEST_NAME => self.take(len),
            _ => damaged("a class whose name is of a length that none has"),
        });
        match name.map(|name| str::from_utf8(name)) {
            Ok(Ok(name)) => Ok(name.to_owned()),
            Ok(Err(_)) => {
                self.at = begin;
                damaged("a class whose name is no text")
            }
            Err(stuck) => {
                self.at = begin;
                Err(stuck)
            }
        }
    }

    fn flag(&mut self) -> Result<bool, Stuck> {
        let is_set = match self.bytes.get(self.at) {
            None => return Err(Stuck::More),
            Some(0) => false,
            Some(1) => true,
            Some(_) => return damaged("something else than yes or no where compression is told"),
        };
        self.at += 1;
        Ok(is_set)
    }

    fn metadata(&mut self) -> Result<(), Stuck> {
        let Some(number) = self.bytes[self.at..].first_chunk() else { return Err(Stuck::More) };
        let number = i32::from_be_bytes(*number);
        if number < 0 {
            return damaged("metadata of a negative number of entries");
        }
        self.at += 4;
        for _ in 0..number {
            for _ in 0..2 {
                let len = self.length()?;
                self.take(len)?;
            }
        }
        Ok(())
    }
}

/// Length in bytes of Hadoop's variable-length number that begins with this byte: 1 to 9.
pub fn vint_len(first: u8) -> usize {
    match first.cast_signed() {
        // One byte is the number itself.
        -112.. => 1,
        -120..=-113 => usize::from(0x90 - first) + 1,
        _ => usize::from(0x88 - first) + 1,
    }
}

/// The number that these bytes are, as many as [`vint_len`] says.
pub fn vint(bytes: &[u8]) -> i64 {
    let Some((&first, rest)) = bytes.split_first() else { return 0 };
    if rest.is_empty() {
        return first.cast_signed().into();
    }
    let number = rest.iter().fold(0_i64, |number, &byte| number << 8 | i64::from(byte));
    if first.cast_signed() < -120 { !number } else { number }
}

#[cfg(test)]
#[path = "sequence/tests.rs"]
mod tests;
