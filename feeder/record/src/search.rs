//! Bounding a split: the first record start that belongs to the split beginning at an offset.
//!
//! A split `[s, e)` of a file delivers `[search(s), search(e))`, so neighbouring splits meet without a gap
//! or an overlap whatever their size, and each search costs what it reads: up to the end of the line that
//! stands across the offset.

use std::ops::Range;

use memchr::{memchr2, memmem};

use crate::delimiter::{LookBack, index};
use crate::sequence::MOST;
use crate::{BOM, Delimiter, Format, Header, HeaderError, HeaderReason, Terminator};

/// Where the records of a split begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The split that begins at the searched offset delivers from here.
    pub offset: u64,
    /// Searching from any offset in `[searched, same_until]` gives this bound again; lets a caller cross a
    /// line that is longer than many splits at the cost of reading it once.
    pub same_until: u64,
}

/// What a search needs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Read exactly this range of the file (never empty, never past its length) and feed it.
    Read(Range<u64>),
    /// The search is over.
    Found(Bound),
    /// The file has no such records.
    Failed(HeaderError),
}

/// A search for the first record start of the split that begins at an offset. See [`Step`].
#[derive(Debug)]
pub struct Search<'f> {
    format: &'f Format,
    at: u64,
    file_len: u64,
    state: State,
    chunk: u64,
    header: Option<Header>,
}

#[derive(Debug)]
enum State {
    Found(Bound),
    Mark,
    /// Scanning for `\n` or `\r`; `after_cr`: the byte before `from` is a `\r`.
    AnyFrom {
        from: u64,
        after_cr: bool,
    },
    LookBack(LookBack),
    /// Cutting by the delimiter, an occurrence may begin at `from` or later.
    DelimiterFrom(u64),
    /// Reading a container's header, as much as its first chunks.
    Header,
    /// Scanning for the sync marker, which may begin at this offset or later.
    MarkerFrom(u64),
    Failed(HeaderError),
}

impl<'f> Search<'f> {
    const FIRST_CHUNK: u64 = 4 << 10;
    const MAX_CHUNK: u64 = 1 << 20;

    /// Begins a search at `at` in a file of `file_len` bytes.
    pub fn new(format: &'f Format, at: u64, file_len: u64) -> Self {
        Self::behind(format, at, file_len, 0)
    }

    /// Begins a search that need not look back behind `known`, a bound found before in the same file (or 0).
    /// A known bound beyond `at` is of no use and is ignored.
    pub fn behind(format: &'f Format, at: u64, file_len: u64, known: u64) -> Self {
        let known = if known <= at { known } else { 0 };
        let found = |offset: u64| State::Found(Bound { offset: offset.min(file_len), same_until: at });
        let state = match format {
            _ if at >= file_len => State::Found(Bound { offset: file_len, same_until: u64::MAX }),
            // Of TFRecords an `Extent` finds the bounds, of archives a `TarScan`.
            Format::Bytes | Format::TfRecord | Format::Tar => found(at),
            Format::Fixed(n) => found(at.div_ceil(n.get()).saturating_mul(n.get())),
            Format::Lines(_) if at == 0 => State::Mark,
            Format::Lines(Terminator::Any) => State::AnyFrom { from: at, after_cr: false },
            Format::Lines(Terminator::Delimiter(d)) if d.overlaps_itself() => {
                State::LookBack(LookBack::new(at, known))
            }
            Format::Lines(Terminator::Delimiter(_)) => State::DelimiterFrom(at),
            Format::Sequence(_) | Format::Avro(_) => State::Header,
        };
        Self { format, at, file_len, state, chunk: Self::FIRST_CHUNK, header: None }
    }

    /// The same search in a file whose header is known.
    #[must_use]
    pub fn with_header(mut self, header: Header) -> Self {
        if let State::Header = self.state {
            self.state = self.behind_header(&header);
        }
        self.header = Some(header);
        self
    }

    /// The file's header, if it has one and it was read.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// What the search needs now.
    pub fn step(&self) -> Step {
        match &self.state {
            State::Found(bound) => Step::Found(*bound),
            State::Mark => Step::Read(0..self.file_len.min(BOM.len() as u64)),
            State::AnyFrom { from, .. } | State::MarkerFrom(from) => {
                Step::Read(self.ahead(*from, self.chunk))
            }
            State::LookBack(back) => Step::Read(back.wants(self.delimiter(), self.file_len)),
            State::DelimiterFrom(from) => {
                Step::Read(self.ahead(*from, self.chunk.max(2 * self.delimiter().len() as u64)))
            }
            State::Header => Step::Read(self.ahead(0, self.chunk)),
            State::Failed(error) => Step::Failed(error.clone()),
        }
    }

