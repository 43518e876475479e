//! The client's side of the ResourceManager: applications, the cluster, its queues.

use std::time::Duration;

use prost::Message;
use tokio::time::Instant;

use super::conf::{ResourceManagers, settings};
use super::error::Error;
use super::ids::{ApplicationAttemptId, ApplicationId};
use super::nodes::{NodeLabel, NodeReport, NodeState};
use super::proto::{Empty, client};
use super::queue::QueueInfo;
use super::report::{ApplicationReport, ApplicationState, AttemptReport, ContainerReport};
use super::resource::{Resource, ResourceType};
use super::submission::ApplicationSubmission;
use crate::conf::{Address, Configuration};
use crate::credentials::{
    Credentials, GetDelegationTokenRequestProto, GetDelegationTokenResponseProto,
    RenewDelegationTokenResponseProto, Token, TokenRequestProto,
};
use crate::ipc::{Login, Protocol, Proxy, Service, TokenChoice};

/// The kind of the ResourceManager's delegation tokens (`RMDelegationTokenIdentifier.KIND_NAME`).
pub const RM_DELEGATION_TOKEN: &str = "RM_DELEGATION_TOKEN";

/// `applicationclient_protocol.proto`.
const PROTOCOL: Protocol =
    Protocol { name: "org.apache.hadoop.yarn.api.ApplicationClientProtocolPB", version: 1 };

/// The pause before the ResourceManager is asked again how far something is.
const PAUSE: Duration = Duration::from_millis(100);

/// A new application's id, and the most that one of its containers may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApplication {
    /// The id.
    pub id: ApplicationId,
    /// The most that one container may have, other resources included.
    pub maximum_capability: Resource,
}

/// Which applications are wanted; of what is empty, all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApplicationFilter {
    /// Types such as `FOREBAY`.
    pub types: Vec<String>,
    /// States.
    pub states: Vec<ApplicationState>,
    /// Users.
    pub users: Vec<String>,
    /// Queues.
    pub queues: Vec<String>,
    /// Tags, of which an application has to have one.
    pub tags: Vec<String>,
    /// No more than so many.
    pub limit: Option<u32>,
}

/// A client of a cluster's ResourceManager. Cheap to clone; clones share connections. It connects when it is first called, and
/// goes on to whichever ResourceManager is active.
#[derive(Debug, Clone)]
pub struct ResourceManager {
    proxy: Proxy,
    managers: ResourceManagers,
    deadline: Duration,
}

impl ResourceManager {
    /// A client for a configuration that has `yarn-site.xml` in it ([`conf::load`](super::conf::load)). The user and the tokens
    /// are those of the environment.
    pub fn connect(conf: &Configuration) -> Result<Self, Error> {
        let credentials = Credentials::load(conf)?;
        Self::connect_as(conf, Login::from_conf(conf)?.with_credentials(credentials))
    }

    /// Like [`connect`](Self::connect), with another user, other tokens or other ways to log in.
    pub fn connect_as(conf: &Configuration, login: Login) -> Result<Self, Error> {
        let managers = ResourceManagers::from_conf(conf)?;
        let settings = settings(conf)?;
        let deadline = settings.deadline;
        let tokens = TokenChoice { kind: RM_DELEGATION_TOKEN.to_owned(), logical: None, any_service: true };
        let (name, servers) = (managers.name.clone(), managers.clients.clone());
        let proxy = Proxy::new(Service { name, servers, tokens }, PROTOCOL, login, settings)?;
        Ok(Self { proxy, managers, deadline })
    }

    /// The same client with another deadline for each call, all its attempts and pauses together.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The ResourceManagers it may ask.
    pub fn managers(&self) -> &ResourceManagers {
        &self.managers
    }

    /// The one that last answered, or would be asked first.
    pub fn active(&self) -> Option<&Address> {
        self.proxy.active()
    }

    /// An id for a new application (`getNewApplication`).
    pub async fn get_new_application(&self) -> Result<NewApplication, Error> {
        const METHOD: &str = "getNewApplication";
        let answer: client::GetNewApplicationResponseProto = self.call(METHOD, &Empty {}).await?;
        let id = ApplicationId::from_wire(answer.application_id);
        Ok(NewApplication {
            id: id.ok_or_else(|| Error::answer(METHOD, "it has no proper id"))?,
            maximum_capability: Resource::from_wire(answer.maximum_capability),
        })
    }

