//! Hadoop IPC version 9 over tokio: calls to servers, many at once on one connection, with logins and fail-over.
//!
//! A [`Proxy`] speaks one protocol with one service, which may have several servers. It holds at most one connection to
//! each, opened when first needed and again when lost. What a server answers with an exception is a [`RemoteError`];
//! what could not be had within a call's deadline is [`IpcError::GaveUp`], which lists what was tried.

mod connection;
mod error;
mod frame;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod handshake;
mod login;
mod proto;
mod proxy;
mod remote;
mod retry;
mod server;
mod settings;
mod stream;

pub use connection::Lost;
pub use error::{Failure, IpcError, Reason, Tried};
pub use frame::FrameError;
pub use login::{Login, TokenChoice};
pub use proxy::{Proxy, Service};
pub use remote::{RemoteError, RpcCode};
pub use settings::Settings;

/// A protocol that a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol {
    /// The full name of its Java interface.
    pub name: &'static str,
    /// Its version, 1 for all of Hadoop's so far.
    pub version: u64,
}
