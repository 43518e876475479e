//! zstd frames, one or more to a file.

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

use crate::Reason;
use crate::decoder::{Fault, Steps};
use crate::gather::Gather;

/// The largest window taken, as a power of two: 128 MiB, what zstd's own tools take unless told otherwise.
/// (What is fuzzed may take less memory.)
const WINDOW_LOG: u32 = if cfg!(fuzzing) { 23 } else { 27 };
const HEADER: usize = 4;
const MAGIC: u32 = 0xfd2f_b528;

pub(crate) struct Zstd {
    /// The frame's first bytes, looked at before they go on.
    header: Gather,
    /// How many of them have gone on.
    given: usize,
    is_open: bool,
    /// There was a frame that is no mere company of one.
    any: bool,
    context: DCtx<'static>,
}

impl Zstd {
    pub(crate) fn new() -> Result<Self, Reason> {
        let no_memory = Reason::Unsupported("more memory than there is");
        let mut context = DCtx::try_create().ok_or(no_memory)?;
        let set = context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG));
        set.map_err(|code| Reason::damaged(get_error_name(code)))?;
        Ok(Self { header: Gather::default(), given: 0, is_open: false, any: false, context })
    }

    fn begin(&mut self, input: &[u8]) -> Result<Option<usize>, Fault> {
        if input.is_empty() {
            return Ok(None);
        }
        let n = self.header.take(HEADER, input);
        if self.header.len() == HEADER {
            if !matches!(self.header.le32(0), MAGIC | 0x184d_2a50..=0x184d_2a5f) {
                let reason =
                    if self.any { Reason::Trailing("frame") } else { Reason::NotThis { found: None } };
                return Err(reason.into());
            }
            (self.is_open, self.given) = (true, 0);
        }
        Ok(Some(n))
    }
}

impl Steps for Zstd {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, Fault> {
        if !self.is_open {
            return self.begin(input);
        }
        let from_header = self.given < self.header.len();
        let mut input =
            InBuffer::around(if from_header { &self.header.bytes()[self.given..] } else { input });
        let begin = out.len();
        let mut output = OutBuffer::around_pos(out, begin);
        let result = self.context.decompress_stream(&mut output, &mut input);
        let (taken, given) = (input.pos(), output.pos() - begin);
        let own = if from_header { 0 } else { taken };
        match result {
            Ok(0) => {
                self.any |= self.header.le32(0) == MAGIC;
                self.header.clear();
                (self.is_open, self.given) = (false, 0);
                Ok(Some(own))
            }
            Ok(_) if taken == 0 && given == 0 => Ok(None),
            Ok(_) => {
                self.given += taken - own;
                Ok(Some(own))
            }
            Err(code) => Err(Fault { behind: own, reason: reason(get_error_name(code)) }),
        }
    }

    fn open(&self) -> Option<&'static str> {
        let is_between = !self.is_open && self.header.len() == 0;
        (!is_between || !self.any).then_some("a frame")
    }
}

/// zstd's own words for what is wrong, and ours for what is only not taken.
fn reason(name: &str) -> Reason {
    match name {
        _ if name.contains("too much memory") => Reason::Unsupported("a window of more than 128 MiB"),
        _ if name.contains("Dictionary") => Reason::Unsupported("a dictionary"),
        _ if name.contains("checksum") => Reason::Mismatch("checksum of a frame"),
        _ => Reason::damaged(name),
    }
}
