//! Who the client is, and how it proves that to a server.

use std::net::SocketAddr;
use std::sync::Arc;

use super::proto::UserInformationProto;
use crate::conf::{Address, ConfError, Configuration, keys};
use crate::credentials::Credentials;
use crate::sasl::{Authenticator, Protection, TokenAuthenticator};

/// Which of the client's tokens a service takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenChoice {
    /// The token's kind, for example `HDFS_DELEGATION_TOKEN`.
    pub kind: String,
    /// The logical name in a token's service, for example `ha-hdfs:NAMESERVICE`.
    pub logical: Option<String>,
    /// Whether a token with an empty service will do, as YARN hands them out.
    pub any_service: bool,
}

/// A user and what the user has to show.
#[derive(Debug, Clone)]
pub struct Login {
    user: String,
    real_user: Option<String>,
    secure: bool,
    fallback_to_simple: bool,
    use_ip: bool,
    protections: Vec<Protection>,
    credentials: Arc<Credentials>,
    authenticators: Vec<Arc<dyn Authenticator>>,
}

impl Login {
    /// The user of this process: `HADOOP_USER_NAME`, else the system's user; acting for `HADOOP_PROXY_USER` if that is
    /// set, as `UserGroupInformation` has it. Credentials come with [`with_credentials`](Self::with_credentials).
    pub fn from_conf(conf: &Configuration) -> Result<Self, ConfError> {
        let named = |name| conf.environment(name).filter(|user| !user.is_empty());
        let own = named("HADOOP_USER_NAME")
            .or_else(|| whoami::username().ok())
            // A number without a name, in a container: HDFS would say so, too.
            .unwrap_or_else(|| "nobody".to_owned());
        let (user, real_user) = match named("HADOOP_PROXY_USER") {
            Some(proxy) => (proxy, Some(own)),
            None => (own, None),
        };
        let key = keys::AUTHENTICATION.name;
        let secure = match conf.trimmed(key)?.unwrap_or_default().to_ascii_lowercase().as_str() {
            "simple" => false,
            "kerberos" => true,
            other => {
                return Err(ConfError::Value {
                    key: key.to_owned(),
                    value: other.to_owned(),
                    origin: conf.origin(key),
                    wanted: "simple or kerberos",
                });
            }
        };
        Ok(Self {
            user,
            real_user,
            secure,
            fallback_to_simple: conf.flag(keys::FALLBACK_SIMPLE.name)?,
            use_ip: conf.flag(keys::TOKEN_SERVICE_USE_IP.name)?,
            protections: Protection::from_conf(conf)?,
            credentials: Arc::default(),
            authenticators: Vec::new(),
        })
    }

    /// Logs in with tokens of these credentials where one fits.
    #[must_use]
    pub fn with_credentials(mut self, credentials: impl Into<Arc<Credentials>>) -> Self {
        self.credentials = credentials.into();
        self
    }

    /// Adds another way to log in, such as Kerberos.
    #[must_use]
    pub fn with_authenticator(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.authenticators.push(authenticator);
        self
    }

    /// Calls as another user, where servers believe what they are told.
    #[must_use]
    pub fn as_user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }

    /// The user's name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// How to log in to a server: the fitting token first.
    pub(super) fn authenticators(
        &self,
        choice: &TokenChoice,
        address: &Address,
        peer: SocketAddr,
    ) -> Vec<Arc<dyn Authenticator>> {
        let physical = if self.use_ip { peer.to_string() } else { address.to_string().to_ascii_lowercase() };
        let services = choice.logical.iter().map(String::as_str).chain([physical.as_str()]);
        let any = choice.any_service.then_some("");
        let token = services.chain(any).find_map(|service| self.credentials.find(&choice.kind, service));
        let token =
            token.map(|token| Arc::new(TokenAuthenticator::new(token.clone())) as Arc<dyn Authenticator>);
        token.into_iter().chain(self.authenticators.iter().cloned()).collect()
    }

    /// Whether a login is to be proven even where there is nothing to prove it with.
    pub(super) fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether a server may be told the user's name without proof.
    pub(super) fn allows_simple(&self) -> bool {
        !self.secure || self.fallback_to_simple
    }

    pub(super) fn protections(&self) -> &[Protection] {
        &self.protections
    }

    /// The user as the server is told. Without it, calls would run as the server's own user.
    pub(super) fn user_info(&self) -> UserInformationProto {
        UserInformationProto { effective_user: Some(self.user.clone()), real_user: self.real_user.clone() }
    }

    /// What the client could show, in words.
    pub(super) fn able(&self, choice: &TokenChoice) -> String {
        let held = self.credentials.of_kind(&choice.kind).count();
        let tokens = match held {
            0 => format!("holds no {}", choice.kind),
            n => format!("holds {n} {} of other services", choice.kind),
        };
        let kerberos = if self.authenticators.is_empty() { " and has no Kerberos" } else { "" };
        let simple = if self.allows_simple() { "" } else { "; its configuration forbids SIMPLE" };
        format!("{tokens}{kerberos}{simple}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::Token;

    fn conf(env: &'static [(&'static str, &'static str)]) -> Configuration {
        Configuration::with_environment(move |name| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_user_comes_from_the_environment() {
        let login =
            Login::from_conf(&conf(&[("HADOOP_USER_NAME", "ann"), ("HADOOP_PROXY_USER", "bob")])).unwrap();
        let info = login.user_info();
        assert_eq!((info.effective_user.as_deref(), info.real_user.as_deref()), (Some("bob"), Some("ann")));
        let system = Login::from_conf(&conf(&[])).unwrap();
        assert!(!system.user().is_empty());
    }

    #[test]
    fn tokens_are_chosen_by_service() {
        let mut credentials = Credentials::new();
        for (alias, service) in [("1", "10.0.0.1:8020"), ("2", "ha-hdfs:ns"), ("3", "nn:8020"), ("4", "")] {
            credentials.add_token(alias, Token::new(alias, "p", "K", service));
        }
        let mut login = Login::from_conf(&conf(&[])).unwrap().with_credentials(credentials);
        let address = Address { host: "NN".into(), port: 8020 };
        let chosen = |login: &Login, logical: Option<&str>, peer: &str, any_service| {
            let logical = logical.map(str::to_owned);
            let choice = TokenChoice { kind: "K".into(), logical, any_service };
            let found = login.authenticators(&choice, &address, peer.parse().unwrap());
            found.first().map(|found| format!("{found:?}").contains("service: \"\""))
        };
        assert_eq!(chosen(&login, None, "10.0.0.1:8020", false), Some(false));
        assert_eq!(chosen(&login, None, "10.0.0.2:8020", false), None);
        assert_eq!(chosen(&login, None, "10.0.0.2:8020", true), Some(true));
        assert_eq!(chosen(&login, Some("ha-hdfs:ns"), "10.0.0.2:8020", true), Some(false));
        login.use_ip = false;
        assert_eq!(chosen(&login, None, "10.0.0.2:8020", false), Some(false));
    }
}
