//! What can go wrong between a client, an application master and YARN.

use crate::conf::ConfError;
use crate::credentials::CredentialsError;
use crate::ipc::{IpcError, RemoteError};
use crate::sasl::SaslError;

/// What can go wrong between a client, an application master and YARN.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration.
    #[error("{0}")]
    Conf(#[from] ConfError),
    /// The token file.
    #[error("{0}")]
    Credentials(#[from] CredentialsError),
    /// The client could not be made.
    #[error("{0}")]
    Client(#[from] SaslError),
    /// The call.
    #[error("{0}")]
    Ipc(#[from] IpcError),
    /// There is no token for this login.
    #[error(
        "there is no {kind} among the credentials; YARN gives it to an application master in its token file"
    )]
    NoToken {
        /// The token's kind.
        kind: &'static str,
    },
    /// The ResourceManager gives out no delegation tokens.
    #[error("{service} gives out no delegation tokens")]
    NoDelegationToken {
        /// The ResourceManager.
        service: String,
    },
    /// What was asked for cannot be said, or must not be. Nothing was sent.
    #[error("{what} cannot be sent to YARN: {why}")]
    Request {
        /// What was to be sent.
        what: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It takes longer than the call may take.
    #[error("{what} is not done within {seconds:.0} s")]
    Slow {
        /// What is not done.
        what: String,
        /// How long was waited.
        seconds: f64,
    },
    /// An answer that is well-formed and yet makes no sense.
    #[error("{method}: the answer makes no sense: {why}")]
    Answer {
        /// The call.
        method: &'static str,
        /// What is wrong.
        why: &'static str,
    },
}

impl Error {
    /// The server's exception, when that decided the call.
    pub fn remote(&self) -> Option<&RemoteError> {
        match self {
            Self::Ipc(error) => error.remote(),
            _ => None,
        }
    }

    fn is(&self, class: &str) -> bool {
        self.remote().is_some_and(|error| error.short_class() == class)
    }

    /// The ResourceManager knows no such application, or no longer.
    pub fn is_application_not_found(&self) -> bool {
        self.is("ApplicationNotFoundException")
    }

    /// The ResourceManager knows no such attempt, or no longer.
    pub fn is_attempt_not_found(&self) -> bool {
        self.is("ApplicationAttemptNotFoundException")
    }

    /// What was asked for is more than the cluster gives, is of no known type, or is for a label that the queue lacks.
    pub fn is_invalid_resource_request(&self) -> bool {
        self.is("InvalidResourceRequestException") || self.is("InvalidLabelResourceRequestException")
    }

    /// The attempt has registered already: an answer was lost, or two application masters are at work.
    pub fn is_already_registered(&self) -> bool {
        self.is("InvalidApplicationMasterRequestException")
            && self.remote().is_some_and(|error| error.message.contains("already registered"))
    }

    /// The user may not do this.
    pub fn is_access_denied(&self) -> bool {
        self.remote().is_some_and(RemoteError::is_access_denied)
    }

    /// A server was asked and refuses the token: it is unknown, expired, or its application has ended.
    pub fn is_invalid_token(&self) -> bool {
        let Self::Ipc(error) = self else { return false };
        error.remote().is_some_and(RemoteError::is_invalid_token)
            || error
                .tried()
                .iter()
                .any(|tried| tried.last.remote().is_some_and(RemoteError::is_invalid_token))
    }

    /// No server answered in time: the same may go well later.
    pub fn is_unanswered(&self) -> bool {
        matches!(self, Self::Ipc(IpcError::GaveUp { .. })) && !self.is_invalid_token()
    }

    pub(super) fn answer(method: &'static str, why: &'static str) -> Self {
        Self::Answer { method, why }
    }
}
