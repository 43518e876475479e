//! A job's application master in a container of YARN's: `forebay am`.
//!
//! It finds its job in the folder on HDFS that the client has made, takes the ledger from whoever had it before, takes over
//! the containers that were kept, and runs the job as on any machine. At the end everything is in the job's folder before
//! YARN hears of it. Ended before that, it leaves all as it is to the next attempt of the application.

mod browsers;
mod ending;
mod surroundings;
mod takeover;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use forebay_feeder::Stop;
use forebay_job::Job;
use forebay_protocol::AmAddress;
use forebay_scheduler::{Event, Gang, LedgerRecord, Places, Scheduler};
use forebay_store::Clusters;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use crate::checkpoint::{Checkpoint, HdfsCheckpoint};
use crate::clock::Clock;
use crate::dispatcher::{Dispatcher, Manner, Over};
use crate::engine::{Agents, Engine, Kept, Master, Registration, Wants, YarnEngine};
use crate::history::History;
use crate::launch::Launch;
use crate::outputs::Outputs;
use crate::remote::Remote;
use crate::seen::AllSeen;
use crate::service::{self, Listening};
use crate::state::{OnCluster, Phase};
use crate::story::Teller;
use crate::{AmError, JobFolder, JobPlan, JobState, id, job};

use browsers::Browsers;
use ending::Ending;
use surroundings::Surroundings;
use takeover::Takeover;

/// How long HDFS may take to answer before the job's own setting is known.
const PATIENCE: Duration = Duration::from_mins(5);
/// Splits that agents hold ahead, in milliseconds of feeding: so long may an application master be away unnoticed.
const AHEAD_MS: u32 = 60_000;
/// How long an agent may take to register from when its container was begun: it may have much to fetch first.
const REGISTER: Duration = Duration::from_mins(10);
/// The job's folder of this machine, in the container's.
const FOLDER: &str = "job";

/// Runs the job of this container to its end. Returns the status to exit with: 0 where YARN knows how the job ended, else
/// YARN starts another attempt. Raising `stop` ends this process and leaves the job as it is.
pub fn run(stop: &Arc<Stop>) -> i32 {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("forebay-am")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("cannot start threads: {error}");
            return 1;
        }
    };
    let status = runtime.block_on(carry_out(Arc::clone(stop)));
    runtime.shutdown_timeout(Duration::from_secs(1));
    status
}

async fn carry_out(stop: Arc<Stop>) -> i32 {
    let here = match Surroundings::read() {
        Ok(here) => here,
        Err(error) => {
            tracing::error!("{error}");
            return 1;
        }
    };
    let attempt = Attempt::begin(here).await;
    match attempt {
        Ok(attempt) => Box::pin(attempt.run(stop)).await,
        Err(error) => {
            tracing::error!("{error}");
            1
        }
    }
}

/// An attempt of the application, known to YARN.
struct Attempt {
    here: Surroundings,
    history: History,
    listener: TcpListener,
    address: String,
    browsers: Browsers,
    engine: YarnEngine,
    registration: Registration,
}

impl Attempt {
    /// Registers with the ResourceManager.
    async fn begin(here: Surroundings) -> Result<Self, AmError> {
        let clusters = Clusters::new(PATIENCE, Handle::current());
        let history = History::new(Remote::new(clusters.cluster(None)?, &here.job_folder));
        let (listener, port) = listen(&here.host).await?;
        let address = format!("{}:{port}", here.host);
        let browsers = Browsers::listen(&here.conf, &here.host).await?;
        let url = browsers.url().to_owned();
        let master = Master::new(&here.conf, &here.credentials, &here.host, port, url)?;
        let (engine, registration) = YarnEngine::start(master).await?;
        Ok(Self { here, history, listener, address, browsers, engine, registration })
    }

    async fn run(self, stop: Arc<Stop>) -> i32 {
        let mut end = Ending::new(&self.here, &self.history, self.engine.finisher());
        let outcome = Box::pin(self.job(stop, &mut end)).await;
        end.tell(outcome).await
    }

