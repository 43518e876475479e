//! CRC32C of four chunks at once.
//!
//! The processor's own instruction takes eight bytes and has its answer some cycles later; it begins another each cycle. A chunk alone
//! waits for its own last answer all the time, four chunks side by side do not, and nothing has to be put together afterwards. For the
//! 512 bytes that HDFS usually has per checksum that is more than twice as fast as what cuts a single text into parts.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "what the processor can do is asked for first")
)]

use super::CHECKSUM_LEN;

/// Chunks at once.
const LANES: usize = 4;

/// How many of the chunks at the front of `data` match their checksums in `sums`, as far as they were looked at: groups of four whole
/// chunks, up to the first that has a bad one. 0 where this processor or such chunks have to be looked at otherwise.
pub(super) fn matching(data: &[u8], sums: &[u8], chunk: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    if chunk.is_multiple_of(WORD) && chunk > 0 && std::arch::is_x86_feature_detected!("sse4.2") {
        // SAFETY: the processor has SSE 4.2.
        return unsafe { x86::matching(data, sums, chunk) };
    }
    let _ = (data, sums, chunk);
    0
}

/// Bytes that the instruction takes.
#[cfg(target_arch = "x86_64")]
const WORD: usize = 8;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::_mm_crc32_u64;

    use super::{CHECKSUM_LEN, LANES, WORD};

    #[target_feature(enable = "sse4.2")]
    pub(super) fn matching(data: &[u8], sums: &[u8], chunk: usize) -> usize {
        let groups = data.chunks_exact(chunk * LANES);
        let sums = sums.as_chunks::<CHECKSUM_LEN>().0.as_chunks::<LANES>().0;
        // Not by a closure: it would not have the function's feature.
        let mut found = 0;
        for (group, sums) in groups.zip(sums) {
            if crcs(group, chunk) != sums.map(u32::from_be_bytes) {
                break;
            }
            found += LANES;
        }
        found
    }

    /// The CRCs of the chunks of a group.
    #[target_feature(enable = "sse4.2")]
    fn crcs(group: &[u8], chunk: usize) -> [u32; LANES] {
        let [a, b, c, d] = [0, 1, 2, 3].map(|lane| group[lane * chunk..][..chunk].as_chunks::<WORD>().0);
        let mut crcs = [u64::from(u32::MAX); LANES];
        for (((a, b), c), d) in a.iter().zip(b).zip(c).zip(d) {
            crcs[0] = _mm_crc32_u64(crcs[0], u64::from_le_bytes(*a));
            crcs[1] = _mm_crc32_u64(crcs[1], u64::from_le_bytes(*b));
            crcs[2] = _mm_crc32_u64(crcs[2], u64::from_le_bytes(*c));
            crcs[3] = _mm_crc32_u64(crcs[3], u64::from_le_bytes(*d));
        }
        // The upper half of what the instruction gives is zero.
        crcs.map(|crc| !u32::try_from(crc).unwrap_or_default())
    }
}
