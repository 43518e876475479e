//! Which records of a TFRecord file are a split's: those that begin in it.
//!
//! Where a split's first record begins is found by looking for a header from the split's beginning on. One that the chain of
//! headers from there bears out, to the split's end and 1 MiB further or exactly to the file's end, is taken; one whose chain
//! breaks was part of a payload, and the next is tried. (A payload of eight bytes and its checksum look like a header, and are told by
//! the header before them.) Two things are looked at besides:
//!
//! - A record that begins before the split must end exactly where the split's first one begins. Were the header of the true
//!   first record damaged, a later one would be found, and to it no record leads. So a split that would lack a record knows it
//!   by itself, and a false start is told from damage: the record that it is part of is there.
//! - The chain from the split's first record says where its last one ends, which is where the next split has to begin. Whoever
//!   has that split looks for its beginning from its own end on; so all headers in between, which only the payload of the
//!   split's last record can hold, are tried as they will be tried there.
//!
//! So neighbours agree, or a feed fails. A search from a split's end would take the first place there that is borne out; the places
//! before the one that this split's chain names are tried here as they would be there, and the chain bears out that one. Should it
//! break further on, in the next split, then that split does not take it and finds, by the first rule, that a record is missing.

use core::ops::Range;

use super::{HEADER, TfRecordError, end_of, find, find_ending_at, header, is_payload_of_eight};
use crate::delimiter::index;

/// What a chain of headers has to hold for behind a split's end, in bytes.
const FURTHER: u64 = 1 << 20;
/// Bytes of one read where headers lie close to each other.
const CHUNK: u64 = 256 << 10;
const FIRST_CHUNK: u64 = 4 << 10;
const MAX_CHUNK: u64 = 1 << 20;

/// A split's place in its file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitPlace {
    /// Its first byte.
    pub start: u64,
    /// Behind its last byte.
    pub end: u64,
    /// Behind the last byte of the split that follows it.
    pub next_end: u64,
    /// The file's length.
    pub file_len: u64,
}

/// What an [`Extent`] needs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtentStep {
    /// Read exactly this range of the file (never empty, never past its length) and feed it.
    Read(Range<u64>),
    /// The bytes of the split's records.
    Found(Range<u64>),
}

/// A search for the records of a split of a TFRecord file. See [`ExtentStep`].
#[derive(Debug)]
pub struct Extent {
    place: SplitPlace,
    /// Where headers are further from each other than this, in bytes, each is read by itself.
    gap: u64,
    /// Bytes of one read where they are not.
    pub(super) dense: u64,
    /// How much further than a split's end a chain has to hold, in bytes.
    pub(super) further: u64,
    state: State,
    /// The split's own records, once they are known; then it is the next split whose beginning is looked for.
    own: Option<Range<u64>>,
    /// Chains that broke: the header of each that the search meets next.
    doomed: Vec<u64>,
    /// How the first of them broke.
    broken: Option<TfRecordError>,
    chunk: u64,
}

#[derive(Debug, Clone)]
enum State {
    /// Looking for a header from here on, with some bytes before it in sight.
    Scan {
        from: u64,
        back: u64,
    },
    Chain(Chain),
    /// Looking for the record that ends where `own` begins, with a header before `below`.
    Proof {
        own: Range<u64>,
        below: u64,
    },
    Found,
}

/// Headers that lead from one to the next.
#[derive(Debug, Clone)]
struct Chain {
    start: u64,
    /// Where the next header is.
    at: u64,
    /// The first record that begins at the split's end or behind it.
    crossed: Option<u64>,
    /// Whether a record is known to begin at `start`.
    certain: bool,
    /// Whether the last record was longer than a gap.
    sparse: bool,
}

