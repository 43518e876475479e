//! What a feed leaves behind: reports of its splits, and the files whose bytes may still be in the pipe.
//!
//! A spliced range is not copied: until the reader takes them, the bytes in the pipe are the file's own pages.
//! If the file is truncated meanwhile, the kernel clears them. So a file is looked at once more when its bytes
//! must have left the pipe. (Bytes that are overwritten in place cannot be told from what was there.)

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;

use crate::SourceError;
use crate::report::SplitReport;

/// Files kept open for a last look, at most; a pipe full of smaller files is looked at a little earlier.
const MOST_OPEN: usize = 64;

/// The aftermath of a feed.
#[derive(Debug, Default)]
pub struct Delivered {
    /// One report per delivered split, where checksums were asked for.
    pub splits: Vec<SplitReport>,
    in_pipe: VecDeque<Stretch>,
}

#[derive(Debug)]
struct Stretch {
    file: Arc<File>,
    name: String,
    /// The file must have at least this many bytes.
    needed: u64,
    /// Bytes delivered in all when its last byte was.
    until: u64,
}

impl Delivered {
    /// Notes that bytes of `file` up to `needed` went into the pipe, the last of them as byte `until` of all.
    pub(crate) fn moved(&mut self, file: &Arc<File>, name: impl FnOnce() -> String, needed: u64, until: u64) {
        match self.in_pipe.back_mut() {
            Some(last) if Arc::ptr_eq(&last.file, file) => {
                (last.needed, last.until) = (last.needed.max(needed), until);
            }
            _ => self.in_pipe.push_back(Stretch { file: Arc::clone(file), name: name(), needed, until }),
        }
    }

    /// Looks at the files whose bytes have left the pipe, now that byte `delivered` of all is in it.
    pub(crate) fn settle(&mut self, delivered: u64, pipe_size: usize) -> Result<(), SourceError> {
        while self.in_pipe.len() > MOST_OPEN
            || self.in_pipe.front().is_some_and(|first| first.until + pipe_size as u64 <= delivered)
        {
            if let Some(stretch) = self.in_pipe.pop_front() {
                stretch.check()?;
            }
        }
        Ok(())
    }

    /// Looks at the rest, when the reader has taken all bytes.
    pub(crate) fn check_sources(&mut self) -> Result<(), SourceError> {
        self.in_pipe.drain(..).try_for_each(|stretch| stretch.check())
    }
}

impl Stretch {
    fn check(&self) -> Result<(), SourceError> {
        let failed = |source| SourceError::Open { path: self.name.clone(), source };
        let end = self.file.metadata().map_err(failed)?.len();
        if end < self.needed {
            return Err(SourceError::Shrank { path: self.name.clone(), planned: self.needed, end });
        }
        Ok(())
    }
}
