//! The dispatcher: the one place where a job's state is changed. Everything that happens comes here, one thing after
//! the other; the scheduler decides, and what it decides is carried out in order.

mod calls;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_feeder::Stop;
use forebay_job::Job;
use forebay_protocol::v1;
use forebay_scheduler::{Action, Attempt, End, Event, Scheduler, UnitName, Verdict, View};
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use crate::checkpoint::Checkpoint;
use crate::clock::Clock;
use crate::engine::{Engine, News};
use crate::outputs::{Done, Task};
use crate::plan::JobPlan;
use crate::seen::AllSeen;
use crate::service::{Answer, Call};
use crate::state::{self, JobState, OnCluster, PartlyRead, Phase};
use crate::story::{Happening, Teller};
use crate::{AmError, JobFolder, id, journal};

/// How often whoever watches is told how the job stands.
const SHOW: Duration = Duration::from_millis(250);
/// How often that is written down.
const WRITE: Duration = Duration::from_secs(1);
/// An agent that was silent for so long does not hear that it is to end.
const DEAF: Duration = Duration::from_secs(5);
/// How long what is staged may take to be removed after a second signal.
const HURRIED: Duration = Duration::from_secs(2);
/// Calls that share one write of the ledger, at most.
const TOGETHER: usize = 256;
/// How long agents may take to be gone when the application master gives up.
const GIVING_UP: Duration = Duration::from_secs(30);

/// All that a running job is made of.
pub(crate) struct Dispatcher {
    pub(crate) job: Job,
    pub(crate) folder: JobFolder,
    pub(crate) plan: JobPlan,
    pub(crate) scheduler: Scheduler,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) teller: Teller,
    pub(crate) engine: Engine,
    pub(crate) calls: mpsc::Receiver<Call>,
    pub(crate) tasks: mpsc::UnboundedSender<Task>,
    pub(crate) done: mpsc::UnboundedReceiver<Done>,
    pub(crate) outputs: Vec<String>,
    pub(crate) stop: Arc<Stop>,
    pub(crate) clock: Clock,
    pub(crate) seen: AllSeen,
    pub(crate) started: String,
    /// The status that the job exits with when it fails.
    pub(crate) status: i32,
    /// Events that came of carrying out actions.
    pub(crate) events: VecDeque<Event>,
    /// What waits for the ledger's records.
    pub(crate) effects: VecDeque<Effect>,
    pub(crate) verdict: Option<Verdict>,
    /// Tasks given to the outputs and not done.
    pub(crate) pending: usize,
    pub(crate) manner: Manner,
    /// Agents that have registered and wait for others.
    pub(crate) waiting: Vec<Waiting>,
}

/// What differs between jobs on this machine and on a cluster.
#[derive(Debug)]
pub(crate) struct Manner {
    /// Which attempt of its application this application master is, from 1.
    pub(crate) am_attempt: u32,
    /// What agents are to hold ahead, in milliseconds of feeding; 0: as need is.
    pub(crate) lease_ahead_ms: u32,
    /// The ids of hosts by their names, where splits have places.
    pub(crate) host_ids: HashMap<String, u32>,
    /// What a cluster adds to the state.
    pub(crate) cluster: Option<OnCluster>,
    /// Where else the state is kept.
    pub(crate) keeper: Option<watch::Sender<Bytes>>,
    /// Where browsers see the state.
    pub(crate) page: Option<watch::Sender<Arc<JobState>>>,
    /// A signal ends this process, and leaves the job to the next application master.
    pub(crate) leaves: bool,
}

impl Manner {
    /// A job on this machine.
    pub(crate) fn local() -> Self {
        Self {
            am_attempt: 1,
            lease_ahead_ms: 0,
            host_ids: HashMap::new(),
            cluster: None,
            keeper: None,
            page: None,
            leaves: false,
        }
    }

    /// The state has changed.
    pub(crate) fn keep(&self, state: &JobState, text: Vec<u8>) {
        if let Some(keeper) = &self.keeper {
            keeper.send_replace(text.into());
        }
        if let Some(page) = &self.page {
            page.send_replace(Arc::new(state.clone()));
        }
    }
}

