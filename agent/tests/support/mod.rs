//! What the agent's tests share: an application master played by the test, over the real protocol and socket, and
//! agents that are the real binary.
//!
//! On this machine it listens on a socket; for containers see [`container`].
#![allow(dead_code, reason = "each test binary uses its part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

pub(crate) mod container;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use forebay_agent::AttemptFolder;
use forebay_protocol::v1::application_master_server::{ApplicationMaster, ApplicationMasterServer};
use forebay_protocol::{Bootstrap, ChannelEnd, Token, Units, v1};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::runtime::{Builder, Runtime};
use tonic::codegen::BoxStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// How long anything here may take before it counts as hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// What the application master of a test does and has heard.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) job: String,
    pub(crate) files: Vec<v1::StaticFile>,
    /// Still to be leased.
    pub(crate) splits: VecDeque<v1::Split>,
    /// Answers `wait` rather than the end of input.
    pub(crate) holds_end: bool,
    /// Answers each call with this.
    pub(crate) refuses: Option<Status>,
    /// Wants the attempt to end.
    pub(crate) stop: Option<String>,
    /// What a container's agent is told when it registers.
    pub(crate) lease_ahead_ms: u32,
    /// So many times it is told that the others are not there.
    pub(crate) waits: usize,
    /// So many answers to questions for splits are lost on their way.
    pub(crate) loses: usize,
    /// The last grant of each worker.
    last_grants: BTreeMap<u32, LastGrant>,
    /// The questions for splits.
    pub(crate) asks: Vec<v1::LeaseRequest>,
    /// Hears this call (`exited`, `staged`), and never answers.
    pub(crate) silent_on: &'static str,
    /// The pieces of logs to ask for, once.
    pub(crate) log_asks: Vec<v1::LogWanted>,
    pub(crate) logs: Vec<v1::LogData>,
    /// Units granted, by worker, in order.
    pub(crate) granted: Vec<(u32, u64)>,
    /// With the attempt of the application that was told.
    pub(crate) rejoins: Vec<(u32, v1::RejoinRequest)>,
    /// How often a worker's end was told, and staged output.
    pub(crate) ends: usize,
    pub(crate) stages: usize,
    /// Answers to heartbeats, by attempt of the application.
    pub(crate) beats: BTreeMap<u32, usize>,
    pub(crate) registered: usize,
    pub(crate) ends_told: usize,
    pub(crate) begins: Vec<v1::Begin>,
    pub(crate) position: v1::Position,
    pub(crate) progress: v1::Progress,
    pub(crate) notes: Vec<String>,
    pub(crate) exited: Option<v1::ExitedRequest>,
    pub(crate) staged: Option<v1::StagedRequest>,
    pub(crate) failed: Option<v1::FailedRequest>,
}

#[derive(Debug, Default)]
struct LastGrant {
    /// Of which attempt of the application.
    by: u32,
    /// How many splits were granted before.
    before: u64,
    splits: Vec<v1::Split>,
}

impl Script {
    /// What is granted to who asks so.
    fn grant(&mut self, by: u32, ask: v1::LeaseRequest) -> Result<Vec<v1::Split>, Status> {
        let index = ask.attempt.unwrap().index;
        let last = self.last_grants.entry(index).or_default();
        let granted = last.before + last.splits.len() as u64;
        if ask.have == last.before {
            if !last.splits.is_empty() {
                return Ok(last.splits.clone());
            }
        } else if ask.have != granted {
            return Err(Status::failed_precondition(format!(
                "{granted} splits were granted, not {}",
                ask.have
            )));
        }
        let max = usize::try_from(ask.max).unwrap().min(self.splits.len());
        let splits: Vec<_> = self.splits.drain(..max).collect();
        *last = LastGrant { by, before: granted, splits: splits.clone() };
        self.granted.extend(splits.iter().map(|split| (index, split.unit)));
        Ok(splits)
    }

    /// A worker says what it holds. Another AM than before has granted it nothing else.
    fn holds(&mut self, by: u32, index: u32, held: usize) {
        let last = self.last_grants.entry(index).or_default();
        if last.by == by {
            return;
        }
        if held as u64 == last.before {
            self.granted.truncate(self.granted.len() - last.splits.len());
            last.splits.drain(..).rev().for_each(|split| self.splits.push_front(split));
        }
        *last = LastGrant { by, before: held as u64, splits: Vec::new() };
    }
}

