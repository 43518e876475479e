//! `forebay feed`: plans, starts the worker, feeds it, and tells how it went.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use forebay_feeder::{
    Cache, Delivered, Ended, FeedError, Hdfs, Input, Meter, Outcome, Plan, PlanError, PlanOptions, Report,
    Settings, Sink, Stop, Watch, Worker, WorkerError, feed,
};
use forebay_job::values::{self, FormatName, RecordOptions};
use forebay_record::Format;
use rustix::process::Signal;
use serde_json::json;

use crate::args::FeedArgs;
use crate::exit::Exit;
use crate::kernel;
use crate::progress::Progress;
use crate::report_file::ReportFile;
use crate::signals;
use crate::talk::{Failure, Talk};

/// How long a feed that has delivered all waits for the last blocks to be written into the cache.
const CACHE_PATIENCE: Duration = Duration::from_secs(2);

/// Runs the command; everything that goes wrong has been told when it returns.
pub(crate) fn run(args: &FeedArgs) -> Exit {
    let talk = Talk::of(args.quiet, args.json);
    prepare_and_run(args, talk).unwrap_or_else(|failure| {
        talk.fail(&failure);
        failure.exit
    })
}

fn prepare_and_run(args: &FeedArgs, talk: Talk) -> Result<Exit, Failure> {
    kernel::check()?;
    let format = format(args)?;
    let inputs: Vec<_> = args
        .inputs
        .iter()
        .map(|input| Input::parse(input))
        .collect::<Result<_, _>>()
        .map_err(PlanError::from)?;
    let by_name = values::is_by_name(args.format, args.delimiter.as_ref(), args.line_ending);
    let options = PlanOptions { format, by_name, split_size: args.split_size, shard: args.shard };
    let folder = args.cache_dir.as_deref().zip(args.cache_size);
    let cache = folder.map(|(folder, size)| Arc::new(Cache::new(Path::new(folder), size)));
    let hdfs = Hdfs::new(Duration::from_secs(args.hdfs_timeout)).with_cache(cache.clone());
    let report =
        args.report.as_deref().map(|path| ReportFile::new(path, args.command.is_empty())).transpose()?;
    let plan = match Plan::new(&inputs, options, hdfs) {
        Ok(plan) => plan,
        Err(error) => return Err(reported(report, Failure::from(error), talk)),
    };
    if let Some(report) = report.as_ref().filter(|report| plan.reads(report.shown())) {
        let path = report.shown().display();
        return Err(Failure::failed(format!("{path} is an input; write the report to another file")));
    }
    let file = report.map(ReportFile::stage).transpose()?;
    talk.event("planned", &json!({ "files": plan.files(), "splits": plan.splits(), "bytes": plan.bytes() }));
    match Run::new(args, talk, &plan, cache)?.run() {
        Ok((exit, report)) => {
            talk.event("finished", &report);
            talk.say(&report.to_string());
            if let Some(file) = file {
                file.write(&report)?;
            }
            Ok(exit)
        }
        Err(failure) => {
            if let Some(Err(error)) = file.map(|file| file.write(&failed(&failure))) {
                talk.fail(&error);
            }
            Err(failure)
        }
    }
}

/// What a report says of a feed that did not come to be.
fn failed(failure: &Failure) -> Outcome {
    Outcome::Failed { error: failure.to_string() }
}

/// Writes a report of a failure before the plan stood, when nothing is known of the inputs: an existing file is
/// replaced only if it is a report.
fn reported(report: Option<ReportFile>, failure: Failure, talk: Talk) -> Failure {
    let file = report.filter(ReportFile::is_new_or_report);
    let written = file.map(|file| file.stage().and_then(|file| file.write(&failed(&failure))));
    if let Some(Err(error)) = written {
        talk.fail(&error);
    }
    failure
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        if error.is_usage() { Self::usage(error.to_string()) } else { Self::failed(error.to_string()) }
    }
}

