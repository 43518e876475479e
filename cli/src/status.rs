//! `forebay status` and `forebay list`: how jobs stand.

use std::fs;
use std::io::{ErrorKind, Write};

use forebay_am::{Condition, JobFolder, JobState, Phase, Verdict, is_id, seconds_since, usual_place};
use indicatif::DecimalBytes;
use serde_json::{Value, json};

use crate::args::{ListArgs, StatusArgs};
use crate::exit::Exit;
use crate::run::{needs, worker_line};
use crate::talk::{Failure, Talk};

/// Runs `forebay status`; everything that goes wrong has been told when it returns.
pub(crate) fn status(args: &StatusArgs) -> Exit {
    told(args.json, || {
        let folder = JobFolder::find(&args.job)?;
        let (condition, state) = JobState::read(&folder)?;
        Ok(if args.json {
            format!("{}\n", as_json(&folder, condition, state.as_ref()))
        } else {
            page(&folder, condition, state.as_ref())
        })
    })
}

/// Runs `forebay list`; everything that goes wrong has been told when it returns.
pub(crate) fn list(args: &ListArgs) -> Exit {
    told(args.json, || {
        let jobs = jobs()?;
        Ok(if args.json {
            let line =
                |job: &Listed| format!("{}\n", as_json(&job.folder, job.condition, job.state.as_ref()));
            jobs.iter().map(line).collect()
        } else {
            table(&jobs)
        })
    })
}

fn told(json: bool, look: impl FnOnce() -> Result<String, Failure>) -> Exit {
    let printed = look().and_then(|text| match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    });
    match printed {
        Ok(()) => Exit::SUCCESS,
        Err(failure) => {
            let talk = if json { Talk::Json } else { Talk::Plain };
            talk.fail(&failure);
            failure.exit
        }
    }
}

fn as_json(folder: &JobFolder, condition: Condition, state: Option<&JobState>) -> Value {
    let mut object = json!({ "condition": condition, "folder": folder.path() });
    if let (Some(object), Ok(Value::Object(state))) = (object.as_object_mut(), serde_json::to_value(state)) {
        object.extend(state);
    }
    object
}

/// In a word or two.
fn word(condition: Condition, state: Option<&JobState>) -> &'static str {
    match (condition, state.map(|state| state.phase)) {
        (Condition::Running, Some(Phase::Committing)) => "committing",
        (Condition::Running, Some(Phase::Ending)) => "ending",
        (Condition::Running, None) => "starting",
        (Condition::Running, _) => "running",
        (Condition::Succeeded, _) => "succeeded",
        (Condition::Failed, _) => "failed",
        (Condition::Stopped, _) => "stopped",
        (Condition::Lost, _) => "lost",
    }
}

