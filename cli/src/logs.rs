//! `forebay logs`: what the workers of a job have written.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use forebay_am::{Attempt, JobFolder};
use forebay_client::{Client, LogsError, is_application_id};
use forebay_feeder::DEFAULT_HDFS_TIMEOUT;

use crate::args::LogsArgs;
use crate::exit::Exit;
use crate::talk::{Failure, Talk};

/// How often is looked for more.
const LOOK: Duration = Duration::from_millis(100);
const BLOCK: usize = 64 << 10;
/// A longer line of several workers' is passed on in parts.
const LONGEST_LINE: usize = 1 << 20;

/// Runs the command; everything that goes wrong has been told when it returns.
pub(crate) fn run(args: &LogsArgs) -> Exit {
    match print(args) {
        Ok(()) => Exit::SUCCESS,
        Err(failure) => {
            Talk::Plain.fail(&failure);
            failure.exit
        }
    }
}

fn print(args: &LogsArgs) -> Result<(), Failure> {
    if is_application_id(&args.job) {
        return on_cluster(args);
    }
    let folder = JobFolder::find(&args.job)?;
    let wanted = Wanted { folder: &folder, args };
    // Asked for by name, what is not there is an error; with --follow it may come.
    if !args.follow && wanted.files().is_empty() {
        return Err(nothing(args, &folder.path().display().to_string()));
    }
    let printed = if args.follow { follow(&wanted) } else { all(&wanted.files()) };
    match printed {
        // Who has read enough is no failure.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("cannot print the logs of {}: {error}", folder.path().display())))
        }
        _ => Ok(()),
    }
}

fn nothing(args: &LogsArgs, place: &str) -> Failure {
    let which = match (args.worker, args.attempt) {
        (None, None) => String::new(),
        (worker, attempt) => {
            let part = |name: &str, n: Option<u32>| n.map_or(String::new(), |n| format!(" {name} {n}"));
            format!(" by{}{}", part("worker", worker), part("attempt", attempt))
        }
    };
    Failure::failed(format!("nothing was written{which} in {place}"))
}

/// The streams that are asked for.
fn streams(args: &LogsArgs) -> &'static [&'static str] {
    match (args.stdout, args.stderr) {
        (true, _) => &["stdout"],
        (_, true) => &["stderr"],
        _ => &["stdout", "stderr"],
    }
}

/// Whether there can be one file only, so that its lines need no name.
fn is_one(args: &LogsArgs) -> bool {
    args.worker.is_some() && args.attempt.is_some() && (args.stdout || args.stderr)
}

/// Of a job on a cluster.
fn on_cluster(args: &LogsArgs) -> Result<(), Failure> {
    let client = Client::open(DEFAULT_HDFS_TIMEOUT)?;
    let wanted = forebay_client::Wanted { worker: args.worker, attempt: args.attempt, names: streams(args) };
    let mut out = io::stdout();
    let mut lines: BTreeMap<forebay_client::Log, Lines> = BTreeMap::new();
    let mut titled = None;
    let mut print = |log: forebay_client::Log, many: usize, piece: &[u8]| {
        let forebay_client::Log { attempt, name } = log;
        if is_one(args) {
            out.write_all(piece)?;
        } else if args.follow {
            let prefix = format!("{attempt} {name} | ");
            let lines = lines.entry(log).or_default();
            if piece.is_empty() {
                lines.end(&prefix, &mut out)?;
            } else {
                lines.pass_on(&prefix, piece, &mut out)?;
            }
        } else if !piece.is_empty() {
            if many > 1 && titled != Some(log) {
                let gap = if titled.is_none() { "" } else { "\n" };
                writeln!(out, "{gap}==> worker {}, attempt {}, {name} <==", attempt.index, attempt.number)?;
                titled = Some(log);
            }
            out.write_all(piece)?;
        }
        out.flush()
    };
    match client.logs(&args.job, &wanted, args.follow, &mut print) {
        Ok(false) if !args.follow => Err(nothing(args, &args.job)),
        Ok(_) => Ok(()),
        // Who has read enough is no failure.
        Err(LogsError::Print(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(LogsError::Print(error)) => {
            Err(Failure::failed(format!("cannot print the logs of {}: {error}", args.job)))
        }
        Err(LogsError::Client(error)) => Err(error.into()),
        Err(error @ LogsError::Cut { .. }) => Err(Failure::failed(error.to_string())),
    }
}

/// One file of logs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Log {
    attempt: Attempt,
    stream: &'static str,
    path: PathBuf,
}

/// Which files are asked for.
struct Wanted<'a> {
    folder: &'a JobFolder,
    args: &'a LogsArgs,
}

