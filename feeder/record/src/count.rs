//! How many records a delivered stream has completed, and where the last of them ended.

use std::num::NonZeroU64;

use memchr::memchr2;

use crate::ending::missing;
use crate::tfrecord::Frames;
use crate::{Delimiter, Fields, Format, Framing, SequenceRecords, Terminator};

/// Counts the records of a stream that begins at a record's start, in pieces of any length.
#[derive(Debug, Clone)]
pub struct Counter {
    rule: Rule,
    offset: u64,
    records: u64,
    boundary: u64,
}

#[derive(Debug, Clone)]
enum Rule {
    /// `true`: a `\r` ended the last piece, and a `\n` may belong to it.
    Any(bool),
    /// With the unmatched bytes at the end of the last piece, fewer than the delimiter has.
    Delimiter(Delimiter, Vec<u8>),
    Fixed(NonZeroU64),
    Framed(Framed),
    TfRecord(Frames),
}

/// Records of some fields, each behind its length.
#[derive(Debug, Clone)]
struct Framed {
    /// Fields of a record.
    fields: u8,
    /// Fields of the record in hand that are complete.
    complete: u8,
    /// Bytes seen of the length of the field in hand.
    seen: u8,
    /// That length; what is left of it, once all its bytes were seen.
    left: u32,
}

impl Framed {
    fn new(fields: u8) -> Self {
        Self { fields, complete: 0, seen: 0, left: 0 }
    }

    /// As [`Counter::length_to_next`].
    fn length_to_next(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            while self.seen < 4 {
                self.left |= u32::from(*bytes.get(at)?) << (8 * self.seen);
                self.seen += 1;
                at += 1;
            }
            let n = usize::try_from(self.left).map_or(bytes.len() - at, |left| left.min(bytes.len() - at));
            at += n;
            self.left -= u32::try_from(n).unwrap_or(self.left);
            if self.left > 0 {
                return None;
            }
            (self.seen, self.complete) = (0, self.complete + 1);
            if self.complete == self.fields {
                self.complete = 0;
                return Some(at);
            }
        }
    }
}

impl Counter {
    /// A counter for records of `format`; `None` for bytes without records, and where only a schema tells one from the next.
    pub fn new(format: &Format) -> Option<Self> {
        let rule = match format {
            Format::Lines(Terminator::Any) => Rule::Any(false),
            Format::Lines(Terminator::Delimiter(delimiter)) => Rule::Delimiter(delimiter.clone(), Vec::new()),
            Format::Fixed(len) => Rule::Fixed(*len),
            Format::TfRecord => Rule::TfRecord(Frames::default()),
            Format::Bytes | Format::Tar | Format::Avro(Framing::Raw) => return None,
            Format::Avro(Framing::Length) => Rule::Framed(Framed::new(1)),
            Format::Sequence(SequenceRecords { framing: Framing::Length, fields: Fields::Value }) => {
                Rule::Framed(Framed::new(1))
            }
            Format::Sequence(SequenceRecords { framing: Framing::Length, fields: Fields::KeyValue }) => {
                Rule::Framed(Framed::new(2))
            }
            // As lines they are delivered, and as lines they are read.
            Format::Sequence(SequenceRecords { framing: Framing::Raw, .. }) => {
                Rule::Delimiter(Delimiter::newline(), Vec::new())
            }
        };
        Some(Self { rule, offset: 0, records: 0, boundary: 0 })
    }

    /// Records completed. A lone `\r` at the end of what was seen completes one when the next byte, or
    /// [`Counter::finish`], has told that it is alone.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Offset in the stream, in bytes, behind the last completed record.
    pub fn boundary(&self) -> u64 {
        self.boundary
    }

    /// Takes bytes until `until` records are complete in all, and says how many bytes that took: all, if
    /// there are fewer records.
    pub fn advance(&mut self, bytes: &[u8], until: u64) -> usize {
        let mut used = 0;
        while used < bytes.len() && self.records < until {
            let found = self.length_to_next(&bytes[used..]);
            let taken = found.unwrap_or(bytes.len() - used);
            used += taken;
            self.offset += taken as u64;
            if found.is_some() {
                self.complete();
            }
        }
        used
    }

    /// The stream has ended.
    pub fn finish(&mut self) {
        if let Rule::Any(open @ true) = &mut self.rule {
            *open = false;
            self.complete();
        }
    }