    /// Hands over an application, and waits until the ResourceManager has it safely and its queue has taken it, or refused it:
    /// then its state is [`ApplicationState::Failed`] and its diagnostics say why (`submitApplication`).
    pub async fn submit(&self, submission: &ApplicationSubmission) -> Result<ApplicationReport, Error> {
        let context = Some(submission.to_wire()?);
        let request = client::SubmitApplicationRequestProto { application_submission_context: context };
        let begin = Instant::now();
        let mut is_sent = false;
        loop {
            if !is_sent {
                // A second time does nothing, so that it may be repeated.
                let Empty {} = self.call("submitApplication", &request).await?;
                is_sent = true;
            }
            match self.application_report(submission.id).await {
                Ok(report) if !is_being_taken(report.state) => return Ok(report),
                Ok(_) => {}
                // A ResourceManager that has taken over before it was saved.
                Err(error) if error.is_application_not_found() => is_sent = false,
                Err(error) => return Err(error),
            }
            self.pause(begin, || format!("the submission of {}", submission.id)).await?;
        }
    }

    /// How an application is (`getApplicationReport`).
    pub async fn application_report(&self, id: ApplicationId) -> Result<ApplicationReport, Error> {
        const METHOD: &str = "getApplicationReport";
        let request = client::ApplicationRequestProto { application_id: Some(id.to_wire()) };
        let answer: client::GetApplicationReportResponseProto = self.call(METHOD, &request).await?;
        let report = answer.application_report.ok_or_else(|| Error::answer(METHOD, "it has no report"))?;
        ApplicationReport::from_wire(report).map_err(|why| Error::answer(METHOD, why))
    }

    /// Kills an application, and waits until that is done. One that has ended already is fine
    /// (`forceKillApplication`).
    pub async fn force_kill(&self, id: ApplicationId, diagnostics: &str) -> Result<(), Error> {
        let diagnostics = (!diagnostics.is_empty()).then(|| diagnostics.to_owned());
        let request = client::KillApplicationRequestProto { application_id: Some(id.to_wire()), diagnostics };
        let begin = Instant::now();
        loop {
            let answer: client::KillApplicationResponseProto =
                self.call("forceKillApplication", &request).await?;
            if answer.is_kill_completed == Some(true) {
                return Ok(());
            }
            self.pause(begin, || format!("the killing of {id}")).await?;
        }
    }

    /// Applications, running or finished, as far as the ResourceManager remembers them (`getApplications`).
    pub async fn applications(&self, filter: &ApplicationFilter) -> Result<Vec<ApplicationReport>, Error> {
        const METHOD: &str = "getApplications";
        let request = client::GetApplicationsRequestProto {
            application_types: filter.types.clone(),
            application_states: filter.states.iter().map(|state| state.number()).collect(),
            users: filter.users.clone(),
            queues: filter.queues.clone(),
            limit: filter.limit.map(i64::from),
            // They are handed over so, and compared as they are.
            application_tags: filter.tags.iter().map(|tag| tag.to_lowercase()).collect(),
            name: None,
        };
        let answer: client::GetApplicationsResponseProto = self.call(METHOD, &request).await?;
        all(METHOD, answer.applications, ApplicationReport::from_wire)
    }

    /// An application's attempts (`getApplicationAttempts`).
    pub async fn attempts(&self, id: ApplicationId) -> Result<Vec<AttemptReport>, Error> {
        const METHOD: &str = "getApplicationAttempts";
        let request = client::ApplicationRequestProto { application_id: Some(id.to_wire()) };
        let answer: client::GetApplicationAttemptsResponseProto = self.call(METHOD, &request).await?;
        all(METHOD, answer.application_attempts, AttemptReport::from_wire)
    }

    /// An attempt's containers, as far as the ResourceManager remembers them (`getContainers`).
    pub async fn containers(&self, id: ApplicationAttemptId) -> Result<Vec<ContainerReport>, Error> {
        const METHOD: &str = "getContainers";
        let request = client::AttemptRequestProto { application_attempt_id: Some(id.to_wire()) };
        let answer: client::GetContainersResponseProto = self.call(METHOD, &request).await?;
        all(METHOD, answer.containers, ContainerReport::from_wire)
    }

    /// The cluster's nodes in these states; in all of them when there are none (`getClusterNodes`).
    pub async fn cluster_nodes(&self, states: &[NodeState]) -> Result<Vec<NodeReport>, Error> {
        const METHOD: &str = "getClusterNodes";
        let node_states = states.iter().map(|state| state.to_wire()).collect();
        let request = client::GetClusterNodesRequestProto { node_states };
        let answer: client::GetClusterNodesResponseProto = self.call(METHOD, &request).await?;
        all(METHOD, answer.node_reports, NodeReport::from_wire)
    }

