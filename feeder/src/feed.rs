//! Binds the stages: takes what the source yields, mends the seams between ranges, hands it to the sink.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use forebay_record::{Counter, Delimiter, Format, LfRewriter, Seam, Terminator};
use forebay_shortcircuit::{ReplicaFiles, Verifier, VerifyError, read_verified};

use crate::checksum::Crc32c;
use crate::delivered::Delivered;
use crate::lease::{LeaseObserver, LeaseQueue, StreamPosition};
use crate::plan::Plan;
use crate::report::SplitReport;
use crate::sink::{Halt, Sink, Watch, is_wanted};
use crate::skip::{CannotSkip, Passed, Skipper};
use crate::source::{Dry, Item, LONGEST_SPAN, Leased, LocalPiece, RecordRange, Source, Tasks};
use crate::{DeliveryError, FeedError, Meter, SourceError};

/// What stands at the end of a delivered line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineEnding {
    /// What is stored.
    #[default]
    Keep,
    /// `\n`, whatever is stored. Costs a pass over the bytes in user space.
    Lf,
}

/// How a plan is fed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Line endings; for other formats than lines without effect.
    pub line_ending: LineEnding,
    /// Passes over the share of a plan; without effect on leases.
    pub epochs: u64,
    /// Keep a CRC32C of each delivered split. Costs a pass over the bytes in user space.
    pub checksums: bool,
    /// Compare replicas of this host with HDFS's own checksums before their bytes go on. What comes over the
    /// network is always compared.
    pub verify: bool,
    /// Count records, for the positions of leases. Costs a pass over the bytes in user space.
    pub count_records: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            line_ending: LineEnding::Keep,
            epochs: 1,
            checksums: false,
            verify: true,
            count_records: false,
        }
    }
}

/// Splits that are leased to a feed.
pub struct Leases<'a> {
    /// The splits; closing it ends the feed.
    pub queue: &'a LeaseQueue,
    /// What their records are.
    pub format: &'a Format,
    /// Is told where in the stream each begins.
    pub observer: &'a mut dyn LeaseObserver,
}

impl std::fmt::Debug for Leases<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leases")
            .field("queue", self.queue)
            .field("format", self.format)
            .finish_non_exhaustive()
    }
}

/// How a feed that did not fail came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything was handed over, and taken out of the pipe if the output is one.
    Complete,
    /// The reader stopped reading before.
    ReaderGone {
        /// Bytes that it left in the pipe.
        unread: u64,
    },
    /// The stop event was raised.
    Stopped,
}

/// Feeds a plan's share into a sink.
///
/// Returns when the reader has taken the last byte (as far as a pipe tells), when it has gone, or when the stop
/// event was raised. The sink stays open in any case: whoever owns it decides whether its reader may see an end
/// of input.
pub fn feed(
    plan: &Plan,
    settings: &Settings,
    sink: &mut Sink,
    watch: &Watch,
    meter: &Arc<Meter>,
    delivered: &mut Delivered,
) -> Result<Ended, FeedError> {
    let longest = if settings.checksums { 0 } else { LONGEST_SPAN };
    let tasks = Tasks::of_plan(plan, settings.epochs, longest);
    run(tasks, plan.format(), None, settings, Output { sink, watch, meter, delivered })
}

/// Feeds leased splits into a sink, until the queue is closed and empty. Everything else is as with [`feed`].
pub fn feed_leases(
    leases: Leases<'_>,
    settings: &Settings,
    sink: &mut Sink,
    watch: &Watch,
    meter: &Arc<Meter>,
    delivered: &mut Delivered,
) -> Result<Ended, FeedError> {
    let Leases { queue, format, observer } = leases;
    let output = Output { sink, watch, meter, delivered };
    run(Tasks::Queue(queue), format, Some(observer), settings, output)
}

/// Where bytes go, and who looks on.
struct Output<'a> {
    sink: &'a mut Sink,
    watch: &'a Watch,
    meter: &'a Arc<Meter>,
    delivered: &'a mut Delivered,
}