fn format(args: &FeedArgs) -> Result<Format, Failure> {
    let options = RecordOptions {
        delimiter: args.delimiter.as_ref(),
        line_ending: args.line_ending,
        framing: args.framing,
        sequencefile: args.sequencefile,
    };
    values::record_format(args.format, options).map_err(|misplaced| {
        let (name, word) = misplaced.setting();
        Failure::usage(misplaced.message(&format!("--{name}{word}"), &format!("--format {}", args.format)))
    })
}

/// One feed, from here to its report.
struct Run<'a> {
    args: &'a FeedArgs,
    talk: Talk,
    plan: &'a Plan,
    cache: Option<Arc<Cache>>,
    settings: Settings,
    stop: Arc<Stop>,
    meter: Arc<Meter>,
    delivered: Delivered,
}

impl<'a> Run<'a> {
    fn new(
        args: &'a FeedArgs,
        talk: Talk,
        plan: &'a Plan,
        cache: Option<Arc<Cache>>,
    ) -> Result<Self, Failure> {
        // Only now: while planning, nothing needs cleaning up, and a signal may simply end us.
        let stop = Stop::new().and_then(|stop| signals::stop_on_signals(&stop).map(|()| stop));
        let stop = stop.map_err(|e| Failure::failed(format!("cannot listen to signals: {e}")))?;
        let settings = Settings {
            line_ending: match args.line_ending {
                forebay_job::LineEnding::Keep => forebay_feeder::LineEnding::Keep,
                forebay_job::LineEnding::Lf => forebay_feeder::LineEnding::Lf,
            },
            epochs: args.epochs,
            checksums: args.report_checksums,
            verify: !args.no_verify,
            count_records: false,
            detect: args.format == FormatName::Auto,
        };
        let (stop, meter) = (Arc::new(stop), Arc::default());
        Ok(Self { args, talk, plan, cache, settings, stop, meter, delivered: Delivered::default() })
    }

    fn run(self) -> Result<(Exit, Report), Failure> {
        match self.args.command.split_first() {
            Some((command, args)) => self.feed_worker(command, args),
            None => self.feed_stdout(),
        }
    }

    fn feed_stdout(mut self) -> Result<(Exit, Report), Failure> {
        let mut sink = Sink::stdout(Arc::clone(&self.meter)).map_err(|e| Failure::failed(e.to_string()))?;
        let watch = Watch { stop: Arc::clone(&self.stop), worker: None };
        let result = self.feed(&mut sink, &watch, std::io::stdout().is_terminal());
        let exit = match &result {
            Ok(Ended::Complete | Ended::ReaderGone { .. }) => Exit::SUCCESS,
            Ok(Ended::Stopped) => self.stopped_exit(),
            Err(_) => Exit::FAILURE,
        };
        let outcome = self.outcome(&result);
        Ok((exit, self.report(outcome, SinkFacts::of(&sink))))
    }

