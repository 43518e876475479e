//! Files that a NodeManager fetches for a container.

use super::error::Error;
use super::proto::node::{LocalResourceProto, UrlProto};
use crate::conf::Address;

/// What YARN does with a file before the container starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceKind {
    /// Unpacks it (`.tar.gz`, `.tgz`, `.tar`, `.zip`, `.jar`, by its name) into a folder with the link's name.
    Archive,
    /// Puts it there as it is, readable and executable by its owner alone.
    File,
}

/// Who may share a node's copy of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody: the file and all folders above it must be readable by all.
    Public,
    /// The user's applications.
    Private,
    /// This application.
    Application,
}

/// A file that the NodeManager fetches before the container starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalResource {
    /// The file system, such as `hdfs`.
    pub scheme: String,
    /// Its host, or its nameservice; `None` for the NodeManager's default file system.
    pub host: Option<String>,
    /// Its port; `None` for a nameservice.
    pub port: Option<u16>,
    /// The absolute path there.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last changed, in milliseconds since 1970. YARN refuses a file that was changed at another time.
    pub modified: u64,
    /// What is done with it.
    pub kind: ResourceKind,
    /// Who may share it.
    pub visibility: Visibility,
}

impl LocalResource {
    /// A file on HDFS that only this application uses. The authority is `host:port` or a nameservice.
    pub fn hdfs(authority: &str, path: impl Into<String>, size: u64, modified: u64) -> Result<Self, Error> {
        let wrong = |why| Error::Request { what: format!("hdfs://{authority}"), why };
        // Port 0 of an address stands for none.
        let address = Address::parse(authority, 0).map_err(wrong)?;
        Ok(Self {
            scheme: "hdfs".to_owned(),
            host: Some(address.host),
            port: Some(address.port).filter(|port| *port != 0),
            path: path.into(),
            size,
            modified,
            kind: ResourceKind::File,
            visibility: Visibility::Application,
        })
    }

    /// The same, unpacked.
    #[must_use]
    pub fn unpacked(mut self) -> Self {
        self.kind = ResourceKind::Archive;
        self
    }

    pub(super) fn to_wire(&self) -> LocalResourceProto {
        let url = UrlProto {
            scheme: Some(self.scheme.clone()),
            host: self.host.clone(),
            // Left out, it would be read as port 0, also behind a nameservice.
            port: Some(self.port.map_or(-1, i32::from)),
            file: Some(self.path.clone()),
        };
        let kind = match self.kind {
            ResourceKind::Archive => 1,
            ResourceKind::File => 2,
        };
        let visibility = match self.visibility {
            Visibility::Public => 1,
            Visibility::Private => 2,
            Visibility::Application => 3,
        };
        LocalResourceProto {
            resource: Some(url),
            size: Some(i64::try_from(self.size).unwrap_or(i64::MAX)),
            timestamp: Some(i64::try_from(self.modified).unwrap_or(i64::MAX)),
            kind: Some(kind),
            visibility: Some(visibility),
        }
    }
}

/// Why a file cannot have this name in a container's folder. The NodeManager puts it between double quotes into a script,
/// and the folders in it without any.
pub(super) fn refused_link(link: &str) -> Option<&'static str> {
    let parts: Vec<_> = link.split('/').collect();
    if parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
        return Some("a name is a relative path without '.' and '..'");
    }
    if link.contains(|c: char| c.is_control() || "\"$`\\:".contains(c)) {
        return Some("a name has no control character and none of \" $ ` \\ :");
    }
    let plain = |c: char| c.is_alphanumeric() || "._-+=@%,/".contains(c);
    (parts.len() > 1 && !link.chars().all(plain))
        .then_some("a name with folders has letters, digits and . _ - + = @ % , only")
}
