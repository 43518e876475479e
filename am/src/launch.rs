//! What the client tells the application master: where its job is, and, in `launch.json`, how to start containers. No secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of `launch.json` that is written and read here.
pub const VERSION: u32 = 1;

/// Its name in a job's folder.
pub const NAME: &str = "launch.json";

/// The variable of the environment that tells an application master its job's folder, an absolute path of the default file system.
pub const JOB_FOLDER: &str = "FOREBAY_JOB_FOLDER";

/// What containers of a job are started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// [`VERSION`].
    pub version: u32,
    /// Files that every agent's container gets: the program (linked as `forebay`), the site files (below `conf_dir`) and the
    /// user's files.
    pub resources: Vec<Resource>,
    /// Links of those that are the user's, to be linked into workers' folders.
    pub links: Vec<String>,
    /// Where the site files are, from the container's folder; without a `/` at its end.
    pub conf_dir: String,
    /// The user that the job belongs to.
    pub user: String,
    /// The staging folder, as an absolute path of the default file system.
    pub staging: String,
    /// Racks of hosts (`/rack`), where they are not the default one.
    #[serde(default)]
    pub racks: BTreeMap<String, String>,
    /// What `FOREBAY_LOG` was at the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// A file or an archive that YARN brings into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Its name in the container's folder; may have `/` in it.
    pub link: String,
    /// `hdfs://host:port/path` or `hdfs://nameservice/path`.
    pub url: String,
    /// In bytes.
    pub size: u64,
    /// When it was changed, in milliseconds since 1970, as HDFS says. YARN refuses a file that was changed since.
    pub timestamp: u64,
    /// Whether it is unpacked.
    pub kind: ResourceKind,
    /// Who else may get it from the NodeManager's cache.
    pub visibility: Visibility,
}

/// Whether a resource is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResourceKind {
    /// As it is.
    File,
    /// A `.zip`, `.tar`, `.tgz` or `.tar.gz`, unpacked into a folder that has the link's name.
    Archive,
}

/// Who gets a resource from the NodeManager's cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// All applications of its user.
    Private,
    /// This application.
    Application,
}
