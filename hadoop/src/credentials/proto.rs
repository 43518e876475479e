//! `Security.proto`: tokens and credentials as messages. Their debug output is redacted by hand.

use std::fmt;

use bytes::Bytes;

/// A token on the wire (`Security.proto`, `TokenProto`), for crates that speak to Hadoop's servers themselves; everybody
/// else uses [`Token`](super::Token). Its debug output shows neither identifier nor password.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct TokenProto {
    /// What the server knows it by.
    #[prost(bytes = "bytes", required, tag = "1")]
    pub identifier: Bytes,
    /// The password that proves possession.
    #[prost(bytes = "bytes", required, tag = "2")]
    pub password: Bytes,
    /// What it is for.
    #[prost(string, required, tag = "3")]
    pub kind: String,
    /// Which server it is for.
    #[prost(string, required, tag = "4")]
    pub service: String,
}

impl fmt::Debug for TokenProto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenProto")
            .field("kind", &self.kind)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct CredentialsKvProto {
    #[prost(string, required, tag = "1")]
    pub(super) alias: String,
    #[prost(message, optional, tag = "2")]
    pub(super) token: Option<TokenProto>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub(super) secret: Option<Bytes>,
}

impl fmt::Debug for CredentialsKvProto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialsKvProto").field("alias", &self.alias).finish_non_exhaustive()
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CredentialsProto {
    #[prost(message, repeated, tag = "1")]
    pub(super) tokens: Vec<CredentialsKvProto>,
    #[prost(message, repeated, tag = "2")]
    pub(super) secrets: Vec<CredentialsKvProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetDelegationTokenRequestProto {
    #[prost(string, required, tag = "1")]
    pub(crate) renewer: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetDelegationTokenResponseProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) token: Option<TokenProto>,
}

/// `RenewDelegationTokenRequestProto` and `CancelDelegationTokenRequestProto`, which are alike.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TokenRequestProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) token: Option<TokenProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RenewDelegationTokenResponseProto {
    #[prost(uint64, required, tag = "1")]
    pub(crate) new_expiry_time: u64,
}
