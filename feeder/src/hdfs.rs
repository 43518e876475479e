//! The clusters of a feed: what the store's clients do, and what Forebay speaks itself.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use forebay_cache::Cache;
use forebay_hadoop::namenode::{LocatedBlock, LocatedBlocks};
use forebay_hadoop::{Configuration, NameNode};
use forebay_shortcircuit::{Settings, ShortCircuit};
use forebay_store::{Clusters, Patience};
use hdfs_native::client::FileStatus;
use hdfs_native::{Client, HdfsError as NativeError};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::OnceCell;

use crate::listing::{FileFacts, Kind, Namespace};
use crate::source::hdfs::{ClusterCache, Local, Remote, Remotes};
use crate::{HdfsError, PlanError};

/// How long an operation is tried before the feed gives up.
pub const DEFAULT_HDFS_TIMEOUT: Duration = Duration::from_secs(30);

/// The HDFS client of a feed: its threads and its connections. Nothing is started before it is needed.
#[derive(Debug)]
pub struct Hdfs {
    timeout: Duration,
    runtime: Option<Runtime>,
    remotes: Option<Clusters>,
    clusters: HashMap<String, Arc<Cluster>>,
    cache: Option<Arc<Cache>>,
}

impl Hdfs {
    /// A client that gives up on an operation after `timeout`.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, runtime: None, remotes: None, clusters: HashMap::new(), cache: None }
    }

    /// Keeps what comes over the network in a cache, and reads it from there when it is wanted again.
    #[must_use]
    pub fn with_cache(mut self, cache: Option<Arc<Cache>>) -> Self {
        self.cache = cache;
        self
    }

    /// Handle of the client's threads, started at the first call.
    fn handle(&mut self) -> Result<Handle, HdfsError> {
        if let Some(runtime) = &self.runtime {
            return Ok(runtime.handle().clone());
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("forebay-hdfs")
            .enable_all()
            .build()
            .map_err(HdfsError::Runtime)?;
        Ok(self.runtime.insert(runtime).handle().clone())
    }

    /// The cluster at `authority`, or the default file system.
    pub(crate) fn cluster(&mut self, authority: Option<&str>) -> Result<Arc<Cluster>, HdfsError> {
        let handle = self.handle()?;
        let remotes = self.remotes.get_or_insert_with(|| Clusters::new(self.timeout, handle.clone()));
        let remote = remotes.cluster(authority)?;
        if let Some(cluster) = self.clusters.get(remote.authority()) {
            return Ok(Arc::clone(cluster));
        }
        let conf = remotes.configuration()?;
        let (namenode, local) = native(&conf, remote.authority(), self.timeout);
        let unprotected = Remotes::from_conf(&conf, self.timeout).map(Arc::new);
        let authority = remote.authority().to_owned();
        let remotes = OnceCell::new();
        let cache = self.cache.clone().map(|cache| ClusterCache::new(cache, &authority));
        let cluster = Arc::new(Cluster { remote, handle, namenode, local, unprotected, remotes, cache });
        self.clusters.insert(authority, Arc::clone(&cluster));
        Ok(cluster)
    }
}

impl Drop for Hdfs {
    /// Does not wait: what is still being fetched is of no use to anybody.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What Forebay speaks itself beside blocks over the network: the NameNode's locations, and descriptors from DataNodes of this host. Where the
/// configuration does not allow it, the network serves.
fn native(conf: &Configuration, authority: &str, timeout: Duration) -> (Option<NameNode>, Local) {
    let settings = Settings::from_conf(conf)
        .inspect_err(|error| tracing::warn!(%error, "short-circuit reads are off"))
        .unwrap_or_default();
    let short_circuit = settings.socket_path.is_some().then(|| ShortCircuit::new(settings));
    let namenode = NameNode::connect(conf, authority)
        .inspect_err(|error| tracing::warn!(%error, "reading everything over the network"))
        .ok()
        .map(|namenode| namenode.with_deadline(timeout));
    (namenode, Local::new(short_circuit))
}

/// One HDFS.
#[derive(Debug)]
pub(crate) struct Cluster {
    remote: Arc<forebay_store::Cluster>,
    handle: Handle,
    /// Our own client of the NameNode, for block locations; without it everything comes over the network.
    namenode: Option<NameNode>,
    local: Local,
    /// Reads from DataNodes, as far as the configuration knows of no protection of the data on its way.
    unprotected: Option<Arc<Remotes>>,
    /// The same, when the NameNode knows of none either.
    remotes: OnceCell<Option<Arc<Remotes>>>,
    cache: Option<ClusterCache>,
}

impl Cluster {
    /// Reads blocks from DataNodes; `None` where only `hdfs-native` can.
    pub(crate) async fn remotes(&self) -> Option<Arc<Remotes>> {
        let namenode = self.namenode.as_ref()?;
        let unprotected = self.unprotected.as_ref()?;
        let ask = async || {
            let encrypts = namenode.encrypts_data_transfer().await?;
            Ok::<_, forebay_hadoop::namenode::Error>((!encrypts).then(|| Arc::clone(unprotected)))
        };
        match self.remotes.get_or_try_init(ask).await {
            Ok(remotes) => remotes.clone(),
            Err(error) => {
                tracing::info!(%error, "cannot tell whether data must be encrypted on its way");
                None
            }
        }
    }

