//! What can go wrong with a call: one attempt's failure, and what a whole call ends with.

use std::fmt;
use std::time::Duration;

use super::connection::Lost;
use super::frame::FrameError;
use super::remote::RemoteError;
use crate::sasl::SaslError;

/// What ended one attempt.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The host has no address.
    #[error("the host name cannot be resolved: {0}")]
    Resolve(String),
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// No connection in time.
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    /// The login failed at this end.
    #[error("login failed: {0}")]
    Login(#[from] SaslError),
    /// The connection ended, and the answer did not come.
    #[error("{0}")]
    Lost(#[from] Lost),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The server answered with an exception.
    #[error("{0}")]
    Remote(RemoteError),
    /// The server's answer does not decode.
    #[error("{0}")]
    Response(FrameError),
}

impl Failure {
    /// The server's exception, whether it answered the call or ended the connection.
    pub fn remote(&self) -> Option<&RemoteError> {
        match self {
            Self::Remote(error) | Self::Lost(Lost::Refused(error)) => Some(error),
            _ => None,
        }
    }
}

/// What was tried with one server.
#[derive(Debug, Clone)]
pub struct Tried {
    /// `host:port`.
    pub server: String,
    /// How often.
    pub attempts: u32,
    /// What ended the last attempt.
    pub last: Failure,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = if self.attempts == 1 { String::new() } else { format!(" ({} times)", self.attempts) };
        write!(f, "{}{times}: {}", self.server, self.last)
    }
}

/// Why a call was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its deadline has passed, or would before the next attempt.
    Deadline(Duration),
    /// It went on to another server as often as it may.
    Attempts(u32),
    /// Asking again would change nothing.
    Hopeless,
    /// It may have been carried out, and may not be repeated.
    MayBeDone,
}

impl Reason {
    /// Asking again would change nothing.
    pub fn is_hopeless(self) -> bool {
        self == Self::Hopeless
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline(time) => write!(f, "given up within its {time:?}"),
            Self::Attempts(attempts) => write!(f, "given up after {attempts} changes of server"),
            Self::Hopeless => f.write_str("failed"),
            Self::MayBeDone => f.write_str("failed, and may or may not have been carried out"),
        }
    }
}

/// What a call ends with, when not with an answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum IpcError {
    /// A server carried the call out and says no.
    #[error("{method} at {server}: {error}")]
    Remote {
        /// The call's method.
        method: &'static str,
        /// `host:port`.
        server: String,
        /// The exception.
        error: RemoteError,
    },
    /// No server could be asked, or none answered.
    #[error("{method} at {service} {reason}; tried {}", all(tried))]
    GaveUp {
        /// The call's method.
        method: &'static str,
        /// The service, for example a nameservice.
        service: String,
        /// Why no more was tried.
        reason: Reason,
        /// Each server that was tried.
        tried: Vec<Tried>,
    },
    /// An answer that is well-formed and yet makes no sense.
    #[error("{method} at {service}: the answer makes no sense: {why}")]
    Answer {
        /// The call's method.
        method: &'static str,
        /// The service.
        service: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl IpcError {
    /// The server's exception, when one decided the call: its answer, or the only server's refusal of the connection.
    pub fn remote(&self) -> Option<&RemoteError> {
        match self {
            Self::Remote { error, .. } => Some(error),
            Self::GaveUp { tried, .. } if tried.len() == 1 => tried.first()?.last.remote(),
            _ => None,
        }
    }

    /// The servers tried and what each ended with.
    pub fn tried(&self) -> &[Tried] {
        match self {
            Self::GaveUp { tried, .. } => tried,
            _ => &[],
        }
    }
}

fn all(tried: &[Tried]) -> String {
    if tried.is_empty() {
        return "nothing".to_owned();
    }
    tried.iter().map(Tried::to_string).collect::<Vec<_>>().join("; ")
}
