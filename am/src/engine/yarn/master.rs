//! This application master towards YARN: registration, heartbeats, nodes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forebay_hadoop::conf::Address;
use forebay_hadoop::yarn::{
    self, AM_RM_TOKEN, AllocateRequest, Allocation, ApplicationId, ApplicationMaster, ApplicationState,
    Container, ContainerId, ContainerLaunchContext, ContainerStatus, FinalStatus, Finish, Heartbeat,
    NmTokens, NodeManager, Presence, Resource, ResourceManager,
};
use forebay_hadoop::{Configuration, Credentials};
use forebay_scheduler::Attempt;

use super::asks::{Unsent, Want, attempt_of};
use crate::AmError;

/// How long a ResourceManager may take to answer one heartbeat, or to be found; then it is tried anew.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// How long a node may take to answer.
const NODE: Duration = Duration::from_mins(1);
/// How long it is asked whether the application was killed: this process may have a quarter of a second to live.
const KILLED: Duration = Duration::from_secs(5);

/// This application master towards the ResourceManager.
#[derive(Debug)]
pub(crate) struct Master {
    manager: ApplicationMaster,
    presence: Presence,
    nodes: Nodes,
    queue: String,
    /// The ResourceManager does not answer.
    is_away: bool,
    /// It was restarted, and is to be told again where this application master is.
    must_register: bool,
}

/// What is learned at registration.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) queue: String,
    /// Memory of the largest container that there is.
    pub(crate) most_mib: u64,
    /// Containers of earlier attempts.
    pub(crate) kept: Vec<Kept>,
}

/// A container of an earlier attempt.
#[derive(Debug)]
pub(crate) struct Kept {
    /// What it was asked for.
    pub(crate) attempt: Option<Attempt>,
    pub(crate) container: Container,
}

/// What a heartbeat says.
#[derive(Debug)]
pub(super) struct Beat {
    pub(super) asks: Unsent,
    pub(super) released: Vec<ContainerId>,
    pub(super) left_out: Vec<String>,
    pub(super) progress: f32,
}

/// What it brings.
#[derive(Debug)]
pub(super) enum Heard {
    /// The ResourceManager was restarted: it is to be told everything again. With containers that it knows of.
    Forgotten(Vec<Kept>),
    /// Nobody answers. What was said is said again.
    Silence,
    /// What was asked for is refused, and with it the whole heartbeat.
    Refused(String),
    Answer {
        /// Containers of earlier attempts whose nodes have come back.
        found: Vec<Kept>,
        given: Vec<Container>,
        completed: Vec<ContainerStatus>,
        said: Said,
        notes: Vec<String>,
    },
}

/// What the ResourceManager says of the cluster.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) nodes: usize,
    headroom: Resource,
    queue: String,
}

impl Master {
    pub(crate) fn new(
        conf: &Configuration,
        credentials: &Credentials,
        host: &str,
        port: u16,
        tracking_url: String,
    ) -> Result<Self, AmError> {
        let token = credentials.of_kind(AM_RM_TOKEN).next().cloned();
        let missing = || AmError::NoContainer { why: format!("the token file has no {AM_RM_TOKEN}") };
        let manager =
            ApplicationMaster::connect_with(conf, token.ok_or_else(missing)?)?.with_deadline(HEARTBEAT);
        let presence = Presence { host: host.to_owned(), rpc_port: Some(port), tracking_url };
        let nodes = Nodes { conf: Arc::new(conf.clone()), tokens: Arc::default() };
        Ok(Self { manager, presence, nodes, queue: String::new(), is_away: false, must_register: false })
    }

    pub(super) fn nodes(&self) -> Nodes {
        self.nodes.clone()
    }

    pub(super) async fn register(&mut self) -> Result<Registration, AmError> {
        let registration = self.manager.register(&self.presence).await?;
        self.nodes.learn(registration.nm_tokens);
        self.queue.clone_from(&registration.queue);
        Ok(Registration {
            queue: registration.queue,
            most_mib: registration.maximum_capability.memory_mib,
            kept: self.kept(registration.previous_containers),
        })
    }

    /// The containers, and what they were asked for.
    fn kept(&self, containers: Vec<Container>) -> Vec<Kept> {
        let kept = containers.into_iter().map(|container| Kept {
            attempt: container.allocation_request_id.and_then(attempt_of),
            container,
        });
        // This attempt's own that it has not asked for is the one that this process is in.
        let own = self.manager.attempt();
        kept.filter(|kept| kept.attempt.is_some() || Some(kept.container.id.attempt()) != own).collect()
    }

    /// Registers until it is known that the ResourceManager has heard of it.
    async fn register_again(&mut self) -> Result<Heard, AmError> {
        let kept = match self.register().await {
            Ok(registration) => registration.kept,
            // It has heard of it before, and its answer was lost.
            Err(AmError::Yarn(error)) if error.is_already_registered() => Vec::new(),
            Err(AmError::Yarn(error)) if error.is_unanswered() => return Ok(self.silence(&error)),
            Err(error) => return Err(error),
        };
        (self.is_away, self.must_register) = (false, false);
        Ok(Heard::Forgotten(kept))
    }

    fn silence(&mut self, error: &yarn::Error) -> Heard {
        if !std::mem::replace(&mut self.is_away, true) {
            tracing::warn!("the ResourceManager does not answer; the job goes on: {error}");
        }
        Heard::Silence
    }

