//! Binds the stages: takes what the source yields, mends the seams between ranges, hands it to the sink.

mod decoded;
mod decoding;
mod remote;
mod replica;

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use forebay_record::{Counter, Delimiter, Format, LfRewriter, Seam, Terminator};
use forebay_shortcircuit::Verifier;

use self::decoded::{KnownSchema, Unpacked};
use self::decoding::Decoding;
use self::remote::Broken;
use self::replica::Stuck;
use crate::checksum::Crc32c;
use crate::delivered::Delivered;
use crate::feed::{LineEnding, Settings};
use crate::lease::{LeaseObserver, StreamPosition};
use crate::report::SplitReport;
use crate::sink::{Halt, Sink, Watch, is_wanted};
use crate::skip::{CannotSkip, Passed, Skipper};
use crate::source::{Coding, Dry, Item, Leased, RecordRange, Source};
use crate::{DeliveryError, Meter, SourceError};

/// Bytes read at once where they have to be seen.
const MEMORY: usize = 256 << 10;

/// Where bytes go, and who looks on.
pub(crate) struct Output<'a> {
    pub(crate) sink: &'a mut Sink,
    pub(crate) watch: &'a Watch,
    pub(crate) meter: &'a Arc<Meter>,
    pub(crate) delivered: &'a mut Delivered,
}

/// One feed's delivery.
pub(crate) struct Delivery<'a> {
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
    /// Decodes ranges that are not delivered as they are stored; made for the first of them.
    decoding: Option<Decoding>,
    /// What the range in hand decodes to, if it is decoded.
    unpacked: Option<Unpacked>,
    /// The schema that all of the feed's Avro files have, once there was one.
    schema: Option<KnownSchema>,
    /// The last archive with a sample, and that one's key.
    last_sample: Option<(String, Vec<u8>)>,
    /// A lease whose first byte is still to come.
    to_begin: Option<Leased>,
    /// The range in hand.
    range: Option<RecordRange>,
    /// First bytes of the range are still to come.
    at_begin: bool,
    last: u8,
    delivered_before: u64,
    /// Made when it is first needed.
    verifier: Option<Verifier>,
}

/// How bytes of HDFS blocks go on.
enum Way<'v> {
    /// Through memory, where they are checked.
    Memory,
    /// Into the reader's pipe: nothing is to be checked.
    Straight,
    /// Through a pipe in which they are checked.
    Held(&'v mut Verifier),
}

impl<'a> Delivery<'a> {
    pub(crate) fn new(
        format: &'a Format,
        settings: &Settings,
        observer: Option<&'a mut dyn LeaseObserver>,
        output: Output<'a>,
    ) -> Self {
        let Output { sink, watch, meter, delivered } = output;
        let terminator = match format {
            Format::Lines(terminator) => Some(terminator),
            Format::Bytes
            | Format::Fixed(_)
            | Format::Sequence(_)
            | Format::Avro(_)
            | Format::Tar
            | Format::TfRecord => None,
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
            decoding: None,
            unpacked: None,
            schema: None,
            last_sample: None,
            to_begin: None,
            range: None,
            at_begin: false,
            last: 0,
            delivered_before: 0,
            verifier: None,
        }
    }

