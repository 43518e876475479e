//! The NameNode's protocol: where blocks lie, what a path is, which replicas are bad, delegation tokens, and what whoever writes
//! a file of one block needs.

mod blocks;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod proto;
mod status;
mod writing;

use std::time::Duration;

use prost::Message;

use crate::conf::{ConfError, Configuration, Nameservice};
use crate::credentials::{
    Credentials, CredentialsError, GetDelegationTokenRequestProto, GetDelegationTokenResponseProto,
    HDFS_DELEGATION_TOKEN, RenewDelegationTokenResponseProto, Token, TokenRequestProto,
};
use crate::ipc::{IpcError, Login, Protocol, Proxy, RemoteError, Service, Settings, TokenChoice};
use crate::sasl::SaslError;

pub use blocks::{Block, Encryption, ErasureCoding, LocatedBlock, LocatedBlocks, Replica, StorageType};
pub use status::{FileKind, FileStatus};
pub use writing::{NewFile, OpenFile, ServerDefaults};

/// `ClientNamenodeProtocol.proto`.
const CLIENT_PROTOCOL: Protocol =
    Protocol { name: "org.apache.hadoop.hdfs.protocol.ClientProtocol", version: 1 };

/// What can go wrong between a client and its NameNode.
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
    /// The NameNode gives out no delegation tokens: it has no security.
    #[error("{service} gives out no delegation tokens")]
    NoToken {
        /// The nameservice.
        service: String,
    },
    /// An answer that is well-formed and yet makes no sense.
    #[error("{method} on {path}: the NameNode's answer makes no sense: {why}")]
    Answer {
        /// The call.
        method: &'static str,
        /// The path.
        path: String,
        /// What is wrong.
        why: &'static str,
    },
}

impl Error {
    /// The NameNode's exception, when that decided the call.
    pub fn remote(&self) -> Option<&RemoteError> {
        match self {
            Self::Ipc(error) => error.remote(),
            _ => None,
        }
    }

    /// There is no such file, or it is a directory where a file was wanted.
    pub fn is_file_not_found(&self) -> bool {
        self.remote().is_some_and(RemoteError::is_file_not_found)
    }

    /// The user may not do this.
    pub fn is_access_denied(&self) -> bool {
        self.remote().is_some_and(RemoteError::is_access_denied)
    }
}

/// A client of the NameNode, or NameNodes, of one HDFS. Cheap to clone; clones share connections. It connects when it is
/// first called, and again whenever that is needed.
///
/// Paths are absolute and without scheme. Calls run on the tokio runtime they are made on; so does the connection that
/// the first of them opens, which ends with that runtime.
#[derive(Debug, Clone)]
pub struct NameNode {
    proxy: Proxy,
    nameservice: Nameservice,
    deadline: Duration,
}

impl NameNode {
    /// A client for `hdfs://authority`, for the default file system when that is empty. The user and the tokens are
    /// those of the environment.
    pub fn connect(conf: &Configuration, authority: &str) -> Result<Self, Error> {
        let credentials = Credentials::load(conf)?;
        Self::connect_as(conf, authority, Login::from_conf(conf)?.with_credentials(credentials))
    }

    /// Like [`connect`](Self::connect), with another user, other tokens or other ways to log in.
    pub fn connect_as(conf: &Configuration, authority: &str, login: Login) -> Result<Self, Error> {
        let nameservice = conf.nameservice(authority)?;
        let settings = Settings::from_conf(conf)?;
        let deadline = settings.deadline;
        let tokens = TokenChoice {
            kind: HDFS_DELEGATION_TOKEN.to_owned(),
            logical: nameservice.is_logical.then(|| logical_service(&nameservice)),
            any_service: false,
        };
        let (name, servers) = (nameservice.name.clone(), nameservice.namenodes.clone());
        let proxy = Proxy::new(Service { name, servers, tokens }, CLIENT_PROTOCOL, login, settings)?;
        Ok(Self { proxy, nameservice, deadline })
    }

    /// The same client with another deadline for each call, all its attempts and pauses together.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The NameNodes it may ask.
    pub fn nameservice(&self) -> &Nameservice {
        &self.nameservice
    }

    /// The blocks of a file that hold `length` bytes from `offset`, replicas nearest to this host first
    /// (`getBlockLocations`). The range may reach behind the file's end.
    pub async fn block_locations(
        &self,
        path: &str,
        offset: u64,
        length: u64,
    ) -> Result<LocatedBlocks, Error> {
        const METHOD: &str = "getBlockLocations";
        let request = proto::GetBlockLocationsRequestProto { src: path.to_owned(), offset, length };
        let answer: proto::GetBlockLocationsResponseProto = self.call(METHOD, &request).await?;
        let wrong = |why| Error::Answer { method: METHOD, path: path.to_owned(), why };
        let locations = answer.locations.ok_or_else(|| wrong("it has no locations"))?;
        LocatedBlocks::from_wire(locations).map_err(wrong)
    }

