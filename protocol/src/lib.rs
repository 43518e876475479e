//! What the agents and clients of a job and its application master say to each other: gRPC, with a token that every call
//! carries, over a Unix socket in a private folder or over TLS with certificates on both sides.
//!
//! `proto/forebay.proto` is the contract; [`v1`] is what is made of it.

mod acceptor;
mod address;
mod bootstrap;
mod channel;
mod identity;
mod secrets;
mod tls;
mod token;
mod units;

pub use acceptor::{Acceptor, Caller, Peer, Role, Secure};
pub use address::AmAddress;
pub use bootstrap::{Bootstrap, ChannelEnd, Container};
pub use channel::{ALIVE, Agent, Client, ConnectError, MAX_MESSAGE};
pub use identity::Identity;
pub use secrets::{AmSecrets, ClientSecrets, JobSecrets, SecretsError};
pub use tls::TlsError;
pub use token::Token;
pub use units::Units;

/// The logs of an attempt, by name.
pub const LOGS: [&str; 3] = ["stdout", "stderr", "agent.log"];
/// Bytes of a log in one message, at most.
pub const LONGEST_PIECE: usize = 128 << 10;

/// The messages, the client and the server, compiled from `proto/forebay.proto`.
#[allow(
    clippy::all,
    clippy::pedantic,
    missing_docs,
    unreachable_pub,
    reason = "generated: differs from one version of the generator to the next"
)]
pub mod v1 {
    tonic::include_proto!("forebay.v1");
}