fn run<'a>(
    tasks: Tasks<'a>,
    format: &'a Format,
    observer: Option<&mut dyn LeaseObserver>,
    settings: &Settings,
    output: Output<'a>,
) -> Result<Ended, FeedError> {
    let Output { sink, watch, meter, delivered } = output;
    meter.start();
    let own = Output { sink: &mut *sink, watch, meter, delivered: &mut *delivered };
    let observer = observer.map(|observer| observer as &mut dyn LeaseObserver);
    let mut delivery = Delivery::new(format, settings, observer, own);
    let mut result = delivery.run(Source::new(tasks, format, meter, settings.verify));
    let name = delivery.file_name();
    let planned = delivery.file_len();
    meter.end();
    if result.is_ok() {
        result = sink.drain(watch).map_err(Dry::Halted);
    }
    if result.is_ok() {
        result = delivered.check_sources().map_err(Dry::from);
    }
    match result {
        Ok(()) => Ok(Ended::Complete),
        Err(Dry::Halted(Halt::ReaderGone)) => Ok(Ended::ReaderGone { unread: sink.unread() }),
        Err(Dry::Halted(Halt::Stopped)) => Ok(Ended::Stopped),
        Err(Dry::Halted(Halt::FileEnded(end))) => {
            Err(SourceError::Shrank { path: name, planned, end }.into())
        }
        Err(Dry::Halted(Halt::FileFailed(offset, source))) => {
            Err(SourceError::Read { path: name, offset, source }.into())
        }
        Err(Dry::Halted(Halt::Failed(error)) | Dry::Refused(error)) => Err(error.into()),
        Err(Dry::Failed(error)) => Err(error.into()),
    }
}

/// Bytes read at once where they have to be seen.
const MEMORY: usize = 256 << 10;
/// Bytes of a replica handed over between two looks at whether it is still valid, where nothing is verified.
const UNVERIFIED: u64 = 8 << 20;

struct Delivery<'a> {
    format: &'a Format,
    sink: &'a mut Sink,
    watch: &'a Watch,
    meter: &'a Arc<Meter>,
    delivered: &'a mut Delivered,
    observer: Option<&'a mut dyn LeaseObserver>,
    /// How lines are ended; `None` for formats without lines.
    terminator: Option<&'a Terminator>,
    seam: Seam,
    rewriter: Option<LfRewriter>,
    crc: Option<Crc32c>,
    rewritten: Vec<u8>,
    /// What the records of the delivered stream are, where they are counted.
    counted: Option<Format>,
    /// Counts those of the range in hand.
    counter: Option<Counter>,
    /// Leaves out the beginning of the range in hand.
    skipper: Option<Skipper>,
    /// A lease whose first byte is still to come.
    to_begin: Option<Leased>,
    /// The range in hand.
    range: Option<RecordRange>,
    /// First bytes of the range are still to come.
    at_begin: bool,
    last: u8,
    delivered_before: u64,
    verify: bool,
    /// Made when the first local replica is delivered.
    verifier: Option<Verifier>,
}

impl<'a> Delivery<'a> {
    fn new(
        format: &'a Format,
        settings: &Settings,
        observer: Option<&'a mut dyn LeaseObserver>,
        output: Output<'a>,
    ) -> Self {
        let Output { sink, watch, meter, delivered } = output;
        let terminator = match format {
            Format::Lines(terminator) => Some(terminator),
            Format::Bytes | Format::Fixed(_) => None,
        };
        let rewriter = terminator
            .filter(|_| settings.line_ending == LineEnding::Lf)
            .filter(|t| !matches!(t, Terminator::Delimiter(d) if d.bytes() == b"\n"))
            .map(|t| LfRewriter::new(t.clone()));
        Self {
            format,
            sink,
            watch,
            meter,
            delivered,
            observer,
            terminator,
            seam: Seam::default(),
            counted: settings.count_records.then(|| stream_format(format, rewriter.is_some())),
            rewriter,
            crc: settings.checksums.then(Crc32c::new),
            rewritten: Vec::new(),
            counter: None,
            skipper: None,
            to_begin: None,
            range: None,
            at_begin: false,
            last: 0,
            delivered_before: 0,
            verify: settings.verify,
            verifier: None,
        }
    }

    fn run(&mut self, mut source: Source<'_>) -> Result<(), Dry> {
        loop {
            let sink = &*self.sink;
            match source.next(self.watch, |name, file| sink.refuse_input(name, file))? {
                None => return Ok(()),
                Some(Item::Begin(range)) => {
                    // A worker may exit and leave its input to a child: what it was fed for is over all the same.
                    is_wanted(self.watch).map_err(Dry::Halted)?;
                    self.take(range).map_err(Dry::Halted)?;
                }
                Some(Item::Stored { file, bytes }) => {
                    self.stored(&file, bytes).map_err(Dry::Halted)?;
                }
                Some(Item::Bytes(bytes)) => self.bytes(&bytes).map_err(Dry::Halted)?,
                Some(Item::Local(mut piece)) => match self.local(&mut piece, &mut source) {
                    Ok(()) => {}
                    Err(Stuck::Halted(halt)) => return Err(Dry::Halted(halt)),
                    Err(Stuck::BadReplica { at, error }) => source.go_around(&piece, at, &error),
                },
                Some(Item::End) => {
                    self.end().map_err(Dry::Halted)?;
                    if let Some(size) = self.sink.pipe_size() {
                        self.delivered.settle(self.meter.delivered.load(Relaxed), size)?;
                    }
                }
            }
        }
    }