    /// A queue, by its name or path; `None` when there is none (`getQueueInfo`).
    pub async fn queue_info(&self, queue: &str) -> Result<Option<QueueInfo>, Error> {
        let request = client::GetQueueInfoRequestProto {
            queue_name: Some(queue.to_owned()),
            include_applications: Some(false),
            include_child_queues: Some(true),
            recursive: Some(false),
        };
        let answer: client::GetQueueInfoResponseProto = self.call("getQueueInfo", &request).await?;
        Ok(answer.queue_info.map(QueueInfo::from_wire))
    }

    /// What the cluster counts: memory, cores, and others (`getResourceTypeInfo`).
    pub async fn resource_types(&self) -> Result<Vec<ResourceType>, Error> {
        let answer: client::GetAllResourceTypeInfoResponseProto =
            self.call("getResourceTypeInfo", &Empty {}).await?;
        Ok(answer.resource_type_info.into_iter().map(ResourceType::from_wire).collect())
    }

    /// The labels that nodes may have (`getClusterNodeLabels`).
    pub async fn node_labels(&self) -> Result<Vec<NodeLabel>, Error> {
        let answer: client::GetClusterNodeLabelsResponseProto =
            self.call("getClusterNodeLabels", &Empty {}).await?;
        Ok(answer.node_labels.into_iter().map(NodeLabel::from_wire).collect())
    }

    /// A delegation token that `renewer` may renew, made out to these ResourceManagers (`getDelegationToken`).
    pub async fn delegation_token(&self, renewer: &str) -> Result<Token, Error> {
        let request = GetDelegationTokenRequestProto { renewer: renewer.to_owned() };
        let answer: GetDelegationTokenResponseProto = self.call("getDelegationToken", &request).await?;
        let service = self.managers.name.clone();
        let token = Token::from(answer.token.ok_or(Error::NoDelegationToken { service })?);
        // The ResourceManager leaves the service to the client. Of several ResourceManagers it has all addresses.
        Ok(if token.service.is_empty() { token.for_service(self.token_service().await) } else { token })
    }

    /// Renews a delegation token, and gives its new end in milliseconds since 1970 (`renewDelegationToken`).
    pub async fn renew_delegation_token(&self, token: &Token) -> Result<u64, Error> {
        let request = TokenRequestProto { token: Some(token.into()) };
        let answer: RenewDelegationTokenResponseProto = self.call("renewDelegationToken", &request).await?;
        Ok(answer.new_expiry_time)
    }

    /// Makes a delegation token worthless (`cancelDelegationToken`).
    pub async fn cancel_delegation_token(&self, token: &Token) -> Result<(), Error> {
        let request = TokenRequestProto { token: Some(token.into()) };
        let Empty {} = self.call("cancelDelegationToken", &request).await?;
        Ok(())
    }

    /// What Hadoop's clients write as a token's service (`ClientRMProxy.getRMDelegationTokenService`).
    async fn token_service(&self) -> String {
        let mut services = Vec::new();
        for Address { host, port } in &self.managers.clients {
            let found =
                tokio::net::lookup_host((host.as_str(), *port)).await.ok().and_then(|mut all| all.next());
            services.extend(found.map(|address| address.to_string()));
        }
        services.join(",")
    }

    async fn pause(&self, begin: Instant, what: impl FnOnce() -> String) -> Result<(), Error> {
        if begin.elapsed() + PAUSE >= self.deadline {
            return Err(Error::Slow { what: what(), seconds: self.deadline.as_secs_f64() });
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    async fn call<A: Message + Default>(
        &self,
        method: &'static str,
        request: &impl Message,
    ) -> Result<A, Error> {
        Ok(self.proxy.call(method, request, self.deadline).await?)
    }
}

/// Whether it is not decided yet if an application is taken.
fn is_being_taken(state: ApplicationState) -> bool {
    matches!(state, ApplicationState::New | ApplicationState::NewSaving | ApplicationState::Submitted)
}

/// Each as its type; the first that makes no sense is an error of the call's.
fn all<P, T>(
    method: &'static str,
    protos: Vec<P>,
    from_wire: impl Fn(P) -> Result<T, &'static str>,
) -> Result<Vec<T>, Error> {
    protos.into_iter().map(from_wire).collect::<Result<_, _>>().map_err(|why| Error::answer(method, why))
}
