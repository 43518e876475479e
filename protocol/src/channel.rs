//! Connections to the AM.

use std::error::Error;
use std::path::Path;
use std::time::Duration;
use std::{fmt, io};

use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status};

use crate::tls::{self, AM_NAME, TlsError};
use crate::v1::application_master_client::ApplicationMasterClient;
use crate::v1::job_client_client::JobClientClient;
use crate::{Bootstrap, ChannelEnd, ClientSecrets, Identity, Token};

/// An agent's side of the AM; its calls carry the job's token. Cheap to clone.
pub type Agent = ApplicationMasterClient<InterceptedService<Channel, Carry>>;
/// The same for a client of the job's owner.
pub type Client = JobClientClient<InterceptedService<Channel, Carry>>;

/// Longest message in bytes, for clients and the server: a worker's list of files, the beginnings of all its units.
pub const MAX_MESSAGE: usize = 256 << 20;
/// Between two questions whether the other end is there, and how long it may take to answer: so a host that is gone is noticed
/// in twice this time.
pub const ALIVE: Duration = Duration::from_secs(10);

/// How long a host may take to answer, and as long again until both sides are sure of each other.
const CONNECT: Duration = Duration::from_secs(10);
/// Names nobody: the connector knows where to go.
const NOBODY: &str = "http://application-master";

/// The AM cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody is there, or somebody else.
    #[error("cannot reach the application master at {at}: {}", innermost(source))]
    Unreachable {
        /// Its socket or address.
        at: String,
        /// Why.
        source: tonic::transport::Error,
    },
    /// There is nothing to connect with.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Puts the token into every call.
#[derive(Debug, Clone)]
pub struct Carry(Token);

impl Interceptor for Carry {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        self.0.put_into(request.metadata_mut());
        Ok(request)
    }
}

impl Bootstrap {
    /// Connects to the AM where it was when this was written. A connection that breaks is made anew by the next call.
    pub async fn connect(&self) -> Result<Agent, ConnectError> {
        match &self.channel {
            ChannelEnd::Socket { path } => Ok(self.agent(over_socket(path).await?)),
            ChannelEnd::Tls { address, .. } => self.connect_to(address).await,
        }
    }

    /// Connects to the AM at another `host:port`; a channel that is a socket knows no other place.
    pub async fn connect_to(&self, address: &str) -> Result<Agent, ConnectError> {
        match &self.channel {
            ChannelEnd::Socket { path } => Ok(self.agent(over_socket(path).await?)),
            ChannelEnd::Tls { identity, .. } => Ok(self.agent(over_tls(address, identity).await?)),
        }
    }

    fn agent(&self, channel: Channel) -> Agent {
        ApplicationMasterClient::with_interceptor(channel, Carry(self.token.clone()))
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }
}

impl ClientSecrets {
    /// Connects to the AM at this `host:port`.
    pub async fn connect(&self, address: &str) -> Result<Client, ConnectError> {
        let channel = over_tls(address, &self.client).await?;
        let client = JobClientClient::with_interceptor(channel, Carry(self.token.clone()));
        Ok(client.max_decoding_message_size(MAX_MESSAGE))
    }
}

impl fmt::Display for ChannelEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket { path } => path.display().fmt(f),
            Self::Tls { address, .. } => f.write_str(address),
        }
    }
}

async fn over_socket(path: &Path) -> Result<Channel, ConnectError> {
    let socket = path.to_owned();
    let connect = move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    };
    Endpoint::from_static(NOBODY)
        .connect_with_connector(tower::service_fn(connect))
        .await
        .map_err(|source| ConnectError::Unreachable { at: path.display().to_string(), source })
}

async fn over_tls(address: &str, identity: &Identity) -> Result<Channel, ConnectError> {
    let tls = TlsConnector::from(tls::client(identity)?);
    let to = address.to_owned();
    let connect = move |_: Uri| {
        let (tls, to) = (tls.clone(), to.clone());
        async move {
            let stream = in_time(TcpStream::connect(to)).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from(AM_NAME).map_err(io::Error::other)?;
            in_time(tls.connect(name, stream)).await.map(TokioIo::new)
        }
    };
    Endpoint::from_static(NOBODY)
        .http2_keep_alive_interval(ALIVE)
        .keep_alive_timeout(ALIVE)
        .keep_alive_while_idle(true)
        .connect_with_connector(tower::service_fn(connect))
        .await
        .map_err(|source| ConnectError::Unreachable { at: address.to_owned(), source })
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late =
        |_| io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", CONNECT.as_secs()));
    timeout(CONNECT, work).await.map_err(late)?
}

/// The cause of all causes: what the others say is that something went wrong.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
