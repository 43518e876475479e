//! `forebay status` and `forebay list`: how jobs stand.

use std::fs;
use std::io::{ErrorKind, Write};

use forebay_am::{Condition, JobFolder, JobState, Phase, Verdict, is_id, seconds_since, usual_place};
use forebay_client::{Client, Status, is_application_id};
use forebay_feeder::DEFAULT_HDFS_TIMEOUT;
use indicatif::DecimalBytes;
use serde_json::{Value, json};

use crate::args::{ListArgs, StatusArgs};
use crate::exit::Exit;
use crate::run::{needs, worker_line};
use crate::talk::{Failure, Talk};
use crate::words::count;

/// Runs `forebay status`; everything that goes wrong has been told when it returns.
pub(crate) fn status(args: &StatusArgs) -> Exit {
    told(args.json, || {
        if is_application_id(&args.job) {
            let status = Client::open(DEFAULT_HDFS_TIMEOUT)?.status(&args.job)?;
            return Ok(if args.json { format!("{}\n", of_cluster(&status)) } else { cluster_page(&status) });
        }
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
    let mut cluster = Ok(());
    let exit = told(args.json, || {
        let mut jobs = jobs()?;
        match on_cluster() {
            Ok(others) => jobs.extend(others),
            Err(error) => cluster = Err(error),
        }
        // The latest first, wherever they run.
        jobs.sort_by(|a, b| b.began().cmp(a.began()));
        Ok(if args.json { lines(&jobs) } else { table(&jobs) })
    });
    match cluster {
        Err(failure) if exit == Exit::SUCCESS => told(args.json, || Err(failure)),
        _ => exit,
    }
}

fn lines(jobs: &[Listed]) -> String {
    jobs.iter().flat_map(|job| [job.json.to_string(), "\n".to_owned()]).collect()
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

fn of_cluster(status: &Status) -> Value {
    let mut object = json!({
        "condition": status.condition,
        "folder": status.folder,
        "verdict": status.verdict,
        "application": status.application,
    });
    let state = serde_json::to_value(&status.state);
    if let (Some(object), Ok(Value::Object(state))) = (object.as_object_mut(), state) {
        // What was said above is said of the whole.
        for (key, value) in state {
            object.entry(key).or_insert(value);
        }
        object.insert("job".to_owned(), status.id.clone().into());
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
    let mut lines = Vec::new();
    match (condition, &state.verdict) {
        (Condition::Lost, _) => {
            lines.push(format!("its application master (process {}) is gone; {resume}", state.pid));
        }
        (Condition::Running, _) => lines.push(format!("application master: process {}", state.pid)),
        (_, Some(Verdict::Failed { why })) => lines.push(format!("why: {why}")),
        (_, Some(Verdict::Stopped { why } | Verdict::CommitFailed { why })) => {
            lines.push(format!("why: {why}; {resume}"));
        }
        _ => {}
    }
    lines.extend(body(condition, state));
    lines.extend(needs(state));
    lines.push(format!("job folder: {shown}"));
    written(&state.job, &state.name, word(condition, Some(state)), &lines)
}

/// A job on a cluster.
fn cluster_page(status: &Status) -> String {
    let Status { id, condition, verdict, application, state, folder } = status;
    let mut lines = Vec::new();
    match verdict {
        Some(Verdict::Failed { why } | Verdict::Stopped { why } | Verdict::CommitFailed { why }) => {
            lines.push(format!("why: {why}"));
        }
        _ if *condition == Condition::Lost => {
            lines.push(
                "the ResourceManager does not know it any more, and how it ended was not written down"
                    .to_owned(),
            );
        }
        _ => {}
    }
    if let Some(application) = application {
        lines.push(format!(
            "application: {} in queue {}, of user {}",
            application.state.word(),
            application.queue,
            application.user
        ));
        if *condition == Condition::Running {
            let attempt = application
                .attempt
                .map_or(String::new(), |attempt| format!("attempt {attempt} of its application master, "));
            lines.push(format!(
                "{attempt}{}, {} MiB, {}",
                count(application.containers.into(), "container"),
                application.memory_mib,
                count(application.cores.into(), "core")
            ));
            if state.is_none() {
                lines.push(format!("YARN says: {}", application.why()));
            }
            let waits =
                state.as_ref().and_then(|state| state.cluster.as_ref()).filter(|cluster| cluster.wanted > 0);
            if let Some(cluster) = waits {
                let why = cluster.waiting_for.as_deref().unwrap_or("the cluster has not given them yet");
                let are = if cluster.wanted == 1 { "is" } else { "are" };
                lines.push(format!("{} {are} waited for: {why}", count(cluster.wanted.into(), "container")));
            }
        }
        if !application.tracking_url.is_empty() && application.tracking_url != "N/A" {
            lines.push(format!("page: {}", application.tracking_url));
        }
    }
    if let Some(state) = state {
        lines.extend(body(*condition, state));
    }
    lines.push(format!("job folder: {folder}"));
    let name = application.as_ref().map(|application| &application.name);
    let name = state.as_ref().map(|state| &state.name).or(name).map_or("", String::as_str);
    let word = match application {
        Some(application) if *condition == Condition::Running && state.is_none() => application.state.word(),
        _ => word(*condition, state.as_ref()),
    };
    written(id, name, word, &lines)
}

fn written(id: &str, name: &str, word: &str, lines: &[String]) -> String {
    let lines = lines.iter().map(|line| format!("  {line}\n"));
    format!("{id} ({name}): {word}\n{}", lines.collect::<String>())
}

/// What is the same of all jobs.
fn body(condition: Condition, state: &JobState) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |text: String| lines.push(text);
    let passed = match condition {
        Condition::Running => seconds_since(&state.started).unwrap_or(state.seconds),
        _ => state.seconds,
    };
    line(format!("started {}, {}", state.started, span(passed)));
    let noun = if state.input_mode == "stream" { "split" } else { "file" };
    let units = state.units;
    line(format!(
        "{noun}s: {} done, {} read, {} given to workers, {} waiting, of {}",
        units.done, units.fed, units.leased, units.waiting, units.total
    ));
    if state.input_mode != "list" {
        let rate = if condition == Condition::Running {
            format!(" at {:.2} GB/s", state.gb_per_s)
        } else {
            String::new()
        };
        let [fed, planned] = [state.bytes_stored, state.bytes_planned].map(DecimalBytes);
        line(format!("fed: {fed} of {planned}{rate}"));
    }
    if state.fed_again > 0 {
        line(format!("{} fed more than once, the first: {}", count(state.fed_again, noun), names(state)));
    }
    if state.partly_read > 0 {
        let first = state
            .partly_read_first
            .iter()
            .map(|partly| format!("{} up to byte {}", partly.split, partly.byte));
        let first = first.collect::<Vec<_>>().join(", ");
        line(format!("{} read in part: {first}", count(state.partly_read, noun)));
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
    lines
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

/// A line of the list.
struct Listed {
    id: String,
    name: String,
    word: String,
    done: String,
    /// Seconds.
    time: Option<f64>,
    folder: String,
    /// When it began (RFC 3339), or what sorts like that.
    began: String,
    json: Value,
}

impl Listed {
    fn began(&self) -> &str {
        &self.began
    }

    fn of(
        id: String,
        word: String,
        folder: String,
        condition: Condition,
        state: Option<&JobState>,
        json: Value,
    ) -> Self {
        let time = state.map(|state| match condition {
            Condition::Running => seconds_since(&state.started).unwrap_or(state.seconds),
            _ => state.seconds,
        });
        Self {
            id,
            name: state.map_or_else(String::new, |state| state.name.clone()),
            word,
            done: state
                .map_or_else(String::new, |state| format!("{}/{}", state.units.done, state.units.total)),
            time,
            folder,
            began: state.map_or_else(String::new, |state| state.started.clone()),
            json,
        }
    }
}

/// The jobs of this user on this machine, the latest first. What is no job any more is left out.
fn jobs() -> Result<Vec<Listed>, Failure> {
    let place =
        usual_place().ok_or_else(|| Failure::failed("HOME is not set, so there is no list of jobs"))?;
    let entries = match fs::read_dir(&place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::failed(format!("cannot read {}: {error}", place.display()))),
    };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let listed = |id: String| {
        let folder = JobFolder::open(&place.join(&id)).ok()?;
        // One that cannot be read is there all the same.
        let (condition, state) = JobState::read(&folder).unwrap_or((Condition::Lost, None));
        let state = state.as_ref();
        let json = as_json(&folder, condition, state);
        let mut listed = Listed::of(
            id,
            word(condition, state).into(),
            folder.path().display().to_string(),
            condition,
            state,
            json,
        );
        if listed.began.is_empty() {
            listed.began = began_by_id(&listed.id);
        }
        Some(listed)
    };
    Ok(ids.filter(|name| is_id(name)).filter_map(listed).collect())
}

/// `job_YYYYMMDD_HHMMSS_xxxx` as the beginning of a time in RFC 3339.
fn began_by_id(id: &str) -> String {
    let digits: Vec<char> = id.chars().filter(char::is_ascii_digit).take(14).collect();
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default().iter().collect::<String>();
    format!("{}-{}-{}T{}:{}:{}", part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 12), part(12, 14))
}

/// Those on the cluster, where one is configured.
fn on_cluster() -> Result<Vec<Listed>, Failure> {
    let folder = std::env::var_os("HADOOP_CONF_DIR").filter(|folder| !folder.is_empty());
    // A configuration of an HDFS alone has no applications.
    if !folder.is_some_and(|folder| std::path::Path::new(&folder).join("yarn-site.xml").is_file()) {
        return Ok(Vec::new());
    }
    let failed = |error: forebay_client::ClientError| {
        Failure::failed(format!("the jobs on the cluster cannot be listed: {error}"))
    };
    let jobs = Client::open(DEFAULT_HDFS_TIMEOUT).and_then(|client| client.list()).map_err(failed)?;
    let listed = |status: Status| {
        let json = of_cluster(&status);
        let Status { id, condition, application, state, folder, .. } = status;
        let word = match &application {
            Some(application) if condition == Condition::Running && state.is_none() => {
                application.state.word()
            }
            _ => word(condition, state.as_ref()),
        };
        let mut listed = Listed::of(id, word.to_owned(), folder, condition, state.as_ref(), json);
        if let Some(application) = application {
            listed.name = application.name;
            listed.began = forebay_client::time(application.started_ms);
        }
        listed
    };
    Ok(jobs.into_iter().map(listed).collect())
}

fn table(jobs: &[Listed]) -> String {
    if jobs.is_empty() {
        return "no jobs\n".to_owned();
    }
    let mut rows = vec![["JOB", "NAME", "STATE", "DONE", "TIME", "FOLDER"].map(str::to_owned)];
    rows.extend(jobs.iter().map(|job| {
        let time = job.time.map_or_else(String::new, span);
        [job.id.clone(), job.name.clone(), job.word.clone(), job.done.clone(), time, job.folder.clone()]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..5).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  "));
        format!("{}{}\n", cells.collect::<String>(), row[5])
    };
    rows.iter().map(line).collect()
}