/// An agent that waits for the answer to its registration.
#[derive(Debug)]
pub(crate) struct Waiting {
    request: v1::RegisterRequest,
    answer: Answer<v1::RegisterReply>,
    /// It is told something then.
    until: Instant,
}

/// A job that has come to its end.
pub(crate) struct Over {
    pub(crate) verdict: Verdict,
    pub(crate) state: JobState,
    /// To exit with.
    pub(crate) status: i32,
    /// To be closed.
    pub(crate) ledger: Checkpoint,
}

/// Something to be done once the ledger's records before it are durable.
pub(crate) enum Effect {
    Do(Action),
    Answer(Box<dyn FnOnce() + Send>),
}

/// What ended a wait.
enum Woken {
    Signal,
    News(News),
    Done(Done),
    Call(Box<Call>),
    Time,
    Show,
    Alone,
}

impl Dispatcher {
    /// Runs the job to its end.
    pub(crate) async fn run(mut self) -> Result<Over, AmError> {
        let over = self.run_to_end().await;
        // Where another application master may go on, its agents are left alone.
        if self.engine.is_local() && (over.is_err() || self.engine.len() > 0) {
            self.engine.kill_all();
            let deadline = Instant::now() + GIVING_UP;
            while self.engine.len() > 0 {
                tokio::select! {
                    _ = self.engine.next() => {}
                    () = sleep_until(deadline) => break,
                }
            }
        }
        let verdict = over?;
        let status = self.exit(&verdict);
        let state = self.state(Phase::Finished);
        state.write(&self.folder)?;
        self.folder.sync(&self.folder.state_file())?;
        self.teller.show(state.clone());
        Ok(Over { verdict, state, status, ledger: self.checkpoint })
    }

    async fn run_to_end(&mut self) -> Result<Verdict, AmError> {
        let wake = listen(&self.stop)?;
        self.handle(Event::Start)?;
        self.settle().await?;
        let mut show = Instant::now();
        let mut write = Instant::now();
        let mut signals = 0;
        let mut over = None;
        loop {
            if let Some(verdict) = self.verdict.clone() {
                let over = *over.get_or_insert_with(Instant::now);
                // A commit is over before there is a verdict: only what is to be removed may be left.
                let is_hurried = signals > 1 && over.elapsed() >= HURRIED;
                if self.pending > 0 && is_hurried {
                    let outputs = self.outputs.join(", ");
                    self.teller
                        .warn(format!("not all that was staged in {outputs} could be removed in time"));
                }
                if self.pending == 0 || is_hurried {
                    return Ok(verdict);
                }
            }
            let due = self.scheduler.wake_at().map(|time| self.clock.when(time));
            let woken = tokio::select! {
                biased;
                () = raised(&wake) => Woken::Signal,
                news = self.engine.next() => Woken::News(news),
                Some(done) = self.done.recv() => Woken::Done(done),
                () = sleep_until(show) => Woken::Show,
                () = until(due) => Woken::Time,
                call = self.calls.recv() => call.map_or(Woken::Alone, |call| Woken::Call(Box::new(call))),
            };
            match woken {
                Woken::Signal => {
                    signals += 1;
                    self.signal(signals)?;
                }
                Woken::News(news) => self.news(news)?,
                Woken::Done(done) => self.done(done)?,
                Woken::Call(call) => {
                    self.call(*call)?;
                    // Those that wait too share the ledger's next write.
                    for _ in 1..TOGETHER {
                        let Ok(call) = self.calls.try_recv() else { break };
                        self.call(call)?;
                    }
                }
                Woken::Time => self.handle(Event::Tick)?,
                Woken::Show => {
                    let now = Instant::now();
                    show = now + SHOW;
                    let state = self.state(Phase::Running);
                    if now >= write {
                        write = now + WRITE;
                        match state.write(&self.folder) {
                            Err(error) => self.teller.warn(error.to_string()),
                            Ok(text) => self.manner.keep(&state, text),
                        }
                    }
                    self.go_on_registering(false)?;
                    self.engine.progress(share(state.fraction()));
                    self.teller.show(state);
                }
                Woken::Alone => {
                    let source = io::Error::other("the server has ended");
                    return Err(AmError::System { action: "hear agents", source });
                }
            }
            self.settle().await?;
        }
    }