/// A job's folder and its application master.
pub(crate) struct Played {
    room: TempDir,
    script: Arc<Mutex<Script>>,
    token: Token,
    runtime: Runtime,
}

#[derive(Clone)]
struct Service {
    script: Arc<Mutex<Script>>,
    token: Token,
    /// Attempt of the application.
    attempt: u32,
}

impl Service {
    fn hear<R>(&self, request: &Request<R>) -> Result<MutexGuard<'_, Script>, Status> {
        if !self.token.is_in(request.metadata()) {
            return Err(Status::unauthenticated("the token is missing"));
        }
        let script = self.script.lock().unwrap();
        script.refuses.clone().map_or(Ok(script), Err)
    }
}

/// An AM that says nothing any more waits for its end.
async fn until_killed(is_silent: bool) {
    if is_silent {
        std::future::pending::<()>().await;
    }
}

fn stop(script: &Script) -> Option<v1::Stop> {
    script.stop.clone().map(|reason| v1::Stop { reason })
}

#[tonic::async_trait]
impl ApplicationMaster for Service {
    async fn register(
        &self,
        request: Request<v1::RegisterRequest>,
    ) -> Result<Response<v1::RegisterReply>, Status> {
        let mut script = self.hear(&request)?;
        script.registered += 1;
        if script.waits > 0 {
            script.waits -= 1;
            let am_attempt = self.attempt;
            return Ok(Response::new(v1::RegisterReply { wait: true, am_attempt, ..Default::default() }));
        }
        Ok(Response::new(v1::RegisterReply {
            job: serde_json::to_vec(&script.job).unwrap(),
            world_size: 3,
            local_rank: 1,
            files: script.files.clone(),
            heartbeat_ms: 20,
            wait: false,
            lease_ahead_ms: script.lease_ahead_ms,
            am_attempt: self.attempt,
        }))
    }

    async fn lease(&self, request: Request<v1::LeaseRequest>) -> Result<Response<v1::LeaseReply>, Status> {
        let mut script = self.hear(&request)?;
        let ask = request.into_inner();
        script.asks.push(ask);
        let splits = script.grant(self.attempt, ask)?;
        if script.loses > 0 && !splits.is_empty() {
            script.loses -= 1;
            return Err(Status::unavailable("the answer is lost"));
        }
        let reply = if splits.is_empty() && script.holds_end {
            v1::lease_reply::Reply::Wait(v1::Wait { ms: 10 })
        } else if splits.is_empty() {
            script.ends_told += 1;
            v1::lease_reply::Reply::EndOfInput(v1::EndOfInput {})
        } else {
            v1::lease_reply::Reply::Leases(v1::Leases { splits })
        };
        Ok(Response::new(v1::LeaseReply { reply: Some(reply), waiting: script.splits.len() as u64 }))
    }

    async fn heartbeat(
        &self,
        request: Request<v1::HeartbeatRequest>,
    ) -> Result<Response<v1::HeartbeatReply>, Status> {
        let mut script = self.hear(&request)?;
        let request = request.into_inner();
        let position = request.position.unwrap();
        script.begins.extend(position.begins.iter().copied());
        script.position = position;
        let progress = request.progress.unwrap();
        script.notes.extend(progress.notes.iter().cloned());
        script.progress = progress;
        *script.beats.entry(self.attempt).or_default() += 1;
        Ok(Response::new(v1::HeartbeatReply { stop: stop(&script) }))
    }

    async fn exited(&self, request: Request<v1::ExitedRequest>) -> Result<Response<v1::ExitedReply>, Status> {
        let (next, is_silent) = {
            let mut script = self.hear(&request)?;
            let request = request.into_inner();
            let next = match stop(&script) {
                None if request.status == 0 => v1::exited_reply::Next::Stage(v1::Stage {}),
                other => v1::exited_reply::Next::Stop(other.unwrap_or_default()),
            };
            script.exited = Some(request);
            script.ends += 1;
            (next, script.silent_on == "exited")
        };
        until_killed(is_silent).await;
        Ok(Response::new(v1::ExitedReply { next: Some(next) }))
    }

    async fn staged(&self, request: Request<v1::StagedRequest>) -> Result<Response<v1::StagedReply>, Status> {
        let (stop, is_silent) = {
            let mut script = self.hear(&request)?;
            script.staged = Some(request.into_inner());
            script.stages += 1;
            (stop(&script), script.silent_on == "staged")
        };
        until_killed(is_silent).await;
        Ok(Response::new(v1::StagedReply { stop }))
    }

