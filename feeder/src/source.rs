//! Where bytes come from: ranges bounded by records, in order, each as a stretch of a file or as buffers.

pub(crate) mod hdfs;
mod local;
mod tasks;

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use forebay_decode::Codec;
use forebay_record::{
    Archive, AvroHeader, Bound, Ending, EndingStep, Extent, Format, Framing, Header, HeaderError, Samples,
    Search, SequenceHeader, SequenceRecords, SplitPlace, Step, Terminator,
};
use forebay_remote::{ReadError, Stream};
use forebay_shortcircuit::VerifyError;

pub(crate) use self::hdfs::{Hedge, Here, LocalPiece, Race, RemotePiece, Second, Won};
pub(crate) use self::tasks::{Leased, Task, Tasks};
use crate::feed::Settings;
use crate::plan::{Place, PlannedFile};
use crate::sink::{Halt, Watch};
use crate::{DeliveryError, Meter, SourceError};

/// A range of a file that holds whole records: what one or more neighbouring splits deliver.
#[derive(Debug, Clone)]
pub(crate) struct RecordRange {
    /// The splits.
    pub(crate) task: Task,
    /// The bytes of their records.
    pub(crate) bytes: Range<u64>,
    /// How these have to be decoded.
    pub(crate) coding: Option<Coding>,
    /// What to append, for a custom delimiter and a file's end.
    pub(crate) append: Vec<u8>,
    /// Of an archive, which samples it begins and ends with.
    pub(crate) samples: Option<Samples>,
}

/// What bytes are before they are decoded.
#[derive(Debug, Clone)]
pub(crate) enum Coding {
    /// A compressed file.
    Codec(Codec),
    /// Records of a SequenceFile with this header.
    Sequence(Arc<SequenceHeader>, SequenceRecords),
    /// Records of an Avro file with this header.
    Avro(Arc<AvroHeader>, Framing),
}

/// What a source yields, in this order: `Begin`, any number of `Stored` or `Bytes`, `End`; again and again.
pub(crate) enum Item {
    Begin(RecordRange),
    /// A stretch of a file that can be moved without being read.
    Stored {
        file: Arc<File>,
        bytes: Range<u64>,
    },
    Bytes(Bytes),
    /// Part of an HDFS replica of this host, or of a stretch in its cache. If it turns out to be bad, [`Source::go_around`] gives
    /// the rest of it over the network.
    Local(LocalPiece),
    /// Part of an HDFS block that a DataNode is sending. If that breaks off, [`Source::lost`] sees to the rest, which comes as
    /// another such part or as `Bytes`.
    Remote(Box<RemotePiece>, Box<Stream>),
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
pub(crate) const LONGEST_SPAN: u64 = 64 << 20;

/// The ranges of all tasks.
pub(crate) struct Source<'p> {
    tasks: Tasks<'p>,
    format: &'p Format,
    meter: &'p Arc<Meter>,
    settings: &'p Settings,
    open: Open<'p>,
}

enum Open<'p> {
    Nothing,
    Local(Box<local::LocalRange<'p>>),
    /// Ranges on HDFS, fetched ahead.
    Hdfs(Box<hdfs::Ahead>),
}

impl<'p> Source<'p> {
    pub(crate) fn new(
        tasks: Tasks<'p>,
        format: &'p Format,
        meter: &'p Arc<Meter>,
        settings: &'p Settings,
    ) -> Self {
        Self { tasks, format, meter, settings, open: Open::Nothing }
    }

    /// The next item; `None` when there are no more tasks. `admit` may refuse a file that is opened.
    pub(crate) fn next(
        &mut self,
        watch: &Watch,
        admit: impl Fn(&str, &File) -> Result<(), DeliveryError>,
    ) -> Result<Option<Item>, Dry> {
        loop {
            match &mut self.open {
                Open::Local(range) => match range.next() {
                    Some(item) => return Ok(Some(item)),
                    None if self.go_on_locally(watch)? => {}
                    None => self.open = Open::Nothing,
                },
                Open::Hdfs(ahead) => {
                    while ahead.wants_more()
                        && let Some(task) = self.tasks.next_if(PlannedFile::is_on_hdfs)
                    {
                        ahead.take(task);
                    }
                    match ahead.next(watch)? {
                        Some(item) => return Ok(Some(item)),
                        None => self.open = Open::Nothing,
                    }
                }
                Open::Nothing => match self.tasks.next(watch)? {
                    Some(task) => self.open(task, watch, &admit)?,
                    None => return Ok(None),
                },
            }
        }
    }

    /// Has a piece read ahead from `at` in its files on, and what follows it.
    pub(crate) fn read_ahead(&mut self, piece: &mut LocalPiece, at: u64) {
        if let Open::Hdfs(ahead) = &mut self.open {
            ahead.read_ahead(piece, at);
        }
    }

    /// Goes on with the rest of a local piece, from `at` in its files, over the network.
    pub(crate) fn go_around(&mut self, piece: &LocalPiece, at: u64, error: &VerifyError) {
        if let Open::Hdfs(ahead) = &mut self.open {
            ahead.go_around(piece, at, error);
        }
    }

