//! This application master towards YARN: registration, heartbeats, nodes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forebay_hadoop::conf::Address;
use forebay_hadoop::yarn::{
    AM_RM_TOKEN, AllocateRequest, Allocation, ApplicationId, ApplicationMaster, ApplicationState, Ask,
    Container, ContainerId, ContainerLaunchContext, ContainerStatus, FinalStatus, Finish, Heartbeat,
    NmTokens, NodeManager, Place, Presence, Priority, Resource, ResourceManager,
};
use forebay_hadoop::{Configuration, Credentials};
use forebay_scheduler::Attempt;

use super::asks::{PRIORITY, Row, Unsent, Want, attempt_of};
use crate::AmError;

/// YARN's name for GPUs.
const GPU: &str = "yarn.io/gpu";
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
    /// The ResourceManager was restarted: it is to be told everything again.
    Forgotten,
    /// Nobody answers. What was said is said again.
    Silence,
    /// What was asked for is refused, and with it the whole heartbeat.
    Refused(String),
    Answer {
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
        Ok(Self { manager, presence, nodes, queue: String::new(), is_away: false })
    }

    pub(super) fn nodes(&self) -> Nodes {
        self.nodes.clone()
    }

    pub(super) async fn register(&mut self) -> Result<Registration, AmError> {
        let registration = self.manager.register(&self.presence).await?;
        self.nodes.learn(registration.nm_tokens);
        self.queue.clone_from(&registration.queue);
        let kept = registration.previous_containers.into_iter().map(|container| Kept {
            attempt: container.allocation_request_id.and_then(attempt_of),
            container,
        });
        Ok(Registration {
            queue: registration.queue,
            most_mib: registration.maximum_capability.memory_mib,
            kept: kept.collect(),
        })
    }

    /// One heartbeat. An error: this application master is none any more.
    pub(super) async fn beat(&mut self, beat: &Beat) -> Result<Heard, AmError> {
        let request = AllocateRequest {
            asks: beat.asks.rows.iter().map(ask).collect(),
            releases: beat.released.clone(),
            blacklist: beat.left_out.clone(),
            progress: beat.progress,
            ..AllocateRequest::default()
        };
        let heard = self.manager.allocate(&request).await;
        let was_away = std::mem::replace(&mut self.is_away, false);
        match heard {
            Ok(Heartbeat::Answer(allocation)) => Ok(self.answer(*allocation)),
            Ok(Heartbeat::Resync) => {
                tracing::warn!("the ResourceManager was restarted, or another has taken over");
                // Containers of earlier attempts are known by now.
                match self.register().await {
                    Ok(_) => Ok(Heard::Forgotten),
                    Err(AmError::Yarn(error)) if error.is_unanswered() => Ok(Heard::Silence),
                    Err(error) => Err(error),
                }
            }
            Ok(Heartbeat::Gone(why)) => Err(AmError::Left { why }),
            Err(error) if error.is_unanswered() => {
                self.is_away = true;
                if !was_away {
                    tracing::warn!("the ResourceManager does not answer; the job goes on: {error}");
                }
                Ok(Heard::Silence)
            }
            Err(error) if error.is_invalid_resource_request() => Ok(Heard::Refused(error.to_string())),
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
        let size = resource(&want.size);
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

fn resource(size: &super::asks::Size) -> Resource {
    let resource = Resource::new(size.memory_mib, size.cores);
    if size.gpus == 0 { resource } else { resource.with(GPU, size.gpus.into()) }
}

fn ask(row: &Row) -> Ask {
    let place = match &row.place {
        super::asks::Where::Any => Place::Any,
        super::asks::Where::Host(host) => Place::Host(host.clone()),
        super::asks::Where::Rack(rack) => Place::Rack(rack.clone()),
    };
    Ask {
        allocation_request_id: Some(row.id),
        place,
        node_label: row.label.clone(),
        ..Ask::any(Priority(PRIORITY), resource(&row.size), row.count)
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