    pub(crate) fn run(&mut self, mut source: Source<'_>) -> Result<(), Dry> {
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
                Some(Item::Remote(mut piece, mut stream)) => match self.remote(&mut piece, &mut stream) {
                    Ok(()) => {}
                    Err(Broken::Halted(halt)) => return Err(Dry::Halted(halt)),
                    Err(Broken::Lost(error)) => source.lost(piece, stream.at(), &error),
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
        self.keep_samples_apart(&range)?;
        self.delivered_before = self.meter.delivered.load(Relaxed);
        self.at_begin = true;
        self.counter = self.counted.as_ref().and_then(Counter::new);
        if let Some(leased) = range.task.lease {
            let format = stream_format(self.format, self.rewriter.is_some());
            let skipper = Skipper::new(leased.skip, &format);
            self.skipper = skipper.map_err(|error| cannot_skip(&error, range.task.file.name()))?;
            self.to_begin = Some(leased);
        }
        let coding = range.coding.clone().filter(|coding| match coding {
            // A compressed file's later splits have nothing to decode.
            Coding::Codec(_) => range.task.span.start == 0,
            Coding::Sequence(..) | Coding::Avro(..) => !range.bytes.is_empty(),
        });
        let at = range.bytes.start;
        self.range = Some(range);
        coding.map_or(Ok(()), |coding| self.begin_decoding(coding, at))
    }

    /// Samples of two archives that meet must not look like one.
    fn keep_samples_apart(&mut self, range: &RecordRange) -> Result<(), Halt> {
        let Some(samples) = &range.samples else { return Ok(()) };
        let path = range.task.file.name();
        match self.last_sample.replace((path.clone(), samples.last.clone())) {
            Some((other, key)) if key == samples.first => {
                let key = String::from_utf8_lossy(&key).into_owned();
                Err(Halt::Input(SourceError::Samples { path, other, key }))
            }
            _ => Ok(()),
        }
    }

    /// Whether bytes have to pass through memory.
    fn through_memory(&self) -> bool {
        self.rewriter.is_some()
            || self.crc.is_some()
            || self.counter.is_some()
            || self.skipper.is_some()
            || self.unpacked.is_some()
    }

    /// What verifies chunks of this length in a pipe. `None`, with a note, where that cannot be: then it is done in memory.
    fn take_verifier(&mut self, chunk: usize) -> Option<Verifier> {
        let verifier = match self.verifier.take().map_or_else(Verifier::new, Ok) {
            Ok(verifier) => verifier,
            Err(error) => {
                self.sink.note(format!("no pipe is to be had ({error}): blocks are checked in memory"));
                return None;
            }
        };
        if verifier.can_check(chunk) {
            return Some(verifier);
        }
        self.sink.note(format!(
            "the kernel granted no pipe for more than {} bytes: blocks with checksum chunks of {chunk} bytes are checked in memory",
            verifier.capacity(),
        ));
        self.verifier = Some(verifier);
        None
    }

    /// A chunk did not fit into the pipe.
    fn note_no_room(&mut self, chunk: usize) {
        self.sink.note(format!(
            "a pipe had no room for a checksum chunk of {chunk} bytes, so short were the pieces that it came in: the rest of such blocks is checked in memory"
        ));
    }

    /// Verified bytes in the held pipe, of which these are the first and the last.
    fn held(&mut self, ends: Option<(u8, u8)>, verifier: &Verifier, len: usize) -> Result<(), Halt> {
        if let (Some((first, last)), true) = (ends, self.terminator.is_some()) {
            self.before(first)?;
            self.last = last;
        }
        self.begin()?;
        self.sink.deliver_held(self.watch, verifier.held(), len)
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

    /// Bytes of the range as they are stored.
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Halt> {
        if self.unpacked.is_some() { self.decode(bytes) } else { self.plain(bytes) }
    }

    /// Bytes of its records.
    fn plain(&mut self, bytes: &[u8]) -> Result<(), Halt> {
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

    /// Bytes of its records, or what ends them.
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
        let Some(RecordRange { task, bytes, mut append, .. }) = self.range.clone() else { return Ok(()) };
        let mut has_records = !bytes.is_empty();
        if let Some(unpacked) = self.end_decoding()? {
            (has_records, append) = (unpacked.has_records(), unpacked.missing());
        }
        if let Some(terminator) = self.terminator.filter(|_| has_records) {
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

    pub(crate) fn file_name(&self) -> String {
        self.range.as_ref().map_or_else(String::new, |range| range.task.file.name())
    }

    pub(crate) fn file_len(&self) -> u64 {
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
