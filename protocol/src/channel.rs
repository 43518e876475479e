//! An agent's connection to the AM.

use std::path::PathBuf;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status};

use crate::v1::application_master_client::ApplicationMasterClient;
use crate::{Bootstrap, Token};

/// A client of the AM whose calls carry the job's token. Cheap to clone.
pub type Agent = ApplicationMasterClient<InterceptedService<Channel, Carry>>;

/// Longest message in bytes, for clients and the server: a worker's list of files, the beginnings of all its units.
pub const MAX_MESSAGE: usize = 256 << 20;

/// The AM cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("cannot reach the application master at {}: {source}", socket.display())]
pub struct ConnectError {
    /// Its socket.
    pub socket: PathBuf,
    /// Why.
    pub source: tonic::transport::Error,
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
    /// Connects to the AM.
    pub async fn connect(&self) -> Result<Agent, ConnectError> {
        let socket = self.socket.clone();
        let connect = move |_: Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        };
        // The address names nobody: the connector knows where to go.
        let channel = Endpoint::from_static("http://application-master")
            .connect_with_connector(tower::service_fn(connect))
            .await
            .map_err(|source| ConnectError { socket: self.socket.clone(), source })?;
        let client = ApplicationMasterClient::with_interceptor(channel, Carry(self.token.clone()));
        Ok(client.max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE))
    }
}
