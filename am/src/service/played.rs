//! For tests: a served channel of a job whose dispatcher is played, and parties that speak with it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_protocol::{Agent, Bootstrap, ChannelEnd, Client, ClientSecrets, Identity, JobSecrets, v1};
use futures_util::stream::unfold;
use tokio::io::copy;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tonic::{Code, Streaming};

use super::{Call, Listening, serve};

/// How long anything here may take before it counts as hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// An application master of a job.
pub(crate) struct Served {
    pub(crate) secrets: JobSecrets,
    pub(crate) address: String,
    /// Calls that came through.
    pub(crate) calls: Arc<AtomicUsize>,
    pub(crate) killed: Arc<Mutex<Option<String>>>,
}

impl Served {
    pub(crate) async fn new() -> Self {
        let secrets = JobSecrets::make("application_1700000000000_0007").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut received = serve(Listening::Tls(listener, Box::new(secrets.for_am()))).unwrap();
        let (calls, killed) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        let served = Self { secrets, address, calls: Arc::clone(&calls), killed: Arc::clone(&killed) };
        tokio::spawn(async move {
            while let Some(call) = received.recv().await {
                calls.fetch_add(1, Ordering::SeqCst);
                match call {
                    Call::Register(_, answer) => drop(answer.send(Ok(v1::RegisterReply::default()))),
                    Call::Lease(_, answer) => drop(answer.send(Ok(v1::LeaseReply::default()))),
                    Call::Heartbeat(_, answer) => drop(answer.send(Ok(v1::HeartbeatReply::default()))),
                    Call::Rejoin(_, answer) => drop(answer.send(Ok(v1::RejoinReply::default()))),
                    Call::State(answer) => drop(answer.send(Ok(v1::StateReply { json: b"{}".to_vec() }))),
                    Call::Kill(request, answer) => {
                        *killed.lock().unwrap() = Some(request.why);
                        drop(answer.send(Ok(v1::KillReply {})));
                    }
                    Call::Exited(..) | Call::Staged(..) | Call::Failed(..) => {}
                }
            }
        });
        served
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// How an agent that has this identity finds its application master.
    pub(crate) fn bootstrap(&self, identity: &Identity, address: &str) -> Bootstrap {
        let am_file = "hdfs://nobody/am.json".into();
        Bootstrap {
            channel: ChannelEnd::Tls { address: address.into(), am_file, identity: identity.clone() },
            token: self.secrets.token.clone(),
            index: 0,
            number: 1,
            job_id: "application_1700000000000_0007".into(),
            job_folder: "job".into(),
            container: None,
        }
    }

    pub(crate) async fn agent(&self) -> Agent {
        self.bootstrap(&self.secrets.agent, &self.address).connect().await.unwrap()
    }

    pub(crate) async fn client(&self) -> Client {
        self.secrets.for_clients().connect(&self.address).await.unwrap()
    }

    /// A client that shows this certificate.
    pub(crate) async fn client_as(&self, identity: &Identity) -> Client {
        let secrets = ClientSecrets { token: self.secrets.token.clone(), client: identity.clone() };
        secrets.connect(&self.address).await.unwrap()
    }
}

pub(crate) fn heartbeat() -> v1::HeartbeatRequest {
    v1::HeartbeatRequest {
        attempt: Some(v1::Attempt { index: 0, number: 1 }),
        position: None,
        progress: None,
    }
}

/// Offers the logs of an attempt: where answers go, and the questions.
pub(crate) async fn offer(
    agent: &mut Agent,
    index: u32,
    number: u32,
) -> (mpsc::Sender<v1::LogData>, Streaming<v1::LogWanted>) {
    let (answers, offered) = mpsc::channel(1);
    let attempt = Some(v1::Attempt { index, number });
    answers.send(v1::LogData { attempt, ..Default::default() }).await.unwrap();
    let offered = unfold(offered, |mut offered| async { offered.recv().await.map(|data| (data, offered)) });
    (answers, agent.logs(offered).await.unwrap().into_inner())
}

/// Wants a log of worker 0's last attempt.
pub(crate) fn wanted(name: &str, offset: i64, follow: bool) -> v1::LogsRequest {
    v1::LogsRequest { index: 0, number: 0, name: name.into(), offset, follow }
}

/// Reads a log, once the application master has heard the agent's offer.
pub(crate) async fn reading(
    client: &mut Client,
    name: &str,
    offset: i64,
    follow: bool,
) -> Streaming<v1::LogsReply> {
    in_time(async {
        loop {
            match client.logs(wanted(name, offset, follow)).await {
                Ok(log) => return log.into_inner(),
                Err(status) => assert_eq!(status.code(), Code::NotFound, "{status}"),
            }
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

/// What happens in time.
pub(crate) async fn in_time<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it hangs")
}

/// A host between an agent and its application master, which can fall silent.
pub(crate) struct Between {
    pub(crate) address: String,
    silent: watch::Sender<bool>,
}

impl Between {
    pub(crate) async fn new(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (silent, is_silent) = watch::channel(false);
        let to = to.to_owned();
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let far = TcpStream::connect(&to).await.unwrap();
                let mut is_silent = is_silent.clone();
                tokio::spawn(async move {
                    let (mut from_near, mut to_near) = near.into_split();
                    let (mut from_far, mut to_far) = far.into_split();
                    tokio::select! {
                        _ = is_silent.wait_for(|&is_silent| is_silent) => {}
                        _ = copy(&mut from_near, &mut to_far) => return,
                        _ = copy(&mut from_far, &mut to_near) => return,
                    }
                    // Nothing passes, and nothing is closed.
                    std::future::pending::<()>().await;
                });
            }
        });
        Self { address, silent }
    }

    pub(crate) fn fall_silent(&self) {
        self.silent.send_replace(true);
    }
}
