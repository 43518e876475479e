//! The server's side of the protocol: who may call, and calls turned into messages to the dispatcher.

use forebay_protocol::v1::application_master_server::{ApplicationMaster, ApplicationMasterServer};
use forebay_protocol::{MAX_MESSAGE, Token, v1};
use futures_util::stream::poll_fn;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tonic::service::{Interceptor, InterceptorLayer};
use tonic::transport::Server;
use tonic::transport::server::UdsConnectInfo;
use tonic::{Request, Response, Status};

/// Calls waiting for the dispatcher; who comes when so many wait, waits too.
const WAITING_CALLS: usize = 256;

/// Where the answer to a call goes.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, Status>>;

/// A call of an agent, and where its answer goes.
#[derive(Debug)]
pub(crate) enum Call {
    Register(v1::RegisterRequest, Answer<v1::RegisterReply>),
    Lease(v1::LeaseRequest, Answer<v1::LeaseReply>),
    Heartbeat(v1::HeartbeatRequest, Answer<v1::HeartbeatReply>),
    Exited(v1::ExitedRequest, Answer<v1::ExitedReply>),
    Staged(v1::StagedRequest, Answer<v1::StagedReply>),
    Failed(v1::FailedRequest, Answer<v1::FailedReply>),
}

/// Serves agents at a socket until the runtime ends.
pub(crate) fn serve(listener: UnixListener, token: Token) -> mpsc::Receiver<Call> {
    let (calls, receiver) = mpsc::channel(WAITING_CALLS);
    let incoming = poll_fn(move |context| {
        listener.poll_accept(context).map(|accepted| Some(accepted.map(|(stream, _)| stream)))
    });
    let service = ApplicationMasterServer::new(Service { calls })
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let gate = Gate { token, uid: rustix::process::geteuid().as_raw() };
    let server = Server::builder().layer(InterceptorLayer::new(gate)).add_service(service);
    tokio::spawn(async move {
        if let Err(error) = server.serve_with_incoming(incoming).await {
            tracing::error!("the application master no longer hears its agents: {error}");
        }
    });
    receiver
}

/// Lets only the job's own agents in: processes of this user that know the token.
#[derive(Debug, Clone)]
struct Gate {
    token: Token,
    uid: u32,
}

impl Interceptor for Gate {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let peer = request.extensions().get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
        if peer.is_some_and(|peer| peer.uid() == self.uid) && self.token.is_in(request.metadata()) {
            Ok(request)
        } else {
            Err(Status::permission_denied("this caller is no agent of the job"))
        }
    }
}

struct Service {
    calls: mpsc::Sender<Call>,
}

impl Service {
    async fn ask<T, R>(
        &self,
        request: Request<T>,
        call: impl FnOnce(T, Answer<R>) -> Call,
    ) -> Result<Response<R>, Status> {
        let gone = || Status::unavailable("the application master ends");
        let (answer, answered) = oneshot::channel();
        self.calls.send(call(request.into_inner(), answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?.map(Response::new)
    }
}

#[tonic::async_trait]
impl ApplicationMaster for Service {
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
}
