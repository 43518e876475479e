//! What the agents of a job and its application master say to each other: gRPC over a Unix socket in a
//! private folder, with a token that every call carries.
//!
//! `proto/forebay.proto` is the contract; [`v1`] is what is made of it.

mod bootstrap;
mod channel;
mod token;

pub use bootstrap::Bootstrap;
pub use channel::{Agent, ConnectError, MAX_MESSAGE};
pub use token::Token;

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