    /// Takes the bytes of the range that [`Search::step`] named, and gives the next step.
    ///
    /// # Panics
    /// If `bytes` is not as long as the range asked for.
    pub fn feed(&mut self, bytes: &[u8]) -> Step {
        if let Step::Read(range) = self.step() {
            assert_eq!(bytes.len() as u64, range.end - range.start, "a search is fed just what it asked for");
            self.state = match std::mem::replace(&mut self.state, State::Mark) {
                State::Found(bound) => State::Found(bound),
                State::Mark => {
                    let offset = if bytes == BOM { BOM.len() as u64 } else { 0 };
                    State::Found(Bound { offset, same_until: 0 })
                }
                State::AnyFrom { from, after_cr } => self.scan_any(from, after_cr, bytes),
                State::LookBack(mut back) => match back.feed(self.delimiter(), range.start, bytes) {
                    Some(safe) => State::DelimiterFrom(safe),
                    None => State::LookBack(back),
                },
                State::DelimiterFrom(from) => self.scan_delimiter(from, bytes),
                State::Header => self.read_header(bytes),
                State::MarkerFrom(from) => self.scan_marker(from, bytes),
                State::Failed(error) => State::Failed(error),
            };
            // Headers are read from their beginning each time.
            let most = if let State::Header = self.state { MOST } else { Self::MAX_CHUNK };
            self.chunk = (self.chunk * 4).min(most);
        }
        self.step()
    }

    fn scan_any(&self, from: u64, after_cr: bool, bytes: &[u8]) -> State {
        let end = from + bytes.len() as u64;
        // Every offset before the next record's start, the terminator's own bytes included, finds it too.
        let found = |offset: u64| State::Found(Bound { offset, same_until: offset - 1 });
        if after_cr {
            return found(from + u64::from(bytes[0] == b'\n'));
        }
        let Some(i) = memchr2(b'\n', b'\r', bytes) else {
            return self.unless_at_end(end, State::AnyFrom { from: end, after_cr: false });
        };
        let behind = from + i as u64 + 1;
        match (bytes[i], bytes.get(i + 1)) {
            (b'\r', Some(b'\n')) => found(behind + 1),
            (b'\r', None) if end < self.file_len => State::AnyFrom { from: end, after_cr: true },
            _ => found(behind),
        }
    }

    fn scan_delimiter(&self, mut from: u64, bytes: &[u8]) -> State {
        let delimiter = self.delimiter();
        let begin = from;
        let end = begin + bytes.len() as u64;
        while let Some(i) = delimiter.find(&bytes[index(from - begin)..]) {
            let occurrence = from + i as u64;
            from = occurrence + delimiter.len() as u64;
            if occurrence >= self.at {
                return State::Found(Bound { offset: from, same_until: occurrence });
            }
        }
        // The last bytes may begin an occurrence: they are looked at again together with what follows.
        let again = end.saturating_sub(delimiter.len() as u64 - 1);
        self.unless_at_end(end, State::DelimiterFrom(from.max(again)))
    }

    fn read_header(&mut self, bytes: &[u8]) -> State {
        let seen = bytes.len() as u64;
        let failed = |reason| State::Failed(HeaderError { offset: seen, reason });
        match Header::parse(self.format, bytes) {
            Ok(Some(header)) => {
                let state = self.behind_header(&header);
                self.header = Some(header);
                state
            }
            Ok(None) if seen == self.file_len => failed(HeaderReason::Truncated),
            Ok(None) if seen >= MOST => failed(HeaderReason::TooLong),
            Ok(None) => State::Header,
            Err(error) => State::Failed(error),
        }
    }

    /// What follows the header needs no marker before it but the header's own.
    fn behind_header(&self, header: &Header) -> State {
        if self.at <= header.owner() {
            State::Found(Bound { offset: header.end(), same_until: header.owner() })
        } else {
            State::MarkerFrom(self.at)
        }
    }

    fn scan_marker(&self, from: u64, bytes: &[u8]) -> State {
        let Some(mark) = self.header.as_ref().map(Header::mark) else { return State::Header };
        if let Some(i) = memmem::find(bytes, &mark.bytes) {
            let same_until = from + i as u64;
            return State::Found(Bound { offset: same_until + mark.before as u64, same_until });
        }
        let end = from + bytes.len() as u64;
        let again = end.saturating_sub(mark.bytes.len() as u64 - 1);
        self.unless_at_end(end, State::MarkerFrom(from.max(again)))
    }

    fn unless_at_end(&self, seen: u64, more: State) -> State {
        if seen < self.file_len {
            more
        } else {
            State::Found(Bound { offset: self.file_len, same_until: u64::MAX })
        }
    }

    fn ahead(&self, from: u64, len: u64) -> Range<u64> {
        from..from.saturating_add(len).min(self.file_len)
    }

    fn delimiter(&self) -> &'f Delimiter {
        match self.format {
            Format::Lines(Terminator::Delimiter(delimiter)) => delimiter,
            _ => unreachable!("only a search by delimiter is in a delimiter's state"),
        }
    }
}

#[cfg(test)]
#[path = "search/tests.rs"]
mod tests;
