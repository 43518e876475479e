//! The ResourceManager, as far as a client needs it.

use std::time::Duration;

use forebay_am::{Launch, launch};
use forebay_hadoop::yarn::{
    self, ApplicationFilter, ApplicationId, ApplicationReport, ApplicationSubmission, Command,
    ContainerLaunchContext, FinalStatus, LocalResource, NodeState, QueueState, Resource, ResourceManager,
};
use forebay_hadoop::{Configuration, Credentials};
use forebay_protocol::{AmSecrets, JobSecrets};

use crate::ClientError;
use crate::application::{Application, ApplicationState};
use crate::prepare::Prepared;
use crate::site::Site;
use crate::sizes::{Node, Size};
use crate::staging::is_for_am;

/// Of all applications of ours.
pub(crate) const TYPE: &str = "FOREBAY";
/// The queue of those who name none.
const USUAL_QUEUE: &str = "default";
/// So many applications of a queue are looked at.
const MOST: u32 = 1000;

/// The ResourceManager. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Rm {
    manager: ResourceManager,
    /// For messages: its address, or the cluster's name.
    name: String,
}

/// A queue.
pub(crate) struct Queue {
    /// It takes applications.
    pub(crate) is_running: bool,
    /// Below it.
    pub(crate) children: Vec<String>,
}

/// An id for an application.
pub(crate) struct New {
    pub(crate) id: String,
    /// The largest container that is given.
    pub(crate) most: Size,
}

impl Rm {
    /// Connects to nothing yet.
    pub(crate) fn open(conf: &Configuration, timeout: Duration) -> Result<Self, ClientError> {
        let failed = |error: yarn::Error| ClientError::ResourceManager {
            action: "speak with the ResourceManager".to_owned(),
            why: error.to_string(),
        };
        let manager = ResourceManager::connect(conf).map_err(failed)?.with_deadline(timeout);
        let name = manager.managers().name.clone();
        Ok(Self { manager, name })
    }

    fn failed(&self, action: &str) -> impl FnOnce(yarn::Error) -> ClientError + use<> {
        let action = format!("{action} of the ResourceManager {}", self.name);
        move |error| ClientError::ResourceManager { action, why: error.to_string() }
    }

    /// The nodes that take containers.
    pub(crate) async fn nodes(&self) -> Result<Vec<Node>, ClientError> {
        let nodes = self.manager.cluster_nodes(&[NodeState::Running]).await;
        let nodes = nodes.map_err(self.failed("ask for the nodes"))?;
        let node = |node: yarn::NodeReport| Node {
            host: node.node.host,
            rack: node.rack,
            labels: node.labels,
            total: size(&node.capability),
        };
        Ok(nodes.into_iter().map(node).collect())
    }

    /// A queue, if there is one.
    pub(crate) async fn queue(&self, name: &str) -> Result<Option<Queue>, ClientError> {
        let queue = self.manager.queue_info(name).await.map_err(self.failed("ask for a queue"))?;
        Ok(queue.map(|queue| Queue {
            is_running: !matches!(queue.state, QueueState::Stopped | QueueState::Draining),
            children: queue.children,
        }))
    }

    /// The labels that nodes may have.
    pub(crate) async fn labels(&self) -> Result<Vec<String>, ClientError> {
        let labels = self.manager.node_labels().await.map_err(self.failed("ask for the node labels"))?;
        Ok(labels.into_iter().map(|label| label.name).collect())
    }

    /// What the cluster counts.
    pub(crate) async fn resource_types(&self) -> Result<Vec<String>, ClientError> {
        let types = self.manager.resource_types().await.map_err(self.failed("ask for the resource types"))?;
        Ok(types.into_iter().map(|kind| kind.name).collect())
    }

    pub(crate) async fn new_application(&self) -> Result<New, ClientError> {
        let new =
            self.manager.get_new_application().await.map_err(self.failed("ask for an application id"))?;
        Ok(New { id: new.id.to_string(), most: size(&new.maximum_capability) })
    }

    /// Hands a job over, of which everything is staged. `None`: the ResourceManager has it, and looks at it still.
    pub(crate) async fn submit(
        &self,
        site: &Site,
        id: &str,
        prepared: &Prepared,
        launch: &Launch,
        secrets: &JobSecrets,
    ) -> Result<Option<Application>, ClientError> {
        let failed = || self.failed("submit the job");
        let job = &prepared.job;
        let resource = Resource::new(prepared.am.memory_mib, prepared.am.cores);
        let mut submission = ApplicationSubmission::new(parse(id)?, job.name.clone(), resource);
        TYPE.clone_into(&mut submission.application_type);
        submission.queue = job.queue.clone().unwrap_or_else(|| USUAL_QUEUE.to_owned());
        submission.priority = job.priority;
        submission.max_attempts = job.max_attempts.and_then(|attempts| u16::try_from(attempts).ok());
        submission.keep_containers = true;
        submission.tags.clone_from(&job.tags);
        submission.node_label.clone_from(&job.node_label);
        submission.am_node_label.clone_from(&job.node_label);
        submission.container = Some(container(site, id, launch, secrets, failed)?);
        match self.manager.submit(&submission).await {
            Ok(report) => Ok(Some(application(report))),
            // It was taken, and is not lost: it is followed.
            Err(yarn::Error::Slow { .. }) => Ok(None),
            Err(error) => Err(failed()(error)),
        }
    }

    /// What YARN says of an application, if it knows it.
    pub(crate) async fn report(&self, id: &str) -> Result<Option<Application>, ClientError> {
        match self.manager.application_report(parse(id)?).await {
            Ok(report) => Ok(Some(application(report))),
            Err(error) if error.is_application_not_found() => Ok(None),
            Err(error) => Err(self.failed("ask for an application")(error)),
        }
    }

