//! One worker, from its start to the end of all its processes.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use forebay_feeder::{Ended, LeaseQueue, Sink, Stop};
use forebay_job::Job;
use tokio::sync::Notify;

use crate::ahead::Ahead;
use crate::am::Am;
use crate::error::Failure;
use crate::feed::{self, Fed, Feed};
use crate::folder::{AttemptFolder, log_file};
use crate::guard::{Guard, News, Start};
use crate::journal::Journal;
use crate::leases::keep_ahead;
use crate::over::Cause;
use crate::standing::Standing;
use crate::watch::Watcher;

/// How long a guard may take to start a worker, or to end one: its grace, and the dying after it.
const GUARD: Duration = Duration::from_secs(30);
/// How long a feed may take to notice that its worker has gone.
const FEED: Duration = Duration::from_secs(30);

/// What happens while a worker runs.
#[derive(Debug)]
pub(crate) enum Event {
    /// The guard has news, with a descriptor or without.
    Guard(News, Option<OwnedFd>),
    /// The guard is dead or does not make sense.
    GuardGone(String),
    /// The feed has ended.
    Fed(Fed),
    /// There is a cause to end.
    Over,
}

/// What a worker is run with.
pub(crate) struct Setting<'a> {
    pub(crate) am: &'a Am,
    pub(crate) job: &'a Job,
    pub(crate) folder: &'a AttemptFolder,
    pub(crate) lock: &'a std::path::Path,
    pub(crate) env: &'a [(String, String)],
    pub(crate) stdout: OwnedFd,
    pub(crate) standing: &'a Standing,
    /// Where leases wait; `None`: the worker has no standard input.
    pub(crate) queue: Option<&'a Arc<LeaseQueue>>,
    /// What the splits that are leased ahead are to last for.
    pub(crate) lease_ahead: Duration,
    /// How many workers share the input.
    pub(crate) world_size: u32,
}

/// Runs the worker; gives its shell status. All its processes are gone when this returns, and all that it has told is
/// taken.
pub(crate) fn run(setting: Setting<'_>) -> Result<i32, Cause> {
    let (over, handle) = (setting.am.over.clone(), setting.am.handle.clone());
    let mut running =
        Running::start(setting).map_err(|error| Failure::new(format!("cannot start the worker: {error}")))?;
    let (events, recall) = (running.sender.clone(), over.clone());
    handle.spawn(async move {
        recall.wait().await;
        let _ = events.send(Event::Over);
    });
    let status = running.until_gone();
    running.clear_up();
    match (over.cause(), status) {
        (None, Some(status)) => Ok(status),
        (Some(cause), _) => Err(cause.clone()),
        (None, None) => Err(Failure::new("the worker's end was not seen").into()),
    }
}

struct Running<'a> {
    am: &'a Am,
    job: &'a Job,
    standing: &'a Standing,
    guard: Guard,
    watcher: Watcher,
    sender: Sender<Event>,
    events: Receiver<Event>,
    /// To be started with the worker.
    feed: Option<Box<dyn FnOnce(Arc<OwnedFd>) -> Feed + 'a>>,
    feeding: bool,
    /// Keeps the worker's input open.
    sink: Option<Sink>,
}

