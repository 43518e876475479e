//! Where a client is: the configuration, the user, the user's home on the default file system.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use forebay_hadoop::ipc::Login;
use forebay_hadoop::{Configuration, yarn};
use forebay_store::Clusters;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::ClientError;
use crate::remote::Remote;

/// Where homes are, unless configured otherwise (`hdfs-default.xml`).
const HOMES: &str = "/user";

/// A configured cluster and its user.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) conf: Arc<Configuration>,
    /// The folder of the site files.
    pub(crate) conf_dir: PathBuf,
    pub(crate) clusters: Clusters,
    pub(crate) remote: Remote,
    /// Of the default file system: `host:port` or a nameservice.
    pub(crate) authority: String,
    pub(crate) user: String,
    /// Absolute path on the default file system.
    pub(crate) home: String,
}

impl Site {
    /// Reads the configuration; nothing is connected. Calls to HDFS give up after `timeout` without progress.
    pub(crate) fn open(timeout: Duration, handle: Handle) -> Result<Self, ClientError> {
        let clusters = Clusters::new(timeout, handle);
        let conf = Arc::new(yarn::conf::load()?);
        let conf_dir = conf.folder().ok_or(ClientError::NoConfiguration)?.to_owned();
        let cluster = clusters.cluster(None)?;
        let user = Login::from_conf(&conf)?.user().to_owned();
        let homes = conf.trimmed("dfs.user.home.dir.prefix")?.filter(|homes| !homes.is_empty());
        let homes = homes.unwrap_or_else(|| HOMES.to_owned());
        let home = format!("{}/{}", homes.trim_end_matches('/'), short(&user));
        let authority = cluster.authority().to_owned();
        Ok(Self { conf, conf_dir, clusters, remote: Remote::new(cluster), authority, user, home })
    }

    /// The folder of all that Forebay keeps.
    pub(crate) fn forebay(&self) -> String {
        format!("{}/.forebay", self.home)
    }

    /// The folder of all jobs.
    pub(crate) fn jobs(&self) -> String {
        format!("{}/.forebay/jobs", self.home)
    }

    /// The folder of a job, which is kept.
    pub(crate) fn job(&self, id: &str) -> String {
        format!("{}/.forebay/jobs/{id}", self.home)
    }

    /// The folder of what a job needs to run, which goes with it.
    pub(crate) fn staging(&self, id: &str) -> String {
        format!("{}/.forebay/staging/{id}", self.home)
    }
}

/// By the servers' rules a Kerberos principal `name/host@REALM` is called `name`.
pub(crate) fn short(user: &str) -> &str {
    user.split(['/', '@']).next().unwrap_or(user)
}

/// Threads for a client.
pub(crate) fn runtime() -> Result<Runtime, ClientError> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("forebay-client")
        .enable_all()
        .build()
        .map_err(ClientError::Runtime)
}