impl Extent {
    /// Begins for a split. `known`: the first record that begins in it or behind it, if that is known from the split before.
    /// `gap`: how many bytes the reader rather reads than asks once more.
    pub fn new(place: SplitPlace, known: Option<u64>, gap: u64) -> Self {
        let SplitPlace { start, end, file_len, .. } = place;
        let (mut own, mut state) = (None, State::scan(start));
        match if start == 0 { Some(0) } else { known } {
            _ if start >= file_len => (own, state) = (Some(file_len..file_len), State::Found),
            // No record begins in it.
            Some(known) if known >= end => (own, state) = (Some(known..known), State::Found),
            Some(known) => state = State::Chain(Chain::new(known, true)),
            None => {}
        }
        Self {
            place,
            gap,
            dense: CHUNK.max(gap),
            further: FURTHER,
            state,
            own,
            doomed: Vec::new(),
            broken: None,
            chunk: FIRST_CHUNK,
        }
    }

    /// The same, and chains have to hold for so many bytes behind a split's end.
    #[cfg(fuzzing)]
    #[must_use]
    pub fn with_further(self, further: u64) -> Self {
        Self { further, ..self }
    }

    /// What it needs now.
    pub fn step(&self) -> ExtentStep {
        let file_len = self.place.file_len;
        ExtentStep::Read(match &self.state {
            State::Found => return ExtentStep::Found(self.own.clone().unwrap_or(file_len..file_len)),
            State::Scan { from, back } => {
                from.saturating_sub(*back)..from.saturating_add(self.chunk).min(self.scan_end())
            }
            State::Chain(chain) => {
                let most = if chain.sparse { HEADER as u64 } else { self.dense };
                let need = self.need(chain).saturating_add(HEADER as u64);
                chain.at..chain.at.saturating_add(most).min(need).min(file_len)
            }
            State::Proof { below, .. } => {
                let from = below.saturating_sub(self.chunk);
                from..below.saturating_add(HEADER as u64 - 1).min(file_len)
            }
        })
    }

