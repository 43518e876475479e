//! A feed: where its bytes come from, how they are handed over, and how it may end.

use std::sync::Arc;

use forebay_record::Format;

use crate::delivered::Delivered;
use crate::delivery::{Delivery, Output};
use crate::lease::{LeaseObserver, LeaseQueue};
use crate::plan::Plan;
use crate::sink::{Halt, Sink, Watch};
use crate::source::{Dry, LONGEST_SPAN, Source, Tasks};
use crate::{FeedError, Meter, SourceError};

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
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Settings {
    /// Line endings; for other formats than lines without effect.
    pub line_ending: LineEnding,
    /// Passes over the share of a plan; without effect on leases.
    pub epochs: u64,
    /// Keep a CRC32C of each delivered split. Costs a pass over the bytes in user space.
    pub checksums: bool,
    /// Compare blocks of HDFS with their checksums before their bytes go on. What `hdfs-native` reads is always
    /// compared.
    pub verify: bool,
    /// Count records, for the positions of leases. Costs a pass over the bytes in user space.
    pub count_records: bool,
    /// Decode lines of files that say only by their first bytes that they are compressed, and not by their names.
    pub detect: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            line_ending: LineEnding::Keep,
            epochs: 1,
            checksums: false,
            verify: true,
            count_records: false,
            detect: false,
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

fn run<'a>(
    tasks: Tasks<'a>,
    format: &'a Format,
    observer: Option<&mut dyn LeaseObserver>,
    settings: &'a Settings,
    output: Output<'a>,
) -> Result<Ended, FeedError> {
    let Output { sink, watch, meter, delivered } = output;
    meter.start();
    let own = Output { sink: &mut *sink, watch, meter, delivered: &mut *delivered };
    let observer = observer.map(|observer| observer as &mut dyn LeaseObserver);
    let mut delivery = Delivery::new(format, settings, observer, own);
    let mut result = delivery.run(Source::new(tasks, format, meter, settings));
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
        Err(Dry::Halted(Halt::Input(error)) | Dry::Failed(error)) => Err(error.into()),
    }
}