    /// Goes on with the rest of a remote piece, from `at` in its block: the DataNode that was sending it has failed.
    pub(crate) fn lost(&mut self, piece: Box<RemotePiece>, at: u64, error: &ReadError) {
        if let Open::Hdfs(ahead) = &mut self.open {
            ahead.lost(piece, at, error);
        }
    }

    fn open(
        &mut self,
        task: Task,
        watch: &Watch,
        admit: &impl Fn(&str, &File) -> Result<(), DeliveryError>,
    ) -> Result<(), Dry> {
        if let Place::Hdfs(cluster, _) = &task.file.place {
            let cluster = Arc::clone(cluster);
            let ahead = hdfs::Ahead::start(&cluster, task, self.format, self.meter, self.settings)?;
            self.open = Open::Hdfs(Box::new(ahead));
        } else {
            let file = local::LocalFile::open(&task.file, self.format, self.settings.detect)?;
            admit(&task.file.name(), file.file()).map_err(Dry::Refused)?;
            self.open = Open::Local(Box::new(local::LocalRange::new(file, task, watch)?));
        }
        Ok(())
    }

    /// Opens the next range in the same local file, with what is known of it.
    fn go_on_locally(&mut self, watch: &Watch) -> Result<bool, Dry> {
        let Open::Local(range) = &mut self.open else { return Ok(false) };
        let planned = range.planned();
        match self.tasks.next_if(|file| std::ptr::eq(file, &raw const *planned)) {
            Some(task) => range.restart(task, watch).map(|()| true),
            None => Ok(false),
        }
    }
}

/// Remembers the last bound of a file, so that a line longer than many splits is crossed once, and a run of
/// overlapping delimiters is looked back through once; and its header.
#[derive(Debug, Default)]
pub(crate) struct KnownBound {
    last: Option<(u64, Bound)>,
    header: Option<Header>,
}

impl KnownBound {
    fn get(&self, at: u64) -> Option<u64> {
        self.last
            .filter(|(from, bound)| (*from..=bound.same_until).contains(&at))
            .map(|(_, bound)| bound.offset)
    }

    /// A search at `at` that makes use of what is known.
    fn search<'f>(&self, format: &'f Format, at: u64, file_len: u64) -> Search<'f> {
        let search = Search::behind(format, at, file_len, self.last.map_or(0, |(_, bound)| bound.offset));
        match &self.header {
            Some(header) => search.with_header(header.clone()),
            None => search,
        }
    }

    /// Notes what a search has found.
    fn set(&mut self, at: u64, bound: Bound, search: &Search<'_>) {
        self.last = Some((at, bound));
        self.header = self.header.take().or_else(|| search.header().cloned());
    }

    /// How what lies between bounds has to be decoded.
    fn coding(&self, format: &Format) -> Option<Coding> {
        match (format, &self.header) {
            (Format::Sequence(records), Some(Header::Sequence(header))) => {
                Some(Coding::Sequence(Arc::clone(header), *records))
            }
            (Format::Avro(framing), Some(Header::Avro(header))) => {
                Some(Coding::Avro(Arc::clone(header), *framing))
            }
            _ => None,
        }
    }

    /// A search for the TFRecords of a task's splits that makes use of what is known. `gap` is as [`Extent::new`] has it.
    fn extent(&self, task: &Task, gap: u64) -> Extent {
        let (span, PlannedFile { len, split_size, .. }) = (task.span, &*task.file);
        let next_end = span.end.saturating_add(split_size.get()).min(*len);
        let place = SplitPlace { start: span.start, end: span.end, next_end, file_len: *len };
        Extent::new(place, self.get(span.start), gap)
    }

    /// Keeps what such a search has found.
    fn set_extent(&mut self, task: &Task, found: &Range<u64>) {
        // Behind the span's end, or behind all of it where no record begins in it, there is none before this one.
        let from = if found.is_empty() { task.span.start } else { task.span.end };
        self.last = Some((from, Bound { offset: found.end, same_until: found.end }));
    }
}

impl RecordRange {
    /// What a task delivers of a compressed file: all of it, or nothing, as it begins the file or not.
    fn of_compressed(task: Task, codec: Codec, file_len: u64) -> Self {
        let begin = if task.span.start == 0 { 0 } else { file_len };
        Self { coding: Some(Coding::Codec(codec)), ..Self::plain(task, begin..file_len) }
    }

    /// What a task delivers of an archive, likewise.
    fn of_archive(task: Task, archive: Archive) -> Self {
        let is_first = task.span.start == 0;
        let begin = if is_first { 0 } else { archive.end };
        let samples = archive.samples.filter(|_| is_first);
        Self { samples, ..Self::plain(task, begin..archive.end) }
    }

    /// Bytes as they are stored.
    fn plain(task: Task, bytes: Range<u64>) -> Self {
        Self { task, bytes, coding: None, append: Vec::new(), samples: None }
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

/// Runs a search with a blocking reader. The inner error is the search's own.
fn run_search<E>(
    search: &mut Search<'_>,
    mut read: impl FnMut(Range<u64>, &mut Vec<u8>) -> Result<(), E>,
) -> Result<Result<Bound, HeaderError>, E> {
    let mut buffer = Vec::new();
    let mut step = search.step();
    loop {
        match step {
            Step::Found(bound) => return Ok(Ok(bound)),
            Step::Failed(error) => return Ok(Err(error)),
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
