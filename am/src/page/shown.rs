//! What of a job's state the page shows: chosen field by field, so that what is added to the state is not shown unawares.

use forebay_scheduler::{Counts, WorkerState};
use serde::Serialize;

use crate::{JobState, Phase, WorkerReport};

/// Of what workers say, this much is shown.
const LONGEST: usize = 300;

/// A job as the page shows it.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    pub(super) job: &'a str,
    pub(super) name: &'a str,
    pub(super) phase: Phase,
    /// How it ended, in a sentence.
    pub(super) verdict: Option<String>,
    pub(super) started: &'a str,
    pub(super) updated: &'a str,
    pub(super) seconds: f64,
    /// From 0 to 1.
    pub(super) progress: f64,
    /// What is counted: `splits`, or `files` where workers get whole ones.
    pub(super) unit: &'static str,
    pub(super) units: Counts,
    pub(super) bytes_stored: u64,
    pub(super) bytes_planned: u64,
    pub(super) gb_per_s: f64,
    pub(super) workers: Vec<ShownWorker<'a>>,
}

/// A worker as the page shows it.
#[derive(Debug, Serialize)]
pub(super) struct ShownWorker<'a> {
    pub(super) index: u32,
    pub(super) attempt: u32,
    pub(super) state: WorkerState,
    pub(super) activity: &'a str,
    pub(super) host: &'a str,
    pub(super) progress: Option<f64>,
    pub(super) status: Option<String>,
    pub(super) restarts: u32,
    pub(super) max_restarts: u32,
    pub(super) fed: u64,
    pub(super) done: u64,
    pub(super) bytes: u64,
    pub(super) gb_per_s: f64,
    pub(super) verdict: &'a str,
    pub(super) failure: Option<String>,
}

impl<'a> Shown<'a> {
    pub(super) fn of(state: &'a JobState) -> Self {
        Self {
            job: &state.job,
            name: &state.name,
            phase: state.phase,
            verdict: state.verdict.as_ref().map(|verdict| first_line(&verdict.to_string())),
            started: &state.started,
            updated: &state.updated,
            seconds: state.seconds,
            progress: state.fraction(),
            unit: if state.input_mode == "stream" { "splits" } else { "files" },
            units: state.units,
            bytes_stored: state.bytes_stored,
            bytes_planned: state.bytes_planned,
            gb_per_s: state.gb_per_s,
            workers: state.workers.iter().map(ShownWorker::of).collect(),
        }
    }
}

impl<'a> ShownWorker<'a> {
    fn of(worker: &'a WorkerReport) -> Self {
        Self {
            index: worker.index,
            attempt: worker.attempt,
            state: worker.state,
            activity: &worker.activity,
            host: &worker.host,
            progress: worker.progress,
            status: worker.status.as_deref().map(first_line),
            restarts: worker.restarts,
            max_restarts: worker.max_restarts,
            fed: worker.fed,
            done: worker.done,
            bytes: worker.figures.bytes,
            gb_per_s: worker.figures.gb_per_s,
            verdict: &worker.figures.verdict,
            failure: worker.failure.as_deref().map(first_line),
        }
    }
}

/// The first line, not too long: what may follow is not for all who may see the page.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
