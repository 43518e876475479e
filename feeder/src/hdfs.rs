//! HDFS through `hdfs-native`: clients by address, and every call bounded in time.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_hadoop::namenode::LocatedBlocks;
use forebay_hadoop::{Configuration, NameNode};
use forebay_shortcircuit::{Reason, Settings, ShortCircuit};
use hdfs_native::client::FileStatus;
use hdfs_native::{Client, ClientBuilder, HdfsError as NativeError};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::server_message;
use crate::listing::{FileFacts, Kind, Namespace};
use crate::source::hdfs::{Local, LocalBlock, Remote};
use crate::{HdfsError, PlanError};

/// How long an operation is tried before the feed gives up.
pub const DEFAULT_HDFS_TIMEOUT: Duration = Duration::from_secs(30);

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long a DataNode may be silent before another one is asked.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

/// The HDFS client of a feed: its threads and its connections. Nothing is started before it is needed.
#[derive(Debug)]
pub struct Hdfs {
    timeout: Duration,
    runtime: Option<Runtime>,
    conf: Option<Arc<Configuration>>,
    clusters: HashMap<String, Arc<Cluster>>,
}

impl Hdfs {
    /// A client that gives up on an operation after `timeout`.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, runtime: None, conf: None, clusters: HashMap::new() }
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
        let conf = match &self.conf {
            Some(conf) => Arc::clone(conf),
            None => Arc::clone(self.conf.insert(Arc::new(Configuration::load()?))),
        };
        let authority = match authority {
            Some(authority) => authority.to_owned(),
            None => {
                conf.default_authority()?.ok_or_else(|| HdfsError::NoDefault { origin: origin(&conf) })?
            }
        };
        if let Some(cluster) = self.clusters.get(&authority) {
            return Ok(Arc::clone(cluster));
        }
        let logical = conf.nameservice(&authority).ok().filter(|service| service.is_logical);
        let namenodes = logical
            .map_or_else(Vec::new, |service| service.namenodes.iter().map(ToString::to_string).collect());
        let handle = self.handle()?;
        let uri = format!("hdfs://{authority}");
        let client = connect(&authority, &handle, self.timeout).map_err(|source| HdfsError::Client {
            uri: uri.clone(),
            origin: origin(&conf),
            source,
        })?;
        let (namenode, local) = native(&conf, &authority, self.timeout);
        let timeout = self.timeout;
        let cluster = Arc::new(Cluster { client, uri, namenodes, timeout, handle, namenode, local });
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

/// Short rounds inside hdfs-native, so that the retries, their deadline and the last error are ours to tell,
/// and so that a DataNode that has gone silent is given up in time for another replica.
fn client_settings(timeout: Duration) -> [(&'static str, String); 4] {
    let silence = (timeout / 3).min(LONGEST_SILENCE).as_millis().max(1);
    [
        ("dfs.client.failover.max.attempts", "3".into()),
        ("dfs.client.failover.sleep.base.millis", "50".into()),
        ("dfs.client.failover.sleep.max.millis", "200".into()),
        ("dfs.client.socket-timeout", silence.to_string()),
    ]
}

fn connect(authority: &str, handle: &Handle, timeout: Duration) -> Result<Client, NativeError> {
    let build = |url: String| {
        let builder =
            ClientBuilder::new().with_config(client_settings(timeout)).with_io_runtime(handle.clone());
        builder.with_url(url).build()
    };
    match build(format!("hdfs://{authority}")) {
        // Neither a port nor a configured nameservice: Hadoop then means the NameNode's default port.
        Err(NativeError::InvalidArgument(_)) if !authority.contains(':') => {
            build(format!("hdfs://{authority}:8020"))
        }
        client => client,
    }
}

/// Where the default file system is configured, for messages.
fn origin(conf: &Configuration) -> String {
    match (conf.folder(), conf.get("fs.defaultFS")) {
        (None, _) => "HADOOP_CONF_DIR is not set".into(),
        (Some(folder), Ok(Some(fs))) => format!("with {} fs.defaultFS is {fs}", folder.display()),
        (Some(folder), _) => format!("{} sets no fs.defaultFS", folder.display()),
    }
}

/// What Forebay speaks itself: the NameNode's locations, and descriptors from DataNodes of this host. Where the
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
    client: Client,
    /// `hdfs://authority`, for messages.
    uri: String,
    /// Addresses behind a nameservice, for messages.
    namenodes: Vec<String>,
    timeout: Duration,
    handle: Handle,
    /// Our own client of the NameNode, for block locations; without it everything comes over the network.
    namenode: Option<NameNode>,
    local: Local,
}

impl Cluster {
    /// Where a file's blocks are, or why nobody knows.
    pub(crate) async fn locations(&self, path: &str) -> Result<LocatedBlocks, Remote> {
        if !self.local.is_on() {
            return Err(Remote::NotOpened(Reason::Off));
        }
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

    /// Opens replicas of this host.
    pub(crate) fn local(&self) -> &Local {
        &self.local
    }

    /// Tells the NameNode of a corrupt replica, and does not wait for the answer.
    pub(crate) fn report_corrupt(self: &Arc<Self>, path: &str, block: &LocalBlock) {
        let Some(namenode) = self.namenode.clone() else { return };
        let (path, bad) = (self.address(path), block.located.with_replicas(|replica| block.is_at(replica)));
        self.handle.spawn(async move {
            if let Err(error) = namenode.report_bad_blocks(&[bad]).await {
                tracing::warn!(path, %error, "cannot report a corrupt replica to the NameNode");
            }
        });
    }

    /// The full address of a path.
    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.uri)
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// A clock for one operation on `path`, with this cluster's patience.
    pub(crate) fn patience(&self, action: &'static str, path: &str) -> Patience {
        let mut asked = self.address(path);
        if !self.namenodes.is_empty() {
            asked = format!("{asked} (NameNodes {})", self.namenodes.join(", "));
        }
        Patience::new(action, asked, self.timeout)
    }

