//! `forebay run`: makes the job out of file and flags, and starts it.

mod display;
mod summary;

pub(crate) use display::{needs, worker_line};

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use forebay_am::{AmError, Prepared, Verdict};
use forebay_feeder::Stop;
use forebay_job::{Draft, Job, JobError};
use serde_json::json;

use crate::args::RunArgs;
use crate::exit::Exit;
use crate::run::display::Display;
use crate::talk::{Failure, Talk};
use crate::{kernel, signals};

/// A longer job file is something else.
const MAX_FILE: u64 = 1 << 20;

/// What to run.
#[derive(Debug)]
enum Start {
    /// A new job; its paths do not depend on this folder (but for its inputs).
    New(Box<Job>),
    /// A job that was begun.
    Resume {
        /// Its folder.
        folder: PathBuf,
        /// With so many workers, if not as many as before.
        workers: Option<u32>,
    },
}

/// Runs the command; everything that goes wrong has been told when it returns.
pub(crate) fn run(args: &RunArgs) -> Exit {
    let talk = Talk::of(args.quiet, args.json);
    prepare_and_run(args, talk).unwrap_or_else(|failure| {
        talk.fail(&failure);
        failure.exit
    })
}

fn prepare_and_run(args: &RunArgs, talk: Talk) -> Result<Exit, Failure> {
    if let Some(folder) = &args.resume {
        let folder = folder.clone();
        return start(Start::Resume { folder, workers: workers(args)? }, talk);
    }
    let job = job(args)?;
    let placed = job.clone().at(&here()?).map_err(|error| failure(args, &error))?;
    if args.print_job {
        print(&job.to_toml())?;
        return Ok(Exit::SUCCESS);
    }
    start(Start::New(Box::new(placed)), talk)
}

fn start(start: Start, talk: Talk) -> Result<Exit, Failure> {
    kernel::check()?;
    let prepared = match start {
        Start::New(job) => Prepared::new(*job)?,
        Start::Resume { folder, workers } => Prepared::resume(&folder, workers, || {
            talk.say("waiting for the processes of the job's earlier run to end");
        })?,
    };
    let planned = json!({
        "job": prepared.id(),
        "files": prepared.files(),
        "splits": prepared.units(),
        "bytes": prepared.bytes(),
    });
    talk.event("planned", &planned);
    // Only now: while planning, nothing needs cleaning up, and a signal may simply end us.
    let stop = Stop::new().and_then(|stop| signals::stop_on_signals(&stop).map(|()| stop));
    let stop = Arc::new(stop.map_err(|e| Failure::failed(format!("cannot listen to signals: {e}")))?);
    let (watcher, updates) = mpsc::channel();
    let display = Display::start(talk, updates);
    let outcome = prepared.run(&stop, watcher);
    let told = display.finish();
    let outcome = outcome.map_err(|error| match (&error, signals::cause(&stop)) {
        (AmError::Interrupted { .. }, Some(signal)) => {
            Failure::exiting(error.to_string(), Exit::signal(signal))
        }
        _ => error.into(),
    })?;
    let exit = match outcome.verdict {
        Verdict::Succeeded => Exit::SUCCESS,
        Verdict::Failed { .. } => Exit(outcome.status),
        Verdict::Stopped { .. } => signals::cause(&stop).map_or(Exit::FAILURE, Exit::signal),
        Verdict::CommitFailed { .. } => Exit::FAILURE,
    };
    summary::tell(talk, &outcome, exit, &told);
    Ok(exit)
}

impl From<AmError> for Failure {
    fn from(error: AmError) -> Self {
        if error.is_usage() { Self::usage(error.to_string()) } else { Self::failed(error.to_string()) }
    }
}

/// The job of file and flags.
fn job(args: &RunArgs) -> Result<Job, Failure> {
    let flags = args.settings.draft(&args.command)?;
    let draft = match &args.file {
        None => flags,
        Some(path) => {
            let file = Draft::from_toml(&read(path)?).map_err(|error| failure(args, &error))?;
            file.overridden_by(flags)
        }
    };
    draft.build().map_err(|error| failure(args, &error))
}

/// The one setting that may change when a job is resumed.
fn workers(args: &RunArgs) -> Result<Option<u32>, Failure> {
    let flags = args.settings.draft(&[])?;
    if let Some(name) = flags.names().find(|name| *name != "workers") {
        return Err(Failure::usage(format!(
            "--{name} cannot be changed when a job is resumed; only --workers can"
        )));
    }
    flags.workers().map_err(|error| failure(args, &error))
}

/// A job's errors are its user's; those that count lines stand behind the file's name.
fn failure(args: &RunArgs, error: &JobError) -> Failure {
    match &args.file {
        Some(file) if error.names_line() => Failure::usage(format!("{}: {error}", file.display())),
        _ => Failure::usage(error.to_string()),
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut text));
    read.map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::NotFound => " (a command to run stands behind --)",
            _ => "",
        };
        Failure::usage(format!("cannot read the job file {shown}: {error}{hint}"))
    })?;
    if text.len() as u64 > MAX_FILE {
        return Err(Failure::usage(format!("{shown} is no job file: it is longer than 1 MiB")));
    }
    String::from_utf8(text).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::usage(format!(
            "{shown} is no job file: byte {at} is not UTF-8 (a command to run stands behind --)"
        ))
    })
}

/// The folder from which relative paths are seen.
fn here() -> Result<String, Failure> {
    let folder = std::env::current_dir()
        .map_err(|error| Failure::failed(format!("cannot tell the current folder: {error}")))?;
    folder.into_os_string().into_string().map_err(|folder| {
        Failure::usage(format!(
            "the current folder {} is not UTF-8, and a job is kept as text; run it from elsewhere",
            folder.display()
        ))
    })
}

/// Prints what may be piped on; who has read enough is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
