//! Tar archives: whether they are whole, by their headers alone, and which samples they begin and end with.
//!
//! An archive's headers are looked at one after the other, to the two blocks of zeros that end it, before any of it is
//! delivered. What is delivered is all before those blocks, so that archives one behind the other are one.

mod header;

use core::ops::Range;

use self::header::{BLOCK, Extended, Header, Kind, attributes, long_name, sample};
use crate::delimiter::index;

/// Most bytes of an extended header or a long name.
const MOST: u64 = 1 << 20;
/// Bytes of one read where headers lie close to each other: at first, and at most.
const FIRST_CHUNK: u64 = 4 << 10;
const MAX_CHUNK: u64 = 256 << 10;
/// Bytes of one read where only zeros are to come.
const ZEROS: u64 = 1 << 20;

/// What an archive holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Where its entries end and the zeros begin, in bytes.
    pub end: u64,
    /// The keys of its first and its last sample; `None` without files.
    pub samples: Option<Samples>,
}

/// The keys of the first and the last sample of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples {
    /// The first one's.
    pub first: Vec<u8>,
    /// The last one's.
    pub last: Vec<u8>,
}

/// What a [`TarScan`] needs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TarStep {
    /// Read exactly this range of the file (never empty, never past its length) and feed it.
    Read(Range<u64>),
    /// All of the archive is there.
    Found(Archive),
}

/// A file that is no tar archive, or not a whole one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {reason}")]
pub struct TarError {
    /// Offset in the file, in bytes, of the header in question.
    pub offset: u64,
    /// What is wrong.
    pub reason: TarReason,
}

