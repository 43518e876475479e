//! Neighbouring splits of one share, read as one.

use crate::Split;

/// One or more splits that follow each other in a file and are delivered in one go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Index of the file.
    pub file: usize,
    /// First byte.
    pub start: u64,
    /// Behind the last byte.
    pub end: u64,
    /// Ordinal of its first split.
    pub ordinal: u64,
    /// How many splits it joins.
    pub splits: u64,
}

/// Joins neighbours as long as a span stays within `longest` bytes, so that small splits cost no more
/// boundary searches than large ones.
pub fn spans(splits: impl Iterator<Item = Split>, longest: u64) -> impl Iterator<Item = Span> {
    let mut splits = splits.peekable();
    std::iter::from_fn(move || {
        let Split { file, ordinal, start, end } = splits.next()?;
        let mut span = Span { file, start, end, ordinal, splits: 1 };
        while let Some(next) =
            splits.next_if(|next| next.file == file && next.start == span.end && next.end - start <= longest)
        {
            span.end = next.end;
            span.splits += 1;
        }
        Some(span)
    })
}