    /// What has to be appended where the stream ends here, so that its last record is ended: something only for a
    /// custom delimiter. See [`crate::Ending`].
    pub fn missing(&self) -> Vec<u8> {
        match &self.rule {
            Rule::Delimiter(delimiter, held) if self.boundary < self.offset => missing(delimiter, held),
            _ => Vec::new(),
        }
    }

    fn complete(&mut self) {
        self.records += 1;
        self.boundary = self.offset;
    }

    /// Length of what ends the record in hand, from the beginning of `bytes`; `None` if it goes on behind them.
    fn length_to_next(&mut self, bytes: &[u8]) -> Option<usize> {
        match &mut self.rule {
            Rule::Any(open) => {
                if std::mem::take(open) {
                    return Some(usize::from(bytes.first() == Some(&b'\n')));
                }
                let at = memchr2(b'\n', b'\r', bytes)?;
                match (bytes[at], bytes.get(at + 1)) {
                    (b'\r', None) => {
                        *open = true;
                        None
                    }
                    (b'\r', Some(b'\n')) => Some(at + 2),
                    _ => Some(at + 1),
                }
            }
            Rule::Delimiter(delimiter, held) => {
                let len = delimiter.len();
                if !held.is_empty() {
                    // An occurrence that begins in what is held ends before a delimiter's length of the piece.
                    let kept = held.len();
                    held.extend_from_slice(&bytes[..bytes.len().min(len - 1)]);
                    if let Some(at) = delimiter.find(held) {
                        held.clear();
                        return Some(at + len - kept);
                    }
                    held.truncate(kept);
                }
                if let Some(at) = delimiter.find(bytes) {
                    held.clear();
                    return Some(at + len);
                }
                let from = bytes.len().saturating_sub(len - 1);
                if from > 0 {
                    held.clear();
                }
                held.extend_from_slice(&bytes[from..]);
                held.drain(..held.len().saturating_sub(len - 1));
                None
            }
            Rule::Fixed(record) => {
                let left = record.get() - self.offset % record.get();
                usize::try_from(left).ok().filter(|&left| left <= bytes.len())
            }
            Rule::Framed(frames) => frames.length_to_next(bytes),
            // Behind what is no header nothing is counted.
            Rule::TfRecord(frames) => frames.length_to_next(bytes).unwrap_or(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tfrecord::tests::tfrecord;
    use crate::{Ending, EndingStep};
    use proptest::prelude::*;

    fn formats() -> [Format; 7] {
        let delimited = |d: &[u8]| Format::Lines(Terminator::Delimiter(Delimiter::new(d).unwrap()));
        [
            Format::Lines(Terminator::Any),
            delimited(b"\n"),
            delimited(b"||"),
            delimited(b"aba"),
            delimited(b"\n\n"),
            Format::Fixed(NonZeroU64::new(3).unwrap()),
            Format::Sequence(SequenceRecords { fields: Fields::KeyValue, framing: Framing::Raw }),
        ]
    }

    /// Offsets behind each record, found in the plainest way.
    fn ends(format: &Format, bytes: &[u8]) -> Vec<u64> {
        let (mut ends, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let rest = &bytes[at..];
            let len = match format {
                Format::Lines(Terminator::Any) if rest.starts_with(b"\r\n") => Some(2),
                Format::Lines(Terminator::Any) if matches!(rest[0], b'\n' | b'\r') => Some(1),
                Format::Lines(Terminator::Delimiter(d)) if rest.starts_with(d.bytes()) => Some(d.len()),
                Format::Sequence(_) if rest[0] == b'\n' => Some(1),
                Format::Fixed(n) if (at as u64 + 1).is_multiple_of(n.get()) => Some(1),
                _ => None,
            };
            at += len.unwrap_or(1);
            ends.extend(len.map(|_| at as u64));
        }
        ends
    }

    #[test]
    fn bytes_have_no_records() {
        assert!(Counter::new(&Format::Bytes).is_none());
        assert!(Counter::new(&Format::Avro(Framing::Raw)).is_none(), "that would need the schema");
    }

    #[test]
    fn tfrecords_are_counted_by_their_headers() {
        let file: Vec<u8> = [&b""[..], b"abc", b"", &[0; 40]].iter().flat_map(|of| tfrecord(of)).collect();
        for piece in [1, 2, 5, 11, 12, 13, 100] {
            let mut counter = Counter::new(&Format::TfRecord).unwrap();
            for piece in file.chunks(piece) {
                assert_eq!(counter.advance(piece, u64::MAX), piece.len());
            }
            assert_eq!((counter.records(), counter.boundary()), (4, file.len() as u64));
            let mut counter = Counter::new(&Format::TfRecord).unwrap();
            let used: usize = file.chunks(piece).map(|piece| counter.advance(piece, 2)).sum();
            assert_eq!((used, counter.records()), (16 + 19, 2));
        }
        let mut counter = Counter::new(&Format::TfRecord).unwrap();
        assert_eq!(counter.advance(&file[1..], u64::MAX), file.len() - 1);
        assert_eq!(counter.records(), 0, "what is no header begins no record");
    }

    proptest! {
        #[test]
        fn records_are_counted_whatever_the_pieces(
            text in "[ab\r\n|]{0,40}",
            mut cuts in prop::collection::vec(0usize..40, 0..6),
        ) {
            cuts.sort_unstable();
            let bytes = text.as_bytes();
            for format in formats() {
                let mut counter = Counter::new(&format).unwrap();
                let mut from = 0;
                for cut in cuts.iter().copied().chain([bytes.len()]).map(|cut| cut.min(bytes.len())) {
                    prop_assert_eq!(counter.advance(&bytes[from..cut.max(from)], u64::MAX), cut.max(from) - from);
                    from = cut.max(from);
                }
                counter.finish();
                let ends = ends(&format, bytes);
                prop_assert_eq!(counter.records(), ends.len() as u64);
                prop_assert_eq!(counter.boundary(), ends.last().copied().unwrap_or(0));
            }
        }

        #[test]
        fn what_is_missing_at_the_end_is_what_a_look_at_the_whole_finds(text in "[ab\n|]{0,40}", piece in 1usize..7) {
            for format in formats() {
                let Format::Lines(terminator @ Terminator::Delimiter(_)) = &format else { continue };
                let bytes = text.as_bytes();
                let mut counter = Counter::new(&format).unwrap();
                bytes.chunks(piece).for_each(|piece| {
                    counter.advance(piece, u64::MAX);
                });
                let mut ending = Ending::new(terminator, 0, bytes.len() as u64);
                let wanted = loop {
                    match ending.step() {
                        EndingStep::Append(bytes) => break bytes,
                        EndingStep::Read(range) => {
                            ending.feed(&bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()])
                        }
                    };
                };
                prop_assert_eq!(counter.missing(), wanted, "{:?}", format);
            }
        }

        #[test]
        fn records_behind_their_lengths_are_counted_whatever_the_pieces(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
            piece in 1usize..20,
            until in 0u64..9,
        ) {
            for (fields, of_each) in [(Fields::Value, 1), (Fields::KeyValue, 2)] {
                let format = Format::Sequence(SequenceRecords { fields, framing: Framing::Length });
                let (mut stream, mut ends) = (Vec::new(), vec![0]);
                for record in &records {
                    for _ in 0..of_each {
                        stream.extend(u32::try_from(record.len()).unwrap().to_le_bytes());
                        stream.extend(record);
                    }
                    ends.push(stream.len() as u64);
                }
                let mut counter = Counter::new(&format).unwrap();
                let used: usize = stream.chunks(piece).map(|piece| counter.advance(piece, until)).sum();
                counter.finish();
                let counted = until.min(records.len() as u64);
                prop_assert_eq!(counter.records(), counted);
                prop_assert_eq!(counter.boundary(), ends[usize::try_from(counted).unwrap()]);
                prop_assert_eq!(used as u64, if until > counted { stream.len() as u64 } else { counter.boundary() });
            }
        }

        #[test]
        fn it_stops_right_behind_a_record(text in "[ab\r\n|]{0,40}", piece in 1usize..7, wanted in 0u64..12) {
            let bytes = text.as_bytes();
            for format in formats() {
                let mut counter = Counter::new(&format).unwrap();
                let mut used = 0;
                for piece in bytes.chunks(piece) {
                    let n = counter.advance(piece, wanted);
                    used += n;
                    if n < piece.len() {
                        break;
                    }
                }
                counter.finish();
                let ends = ends(&format, bytes);
                let end = match usize::try_from(wanted).unwrap() {
                    0 => 0,
                    n => ends.get(n - 1).copied().unwrap_or(bytes.len() as u64),
                };
                prop_assert_eq!(used as u64, end, "{:?}", format);
            }
        }
    }
}
