//! The codecs, and how files tell which one they need: by name, as in Hadoop, or by their first bytes.

use core::fmt;

/// A compressed format. Most have one form; `.snappy` and `.lz4` files come in two, told apart by their first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// RFC 1952, one member or several.
    Gzip,
    /// RFC 1950, what Hadoop's `DefaultCodec` writes as `.deflate`; one stream or several.
    Deflate,
    /// RFC 8878, one frame or several.
    Zstd,
    /// One stream or several.
    Bzip2,
    /// Hadoop's block form or the framing format.
    Snappy,
    /// Hadoop's block form or the frame format.
    Lz4,
}

/// What a name ends in, behind a dot and in lower case.
const SUFFIXES: [(&str, Codec); 9] = [
    ("gz", Codec::Gzip),
    ("gzip", Codec::Gzip),
    ("deflate", Codec::Deflate),
    ("zst", Codec::Zstd),
    ("zstd", Codec::Zstd),
    ("bz2", Codec::Bzip2),
    ("snappy", Codec::Snappy),
    ("sz", Codec::Snappy),
    ("lz4", Codec::Lz4),
];

impl Codec {
    /// Every one.
    pub const ALL: [Self; 6] = [Self::Gzip, Self::Deflate, Self::Zstd, Self::Bzip2, Self::Snappy, Self::Lz4];

    /// How many of a file's first bytes [`Codec::of_head`] looks at.
    pub const HEAD: usize = 10;

    /// The name that users see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
        }
    }

    /// The codec that the suffix of a file's name (without the dot) stands for, in capitals or not.
    pub fn of_suffix(suffix: &str) -> Option<Self> {
        SUFFIXES.iter().find(|(known, _)| known.eq_ignore_ascii_case(suffix)).map(|(_, codec)| *codec)
    }

    /// The codec of a file with these first bytes, [`Codec::HEAD`] of them or all there are. Only marks that no text begins with
    /// count, so Hadoop's block form and deflate, which have none, are not told.
    pub fn of_head(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => Some(Self::Bzip2),
            [0xff, 6, 0, 0, b's', b'N', b'a', b'P', b'p', b'Y', ..] => Some(Self::Snappy),
            [0x04, 0x22, 0x4d, 0x18, ..] => Some(Self::Lz4),
            _ => None,
        }
    }

    /// Whether a file begins with a frame that is passed over, as parallel compressors of zstd write one first. LZ4 has the same
    /// frames, but its tools begin no file with them.
    pub fn begins_with_skippable(head: &[u8]) -> bool {
        matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
    }

    /// Whether a file without a byte is a whole one. Hadoop's block form has neither beginning nor end.
    pub fn may_be_empty(self) -> bool {
        matches!(self, Self::Snappy | Self::Lz4)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_tell() {
        assert_eq!(Codec::of_suffix("gz"), Some(Codec::Gzip));
        assert_eq!(Codec::of_suffix("BZ2"), Some(Codec::Bzip2));
        assert_eq!(Codec::of_suffix("txt"), None);
        assert_eq!(Codec::of_suffix(""), None);
    }

    #[test]
    fn first_bytes_tell() {
        assert_eq!(Codec::of_head(b"\x1f\x8b\x08\0"), Some(Codec::Gzip));
        assert_eq!(Codec::of_head(b"BZh91AY&SY"), Some(Codec::Bzip2));
        assert_eq!(Codec::of_head(b"BZh9 is how bzip2 begins"), None, "text may say so, too");
        assert_eq!(Codec::of_head(b"\x1f\x8b"), None);
        assert!(
            Codec::begins_with_skippable(b"\x50\x2a\x4d\x18\x04") && !Codec::begins_with_skippable(b"P*M")
        );
        assert_eq!(Codec::of_head(b""), None);
    }
}