/// What is wrong with an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TarReason {
    /// The first bytes are no header.
    #[error("it does not begin like one, with a header that matches its checksum")]
    NotThis,
    /// A later header does not match.
    #[error("a header does not match its checksum")]
    Checksum,
    /// The file ends where it cannot.
    #[error("it ends in the middle of {0}")]
    Truncated(&'static str),
    /// The file ends behind an entry.
    #[error("it ends without the two blocks of zeros that end an archive")]
    NoEnd,
    /// The zeros are not the last.
    #[error("something follows the blocks of zeros that end it, which readers would not see")]
    Trailing,
    /// No writer writes this.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// A feature that is not read.
    #[error("it has {0}, which is not read; write it again without")]
    Unsupported(&'static str),
}

/// Looks at all headers of an archive. See [`TarStep`].
#[derive(Debug)]
pub struct TarScan {
    file_len: u64,
    /// Where headers are further from each other than this, in bytes, each is read by itself.
    gap: u64,
    /// The next header, or what it is about.
    at: u64,
    state: State,
    chunk: u64,
    /// What was told of the entry whose header comes next.
    extended: Extended,
    samples: Option<Samples>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Header,
    /// So many bytes behind a header of this kind.
    Content(Kind, u64),
    /// Zeros from an archive's end on; they have been seen up to here.
    Zeros(u64),
    Found,
}

impl TarScan {
    /// Begins with a file of so many bytes. `gap`: how many bytes the reader rather reads than asks once more.
    pub fn new(file_len: u64, gap: u64) -> Self {
        Self {
            file_len,
            gap,
            at: 0,
            state: State::Header,
            chunk: FIRST_CHUNK,
            extended: Extended::default(),
            samples: None,
        }
    }

    /// What is needed now.
    pub fn step(&self) -> Result<TarStep, TarError> {
        let (from, len) = match self.state {
            State::Header if self.at == self.file_len => return Err(self.error(TarReason::NoEnd)),
            State::Header if self.file_len - self.at < BLOCK => {
                let is_first = self.at == 0;
                let reason = if is_first { TarReason::NotThis } else { TarReason::Truncated("a header") };
                return Err(self.error(reason));
            }
            State::Header => (self.at, self.chunk),
            State::Content(_, len) => (self.at + BLOCK, len),
            State::Zeros(from) => (from, ZEROS),
            State::Found => {
                return Ok(TarStep::Found(Archive { end: self.at, samples: self.samples.clone() }));
            }
        };
        Ok(TarStep::Read(from..from.saturating_add(len).min(self.file_len)))
    }

    /// Takes the bytes of the range that [`TarScan::step`] named, and gives the next step.
    ///
    /// # Panics
    /// If `bytes` is not as long as the range asked for.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<TarStep, TarError> {
        if let TarStep::Read(range) = self.step()? {
            assert_eq!(bytes.len() as u64, range.end - range.start, "it is fed just what it asked for");
            match self.state {
                State::Header => self.headers(range.start, bytes)?,
                State::Content(kind, len) => self.content(kind, len, bytes)?,
                State::Zeros(from) => self.zeros(from, bytes)?,
                State::Found => {}
            }
        }
        self.step()
    }

    /// As many headers as there are in these bytes, one of them at least.
    fn headers(&mut self, from: u64, bytes: &[u8]) -> Result<(), TarError> {
        self.chunk = (2 * self.chunk).min(MAX_CHUNK.max(self.gap));
        let part = |at: u64, len: u64| {
            let at = index(at.checked_sub(from)?);
            bytes.get(at..at.checked_add(index(len))?)
        };
        loop {
            match self.state {
                State::Header => {
                    let Some(block) = part(self.at, BLOCK).and_then(<[u8]>::first_chunk) else {
                        return Ok(());
                    };
                    self.header(block)?;
                }
                State::Content(kind, len) => {
                    let Some(content) = part(self.at + BLOCK, len) else { return Ok(()) };
                    self.content(kind, len, content)?;
                }
                State::Zeros(_) | State::Found => return Ok(()),
            }
        }
    }

    fn header(&mut self, block: &[u8; header::LEN]) -> Result<(), TarError> {
        if block.iter().all(|&byte| byte == 0) {
            if self.extended != Extended::default() {
                return Err(self.error(TarReason::Damaged("an extended header without an entry")));
            }
            self.state = State::Zeros(self.at + BLOCK);
            if self.file_len < self.at + 2 * BLOCK {
                return Err(self.error(TarReason::Truncated("the two blocks of zeros that end an archive")));
            }
            return Ok(());
        }
        let header = Header::parse(block).map_err(|reason| match reason {
            TarReason::Checksum if self.at == 0 => self.error(TarReason::NotThis),
            reason => self.error(reason),
        })?;
        if header.kind.is_about_another() {
            if header.size > MOST {
                return Err(self.error(TarReason::Damaged("an extended header of more than 1 MiB")));
            }
            self.end_of(header.size)?;
            if header.size == 0 {
                return self.content(header.kind, 0, &[]);
            }
            self.state = State::Content(header.kind, header.size);
            return Ok(());
        }
        let told = core::mem::take(&mut self.extended);
        let size = told.size.unwrap_or(header.size);
        if header.kind == Kind::Dataless && size > 0 {
            return Err(self.error(TarReason::Damaged("an entry of a kind that has no content, with a size")));
        }
        if header.kind == Kind::File {
            let key = sample(&told.path.unwrap_or(header.path)).to_vec();
            let first = self.samples.take().map_or_else(|| key.clone(), |samples| samples.first);
            self.samples = Some(Samples { first, last: key });
        }
        let end = self.end_of(size)?;
        if size > self.gap {
            self.chunk = BLOCK;
        }
        self.at = end;
        Ok(())
    }

    /// Where the content of the header in hand ends, with what fills its last block up.
    fn end_of(&self, size: u64) -> Result<u64, TarError> {
        let blocks = size.div_ceil(BLOCK) + 1;
        let end = blocks.checked_mul(BLOCK).and_then(|len| self.at.checked_add(len));
        end.filter(|&end| end <= self.file_len).ok_or_else(|| self.error(TarReason::Truncated("an entry")))
    }

    /// What stands behind a header that is about others.
    fn content(&mut self, kind: Kind, len: u64, bytes: &[u8]) -> Result<(), TarError> {
        let told = match kind {
            Kind::Attributes => attributes(bytes, &mut self.extended),
            Kind::GlobalAttributes => {
                let mut of_all = Extended::default();
                match attributes(bytes, &mut of_all) {
                    Ok(()) if of_all != Extended::default() => {
                        Err(TarReason::Unsupported("a path or a size for all that follows"))
                    }
                    told => told,
                }
            }
            Kind::LongName => {
                self.extended.name(long_name(bytes));
                Ok(())
            }
            Kind::LongLink | Kind::File | Kind::Dataless | Kind::Other => Ok(()),
        };
        told.map_err(|reason| self.error(reason))?;
        if kind != Kind::GlobalAttributes {
            self.extended.any = true;
        }
        self.at = self.end_of(len)?;
        self.state = State::Header;
        Ok(())
    }

    fn zeros(&mut self, from: u64, bytes: &[u8]) -> Result<(), TarError> {
        if let Some(other) = bytes.iter().position(|&byte| byte != 0) {
            return Err(TarError { offset: from + other as u64, reason: TarReason::Trailing });
        }
        let seen = from + bytes.len() as u64;
        self.state = if seen == self.file_len { State::Found } else { State::Zeros(seen) };
        Ok(())
    }

    fn error(&self, reason: TarReason) -> TarError {
        TarError { offset: self.at, reason }
    }
}

#[cfg(test)]
#[path = "tar/tests.rs"]
mod tests;
