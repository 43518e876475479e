//! The configuration's words about YARN: where the ResourceManagers and their proxies are.

use crate::conf::{Address, ConfError, Configuration, Origin, Unit, keys};
use crate::ipc::Settings;

/// The configuration as a client of YARN reads it: that of [`Configuration::load`] and `yarn-site.xml`.
pub fn load() -> Result<Configuration, ConfError> {
    let mut conf = Configuration::load()?;
    conf.add_named(YARN_SITE)?;
    Ok(conf)
}

/// YARN's own file in a configuration's folder.
pub const YARN_SITE: &str = "yarn-site.xml";

const CLIENT_PORT: u16 = 8032;
const SCHEDULER_PORT: u16 = 8030;
const WEB_PORT: u16 = 8088;
const WEB_TLS_PORT: u16 = 8090;
const PROXY_PORT: u16 = 9099;

/// The ResourceManagers of a cluster: one, or several of which one is active. All lists are in the same order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceManagers {
    /// A name for messages: the only one's address, or the cluster's id.
    pub name: String,
    /// Their ids; empty when there is only one.
    pub ids: Vec<String>,
    /// Where clients call.
    pub clients: Vec<Address>,
    /// Where application masters call.
    pub schedulers: Vec<Address>,
    /// Where their pages are.
    pub webs: Vec<Address>,
    /// Whether their pages are by `https`.
    pub web_tls: bool,
    /// The proxies that fetch an application master's pages for browsers: `yarn.web-proxy.address`, or the ResourceManagers
    /// themselves.
    pub proxies: Vec<Address>,
}

impl ResourceManagers {
    /// Those that a configuration names, which has been [`load`]ed, or has had `yarn-site.xml` added.
    pub fn from_conf(conf: &Configuration) -> Result<Self, ConfError> {
        let ids = if conf.flag(keys::RM_HA.name)? { conf.list(keys::RM_IDS.name)? } else { Vec::new() };
        if conf.flag(keys::RM_HA.name)? && ids.is_empty() {
            let needed_for = "ResourceManagers that take over from each other".to_owned();
            return Err(ConfError::Missing { key: keys::RM_IDS.name.to_owned(), needed_for });
        }
        let web_tls = conf.trimmed(keys::YARN_HTTP_POLICY.name)?.is_some_and(|policy| policy == "HTTPS_ONLY");
        let (web, web_port) = if web_tls {
            ("yarn.resourcemanager.webapp.https.address", WEB_TLS_PORT)
        } else {
            ("yarn.resourcemanager.webapp.address", WEB_PORT)
        };
        let all = |prefix: &str, port| addresses(conf, prefix, &ids, port);
        let clients = all("yarn.resourcemanager.address", CLIENT_PORT)?;
        let webs = all(web, web_port)?;
        let proxies = match conf.trimmed(keys::WEB_PROXY_ADDRESS.name)? {
            Some(text) => vec![address(&text, PROXY_PORT, &conf.origin(keys::WEB_PROXY_ADDRESS.name))?],
            None => webs.clone(),
        };
        let name = match clients.as_slice() {
            [only] => only.to_string(),
            _ => conf.trimmed(keys::RM_CLUSTER_ID.name)?.unwrap_or_default(),
        };
        let schedulers = all("yarn.resourcemanager.scheduler.address", SCHEDULER_PORT)?;
        Ok(Self { name, ids, clients, schedulers, webs, web_tls, proxies })
    }
}

/// How calls to ResourceManagers are made. There is no limit to changes of server but a call's deadline: a ResourceManager that
/// takes over needs its time.
pub(super) fn settings(conf: &Configuration) -> Result<Settings, ConfError> {
    let time =
        |key: keys::Key| Ok::<_, ConfError>(conf.duration(key.name, Unit::Milliseconds)?.unwrap_or_default());
    Ok(Settings {
        max_failovers: u32::MAX,
        first_pause: time(keys::RM_FAILOVER_SLEEP_BASE)?,
        longest_pause: time(keys::RM_FAILOVER_SLEEP_MAX)?,
        any_first: false,
        ..Settings::from_conf(conf)?
    })
}

/// The addresses under a key: of the only ResourceManager, or of each, by its id. Where there is none, the host is that of
/// `yarn.resourcemanager.hostname`.
fn addresses(
    conf: &Configuration,
    prefix: &str,
    ids: &[String],
    port: u16,
) -> Result<Vec<Address>, ConfError> {
    if ids.is_empty() {
        return Ok(vec![one(conf, prefix, keys::RM_HOSTNAME.name, port)?]);
    }
    let of =
        |id: &String| one(conf, &format!("{prefix}.{id}"), &format!("{}.{id}", keys::RM_HOSTNAME.name), port);
    ids.iter().map(of).collect()
}

