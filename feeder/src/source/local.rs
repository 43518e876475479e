//! Local files: bounds by `pread`, ranges as they lie in the file.

use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::sync::Arc;

use forebay_decode::Codec;
use forebay_record::{Archive, ExtentStep, Format, TarScan, TarStep};
use rustix::fs::{Advice, OFlags, fadvise};

use super::{Dry, Item, KnownBound, RecordRange, Task, ending, run_ending, run_search};
use crate::plan::{Place, PlannedFile};
use crate::sink::{Watch, is_wanted};
use crate::{SourceError, codec};

/// A read of so many bytes takes about as long as asking the kernel once more.
const GAP: u64 = 8 << 10;
/// Reads between looks at whether the feed is still wanted, where each may be of a few bytes.
const READS: u32 = 64;

/// An open file.
pub(crate) struct LocalFile<'p> {
    planned: Arc<PlannedFile>,
    name: String,
    format: &'p Format,
    file: Arc<File>,
    len: u64,
    codec: Option<Codec>,
    known: KnownBound,
}

impl<'p> LocalFile<'p> {
    /// `detect`: its first bytes may say that it is compressed, too.
    pub(crate) fn open(
        planned: &Arc<PlannedFile>,
        format: &'p Format,
        detect: bool,
    ) -> Result<Self, SourceError> {
        let name = planned.name();
        let failed = |source| SourceError::Open { path: name.clone(), source };
        let Place::Local(path) = &planned.place else {
            return Err(failed(ErrorKind::Unsupported.into()));
        };
        // What was a file may be a FIFO by now; opening one would wait for a writer.
        let no_wait = OFlags::NONBLOCK.bits().cast_signed();
        let file = File::options().read(true).custom_flags(no_wait).open(path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        if !meta.is_file() {
            return Err(SourceError::Replaced { path: name });
        }
        if planned.identity.is_some_and(|identity| identity != (meta.dev(), meta.ino())) {
            return Err(SourceError::Replaced { path: name });
        }
        let end = meta.len();
        if end < planned.len {
            return Err(SourceError::Shrank { path: name, planned: planned.len, end });
        }
        // Twice the read-ahead; a file system that has no use for the advice says so, and is not listened to.
        let _ = fadvise(&file, 0, None, Advice::Sequential);
        let file = Arc::new(file);
        let (planned, len) = (Arc::clone(planned), planned.len);
        let codec = codec::by_name(format, &name);
        let mut file = Self { planned, name, format, file, len, codec, known: KnownBound::default() };
        if detect && codec.is_none() && matches!(format, Format::Lines(_)) {
            let mut head = Vec::new();
            file.read(0..len.min(Codec::HEAD as u64), &mut head)?;
            file.codec = codec::by_head(&file.name, format, &head)?;
        }
        Ok(file)
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    fn read(&self, range: Range<u64>, buffer: &mut Vec<u8>) -> Result<(), SourceError> {
        let len = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        buffer.resize(len, 0);
        self.file.read_exact_at(buffer, range.start).map_err(|source| match source.kind() {
            ErrorKind::UnexpectedEof => self.shrank(),
            _ => SourceError::Read { path: self.name.clone(), offset: range.start, source },
        })
    }

    fn shrank(&self) -> SourceError {
        let end = self.file.metadata().map_or(0, |meta| meta.len());
        SourceError::Shrank { path: self.name.clone(), planned: self.len, end }
    }

    fn bound(&mut self, at: u64, watch: &Watch) -> Result<u64, Dry> {
        if let Some(offset) = self.known.get(at) {
            return Ok(offset);
        }
        let mut search = self.known.search(self.format, at, self.len);
        // A search may have to cross a very long line.
        let found = run_search(&mut search, |range, buffer| {
            is_wanted(watch).map_err(Dry::Halted)?;
            self.read(range, buffer).map_err(Dry::from)
        })?;
        let bound =
            found.map_err(|error| SourceError::of_container(self.name.clone(), self.format, error.into()))?;
        self.known.set(at, bound, &search);
        Ok(bound.offset)
    }

    /// The bytes of a task's TFRecords.
    fn tfrecords(&mut self, task: &Task, watch: &Watch) -> Result<Range<u64>, Dry> {
        let mut extent = self.known.extent(task, GAP);
        let (mut buffer, mut reads) = (Vec::new(), 0);
        let mut step = extent.step();
        loop {
            match step {
                ExtentStep::Found(found) => {
                    self.known.set_extent(task, &found);
                    return Ok(found);
                }
                ExtentStep::Read(range) => {
                    if reads % READS == 0 {
                        is_wanted(watch).map_err(Dry::Halted)?;
                    }
                    reads = reads.wrapping_add(1);
                    self.read(range, &mut buffer)?;
                    let fed = extent.feed(&buffer);
                    step = fed.map_err(|error| SourceError::of_tfrecords(self.name.clone(), error))?;
                }
            }
        }
    }

    /// What the file is as an archive.
    fn archive(&self, watch: &Watch) -> Result<Archive, Dry> {
        let failed = |source| Dry::from(SourceError::Tar { path: self.name.clone(), source });
        let mut scan = TarScan::new(self.len, GAP);
        let (mut buffer, mut reads) = (Vec::new(), 0);
        let mut step = scan.step().map_err(failed)?;
        loop {
            match step {
                TarStep::Found(archive) => return Ok(archive),
                TarStep::Read(range) => {
                    if reads % READS == 0 {
                        is_wanted(watch).map_err(Dry::Halted)?;
                    }
                    reads = reads.wrapping_add(1);
                    self.read(range, &mut buffer)?;
                    step = scan.feed(&buffer).map_err(failed)?;
                }
            }
        }
    }

    fn range(&mut self, task: Task, watch: &Watch) -> Result<RecordRange, Dry> {
        if let Some(codec) = self.codec {
            return Ok(RecordRange::of_compressed(task, codec, self.len));
        }
        if *self.format == Format::TfRecord {
            let bytes = self.tfrecords(&task, watch)?;
            return Ok(RecordRange::plain(task, bytes));
        }
        if *self.format == Format::Tar {
            return Ok(RecordRange::of_archive(task, self.archive(watch)?));
        }
        let span = task.span;
        let bytes = self.bound(span.start, watch)?..self.bound(span.end, watch)?;
        let append = match ending(self.format, &bytes, self.len) {
            Some(ending) => run_ending(ending, |range, buffer| self.read(range, buffer))?,
            None => Vec::new(),
        };
        let coding = self.known.coding(self.format);
        Ok(RecordRange { coding, append, ..RecordRange::plain(task, bytes) })
    }
}

/// One range after the other of a local file.
pub(crate) struct LocalRange<'p> {
    file: LocalFile<'p>,
    range: RecordRange,
    given: usize,
}

impl<'p> LocalRange<'p> {
    pub(crate) fn new(mut file: LocalFile<'p>, task: Task, watch: &Watch) -> Result<Self, Dry> {
        let range = file.range(task, watch)?;
        Ok(Self { file, range, given: 0 })
    }

    /// Goes on with another task of the same file.
    pub(crate) fn restart(&mut self, task: Task, watch: &Watch) -> Result<(), Dry> {
        self.range = self.file.range(task, watch)?;
        self.given = 0;
        Ok(())
    }

    pub(crate) fn planned(&self) -> Arc<PlannedFile> {
        Arc::clone(&self.file.planned)
    }

    pub(crate) fn next(&mut self) -> Option<Item> {
        self.given += 1;
        match self.given {
            1 => Some(Item::Begin(self.range.clone())),
            2 => Some(Item::Stored { file: Arc::clone(&self.file.file), bytes: self.range.bytes.clone() }),
            3 => Some(Item::End),
            _ => None,
        }
    }
}
