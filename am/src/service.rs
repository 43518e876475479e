//! The server's side of the protocol: who may call, and calls turned into messages to the dispatcher.

mod clients;
#[cfg(test)]
pub(crate) mod played;
#[cfg(test)]
mod tests;

use forebay_protocol::v1::application_master_server::{ApplicationMaster, ApplicationMasterServer};
use forebay_protocol::v1::job_client_server::JobClientServer;
use forebay_protocol::{ALIVE, Acceptor, AmSecrets, Caller, MAX_MESSAGE, Role, TlsError, Token, v1};
use futures_util::Stream;
use futures_util::stream;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, oneshot};
use tonic::codegen::BoxStream;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};

use self::clients::Clients;
use crate::listen;
use crate::relay::LogRelay;

/// Calls waiting for the dispatcher; who comes when so many wait, waits too.
const WAITING_CALLS: usize = 256;

/// Calls of one connection at a time.
const STREAMS: u32 = 64;
/// Longest message of a client in bytes.
const MAX_CLIENTS_MESSAGE: usize = 64 << 10;

/// Where the answer to a call goes.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, Status>>;

/// A call, and where its answer goes.
#[derive(Debug)]
pub(crate) enum Call {
    Register(v1::RegisterRequest, Answer<v1::RegisterReply>),
    Lease(v1::LeaseRequest, Answer<v1::LeaseReply>),
    Heartbeat(v1::HeartbeatRequest, Answer<v1::HeartbeatReply>),
    Exited(v1::ExitedRequest, Answer<v1::ExitedReply>),
    Staged(v1::StagedRequest, Answer<v1::StagedReply>),
    Failed(v1::FailedRequest, Answer<v1::FailedReply>),
    Rejoin(v1::RejoinRequest, Answer<v1::RejoinReply>),
    /// Of a client, as all that follow.
    State(Answer<v1::StateReply>),
    Kill(v1::KillRequest, Answer<v1::KillReply>),
}

/// Where agents and clients come from.
#[derive(Debug)]
pub(crate) enum Listening {
    /// From this machine: agents alone, which know this token. The owner's clients look into the job's folder.
    Socket(UnixListener, Token),
    /// From anywhere: agents and the owner's clients, which have certificates.
    Tls(TcpListener, Box<AmSecrets>),
}

/// Serves agents and clients until the runtime ends.
pub(crate) fn serve(listening: Listening) -> Result<mpsc::Receiver<Call>, TlsError> {
    let (calls, receiver) = mpsc::channel(WAITING_CALLS);
    match listening {
        Listening::Socket(listener, token) => {
            let server = Server::builder().max_concurrent_streams(STREAMS);
            spawn(server, listen::local(listener), token, calls, false);
        }
        Listening::Tls(listener, secrets) => {
            let acceptor = Acceptor::new(&secrets)?;
            let server = Server::builder()
                .max_concurrent_streams(STREAMS)
                .http2_keepalive_interval(Some(ALIVE))
                .http2_keepalive_timeout(Some(ALIVE));
            spawn(server, listen::secure(listener, acceptor), secrets.token.clone(), calls, true);
        }
    }
    Ok(receiver)
}

fn spawn<S>(
    mut server: Server,
    incoming: impl Stream<Item = std::io::Result<S>> + Send + 'static,
    token: Token,
    calls: mpsc::Sender<Call>,
    has_clients: bool,
) where
    S: tokio::io::AsyncRead
        + tokio::io::AsyncWrite
        + Connected<ConnectInfo = Caller>
        + Unpin
        + Send
        + 'static,
{
    let (service, logs) = (Service { calls }, LogRelay::new());
    let clients = has_clients.then(|| {
        let service = Clients { service: service.clone(), logs: logs.clone() };
        let server = JobClientServer::new(service)
            .max_decoding_message_size(MAX_CLIENTS_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        InterceptedService::new(server, Gate { role: Role::Client, token: token.clone() })
    });
    let agents = ApplicationMasterServer::new(Agents { service, logs })
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let agents = InterceptedService::new(agents, Gate { role: Role::Agent, token });
    let router = server.add_service(agents).add_optional_service(clients);
    tokio::spawn(async move {
        if let Err(error) = router.serve_with_incoming(incoming).await {
            tracing::error!("the application master no longer hears its agents: {error}");
        }
    });
}

/// Lets in who has this role and knows the token.
#[derive(Debug, Clone)]
struct Gate {
    role: Role,
    token: Token,
}

impl Interceptor for Gate {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let role = request.extensions().get::<Caller>().and_then(|caller| caller.0);
        if role == Some(self.role) && self.token.is_in(request.metadata()) {
            return Ok(request);
        }
        Err(Status::permission_denied(match self.role {
            Role::Agent => "this caller is no agent of the job",
            Role::Client => "this caller is no client of the job's owner",
        }))
    }
}

#[derive(Debug, Clone)]
struct Service {
    calls: mpsc::Sender<Call>,
}

impl Service {
    async fn ask<R>(&self, call: impl FnOnce(Answer<R>) -> Call) -> Result<Response<R>, Status> {
        let gone = || Status::unavailable("the application master ends");
        let (answer, answered) = oneshot::channel();
        self.calls.send(call(answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?.map(Response::new)
    }
}

/// What agents call.
struct Agents {
    service: Service,
    logs: LogRelay,
}

impl Agents {
    async fn ask<T, R>(
        &self,
        request: Request<T>,
        call: impl FnOnce(T, Answer<R>) -> Call,
    ) -> Result<Response<R>, Status> {
        self.service.ask(|answer| call(request.into_inner(), answer)).await
    }
}

#[tonic::async_trait]
impl ApplicationMaster for Agents {
    async fn register(&self, r: Request<v1::RegisterRequest>) -> Result<Response<v1::RegisterReply>, Status> {
        self.ask(r, Call::Register).await
    }

    async fn lease(&self, r: Request<v1::LeaseRequest>) -> Result<Response<v1::LeaseReply>, Status> {
        self.ask(r, Call::Lease).await
    }

    async fn heartbeat(
        &self,
        r: Request<v1::HeartbeatRequest>,
    ) -> Result<Response<v1::HeartbeatReply>, Status> {
        self.ask(r, Call::Heartbeat).await
    }

    async fn exited(&self, r: Request<v1::ExitedRequest>) -> Result<Response<v1::ExitedReply>, Status> {
        self.ask(r, Call::Exited).await
    }

    async fn staged(&self, r: Request<v1::StagedRequest>) -> Result<Response<v1::StagedReply>, Status> {
        self.ask(r, Call::Staged).await
    }

    async fn failed(&self, r: Request<v1::FailedRequest>) -> Result<Response<v1::FailedReply>, Status> {
        self.ask(r, Call::Failed).await
    }

    async fn rejoin(&self, r: Request<v1::RejoinRequest>) -> Result<Response<v1::RejoinReply>, Status> {
        self.ask(r, Call::Rejoin).await
    }

    type LogsStream = BoxStream<v1::LogWanted>;

    async fn logs(&self, r: Request<Streaming<v1::LogData>>) -> Result<Response<Self::LogsStream>, Status> {
        let questions = self.logs.offered(r.into_inner());
        let questions = stream::unfold(questions, |mut questions| async {
            questions.recv().await.map(|question| (question, questions))
        });
        Ok(Response::new(Box::pin(questions)))
    }
}
