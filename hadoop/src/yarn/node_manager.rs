//! A node's side: starting and stopping containers, and how they are.

use std::collections::HashMap;
use std::time::Duration;

use prost::Message;

use super::allocation::NmToken;
use super::container::{Container, ContainerStatus};
use super::error::Error;
use super::ids::ContainerId;
use super::launch::ContainerLaunchContext;
use super::proto::node::{
    ContainerExceptionMapProto, ContainersRequestProto, GetContainerStatusesResponseProto,
    StartContainerRequestProto, StartContainersRequestProto, StartContainersResponseProto,
    StopContainersResponseProto,
};
use crate::conf::{Address, Configuration};
use crate::credentials::{Credentials, Token};
use crate::ipc::{Login, Protocol, Proxy, Service, Settings, TokenChoice};

/// The kind of the token that a node takes (`NMTokenIdentifier.KIND`).
pub const NM_TOKEN: &str = "NMToken";

/// `containermanagement_protocol.proto`.
const PROTOCOL: Protocol =
    Protocol { name: "org.apache.hadoop.yarn.api.ContainerManagementProtocolPB", version: 1 };

/// The newest token of each node.
#[derive(Debug, Clone, Default)]
pub struct NmTokens {
    tokens: HashMap<Address, Token>,
}

impl NmTokens {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what a registration or heartbeat has brought.
    pub fn update(&mut self, tokens: impl IntoIterator<Item = NmToken>) {
        self.tokens.extend(tokens.into_iter().map(|token| (token.node, token.token)));
    }

    /// The newest token of a node.
    pub fn get(&self, node: &Address) -> Option<&Token> {
        self.tokens.get(node)
    }
}

/// Why a node did not do what it was asked to do with one container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{container}: {message}")]
pub struct ContainerFailure {
    /// The container.
    pub container: ContainerId,
    /// The Java class of the exception.
    pub class: String,
    /// Its message.
    pub message: String,
}

impl ContainerFailure {
    fn from_wire(proto: ContainerExceptionMapProto) -> Result<Self, &'static str> {
        let exception = proto.exception.unwrap_or_default();
        let container = ContainerId::from_wire(proto.container_id).ok_or("a failure is of no container")?;
        let message = exception.message.unwrap_or_else(|| "the node does not say why".to_owned());
        Ok(Self { container, class: exception.class_name.unwrap_or_default(), message })
    }

    /// The container was started before: when a start is repeated because its answer was lost, that is the answer.
    pub fn is_already_started(&self) -> bool {
        self.message.contains("Attempt to relaunch the same container")
    }
}

/// What became of each container in a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome<T> {
    /// Those for which it went well.
    pub done: Vec<T>,
    /// Those for which it did not.
    pub failed: Vec<ContainerFailure>,
}

/// A client of one node. Cheap to clone; clones share a connection.
#[derive(Debug, Clone)]
pub struct NodeManager {
    proxy: Proxy,
    deadline: Duration,
}

impl NodeManager {
    /// A client of a node, with its token. It connects when it is first called.
    pub fn connect(conf: &Configuration, node: &Address, token: &Token) -> Result<Self, Error> {
        let settings = Settings::from_conf(conf)?;
        let deadline = settings.deadline;
        let mut credentials = Credentials::new();
        credentials.add_token(NM_TOKEN, token.clone().for_service(""));
        let login = Login::from_conf(conf)?.with_credentials(credentials);
        let tokens = TokenChoice { kind: NM_TOKEN.to_owned(), logical: None, any_service: true };
        let service = Service { name: node.to_string(), servers: vec![node.clone()], tokens };
        Ok(Self { proxy: Proxy::new(service, PROTOCOL, login, settings)?, deadline })
    }

    /// The same client with another deadline for each call.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Starts containers of this node. Started means that their files are being fetched; whether they run,
    /// [`statuses`](Self::statuses) says, and the ResourceManager when they have ended.
    pub async fn start(
        &self,
        containers: &[(&Container, &ContainerLaunchContext)],
    ) -> Result<Outcome<ContainerId>, Error> {
        const METHOD: &str = "startContainers";
        let requests = containers.iter().map(|(container, context)| {
            Ok::<_, Error>(StartContainerRequestProto {
                container_launch_context: Some(context.to_wire()?),
                container_token: Some((&container.token).into()),
            })
        });
        let request =
            StartContainersRequestProto { start_container_request: requests.collect::<Result<_, _>>()? };
        let answer: StartContainersResponseProto = self.call(METHOD, &request).await?;
        let done = answer.succeeded_requests.into_iter().map(|id| ContainerId::from_wire(Some(id)));
        let done = done.map(|id| id.ok_or("a container has no proper id"));
        outcome(METHOD, done, answer.failed_requests)
    }

    /// Stops containers, and their processes. One that has ended already counts as stopped.
    pub async fn stop(&self, containers: &[ContainerId]) -> Result<Outcome<ContainerId>, Error> {
        const METHOD: &str = "stopContainers";
        let answer: StopContainersResponseProto = self.call(METHOD, &these(containers)).await?;
        let done = answer.succeeded_requests.into_iter().map(|id| ContainerId::from_wire(Some(id)));
        let done = done.map(|id| id.ok_or("a container has no proper id"));
        outcome(METHOD, done, answer.failed_requests)
    }

    /// How containers are. A node forgets those that ended a while ago.
    pub async fn statuses(&self, containers: &[ContainerId]) -> Result<Outcome<ContainerStatus>, Error> {
        const METHOD: &str = "getContainerStatuses";
        let answer: GetContainerStatusesResponseProto = self.call(METHOD, &these(containers)).await?;
        outcome(METHOD, answer.status.into_iter().map(ContainerStatus::from_wire), answer.failed_requests)
    }

    async fn call<A: Message + Default>(
        &self,
        method: &'static str,
        request: &impl Message,
    ) -> Result<A, Error> {
        Ok(self.proxy.call(method, request, self.deadline).await?)
    }
}

fn these(containers: &[ContainerId]) -> ContainersRequestProto {
    ContainersRequestProto { container_id: containers.iter().map(|id| id.to_wire()).collect() }
}

fn outcome<T>(
    method: &'static str,
    done: impl Iterator<Item = Result<T, &'static str>>,
    failed: Vec<ContainerExceptionMapProto>,
) -> Result<Outcome<T>, Error> {
    let wrong = |why| Error::answer(method, why);
    let done = done.collect::<Result<_, _>>().map_err(wrong)?;
    Ok(Outcome { done, failed: failures(failed).map_err(wrong)? })
}

pub(super) fn failures(
    failed: Vec<ContainerExceptionMapProto>,
) -> Result<Vec<ContainerFailure>, &'static str> {
    failed.into_iter().map(ContainerFailure::from_wire).collect()
}