    /// How many applications of its queue wait before one that waits: those of a higher priority, and older ones of the same.
    pub(crate) async fn ahead_of(&self, this: &Application) -> Result<Option<u32>, ClientError> {
        let filter = ApplicationFilter {
            states: vec![yarn::ApplicationState::Accepted],
            queues: vec![this.queue.clone()],
            limit: Some(MOST),
            ..ApplicationFilter::default()
        };
        let waiting = self.manager.applications(&filter).await;
        let waiting = waiting.map_err(self.failed("ask for the applications of a queue"))?;
        let order = |application: &Application| {
            (u32::MAX - application.priority, application.started_ms, application.id.clone())
        };
        let mine = order(this);
        let before = waiting.into_iter().map(application).filter(|other| order(other) < mine).count();
        Ok(u32::try_from(before).ok())
    }

    /// A user's jobs, as far as YARN remembers them.
    pub(crate) async fn applications(&self, user: &str) -> Result<Vec<Application>, ClientError> {
        let filter = ApplicationFilter {
            types: vec![TYPE.to_owned()],
            users: vec![user.to_owned()],
            ..ApplicationFilter::default()
        };
        let all =
            self.manager.applications(&filter).await.map_err(self.failed("ask for the applications"))?;
        Ok(all.into_iter().map(application).collect())
    }

    /// Ends an application, and waits until that is done. One that is over, or never was, is fine.
    pub(crate) async fn kill(&self, id: &str, why: &str) -> Result<(), ClientError> {
        match self.manager.force_kill(parse(id)?, why).await {
            Err(error) if !error.is_application_not_found() => Err(self.failed("end an application")(error)),
            _ => Ok(()),
        }
    }
}

fn parse(id: &str) -> Result<ApplicationId, ClientError> {
    id.parse()
        .map_err(|error: yarn::IdError| ClientError::NoJob { id: id.to_owned(), why: error.to_string() })
}

/// What the application master is started with.
fn container<F: FnOnce(yarn::Error) -> ClientError>(
    site: &Site,
    id: &str,
    launch: &Launch,
    secrets: &JobSecrets,
    failed: impl Fn() -> F,
) -> Result<ContainerLaunchContext, ClientError> {
    // What the user has to show to HDFS and YARN, the application master has, too.
    let mut credentials = Credentials::load(&site.conf)
        .map_err(|error| ClientError::Refused(format!("the user's tokens cannot be passed on: {error}")))?;
    let secret = serde_json::to_vec(&secrets.for_am()).map_err(|error| ClientError::Malformed {
        path: AmSecrets::SECRET.to_owned(),
        why: error.to_string(),
    })?;
    credentials.add_secret(AmSecrets::SECRET, secret);
    let command = Command::new("./forebay").arg("am").output_to("stdout", "stderr");
    let mut container = ContainerLaunchContext::new(command)
        .env_shell("HADOOP_CONF_DIR", format!("$PWD/{}", launch.conf_dir))
        .env_literal(launch::JOB_FOLDER, site.job(id))
        // Where nobody has to prove who he is, a container's user is the NodeManager's, and HDFS would take its word.
        .env_literal("HADOOP_USER_NAME", &site.user)
        .credentials(credentials);
    if let Some(log) = &launch.log {
        container = container.env_literal("FOREBAY_LOG", log);
    }
    for resource in launch.resources.iter().filter(|resource| is_for_am(launch, resource)) {
        container = container.resource(&resource.link, local(resource, &failed)?);
    }
    Ok(container)
}

fn local<F: FnOnce(yarn::Error) -> ClientError>(
    resource: &launch::Resource,
    failed: impl Fn() -> F,
) -> Result<LocalResource, ClientError> {
    let wrong =
        || ClientError::Malformed { path: resource.url.clone(), why: "it is no address on HDFS".into() };
    let rest = resource.url.strip_prefix("hdfs://").ok_or_else(wrong)?;
    let (authority, path) = rest.split_at(rest.find('/').ok_or_else(wrong)?);
    LocalResource::hdfs(authority, path, resource.size, resource.timestamp).map_err(failed())
}

fn size(resource: &Resource) -> Size {
    Size {
        memory_mib: resource.memory_mib,
        cores: resource.vcores,
        gpus: u32::try_from(resource.amount(Resource::GPU)).unwrap_or(u32::MAX),
    }
}

fn application(report: ApplicationReport) -> Application {
    use yarn::ApplicationState as Yarn;
    Application {
        id: report.id.to_string(),
        kind: report.application_type,
        name: report.name,
        user: report.user,
        queue: report.queue,
        priority: u32::try_from(report.priority).unwrap_or(0),
        state: match report.state {
            Yarn::Accepted => ApplicationState::Accepted,
            Yarn::Running => ApplicationState::Running,
            Yarn::Finished => ApplicationState::Finished,
            Yarn::Failed => ApplicationState::Failed,
            Yarn::Killed => ApplicationState::Killed,
            _ => ApplicationState::Submitted,
        },
        succeeded: match report.final_status {
            FinalStatus::Succeeded => Some(true),
            FinalStatus::Failed | FinalStatus::Killed => Some(false),
            _ => None,
        },
        diagnostics: report.diagnostics,
        attempt: report.attempt.map(yarn::ApplicationAttemptId::number),
        tracking_url: report.tracking_url,
        started_ms: report.started,
        finished_ms: report.finished,
        containers: report.usage.containers.unwrap_or(0),
        memory_mib: report.usage.used.memory_mib,
        cores: report.usage.used.vcores,
        tags: report.tags,
    }
}
