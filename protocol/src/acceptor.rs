//! The AM's end of the channel: connections, and who is at their other end.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::AmSecrets;
use crate::tls::{self, TlsError};

/// Whom somebody has proved to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// An agent of the job.
    Agent,
    /// A client of the job's owner.
    Client,
}

/// Makes connections of agents and clients secure.
#[derive(Clone)]
pub struct Acceptor {
    tls: TlsAcceptor,
    agent: CertificateDer<'static>,
    client: CertificateDer<'static>,
}

/// A connection, and who is at its other end: the extension [`Caller`] of each call.
#[derive(Debug)]
pub struct Peer<S> {
    stream: S,
    caller: Caller,
    /// Given back with the connection.
    place: Option<OwnedSemaphorePermit>,
}

/// A secure connection.
pub type Secure = TlsStream<TcpStream>;

/// Who calls. `None`: nobody that the job knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller(pub Option<Role>);

impl Acceptor {
    /// An acceptor of this job's.
    pub fn new(secrets: &AmSecrets) -> Result<Self, TlsError> {
        Ok(Self {
            tls: TlsAcceptor::from(tls::server(&secrets.am)?),
            agent: tls::certificate(&secrets.agent.cert)?,
            client: tls::certificate(&secrets.client_cert)?,
        })
    }

    /// Finds out who has connected. Strangers are an error. Takes as long as the other end likes: the caller bounds it.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<Peer<Secure>> {
        stream.set_nodelay(true)?;
        let stream = self.tls.accept(stream).await?;
        // The authority has signed it; of what it has signed, only these two may call.
        let role = match stream.get_ref().1.peer_certificates() {
            Some([cert, ..]) if *cert == self.agent => Role::Agent,
            Some([cert, ..]) if *cert == self.client => Role::Client,
            _ => return Err(io::Error::other("its certificate is no agent's and no client's")),
        };
        Ok(Peer::new(stream, Some(role)))
    }
}

impl<S> Peer<S> {
    /// Somebody with this role.
    pub fn new(stream: S, role: Option<Role>) -> Self {
        Self { stream, caller: Caller(role), place: None }
    }

    /// The same, with a place that is given back when the connection is over.
    #[must_use]
    pub fn holding(mut self, place: OwnedSemaphorePermit) -> Self {
        self.place = Some(place);
        self
    }
}

impl<S> Connected for Peer<S> {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Peer<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Peer<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
