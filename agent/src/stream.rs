//! How far an attempt's stream is, for all of the agent to see.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forebay_feeder::{Gauge, Meter, Sink};
use forebay_protocol::v1;

/// Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stream {
    meter: Arc<Meter>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    begins: Vec<v1::Begin>,
    /// While the pipe is open.
    gauge: Option<Gauge>,
    complete: bool,
}

impl Stream {
    pub(crate) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// From here on the pipe tells what its reader has taken.
    pub(crate) fn measure(&self, sink: &Sink) -> io::Result<()> {
        self.state().gauge = sink.gauge()?;
        Ok(())
    }

    /// A unit is about to begin.
    pub(crate) fn begins(&self, begin: v1::Begin) {
        self.state().begins.push(begin);
    }

    /// How many units have begun.
    pub(crate) fn begun(&self) -> usize {
        self.state().begins.len()
    }

    /// All was taken, and the worker may be told that there is no more. Closes what keeps the pipe open here.
    pub(crate) fn complete(&self) {
        let mut state = self.state();
        state.complete = true;
        state.gauge = None;
    }

    /// Units handed over whole, without a stream: `units` are files that the worker has whole from its start on.
    pub(crate) fn handed_over(&self, units: impl IntoIterator<Item = u64>) {
        let start = || Some(v1::StreamPosition::default());
        let begins = units.into_iter().map(|unit| v1::Begin { unit, at: start(), skipped: start() });
        let mut state = self.state();
        state.begins.extend(begins);
        state.complete = true;
    }

    /// The position, with the units begun from the `from`th on.
    pub(crate) fn position(&self, from: usize, ack: Option<v1::Ack>) -> v1::Position {
        let state = self.state();
        // First what was taken: what is delivered meanwhile does not count as taken.
        let taken = state.gauge.as_ref().map(Gauge::consumed);
        let whole_units = self.meter.snapshot().splits_done;
        let delivered = self.meter.position();
        v1::Position {
            begins: state.begins.get(from..).unwrap_or_default().to_vec(),
            delivered: Some(v1::StreamPosition { bytes: delivered.bytes, records: delivered.records }),
            consumed: taken.unwrap_or(if state.complete { delivered.bytes } else { 0 }),
            complete: state.complete,
            ack,
            whole: state.complete || whole_units == state.begins.len() as u64,
        }
    }

    /// What people see of the feed.
    pub(crate) fn figures(&self) -> v1::Figures {
        let figures = self.meter.snapshot();
        v1::Figures {
            bytes: figures.bytes,
            seconds: figures.seconds,
            gb_per_s: figures.gb_per_s,
            feed_waited_s: figures.feed_waited_s,
            worker_waited_s: figures.worker_waited_s,
            verdict: figures.verdict.map_or_else(String::new, |verdict| verdict.as_str().into()),
            local_bytes: self.meter.local_bytes().0,
            remote_bytes: self.meter.remote_bytes().values().sum(),
            copied_bytes: figures.bytes_copied,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
