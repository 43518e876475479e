//! HDFS's block checksums: one 32-bit CRC for every chunk of a block, kept big-endian in its meta file.

mod lanes;

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
        let crc = self.function()?;
        let right = if self == Self::Crc32c { lanes::matching(data, sums, chunk) } else { 0 };
        let mut sums = sums.chunks_exact(CHECKSUM_LEN).skip(right);
        let differs = data.chunks(chunk).skip(right).position(|bytes| {
            let stored = sums.next().and_then(|sum| sum.try_into().ok()).map(u32::from_be_bytes);
            stored != Some(crc(bytes))
        });
        differs.map(|index| right + index)
    }

    /// The checksums of the chunks of `data`, the last of which may be shorter than `chunk` bytes.
    pub fn sums(self, data: &[u8], chunk: usize) -> Vec<u8> {
        let Some(crc) = self.function() else { return Vec::new() };
        data.chunks(chunk.max(1)).flat_map(|bytes| crc(bytes).to_be_bytes()).collect()
    }

    fn function(self) -> Option<fn(&[u8]) -> u32> {
        match self {
            Self::Null => None,
            Self::Crc32 => Some(crc32_iso_hdlc),
            Self::Crc32c => Some(crc32_iscsi),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The checksums of data, by the crate that knows both kinds for one text.
    fn sums_of(kind: ChecksumType, data: &[u8], chunk: usize) -> Vec<u8> {
        let crc = if kind == ChecksumType::Crc32 { crc32_iso_hdlc } else { crc32_iscsi };
        data.chunks(chunk).flat_map(|c| crc(c).to_be_bytes()).collect()
    }

    proptest! {
        #[test]
        fn many_chunks_are_compared_as_one_by_one(
            data in prop::collection::vec(any::<u8>(), 0..6000), chunk in prop_oneof![1usize..700, (1usize..90).prop_map(|n| 8 * n)],
            bad in any::<prop::sample::Index>(), bit in 0..8u32, is_bad in any::<bool>(), crc32c in any::<bool>(),
        ) {
            let kind = if crc32c { ChecksumType::Crc32c } else { ChecksumType::Crc32 };
            let sums = sums_of(kind, &data, chunk);
            prop_assert_eq!(&kind.sums(&data, chunk), &sums);
            let (mut data, mut first) = (data, None);
            if is_bad && !data.is_empty() {
                let at = bad.index(data.len());
                data[at] ^= 1 << bit;
                first = Some(at / chunk);
            }
            prop_assert_eq!(kind.first_mismatch(&data, &sums, chunk), first);
            // A checksum that is bad, or is not there.
            let (mut sums, whole) = (sums, data.len().div_ceil(chunk));
            if first.is_none() && whole > 0 {
                let at = bad.index(whole);
                sums[at * CHECKSUM_LEN] ^= 1 << bit;
                prop_assert_eq!(kind.first_mismatch(&data, &sums, chunk), Some(at));
                prop_assert_eq!(kind.first_mismatch(&data, &sums[..at * CHECKSUM_LEN], chunk), Some(at));
            }
        }
    }

    #[test]
    fn published_check_values() {
        let sums = |sum: u32| sum.to_be_bytes();
        assert_eq!(ChecksumType::Crc32c.first_mismatch(b"123456789", &sums(0xE306_9283), 512), None);
        assert_eq!(ChecksumType::Crc32.first_mismatch(b"123456789", &sums(0xCBF4_3926), 512), None);
        assert_eq!(ChecksumType::Crc32.first_mismatch(b"123456789", &sums(0xE306_9283), 512), Some(0));
        assert_eq!(ChecksumType::Null.first_mismatch(b"123456789", &[], 512), None);
        assert_eq!(ChecksumType::Crc32.sums(b"123456789", 512), sums(0xCBF4_3926));
        assert!(ChecksumType::Null.sums(b"123456789", 512).is_empty());
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
