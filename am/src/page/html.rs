//! The page for people: text and two tables. What is put into it is escaped by the template.

use forebay_scheduler::WorkerState;
use maud::{DOCTYPE, html};

use super::shown::{Shown, ShownWorker};
use crate::Phase;

const STYLE: &str = "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse;margin:1em 0}\
    th,td{text-align:left;vertical-align:top;padding:.2em .8em;border-bottom:1px solid #ccc}";
/// A page of a job that runs is asked for again after so many seconds.
const AGAIN: u32 = 5;

pub(super) fn page(job: &Shown<'_>, base: &str) -> String {
    let is_over = job.phase == Phase::Finished;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                @if !is_over { meta http-equiv="refresh" content=(AGAIN); }
                title { (job.name) " – Forebay" }
                style { (STYLE) }
            }
            body {
                h1 { (job.name) }
                table {
                    tr { th { "job" } td { (job.job) } }
                    tr { th { "phase" } td { (phase(job.phase)) } }
                    @if let Some(verdict) = &job.verdict { tr { th { "verdict" } td { (verdict) } } }
                    tr { th { "started" } td { (job.started) } }
                    tr { th { "ran for" } td { (format!("{:.0} s", job.seconds)) } }
                    tr { th { "progress" } td { (percent(job.progress)) } }
                    tr {
                        th { (job.unit) }
                        td {
                            (job.units.done) " of " (job.units.total) " done, " (job.units.fed) " read, "
                            (job.units.leased) " with workers, " (job.units.waiting) " waiting"
                        }
                    }
                    tr { th { "fed" } td { (gigabytes(job.bytes_stored)) " of " (gigabytes(job.bytes_planned)) } }
                    tr { th { "rate" } td { (format!("{:.2} GB/s", job.gb_per_s)) } }
                }
                h2 { "Workers" }
                table {
                    tr {
                        @for title in ["worker", "attempt", "state", "host", "progress", "says", "done", "fed",
                            "rate", "feed", "restarts", "last failure"] { th { (title) } }
                    }
                    @for worker in &job.workers { tr { @for cell in row(worker) { td { (cell) } } } }
                }
                p { "As of " (job.updated) ". " a href=(format!("{base}/status.json")) { "The same as JSON" } }
            }
        }
    }
    .into_string()
}

fn row(worker: &ShownWorker<'_>) -> [String; 12] {
    let state = match worker.activity {
        "" => state(worker.state).to_owned(),
        activity if activity == state(worker.state) => activity.to_owned(),
        activity => format!("{}, {activity}", state(worker.state)),
    };
    [
        worker.index.to_string(),
        worker.attempt.to_string(),
        state,
        worker.host.to_owned(),
        worker.progress.map(percent).unwrap_or_default(),
        worker.status.clone().unwrap_or_default(),
        worker.done.to_string(),
        gigabytes(worker.bytes),
        format!("{:.2} GB/s", worker.gb_per_s),
        worker.verdict.to_owned(),
        format!("{} of {}", worker.restarts, worker.max_restarts),
        worker.failure.clone().unwrap_or_default(),
    ]
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Running => "running",
        Phase::Committing => "committing",
        Phase::Ending => "ending",
        Phase::Finished => "finished",
    }
}

fn state(state: WorkerState) -> &'static str {
    match state {
        WorkerState::Waiting => "waiting",
        WorkerState::Asked => "waiting for a container",
        WorkerState::Launched => "starting",
        WorkerState::Rejoining => "coming back",
        WorkerState::Running => "running",
        WorkerState::Staging => "staging",
        WorkerState::Ending => "ending",
        WorkerState::Done => "done",
        WorkerState::Over => "over",
    }
}

fn percent(fraction: f64) -> String {
    format!("{:.1} %", fraction * 100.0)
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.2} GB", bytes as f64 / 1e9)
}
