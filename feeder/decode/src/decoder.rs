//! One file's decoder, whichever codec or format it has.

use core::fmt;

use std::sync::Arc;

use forebay_record::{AvroHeader, Framing, SequenceHeader, SequenceRecords};

use crate::avro::{Avro, AvroSchema};
use crate::bzip2::Bzip2;
use crate::hadoop::Hadoop;
use crate::lz4::{Lz4Block, Lz4Frame};
use crate::sequence::Sequence;
use crate::snappy::{SnappyBlock, SnappyFrame};
use crate::zlib::{Gzip, Zlib};
use crate::zstd::Zstd;
use crate::{Codec, DecodeError, Reason};

/// What a step found wrong, so many bytes behind the beginning of its input.
pub(crate) struct Fault {
    pub(crate) behind: usize,
    pub(crate) reason: Reason,
}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Self {
        Self { behind: 0, reason }
    }
}

/// What a format's reader does.
pub(crate) trait Steps {
    /// Takes bytes from the beginning of `input` and appends what they decode to, within `out`'s capacity, of which
    /// some is left. Gives the number of bytes taken, which may be 0 when it has come further in another way; `None` when
    /// nothing can be done without more of them.
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, Fault>;

    /// What the file would be cut off in if it ended here, and all has been given.
    fn open(&self) -> Option<&'static str>;
}

/// Decodes one file, fed in pieces of any length.
pub struct Decoder {
    /// `None` for what is no compressed file as a whole.
    codec: Option<Codec>,
    /// The first bytes, until they have told which form the file has.
    head: Vec<u8>,
    /// How many of them the reader has taken.
    taken: usize,
    steps: Option<Box<dyn Steps + Send>>,
    /// Offset in the file of what the reader takes next.
    at: u64,
}

impl Decoder {
    /// A decoder for a file that has to be of this format.
    pub fn new(codec: Codec) -> Self {
        Self { codec: Some(codec), head: Vec::new(), taken: 0, steps: None, at: 0 }
    }

    /// A decoder for records of a SequenceFile with this header, from a sync marker at `at` on, or from the header's end. Where the
    /// records end before the file does, what follows has to begin with a sync marker, too.
    pub fn of_sequence(
        header: &SequenceHeader,
        records: SequenceRecords,
        at: u64,
    ) -> Result<Self, DecodeError> {
        let sequence = Sequence::new(header, records).map_err(|reason| DecodeError { offset: 0, reason })?;
        Ok(Self::behind(Box::new(sequence), at))
    }

    /// A decoder for records of an Avro file with this header and its schema, from a block's beginning at `at` on.
    pub fn of_avro(
        header: &AvroHeader,
        schema: Arc<AvroSchema>,
        framing: Framing,
        at: u64,
    ) -> Result<Self, DecodeError> {
        let avro = Avro::new(header, schema, framing).map_err(|reason| DecodeError { offset: 0, reason })?;
        Ok(Self::behind(Box::new(avro), at))
    }

    fn behind(steps: Box<dyn Steps + Send>, at: u64) -> Self {
        Self { codec: None, head: Vec::new(), taken: 0, steps: Some(steps), at }
    }

    /// Takes the file's next bytes and appends what they decode to, within `out`'s capacity. Gives the number of bytes
    /// taken: all, unless there is no more room. More of what was taken may come out at the next call.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, DecodeError> {
        let mut used = 0;
        if self.steps.is_none() {
            used = (Codec::HEAD - self.head.len()).min(input.len());
            self.head.extend_from_slice(&input[..used]);
            if self.head.len() < Codec::HEAD {
                return Ok(used);
            }
            self.begin()?;
        }
        self.decode_head(out)?;
        if self.taken < self.head.len() {
            return Ok(used);
        }
        used += self.advance(&input[used..], out)?;
        Ok(used)
    }

    /// The file has ended: appends what is left within `out`'s capacity. `true`: that was all. `false`: there was no
    /// more room. A file that may not end here is an error.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<bool, DecodeError> {
        if self.steps.is_none() {
            self.begin()?;
        }
        self.decode_head(out)?;
        self.advance(&[], out)?;
        if out.len() == out.capacity() {
            return Ok(false);
        }
        match self.steps.as_ref().and_then(|steps| steps.open()) {
            None => Ok(true),
            Some(what) => Err(self.error(Reason::Truncated(what))),
        }
    }

    /// The first bytes are there: the form of the file is known.
    fn begin(&mut self) -> Result<(), DecodeError> {
        let Some(codec) = self.codec else { return Ok(()) };
        let found = Codec::of_head(&self.head);
        if found.is_some_and(|found| found != codec) {
            return Err(self.error(Reason::NotThis { found }));
        }
        self.steps = Some(match codec {
            Codec::Gzip => Box::new(Gzip::new()),
            Codec::Deflate => Box::new(Zlib::new()),
            Codec::Zstd => Box::new(Zstd::new().map_err(|reason| self.error(reason))?),
            Codec::Bzip2 => Box::new(Bzip2::new()),
            Codec::Snappy if SnappyFrame::begins(&self.head) => Box::new(SnappyFrame::new()),
            Codec::Snappy => Box::new(Hadoop::new(SnappyBlock::new())),
            Codec::Lz4 if Lz4Frame::begins(&self.head) => Box::new(Lz4Frame::new()),
            Codec::Lz4 => Box::new(Hadoop::new(Lz4Block)),
        });
        Ok(())
    }

    fn decode_head(&mut self, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        if self.taken < self.head.len() {
            let head = std::mem::take(&mut self.head);
            let result = self.advance(&head[self.taken..], out);
            self.head = head;
            self.taken += result?;
        }
        Ok(())
    }

    fn advance(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, DecodeError> {
        let mut used = 0;
        let Some(steps) = &mut self.steps else { return Ok(0) };
        let result = loop {
            if out.len() == out.capacity() {
                break Ok(());
            }
            match steps.step(&input[used..], out) {
                Ok(Some(n)) => {
                    used += n;
                    self.at += n as u64;
                }
                Ok(None) if used == input.len() => break Ok(()),
                Ok(None) => break Err(Reason::damaged("it cannot be decoded any further")),
                Err(Fault { behind, reason }) => {
                    self.at += behind as u64;
                    break Err(reason);
                }
            }
        };
        result.map_err(|reason| self.error(reason))?;
        Ok(used)
    }

    fn error(&self, reason: Reason) -> DecodeError {
        DecodeError { offset: self.at, reason }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("codec", &self.codec).field("at", &self.at).finish_non_exhaustive()
    }
}
