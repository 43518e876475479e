//! One attempt, from its agent's first call to the last one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use forebay_feeder::{Cache, Hdfs, LeaseQueue};
use forebay_job::{InputMode, Job, OnRestart};
use forebay_protocol::{Bootstrap, v1};
use forebay_store::Clusters;
use tokio::runtime::Handle;

use crate::am::Am;
use crate::download::download;
use crate::environment;
use crate::error::Failure;
use crate::folder::AttemptFolder;
use crate::heartbeat::beat;
use crate::kept::Kept;
use crate::over::{Cause, Over};
use crate::prepare::{prepare, workers_lock};
use crate::stage::{Outputs, Stdout};
use crate::standing::Standing;
use crate::{logs, worker};

/// Shortest and longest time between two heartbeats.
const HEARTBEAT: (u32, u32) = (20, 60_000);
/// How long the logs may take to the job's history.
const KEEPING: Duration = Duration::from_secs(30);
/// The same when the attempt is over, and nothing tells the AM meanwhile that the agent lives.
const KEEPING_LATE: Duration = Duration::from_secs(10);

/// How long an attempt that has ended well waits for the last blocks to be written into the cache.
const CACHE_PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct Attempt {
    bootstrap: Bootstrap,
    folder: AttemptFolder,
    over: Over,
    standing: Standing,
    /// Whether the worker has run, so that there is a position to tell.
    has_run: bool,
    /// Lives longer than all tasks: it has a runtime of its own, which must not end in one.
    queue: Option<Arc<LeaseQueue>>,
    /// In a container: the logs on their way to the job's history, once nobody writes them any more.
    kept: Option<Kept>,
    cache: Option<Arc<Cache>>,
}

impl Attempt {
    pub(crate) fn new(bootstrap: Bootstrap, folder: AttemptFolder, over: Over) -> Self {
        let standing = Standing::default();
        Self { bootstrap, folder, over, standing, has_run: false, queue: None, kept: None, cache: None }
    }

    /// Gives the status to exit with.
    pub(crate) fn run(&mut self, handle: &Handle) -> i32 {
        let am = match Am::connect(&self.bootstrap, &self.standing, &self.over, handle) {
            Ok(am) => am,
            Err(cause) => {
                tracing::error!(?cause, "no application master");
                return 1;
            }
        };
        let cause = match self.go_through(&am) {
            Ok(()) => return 0,
            Err(cause) => cause,
        };
        // Whatever came first, nothing else is to go on.
        self.over.set(cause.clone());
        self.worker_is_gone(handle);
        let failure = match cause {
            Cause::Told(reason) => {
                tracing::info!(reason, "ended as told");
                self.keep(KEEPING_LATE);
                return 0;
            }
            Cause::AmGone => {
                tracing::warn!("the application master has gone");
                self.keep(KEEPING_LATE);
                return 1;
            }
            Cause::Signal(signal) => Failure::new(format!("its agent was told to end by signal {signal}")),
            Cause::Failed(ref failure) => failure.clone(),
        };
        tracing::error!(%failure, "the attempt failed");
        // After the NodeManager's signal there is no time for anything else.
        let is_urgent = matches!(cause, Cause::Signal(_));
        if !is_urgent {
            self.keep(KEEPING_LATE);
        }
        am.give_up(&failure, self.has_run.then(|| self.standing.position(0)));
        self.keep(KEEPING_LATE);
        1
    }

