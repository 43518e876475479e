//! A job from its plan to its end.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use forebay_feeder::Stop;
use forebay_job::{EarlyExit, Job, OnRestart};
use forebay_protocol::Token;
use forebay_scheduler::{Config, Input, LedgerRecord, ResumeError, Scheduler, Verdict};
use tokio::time::timeout;

use crate::checkpoint::{Checkpoint, LocalCheckpoint};
use crate::clock::Clock;
use crate::dispatcher::{Dispatcher, Manner, Over, listen, raised};
use crate::engine::{Address, Engine, LocalEngine};
use crate::folder::{Lock, private};
use crate::outputs::Outputs;
use crate::plan::JobPlan;
use crate::seen::AllSeen;
use crate::service::{self, Listening};
use crate::socket::Socket;
use crate::state::Phase;
use crate::story::{Teller, Update};
use crate::{AmError, JobFolder, JobState, id, journal};

/// How long processes of an earlier run may take to be gone: a worker's time to clean up, and some more.
const LEFTOVERS: Duration = Duration::from_mins(1);

/// How long a job that cannot begin may take to remove what it has made of its outputs.
const TAKING_BACK: Duration = Duration::from_secs(5);

/// A job that can be run.
#[derive(Debug)]
pub struct Prepared {
    job: Job,
    plan: JobPlan,
    begun: Option<Begun>,
}

/// A job that was begun before.
#[derive(Debug)]
struct Begun {
    folder: JobFolder,
    lock: Lock,
    records: Vec<LedgerRecord>,
}

/// How a job ended.
#[derive(Debug)]
pub struct Outcome {
    /// In a word.
    pub verdict: Verdict,
    /// As it stood at its end.
    pub state: JobState,
    /// The exit status to end with, where the verdict is a failure.
    pub status: i32,
}

impl Prepared {
    /// Plans a new job. Nothing is made or started; the inputs are looked up.
    pub fn new(mut job: Job) -> Result<Self, AmError> {
        let id = id::new()
            .map_err(|error| AmError::System { action: "draw random numbers", source: error.into() })?;
        let plan = JobPlan::new(&id, &mut job)?;
        Ok(Self { job, plan, begun: None })
    }

    /// Finds a job whose run has ended, to go on with `workers` workers if that is said. Waits until the processes of that
    /// run are gone, and calls `waiting` if they are not.
    pub fn resume(path: &Path, workers: Option<u32>, waiting: impl FnMut()) -> Result<Self, AmError> {
        let folder = JobFolder::open(path)?;
        let lock = folder.lock()?;
        folder.wait_for_workers(LEFTOVERS, waiting)?;
        let file = folder.job_file();
        let text = fs::read_to_string(&file).map_err(AmError::io("read", &file))?;
        let mut job = Job::from_toml(&text)
            .map_err(|error| AmError::Malformed { path: file.clone(), why: error.to_string() })?;
        let plan = JobPlan::read(&folder, &job)?;
        let records = LocalCheckpoint::read(&folder)?;
        if let Some(workers) = workers.filter(|&workers| workers != job.workers) {
            job.workers = workers;
            JobFolder::write(&file, job.to_toml().as_bytes())?;
        }
        Ok(Self { job, plan, begun: Some(Begun { folder, lock, records }) })
    }

