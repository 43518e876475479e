//! A custom record delimiter, and how far back one must look to know how a file was cut by it.

use std::sync::Arc;

use memchr::memmem::Finder;

/// Why a byte string cannot be a delimiter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DelimiterError {
    /// There is nothing to search for.
    #[error("the delimiter is empty")]
    Empty,
    /// The searches keep a delimiter's length in memory at chunk borders.
    #[error("the delimiter has {0} bytes; at most {max} are taken", max = Delimiter::MAX_LEN)]
    TooLong(usize),
}

/// A record delimiter of one or more bytes.
///
/// Records are cut at its occurrences from left to right, each byte belonging to one occurrence at most, as
/// Hadoop's `LineReader` does from the beginning of a file. A delimiter that can overlap itself (`\n\n`,
/// `----`) makes the cut depend on what stands before; [`Delimiter::overlaps_itself`] says so, and searches
/// then look back to a place where no occurrence is open.
#[derive(Debug, Clone)]
pub struct Delimiter {
    /// Shared: a searcher's tables are some hundred bytes.
    finder: Arc<Finder<'static>>,
    overlaps_itself: bool,
}

impl Delimiter {
    /// The longest delimiter taken, in bytes.
    pub const MAX_LEN: usize = 1024;

    /// Takes `bytes` as a delimiter.
    pub fn new(bytes: &[u8]) -> Result<Self, DelimiterError> {
        match bytes.len() {
            0 => Err(DelimiterError::Empty),
            n if n > Self::MAX_LEN => Err(DelimiterError::TooLong(n)),
            n => Ok(Self {
                finder: Arc::new(Finder::new(bytes).into_owned()),
                overlaps_itself: (1..n).any(|shift| bytes[shift..] == bytes[..n - shift]),
            }),
        }
    }

    /// A line feed.
    pub fn newline() -> Self {
        Self { finder: Arc::new(Finder::new(b"\n").into_owned()), overlaps_itself: false }
    }

    /// The delimiter's bytes.
    pub fn bytes(&self) -> &[u8] {
        self.finder.needle()
    }

    /// Its length in bytes, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a delimiter is never empty")]
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Whether two occurrences can share bytes.
    pub fn overlaps_itself(&self) -> bool {
        self.overlaps_itself
    }

    /// Index of its first occurrence in `haystack`.
    pub(crate) fn find(&self, haystack: &[u8]) -> Option<usize> {
        self.finder.find(haystack)
    }
}

impl PartialEq for Delimiter {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Delimiter {}

/// Walks back from an offset to a *safe* one: an offset that no occurrence of the delimiter straddles, so that
/// cutting from there gives what cutting from the file's beginning gives.
#[derive(Debug)]
pub(crate) struct LookBack {
    /// The candidate; everything known so far says that an occurrence may straddle it.
    at: u64,
    /// An offset known to be safe.
    floor: u64,
    window: u64,
}

impl LookBack {
    const FIRST_WINDOW: u64 = 4 << 10;
    const MAX_WINDOW: u64 = 1 << 20;

    pub(crate) fn new(at: u64, floor: u64) -> Self {
        Self { at, floor, window: Self::FIRST_WINDOW }
    }

    /// The range to look at: enough around the candidate to see every occurrence that straddles it.
    pub(crate) fn wants(&self, delimiter: &Delimiter, file_len: u64) -> std::ops::Range<u64> {
        let reach = delimiter.len() as u64 - 1;
        let from = self.at.saturating_sub(self.window.max(reach)).max(self.floor.saturating_sub(reach));
        from..self.at.saturating_add(reach).min(file_len)
    }

    /// Looks at the wanted range's bytes; gives the safe offset when it is known.
    pub(crate) fn feed(&mut self, delimiter: &Delimiter, from: u64, bytes: &[u8]) -> Option<u64> {
        let reach = delimiter.len() as u64 - 1;
        loop {
            if self.at <= self.floor {
                return Some(self.floor);
            }
            let low = self.at.saturating_sub(reach);
            if low < from {
                self.window = (self.window * 4).min(Self::MAX_WINDOW);
                return None;
            }
            let (begin, end) = (index(low - from), index(self.at + reach - from).min(bytes.len()));
            match delimiter.find(&bytes[begin..end]) {
                Some(i) => self.at = low + i as u64,
                None => return Some(self.at),
            }
        }
    }
}

/// An offset relative to a buffer that is in memory, and so fits.
#[expect(clippy::cast_possible_truncation, reason = "bounded by a buffer's length")]
pub(crate) fn index(relative: u64) -> usize {
    relative as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn self_overlap_is_seen() {
        for (bytes, overlaps) in [
            (&b"\n"[..], false),
            (b"\n\n", true),
            (b"||", true),
            (b"ab", false),
            (b"aba", true),
            (b"abac", false),
        ] {
            assert_eq!(Delimiter::new(bytes).unwrap().overlaps_itself(), overlaps, "{bytes:?}");
        }
        assert_eq!(Delimiter::new(b""), Err(DelimiterError::Empty));
        assert_eq!(Delimiter::new(&[0; 1025]), Err(DelimiterError::TooLong(1025)));
    }
}
