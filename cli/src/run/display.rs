//! What is seen of a running job: bars on a terminal, lines elsewhere, events for machines.

use std::io::IsTerminal;
use std::sync::mpsc::Receiver;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use forebay_am::{Happening, JobState, Phase, Story, Told, Update, WorkerReport, WorkerState};
use indicatif::{BinaryBytes, DecimalBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::talk::Talk;
use crate::words::count;

const LINE_EVERY: Duration = Duration::from_secs(5);
const EVENT_EVERY: Duration = Duration::from_secs(1);
/// More workers than this are not shown one by one.
const MOST_LINES: usize = 16;
/// So much of the story is kept for the summary.
const MOST_TOLD: usize = 10_000;

/// Shows a job until it has ended.
pub(super) struct Display {
    thread: Option<JoinHandle<Vec<Told>>>,
}

impl Display {
    /// Shows what comes, until nothing can come any more. In a thread of its own: a terminal that is held must not hold the
    /// job.
    pub(super) fn start(talk: Talk, updates: Receiver<Update>) -> Self {
        let show = move || Shown::new(talk).all(&updates);
        Self { thread: thread::Builder::new().name("forebay-display".into()).spawn(show).ok() }
    }

    /// What was told, when everything is shown.
    pub(super) fn finish(self) -> Vec<Told> {
        self.thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

/// What is shown so far.
pub(crate) struct Shown {
    talk: Talk,
    bars: Option<Bars>,
    told: Vec<Told>,
    said: Instant,
    /// Machines have heard that it is over.
    is_over: bool,
}

impl Shown {
    pub(crate) fn new(talk: Talk) -> Self {
        let bars = (talk == Talk::Plain && std::io::stderr().is_terminal()).then(Bars::new);
        Self { talk, bars, told: Vec::new(), said: Instant::now(), is_over: false }
    }

    fn all(mut self, updates: &Receiver<Update>) -> Vec<Told> {
        while let Ok(update) = updates.recv() {
            match update {
                Update::Begun(state) => self.begun(&state),
                Update::Told(told) => self.tell(told),
                Update::State(state, _seat) => self.state(&state),
            }
        }
        self.end()
    }

    /// What was told.
    pub(crate) fn end(self) -> Vec<Told> {
        if let Some(bars) = self.bars {
            bars.clear();
        }
        self.told
    }

    /// Says on the job's own line what it waits for; elsewhere as a line.
    pub(crate) fn waits(&self, line: &str) {
        match &self.bars {
            Some(bars) => bars.job.set_message(line.to_owned()),
            None => self.talk.say(line),
        }
    }

    fn begun(&mut self, state: &JobState) {
        self.say(&format!("{} ({}) in {}", state.job, state.name, state.folder.display()));
        if let Some(needs) = needs(state) {
            self.say(&needs);
        }
        self.talk.event("begun", state);
    }

    pub(crate) fn tell(&mut self, told: Told) {
        if is_news(&told.what) {
            self.say(&told.text);
        }
        self.talk.told(&told);
        if self.told.len() < MOST_TOLD {
            self.told.push(told);
        }
    }

    pub(crate) fn state(&mut self, state: &JobState) {
        let is_over = state.phase == Phase::Finished;
        if let Some(bars) = &mut self.bars {
            bars.draw(state);
        } else if self.talk == Talk::Plain && self.said.elapsed() >= LINE_EVERY && !is_over {
            self.said = Instant::now();
            self.talk.say(&line(state));
        } else if self.talk == Talk::Json && !self.is_over && (self.said.elapsed() >= EVENT_EVERY || is_over)
        {
            self.said = Instant::now();
            self.is_over = is_over;
            self.talk.event("progress", state);
        }
    }

    pub(crate) fn say(&self, line: &str) {
        match &self.bars {
            // Above the bars.
            Some(bars) => drop(bars.all.println(line)),
            None => self.talk.say(line),
        }
    }
}

/// What a person wants to hear while the job runs; the rest is in its folder.
fn is_news(what: &Happening) -> bool {
    !matches!(what, Happening::Job(Story::Registered { .. } | Story::JobOver { .. } | Story::FedAgain { .. }))
}

/// What each worker is said to need.
pub(crate) fn needs(state: &JobState) -> Option<String> {
    let memory = state.worker_memory.map(|bytes| format!("{} of memory", BinaryBytes(bytes)));
    let cores = state.worker_cores.map(|cores| count(cores.into(), "core"));
    let needs: Vec<_> = memory.into_iter().chain(cores).collect();
    let told = || format!("each worker needs {} (told, not enforced on this machine)", needs.join(" and "));
    (!needs.is_empty()).then(told)
}

fn line(state: &JobState) -> String {
    let busy = state.workers.iter().filter(|worker| worker.state == WorkerState::Running).count();
    let done = state.workers.iter().filter(|worker| worker.state == WorkerState::Done).count();
    format!(
        "{:.0}%  {}  {} of {} workers run, {done} are done{}",
        state.fraction() * 100.0,
        amounts(state),
        busy,
        state.workers.len(),
        verdicts(state)
    )
}

fn amounts(state: &JobState) -> String {
    let units = state.units;
    let noun = if state.input_mode == "stream" { "splits" } else { "files" };
    let splits = format!("{} of {} {noun}", units.done + units.fed, units.total);
    if state.input_mode == "list" {
        return splits;
    }
    let (bytes, planned) = (DecimalBytes(state.bytes_stored), DecimalBytes(state.bytes_planned));
    format!("{bytes} of {planned}  {splits}  {:.2} GB/s", state.gb_per_s)
}

/// How many workers wait for data, and how many keep it waiting.
fn verdicts(state: &JobState) -> String {
    let count = |verdict: &str| {
        let running = state.workers.iter().filter(|worker| worker.state == WorkerState::Running);
        running.filter(|worker| worker.figures.verdict == verdict).count()
    };
    match (count("feed-bound"), count("worker-bound")) {
        (0, 0) => String::new(),
        (feed, 0) => format!("; {feed} feed-bound"),
        (0, worker) => format!("; {worker} worker-bound"),
        (feed, worker) => format!("; {feed} feed-bound, {worker} worker-bound"),
    }
}

/// One line of people's words about a worker.
pub(crate) fn worker_line(worker: &WorkerReport) -> String {
    let state = match worker.state {
        WorkerState::Waiting => "waits to start",
        WorkerState::Asked => "waits for a container",
        WorkerState::Launched => "starts",
        WorkerState::Rejoining => "is expected back",
        WorkerState::Running if worker.activity.is_empty() => "runs",
        WorkerState::Running => &worker.activity,
        WorkerState::Staging => "stages its output",
        WorkerState::Ending => "ends",
        WorkerState::Done => "done",
        WorkerState::Over => "over",
    };
    let mut parts = vec![state.to_owned(), format!("{} read", count(worker.done.max(worker.fed), "split"))];
    let figures = &worker.figures;
    if figures.bytes > 0 {
        parts.push(format!("{} at {:.2} GB/s", DecimalBytes(figures.bytes), figures.gb_per_s));
    }
    if !figures.verdict.is_empty() {
        parts.push(figures.verdict.clone());
    }
    parts.extend(worker.progress.map(|progress| format!("{:.0}%", progress * 100.0)));
    parts.extend(worker.status.clone());
    parts.join(", ")
}

/// The job's bar, and a line for each worker.
struct Bars {
    all: MultiProgress,
    job: ProgressBar,
    workers: Vec<ProgressBar>,
}

/// The bar counts thousandths.
const FULL: u64 = 1000;

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let job = all.add(ProgressBar::new(FULL));
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3}%  {msg}") {
            job.set_style(style);
        }
        Self { all, job, workers: Vec::new() }
    }

    fn draw(&mut self, state: &JobState) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and FULL")]
        self.job.set_position((state.fraction() * FULL as f64) as u64);
        let phase = match state.phase {
            Phase::Committing => "  the output is being committed",
            Phase::Ending => "  ending",
            Phase::Running | Phase::Finished => "",
        };
        self.job.set_message(format!("{}{phase}", amounts(state)));
        for (at, worker) in state.workers.iter().take(MOST_LINES).enumerate() {
            if at == self.workers.len() {
                let bar = self.all.add(ProgressBar::no_length());
                if let Ok(style) = ProgressStyle::with_template("  {wide_msg}") {
                    bar.set_style(style);
                }
                self.workers.push(bar);
            }
            self.workers[at].set_message(format!("worker {}: {}", worker.index, worker_line(worker)));
        }
    }

    fn clear(self) {
        for bar in self.workers {
            bar.finish_and_clear();
        }
        self.job.finish_and_clear();
    }
}
