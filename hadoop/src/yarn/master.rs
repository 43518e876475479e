//! The application master's side: registration, heartbeats, the end.

use std::time::Duration;

use prost::Message;
use tokio::time::Instant;

use super::allocation::{Allocation, Registration};
use super::ask::AllocateRequest;
use super::conf::{ResourceManagers, settings};
use super::error::Error;
use super::ids::ApplicationAttemptId;
use super::proto::common::ApplicationAttemptIdProto;
use super::proto::master::{
    AllocateRequestProto, AllocateResponseProto, FinishApplicationMasterRequestProto,
    FinishApplicationMasterResponseProto, RegisterApplicationMasterRequestProto,
    RegisterApplicationMasterResponseProto,
};
use super::report::FinalStatus;
use crate::conf::Configuration;
use crate::credentials::{Credentials, Token};
use crate::ipc::{Login, Protocol, Proxy, Service, Settings, TokenChoice};

/// The kind of the token that an application master logs in with (`AMRMTokenIdentifier.KIND_NAME`).
pub const AM_RM_TOKEN: &str = "YARN_AM_RM_TOKEN";

/// `applicationmaster_protocol.proto`.
const PROTOCOL: Protocol =
    Protocol { name: "org.apache.hadoop.yarn.api.ApplicationMasterProtocolPB", version: 1 };

/// The pause before YARN is asked again whether it has finished.
const PAUSE: Duration = Duration::from_millis(100);

/// `AMCommandProto`.
mod command {
    pub(super) const RESYNC: i32 = 1;
    pub(super) const SHUTDOWN: i32 = 2;
}

/// Where the application master can be found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presence {
    /// Its host.
    pub host: String,
    /// A port of its own protocol; `None` for none.
    pub rpc_port: Option<u16>,
    /// Its page: `http://host:port/base`, or empty.
    pub tracking_url: String,
}

/// What comes of a heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub enum Heartbeat {
    /// The answer.
    Answer(Box<Allocation>),
    /// The ResourceManager has been restarted, or another has taken over: it knows the attempt, and nothing of what was said.
    /// [`ApplicationMaster::register`] again, then send all asks that are open, and the whole blacklist, again.
    /// Containers go on running.
    Resync,
    /// The attempt is over for the ResourceManager: killed, timed out, or replaced. Nothing more can be said.
    Gone(String),
}

/// What comes of the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// The ResourceManager has noted an end: this one, or the application's kill before it.
    Noted,
    /// The attempt was over for the ResourceManager already.
    Gone(String),
}

/// An application master towards the ResourceManagers. What it says is said in order, so it is not cloned.
///
/// What is handed to [`allocate`](Self::allocate) is said once and in order, also when a call is given up, or dropped before it is
/// answered: the next call says it first, and no answer is lost.
#[derive(Debug)]
pub struct ApplicationMaster {
    managers: ResourceManagers,
    login: Login,
    settings: Settings,
    deadline: Duration,
    token: Token,
    proxy: Proxy,
    /// What it registered with, or tried to.
    presence: Option<Presence>,
    response_id: i32,
    /// What was said, or may have been, and is not answered. The ResourceManager answers its repetition from memory, and hears
    /// nothing that was added to it.
    said: Option<AllocateRequest>,
    /// What is to be said when that is answered.
    waiting: Option<AllocateRequest>,
    /// What was answered and is not given yet.
    carried: Option<Box<Allocation>>,
}

impl ApplicationMaster {
    /// The application master of this process: its token is in the file that `HADOOP_TOKEN_FILE_LOCATION` names.
    pub fn connect(conf: &Configuration) -> Result<Self, Error> {
        let credentials = Credentials::load(conf)?;
        let token = credentials.of_kind(AM_RM_TOKEN).next().cloned();
        Self::connect_with(conf, token.ok_or(Error::NoToken { kind: AM_RM_TOKEN })?)
    }