    fn go_through(&mut self, am: &Am) -> Result<(), Cause> {
        let reply = am.register()?;
        let every = Duration::from_millis(reply.heartbeat_ms.clamp(HEARTBEAT.0, HEARTBEAT.1).into());
        am.handle.spawn(beat(am.clone(), every, self.standing.clone()));
        if self.bootstrap.container.is_some() {
            am.handle.spawn(logs::serve(am.clone(), self.folder.clone(), self.standing.clone()));
            let measured = self.standing.usage.measure();
            measured.map_err(|error| Failure::new(format!("cannot measure the memory in use: {error}")))?;
        }
        let job: Job = serde_json::from_slice(&reply.job)
            .map_err(|error| Failure::fatal(format!("the job cannot be read: {error}")))?;
        self.standing.told.doing("preparing");
        if job.keep_folder {
            self.folder = self.folder.clone().with_kept_work();
        }
        let _locks = prepare(&self.bootstrap, &job, &self.folder)?;
        let clusters = Arc::new(Clusters::new(job.hdfs_timeout, am.handle.clone()));
        let outputs = Outputs::open(am, &self.bootstrap, &job, &clusters)?;
        if job.input_mode == InputMode::Download {
            let number = self.bootstrap.number;
            download(am, &reply.files, number, &self.folder, &clusters, &self.standing.told)?;
        }
        let (status, stdout) = self.work(am, &job, &reply, &outputs)?;
        self.worker_is_gone(&am.handle);
        self.standing.exited(status);
        self.standing.told.doing("staging");
        if status != 0 {
            // It is the last word.
            self.keep(KEEPING);
        }
        let request = v1::ExitedRequest {
            attempt: Some(am.attempt),
            status,
            position: Some(self.standing.position(0)),
            progress: Some(self.standing.progress()),
        };
        let reply = am.ask_and_wait(move |mut client| {
            let request = request.clone();
            async move { client.exited(request).await }
        })?;
        match reply.next {
            Some(v1::exited_reply::Next::Stage(v1::Stage {})) => {}
            Some(v1::exited_reply::Next::Stop(stop)) => return Err(Cause::Told(stop.reason)),
            None => return Err(Failure::new("the application master gives an empty answer").into()),
        }
        let manifests = outputs.stage(stdout, self.folder.work())?;
        self.cache_is_over();
        self.keep(KEEPING);
        let request = v1::StagedRequest { attempt: Some(am.attempt), manifests };
        let reply = am.ask_and_wait(move |mut client| {
            let request = request.clone();
            async move { client.staged(request).await }
        })?;
        reply.stop.map_or(Ok(()), |stop| Err(Cause::Told(stop.reason)))
    }

    /// Runs the worker.
    fn work(
        &mut self,
        am: &Am,
        job: &Job,
        reply: &v1::RegisterReply,
        outputs: &Outputs,
    ) -> Result<(i32, Stdout), Cause> {
        let folder = &self.folder;
        let local = |error| Failure::new(format!("cannot prepare {}: {error}", folder.path().display()));
        let mut env = environment::variables(&self.bootstrap, job, reply, folder);
        env.extend(environment::list(job, &reply.files, folder.work()).map_err(local)?);
        let place = job.cache_dir.as_deref().zip(job.cache_size);
        self.cache = place.map(|(place, size)| Arc::new(Cache::new(Path::new(place), size)));
        if job.input_mode == InputMode::Stream {
            if job.on_restart == OnRestart::ReplayAll {
                self.standing.packs();
            }
            let hdfs = Hdfs::new(job.hdfs_timeout).with_cache(self.cache.clone());
            self.queue = Some(Arc::new(LeaseQueue::new(hdfs).map_err(local)?));
        } else {
            self.standing.stream.handed_over(reply.files.iter().map(|file| file.unit));
        }
        let (stdout, afterwards) = outputs.stdout(folder)?;
        self.has_run = true;
        let status = worker::run(worker::Setting {
            am,
            job,
            folder,
            lock: &workers_lock(&self.bootstrap),
            env: &env,
            stdout,
            standing: &self.standing,
            queue: self.queue.as_ref(),
            lease_ahead: Duration::from_millis(reply.lease_ahead_ms.into()),
            world_size: reply.world_size,
        });
        Ok((status?, afterwards))
    }

    /// The attempt has ended well, and has some time for what is on its way into the cache.
    fn cache_is_over(&self) {
        let Some(cache) = &self.cache else { return };
        cache.finish(CACHE_PATIENCE, || false);
        tracing::info!(figures = ?cache.figures(), "the block cache");
        cache.note().into_iter().for_each(|note| self.standing.told.note(note));
    }

    /// Nobody writes to the worker's logs any more.
    fn worker_is_gone(&mut self, handle: &Handle) {
        self.standing.worker_is_gone();
        if let (Some(container), None) = (&self.bootstrap.container, &self.kept) {
            let attempt = (self.bootstrap.index, self.bootstrap.number);
            self.kept = Some(Kept::begin(&container.history, attempt, &self.folder, handle));
        }
    }

    /// Sees the logs through to the job's history. That they do not get there is no failure of the attempt.
    fn keep(&mut self, limit: Duration) {
        if let Some(Err(why)) = self.kept.as_mut().map(|kept| kept.finish(limit)) {
            self.standing.told.note(format!("logs are missing from the job's history: {why}"));
        }
    }
}
