//! SASL as Hadoop IPC uses it: what a server offers, what a client can do, and the seam where mechanisms plug in.
//!
//! A mechanism comes in three parts. An [`Authenticator`] knows how to log in by one method and lives as long as the
//! client. For each connection it starts a [`Mechanism`], which talks with one server. When both agreed on it, what
//! follows travels inside a [`Layer`] that signs or encrypts. GSSAPI, for Kerberos, would be another `Authenticator`;
//! this crate has [`digest`], for tokens.

pub mod digest;
mod directives;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod layer;

use bytes::Bytes;

use crate::conf::{ConfError, Configuration, keys};

pub use digest::TokenAuthenticator;

/// One way to log in that a server offers (`RpcHeader.proto`, `SaslAuth`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Hadoop's name for the method: `TOKEN`, `KERBEROS`, `SIMPLE`.
    pub method: String,
    /// SASL's name for the mechanism: `DIGEST-MD5`, `GSSAPI`; empty for `SIMPLE`.
    pub mechanism: String,
    /// The first part of the server's principal; empty for tokens.
    pub protocol: String,
    /// The second part of the server's principal; `default` for tokens.
    pub server_id: String,
    /// The server's first challenge, where the mechanism lets the server begin.
    pub challenge: Option<Bytes>,
}

/// What protects the frames after a login (`hadoop.rpc.protection`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protection {
    /// Nothing: only the login is proven.
    Authentication,
    /// Frames are signed.
    Integrity,
    /// Frames are encrypted and signed.
    Privacy,
}

impl Protection {
    /// The values of `hadoop.rpc.protection`, in the order of preference.
    pub fn from_conf(conf: &Configuration) -> Result<Vec<Self>, ConfError> {
        let key = keys::PROTECTION.name;
        let parse = |text: String| match text.to_ascii_lowercase().as_str() {
            "authentication" => Ok(Self::Authentication),
            "integrity" => Ok(Self::Integrity),
            "privacy" => Ok(Self::Privacy),
            _ => Err(ConfError::Value {
                key: key.to_owned(),
                value: text,
                origin: conf.origin(key),
                wanted: "authentication, integrity or privacy",
            }),
        };
        conf.list(key)?.into_iter().map(parse).collect()
    }

    /// SASL's name for it (RFC 2831, `qop`).
    pub fn qop(self) -> &'static str {
        match self {
            Self::Authentication => "auth",
            Self::Integrity => "auth-int",
            Self::Privacy => "auth-conf",
        }
    }
}

/// Knows how to log in by one method.
pub trait Authenticator: Send + Sync + std::fmt::Debug {
    /// Whether this offer of a server can be taken.
    fn takes(&self, offer: &Offer) -> bool;

    /// Begins a login. `wanted` are the acceptable protections, the preferred one first.
    fn start(&self, offer: &Offer, wanted: &[Protection]) -> Result<Box<dyn Mechanism>, SaslError>;
}

/// One login on one connection.
pub trait Mechanism: Send {
    /// The first message to the server, given the challenge that came with its offer.
    fn initiate(&mut self, challenge: Option<&[u8]>) -> Result<Vec<u8>, SaslError>;

    /// The answer to a further challenge.
    fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslError>;

    /// Called when the server says that the login succeeded: checks the server's own proof, and gives what protects the
    /// frames from now on; `None` for nothing.
    fn finish(self: Box<Self>, token: Option<&[u8]>) -> Result<Option<Box<dyn Layer>>, SaslError>;
}

/// Signs or encrypts what travels after the login, in order.
pub trait Layer: Send {
    /// Protects bytes for the server.
    fn wrap(&mut self, plain: &[u8]) -> Result<Vec<u8>, SaslError>;

    /// Checks and opens what the server has protected.
    fn unwrap(&mut self, wrapped: &[u8]) -> Result<Bytes, SaslError>;
}

/// A login that cannot be, seen from the client. What the server refuses comes as a [`RemoteError`](crate::RemoteError).
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SaslError {
    /// The server offers no way to log in that this client has.
    #[error("the server offers {}; this client {able}", list(offered))]
    NoCommonMethod {
        /// The server's methods, for example `TOKEN`, `KERBEROS`.
        offered: Vec<String>,
        /// What the client has, in words.
        able: String,
    },
    /// The server protects frames in no way that this client is configured for.
    #[error("the server wants qop {offered}, hadoop.rpc.protection here allows only {}", qops(wanted))]
    Protection {
        /// The server's `qop` list.
        offered: String,
        /// What is allowed here.
        wanted: Vec<Protection>,
    },
    /// The server encrypts only with ciphers that this client has not.
    #[error("the server encrypts with {offered}; this client knows only rc4")]
    Cipher {
        /// The server's `cipher` list.
        offered: String,
    },
    /// A challenge that cannot be understood.
    #[error("the server's {mechanism} challenge cannot be understood: {why}")]
    Challenge {
        /// The mechanism.
        mechanism: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// The server did not prove that it knows the token's password.
    #[error("the server did not prove that it knows the token: it may be another server")]
    ServerNotProven,
    /// A message at the wrong time.
    #[error("the server broke off the order of a login: {0}")]
    Order(&'static str),
    /// A protected frame that is not what the server sent.
    #[error("a protected frame is damaged or out of order: {0}")]
    Frame(&'static str),
    /// Another mechanism's own failure.
    #[error("{mechanism}: {message}")]
    Mechanism {
        /// The mechanism.
        mechanism: String,
        /// What it says.
        message: String,
    },
    /// The system has no random numbers.
    #[error("no random numbers from the system: {0}")]
    Random(String),
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "no login at all".to_owned() } else { names.join(", ") }
}

fn qops(wanted: &[Protection]) -> String {
    wanted.iter().map(|protection| protection.qop()).collect::<Vec<_>>().join(", ")
}

/// Bytes as small hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Fills with random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], SaslError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| SaslError::Random(e.to_string()))?;
    Ok(bytes)
}