impl<'a> Running<'a> {
    fn start(setting: Setting<'a>) -> std::io::Result<Self> {
        let Setting { am, job, folder, lock, env, stdout, standing, queue, lease_ahead, world_size } =
            setting;
        let (stream, told) = (&standing.stream, &standing.told);
        let (sender, events) = channel();
        let stderr = log_file(&folder.stderr(), folder.log_mode())?;
        let tail = File::open(folder.stderr())?;
        let (mut stdin, mut feed) = (None, None::<Box<dyn FnOnce(Arc<OwnedFd>) -> Feed + 'a>>);
        if let Some(queue) = queue {
            let (sink, read) = Sink::pipe(Arc::clone(stream.meter())).map_err(std::io::Error::other)?;
            stream.measure(&sink)?;
            stdin = Some((read, sink.hold()?));
            let journal = Journal::create(folder, stream.clone())?;
            let more = Arc::new(Notify::new());
            let starved = Arc::clone(&more);
            queue.when_starved(move || starved.notify_one());
            let ahead = Ahead::new(stream.meter(), lease_ahead, world_size);
            am.handle.spawn(keep_ahead(am.clone(), Arc::clone(queue), Arc::clone(&more), ahead));
            feed = Some(Box::new(move |worker| Feed {
                sink,
                journal,
                queue: Arc::clone(queue),
                more,
                stream: stream.clone(),
                told: told.clone(),
                over: am.over.clone(),
                worker,
            }));
        }
        let stderr = stderr.into();
        let (command, keeps_group) = (&job.command, am.link.is_remote());
        let guard = Guard::start(Start { folder, lock, command, env, stdout, stderr, stdin, keeps_group })?;
        let watcher = Watcher::start(folder, tail, guard.channel(), told.clone(), sender.clone())?;
        Ok(Self { am, job, standing, guard, watcher, sender, events, feed, feeding: false, sink: None })
    }

    /// Until all of the worker is gone; its status, if it is known.
    fn until_gone(&mut self) -> Option<i32> {
        let mut deadline = Some(Instant::now() + GUARD);
        loop {
            let event = match deadline {
                None => self.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(deadline) => {
                    self.events.recv_timeout(deadline.saturating_duration_since(Instant::now()))
                }
            };
            match event {
                Ok(Event::Guard(News::Started { pid }, Some(worker))) => {
                    if self.am.over.cause().is_none() {
                        deadline = None;
                    }
                    self.standing.told.runs(pid);
                    self.start_feed(Arc::new(worker));
                }
                Ok(Event::Guard(News::CannotStart(why), _)) => {
                    let failure = Failure { status: why.status, ..Failure::fatal(why.reason) };
                    self.am.over.set(failure.into());
                    return None;
                }
                Ok(Event::Guard(News::Exited { status }, _)) => return Some(status),
                Ok(Event::Guard(News::Failed { reason }, _)) => return self.without_guard(&reason),
                Ok(Event::Guard(News::Started { .. }, None)) => {
                    return self.without_guard("it shows no worker");
                }
                Ok(Event::GuardGone(why)) => return self.without_guard(&why),
                Ok(Event::Fed(fed)) => self.fed(fed),
                Ok(Event::Over) => {
                    // A container that gets a signal is killed right after it.
                    let is_hurried = self.am.link.is_remote();
                    self.guard
                        .end_worker(is_hurried && matches!(self.am.over.cause(), Some(Cause::Signal(_))));
                    deadline = Some(Instant::now() + GUARD);
                }
                Err(_) => return self.without_guard("it does not answer"),
            }
        }
    }

    fn start_feed(&mut self, worker: Arc<OwnedFd>) {
        let Some(feed) = self.feed.take() else { return };
        match feed::start(feed(worker), self.job, self.sender.clone()) {
            Ok(()) => self.feeding = true,
            Err(error) => self.am.over.set(Failure::new(format!("cannot feed the worker: {error}")).into()),
        }
    }

    fn fed(&mut self, fed: Fed) {
        self.feeding = false;
        match fed.result {
            Some(Ok(Ended::Complete)) => {
                self.standing.stream.complete();
                self.guard.close_input();
                // With this the worker sees the end of its input.
                drop(fed.sink);
                return;
            }
            Some(Ok(Ended::ReaderGone { .. } | Ended::Stopped)) => {}
            Some(Err(error)) => self.am.over.set(Failure::new(error).into()),
            None => {
                let why = "the feed broke off; please report this with the attempt's agent.log";
                self.am.over.set(Failure::new(why).into());
            }
        }
        self.sink = Some(fed.sink);
    }

    /// The guard is of no use any more: what it leaves is ended here.
    fn without_guard(&mut self, why: &str) -> Option<i32> {
        self.am.over.set(Failure::new(format!("lost the worker's guard: {why}")).into());
        let ended = Stop::new().map_err(|error| error.to_string());
        let ended = ended.and_then(|never| self.guard.end_all(&never).map_err(|error| error.to_string()));
        if let Err(error) = ended {
            self.standing.told.note(error);
        }
        None
    }

    /// All processes of the worker are gone: what they have left in files, FIFO and pipe is all there will be.
    fn clear_up(mut self) {
        let deadline = Instant::now() + FEED;
        while self.feeding {
            match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::Fed(fed)) => self.fed(fed),
                Ok(_) => {}
                Err(_) => {
                    let why = "the feed does not end; please report this with the attempt's agent.log";
                    self.am.over.set(Failure::new(why).into());
                    break;
                }
            }
        }
        self.watcher.finish();
        if let Err(error) = self.guard.leave() {
            self.standing.told.note(error.to_string());
        }
    }
}