    /// One heartbeat. An error: this application master is none any more.
    pub(super) async fn beat(&mut self, beat: &Beat) -> Result<Heard, AmError> {
        if self.must_register {
            return self.register_again().await;
        }
        let request = AllocateRequest {
            asks: beat.asks.rows.clone(),
            releases: beat.released.clone(),
            blacklist: beat.left_out.clone(),
            progress: beat.progress,
            ..AllocateRequest::default()
        };
        let heard = match self.manager.allocate(&request).await {
            Err(error) if error.is_unanswered() => return Ok(self.silence(&error)),
            heard => heard,
        };
        self.is_away = false;
        match heard {
            Ok(Heartbeat::Answer(allocation)) => Ok(self.answer(*allocation)),
            Ok(Heartbeat::Resync) => {
                tracing::warn!("the ResourceManager was restarted, or another has taken over");
                self.must_register = true;
                self.register_again().await
            }
            Ok(Heartbeat::Gone(why)) => Err(AmError::Left { why }),
            Err(error) if error.is_invalid_resource_request() => {
                tracing::warn!("the ResourceManager refuses what it is asked for: {error}");
                Ok(Heard::Refused(error.to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn answer(&self, allocation: Allocation) -> Heard {
        self.nodes.learn(allocation.nm_tokens);
        let mut words = Vec::new();
        if let Some(preemption) = &allocation.preemption {
            let count = preemption.strict.len();
            if count > 0 {
                words.push(format!("the cluster is about to take back {count} containers of this job"));
            }
        }
        let nodes = usize::try_from(allocation.cluster_nodes).unwrap_or(usize::MAX);
        Heard::Answer {
            found: self.kept(allocation.previous_containers),
            given: allocation.containers,
            completed: allocation.completed,
            said: Said { nodes, headroom: allocation.headroom, queue: self.queue.clone() },
            notes: words,
        }
    }

    /// Tells the ResourceManager that the application is over.
    pub(super) async fn finish(mut self, status: FinalStatus, diagnostics: &str) -> Result<(), AmError> {
        match self.manager.finish(status, diagnostics, "").await? {
            Finish::Noted => Ok(()),
            Finish::Gone(why) => Err(AmError::Left { why }),
        }
    }
}

impl Said {
    /// What is wanted and not given, and what the cluster has, for people.
    pub(super) fn lack<'a>(&self, wants: impl Iterator<Item = &'a Want>) -> String {
        let mut count = 0_usize;
        let mut largest = None::<&Want>;
        for want in wants {
            count += 1;
            largest = largest.filter(|other| other.size.memory_mib >= want.size.memory_mib).or(Some(want));
        }
        let Some(want) = largest else { return String::new() };
        let size = &want.size;
        let label = want.label.as_ref().map_or(String::new(), |label| format!(" with label {label}"));
        let queue = &self.queue;
        let containers = if count == 1 { "container" } else { "containers" };
        let wanted = format!("{count} {containers} of {size} wanted in queue {queue}");
        if size.fits_in(&self.headroom) {
            format!("{wanted}: the queue has room, but none of the {} nodes{label} has it now", self.nodes)
        } else {
            format!("{wanted}, where there is room for {} only: others use the rest", self.headroom)
        }
    }
}

/// The nodes' side. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Nodes {
    conf: Arc<Configuration>,
    tokens: Arc<Mutex<NmTokens>>,
}

impl Nodes {
    fn learn(&self, tokens: Vec<forebay_hadoop::yarn::NmToken>) {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).update(tokens);
    }

    fn node(&self, node: &Address) -> Result<NodeManager, String> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let token = tokens.get(node).ok_or("YARN has given no token for it")?;
        let node = NodeManager::connect(&self.conf, node, token).map_err(|error| error.to_string())?;
        Ok(node.with_deadline(NODE))
    }

    /// Starts a container.
    pub(super) async fn start(
        &self,
        container: &Container,
        context: &ContainerLaunchContext,
    ) -> Result<(), String> {
        let node = self.node(&container.node)?;
        let outcome = node.start(&[(container, context)]).await.map_err(|error| error.to_string())?;
        match outcome.failed.into_iter().next() {
            Some(failure) if !failure.is_already_started() => Err(failure.message),
            _ => Ok(()),
        }
    }

    /// Stops a container; that it is gone is heard from the ResourceManager.
    pub(super) async fn stop(&self, id: ContainerId, node: &Address) {
        let stopped = match self.node(node) {
            Ok(node) => node.stop(&[id]).await.map(drop).map_err(|error| error.to_string()),
            Err(why) => Err(why),
        };
        if let Err(why) = stopped {
            tracing::warn!(%node, %id, "a container could not be stopped: {why}");
        }
    }
}

/// Whether somebody has killed the application. Where nobody answers: no.
pub(crate) async fn is_killed(conf: &Configuration, application: ApplicationId) -> bool {
    let ask = async {
        let report =
            ResourceManager::connect(conf)?.with_deadline(KILLED).application_report(application).await?;
        Ok::<_, forebay_hadoop::yarn::Error>(report.state == ApplicationState::Killed)
    };
    match ask.await {
        Ok(killed) => killed,
        Err(error) => {
            tracing::warn!("it is not known whether the application was killed: {error}");
            false
        }
    }
}