    /// The first signal stops the job, the next kills what is still there.
    fn signal(&mut self, signals: u32) -> Result<(), AmError> {
        if self.manner.leaves {
            return Err(AmError::Left {
                why: format!("signal {} came", self.stop.cause().unwrap_or_default()),
            });
        }
        if signals == 1 {
            let number = self.stop.cause().unwrap_or_default();
            let why = format!("signal {number} came");
            return self.handle(Event::Stop { why });
        }
        self.engine.kill_all();
        Ok(())
    }

    fn news(&mut self, news: News) -> Result<(), AmError> {
        match news {
            News::Launched { attempt, host } => {
                if let Some(host) = host {
                    self.seen.at(attempt, host);
                }
                self.handle(Event::Launched(attempt))
            }
            News::Gone { attempt, how } => self.gone(attempt, how),
            News::Standing { wanted, running, waiting_for } => {
                let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
                if let Some(cluster) = &mut self.manner.cluster {
                    (cluster.wanted, cluster.running) = (count(wanted), count(running));
                    cluster.waiting_for.clone_from(&waiting_for);
                }
                waiting_for.map_or(Ok(()), |why| self.handle(Event::Shortage { why }))
            }
            News::Note(note) => {
                self.teller.warn(note);
                Ok(())
            }
            News::Over(why) => Err(AmError::Left { why }),
        }
    }

    fn gone(&mut self, attempt: Attempt, how: End) -> Result<(), AmError> {
        if !self.engine.is_local() {
            return self.handle(Event::ContainerEnded { attempt, how, position: None });
        }
        let position = match journal::position(&self.folder, attempt) {
            Ok(position) => Some(position),
            Err(error) => {
                self.teller.warn(format!("what worker {} was fed last is not known: {error}", attempt.index));
                None
            }
        };
        self.handle(Event::ContainerEnded { attempt, how, position })
    }

    fn done(&mut self, done: Done) -> Result<(), AmError> {
        self.pending = self.pending.saturating_sub(1);
        match done {
            Done::Discarded(_, Ok(())) | Done::Aborted(Ok(())) => Ok(()),
            Done::Discarded(attempt, Err(why)) => {
                self.teller.warn(format!("what attempt {attempt} had staged could not be removed: {why}"));
                Ok(())
            }
            Done::Aborted(Err(why)) => {
                self.teller.warn(format!("what the job had staged could not be removed: {why}"));
                Ok(())
            }
            Done::Committed(Ok(())) => self.handle(Event::Committed),
            Done::Committed(Err(refusal)) if refusal.is_final => {
                self.handle(Event::CommitRefused { why: refusal.why })
            }
            Done::Committed(Err(failure)) => self.handle(Event::CommitFailed { why: failure.why }),
        }
    }

    /// Tells the scheduler of an event. What it decides is carried out by [`settle`](Self::settle).
    pub(crate) fn handle(&mut self, event: Event) -> Result<(), AmError> {
        let now = self.clock.now();
        for action in self.scheduler.handle(now, event) {
            match action {
                Action::Record(record) => self.checkpoint.push(&record)?,
                action => self.effects.push_back(Effect::Do(action)),
            }
        }
        Ok(())
    }