fn page(folder: &JobFolder, condition: Condition, state: Option<&JobState>) -> String {
    let shown = folder.path().display();
    let resume = format!("resume it with forebay run --resume {shown}");
    let Some(state) = state else {
        return match condition {
            Condition::Running => format!("the job in {shown} is starting\n"),
            _ => format!("the job in {shown} was ended before it began; {resume}\n"),
        };
    };
    let mut page = format!("{} ({}): {}\n", state.job, state.name, word(condition, Some(state)));
    let mut line = |text: String| page.extend(["  ", &text, "\n"]);
    match (condition, &state.verdict) {
        (Condition::Lost, _) => {
            line(format!("its application master (process {}) is gone; {resume}", state.pid));
        }
        (Condition::Running, _) => line(format!("application master: process {}", state.pid)),
        (_, Some(Verdict::Failed { why })) => line(format!("why: {why}")),
        (_, Some(Verdict::Stopped { why } | Verdict::CommitFailed { why })) => {
            line(format!("why: {why}; {resume}"));
        }
        _ => {}
    }
    let passed = match condition {
        Condition::Running => seconds_since(&state.started).unwrap_or(state.seconds),
        _ => state.seconds,
    };
    line(format!("started {}, {}", state.started, span(passed)));
    let noun = if state.input_mode == "stream" { "splits" } else { "files" };
    let units = state.units;
    line(format!(
        "{noun}: {} done, {} read, {} given to workers, {} waiting, of {}",
        units.done, units.fed, units.leased, units.waiting, units.total
    ));
    if state.input_mode != "list" {
        let rate = if condition == Condition::Running {
            format!(" at {:.2} GB/s", state.gb_per_s)
        } else {
            String::new()
        };
        line(format!("fed: {} of {}{rate}", DecimalBytes(state.bytes), DecimalBytes(state.bytes_planned)));
    }
    if state.fed_again > 0 {
        line(format!("{} {noun} fed more than once, the first: {}", state.fed_again, names(state)));
    }
    if state.partly_read > 0 {
        let first = state
            .partly_read_first
            .iter()
            .map(|partly| format!("{} up to byte {}", partly.split, partly.byte));
        line(format!("{} {noun} read in part: {}", state.partly_read, first.collect::<Vec<_>>().join(", ")));
    }
    if let Some(needs) = needs(state) {
        line(needs);
    }
    for worker in &state.workers {
        let restarts = match worker.restarts {
            0 => String::new(),
            n => format!(", {n} of {} restarts used", worker.max_restarts),
        };
        let failure = worker.failure.as_ref().map_or(String::new(), |why| format!(", before it {why}"));
        line(format!(
            "worker {} (attempt {}): {}{restarts}{failure}",
            worker.index,
            worker.attempt,
            worker_line(worker)
        ));
    }
    if !state.done_before.is_empty() {
        let before: Vec<_> = state.done_before.iter().map(ToString::to_string).collect();
        line(format!("done in an earlier run: {}", before.join(", ")));
    }
    for output in &state.outputs {
        line(format!("output: {output}"));
    }
    line(format!("job folder: {shown}"));
    page
}

fn names(state: &JobState) -> String {
    state.fed_again_first.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// `12.3 s`, `4 min 5 s`, `2 h 3 min`.
fn span(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of seconds")]
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole / 60 % 60),
    }
}

struct Listed {
    id: String,
    folder: JobFolder,
    condition: Condition,
    state: Option<JobState>,
}

/// The jobs of this user, the latest first. What is no job any more is left out.
fn jobs() -> Result<Vec<Listed>, Failure> {
    let place =
        usual_place().ok_or_else(|| Failure::failed("HOME is not set, so there is no list of jobs"))?;
    let entries = match fs::read_dir(&place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::failed(format!("cannot read {}: {error}", place.display()))),
    };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut ids: Vec<_> = ids.filter(|name| is_id(name)).collect();
    ids.sort_unstable_by(|a, b| b.cmp(a));
    let listed = |id: String| {
        let folder = JobFolder::open(&place.join(&id)).ok()?;
        // One that cannot be read is there all the same.
        let (condition, state) = JobState::read(&folder).unwrap_or((Condition::Lost, None));
        Some(Listed { id, folder, condition, state })
    };
    Ok(ids.into_iter().filter_map(listed).collect())
}

fn table(jobs: &[Listed]) -> String {
    if jobs.is_empty() {
        return "no jobs\n".to_owned();
    }
    let mut rows = vec![["JOB", "NAME", "STATE", "DONE", "TIME", "FOLDER"].map(str::to_owned)];
    for Listed { id, folder, condition, state } in jobs {
        let (name, done, time) = state.as_ref().map_or_else(Default::default, |state| {
            let units = state.units;
            let passed = match condition {
                Condition::Running => seconds_since(&state.started).unwrap_or(state.seconds),
                _ => state.seconds,
            };
            (state.name.clone(), format!("{}/{}", units.done, units.total), span(passed))
        });
        let word = word(*condition, state.as_ref()).to_owned();
        rows.push([id.clone(), name, word, done, time, folder.path().display().to_string()]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..5).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  "));
        format!("{}{}\n", cells.collect::<String>(), row[5])
    };
    rows.iter().map(line).collect()
}
