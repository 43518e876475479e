//! One token: what a client shows a server instead of a password or ticket.

use std::fmt;

use bytes::Bytes;

use super::TokenProto;

/// Bytes that no message, log or debug output shows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Bytes);

impl Secret {
    /// Keeps bytes secret.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The bytes themselves.
    pub fn expose(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} secret bytes>", self.0.len())
    }
}

/// A token (`Security.proto`, `TokenProto`): a delegation token, a block token, YARN's tokens.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Token {
    /// What the server knows it by; its content is the server's own.
    pub identifier: Bytes,
    /// The password that proves possession.
    pub password: Secret,
    /// What it is for, for example `HDFS_DELEGATION_TOKEN`. Empty in a block token of a cluster that asks for none.
    pub kind: String,
    /// Which server it is for; often empty.
    pub service: String,
}

impl Token {
    /// A token of these parts.
    pub fn new(
        identifier: impl Into<Bytes>,
        password: impl Into<Bytes>,
        kind: impl Into<String>,
        service: impl Into<String>,
    ) -> Self {
        Self {
            identifier: identifier.into(),
            password: Secret::new(password),
            kind: kind.into(),
            service: service.into(),
        }
    }

    /// Whether it is the empty token that stands for none.
    pub fn is_empty(&self) -> bool {
        self.identifier.is_empty() && self.password.expose().is_empty()
    }

    /// The same token for another service.
    #[must_use]
    pub fn for_service(mut self, service: impl Into<String>) -> Self {
        self.service = service.into();
        self
    }
}

impl fmt::Debug for Token {
    /// Without password, and without the identifier's bytes, which say nothing to a reader.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("kind", &self.kind)
            .field("service", &self.service)
            .field("identifier", &format_args!("<{} bytes>", self.identifier.len()))
            .field("password", &self.password)
            .finish()
    }
}

impl From<TokenProto> for Token {
    fn from(proto: TokenProto) -> Self {
        Self::new(proto.identifier, proto.password, proto.kind, proto.service)
    }
}

impl From<&Token> for TokenProto {
    fn from(token: &Token) -> Self {
        Self {
            identifier: token.identifier.clone(),
            password: token.password.expose().clone(),
            kind: token.kind.clone(),
            service: token.service.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_debug_output_shows_a_password() {
        let token = Token::new("id", "hush-hush", "K", "s");
        let shown = format!("{token:?} {:?} {:?}", token.password, TokenProto::from(&token));
        assert!(!shown.contains("hush"), "{shown}");
        assert!(!shown.contains("104, 117"), "{shown}");
        assert!(shown.contains("<9 secret bytes>"));
    }
}
