//! Progress while a feed runs: a bar on a terminal, a line now and then elsewhere, events for machines.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use forebay_feeder::{Meter, Snapshot};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::talk::Talk;

const REDRAW: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(5);
const EVENT_EVERY: Duration = Duration::from_secs(1);

/// Shows progress until it is dropped.
pub(crate) struct Progress {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// `total`: bytes expected. `shares_terminal`: the fed bytes go to the terminal too; then no bar.
    pub(crate) fn start(talk: Talk, meter: Arc<Meter>, total: u64, shares_terminal: bool) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let bar =
            (talk == Talk::Plain && std::io::stderr().is_terminal() && !shares_terminal).then(|| bar(total));
        let stop = Arc::clone(&over);
        let show = move || {
            let mut said = Instant::now();
            loop {
                thread::park_timeout(REDRAW);
                if stop.load(Relaxed) {
                    break;
                }
                let now = meter.snapshot();
                match (&bar, talk) {
                    (Some(bar), _) => draw(bar, &now),
                    (None, Talk::Plain) if said.elapsed() >= LINE_EVERY => {
                        said = Instant::now();
                        talk.say(&line(&now, total));
                    }
                    (None, Talk::Json) if said.elapsed() >= EVENT_EVERY => {
                        said = Instant::now();
                        talk.event("progress", &now);
                    }
                    _ => {}
                }
            }
            if let Some(bar) = bar {
                bar.finish_and_clear();
            }
        };
        // Without a thread there is no display, and all else goes on.
        let thread = thread::Builder::new().name("forebay-progress".into()).spawn(show).ok();
        Self { over, thread: thread.filter(|_| talk != Talk::Quiet) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let template = "{bar:30} {percent:>3}%  {binary_bytes:>10}/{binary_total_bytes}  {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn draw(bar: &ProgressBar, now: &Snapshot) {
    // Of compressed files it is known only how long they are.
    bar.set_position(now.stored_bytes());
    bar.set_message(rate(now));
}

fn rate(now: &Snapshot) -> String {
    let verdict = now.verdict.map_or("", |verdict| verdict.as_str());
    format!("{:.2} GB/s  {verdict}", now.gb_per_s)
}

fn line(now: &Snapshot, total: u64) -> String {
    let percent =
        if total == 0 { 100.0 } else { (now.stored_bytes() as f64 / total as f64 * 100.0).min(100.0) };
    format!(
        "{percent:.0}%  {:.1} of {:.1} GB  {}",
        now.stored_bytes() as f64 / 1e9,
        total as f64 / 1e9,
        rate(now)
    )
}