impl Wanted<'_> {
    fn files(&self) -> Vec<Log> {
        let streams = streams(self.args);
        let is_wanted = |attempt: &Attempt| {
            self.args.worker.is_none_or(|worker| worker == attempt.index)
                && self.args.attempt.is_none_or(|number| number == attempt.number)
        };
        let of = |attempt: Attempt| {
            streams.iter().map(move |&stream| (attempt, stream, self.folder.attempt(attempt).join(stream)))
        };
        let files = self.folder.attempts().into_iter().filter(is_wanted).flat_map(of);
        let files = files.map(|(attempt, stream, path)| Log { attempt, stream, path });
        files.filter(|file| file.path.is_file()).collect()
    }
}

/// One after the other, each under its name.
fn all(files: &[Log]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (at, Log { attempt, stream, path }) in files.iter().enumerate() {
        let mut file = File::open(path)?;
        if files.len() > 1 {
            if file.metadata()?.len() == 0 {
                continue;
            }
            let gap = if at == 0 { "" } else { "\n" };
            writeln!(out, "{gap}==> worker {}, attempt {}, {stream} <==", attempt.index, attempt.number)?;
        }
        io::copy(&mut file, &mut out)?;
    }
    out.flush()
}

/// A file that is being written. It is only open while it is read: of many attempts there are more files than a process may
/// have open.
#[derive(Default)]
struct Followed {
    /// So much of it was read.
    read: u64,
    lines: Lines,
}

/// The lines of a log that are printed between those of others.
#[derive(Default)]
struct Lines {
    /// One of which the end has not come.
    line: Vec<u8>,
}

/// As it comes, until the job has ended.
fn follow(wanted: &Wanted<'_>) -> io::Result<()> {
    let mut followed: BTreeMap<Log, Followed> = BTreeMap::new();
    loop {
        // Before reading: what is written later by a job that has ended is nothing.
        let is_over = !wanted.folder.is_running();
        for log in wanted.files() {
            followed.entry(log).or_default();
        }
        let mut out = io::stdout().lock();
        for (log, followed) in &mut followed {
            let prefix =
                if is_one(wanted.args) { None } else { Some(format!("{} {} | ", log.attempt, log.stream)) };
            followed.pass_on(&log.path, prefix.as_deref(), is_over, &mut out)?;
        }
        out.flush()?;
        drop(out);
        if is_over {
            return Ok(());
        }
        thread::sleep(LOOK);
    }
}

impl Followed {
    fn pass_on(
        &mut self,
        path: &Path,
        prefix: Option<&str>,
        is_over: bool,
        out: &mut impl Write,
    ) -> io::Result<()> {
        // What is there now, and no more: the other files have their turn.
        let new = fs::metadata(path)?.len().saturating_sub(self.read);
        if new > 0 {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(self.read))?;
            let mut file = file.take(new);
            let mut block = vec![0; BLOCK];
            loop {
                let n = file.read(&mut block)?;
                if n == 0 {
                    break;
                }
                self.read += n as u64;
                match prefix {
                    None => out.write_all(&block[..n])?,
                    Some(prefix) => self.lines.pass_on(prefix, &block[..n], out)?,
                }
            }
        }
        if is_over && let Some(prefix) = prefix {
            self.lines.end(prefix, out)?;
        }
        Ok(())
    }
}

impl Lines {
    /// No more comes: what has no end is passed on as a line.
    fn end(&mut self, prefix: &str, out: &mut impl Write) -> io::Result<()> {
        if !self.line.is_empty() {
            self.line.push(b'\n');
            out.write_all(prefix.as_bytes())?;
            out.write_all(&self.line)?;
            self.line.clear();
        }
        Ok(())
    }

    /// Passes on the lines that end in `block`; the rest waits for its end.
    fn pass_on(&mut self, prefix: &str, block: &[u8], out: &mut impl Write) -> io::Result<()> {
        for part in block.split_inclusive(|&b| b == b'\n') {
            self.line.extend_from_slice(part);
            let ended = part.ends_with(b"\n");
            if ended || self.line.len() >= LONGEST_LINE {
                if !ended {
                    self.line.push(b'\n');
                }
                out.write_all(prefix.as_bytes())?;
                out.write_all(&self.line)?;
                self.line.clear();
            }
        }
        Ok(())
    }
}
