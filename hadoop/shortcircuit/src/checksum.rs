//! HDFS's block checksums: one 32-bit CRC for every chunk of a block, kept big-endian in its meta file.

use crc_fast::{crc32_iscsi, crc32_iso_hdlc};

use crate::meta::ChecksumType;

/// Bytes of one checksum in the meta file.
pub(crate) const CHECKSUM_LEN: usize = 4;

impl ChecksumType {
    /// Compares the chunks of `data`, which begins at a chunk's first byte, with the checksums in `sums`; the
    /// last chunk may be shorter than `chunk` bytes. Gives the index of the first chunk that differs.
    ///
    /// `sums` holds at least as many checksums as `data` has chunks; chunks without one count as different.
    pub fn first_mismatch(self, data: &[u8], sums: &[u8], chunk: usize) -> Option<usize> {
        let crc: fn(&[u8]) -> u32 = match self {
            Self::Null => return None,
            Self::Crc32 => crc32_iso_hdlc,
            Self::Crc32c => crc32_iscsi,
        };
        let mut sums = sums.chunks_exact(CHECKSUM_LEN);
        data.chunks(chunk).position(|bytes| {
            let stored = sums.next().and_then(|sum| sum.try_into().ok()).map(u32::from_be_bytes);
            stored != Some(crc(bytes))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_check_values() {
        let sums = |sum: u32| sum.to_be_bytes();
        assert_eq!(ChecksumType::Crc32c.first_mismatch(b"123456789", &sums(0xE306_9283), 512), None);
        assert_eq!(ChecksumType::Crc32.first_mismatch(b"123456789", &sums(0xCBF4_3926), 512), None);
        assert_eq!(ChecksumType::Crc32.first_mismatch(b"123456789", &sums(0xE306_9283), 512), Some(0));
        assert_eq!(ChecksumType::Null.first_mismatch(b"123456789", &[], 512), None);
    }

    #[test]
    fn the_first_bad_chunk_is_named() {
        let data: Vec<u8> = (0..1300u32).map(|i| i.to_le_bytes()[0]).collect();
        let sums: Vec<u8> = data.chunks(512).flat_map(|c| crc32_iscsi(c).to_be_bytes()).collect();
        assert_eq!(ChecksumType::Crc32c.first_mismatch(&data, &sums, 512), None);
        for (at, chunk) in [(0, 0), (511, 0), (512, 1), (1299, 2)] {
            let mut bad = data.clone();
            bad[at] ^= 1;
            assert_eq!(ChecksumType::Crc32c.first_mismatch(&bad, &sums, 512), Some(chunk), "byte {at}");
        }
        assert_eq!(
            ChecksumType::Crc32c.first_mismatch(&data, &sums[..8], 512),
            Some(2),
            "no checksum is no match"
        );
    }
}
