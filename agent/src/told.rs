//! What the worker has told of itself, and what people should be told of the attempt.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forebay_job::{Ack, Report, ReportError};
use forebay_protocol::v1;

/// Most counters kept, so that a worker that makes up names does not take all memory.
const MOST_COUNTERS: usize = 1000;
/// Longest name or status in bytes.
const LONGEST: usize = 200;
/// Most different notes of an attempt.
const MOST_NOTES: usize = 100;

/// Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    ack: Option<Ack>,
    fraction: Option<f64>,
    status: Option<String>,
    /// What the agent says where the worker has not said anything.
    word: Option<String>,
    counters: BTreeMap<(String, String), i64>,
    activity: &'static str,
    worker_pid: u32,
    notes: Vec<String>,
    /// All notes there ever were.
    noted: HashSet<String>,
}

impl Told {
    /// Takes what a line of the worker's says.
    pub(crate) fn take(&self, report: Result<Report, ReportError>) {
        match report {
            Ok(Report::Ack(ack)) => {
                let mut state = self.state();
                state.ack = Some(further(state.ack, ack));
            }
            Ok(Report::Progress(fraction)) => self.state().fraction = Some(fraction),
            Ok(Report::Status(status)) => self.state().status = Some(cut(status)),
            Ok(Report::Counter { group, counter, amount }) => self.count(cut(group), cut(counter), amount),
            Err(error) => self.note(error.to_string()),
        }
    }

    fn count(&self, group: String, counter: String, amount: i64) {
        let mut state = self.state();
        let is_full = state.counters.len() >= MOST_COUNTERS;
        match state.counters.get_mut(&(group.clone(), counter.clone())) {
            Some(count) => *count = count.saturating_add(amount),
            None if is_full => {
                drop(state);
                self.note(format!(
                    "the worker has more than {MOST_COUNTERS} counters; the others are left out"
                ));
            }
            None => {
                state.counters.insert((group, counter), amount);
            }
        }
    }

    /// Something that people should know. The same is told once.
    pub(crate) fn note(&self, note: String) {
        let mut state = self.state();
        if state.noted.len() < MOST_NOTES && state.noted.insert(note.clone()) {
            tracing::info!("{note}");
            state.notes.push(note);
        }
    }

    /// What the agent is doing.
    pub(crate) fn doing(&self, activity: &'static str) {
        self.state().activity = activity;
    }

    /// A word of the agent's own, as long as the worker has not said one.
    pub(crate) fn say(&self, status: String) {
        self.state().word = Some(status);
    }

    /// The worker runs.
    pub(crate) fn runs(&self, pid: u32) {
        // It may have said something already.
        let mut state = self.state();
        (state.worker_pid, state.activity, state.word) = (pid, "running", None);
    }

    /// How far the worker says it is.
    pub(crate) fn ack(&self) -> Option<v1::Ack> {
        self.state().ack.map(to_wire)
    }

    /// The same, as a line of the FIFO.
    pub(crate) fn ack_line(&self) -> Vec<u8> {
        match self.state().ack {
            None => Vec::new(),
            Some(Ack::Records(n)) => format!("ack:records={n}\n").into_bytes(),
            Some(Ack::Bytes(n)) => format!("ack:bytes={n}\n").into_bytes(),
        }
    }

    /// What people see.
    pub(crate) fn progress(&self, figures: v1::Figures) -> v1::Progress {
        let state = self.state();
        let counter = |((group, name), &value): (&(String, String), &i64)| v1::Counter {
            group: group.clone(),
            name: name.clone(),
            value,
        };
        v1::Progress {
            fraction: state.fraction,
            status: state.status.clone().or_else(|| state.word.clone()),
            counters: state.counters.iter().map(counter).collect(),
            figures: Some(figures),
            activity: state.activity.into(),
            worker_pid: state.worker_pid,
            notes: state.notes.clone(),
            ..v1::Progress::default()
        }
    }

    /// The first `n` notes have arrived.
    pub(crate) fn noted(&self, n: usize) {
        let mut state = self.state();
        let n = n.min(state.notes.len());
        state.notes.drain(..n);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The further of two acknowledgements; of two kinds that cannot be compared, the later.
pub(crate) fn further(before: Option<Ack>, ack: Ack) -> Ack {
    match (before, ack) {
        (Some(Ack::Records(a)), Ack::Records(b)) => Ack::Records(a.max(b)),
        (Some(Ack::Bytes(a)), Ack::Bytes(b)) => Ack::Bytes(a.max(b)),
        (_, ack) => ack,
    }
}

pub(crate) fn to_wire(ack: Ack) -> v1::Ack {
    let ack = match ack {
        Ack::Records(n) => v1::ack::Ack::Records(n),
        Ack::Bytes(n) => v1::ack::Ack::Bytes(n),
    };
    v1::Ack { ack: Some(ack) }
}

fn cut(mut text: String) -> String {
    while text.len() > LONGEST {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_only_grow() {
        let told = Told::default();
        assert_eq!((told.ack(), told.ack_line()), (None, Vec::new()));
        for n in [3, 7, 5] {
            told.take(Ok(Report::Ack(Ack::Records(n))));
        }
        assert_eq!(told.ack(), Some(to_wire(Ack::Records(7))));
        assert_eq!(told.ack_line(), b"ack:records=7\n");
        told.take(Ok(Report::Ack(Ack::Bytes(2))));
        assert_eq!(told.ack_line(), b"ack:bytes=2\n");
    }

    #[test]
    fn what_a_worker_makes_up_is_bounded() {
        let told = Told::default();
        for n in 0..MOST_COUNTERS + 50 {
            let counter =
                |amount| Ok(Report::Counter { group: "é".repeat(LONGEST), counter: n.to_string(), amount });
            told.take(counter(i64::MAX));
            told.take(counter(1));
        }
        for n in 0..MOST_NOTES + 50 {
            told.note(n.to_string());
            told.note(n.to_string());
        }
        let progress = told.progress(v1::Figures::default());
        assert_eq!(progress.counters.len(), MOST_COUNTERS);
        assert!(progress.counters.iter().all(|c| c.value == i64::MAX && c.group.len() == LONGEST));
        assert_eq!(progress.notes.len(), MOST_NOTES);
        told.noted(1);
        assert_eq!(told.progress(v1::Figures::default()).notes, progress.notes[1..]);
    }
}