    /// Where a file's blocks are, or why nobody knows.
    pub(crate) async fn locations(&self, path: &str) -> Result<LocatedBlocks, Remote> {
        let namenode = self.namenode.as_ref().ok_or(Remote::NoLocations)?;
        namenode.block_locations(path, 0, i64::MAX.cast_unsigned()).await.map_err(|error| {
            tracing::info!(path, %error, "no block locations, reading over the network");
            Remote::NoLocations
        })
    }

    /// Whether a file's last block is not finished. Its length does not count that block.
    pub(crate) async fn is_being_written(&self, path: &str) -> bool {
        let Some(namenode) = &self.namenode else { return false };
        match namenode.block_locations(path, 0, 1).await {
            Ok(located) => located.under_construction && !located.last_block_complete,
            Err(error) => {
                tracing::info!(path, %error, "cannot tell whether it is being written");
                false
            }
        }
    }

    /// Where a file's blocks are, whether or not replicas of this host can be opened.
    pub(crate) async fn blocks(&self, path: &str) -> Result<LocatedBlocks, HdfsError> {
        let failed = |why: String| HdfsError::Locations { path: self.address(path), why };
        let namenode = self.namenode.as_ref().ok_or_else(|| {
            failed("the configuration does not allow to ask the NameNode; the log says why".to_owned())
        })?;
        let located = namenode.block_locations(path, 0, i64::MAX.cast_unsigned()).await;
        located.map_err(|error| failed(error.to_string()))
    }

    /// What this host keeps of blocks that came over the network.
    pub(crate) fn cache(&self) -> Option<&ClusterCache> {
        self.cache.as_ref()
    }

    /// Opens replicas of this host.
    pub(crate) fn local(&self) -> &Local {
        &self.local
    }

    /// Tells the NameNode of a corrupt replica, and does not wait for the answer.
    pub(crate) fn report_corrupt(self: &Arc<Self>, path: &str, bad: LocatedBlock) {
        let Some(namenode) = self.namenode.clone() else { return };
        let path = self.address(path);
        self.handle.spawn(async move {
            if let Err(error) = namenode.report_bad_blocks(&[bad]).await {
                tracing::warn!(path, %error, "cannot report a corrupt replica to the NameNode");
            }
        });
    }

    /// The full address of a path.
    pub(crate) fn address(&self, path: &str) -> String {
        self.remote.address(path)
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// A clock for one operation on `path`, with this cluster's patience.
    pub(crate) fn patience(&self, action: &'static str, path: &str) -> Patience {
        self.remote.patience(action, path)
    }

    /// Runs `call` until it succeeds, is refused for good, or the time is over.
    pub(crate) async fn retry<T, F>(
        &self,
        action: &'static str,
        path: &str,
        call: impl FnMut(Client, String) -> F,
    ) -> Result<T, HdfsError>
    where
        F: Future<Output = Result<T, NativeError>>,
    {
        self.remote.retry(action, path, call).await
    }
}

/// An HDFS as a namespace for listing.
pub(crate) struct HdfsNamespace<'c>(pub(crate) &'c Cluster);

impl HdfsNamespace<'_> {
    fn kind(status: &FileStatus) -> Kind {
        if status.isdir {
            Kind::Folder(None)
        } else {
            Kind::File(FileFacts { len: status.length as u64, block_size: status.blocksize, identity: None })
        }
    }
}

impl Namespace for HdfsNamespace<'_> {
    fn stat(&self, path: &Path) -> Result<Option<Kind>, PlanError> {
        let path = path.to_string_lossy();
        let status = self.0.handle.block_on(self.0.retry("read", &path, async |client, path| {
            match client.get_file_info(&path).await {
                Err(NativeError::FileNotFound(_)) => Ok(None),
                other => other.map(Some),
            }
        }))?;
        Ok(status.as_ref().map(Self::kind))
    }

    fn list(
        &self,
        folder: &Path,
        wanted: &dyn Fn(&OsStr) -> bool,
    ) -> Result<Vec<(OsString, Kind)>, PlanError> {
        let folder = folder.to_string_lossy();
        let entries = self.0.handle.block_on(
            self.0.retry("list", &folder, async |client, path| client.list_status(&path, false).await),
        )?;
        Ok(entries
            .iter()
            .map(|status| {
                let name = status.path.rsplit('/').next().unwrap_or(&status.path);
                (OsString::from(name), Self::kind(status))
            })
            .filter(|(name, _)| wanted(name))
            .collect())
    }
}
