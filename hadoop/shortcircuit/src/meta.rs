//! The header of a replica's meta file: which checksum, over how many bytes.
//!
//! Hadoop's `BlockMetadataHeader` and `DataChecksum`: 2 bytes version, 1 byte type, 4 bytes bytes-per-checksum, all big-endian;
//! then one big-endian 32-bit checksum per chunk, the last of which may be short.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The header's length in bytes.
pub const HEADER_LEN: u64 = 7;

const VERSION: u16 = 1;
const CHECKSUM_LEN: u64 = 4;
/// Hadoop takes any positive number; a chunk longer than this is a broken header and no one's configuration, and it would
/// have to be read whole to be checked.
const LARGEST_CHUNK: u32 = 16 << 20;

/// Which checksum (`DataChecksum.Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumType {
    /// None is stored.
    Null,
    /// The polynomial of gzip and Ethernet.
    Crc32,
    /// Castagnoli's.
    Crc32c,
}

/// A valid header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetaHeader {
    /// Which checksum.
    pub checksum: ChecksumType,
    /// Over how many bytes each.
    pub bytes_per_checksum: u32,
}

/// A meta file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetaError {
    /// It ends before its header does, or before the block's last checksum.
    #[error("the meta file has {have} bytes, it needs {want}")]
    Short {
        /// How many it has.
        have: u64,
        /// How many it must have.
        want: u64,
    },
    /// A version that is not known.
    #[error("the meta file is of version {0}, only 1 is known")]
    Version(u16),
    /// A type that is not known.
    #[error("the meta file's checksum type is {0}, known are 0 (NULL), 1 (CRC32) and 2 (CRC32C)")]
    Type(u8),
    /// A chunk of no or absurd length.
    #[error("the meta file has one checksum per {0} bytes, which cannot be")]
    BytesPerChecksum(u32),
    /// Reading it failed.
    #[error("cannot read the meta file: {0}")]
    Io(#[from] io::Error),
}