    /// Runs the job.
    async fn job(self, stop: Arc<Stop>, end: &mut Ending) -> Result<Over, AmError> {
        let Self { here, history, listener, address, browsers, mut engine, mut registration } = self;
        let attempt = here.attempt();
        // Whoever had the job before is to write no more before anything of it is read.
        let (checkpoint, records) = HdfsCheckpoint::open(history.ledger(), attempt).await?;
        let (folder, launch) = tokio::join!(history.fetch(Path::new(FOLDER)), history.launch());
        let (folder, launch) = (folder?, launch?);
        let job = read_job(&folder)?;
        let plan = JobPlan::read(&folder, &job)?;
        let outputs = Outputs::open(&job, plan.job_id())?;
        end.knows(&job, &launch, &outputs);
        let am = AmAddress { version: AmAddress::VERSION, attempt, address: address.clone() };
        let is_committed = records.contains(&LedgerRecord::Committed {});
        if !is_committed {
            job::unless_stopped(&stop, outputs.begin()).await?;
        }
        let calls = service::serve(Listening::Tls(listener, Box::new(here.secrets.clone())))?;
        let mut scheduler = scheduler(&job, &plan, records)?;
        let places = places(&plan, &launch);
        let host_ids = plan.places().hosts().iter().cloned().zip(0..).collect();
        if let Some(places) = places {
            scheduler.set_places(places)?;
        }
        registration.kept.extend(engine.found().await);
        let cluster = OnCluster {
            application: here.application(),
            queue: registration.queue.clone(),
            attempt,
            tracking_url: browsers.url().to_owned(),
            history: history.address(),
            ..OnCluster::default()
        };
        let before = before(&folder);
        let mut seen = before.as_ref().map(AllSeen::of).unwrap_or_default();
        let events = take_over(&scheduler, &mut seen, &mut engine, registration.kept);
        let mut wants = Wants::new(&job, &plan, launch.racks.clone());
        wants.most_mib = registration.most_mib;
        engine.begin(wants, agents(&here, &history, &launch, &plan, &address));
        // Whoever watches asks, or reads what is kept.
        let (watcher, _) = mpsc::channel();
        let teller = Teller::new(&folder, watcher)?;
        let superseded = checkpoint.successor().wait(engine.silence());
        let states = end.keep(&history, &folder, checkpoint.successor());
        let addresses = outputs.addresses();
        let (tasks, done) = outputs.start();
        let started = before.map_or_else(id::now, |before| before.started);
        let passed = Duration::from_secs_f64(id::seconds_since(&started).unwrap_or(0.0).max(0.0));
        let mut dispatcher = Dispatcher {
            job,
            folder,
            plan,
            scheduler,
            checkpoint: Checkpoint::Hdfs(Box::new(checkpoint)),
            teller,
            engine: Engine::Yarn(Box::new(engine)),
            calls,
            tasks,
            done,
            outputs: addresses,
            stop,
            clock: Clock::after(passed),
            seen,
            started,
            status: 1,
            events,
            effects: VecDeque::new(),
            verdict: None,
            pending: 0,
            manner: Manner {
                am_attempt: attempt,
                lease_ahead_ms: AHEAD_MS,
                host_ids,
                cluster: Some(cluster),
                keeper: Some(states),
                page: None,
                leaves: true,
            },
            waiting: Vec::new(),
        };
        let state = dispatcher.state(Phase::Running);
        dispatcher.manner.page = Some(browsers.show(state.clone()));
        dispatcher.manner.keep(&state, state.write(&dispatcher.folder)?);
        tokio::select! {
            biased;
            outcome = dispatcher.run() => outcome,
            error = superseded => Err(error),
            error = not_said(&history, &am) => Err(error),
        }
    }
}

/// Says where the application master is, while containers are on their way. Ends only if that cannot be said: nobody would find it.
async fn not_said(history: &History, am: &AmAddress) -> AmError {
    match history.set_am(am).await {
        Ok(()) => std::future::pending().await,
        Err(error) => error,
    }
}

/// Listens where YARN says that this host is, so that nobody is let in whom it need not let in.
async fn listen(host: &str) -> Result<(TcpListener, u16), AmError> {
    let failed = |source| AmError::System { action: "listen for agents", source };
    let listener = match TcpListener::bind((host, 0)).await {
        Ok(listener) => listener,
        // The name stands for an address of somebody else's, who passes connections on.
        Err(_) => TcpListener::bind(("0.0.0.0", 0)).await.map_err(failed)?,
    };
    let port = listener.local_addr().map_err(failed)?.port();
    Ok((listener, port))
}

fn read_job(folder: &JobFolder) -> Result<Job, AmError> {
    let path = folder.job_file();
    let text = std::fs::read_to_string(&path).map_err(AmError::io("read", &path))?;
    Job::from_toml(&text).map_err(|error| AmError::Malformed { path, why: error.to_string() })
}

/// How the job stood when an earlier attempt said so last.
fn before(folder: &JobFolder) -> Option<JobState> {
    let state = std::fs::read(folder.state_file()).ok()?;
    serde_json::from_slice(&state).ok()
}

fn scheduler(job: &Job, plan: &JobPlan, records: Vec<LedgerRecord>) -> Result<Scheduler, AmError> {
    let mut config = job::config(job, plan);
    config.gang = Some(Gang { deadline: job.wait_timeout });
    config.fair = true;
    config.register_deadline = REGISTER;
    if records.is_empty() {
        return Ok(Scheduler::new(config)?);
    }
    Ok(Scheduler::recover(config, records)?)
}

/// Where the splits lie, if that is known.
fn places(plan: &JobPlan, launch: &Launch) -> Option<Places> {
    let located = plan.places();
    if located.is_empty() || plan.is_by_file() {
        return None;
    }
    Some(located.places(&launch.racks))
}

/// Takes over the containers that go on, and gives the others back. What it returns has to be told to the scheduler.
fn take_over(
    scheduler: &Scheduler,
    seen: &mut AllSeen,
    engine: &mut YarnEngine,
    kept: Vec<Kept>,
) -> VecDeque<Event> {
    let kept = kept.into_iter().map(|kept| (kept.attempt, kept.container));
    let takeover = Takeover::new(&scheduler.view(), kept);
    for (container, attempt) in takeover.adopted {
        seen.goes_on(attempt);
        seen.at(attempt, container.node.host.clone());
        engine.adopt(container, attempt);
    }
    for container in takeover.unwanted {
        engine.give_back(container.id);
    }
    takeover.ends
}

/// What agents are started with.
fn agents(here: &Surroundings, history: &History, launch: &Launch, plan: &JobPlan, address: &str) -> Agents {
    Agents {
        address: address.to_owned(),
        am_file: history.am_file(),
        history: history.address(),
        job_id: plan.job_id().to_owned(),
        folder: FOLDER.into(),
        secrets: here.secrets.clone(),
        credentials: here.credentials.clone(),
        launch: launch.clone(),
    }
}