    /// Takes a range in hand.
    fn take(&mut self, range: RecordRange) -> Result<(), Halt> {
        self.delivered_before = self.meter.delivered.load(Relaxed);
        self.at_begin = true;
        self.counter = self.counted.as_ref().and_then(Counter::new);
        if let Some(leased) = range.task.lease {
            let format = stream_format(self.format, self.rewriter.is_some());
            let skipper = Skipper::new(leased.skip, &format);
            self.skipper = skipper.map_err(|error| cannot_skip(&error, range.task.file.name()))?;
            self.to_begin = Some(leased);
        }
        self.range = Some(range);
        Ok(())
    }

    /// Whether bytes have to pass through memory.
    fn through_memory(&self) -> bool {
        self.rewriter.is_some() || self.crc.is_some() || self.counter.is_some() || self.skipper.is_some()
    }

    /// A stretch of a file: moved whole, unless its bytes have to be seen.
    fn stored(&mut self, file: &Arc<File>, bytes: Range<u64>) -> Result<(), Halt> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.through_memory() {
            return self.stored_through_memory(file, bytes);
        }
        if self.terminator.is_some() {
            let first = byte_at(file, bytes.start)?;
            self.before(first)?;
        }
        self.begin()?;
        self.sink.deliver_file(self.watch, file, bytes.start, bytes.end - bytes.start)?;
        if self.sink.pipe_size().is_some() {
            let range = &self.range;
            let name = || range.as_ref().map_or_else(String::new, |range| range.task.file.name());
            self.delivered.moved(file, name, bytes.end, self.meter.delivered.load(Relaxed));
        }
        if self.terminator.is_some() {
            self.last = byte_at(file, bytes.end - 1)?;
        }
        Ok(())
    }

    fn stored_through_memory(&mut self, file: &File, bytes: Range<u64>) -> Result<(), Halt> {
        let mut buffer = vec![0; MEMORY];
        let mut at = bytes.start;
        while at < bytes.end {
            let want = usize::try_from(bytes.end - at).map_or(buffer.len(), |n| n.min(buffer.len()));
            match file.read_at(&mut buffer[..want], at) {
                Ok(0) => return Err(Halt::FileEnded(at)),
                Ok(n) => {
                    self.bytes(&buffer[..n])?;
                    at += n as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Halt::FileFailed(at, error)),
            }
        }
        Ok(())
    }

    /// A part of an HDFS replica of this host: verified, and moved without a copy unless its bytes have to be seen.
    fn local(&mut self, piece: &mut LocalPiece, source: &mut Source<'_>) -> Result<(), Stuck> {
        let block = piece.block.clone();
        let files = block.files();
        let Range { start, end } = piece.bytes.clone();
        let mut verifier = match self.verifier.take() {
            Some(verifier) => verifier,
            None => Verifier::new().map_err(|e| Halt::Failed(DeliveryError::Wait(e)))?,
        };
        verifier.forget();
        // Where the kernel grants only small pipes, a long chunk does not fit into one, and is checked in memory.
        let chunk = usize::try_from(files.header.bytes_per_checksum).unwrap_or(usize::MAX);
        let fits = !self.verify || verifier.can_check(chunk);
        if !fits {
            self.sink.note(format!(
                "the kernel granted no pipe for more than {} bytes: replicas with checksum chunks of {chunk} bytes are checked in memory",
                verifier.capacity(),
            ));
        } else if self.verify && verifier.is_small() {
            self.sink.note(format!(
                "the kernel granted only a small pipe: replicas are verified in stretches of {} bytes",
                verifier.capacity(),
            ));
        }
        let through_memory = self.through_memory() || !fits;
        let (mut at, mut memory) = (start, Vec::new());
        while at < end {
            source.read_ahead(piece, at);
            if !block.replica.is_valid() {
                let gone = std::io::ErrorKind::StaleNetworkFileHandle.into();
                return Err(bad(at, VerifyError::Read { file: "block", source: gone }));
            }
            let moved = if through_memory {
                memory.resize(usize::try_from(end - at).map_or(MEMORY, |left| left.min(MEMORY)), 0);
                read_verified(files, at, &mut memory, self.verify).map_err(|error| bad(at, error))?;
                self.bytes(&memory)?;
                memory.len()
            } else if !self.verify {
                if at == start {
                    self.before_stored(files, start)?;
                    self.begin()?;
                }
                // Nothing to wait for before it may go on: straight into the reader's pipe, some of it at a time.
                let some = (end - at).min(UNVERIFIED);
                match self.sink.deliver_file(self.watch, files.block, at, some) {
                    Ok(()) => usize::try_from(some).unwrap_or(usize::MAX),
                    Err(Halt::FileEnded(end)) => {
                        return Err(bad(end, VerifyError::Short { file: "block", end }));
                    }
                    Err(Halt::FileFailed(at, source)) => {
                        return Err(bad(at, VerifyError::Read { file: "block", source }));
                    }
                    Err(halt) => return Err(halt.into()),
                }
            } else {
                let held = verifier.hold(files, at, end, self.verify).map_err(|error| bad(at, error))?;
                match verifier.ends() {
                    Some((first, _)) if at == start && self.terminator.is_some() => self.before(first)?,
                    None if at == start => self.before_stored(files, start)?,
                    _ => {}
                }
                self.begin()?;
                self.sink.deliver_held(self.watch, verifier.held(), held)?;
                held
            };
            at += moved as u64;
            self.meter.local.fetch_add(moved as u64, Relaxed);
            self.meter.verified.fetch_add(if self.verify { moved as u64 } else { 0 }, Relaxed);
        }
        if self.terminator.is_some() && !through_memory && start < end {
            self.last = match verifier.ends() {
                Some((_, last)) => last,
                None => byte_at(files.block, end - 1)?,
            };
        }
        self.verifier = Some(verifier);
        Ok(())
    }

    /// What must stand before a piece of a replica that nothing is known of.
    fn before_stored(&mut self, files: ReplicaFiles<'_>, start: u64) -> Result<(), Stuck> {
        let mut first = [0];
        if self.at_begin && self.terminator.is_some() {
            read_verified(files, start, &mut first, self.verify).map_err(|error| bad(start, error))?;
            self.before(first[0])?;
        }
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Halt> {
        let Some(&last) = bytes.last() else { return Ok(()) };
        self.last = last;
        self.hand_over(bytes)
    }

    /// What must stand between the last range and one that begins with this byte.
    fn before(&mut self, first: u8) -> Result<(), Halt> {
        if std::mem::take(&mut self.at_begin) && self.rewriter.is_none() {
            let between = self.seam.before(first);
            Self::write(self.sink, self.watch, self.crc.as_mut(), between)?;
        }
        Ok(())
    }

    /// Bytes as they are stored, or what ends them.
    fn hand_over(&mut self, bytes: &[u8]) -> Result<(), Halt> {
        let mut rewritten = std::mem::take(&mut self.rewritten);
        let result = match &mut self.rewriter {
            Some(rewriter) => {
                rewritten.clear();
                rewriter.push(bytes, &mut rewritten);
                self.own(&rewritten)
            }
            None => self.own(bytes),
        };
        self.rewritten = rewritten;
        result
    }

    /// Bytes of the range's own stream: without what is to be left out of it.
    fn own(&mut self, bytes: &[u8]) -> Result<(), Halt> {
        if bytes.is_empty() {
            return Ok(());
        }
        let Some(skipper) = &mut self.skipper else { return self.deliver(bytes) };
        match skipper.pass(bytes) {
            Ok(Passed::Nothing) => Ok(()),
            Ok(Passed::From(open, from)) => {
                let first = open.first().or(bytes.get(from)).copied();
                first.map_or(Ok(()), |first| self.before(first))?;
                self.begin()?;
                self.deliver(&open)?;
                self.deliver(&bytes[from..])
            }
            Err(error) => Err(cannot_skip(&error, self.file_name())),
        }
    }

    fn deliver(&mut self, bytes: &[u8]) -> Result<(), Halt> {
        let Some(&first) = bytes.first() else { return Ok(()) };
        self.before(first)?;
        self.begin()?;
        if let Some(counter) = &mut self.counter {
            let before = counter.records();
            counter.advance(bytes, u64::MAX);
            self.meter.records.fetch_add(counter.records() - before, Relaxed);
        }
        Self::write(self.sink, self.watch, self.crc.as_mut(), bytes)
    }

    /// Tells where the lease in hand begins, before its first byte is delivered.
    fn begin(&mut self) -> Result<(), Halt> {
        let (Some(leased), Some(observer)) = (self.to_begin.take(), &mut self.observer) else {
            return Ok(());
        };
        let skipped = self.skipper.take().map_or_else(StreamPosition::default, |skipper| skipper.skipped());
        let (bytes, records) = (self.meter.delivered.load(Relaxed), self.meter.records.load(Relaxed));
        observer
            .begin(leased.id, StreamPosition { bytes, records }, skipped)
            .map_err(|error| Halt::Failed(DeliveryError::Observer(error)))
    }

    fn write(sink: &mut Sink, watch: &Watch, crc: Option<&mut Crc32c>, bytes: &[u8]) -> Result<(), Halt> {
        if let Some(crc) = crc {
            crc.update(bytes);
        }
        sink.deliver_bytes(watch, bytes)
    }

    /// The range's last byte was handed over: ends its last record.
    fn end(&mut self) -> Result<(), Halt> {
        let Some(RecordRange { task, bytes, append }) = self.range.clone() else { return Ok(()) };
        if let Some(terminator) = self.terminator.filter(|_| !bytes.is_empty()) {
            let at_file_end = bytes.end == task.file.len;
            let open = *terminator == Terminator::Any && !matches!(self.last, b'\n' | b'\r');
            let append: &[u8] = if at_file_end && open { b"\n" } else { &append };
            self.hand_over(append)?;
            let last = append.last().copied().unwrap_or(self.last);
            if self.skipper.is_none() {
                self.seam.after(terminator, last);
            }
            if let Some(rewriter) = &mut self.rewriter {
                let mut rewritten = std::mem::take(&mut self.rewritten);
                rewritten.clear();
                rewriter.finish(&mut rewritten);
                self.own(&rewritten)?;
                self.rewritten = rewritten;
            }
        }
        if let Some(skipper) = &mut self.skipper {
            // Nothing of it was left to be delivered.
            skipper.finish();
        }
        self.begin()?;
        if let Some(counter) = &mut self.counter {
            let before = counter.records();
            counter.finish();
            self.meter.records.fetch_add(counter.records() - before, Relaxed);
        }
        self.range = None;
        self.meter.splits.fetch_add(task.span.splits, Relaxed);
        if let Some(crc) = self.crc.take() {
            self.crc = Some(Crc32c::new());
            self.delivered.splits.push(SplitReport {
                file: task.file.name(),
                split: task.span.ordinal,
                start: task.span.start,
                end: task.span.end,
                records_start: bytes.start,
                records_end: bytes.end,
                delivered: self.meter.delivered.load(Relaxed) - self.delivered_before,
                crc32c: format!("{:08x}", crc.value()),
            });
        }
        Ok(())
    }

    fn file_name(&self) -> String {
        self.range.as_ref().map_or_else(String::new, |range| range.task.file.name())
    }

    fn file_len(&self) -> u64 {
        self.range.as_ref().map_or(0, |range| range.task.file.len)
    }
}