impl MetaHeader {
    /// Reads a header from a meta file's first bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetaError> {
        let Some(&[v0, v1, kind, b0, b1, b2, b3]) = bytes.first_chunk() else {
            return Err(MetaError::Short { have: bytes.len() as u64, want: HEADER_LEN });
        };
        let version = u16::from_be_bytes([v0, v1]);
        if version != VERSION {
            return Err(MetaError::Version(version));
        }
        let checksum = match kind {
            0 => ChecksumType::Null,
            1 => ChecksumType::Crc32,
            2 => ChecksumType::Crc32c,
            other => return Err(MetaError::Type(other)),
        };
        let bytes_per_checksum = u32::from_be_bytes([b0, b1, b2, b3]);
        // Without checksums the number means nothing, and Hadoop writes what it likes.
        if checksum != ChecksumType::Null && !(1..=LARGEST_CHUNK).contains(&bytes_per_checksum) {
            return Err(MetaError::BytesPerChecksum(bytes_per_checksum));
        }
        Ok(Self { checksum, bytes_per_checksum })
    }

    /// Reads a file's header, and sees that the file holds all checksums of a block of this length.
    pub fn read(file: &File, block_len: u64) -> Result<Self, MetaError> {
        Self::read_at(file, 0, block_len)
    }

    /// As [`read`](Self::read), of a meta file that begins at this offset of a file and goes up to its end.
    pub fn read_at(file: &File, at: u64, block_len: u64) -> Result<Self, MetaError> {
        let mut bytes = [0; 7];
        let mut have = 0;
        while have < bytes.len() {
            match file.read_at(&mut bytes[have..], at + have as u64) {
                Ok(0) => break,
                Ok(n) => have += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        let header = Self::parse(&bytes[..have])?;
        let (have, want) = (file.metadata()?.len().saturating_sub(at), header.file_len(block_len));
        if have < want { Err(MetaError::Short { have, want }) } else { Ok(header) }
    }

    /// The header as it stands in a meta file.
    pub fn to_bytes(&self) -> [u8; 7] {
        let ([v0, v1], [b0, b1, b2, b3]) = (VERSION.to_be_bytes(), self.bytes_per_checksum.to_be_bytes());
        let kind = match self.checksum {
            ChecksumType::Null => 0,
            ChecksumType::Crc32 => 1,
            ChecksumType::Crc32c => 2,
        };
        [v0, v1, kind, b0, b1, b2, b3]
    }

    /// How many checksums a block of this length has.
    pub fn checksums(&self, block_len: u64) -> u64 {
        match self.checksum {
            ChecksumType::Null => 0,
            ChecksumType::Crc32 | ChecksumType::Crc32c => {
                block_len.div_ceil(u64::from(self.bytes_per_checksum))
            }
        }
    }

    /// Where in the meta file the checksum of the `chunk`th chunk lies.
    pub fn checksum_offset(&self, chunk: u64) -> u64 {
        HEADER_LEN.saturating_add(chunk.saturating_mul(CHECKSUM_LEN))
    }

    /// How long the meta file of a block of this length must be at least.
    pub fn file_len(&self, block_len: u64) -> u64 {
        self.checksum_offset(self.checksums(block_len))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_header_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..12), len: u64) {
            match MetaHeader::parse(&bytes) {
                Ok(header) => {
                    prop_assert_eq!(&bytes[..2], &[0, 1]);
                    prop_assert!(header.checksum == ChecksumType::Null || header.bytes_per_checksum > 0);
                    prop_assert!(header.file_len(len) >= HEADER_LEN);
                }
                Err(MetaError::Short { have, .. }) => prop_assert!(have < HEADER_LEN),
                Err(_) => prop_assert!(bytes.len() >= 7),
            }
        }

        #[test]
        fn a_valid_header_is_read_as_written(kind in 0u8..3, chunk in 1..=LARGEST_CHUNK, len in 0..u64::MAX / 8) {
            let bytes = [&[0, 1, kind][..], &chunk.to_be_bytes()].concat();
            let header = MetaHeader::parse(&bytes).unwrap();
            prop_assert_eq!(header.bytes_per_checksum, chunk);
            prop_assert_eq!(&header.to_bytes()[..], &bytes[..]);
            let chunks = header.checksums(len);
            if kind == 0 {
                prop_assert_eq!(chunks, 0);
            } else {
                let covered = u128::from(chunks) * u128::from(chunk);
                prop_assert!(covered >= u128::from(len) && covered < u128::from(len) + u128::from(chunk));
            }
        }
    }

    #[test]
    fn each_fault_has_its_error() {
        let parse = |bytes: &[u8]| MetaHeader::parse(bytes).unwrap_err();
        assert!(matches!(parse(&[0, 1, 2, 0, 0, 2]), MetaError::Short { have: 6, want: 7 }));
        assert!(matches!(parse(&[0, 2, 2, 0, 0, 2, 0]), MetaError::Version(2)));
        assert!(matches!(parse(&[0, 1, 3, 0, 0, 2, 0]), MetaError::Type(3)));
        assert!(matches!(parse(&[0, 1, 2, 0, 0, 0, 0]), MetaError::BytesPerChecksum(0)));
        assert!(matches!(parse(&[0, 1, 1, 0xff, 0, 0, 0]), MetaError::BytesPerChecksum(0xff00_0000)));
    }

    #[test]
    fn a_meta_file_may_stand_behind_something_else() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[9, 9, 0, 1, 2, 0, 0, 2, 0, 1, 2, 3, 4]).unwrap();
        assert_eq!(MetaHeader::read_at(&file, 2, 512).unwrap().bytes_per_checksum, 512);
        let error = MetaHeader::read_at(&file, 2, 513).unwrap_err();
        assert!(matches!(error, MetaError::Short { have: 11, want: 15 }), "{error}");
        assert!(matches!(MetaHeader::read_at(&file, 99, 1), Err(MetaError::Short { have: 0, .. })));
    }

    #[test]
    fn a_file_without_all_checksums_is_short() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[0, 1, 2, 0, 0, 2, 0, 1, 2, 3, 4]).unwrap();
        assert_eq!(MetaHeader::read(&file, 512).unwrap().checksums(512), 1);
        let error = MetaHeader::read(&file, 513).unwrap_err();
        assert!(matches!(error, MetaError::Short { have: 11, want: 15 }), "{error}");
    }
}