    async fn failed(&self, request: Request<v1::FailedRequest>) -> Result<Response<v1::FailedReply>, Status> {
        let mut script = self.hear(&request)?;
        script.failed = Some(request.into_inner());
        Ok(Response::new(v1::FailedReply {}))
    }

    async fn rejoin(&self, request: Request<v1::RejoinRequest>) -> Result<Response<v1::RejoinReply>, Status> {
        let mut script = self.hear(&request)?;
        let request = request.into_inner();
        let held = Units::read(&request.fed).unwrap().len() + request.held.len();
        script.holds(self.attempt, request.attempt.unwrap().index, held);
        let reply = match stop(&script) {
            Some(stop) => v1::rejoin_reply::Reply::Stop(stop),
            None if request.exited == Some(0) => v1::rejoin_reply::Reply::Stage(v1::Stage {}),
            None => v1::rejoin_reply::Reply::GoOn(v1::GoOn {}),
        };
        script.rejoins.push((self.attempt, request));
        Ok(Response::new(v1::RejoinReply { reply: Some(reply), am_attempt: self.attempt }))
    }

    type LogsStream = BoxStream<v1::LogWanted>;

    async fn logs(
        &self,
        request: Request<Streaming<v1::LogData>>,
    ) -> Result<Response<Self::LogsStream>, Status> {
        drop(self.hear(&request)?);
        let (script, mut answers) = (Arc::clone(&self.script), request.into_inner());
        let (asks, mut asked) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            assert!(answers.message().await.unwrap().unwrap().attempt.is_some());
            loop {
                let next = script.lock().unwrap().log_asks.pop();
                match next {
                    Some(ask) => {
                        asks.send(Ok(ask)).await.unwrap();
                        let Ok(Some(answer)) = answers.message().await else { return };
                        script.lock().unwrap().logs.push(answer);
                    }
                    None => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        });
        let asked = futures_util::stream::poll_fn(move |context| asked.poll_recv(context));
        Ok(Response::new(Box::pin(asked)))
    }
}

impl Played {
    /// An application master of a job with this command, and this job text besides it.
    pub(crate) fn new(command: &[&str], more: &str) -> Self {
        let room = TempDir::new().unwrap();
        let input = if more.contains("input = ") { "" } else { "input = ['/not-looked-up']\n" };
        let job = format!("command = {}\n{input}{more}\n", serde_json::to_string(command).unwrap());
        let script = Arc::new(Mutex::new(Script { job, ..Default::default() }));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let played = Self { room, script, token: Token::new([9; 32]), runtime };
        played.serve();
        played
    }

    /// A job whose workers run a script of the shell.
    pub(crate) fn sh(script: &str, more: &str) -> Self {
        Self::new(&["sh", "-c", script], more)
    }

    fn serve(&self) {
        let _context = self.runtime.enter();
        let listener = UnixListener::bind(self.socket()).unwrap();
        let service = self.service(1);
        let incoming = futures_util::stream::unfold(listener, |listener| async {
            Some((listener.accept().await.map(|(stream, _)| stream), listener))
        });
        self.runtime.spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    }

    fn service(&self, attempt: u32) -> ApplicationMasterServer<Service> {
        let (script, token) = (Arc::clone(&self.script), self.token.clone());
        ApplicationMasterServer::new(Service { script, token, attempt })
            .max_decoding_message_size(forebay_protocol::MAX_MESSAGE)
            .max_encoding_message_size(forebay_protocol::MAX_MESSAGE)
    }

    fn socket(&self) -> PathBuf {
        self.room.path().join("am.sock")
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// Where `name` is, or will be.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.room.path().join(name)
    }

    /// The folder of an attempt.
    pub(crate) fn folder(&self, index: u32, number: u32) -> AttemptFolder {
        AttemptFolder::new(self.room.path(), index, number, false)
    }

    /// Gives the job an output.
    pub(crate) fn output(&self, address: &str, folder: &str) {
        let mut script = self.script();
        script.job = format!("{}output = ['{address}{folder}']\n", script.job);
    }

    /// Makes a file with this content ready to be leased in splits of so many bytes, from unit `unit` on.
    pub(crate) fn splits(&self, name: &str, content: &[u8], split_size: u64, unit: u64) -> Vec<v1::Split> {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        let file = file(&path, split_size);
        (0..file.len)
            .step_by(usize::try_from(split_size).unwrap())
            .zip(unit..)
            .map(|(start, unit)| {
                let end = (start + split_size).min(file.len);
                v1::Split { unit, file: Some(file.clone()), start, end, skip: None }
            })
            .collect()
    }

