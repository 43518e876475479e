//! HDFS clients by address, made from Hadoop's configuration when they are first needed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use forebay_hadoop::Configuration;
use hdfs_native::{Client, ClientBuilder, HdfsError as NativeError};
use tokio::runtime::Handle;

use crate::small::Small;
use crate::{Cluster, HdfsError};

/// How long a DataNode may be silent before another one is asked.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

/// The HDFS clusters that a program speaks with. Nothing is read or connected before it is needed.
#[derive(Debug)]
pub struct Clusters {
    timeout: Duration,
    handle: Handle,
    conf: OnceLock<Arc<Configuration>>,
    known: Mutex<HashMap<String, Arc<Cluster>>>,
}

impl Clusters {
    /// Clusters whose connections are driven by `handle`'s runtime, and that give up on an operation after `timeout`
    /// without progress.
    pub fn new(timeout: Duration, handle: Handle) -> Self {
        Self { timeout, handle, conf: OnceLock::new(), known: Mutex::default() }
    }

    /// Hadoop's configuration, read once.
    pub fn configuration(&self) -> Result<Arc<Configuration>, HdfsError> {
        if let Some(conf) = self.conf.get() {
            return Ok(Arc::clone(conf));
        }
        let conf = Arc::new(Configuration::load()?);
        Ok(Arc::clone(self.conf.get_or_init(|| conf)))
    }

    /// The cluster at `authority` (`host:port` or a nameservice), or the default file system.
    pub fn cluster(&self, authority: Option<&str>) -> Result<Arc<Cluster>, HdfsError> {
        let conf = self.configuration()?;
        let authority = match authority {
            Some(authority) => authority.to_owned(),
            None => {
                conf.default_authority()?.ok_or_else(|| HdfsError::NoDefault { origin: origin(&conf) })?
            }
        };
        let mut clusters = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = clusters.get(&authority) {
            return Ok(Arc::clone(cluster));
        }
        let logical = conf.nameservice(&authority).ok().filter(|service| service.is_logical);
        let namenodes = logical
            .map_or_else(Vec::new, |service| service.namenodes.iter().map(ToString::to_string).collect());
        let uri = format!("hdfs://{authority}");
        let connect = |settings: [(&'static str, String); 4]| {
            connect(&authority, &self.handle, &settings).map_err(|source| HdfsError::Client {
                uri: uri.clone(),
                origin: origin(&conf),
                source,
            })
        };
        let asking = connect(asking(self.timeout))?;
        let writing = connect(writing(self.timeout))?;
        let small = Small::new(&conf, &authority, self.timeout);
        let cluster = Cluster::new([asking, writing], small, authority.clone(), namenodes, self.timeout);
        let cluster = Arc::new(cluster);
        clusters.insert(authority, Arc::clone(&cluster));
        Ok(cluster)
    }
}

/// How long a DataNode may be silent where so much time is given to an operation without progress.
pub(crate) fn silence(timeout: Duration) -> Duration {
    (timeout / 3).min(LONGEST_SILENCE).max(Duration::from_millis(1))
}

/// Short rounds inside hdfs-native, so that the retries, their deadline and the last error are ours to tell,
/// and so that a DataNode that has gone silent is given up in time for another replica.
fn asking(timeout: Duration) -> [(&'static str, String); 4] {
    let silence = silence(timeout).as_millis();
    [
        ("dfs.client.failover.max.attempts", "3".into()),
        ("dfs.client.failover.sleep.base.millis", "50".into()),
        ("dfs.client.failover.sleep.max.millis", "200".into()),
        ("dfs.client.socket-timeout", silence.to_string()),
    ]
}

/// A file that is being written cannot be gone on with after an error, only begun anew. So while the NameNode is away, its
/// writer waits inside hdfs-native; the deadline is still ours.
fn writing(timeout: Duration) -> [(&'static str, String); 4] {
    let mut settings = asking(timeout);
    settings[0].1 = "1000000".into();
    settings[1].1 = "100".into();
    settings[2].1 = "1000".into();
    settings
}

fn connect(
    authority: &str,
    handle: &Handle,
    settings: &[(&'static str, String)],
) -> Result<Client, NativeError> {
    let build = |url: String| {
        let settings = settings.iter().map(|(key, value)| (*key, value.clone()));
        let builder = ClientBuilder::new().with_config(settings).with_io_runtime(handle.clone());
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