    /// Gives an answer, once what it rests on is durable.
    pub(crate) fn answer<T: Send + 'static>(&mut self, answer: Answer<T>, reply: Result<T, Status>) {
        // Who does not wait for the answer any more is dead, or asks again.
        self.effects.push_back(Effect::Answer(Box::new(move || drop(answer.send(reply)))));
    }

    /// Makes the ledger's new records durable, with one write, and then does what follows from them.
    async fn settle(&mut self) -> Result<(), AmError> {
        loop {
            self.checkpoint.sync().await?;
            while let Some(effect) = self.effects.pop_front() {
                match effect {
                    Effect::Do(action) => self.carry_out(action)?,
                    Effect::Answer(answer) => answer(),
                }
            }
            match self.events.pop_front() {
                Some(event) => self.handle(event)?,
                None => return Ok(()),
            }
        }
    }

    fn carry_out(&mut self, action: Action) -> Result<(), AmError> {
        match action {
            Action::StartContainer(attempt) => self.start(attempt),
            Action::EndContainer(attempt, _) => {
                let now = self.clock.now();
                let hangs = self.seen.heard(attempt).is_none_or(|heard| heard + DEAF < now);
                self.engine.end(attempt, hangs);
            }
            // The agent hears of it with the answer to its call.
            Action::StageOutput(_) => {}
            Action::GangReady => self.go_on_registering(true)?,
            Action::DiscardOutput(attempt) => self.task(Task::Discard(attempt)),
            Action::Record(record) => self.checkpoint.push(&record)?,
            Action::Commit(attempts) => self.task(Task::Commit(attempts)),
            Action::Abort => self.task(Task::Abort),
            Action::Finish(verdict) => self.verdict = Some(verdict),
            Action::Tell(story) => self.teller.tell(Happening::Job(story)),
        }
        Ok(())
    }

    fn task(&mut self, task: Task) {
        if self.tasks.send(task).is_ok() {
            self.pending += 1;
        }
    }

    fn start(&mut self, attempt: Attempt) {
        self.seen.start(attempt);
        if let Err(error) = self.engine.start(attempt, self.scheduler.memory_steps(attempt.index)) {
            let how = End::Lost(format!("it could not be started: {error}"));
            self.events.push_back(Event::ContainerEnded { attempt, how, position: None });
        }
    }

    fn exit(&self, verdict: &Verdict) -> i32 {
        if *verdict == Verdict::Succeeded { 0 } else { self.status }
    }

    /// The job as it stands.
    pub(crate) fn state(&mut self, phase: Phase) -> JobState {
        let now = self.clock.now();
        let View { units, workers, done_before, again, partly, partly_count, committing, verdict, .. } =
            self.scheduler.view();
        let epochs = self.job.epochs;
        let splits = self.plan.units();
        let (bytes, bytes_moved) = self.seen.bytes();
        let name = |unit| UnitName::new(unit, splits, epochs);
        JobState {
            version: state::VERSION,
            job: self.plan.job_id().to_owned(),
            name: self.job.name.clone(),
            folder: self.folder.path().to_owned(),
            pid: std::process::id(),
            started: self.started.clone(),
            updated: id::now(),
            seconds: now.as_secs_f64(),
            phase: match phase {
                Phase::Running if committing => Phase::Committing,
                Phase::Running if verdict.is_some() => Phase::Ending,
                phase => phase,
            },
            exit: verdict.as_ref().map(|verdict| self.exit(verdict)),
            verdict,
            input_mode: self.job.input_mode.to_string(),
            worker_memory: self.job.worker_memory,
            worker_cores: self.job.worker_cores,
            files: self.plan.files() as u64,
            bytes_planned: self.plan.bytes().saturating_mul(epochs),
            epochs,
            units,
            bytes,
            bytes_stored: self.seen.bytes_stored(),
            bytes_moved,
            gb_per_s: self.seen.rate(now),
            workers: workers.into_iter().map(|worker| self.seen.report(worker)).collect(),
            done_before,
            fed_again: again.count,
            fed_again_first: again.first.into_iter().map(name).collect(),
            partly_read: partly_count,
            partly_read_first: partly
                .into_iter()
                .map(|partly| PartlyRead { split: name(partly.unit), byte: partly.byte })
                .collect(),
            outputs: self.outputs.clone(),
            cluster: self.manner.cluster.clone(),
        }
    }
}

/// Where to hear of the stop event.
pub(crate) fn listen(stop: &Stop) -> Result<pipe::Receiver, AmError> {
    let failed = |source| AmError::System { action: "wait for signals", source };
    let wake = stop.as_fd().try_clone_to_owned().map_err(failed)?;
    pipe::Receiver::from_owned_fd(wake).map_err(failed)
}

/// Waits until the stop event is raised, or raised once more.
pub(crate) async fn raised(wake: &pipe::Receiver) {
    // Reading tells the runtime too that there is no more to be read.
    while wake.readable().await.is_ok() {
        if wake.try_read(&mut [0; 64]).is_ok() {
            return;
        }
    }
    std::future::pending::<()>().await;
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// For those who want no more precision.
#[expect(clippy::cast_possible_truncation, reason = "a share from 0 to 1")]
fn share(fraction: f64) -> f32 {
    fraction as f32
}