    /// The job.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.plan.job_id()
    }

    /// Files of the input.
    pub fn files(&self) -> usize {
        self.plan.files()
    }

    /// Splits of an epoch; in modes `download` and `list`, files.
    pub fn units(&self) -> u64 {
        self.plan.units()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.plan.bytes()
    }

    /// Runs the job to its end. Raising `stop` stops it, raising it once more kills what is left of it. To be called on a thread
    /// that lives as long as the process does.
    pub fn run(self, stop: &Arc<Stop>, watcher: Sender<Update>) -> Result<Outcome, AmError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("forebay-am")
            .enable_all()
            .build()
            .map_err(|source| AmError::System { action: "start threads", source })?;
        let outcome = runtime.block_on(self.run_within(Arc::clone(stop), watcher));
        // What still hangs in a call to HDFS is not waited for.
        runtime.shutdown_timeout(Duration::from_secs(1));
        outcome
    }

    async fn run_within(self, stop: Arc<Stop>, watcher: Sender<Update>) -> Result<Outcome, AmError> {
        let Self { job, plan, begun } = self;
        let outputs = Outputs::open(&job, plan.job_id())?;
        let (folder, _lock, scheduler, note) = if let Some(begun) = begun {
            let Begun { folder, lock, records } = begun;
            let is_committed = records.contains(&LedgerRecord::Committed {});
            let scheduler = go_on(&job, &plan, &folder, records);
            if let Err(AmError::Resume(ResumeError::Aborted { .. })) = scheduler {
                // It may have been killed before it had cleaned up.
                let abort = async { Ok(outputs.abort().await?) };
                unless_stopped(&stop, abort).await?;
            }
            let scheduler = scheduler?;
            // What is staged already is to stay, whatever happens. Output that is committed may have been moved away.
            if !is_committed {
                unless_stopped(&stop, outputs.begin()).await?;
            }
            (folder, lock, scheduler, None)
        } else {
            let scheduler = Scheduler::new(config(&job, &plan))?;
            let made = match unless_stopped(&stop, outputs.begin()).await {
                Ok(()) => begin(&job, &plan),
                Err(error) => Err(error),
            };
            if made.is_err() {
                // The job never was: nothing of it is to stay. Where nobody answers, nothing was made.
                let _ = timeout(TAKING_BACK, outputs.abort()).await;
            }
            let (folder, lock, note) = made?;
            (folder, lock, scheduler, note)
        };
        let checkpoint = Checkpoint::Local(LocalCheckpoint::open(&folder)?);
        let mut teller = Teller::new(&folder, watcher)?;
        let mut random = [0; 32];
        getrandom::fill(&mut random)
            .map_err(|error| AmError::System { action: "draw random numbers", source: error.into() })?;
        let token = Token::new(random);
        let mut socket = Socket::new(&folder)?;
        let calls = service::serve(Listening::Socket(socket.listen()?, token.clone()))?;
        let address = Address { folder: folder.clone(), job: plan.job_id().to_owned(), socket, token };
        let engine = Engine::Local(Box::new(LocalEngine::new(address)?));
        let addresses = outputs.addresses();
        let (tasks, done) = outputs.start();
        if let Some(note) = note {
            teller.warn(note);
        }
        let mut dispatcher = Dispatcher {
            job,
            folder,
            plan,
            scheduler,
            checkpoint,
            teller,
            engine,
            calls,
            tasks,
            done,
            outputs: addresses,
            stop,
            clock: Clock::start(),
            seen: AllSeen::default(),
            started: id::now(),
            status: 1,
            events: VecDeque::new(),
            effects: VecDeque::new(),
            verdict: None,
            pending: 0,
            manner: Manner::local(),
            waiting: Vec::new(),
        };
        let state = dispatcher.state(Phase::Running);
        state.write(&dispatcher.folder)?;
        dispatcher.teller.update(Update::Begun(Box::new(state)));
        let Over { verdict, state, status, .. } = dispatcher.run().await?;
        Ok(Outcome { verdict, state, status })
    }
}

/// Does what may take as long as HDFS takes to answer, unless a signal comes.
pub(crate) async fn unless_stopped(
    stop: &Stop,
    work: impl Future<Output = Result<(), AmError>>,
) -> Result<(), AmError> {
    let wake = listen(stop)?;
    tokio::select! {
        biased;
        () = raised(&wake) => Err(AmError::Interrupted { signal: stop.cause().unwrap_or_default() }),
        done = work => done,
    }
}

/// The state of a job that was begun.
fn go_on(
    job: &Job,
    plan: &JobPlan,
    folder: &JobFolder,
    records: Vec<LedgerRecord>,
) -> Result<Scheduler, AmError> {
    let config = config(job, plan);
    // Killed before the first record, the job had not begun.
    if records.is_empty() {
        return Ok(Scheduler::new(config)?);
    }
    let left =
        folder.attempts().into_iter().map(|attempt| Ok((attempt, journal::position(folder, attempt)?)));
    let left = left.collect::<Result<Vec<_>, AmError>>()?;
    Ok(Scheduler::resume(config, records, left)?)
}

/// Makes the folder of a new job, and what must be in it before anything happens.
fn begin(job: &Job, plan: &JobPlan) -> Result<(JobFolder, Lock, Option<String>), AmError> {
    use std::io::Write;
    let (folder, note) = JobFolder::create(plan.job_id(), job.job_dir.as_deref().map(Path::new))?;
    let lock = folder.lock()?;
    plan.write(&folder)?;
    // Last: a folder with a job file is a job.
    let file = folder.job_file();
    let write = || private().write(true).create_new(true).open(&file)?.write_all(job.to_toml().as_bytes());
    write().map_err(AmError::io("write", &file))?;
    folder.sync(&file)?;
    Ok((folder, lock, note))
}

pub(crate) fn config(job: &Job, plan: &JobPlan) -> Config {
    let mut config = Config::new(plan.job_id(), job.workers, plan.units(), job.epochs);
    if let Some(bytes) = plan.file_bytes() {
        config.input = Input::Static { bytes };
    }
    config.on_restart = match job.on_restart {
        OnRestart::ReplayAll => forebay_scheduler::OnRestart::ReplayAll,
        OnRestart::FromAck => forebay_scheduler::OnRestart::FromAck,
    };
    config.early_exit = match job.early_exit {
        EarlyExit::Fail => forebay_scheduler::EarlyExit::Fail,
        EarlyExit::Ok => forebay_scheduler::EarlyExit::Ok,
    };
    config.max_restarts = job.max_restarts;
    config.job_timeout = job.job_timeout;
    config
}
