//! What is said when a job is over: what happened, and where things are.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use forebay_am::{Attempt, Cause, Happening, JobFolder, JobState, Outcome, Story, Told, Verdict};
use indicatif::DecimalBytes;
use serde_json::json;

use crate::exit::Exit;
use crate::talk::{Failure, Talk};

/// So much of the story is said; the rest is in the job's folder.
const MOST_LINES: usize = 20;
/// So many last lines of a failed worker's standard error, out of so many last bytes.
const LAST_LINES: usize = 10;
pub(crate) const LAST_BYTES: u64 = 4096;

/// Tells people and machines how a job of this machine ended.
pub(super) fn tell(talk: Talk, outcome: &Outcome, exit: Exit, told: &[Told]) {
    let state = &outcome.state;
    talk.event("finished", &json!({ "exit": exit.0, "state": state }));
    match &outcome.verdict {
        Verdict::Succeeded => {}
        verdict => talk.fail(&Failure::failed(format!("{verdict}"))),
    }
    if talk == Talk::Plain {
        let tail = |attempt: Attempt| {
            let folder = JobFolder::open(&state.folder).ok()?;
            end_of(&folder.attempt(attempt).join("stderr")).ok()
        };
        say(talk, &outcome.verdict, Some(state), told, &tail, places(outcome));
    }
}

/// Tells people what happened in a job that is over. `tail` gives the end of what an attempt has written to standard error.
pub(crate) fn say(
    talk: Talk,
    verdict: &Verdict,
    state: Option<&JobState>,
    told: &[Told],
    tail: &dyn Fn(Attempt) -> Option<Vec<u8>>,
    places: Vec<String>,
) {
    if *verdict == Verdict::Succeeded {
        talk.say(&state.map_or_else(|| "the job succeeded".to_owned(), headline));
    }
    let mut lines = story(told);
    if !matches!(verdict, Verdict::Succeeded | Verdict::Stopped { .. }) {
        lines.extend(last_words(told, tail));
    }
    lines.extend(places);
    for line in lines {
        talk.say(&format!("  {line}"));
    }
}

fn headline(state: &JobState) -> String {
    let units = state.units;
    let noun = if state.input_mode == "stream" { "splits" } else { "files" };
    let fed = if state.input_mode == "list" {
        String::new()
    } else {
        let average = state.bytes_moved as f64 / 1e9 / state.seconds.max(0.001);
        format!(", {} at {average:.2} GB/s", DecimalBytes(state.bytes))
    };
    format!("the job succeeded in {:.1} s: {} of {} {noun}{fed}", state.seconds, units.done, units.total)
}

/// What was not as it should be, in the order in which it happened.
fn story(told: &[Told]) -> Vec<String> {
    let worth = |told: &&Told| match &told.what {
        Happening::Job(Story::AttemptEnded { cause: Cause::JobEnds, .. }) => false,
        Happening::Job(story) => matches!(
            story,
            Story::JobResumes { .. }
                | Story::AttemptEnded { .. }
                | Story::PartlyRead { .. }
                | Story::AckTooLarge { .. }
                | Story::Lingers { .. }
                | Story::LeftBehind { .. }
                | Story::Unread { .. }
                | Story::TooLateToStop { .. }
                | Story::FedAgain { .. }
        ),
        Happening::Other(_) => true,
    };
    let mut lines: Vec<_> = told.iter().filter(worth).map(|told| told.text.clone()).collect();
    if lines.len() > MOST_LINES {
        // The end of the story says more than its middle.
        let left_out = lines.len() - MOST_LINES;
        lines.splice(
            MOST_LINES / 2..MOST_LINES / 2 + left_out,
            [format!("({left_out} more in events.jsonl)")],
        );
    }
    lines
}

/// What the worker said last that failed last.
fn last_words(told: &[Told], tail: &dyn Fn(Attempt) -> Option<Vec<u8>>) -> Vec<String> {
    let failed = told.iter().rev().find_map(|told| match &told.what {
        Happening::Job(Story::AttemptEnded { attempt, cause, .. }) if *cause != Cause::JobEnds => {
            Some(*attempt)
        }
        _ => None,
    });
    let Some((attempt, bytes)) = failed.and_then(|attempt| Some((attempt, tail(attempt)?))) else {
        return Vec::new();
    };
    // What could steer the terminal is not passed on.
    let text = String::from_utf8_lossy(&bytes);
    let text: String = text.chars().filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect();
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return Vec::new();
    }
    let Attempt { index, number } = attempt;
    let mut said = vec![format!("the last that worker {index} (attempt {number}) wrote to standard error:")];
    said.extend(lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(|line| format!("  | {line}")));
    said
}

fn end_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(LAST_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LAST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn places(outcome: &Outcome) -> Vec<String> {
    let state = &outcome.state;
    let folder = state.folder.display();
    let outputs = state.outputs.join(", ");
    let mut lines = Vec::new();
    if !state.outputs.is_empty() {
        lines.push(match &outcome.verdict {
            Verdict::Succeeded => format!("output: {outputs}"),
            Verdict::Failed { .. } | Verdict::Stopped { .. } => format!("nothing was put into {outputs}"),
            Verdict::CommitFailed { .. } => {
                format!("the output in {outputs} is not complete until it is resumed")
            }
        });
    }
    lines.push(format!("job folder: {folder} (forebay logs {} shows what the workers wrote)", state.job));
    if matches!(outcome.verdict, Verdict::Stopped { .. } | Verdict::CommitFailed { .. }) {
        lines.push(format!("to go on: forebay run --resume {folder}"));
    }
    lines
}
