//! The job's page, where the cluster's web proxies find it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use forebay_hadoop::Configuration;
use forebay_hadoop::conf::Address;
use forebay_hadoop::yarn::ResourceManagers;
use tokio::net::{TcpListener, lookup_host};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::{AmError, JobState, StatusPage};

/// How often the proxies' addresses are looked up: they may move.
const LOOK_UP: Duration = Duration::from_mins(1);
/// The path under which browsers reach the page, as YARN says it to application masters alone.
const BASE: &str = "APPLICATION_WEB_PROXY_BASE";

/// The page, before there is anything to be shown.
pub(super) struct Browsers {
    listener: TcpListener,
    url: String,
    proxies: Vec<Address>,
}

impl Browsers {
    /// Listens for the proxies.
    pub(super) async fn listen(conf: &Configuration, host: &str) -> Result<Self, AmError> {
        let (listener, port) = super::listen(host).await?;
        let proxies = ResourceManagers::from_conf(conf).map_err(super::surroundings::no_container)?.proxies;
        Ok(Self { listener, url: format!("http://{host}:{port}/"), proxies })
    }

    /// Where the proxies find it.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Shows the job's state until the runtime ends.
    pub(super) fn show(self, state: JobState) -> watch::Sender<Arc<JobState>> {
        let Self { listener, proxies, .. } = self;
        let (states, latest) = watch::channel(Arc::new(state));
        let (found, addresses) = watch::channel(Vec::new());
        let base = std::env::var(BASE).unwrap_or_default();
        tokio::spawn(StatusPage::new(latest, addresses, base).serve(listener));
        tokio::spawn(async move {
            while !found.is_closed() {
                // Where no name can be looked up, what was found before holds.
                let looked_up = look_up(&proxies).await;
                if !looked_up.is_empty() {
                    found.send_replace(looked_up);
                }
                sleep(LOOK_UP).await;
            }
        });
        states
    }
}

async fn look_up(proxies: &[Address]) -> Vec<IpAddr> {
    let mut all = Vec::new();
    for proxy in proxies {
        match lookup_host((proxy.host.as_str(), proxy.port)).await {
            Ok(found) => all.extend(found.map(|address| address.ip())),
            Err(error) => tracing::warn!(%proxy, "a web proxy's address is not known: {error}"),
        }
    }
    all
}
