//! The client: a configured cluster, its user, and the threads that speak with it.

use std::time::Duration;

use tokio::runtime::Runtime;

use crate::ClientError;
use crate::history::History;
use crate::link::Link;
use crate::rm::Rm;
use crate::site::{Site, runtime};

/// How long threads that still wait for an answer are waited for.
const LEAVING: Duration = Duration::from_millis(100);
/// The scheduler's step of memory, unless configured otherwise (`yarn-default.xml`).
const STEP_MIB: u64 = 1024;

/// A client of the cluster that the configuration names. Its calls block.
#[derive(Debug)]
pub struct Client {
    pub(crate) site: Site,
    pub(crate) rm: Rm,
    pub(crate) runtime: Threads,
}

/// Ends without waiting for what hangs.
#[derive(Debug)]
pub(crate) struct Threads(Option<Runtime>);

impl Threads {
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        match &self.0 {
            // Boxed: what is done here is large.
            Some(runtime) => runtime.block_on(Box::pin(work)),
            None => unreachable!("the runtime is taken when this is dropped"),
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_timeout(LEAVING);
        }
    }
}

impl Client {
    /// Reads the configuration. Calls to the cluster give up after `timeout` without progress.
    pub fn open(timeout: Duration) -> Result<Self, ClientError> {
        let runtime = runtime()?;
        let site = Site::open(timeout, runtime.handle().clone())?;
        let rm = Rm::open(&site.conf, timeout)?;
        Ok(Self { site, rm, runtime: Threads(Some(runtime)) })
    }

    /// The user on the cluster.
    pub fn user(&self) -> &str {
        &self.site.user
    }

    /// The scheduler's step of memory in MiB, as far as this machine's configuration tells.
    pub fn step_mib(&self) -> u64 {
        self.configured_step_mib().unwrap_or(STEP_MIB)
    }

    /// The same, if it is configured here at all.
    pub(crate) fn configured_step_mib(&self) -> Option<u64> {
        let step = self.site.conf.trimmed("yarn.scheduler.minimum-allocation-mb").ok().flatten();
        step.and_then(|step| step.parse().ok()).filter(|&step| step > 0)
    }

    pub(crate) fn history(&self, id: &str) -> History {
        History::new(self.site.remote.clone(), self.site.job(id))
    }

    pub(crate) fn link(&self, id: &str) -> Link {
        Link::new(self.site.remote.clone(), &self.site.staging(id), self.history(id))
    }
}