    /// Whether clients and DataNodes have to encrypt all data on its way (`getServerDefaults`).
    pub async fn encrypts_data_transfer(&self) -> Result<bool, Error> {
        Ok(self.server_defaults().await?.encrypt_data_transfer)
    }

    /// What a path is; `None` when there is nothing (`getFileInfo`).
    pub async fn file_info(&self, path: &str) -> Result<Option<FileStatus>, Error> {
        let request = proto::GetFileInfoRequestProto { src: path.to_owned() };
        let answer: proto::GetFileInfoResponseProto = self.call("getFileInfo", &request).await?;
        Ok(answer.fs.map(FileStatus::from_wire))
    }

    /// What a directory holds, in the NameNode's order (by signed bytes), or a file alone, whose name is then empty; `None` when there is nothing (`getListing`).
    pub async fn list(&self, path: &str) -> Result<Option<Vec<FileStatus>>, Error> {
        const METHOD: &str = "getListing";
        let mut all: Vec<FileStatus> = Vec::new();
        let mut start_after = bytes::Bytes::new();
        loop {
            let request = proto::GetListingRequestProto {
                src: path.to_owned(),
                start_after: start_after.clone(),
                need_location: false,
            };
            let answer: proto::GetListingResponseProto = self.call(METHOD, &request).await?;
            let Some(part) = answer.dir_list else { return Ok((!all.is_empty()).then_some(all)) };
            let ended = part.remaining_entries == 0;
            let last = part.partial_listing.last().map(|last| last.path.clone());
            match last {
                Some(last) if last != start_after => start_after = last,
                _ if ended => {}
                _ => {
                    let why = "more entries remain, and it has none of them";
                    return Err(Error::Answer { method: METHOD, path: path.to_owned(), why });
                }
            }
            all.extend(part.partial_listing.into_iter().map(FileStatus::from_wire));
            if ended {
                return Ok(Some(all));
            }
        }
    }

    /// Tells the NameNode of replicas whose bytes are wrong (`reportBadBlocks`): each block with those replicas alone.
    pub async fn report_bad_blocks(&self, blocks: &[LocatedBlock]) -> Result<(), Error> {
        let blocks = blocks.iter().map(LocatedBlock::to_report).collect();
        let request = proto::ReportBadBlocksRequestProto { blocks };
        let proto::Empty {} = self.call("reportBadBlocks", &request).await?;
        Ok(())
    }

    /// A delegation token that `renewer` may renew, made out to this service (`getDelegationToken`).
    pub async fn delegation_token(&self, renewer: &str) -> Result<Token, Error> {
        let request = GetDelegationTokenRequestProto { renewer: renewer.to_owned() };
        let answer: GetDelegationTokenResponseProto = self.call("getDelegationToken", &request).await?;
        let token = answer.token.ok_or_else(|| Error::NoToken { service: self.nameservice.name.clone() })?;
        let token = Token::from(token);
        // The NameNode leaves the service to the client, which knows by which name it goes.
        Ok(if token.service.is_empty() { token.for_service(self.token_service().await?) } else { token })
    }

    /// Renews a delegation token, and gives its new end in milliseconds since 1970 (`renewDelegationToken`).
    pub async fn renew_delegation_token(&self, token: &Token) -> Result<u64, Error> {
        let request = TokenRequestProto { token: Some(token.into()) };
        let answer: RenewDelegationTokenResponseProto = self.call("renewDelegationToken", &request).await?;
        Ok(answer.new_expiry_time)
    }

    /// Makes a delegation token worthless (`cancelDelegationToken`).
    pub async fn cancel_delegation_token(&self, token: &Token) -> Result<(), Error> {
        let request = TokenRequestProto { token: Some(token.into()) };
        let proto::Empty {} = self.call("cancelDelegationToken", &request).await?;
        Ok(())
    }

    /// What Hadoop's clients write as a token's service: `ha-hdfs:NAMESERVICE`, else the NameNode's `ip:port`.
    async fn token_service(&self) -> Result<String, Error> {
        if self.nameservice.is_logical {
            return Ok(logical_service(&self.nameservice));
        }
        match self.proxy.peer().await {
            Some(peer) => Ok(peer.to_string()),
            None => Ok(self.proxy.active().map(ToString::to_string).unwrap_or_default()),
        }
    }

    async fn call<A: Message + Default>(
        &self,
        method: &'static str,
        request: &impl Message,
    ) -> Result<A, IpcError> {
        self.proxy.call(method, request, self.deadline).await
    }
}

/// `HAUtilClient.buildTokenServiceForLogicalUri`.
fn logical_service(nameservice: &Nameservice) -> String {
    format!("ha-hdfs:{}", nameservice.name)
}
