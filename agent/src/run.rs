//! One attempt, from the agent's first line of input to its exit status.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use forebay_feeder::{Hdfs, LeaseQueue};
use forebay_job::{InputMode, Job};
use forebay_protocol::{Bootstrap, v1};
use forebay_store::Clusters;
use rustix::process::{Signal, set_parent_process_death_signal, setsid};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::am::Am;
use crate::download::download;
use crate::environment;
use crate::error::{AgentError, Failure};
use crate::folder::{AttemptFolder, log_file};
use crate::heartbeat::beat;
use crate::over::{Cause, Over};
use crate::prepare::{prepare, workers_lock};
use crate::stage::{Outputs, Stdout};
use crate::stream::Stream;
use crate::told::Told;
use crate::worker;

/// Longest first line in bytes.
const LONGEST_LINE: u64 = 64 << 10;
/// Shortest and longest time between two heartbeats.
const HEARTBEAT: (u32, u32) = (20, 60_000);

/// Runs an attempt as standard input says; gives the status to exit with: 0 if the application master knows how the
/// attempt ended.
pub fn agent() -> i32 {
    match begin() {
        Ok(status) => status,
        Err(error) => {
            // Nobody else is to be told yet.
            let _ = writeln!(io::stderr(), "forebay agent: {error}");
            1
        }
    }
}

fn begin() -> Result<i32, AgentError> {
    // First of all, and without grace: the guard ends the worker properly all the same.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)?;
    // The application master decides what a Ctrl-C at its terminal means. Fails only where it has seen to that itself.
    let _ = setsid();
    let _ = rustix::thread::set_name(c"forebay-agent");
    let bootstrap = read_bootstrap()?;
    let folder = AttemptFolder::new(&bootstrap.job_folder, bootstrap.index, bootstrap.number, false);
    let local = |action| {
        let path = folder.path().to_owned();
        move |source| AgentError::Local { action, path, source }
    };
    folder.create().map_err(local("make"))?;
    log_to(log_file(&folder.log()).map_err(local("log into"))?);
    let over = Over::new()?;
    over.listen()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (quit, quitted) = oneshot::channel::<()>();
    let driver = thread::Builder::new().name("forebay-am".into()).spawn(move || {
        // Ends when the other end is dropped.
        let _ = runtime.block_on(quitted);
    })?;
    let mut attempt = Attempt::new(bootstrap, over);
    let status = attempt.run(&handle);
    drop(quit);
    if driver.join().is_err() {
        tracing::error!("the thread that speaks with the application master broke off");
    }
    Ok(status)
}

/// The line that says what to do. Nothing behind it is read here.
fn read_bootstrap() -> Result<Bootstrap, AgentError> {
    let mut line = String::new();
    let read = io::stdin().lock().take(LONGEST_LINE).read_line(&mut line);
    read.map_err(|error| AgentError::Bootstrap(error.to_string()))?;
    if !line.ends_with('\n') {
        return Err(AgentError::Bootstrap("it is no line of text".into()));
    }
    // The error of serde would show the line, and with it the token.
    serde_json::from_str(&line).map_err(|error| {
        AgentError::Bootstrap(format!(
            "its line cannot be read ({:?} at column {})",
            error.classify(),
            error.column()
        ))
    })
}

fn log_to(file: File) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("FOREBAY_LOG")
        .unwrap_or_else(|_| EnvFilter::new("warn,forebay_agent=info,hdfs_native=error"));
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(Mutex::new(file)).with_ansi(false);
    // Fails only when a logger is there already.
    let _ = log.try_init();
}

struct Attempt {
    bootstrap: Bootstrap,
    over: Over,
    stream: Stream,
    told: Told,
    /// Whether the worker has run, so that there is a position to tell.
    has_run: bool,
    /// Lives longer than all tasks: it has a runtime of its own, which must not end in one.
    queue: Option<Arc<LeaseQueue>>,
}

impl Attempt {
    fn new(bootstrap: Bootstrap, over: Over) -> Self {
        let (stream, told) = (Stream::default(), Told::default());
        Self { bootstrap, over, stream, told, has_run: false, queue: None }
    }

    fn run(&mut self, handle: &Handle) -> i32 {
        let am = match Am::connect(&self.bootstrap, &self.over, handle) {
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
        let failure = match cause {
            Cause::Told(reason) => {
                tracing::info!(reason, "ended as told");
                return 0;
            }
            Cause::AmGone => {
                tracing::warn!("the application master has gone");
                return 1;
            }
            Cause::Signal(signal) => Failure::new(format!("its agent was told to end by signal {signal}")),
            Cause::Failed(failure) => failure,
        };
        tracing::error!(%failure, "the attempt failed");
        am.give_up(&failure, self.has_run.then(|| self.stream.position(0, self.told.ack())));
        1
    }

    fn go_through(&mut self, am: &Am) -> Result<(), Cause> {
        let reply = am.register()?;
        let every = Duration::from_millis(reply.heartbeat_ms.clamp(HEARTBEAT.0, HEARTBEAT.1).into());
        am.handle.spawn(beat(am.clone(), every, self.stream.clone(), self.told.clone()));
        let job: Job = serde_json::from_slice(&reply.job)
            .map_err(|error| Failure::fatal(format!("the job cannot be read: {error}")))?;
        self.told.doing("preparing");
        let Bootstrap { job_folder, index, number, .. } = &self.bootstrap;
        let folder = AttemptFolder::new(job_folder, *index, *number, job.keep_folder);
        let _locks = prepare(&self.bootstrap, &job, &folder)?;
        let clusters = Arc::new(Clusters::new(job.hdfs_timeout, am.handle.clone()));
        let outputs = Outputs::open(am, &self.bootstrap, &job, &clusters)?;
        if job.input_mode == InputMode::Download {
            download(am, &reply.files, *number, &folder, &clusters, &self.told)?;
        }
        let (status, stdout) = self.work(am, &job, &reply, &folder, &outputs)?;
        self.told.doing("staging");
        let request = v1::ExitedRequest {
            attempt: Some(am.attempt),
            status,
            position: Some(self.stream.position(0, self.told.ack())),
            progress: Some(self.told.progress(self.stream.figures())),
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
        let manifests = outputs.stage(stdout, folder.work())?;
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
        folder: &AttemptFolder,
        outputs: &Outputs,
    ) -> Result<(i32, Stdout), Cause> {
        let local = |error| Failure::new(format!("cannot prepare {}: {error}", folder.path().display()));
        let mut env = environment::variables(&self.bootstrap, job, reply, folder);
        env.extend(environment::list(job, &reply.files, folder.work()).map_err(local)?);
        if job.input_mode == InputMode::Stream {
            self.queue = Some(Arc::new(LeaseQueue::new(Hdfs::new(job.hdfs_timeout)).map_err(local)?));
        } else {
            self.stream.handed_over(reply.files.iter().map(|file| file.unit));
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
            stream: &self.stream,
            told: &self.told,
            queue: self.queue.as_ref(),
        })?;
        Ok((status, afterwards))
    }
}