    /// Starts attempt `number` of worker 0.
    pub(crate) fn agent(&self, number: u32) -> Running {
        self.agent_with(number, &[])
    }

    /// The same with variables of its environment.
    pub(crate) fn agent_with(&self, number: u32, env: &[(&str, &Path)]) -> Running {
        let bootstrap = Bootstrap {
            channel: ChannelEnd::Socket { path: self.socket() },
            token: self.token.clone(),
            index: 0,
            number,
            job_id: "job_20200101_000000_abcd".into(),
            job_folder: self.room.path().to_owned(),
            container: None,
        };
        let mut command = Command::new(forebay_tests::bin("forebay"));
        command.arg("agent").stdin(Stdio::piped()).env_remove("HADOOP_CONF_DIR").env_remove("FOREBAY_LOG");
        command.envs(env.iter().copied());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let line = serde_json::to_string(&bootstrap).unwrap() + "\n";
        stdin.write_all(line.as_bytes()).unwrap();
        Running { child, stdin: Some(stdin), log: self.folder(0, number).log() }
    }

    /// Waits until the agent has told something.
    pub(crate) fn wait_for(&self, what: &str, met: impl Fn(&Script) -> bool) {
        wait_until(what, || met(&self.script()));
    }

    /// Waits for a file that a worker writes, and gives its whole lines.
    pub(crate) fn lines(&self, name: &str, count: usize) -> Vec<String> {
        let read = || fs::read_to_string(self.path(name)).unwrap_or_default();
        wait_until(name, || read().matches('\n').count() >= count);
        read().lines().map(str::to_owned).collect()
    }

    /// The process ids that workers write into a file, one a line.
    pub(crate) fn pids(&self, name: &str, count: usize) -> Vec<Pid> {
        self.lines(name, count)
            .iter()
            .map(|line| Pid::from_raw(line.trim().parse().unwrap()).unwrap())
            .collect()
    }
}

/// A planned file.
pub(crate) fn file(path: &Path, split_size: u64) -> v1::File {
    let meta = fs::metadata(path).unwrap();
    v1::File {
        address: path.to_str().unwrap().into(),
        len: meta.len(),
        split_size,
        identity: Some(v1::Identity { device: meta.dev(), inode: meta.ino() }),
    }
}

/// An agent that does not outlive its test.
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
}

impl Running {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// What an agent sees of its application master's death.
    pub(crate) fn close_input(&mut self) {
        self.stdin = None;
    }

    /// The one child of the agent.
    pub(crate) fn guard(&self) -> Pid {
        let mut guard = None;
        wait_until("the guard", || {
            guard = children(self.pid()).first().copied();
            guard.is_some()
        });
        guard.unwrap()
    }

    /// Waits for its end; `None` for one by a signal.
    pub(crate) fn status(mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let log = self.log();
                assert!(!log.contains("panicked"), "{log}");
                return status.code();
            }
            assert!(Instant::now() < deadline, "the agent hangs: {}", self.log());
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn children(parent: Pid) -> Vec<Pid> {
    let text = parent.as_raw_nonzero();
    let children = fs::read_to_string(format!("/proc/{text}/task/{text}/children")).unwrap_or_default();
    children.split_ascii_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}

/// Looks again and again, up to a deadline that only a broken program reaches.
pub(crate) fn wait_until(what: &str, mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// Whether a process runs (a dead one that nobody has buried does not).
pub(crate) fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !matches!(rest.trim_start().as_bytes(), [b'Z' | b'X', ..]))
}

/// Waits until these have gone; those that have not are ended, so that no test leaves any.
pub(crate) fn wait_until_gone(pids: &[Pid]) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while pids.iter().any(|&pid| is_alive(pid)) {
        if Instant::now() > deadline {
            let left: Vec<_> = pids.iter().filter(|&&pid| is_alive(pid)).collect();
            for &&pid in &left {
                let _ = kill_process(pid, Signal::KILL);
            }
            panic!("processes {left:?} are left");
        }
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// Lines of different lengths, about `len` bytes of them.
pub(crate) fn text(len: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(len + 100);
    let mut n = 0;
    while text.len() < len {
        text.extend_from_slice(format!("{n} {}\n", "x".repeat(n * 7 % 61)).as_bytes());
        n += 1;
    }
    text
}
