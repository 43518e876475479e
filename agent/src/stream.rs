//! How far an attempt's stream is, for all of the agent to see.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forebay_feeder::{Gauge, Meter, Sink};
use forebay_protocol::v1;

/// Begins that are kept, at least, of what an AM knows of.
const KEPT: usize = 1024;

/// Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stream {
    meter: Arc<Meter>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Behind those that were let go of.
    begins: Vec<v1::Begin>,
    gone: usize,
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
        let state = self.state();
        state.gone + state.begins.len()
    }

    /// Lets go of the oldest begins, if there are many: of those, up to the `heard`th, whose units have left the pipe. Returns these units.
    pub(crate) fn let_go(&self, heard: usize) -> Vec<u64> {
        let mut state = self.state();
        let most = state.begins.len().saturating_sub(KEPT).min(heard.saturating_sub(state.gone));
        if most < KEPT {
            return Vec::new();
        }
        let consumed = self.consumed(&state);
        let is_gone = |next: &&v1::Begin| next.at.is_some_and(|at| at.bytes <= consumed);
        let gone = state.begins[1..=most].iter().take_while(is_gone).count();
        state.gone += gone;
        state.begins.drain(..gone).map(|begin| begin.unit).collect()
    }

    /// Bytes that have left the pipe.
    fn consumed(&self, state: &State) -> u64 {
        let all = if state.complete { self.meter.position().bytes } else { 0 };
        state.gauge.as_ref().map_or(all, Gauge::consumed)
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

    /// The position, with the units begun from the `from`th on, as far as they are kept.
    pub(crate) fn position(&self, from: usize, ack: Option<v1::Ack>) -> v1::Position {
        let state = self.state();
        // First what was taken: what is delivered meanwhile does not count as taken.
        let consumed = self.consumed(&state);
        let whole_units = self.meter.snapshot().splits_done;
        let delivered = self.meter.position();
        v1::Position {
            begins: state.begins.get(from.saturating_sub(state.gone)..).unwrap_or_default().to_vec(),
            delivered: Some(v1::StreamPosition { bytes: delivered.bytes, records: delivered.records }),
            consumed,
            complete: state.complete,
            ack,
            whole: state.complete || whole_units == (state.gone + state.begins.len()) as u64,
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
            stored_bytes: figures.stored_bytes(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_left_the_pipe_and_is_known_of_is_let_go_of_when_there_is_much() {
        let stream = Stream::default();
        let kept = KEPT as u64;
        for unit in 0..5 * kept {
            // Nothing is in those up to the third thousand, and nothing of the others has left the pipe.
            let at = v1::StreamPosition { bytes: u64::from(unit > 3 * kept), records: 0 };
            stream.begins(v1::Begin { unit, at: Some(at), skipped: None });
        }
        assert!(stream.let_go(KEPT - 1).is_empty(), "that little is kept");
        assert_eq!(stream.let_go(2 * KEPT), (0..2 * kept).collect::<Vec<_>>());
        assert_eq!((stream.begun(), stream.let_go(2 * KEPT)), (5 * KEPT, Vec::new()));
        assert_eq!(stream.position(0, None).begins.len(), 3 * KEPT);
        assert_eq!(stream.position(5 * KEPT - 2, None).begins[0].unit, 5 * kept - 2);
        assert_eq!(stream.let_go(5 * KEPT), (2 * kept..3 * kept).collect::<Vec<_>>());
        assert!(stream.let_go(5 * KEPT).is_empty());
    }
}