    /// Runs `call` until it succeeds, is refused for good, or the time is over.
    pub(crate) async fn retry<T, F>(
        &self,
        action: &'static str,
        path: &str,
        mut call: impl FnMut(Client, String) -> F,
    ) -> Result<T, HdfsError>
    where
        F: Future<Output = Result<T, NativeError>>,
    {
        let mut patience = self.patience(action, path);
        loop {
            match tokio::time::timeout(patience.left(), call(self.client.clone(), path.to_owned())).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => patience.after(error).await?,
                Err(_) => return Err(patience.give_up()),
            }
        }
    }
}

/// How often and how long an operation has been tried since it last made progress.
pub(crate) struct Patience {
    action: &'static str,
    path: String,
    timeout: Duration,
    since: Instant,
    tries: u32,
    pause: Duration,
    last: Option<String>,
}

impl Patience {
    fn new(action: &'static str, path: String, timeout: Duration) -> Self {
        Self { action, path, timeout, since: Instant::now(), tries: 0, pause: FIRST_PAUSE, last: None }
    }

    /// Progress was made: the time starts anew.
    pub(crate) fn renew(&mut self) {
        (self.since, self.tries, self.pause, self.last) = (Instant::now(), 0, FIRST_PAUSE, None);
    }

    pub(crate) fn left(&self) -> Duration {
        self.timeout.saturating_sub(self.since.elapsed()).max(Duration::from_millis(1))
    }

    /// Pauses after a failure that may pass, or gives the error up.
    pub(crate) async fn after(&mut self, error: NativeError) -> Result<(), HdfsError> {
        self.tries += 1;
        if !may_pass(&error) {
            return Err(HdfsError::Refused { action: self.action, path: self.path.clone(), source: error });
        }
        self.last = Some(server_message(&error));
        tracing::info!(action = self.action, path = self.path, tries = self.tries, %error, "a try failed");
        if self.pause().await { Ok(()) } else { Err(self.give_up()) }
    }

    /// Pauses before another try, or says that the time does not allow one.
    pub(crate) async fn pause(&mut self) -> bool {
        if self.since.elapsed() + self.pause >= self.timeout {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }

    pub(crate) fn give_up(&self) -> HdfsError {
        HdfsError::GaveUp {
            action: self.action,
            path: self.path.clone(),
            tries: self.tries.max(1),
            waited: self.since.elapsed(),
            last: self.last.clone().unwrap_or_else(|| "none, it did not answer".into()),
        }
    }
}

/// Whether the same call may succeed a little later.
fn may_pass(error: &NativeError) -> bool {
    match error {
        NativeError::IOError(_)
        | NativeError::DataTransferError(_)
        | NativeError::ChecksumError
        | NativeError::BlocksNotFound(_)
        | NativeError::OperationFailed(_)
        | NativeError::ErasureCodingError(_) => true,
        NativeError::RPCError(class, _) | NativeError::FatalRPCError(class, _) => {
            ["StandbyException", "RetriableException", "SafeModeException", "ObserverRetryOnActiveException"]
                .iter()
                .any(|passing| class.ends_with(passing))
        }
        _ => false,
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
