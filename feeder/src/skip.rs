//! Leaving out the beginning of a split's stream that a former reader has acknowledged.

use forebay_record::{Counter, Format};

use crate::lease::{Skip, StreamPosition};

/// Bytes of an unfinished record kept while its acknowledged beginning is passed over, at most.
const LONGEST_OPEN: usize = 16 << 20;

/// Drops the beginning of a stream that arrives in pieces, and ends at a record's beginning.
#[derive(Debug)]
pub(crate) struct Skipper {
    skip: Skip,
    counter: Option<Counter>,
    seen: u64,
    /// With [`Skip::Bytes`]: what was seen of the record in hand. It is fed again if the bytes end in it.
    open: Vec<u8>,
}

/// The skip cannot be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CannotSkip {
    /// The format has no records to count.
    NoRecords,
    /// The bytes end in a record of more than [`LONGEST_OPEN`].
    LongRecord,
}

/// What a piece left to be delivered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// Nothing; more is to be left out.
    Nothing,
    /// These bytes that were kept, and the piece from this index on. The skip is over.
    From(Vec<u8>, usize),
}

impl Skipper {
    /// `None` where nothing is to be left out.
    pub(crate) fn new(skip: Skip, format: &Format) -> Result<Option<Self>, CannotSkip> {
        let counter = Counter::new(format);
        match skip {
            Skip::None | Skip::Records(0) | Skip::Bytes(0) => return Ok(None),
            Skip::Records(_) if counter.is_none() => return Err(CannotSkip::NoRecords),
            Skip::Records(_) | Skip::Bytes(_) => {}
        }
        Ok(Some(Self { skip, counter, seen: 0, open: Vec::new() }))
    }

    /// Takes the next piece, which is not empty.
    pub(crate) fn pass(&mut self, piece: &[u8]) -> Result<Passed, CannotSkip> {
        match (self.skip, &mut self.counter) {
            (Skip::Records(records), Some(counter)) => {
                let used = counter.advance(piece, records);
                self.seen += used as u64;
                Ok(if used < piece.len() { Passed::From(Vec::new(), used) } else { Passed::Nothing })
            }
            (Skip::Bytes(bytes), counter) => {
                let used = usize::try_from(bytes - self.seen).map_or(piece.len(), |n| n.min(piece.len()));
                if let Some(counter) = counter {
                    let before = counter.records();
                    counter.advance(&piece[..used], u64::MAX);
                    let mut from = 0;
                    if counter.records() > before {
                        from = usize::try_from(counter.boundary().saturating_sub(self.seen)).unwrap_or(used);
                        self.open.clear();
                    }
                    self.open.extend_from_slice(&piece[from..used]);
                }
                self.seen += used as u64;
                if self.open.len() > LONGEST_OPEN {
                    return Err(CannotSkip::LongRecord);
                }
                match piece.get(used) {
                    None => Ok(Passed::Nothing),
                    Some(next) => {
                        self.end(*next != b'\n');
                        Ok(Passed::From(std::mem::take(&mut self.open), used))
                    }
                }
            }
            // Nothing to leave out, which has no skipper.
            _ => Ok(Passed::From(Vec::new(), 0)),
        }
    }

    /// The stream has ended: nothing of it is left.
    pub(crate) fn finish(&mut self) {
        self.end(true);
    }

    /// `alone`: a `\r` at the end is a terminator by itself.
    fn end(&mut self, alone: bool) {
        if let Some(counter) = self.counter.as_mut().filter(|_| alone) {
            counter.finish();
            if counter.boundary() == self.seen {
                self.open.clear();
            }
        }
    }

    /// What was left out.
    pub(crate) fn skipped(&self) -> StreamPosition {
        match (&self.counter, self.skip) {
            (Some(counter), Skip::Bytes(_)) => {
                StreamPosition { bytes: counter.boundary(), records: counter.records() }
            }
            (Some(counter), _) => StreamPosition { bytes: self.seen, records: counter.records() },
            (None, _) => StreamPosition { bytes: self.seen, records: 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_record::{Delimiter, Terminator};
    use proptest::prelude::*;

    /// What is delivered of `stream` when it arrives in pieces, and what was left out.
    fn skip(format: &Format, skip: Skip, stream: &[u8], piece: usize) -> (Vec<u8>, StreamPosition) {
        let Some(mut skipper) = Skipper::new(skip, format).unwrap() else {
            return (stream.to_vec(), StreamPosition::default());
        };
        let mut out = Vec::new();
        let mut pieces = stream.chunks(piece);
        for piece in pieces.by_ref() {
            if let Passed::From(open, from) = skipper.pass(piece).unwrap() {
                out.extend(open);
                out.extend_from_slice(&piece[from..]);
                out.extend(pieces.flatten());
                return (out, skipper.skipped());
            }
        }
        skipper.finish();
        (out, skipper.skipped())
    }

    #[test]
    fn a_record_cut_by_the_bytes_is_fed_whole() {
        let lines = Format::Lines(Terminator::Any);
        let at = |n, piece| skip(&lines, Skip::Bytes(n), b"ab\ncd\r\nef\rgh\n", piece).0;
        for piece in [1, 2, 3, 100] {
            assert_eq!(at(2, piece), b"ab\ncd\r\nef\rgh\n");
            assert_eq!(at(3, piece), b"cd\r\nef\rgh\n");
            assert_eq!(at(6, piece), b"cd\r\nef\rgh\n", "between the two bytes of its terminator");
            assert_eq!(at(7, piece), b"ef\rgh\n");
            assert_eq!(at(10, piece), b"gh\n");
            assert_eq!(at(13, piece), b"");
            assert_eq!(skip(&Format::Bytes, Skip::Bytes(4), b"abcdef", piece).0, b"ef");
        }
        assert_eq!(Skipper::new(Skip::Records(1), &Format::Bytes).unwrap_err(), CannotSkip::NoRecords);
    }

    proptest! {
        #[test]
        fn what_is_left_out_and_what_is_fed_make_the_stream(
            text in "[ab\r\n]{0,40}", piece in 1usize..9, n in 0u64..45, by_records: bool,
        ) {
            let stream = text.as_bytes();
            let formats = [Terminator::Any, Terminator::Delimiter(Delimiter::new(b"\n\n").unwrap())];
            for format in formats.map(Format::Lines) {
                let asked = if by_records { Skip::Records(n) } else { Skip::Bytes(n.min(stream.len() as u64)) };
                let (fed, skipped) = skip(&format, asked, stream, piece);
                if !fed.is_empty() || by_records {
                    prop_assert_eq!(fed.len() as u64 + skipped.bytes, stream.len() as u64);
                    prop_assert!(stream.ends_with(&fed));
                }
                let mut counter = Counter::new(&format).unwrap();
                counter.advance(&stream[..usize::try_from(skipped.bytes).unwrap()], u64::MAX);
                counter.finish();
                prop_assert_eq!(counter.records(), skipped.records);
                if by_records {
                    prop_assert!(skipped.records == n || fed.is_empty());
                } else {
                    prop_assert!(skipped.bytes <= n);
                }
            }
        }
    }
}