    /// An application master with this AMRM token, such as the one in the report of an unmanaged application.
    pub fn connect_with(conf: &Configuration, token: Token) -> Result<Self, Error> {
        let managers = ResourceManagers::from_conf(conf)?;
        let settings = settings(conf)?;
        let login = Login::from_conf(conf)?;
        let proxy = proxy(&managers, &login, &settings, &token)?;
        let deadline = settings.deadline;
        Ok(Self {
            managers,
            login,
            settings,
            deadline,
            token,
            proxy,
            presence: None,
            response_id: 0,
            said: None,
            waiting: None,
            carried: None,
        })
    }

    /// The same with another deadline for each call, all its attempts and pauses together.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The attempt that the token is for.
    pub fn attempt(&self) -> Option<ApplicationAttemptId> {
        attempt_of(&self.token)
    }

    /// The newest AMRM token.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// Tells the ResourceManager where the application master is. Needed before anything else, and after
    /// [`Heartbeat::Resync`]. With it all is said anew: what was said before and is not answered is not said again.
    ///
    /// Said once more because no answer came, it may fail as [already registered](Error::is_already_registered): then it was
    /// heard, its answer is lost, and heartbeats may follow.
    pub async fn register(&mut self, presence: &Presence) -> Result<Registration, Error> {
        let request = RegisterApplicationMasterRequestProto {
            host: Some(presence.host.clone()),
            rpc_port: Some(presence.rpc_port.map_or(-1, i32::from)),
            tracking_url: Some(presence.tracking_url.clone()),
        };
        // Before it is known what comes of it: a call without answer may have been heard, or may be heard yet.
        self.presence = Some(presence.clone());
        self.response_id = 0;
        (self.said, self.waiting) = (None, None);
        let answer: RegisterApplicationMasterResponseProto =
            self.call("registerApplicationMaster", &request, self.deadline).await?;
        Ok(Registration::from_wire(answer))
    }

    /// One heartbeat. It must come more often than the cluster's expiry interval (10 minutes by default).
    ///
    /// An error that is the ResourceManager's own, such as an [ask that it refuses](Error::is_invalid_resource_request), is about
    /// all that was said since the last answer. Nothing of that counts, and it is not said again.
    pub async fn allocate(&mut self, request: &AllocateRequest) -> Result<Heartbeat, Error> {
        // What cannot be said is refused before anything is.
        request.to_wire(self.response_id)?;
        self.waiting.get_or_insert_default().absorb(request);
        loop {
            if self.said.is_none() {
                self.said = self.waiting.take();
            }
            let Some(said) = &self.said else { break };
            let said = said.to_wire(self.response_id)?;
            match self.beat(&said).await {
                Ok(Heartbeat::Answer(answer)) => {
                    self.said = None;
                    self.carry(*answer);
                }
                Ok(other) => {
                    (self.said, self.waiting) = (None, None);
                    return Ok(other);
                }
                // What was answered is an answer; the rest is said later.
                Err(error) if error.is_unanswered() && self.carried.is_some() => break,
                Err(error) => {
                    if !error.is_unanswered() {
                        (self.said, self.waiting) = (None, None);
                    }
                    return Err(error);
                }
            }
        }
        Ok(Heartbeat::Answer(self.carried.take().unwrap_or_default()))
    }

    /// Keeps an answer until it can be given.
    fn carry(&mut self, answer: Allocation) {
        let whole = match self.carried.take() {
            Some(earlier) => earlier.followed_by(answer),
            None => answer,
        };
        self.carried = Some(Box::new(whole));
    }

