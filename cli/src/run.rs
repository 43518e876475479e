//! `forebay run`: makes the job out of file and flags, and starts it.

mod display;
mod summary;

pub(crate) use display::{Shown, needs, worker_line};
pub(crate) use summary::{LAST_BYTES, say as say_what_happened};

use std::path::PathBuf;
use std::sync::{Arc, mpsc};

use forebay_am::{AmError, Prepared, Verdict};
use forebay_feeder::Stop;
use forebay_job::Job;
use serde_json::json;

use crate::args::RunArgs;
use crate::exit::Exit;
use crate::job::{here, print};
use crate::run::display::Display;
use crate::talk::{Failure, Talk};
use crate::{kernel, signals};

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
    let talk = args.job.talk();
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
    let (job, idle) = args.job.draft()?.build_here().map_err(|error| args.job.failure(&error))?;
    let placed = job.clone().at(&here()?).map_err(|error| args.job.failure(&error))?;
    if args.job.print_job {
        print(&job.to_toml())?;
        return Ok(Exit::SUCCESS);
    }
    if !idle.is_empty() {
        talk.say(&format!("without a meaning on one machine: {}", idle.join(", ")));
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

/// The one setting that may change when a job is resumed.
fn workers(args: &RunArgs) -> Result<Option<u32>, Failure> {
    let flags = args.job.settings.draft(&[])?;
    if let Some(name) = flags.names().find(|name| *name != "workers") {
        return Err(Failure::usage(format!(
            "--{name} cannot be changed when a job is resumed; only --workers can"
        )));
    }
    flags.workers().map_err(|error| args.job.failure(&error))
}
