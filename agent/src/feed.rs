//! The thread that feeds the worker.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;

use forebay_feeder::{
    Delivered, Ended, FeedError, LeaseObserver, LeaseQueue, Leases, LineEnding, Settings, Sink,
    StreamPosition, Watch, feed_leases,
};
use forebay_job::values::FormatName;
use forebay_job::{Job, OnRestart};
use tokio::sync::Notify;

use crate::journal::Journal;
use crate::over::Over;
use crate::stream::Stream;
use crate::told::Told;
use crate::worker::Event;

/// How a feed ended, and the pipe, which is still open.
#[derive(Debug)]
pub(crate) struct Fed {
    /// `None`: it broke off.
    pub(crate) result: Option<Result<Ended, FeedError>>,
    pub(crate) sink: Sink,
}

/// All that a feed needs.
pub(crate) struct Feed {
    pub(crate) sink: Sink,
    pub(crate) journal: Journal,
    pub(crate) queue: Arc<LeaseQueue>,
    /// Is notified when a lease was taken.
    pub(crate) more: Arc<Notify>,
    pub(crate) stream: Stream,
    pub(crate) told: Told,
    pub(crate) over: Over,
    pub(crate) worker: Arc<OwnedFd>,
}

/// Starts feeding; the end is told as an event.
pub(crate) fn start(mut feed: Feed, job: &Job, events: Sender<Event>) -> io::Result<()> {
    let format = job.record_format();
    let settings = Settings {
        line_ending: match job.line_ending {
            forebay_job::LineEnding::Keep => LineEnding::Keep,
            forebay_job::LineEnding::Lf => LineEnding::Lf,
        },
        verify: job.verify,
        count_records: job.on_restart == OnRestart::FromAck,
        detect: job.format == FormatName::Auto,
        ..Settings::default()
    };
    let run = move || {
        // Without a sampler there are no waits of the worker to show.
        let sampler = feed.sink.sampler().ok().flatten();
        let watch = Watch { stop: Arc::clone(feed.over.stop()), worker: Some(Arc::clone(&feed.worker)) };
        let mut observer = Observer { journal: feed.journal, more: feed.more };
        let leases = Leases { queue: &feed.queue, format: &format, observer: &mut observer };
        let (sink, meter) = (&mut feed.sink, feed.stream.meter());
        let result = catch_unwind(AssertUnwindSafe(|| {
            feed_leases(leases, &settings, sink, &watch, meter, &mut Delivered::default())
        }));
        drop(sampler);
        for note in feed.sink.notes() {
            feed.told.note(note.clone());
        }
        // Nobody listens only when the attempt has come to its end.
        let _ = events.send(Event::Fed(Fed { result: result.ok(), sink: feed.sink }));
    };
    thread::Builder::new().name("forebay-feed".into()).spawn(run).map(drop)
}

struct Observer {
    journal: Journal,
    more: Arc<Notify>,
}

impl LeaseObserver for Observer {
    fn begin(&mut self, lease: u64, at: StreamPosition, skipped: StreamPosition) -> io::Result<()> {
        self.journal.begin(lease, at, skipped)?;
        self.more.notify_one();
        Ok(())
    }
}
