//! A real YARN, and a test that plays its applications' masters.

#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use forebay_fixtures::{Yarn, YarnOptions};
use forebay_hadoop::yarn::{
    AM_RM_TOKEN, AllocateRequest, Allocation, ApplicationAttemptId, ApplicationId, ApplicationMaster,
    ApplicationReport, ApplicationSubmission, Command, Container, ContainerId, ContainerLaunchContext,
    ContainerStatus, Heartbeat, NmTokens, NodeManager, Presence, Resource, ResourceManager, conf::YARN_SITE,
};
use forebay_hadoop::{Configuration, Credentials, Token};
use tokio::runtime::Runtime;

/// The machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);
const PAUSE: Duration = Duration::from_millis(100);

/// A YARN, and a runtime for its clients. What the fixtures do is done outside of that.
pub(crate) struct Cluster {
    runtime: Runtime,
    pub(crate) yarn: Yarn,
    pub(crate) conf: Configuration,
    pub(crate) client: ResourceManager,
}

impl Cluster {
    pub(crate) fn start(options: &YarnOptions) -> Self {
        let yarn = Yarn::start(options).unwrap();
        let mut conf = Configuration::from_folder(yarn.conf_dir()).unwrap();
        assert!(conf.add_named(YARN_SITE).unwrap());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let client = ResourceManager::connect(&conf).unwrap().with_deadline(PATIENCE);
        Self { runtime, yarn, conf, client }
    }

    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub(crate) async fn new_application(&self, name: &str) -> ApplicationSubmission {
        let id = self.client.get_new_application().await.unwrap().id;
        ApplicationSubmission::new(id, name, Resource::new(64, 1))
    }

    /// Submits, and expects it to be taken.
    pub(crate) async fn submit(&self, application: &ApplicationSubmission) -> ApplicationReport {
        let report = self.client.submit(application).await.unwrap();
        assert!(!report.state.is_final(), "{report:?}");
        report
    }

    /// An application whose master is this test.
    pub(crate) async fn unmanaged(&self) -> Master {
        let application = self.new_application("unmanaged").await;
        self.submit(&application).await;
        let token = until("the AMRM token", async || {
            self.client.application_report(application.id).await.unwrap().am_rm_token
        });
        self.master(application.id, token.await)
    }

    /// An application whose master's container sleeps, and whose token this test has taken from there.
    pub(crate) async fn sleeping(&self, change: impl FnOnce(&mut ApplicationSubmission)) -> Master {
        let mut application = self.new_application("sleeping").await;
        let command = Command::new("sleep").arg("1000");
        application.container = Some(ContainerLaunchContext::new(command));
        change(&mut application);
        self.submit(&application).await;
        self.attempt(application.id.attempt(1)).await
    }

    /// The master of an attempt whose container sleeps.
    pub(crate) async fn attempt(&self, attempt: ApplicationAttemptId) -> Master {
        let container = until("the application master's container", async || {
            let attempts = self.client.attempts(attempt.application()).await.unwrap();
            attempts.into_iter().find(|report| report.id == attempt)?.am_container
        })
        .await;
        let token = until("the application master's token file", async || {
            let credentials = Credentials::read_file(&self.token_file(container)?).ok()?;
            credentials.of_kind(AM_RM_TOKEN).next().cloned()
        })
        .await;
        self.master(attempt.application(), token)
    }

    /// What `HADOOP_TOKEN_FILE_LOCATION` names in a container.
    fn token_file(&self, container: ContainerId) -> Option<PathBuf> {
        let user = forebay_hadoop::ipc::Login::from_conf(&self.conf).unwrap().user().to_owned();
        let within = format!(
            "local/usercache/{user}/appcache/{}/{container}/container_tokens",
            container.application()
        );
        let files = (0..self.yarn.nodemanagers()).map(|i| self.yarn.node_dir(i).join(&within));
        files.into_iter().find(|file| file.exists())
    }

    fn master(&self, id: ApplicationId, token: Token) -> Master {
        let am = ApplicationMaster::connect_with(&self.conf, token).unwrap().with_deadline(PATIENCE);
        assert_eq!(am.attempt().map(ApplicationAttemptId::application), Some(id));
        Master { id, am, conf: self.conf.clone(), tokens: NmTokens::new() }
    }
}

/// An application master, and the tokens it has got.
pub(crate) struct Master {
    pub(crate) id: ApplicationId,
    pub(crate) am: ApplicationMaster,
    conf: Configuration,
    pub(crate) tokens: NmTokens,
}

/// What several heartbeats have brought.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) containers: Vec<Container>,
    pub(crate) completed: Vec<ContainerStatus>,
    pub(crate) last: Allocation,
}

impl Seen {
    pub(crate) fn completion(&self, id: ContainerId) -> Option<&ContainerStatus> {
        self.completed.iter().find(|status| status.id == id)
    }
}

impl Master {
    pub(crate) async fn register(&mut self) -> forebay_hadoop::yarn::Registration {
        let presence = Presence { host: "here".into(), rpc_port: None, tracking_url: String::new() };
        let registration = self.am.register(&presence).await.unwrap();
        self.tokens.update(registration.nm_tokens.clone());
        registration
    }

    pub(crate) async fn beat(&mut self, request: &AllocateRequest) -> Allocation {
        match self.am.allocate(request).await.unwrap() {
            Heartbeat::Answer(answer) => {
                self.tokens.update(answer.nm_tokens.clone());
                *answer
            }
            other => panic!("{other:?}"),
        }
    }

    /// Says this once, and then listens until it is enough.
    pub(crate) async fn listen(&mut self, request: AllocateRequest, enough: impl Fn(&Seen) -> bool) -> Seen {
        let (mut seen, mut request, begin) = (Seen::default(), request, Instant::now());
        loop {
            let answer = self.beat(&request).await;
            seen.containers.extend(answer.containers.iter().cloned());
            seen.completed.extend(answer.completed.iter().cloned());
            seen.last = answer;
            if enough(&seen) {
                return seen;
            }
            assert!(begin.elapsed() < PATIENCE, "{:?} {:?}", seen.containers, seen.completed);
            request = AllocateRequest { progress: request.progress, ..AllocateRequest::default() };
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub(crate) fn node(&self, container: &Container) -> NodeManager {
        let token = self.tokens.get(&container.node).expect("a token for the container's node");
        NodeManager::connect(&self.conf, &container.node, token).unwrap()
    }

    pub(crate) async fn start(&self, container: &Container, context: &ContainerLaunchContext) {
        let outcome = self.node(container).start(&[(container, context)]).await.unwrap();
        assert_eq!((outcome.done.as_slice(), outcome.failed.as_slice()), (&[container.id][..], &[][..]));
    }

    /// Waits until a container's process runs.
    pub(crate) async fn runs(&self, container: &Container) {
        let node = self.node(container);
        until("a container to run", async || {
            let statuses = node.statuses(&[container.id]).await.unwrap();
            assert!(statuses.failed.is_empty(), "{:?}", statuses.failed);
            (statuses.done[0].process_runs == Some(true)).then_some(())
        })
        .await;
    }
}

/// Asks until there is an answer.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begin.elapsed() < PATIENCE, "no {what} within {PATIENCE:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// A container that runs a script.
pub(crate) fn script(text: &str) -> ContainerLaunchContext {
    ContainerLaunchContext::new(Command::script(text))
}