    fn feed_worker(mut self, command: &OsStr, args: &[OsString]) -> Result<(Exit, Report), Failure> {
        let (mut sink, stdin) =
            Sink::pipe(Arc::clone(&self.meter)).map_err(|e| Failure::failed(e.to_string()))?;
        let shard = self.args.shard;
        let env = [
            ("FOREBAY_RANK", shard.index().to_string()),
            ("FOREBAY_WORLD_SIZE", shard.count().to_string()),
            ("FOREBAY_FORMAT", self.plan.format().name()),
        ];
        let failed = |e: WorkerError| Failure::exiting(e.to_string(), Exit(e.exit_code()));
        let mut worker = Worker::start(command, args, &env, stdin).map_err(failed)?;
        let watch = worker.watch(&self.stop);
        let fed = catch_unwind(AssertUnwindSafe(|| self.feed(&mut sink, &watch, false)));
        let result = fed.unwrap_or_else(|panic| {
            // A bug of ours must not look like an end of input either.
            let _ = worker.end(Some(Signal::TERM), &self.stop);
            resume_unwind(panic)
        });

        let facts = SinkFacts::of(&sink);
        let mut status = None;
        if let Ok(Ended::Complete | Ended::ReaderGone { .. }) = result {
            drop(sink);
            status = worker.wait(&self.stop).map_err(failed)?;
        }
        // Otherwise the sink is still open, and stays so until the worker is gone: an end of input would look
        // like success.
        let (exit, outcome, status) = match (status, &result) {
            (Some(status), _) => (Exit(Worker::shell_status(status)), self.outcome(&result), status),
            (None, Err(_)) => {
                let status = worker.end(Some(Signal::TERM), &self.stop).map_err(failed)?;
                (Exit::FAILURE, self.outcome(&result), status)
            }
            (None, Ok(_)) => {
                let signal = signals::cause(&self.stop).unwrap_or(signal_hook::consts::SIGTERM);
                let status = worker.end(signals::for_worker(signal), &self.stop).map_err(failed)?;
                (self.stopped_exit(), self.outcome(&Ok(Ended::Stopped)), status)
            }
        };
        let mut report = self.report(outcome, facts);
        report.worker_status = Some(Worker::shell_status(status));
        Ok((exit, report))
    }

    /// Feeds with the display on, and tells of a failure at once.
    fn feed(&mut self, sink: &mut Sink, watch: &Watch, shares_terminal: bool) -> Result<Ended, FeedError> {
        let total = self.plan.bytes().saturating_mul(self.args.epochs);
        let progress = Progress::start(self.talk, Arc::clone(&self.meter), total, shares_terminal);
        // Without a sampler the report has no waits of the worker, and says so by their absence.
        let sampler = sink.sampler().ok().flatten();
        let result = feed(self.plan, &self.settings, sink, watch, &self.meter, &mut self.delivered);
        drop((sampler, progress));
        if let Err(error) = &result {
            self.talk.fail(&Failure::failed(error.to_string()));
        }
        result
    }

    fn stopped_exit(&self) -> Exit {
        signals::cause(&self.stop).map_or(Exit::FAILURE, Exit::signal)
    }

    fn outcome(&self, result: &Result<Ended, FeedError>) -> Outcome {
        let splits = self.plan.splits().saturating_mul(self.args.epochs);
        let splits_left = splits.saturating_sub(self.meter.snapshot().splits_done);
        match result {
            Err(error) => Outcome::Failed { error: error.to_string() },
            Ok(Ended::Stopped) => Outcome::Stopped { signal: signals::cause(&self.stop) },
            Ok(Ended::ReaderGone { unread }) => Outcome::EarlyExit { unread_bytes: *unread, splits_left },
            Ok(Ended::Complete) => Outcome::Complete,
        }
    }

    fn report(self, outcome: Outcome, facts: SinkFacts) -> Report {
        let mut report = Report::new(self.plan, self.args.epochs, outcome, self.meter.snapshot());
        (report.pipe_size, report.notes) = (facts.pipe_size, facts.notes);
        (report.local_bytes, report.local_bytes_verified) = self.meter.local_bytes();
        (report.remote_bytes, report.remote_reads) = (self.meter.remote_bytes(), self.meter.remote_reads());
        if let Some(cache) = &self.cache {
            if matches!(report.outcome, Outcome::Complete) {
                cache.finish(CACHE_PATIENCE, || self.stop.cause().is_some());
            }
            report.cache = Some(cache.figures());
            report.notes.extend(cache.note());
        }
        report.split_checksums = self.delivered.splits;
        report
    }
}

/// What the report says of the sink, which may be closed by then.
struct SinkFacts {
    pipe_size: Option<usize>,
    notes: Vec<String>,
}

impl SinkFacts {
    fn of(sink: &Sink) -> Self {
        Self { pipe_size: sink.pipe_size(), notes: sink.notes().to_vec() }
    }
}