    async fn beat(&mut self, request: &AllocateRequestProto) -> Result<Heartbeat, Error> {
        let answer: Result<AllocateResponseProto, Error> =
            self.call("allocate", request, self.deadline).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                return match ending(&error) {
                    Some(Ending::Resync) => Ok(Heartbeat::Resync),
                    Some(Ending::Gone(why)) => Ok(Heartbeat::Gone(why)),
                    None => Err(error),
                };
            }
        };
        match answer.am_command {
            Some(command::RESYNC) => return Ok(Heartbeat::Resync),
            Some(command::SHUTDOWN) => {
                return Ok(Heartbeat::Gone("the ResourceManager told it to shut down".to_owned()));
            }
            _ => {}
        }
        let wrong = || Error::answer("allocate", "it has no response id");
        self.response_id = answer.response_id.filter(|id| *id >= 0).ok_or_else(wrong)?;
        let new = answer.am_rm_token.clone().map(Token::from).filter(|token| !token.is_empty());
        let mut allocation = Allocation::from_wire(answer);
        if let Some(new) = new.filter(|new| *new != self.token) {
            match proxy(&self.managers, &self.login, &self.settings, &new) {
                Ok(proxy) => {
                    tracing::debug!("a new AMRM token; the next heartbeat logs in with it");
                    (self.proxy, self.token) = (proxy, new);
                    allocation.token_rolled = true;
                }
                // It comes again until it is used.
                Err(error) => tracing::warn!("a new AMRM token cannot be used yet: {error}"),
            }
        }
        Ok(Heartbeat::Answer(Box::new(allocation)))
    }

    /// Tells the ResourceManager how the application has ended, until it has noted that. After it, the process should end: YARN
    /// kills what is left of the application.
    pub async fn finish(
        &mut self,
        status: FinalStatus,
        diagnostics: &str,
        tracking_url: &str,
    ) -> Result<Finish, Error> {
        let request = FinishApplicationMasterRequestProto {
            diagnostics: Some(diagnostics.to_owned()),
            tracking_url: Some(tracking_url.to_owned()),
            final_application_status: Some(status.number()),
        };
        let begin = Instant::now();
        loop {
            let left = self.deadline.saturating_sub(begin.elapsed());
            let answer: Result<FinishApplicationMasterResponseProto, Error> =
                self.call("finishApplicationMaster", &request, left).await;
            match answer {
                Ok(answer) if answer.is_unregistered == Some(true) => return Ok(Finish::Noted),
                Ok(_) => {}
                Err(error) => match (ending(&error), self.presence.clone()) {
                    (Some(Ending::Gone(why)), _) => return Ok(Finish::Gone(why)),
                    (Some(Ending::Resync), Some(presence)) => match self.register(&presence).await {
                        Ok(_) => {}
                        // The call before had come late.
                        Err(error) if error.is_already_registered() => {}
                        Err(error) => return Err(error),
                    },
                    _ => return Err(error),
                },
            }
            if begin.elapsed() + PAUSE >= self.deadline {
                let what = "the end of the application".to_owned();
                return Err(Error::Slow { what, seconds: self.deadline.as_secs_f64() });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn call<A: Message + Default>(
        &self,
        method: &'static str,
        request: &impl Message,
        deadline: Duration,
    ) -> Result<A, Error> {
        Ok(self.proxy.call(method, request, deadline).await?)
    }
}

/// What an error says of the attempt.
enum Ending {
    Resync,
    Gone(String),
}

fn ending(error: &Error) -> Option<Ending> {
    match error.remote().map(crate::ipc::RemoteError::short_class) {
        Some("ApplicationMasterNotRegisteredException") => Some(Ending::Resync),
        Some("ApplicationAttemptNotFoundException") => Some(Ending::Gone(error.to_string())),
        _ => error.is_invalid_token().then(|| Ending::Gone(error.to_string())),
    }
}

fn proxy(
    managers: &ResourceManagers,
    login: &Login,
    settings: &Settings,
    token: &Token,
) -> Result<Proxy, Error> {
    // One token, for whichever ResourceManager is active.
    let mut credentials = Credentials::new();
    credentials.add_token(AM_RM_TOKEN, token.clone().for_service(""));
    let login = login.clone().with_credentials(credentials);
    let tokens = TokenChoice { kind: AM_RM_TOKEN.to_owned(), logical: None, any_service: true };
    let (name, servers) = (managers.name.clone(), managers.schedulers.clone());
    Ok(Proxy::new(Service { name, servers, tokens }, PROTOCOL, login, settings.clone())?)
}

/// `AMRMTokenIdentifierProto`: whose token it is.
pub(super) fn attempt_of(token: &Token) -> Option<ApplicationAttemptId> {
    #[derive(Clone, PartialEq, Message)]
    struct AmRmTokenIdentifierProto {
        #[prost(message, optional, tag = "1")]
        attempt: Option<ApplicationAttemptIdProto>,
    }
    ApplicationAttemptId::from_wire(AmRmTokenIdentifierProto::decode(token.identifier.clone()).ok()?.attempt)
}