fn one(conf: &Configuration, key: &str, host_key: &str, port: u16) -> Result<Address, ConfError> {
    if let Some(text) = conf.trimmed(key)? {
        return address(&text, port, &conf.origin(key));
    }
    match conf.trimmed(host_key)? {
        // Without any word about YARN, Hadoop would look on this very machine, for long.
        Some(_) if conf.origin(host_key) == Origin::Default && !conf.speaks_of("yarn.") => {
            let needed_for = "the ResourceManager; is there a yarn-site.xml in HADOOP_CONF_DIR?".to_owned();
            Err(ConfError::Missing { key: host_key.to_owned(), needed_for })
        }
        Some(host) => address(&host, port, &conf.origin(host_key)).map(|host| Address { port, ..host }),
        None => {
            let needed_for = format!("the ResourceManager, as long as {host_key} has none either");
            Err(ConfError::Missing { key: key.to_owned(), needed_for })
        }
    }
}

fn address(text: &str, port: u16, origin: &Origin) -> Result<Address, ConfError> {
    Address::parse(text, port).map_err(|why| ConfError::Address {
        text: text.to_owned(),
        server: "ResourceManager",
        origin: origin.clone(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn managers(values: &[(&str, &str)]) -> Result<ResourceManagers, ConfError> {
        let mut conf = Configuration::empty();
        for (key, value) in values {
            conf.set(*key, *value);
        }
        ResourceManagers::from_conf(&conf)
    }

    fn text(addresses: &[Address]) -> Vec<String> {
        addresses.iter().map(Address::to_string).collect()
    }

    #[test]
    fn one_resource_manager() {
        let plain = managers(&[("yarn.resourcemanager.hostname", "rm")]).unwrap();
        assert_eq!(plain.name, "rm:8032");
        let all =
            [&plain.clients, &plain.schedulers, &plain.webs, &plain.proxies].map(|some| text(some).join(","));
        assert_eq!(all, ["rm:8032", "rm:8030", "rm:8088", "rm:8088"]);
        let own = managers(&[
            ("yarn.resourcemanager.hostname", "rm"),
            ("yarn.resourcemanager.address", "a:1"),
            ("yarn.resourcemanager.scheduler.address", "${yarn.resourcemanager.hostname}:2"),
            ("yarn.http.policy", "HTTPS_ONLY"),
            ("yarn.web-proxy.address", "p"),
        ])
        .unwrap();
        let all = [&own.clients, &own.schedulers, &own.webs, &own.proxies].map(|some| text(some).join(","));
        assert_eq!(all, ["a:1", "rm:2", "rm:8090", "p:9099"]);
        assert!(own.web_tls && !plain.web_tls);
    }

    #[test]
    fn several_resource_managers() {
        let some = [
            ("yarn.resourcemanager.ha.enabled", "true"),
            ("yarn.resourcemanager.ha.rm-ids", "rm1, rm2"),
            ("yarn.resourcemanager.cluster-id", "c"),
            ("yarn.resourcemanager.hostname.rm1", "h1"),
            ("yarn.resourcemanager.address.rm2", "h2:2"),
            ("yarn.resourcemanager.scheduler.address.rm2", "h2:3"),
            ("yarn.resourcemanager.webapp.address.rm2", "h2:4"),
        ];
        let both = managers(&some).unwrap();
        assert_eq!((both.name.as_str(), both.ids.len()), ("c", 2));
        assert_eq!(text(&both.clients), ["h1:8032", "h2:2"]);
        assert_eq!(text(&both.schedulers), ["h1:8030", "h2:3"]);
        assert_eq!(text(&both.proxies), ["h1:8088", "h2:4"]);
        let error = managers(&some[..5]).unwrap_err().to_string();
        assert!(error.contains("webapp.address.rm2") && error.contains("hostname.rm2"), "{error}");
        assert!(managers(&some[..1]).unwrap_err().to_string().contains("ha.rm-ids has no value"));
    }

    #[test]
    fn without_a_word_about_yarn_there_is_none() {
        let error = managers(&[("fs.defaultFS", "hdfs://x")]).unwrap_err().to_string();
        assert!(error.contains("yarn-site.xml"), "{error}");
        let local = managers(&[("yarn.nodemanager.aux-services", "x")]).unwrap();
        assert_eq!(text(&local.clients), ["0.0.0.0:8032"]);
        let error = managers(&[("yarn.resourcemanager.address", "a:x")]).unwrap_err().to_string();
        assert!(error.contains("no address of a ResourceManager"), "{error}");
    }
}