/// What the records are when they are delivered.
fn stream_format(format: &Format, rewritten: bool) -> Format {
    match Delimiter::new(b"\n") {
        Ok(newline) if rewritten => Format::Lines(Terminator::Delimiter(newline)),
        _ => format.clone(),
    }
}

fn cannot_skip(error: &CannotSkip, path: String) -> Halt {
    let reason = match error {
        CannotSkip::NoRecords => "its format has no records to count",
        CannotSkip::LongRecord => "the acknowledged bytes end in a record of more than 16 MiB",
    };
    Halt::Failed(DeliveryError::Skip { path, reason })
}

/// Why a local piece cannot be delivered.
enum Stuck {
    Halted(Halt),
    /// From this offset in the block on.
    BadReplica {
        at: u64,
        error: VerifyError,
    },
}

impl From<Halt> for Stuck {
    fn from(halt: Halt) -> Self {
        Self::Halted(halt)
    }
}

fn bad(at: u64, error: VerifyError) -> Stuck {
    Stuck::BadReplica { at, error }
}

fn byte_at(file: &File, offset: u64) -> Result<u8, Halt> {
    let mut byte = [0];
    loop {
        match file.read_at(&mut byte, offset) {
            Ok(0) => return Err(Halt::FileEnded(offset)),
            Ok(_) => return Ok(byte[0]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Halt::FileFailed(offset, error)),
        }
    }
}
