//! One server of a service: its address, and the connection to it while there is one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use super::Protocol;
use super::connection::{Connection, Unanswered};
use super::error::Failure;
use super::handshake::{Introduction, introduce};
use super::login::{Login, TokenChoice};
use super::settings::Settings;
use super::stream::Framing;
use crate::conf::Address;

/// A peer that vanished without a word is noticed after this and a few probes.
const KEEPALIVE_AFTER: Duration = Duration::from_mins(1);

/// What all servers of a service have in common.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) protocol: Protocol,
    pub(super) client_id: Bytes,
    pub(super) login: Login,
    pub(super) tokens: TokenChoice,
    pub(super) settings: Settings,
}

/// An attempt that failed, and whether the server may have got the call.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) failure: Failure,
    pub(super) sent: bool,
}

impl Attempt {
    fn unsent(failure: Failure) -> Self {
        Self { failure, sent: false }
    }
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: Address,
    common: Arc<Common>,
    /// Locked while connecting, so that many callers open one connection.
    connection: Mutex<Option<Connection>>,
}

impl Server {
    pub(super) fn new(address: Address, common: Arc<Common>) -> Self {
        Self { address, common, connection: Mutex::new(None) }
    }

    /// Makes a call once, within a time.
    pub(super) async fn call(&self, id: i32, frame: Bytes, until: Instant) -> Result<Bytes, Attempt> {
        let begin = Instant::now();
        let late = || Failure::Timeout(begin.elapsed());
        let connection = timeout_at(until, self.connection())
            .await
            .unwrap_or_else(|_| Err(late()))
            .map_err(Attempt::unsent)?;
        match timeout_at(until, connection.call(id, frame)).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(Unanswered::Remote(error))) => Err(Attempt::unsent(Failure::Remote(error))),
            Ok(Err(Unanswered::Lost(lost, sent))) => Err(Attempt { failure: lost.into(), sent }),
            Err(_) => {
                self.leave(&connection);
                Err(Attempt { failure: late(), sent: true })
            }
        }
    }

    /// The address that its host name now has.
    pub(super) async fn resolve(&self) -> Option<SocketAddr> {
        let Address { host, port } = &self.address;
        tokio::net::lookup_host((host.as_str(), *port)).await.ok()?.next()
    }

    /// The open connection, or a new one.
    async fn connection(&self) -> Result<Connection, Failure> {
        let mut slot = self.connection.lock().await;
        if let Some(open) = slot.as_ref().filter(|connection| connection.is_open()) {
            return Ok(open.clone());
        }
        *slot = None;
        let new = self.connect().await?;
        *slot = Some(new.clone());
        Ok(new)
    }

    /// No new calls on a connection whose server kept silent: it may be dead. Calls under way may still be answered.
    fn leave(&self, silent: &Connection) {
        // When it is locked, another caller is replacing it already.
        if let Ok(mut slot) = self.connection.try_lock()
            && slot.as_ref().is_some_and(|connection| connection.is_same(silent))
        {
            *slot = None;
        }
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let settings = &self.common.settings;
        let mut stream = self.dial().await?;
        let peer = stream.peer_addr().map_err(|e| Failure::Connect(e.to_string()))?;
        let mut framing = Framing::new(settings.max_response);
        let (login, tokens) = (&self.common.login, &self.common.tokens);
        let introduction = Introduction {
            protocol: self.common.protocol,
            client_id: self.common.client_id.clone(),
            login,
            choice: tokens,
            authenticators: login.authenticators(tokens, &self.address, peer),
        };
        introduce(&mut stream, &mut framing, &introduction).await?;
        tracing::debug!(server = %self.address, %peer, protocol = self.common.protocol.name, "connected");
        Ok(Connection::start(stream, framing, settings.max_idle))
    }

    /// Connects to the first of the host's addresses that answers. The name is looked up each time: it may have moved.
    async fn dial(&self) -> Result<TcpStream, Failure> {
        let Address { host, port } = &self.address;
        let resolved = tokio::net::lookup_host((host.as_str(), *port)).await;
        let addresses = resolved.map_err(|e| Failure::Resolve(e.to_string()))?;
        let mut failure = Failure::Resolve("it has no address".to_owned());
        for address in addresses {
            match self.dial_address(address).await {
                Ok(stream) => return Ok(stream),
                Err(e) => failure = e,
            }
        }
        Err(failure)
    }

    async fn dial_address(&self, address: SocketAddr) -> Result<TcpStream, Failure> {
        let settings = &self.common.settings;
        let stream = timeout(settings.connect_timeout, TcpStream::connect(address))
            .await
            .map_err(|_| Failure::ConnectTimeout(settings.connect_timeout))?
            .map_err(|e| Failure::Connect(e.to_string()))?;
        let optional = [
            stream.set_nodelay(settings.no_delay),
            rustix::net::sockopt::set_socket_keepalive(&stream, true).map_err(Into::into),
            rustix::net::sockopt::set_tcp_keepidle(&stream, KEEPALIVE_AFTER).map_err(Into::into),
        ];
        for refused in optional.into_iter().filter_map(Result::err) {
            // Calls work without, only slower or with later notice of a dead peer.
            tracing::debug!(%address, %refused, "a socket option was refused");
        }
        Ok(stream)
    }
}
