//! Tokens, and the files that hold them: what `HADOOP_TOKEN_FILE_LOCATION` names, what YARN hands to a container.

mod file;
mod proto;
mod token;
pub(crate) mod writable;

use std::path::PathBuf;

use bytes::Bytes;

pub use file::FileVersion;
pub use proto::TokenProto;
pub(crate) use proto::{
    GetDelegationTokenRequestProto, GetDelegationTokenResponseProto, RenewDelegationTokenResponseProto,
    TokenRequestProto,
};
pub use token::{Secret, Token};

/// The kind of HDFS's delegation tokens (`DelegationTokenIdentifier.HDFS_DELEGATION_KIND`).
pub const HDFS_DELEGATION_TOKEN: &str = "HDFS_DELEGATION_TOKEN";

/// A credentials file that cannot be read or written.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The file cannot be read or written.
    #[error("cannot {action} the token file {}: {message}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
    /// The file's content is wrong.
    #[error("{}: {source}", path.display())]
    In {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<Self>,
    },
    /// It does not begin with `HDTS`.
    #[error("this is no token file: it does not begin with HDTS")]
    NoTokenFile,
    /// A version that this crate does not know.
    #[error("the token file has version {0}; only 0 and 1 are known")]
    Version(u8),
    /// It ends too early, or a length in it is absurd.
    #[error("the token file is damaged: {0}")]
    Damaged(&'static str),
}

/// Tokens and secrets by alias, in the order they came (`org.apache.hadoop.security.Credentials`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    tokens: Vec<(String, Token)>,
    secrets: Vec<(String, Secret)>,
}

impl Credentials {
    /// None at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of the file that `HADOOP_TOKEN_FILE_LOCATION` names, read through the configuration's environment; none when
    /// it is not set.
    pub fn load(conf: &crate::Configuration) -> Result<Self, CredentialsError> {
        match conf.environment("HADOOP_TOKEN_FILE_LOCATION").filter(|path| !path.is_empty()) {
            Some(path) => Self::read_file(path.as_ref()),
            None => Ok(Self::new()),
        }
    }

    /// Adds a token, or replaces the one with this alias.
    pub fn add_token(&mut self, alias: impl Into<String>, token: Token) {
        put(&mut self.tokens, alias.into(), token);
    }

    /// Adds a secret, or replaces the one with this alias.
    pub fn add_secret(&mut self, alias: impl Into<String>, secret: impl Into<Bytes>) {
        put(&mut self.secrets, alias.into(), Secret::new(secret));
    }

    /// All tokens with their aliases.
    pub fn tokens(&self) -> impl Iterator<Item = (&str, &Token)> {
        self.tokens.iter().map(|(alias, token)| (alias.as_str(), token))
    }

    /// All secrets with their aliases.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.secrets.iter().map(|(alias, secret)| (alias.as_str(), secret))
    }

    /// The first token of a kind for a service: `ip:port` of a server, or `ha-hdfs:NAMESERVICE`. A token of several
    /// ResourceManagers names all of them, separated by commas.
    pub fn find(&self, kind: &str, service: &str) -> Option<&Token> {
        self.tokens
            .iter()
            .map(|(_, token)| token)
            .find(|token| token.kind == kind && names(&token.service, service))
    }

    /// All tokens of a kind. Some services leave theirs empty, so that only the kind tells (YARN's AMRM token).
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Token> {
        self.tokens.iter().map(|(_, token)| token).filter(move |token| token.kind == kind)
    }

    /// Whether there is neither token nor secret.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.secrets.is_empty()
    }
}

/// Whether a token's service is this one, or a list with it.
fn names(listed: &str, service: &str) -> bool {
    listed == service || (!service.is_empty() && listed.split(',').any(|one| one == service))
}

fn put<T>(entries: &mut Vec<(String, T)>, alias: String, value: T) {
    match entries.iter_mut().find(|(known, _)| *known == alias) {
        Some(entry) => entry.1 = value,
        None => entries.push((alias, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found_by_kind_and_service() {
        let mut credentials = Credentials::new();
        let token = |service: &str, id: &'static str| Token::new(id, "pw", HDFS_DELEGATION_TOKEN, service);
        credentials.add_token("a", token("10.0.0.1:8020", "1"));
        credentials.add_token("b", token("ha-hdfs:ns", "2"));
        credentials.add_token("b", token("ha-hdfs:ns", "3"));
        let found = credentials.find(HDFS_DELEGATION_TOKEN, "ha-hdfs:ns").unwrap();
        assert_eq!(found.identifier, "3");
        assert_eq!(credentials.of_kind(HDFS_DELEGATION_TOKEN).count(), 2);
        assert!(credentials.find("other", "ha-hdfs:ns").is_none());
        credentials.add_token("c", token("10.0.0.1:8032,10.0.0.2:8032", "4"));
        let found =
            |service| credentials.find(HDFS_DELEGATION_TOKEN, service).map(|token| &token.identifier[..]);
        assert_eq!(found("10.0.0.2:8032"), Some(&b"4"[..]));
        assert_eq!((found(""), found("10.0.0.2")), (None, None));
    }
}
