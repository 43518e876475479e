//! bzip2 streams, one or more to a file.

use bzip2::{Decompress, Error, Status};

use crate::Reason;
use crate::decoder::{Fault, Steps};
use crate::gather::Gather;

pub(crate) struct Bzip2 {
    /// The stream's first bytes, looked at before they go on.
    header: Gather,
    /// How many of them have gone on.
    given: usize,
    /// The stream in hand.
    stream: Option<Decompress>,
    any: bool,
}

const HEADER: usize = 4;

impl Bzip2 {
    pub(crate) fn new() -> Self {
        Self { header: Gather::default(), given: 0, stream: None, any: false }
    }

    fn is_header(bytes: &[u8]) -> bool {
        let known = b"BZh";
        let seen = bytes.len().min(known.len());
        bytes[..seen] == known[..seen] && bytes.get(3).is_none_or(|level| (b'1'..=b'9').contains(level))
    }

    fn begin(&mut self, input: &[u8]) -> Result<Option<usize>, Fault> {
        if input.is_empty() {
            return Ok(None);
        }
        let n = self.header.take(HEADER, input);
        if !Self::is_header(self.header.bytes()) {
            let reason = if self.any { Reason::Trailing("stream") } else { Reason::NotThis { found: None } };
            return Err(reason.into());
        }
        if self.header.len() == HEADER {
            (self.stream, self.given) = (Some(Decompress::new(false)), 0);
        }
        Ok(Some(n))
    }
}

impl Steps for Bzip2 {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, Fault> {
        let Some(stream) = &mut self.stream else { return self.begin(input) };
        let from_header = self.given < self.header.len();
        let input = if from_header { &self.header.bytes()[self.given..] } else { input };
        let (before, given) = (stream.total_in(), out.len());
        let result = stream.decompress_vec(input, out);
        let taken = usize::try_from(stream.total_in() - before).unwrap_or(0);
        match result {
            Ok(Status::StreamEnd) => {
                (self.stream, self.any, self.given) = (None, true, 0);
                self.header.clear();
                Ok(Some(if from_header { 0 } else { taken }))
            }
            Ok(Status::MemNeeded) => Err(Reason::Unsupported("more memory than there is").into()),
            Ok(_) if taken == 0 && out.len() == given => Ok(None),
            Ok(_) if from_header => {
                self.given += taken;
                Ok(Some(0))
            }
            Ok(_) => Ok(Some(taken)),
            Err(error) => {
                let reason = match error {
                    Error::Data => Reason::damaged("a block's content or checksum is wrong"),
                    Error::DataMagic => Reason::damaged("no block begins where one should"),
                    Error::Sequence | Error::Param => Reason::damaged("it cannot be decoded any further"),
                };
                Err(Fault { behind: if from_header { 0 } else { taken }, reason })
            }
        }
    }

    fn open(&self) -> Option<&'static str> {
        let is_between = self.stream.is_none() && self.header.len() == 0;
        (!is_between || !self.any).then_some("a stream")
    }
}
