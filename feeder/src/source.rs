//! Where bytes come from: ranges bounded by records, in order, each as a stretch of a file or as buffers.

mod hdfs;
mod local;

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use forebay_record::{Bound, Ending, EndingStep, Format, Search, Step, Terminator};
use forebay_split::{Span, spans};

use crate::plan::{Place, Plan};
use crate::sink::{Halt, Watch};
use crate::{DeliveryError, SourceError};

/// A range of a file that holds whole records: what one or more neighbouring splits deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordRange {
    /// The splits.
    pub(crate) span: Span,
    /// The bytes of their records.
    pub(crate) bytes: Range<u64>,
    /// What to append, for a custom delimiter and a file's end.
    pub(crate) append: Vec<u8>,
}

/// What a source yields, in this order: `Begin`, any number of `Stored` or `Bytes`, `End`; again and again.
#[derive(Debug)]
pub(crate) enum Item {
    Begin(RecordRange),
    /// A stretch of a file that can be moved without being read.
    Stored {
        file: Arc<File>,
        bytes: Range<u64>,
    },
    Bytes(Bytes),
    End,
}

/// Why a source yields nothing more.
#[derive(Debug)]
pub(crate) enum Dry {
    Failed(SourceError),
    /// The output forbids it.
    Refused(DeliveryError),
    /// A wait was ended.
    Halted(Halt),
}

impl From<SourceError> for Dry {
    fn from(error: SourceError) -> Self {
        Self::Failed(error)
    }
}

/// Longest span of neighbouring splits that is read as one range.
const LONGEST_SPAN: u64 = 64 << 20;

/// All ranges of a plan's share, once per epoch.
pub(crate) struct Source<'p> {
    plan: &'p Plan,
    spans: Vec<Span>,
    epochs_left: u64,
    next: usize,
    open: Open<'p>,
}

enum Open<'p> {
    Nothing,
    Local(local::LocalRange<'p>),
    /// A run of ranges on HDFS, fetched ahead.
    Hdfs(hdfs::Ahead),
}

impl<'p> Source<'p> {
    /// `whole_splits`: each split is a range of its own.
    pub(crate) fn new(plan: &'p Plan, epochs: u64, whole_splits: bool) -> Self {
        let longest = if whole_splits { 0 } else { LONGEST_SPAN };
        let spans: Vec<_> = spans(plan.share.iter().copied(), longest).collect();
        // An empty share is read no times, rather than many times nothing.
        let epochs_left = if spans.is_empty() { 0 } else { epochs };
        Self { plan, spans, epochs_left, next: 0, open: Open::Nothing }
    }

    /// The next item; `None` when all epochs are over. `admit` may refuse a file that is opened.
    pub(crate) fn next(
        &mut self,
        watch: &Watch,
        admit: impl Fn(&str, &File) -> Result<(), DeliveryError>,
    ) -> Result<Option<Item>, Dry> {
        loop {
            match &mut self.open {
                Open::Local(range) => match range.next() {
                    Some(item) => return Ok(Some(item)),
                    None if self.go_on_locally()? => {}
                    None => self.open = Open::Nothing,
                },
                Open::Hdfs(ahead) => match ahead.next(watch)? {
                    Some(item) => return Ok(Some(item)),
                    None => self.open = Open::Nothing,
                },
                Open::Nothing => {
                    if self.next == self.spans.len() && self.epochs_left > 0 {
                        self.epochs_left -= 1;
                        self.next = 0;
                    }
                    if self.epochs_left == 0 {
                        return Ok(None);
                    }
                    self.open_next(&admit)?;
                }
            }
        }
    }

    fn open_next(&mut self, admit: &impl Fn(&str, &File) -> Result<(), DeliveryError>) -> Result<(), Dry> {
        let span = self.spans[self.next];
        let on_hdfs = |span: &Span| matches!(self.plan.files[span.file].place, Place::Hdfs(..));
        if on_hdfs(&span) {
            let run = self.spans[self.next..].iter().take_while(|span| on_hdfs(span)).count();
            let spans = self.spans[self.next..self.next + run].to_vec();
            self.next += run;
            self.open = Open::Hdfs(hdfs::Ahead::start(self.plan, spans)?);
        } else {
            self.next += 1;
            let file = local::LocalFile::open(self.plan, span.file)?;
            admit(&self.plan.files[span.file].name(), file.file()).map_err(Dry::Refused)?;
            self.open = Open::Local(local::LocalRange::new(file, span)?);
        }
        Ok(())
    }

    /// Opens the next range in the same local file, with what is known of it.
    fn go_on_locally(&mut self) -> Result<bool, Dry> {
        let Open::Local(range) = &mut self.open else { return Ok(false) };
        match self.spans.get(self.next) {
            Some(&span) if span.file == range.file_index() => {
                self.next += 1;
                range.restart(span)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

/// Remembers the last bound of a file, so that a line longer than many splits is crossed once, and a run of
/// overlapping delimiters is looked back through once.
#[derive(Debug, Default)]
pub(crate) struct KnownBound(Option<(u64, Bound)>);

impl KnownBound {
    fn get(&self, at: u64) -> Option<u64> {
        self.0.filter(|(from, bound)| (*from..=bound.same_until).contains(&at)).map(|(_, bound)| bound.offset)
    }

    /// A search at `at` that makes use of what is known.
    fn search<'f>(&self, format: &'f Format, at: u64, file_len: u64) -> Search<'f> {
        Search::behind(format, at, file_len, self.0.map_or(0, |(_, bound)| bound.offset))
    }

    fn set(&mut self, at: u64, bound: Bound) {
        self.0 = Some((at, bound));
    }
}

/// The search for a file's ending, where one is needed: a custom delimiter, at the file's end.
fn ending<'f>(format: &'f Format, bytes: &Range<u64>, file_len: u64) -> Option<Ending<'f>> {
    match format {
        Format::Lines(terminator @ Terminator::Delimiter(_))
            if bytes.end == file_len && !bytes.is_empty() =>
        {
            // A byte order mark is not part of the first record; the offset matters only below its length.
            let begin = if bytes.start <= forebay_record::BOM.len() as u64 { bytes.start } else { 0 };
            Some(Ending::new(terminator, begin, file_len))
        }
        _ => None,
    }
}

/// Runs a search with a blocking reader.
fn run_search<E>(
    mut search: Search<'_>,
    mut read: impl FnMut(Range<u64>, &mut Vec<u8>) -> Result<(), E>,
) -> Result<Bound, E> {
    let mut buffer = Vec::new();
    let mut step = search.step();
    loop {
        match step {
            Step::Found(bound) => return Ok(bound),
            Step::Read(range) => {
                read(range, &mut buffer)?;
                step = search.feed(&buffer);
            }
        }
    }
}

/// Looks at a file's ending with a blocking reader.
fn run_ending<E>(
    mut ending: Ending<'_>,
    mut read: impl FnMut(Range<u64>, &mut Vec<u8>) -> Result<(), E>,
) -> Result<Vec<u8>, E> {
    let mut buffer = Vec::new();
    let mut step = ending.step();
    loop {
        match step {
            EndingStep::Append(bytes) => return Ok(bytes),
            EndingStep::Read(range) => {
                read(range, &mut buffer)?;
                step = ending.feed(&buffer);
            }
        }
    }
}