    /// Takes the bytes of the range that [`Extent::step`] named, and gives the next step.
    ///
    /// # Panics
    /// If `bytes` is not as long as the range asked for.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<ExtentStep, TfRecordError> {
        if let ExtentStep::Read(range) = self.step() {
            assert_eq!(
                bytes.len() as u64,
                range.end - range.start,
                "an extent is fed just what it asked for"
            );
            match core::mem::replace(&mut self.state, State::Found) {
                State::Found => {}
                State::Scan { from, back } => self.scan(from, back, range.start, bytes),
                State::Chain(chain) => self.walk(chain, bytes)?,
                State::Proof { own, below } => self.prove(own, below, range.start, bytes)?,
            }
        }
        Ok(self.step())
    }

    /// How far a search looks for headers: up to the file's end, or up to what is known to be the next split's first one.
    fn scan_end(&self) -> u64 {
        let known = self.own.as_ref().map(|own| own.end.saturating_add(HEADER as u64 - 1));
        known.unwrap_or(u64::MAX).min(self.place.file_len)
    }

    /// How far a chain has to hold, if the file does not end before.
    fn need(&self, chain: &Chain) -> u64 {
        let end = if self.own.is_some() { self.place.next_end } else { self.place.end };
        end.max(chain.start).saturating_add(self.further)
    }

    fn scan(&mut self, from: u64, back: u64, begin: u64, bytes: &[u8]) {
        let mut i = index(from - begin);
        while let Some((found, end)) = find(&bytes[i..], begin + i as u64, self.place.file_len) {
            let at = begin + (i + found) as u64;
            match is_payload_of_eight(&bytes[..i + found], begin == 0 || back >= MAX_CHUNK) {
                Some(false) => {}
                Some(true) => {
                    i += found + 1;
                    continue;
                }
                None => {
                    self.state = State::Scan { from: at, back: back * 4 };
                    return;
                }
            }
            i += found + 1;
            self.doomed.retain(|&doomed| doomed >= at);
            let Some(doomed) = self.doomed.iter_mut().find(|doomed| **doomed == at) else {
                self.state = State::Chain(Chain::new(at, false));
                return;
            };
            *doomed = end;
        }
        let seen = begin + bytes.len() as u64;
        if seen < self.scan_end() {
            self.chunk = (self.chunk * 4).min(MAX_CHUNK);
            self.state = State::scan(seen - (HEADER as u64 - 1));
        } else if self.own.is_none() {
            let end = self.place.file_len;
            self.look_back(end..end);
        }
    }

    /// Looks for the record that leads to these, if they are the split's.
    fn look_back(&mut self, own: Range<u64>) {
        self.chunk = FIRST_CHUNK;
        self.state = State::Proof { own, below: self.place.start };
    }

    fn walk(&mut self, mut chain: Chain, bytes: &[u8]) -> Result<(), TfRecordError> {
        let SplitPlace { end, file_len, .. } = self.place;
        let (begin, need) = (chain.at, self.need(&chain));
        loop {
            let at = chain.at;
            if at >= end {
                chain.crossed.get_or_insert(at);
            }
            if at == file_len || at >= need {
                return self.borne_out(&chain);
            }
            let rest = usize::try_from(at - begin).ok().and_then(|from| bytes.get(from..)).unwrap_or(&[]);
            if rest.len() < HEADER {
                if file_len - at < HEADER as u64 {
                    return self.breaks(&chain, TfRecordError::CutHeader { at, end: file_len });
                }
                self.state = State::Chain(chain);
                return Ok(());
            }
            let Some(len) = header(rest) else { return self.breaks(&chain, TfRecordError::Header { at }) };
            let Some(next) = end_of(at, len, file_len) else {
                return self.breaks(&chain, TfRecordError::CutRecord { at, len, end: file_len });
            };
            (chain.at, chain.sparse) = (next, next - at > self.gap);
        }
    }

    fn borne_out(&mut self, chain: &Chain) -> Result<(), TfRecordError> {
        if let Some(own) = &self.own {
            let (at, end, next) = (self.place.end, own.end, chain.start);
            return Err(TfRecordError::Apart { at, end, next });
        }
        let own = chain.start..chain.crossed.unwrap_or(chain.at);
        if chain.certain {
            self.are_known(own);
        } else {
            self.look_back(own);
        }
        Ok(())
    }

    fn breaks(&mut self, chain: &Chain, how: TfRecordError) -> Result<(), TfRecordError> {
        if chain.certain {
            return Err(how);
        }
        self.broken.get_or_insert(how);
        // Every header that it has led to would lead to the same place. The search meets them one after the other, and first
        // of all this one again.
        self.doomed.push(chain.start);
        self.chunk = FIRST_CHUNK;
        self.state = State::scan(chain.start);
        Ok(())
    }

    fn prove(&mut self, own: Range<u64>, below: u64, from: u64, bytes: &[u8]) -> Result<(), TfRecordError> {
        if find_ending_at(bytes, from, own.start).is_some_and(|i| from + (i as u64) < below) {
            self.are_known(own);
        } else if from > 0 {
            self.chunk = (self.chunk * 4).min(MAX_CHUNK);
            self.state = State::Proof { own, below: from };
        } else {
            let (at, next, file_len) = (self.place.start, own.start, self.place.file_len);
            let lost = if next == file_len {
                TfRecordError::LostEnd { at, end: file_len }
            } else {
                TfRecordError::Lost { at, next }
            };
            return Err(self.broken.take().unwrap_or(lost));
        }
        Ok(())
    }

    /// The split's own records are known: what is left is whether the next split will begin where they end.
    fn are_known(&mut self, own: Range<u64>) {
        let SplitPlace { end, file_len, .. } = self.place;
        // Where no record begins in the split, the search of its own has tried all that the next one will try.
        let met = own.end == end || own.start >= end || end >= file_len;
        self.own = Some(own);
        if !met {
            (self.doomed, self.broken, self.chunk) = (Vec::new(), None, FIRST_CHUNK);
            self.state = State::scan(end);
        }
    }
}

impl State {
    fn scan(from: u64) -> Self {
        Self::Scan { from, back: HEADER as u64 }
    }
}

impl Chain {
    fn new(start: u64, certain: bool) -> Self {
        Self { start, at: start, crossed: None, certain, sparse: true }
    }
}
