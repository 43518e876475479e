//! All keys that this crate reads, each with its default and meaning: one table.
//!
//! Defaults are those of Hadoop 3.4 (`core-default.xml`, `hdfs-default.xml`, `yarn-default.xml`) unless the meaning says otherwise.

/// A key of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its name. `*` stands for a nameservice or the id of a NameNode or ResourceManager.
    pub name: &'static str,
    /// Its value when nobody sets it; empty for none.
    pub default: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

impl Key {
    /// The key of this name, when this crate reads it.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|key| key.name == name)
    }
}

macro_rules! keys {
    ($($id:ident $name:literal $default:literal $meaning:literal)*) => {
        $(#[doc = $meaning] pub const $id: Key = Key { name: $name, default: $default, meaning: $meaning };)*
        /// Every key that this crate reads.
        pub const ALL: &[Key] = &[$($id),*];
    };
}

keys! {
    DEFAULT_FS "fs.defaultFS" "file:///"
        "The file system of paths without one: `hdfs://host:port` or `hdfs://nameservice`."
    NAMESERVICES "dfs.nameservices" ""
        "Names of HDFS clusters, separated by commas."
    HA_NAMENODES "dfs.ha.namenodes.*" ""
        "The ids of a nameservice's NameNodes, separated by commas."
    RPC_ADDRESS "dfs.namenode.rpc-address.*" ""
        "A NameNode's `host:port`, by nameservice and id."
    FAILOVER_RANDOM "dfs.client.failover.random.order" "false"
        "Begin with any NameNode, not with the first one listed."
    FAILOVER_ATTEMPTS "dfs.client.failover.max.attempts" "15"
        "How often a call goes on to another NameNode."
    FAILOVER_SLEEP_BASE "dfs.client.failover.sleep.base.millis" "500"
        "The first pause after all NameNodes have failed; it doubles."
    FAILOVER_SLEEP_MAX "dfs.client.failover.sleep.max.millis" "15000"
        "The longest pause between attempts."
    SHORT_CIRCUIT "dfs.client.read.shortcircuit" "false"
        "Read replicas on this host through descriptors that the DataNode hands over."
    SOCKET_PATH "dfs.domain.socket.path" ""
        "The DataNode's domain socket; `_PORT` in it stands for its data port."
    USE_DATANODE_HOSTNAME "dfs.client.use.datanode.hostname" "false"
        "Reach DataNodes by name instead of address."
    SOCKET_TIMEOUT "dfs.client.socket-timeout" "60000"
        "How long a DataNode may be silent."
    CONNECT_TIMEOUT "ipc.client.connect.timeout" "20000"
        "How long connecting to a server may take."
    RPC_TIMEOUT "ipc.client.rpc-timeout.ms" "120000"
        "How long one attempt of a call may take; 0 for as long as its deadline allows."
    MAX_IDLE "ipc.client.connection.maxidletime" "10000"
        "After how long without a call a connection is closed."
    NO_DELAY "ipc.client.tcpnodelay" "true"
        "Send small packets at once."
    MAX_RESPONSE "ipc.maximum.response.length" "134217728"
        "The longest response that is read, in bytes."
    FALLBACK_SIMPLE "ipc.client.fallback-to-simple-auth-allowed" "false"
        "Let a client of a secure configuration talk to a server that asks for no proof of identity."
    AUTHENTICATION "hadoop.security.authentication" "simple"
        "`simple` or `kerberos`."
    PROTECTION "hadoop.rpc.protection" "authentication"
        "`authentication`, `integrity`, `privacy`, or several of them separated by commas."
    TOKEN_SERVICE_USE_IP "hadoop.security.token.service.use_ip" "true"
        "Tokens name their servers by address, not by host name."
    RM_HA "yarn.resourcemanager.ha.enabled" "false"
        "Whether there are several ResourceManagers, of which one is active."
    RM_IDS "yarn.resourcemanager.ha.rm-ids" ""
        "The ids of several ResourceManagers, separated by commas."
    RM_CLUSTER_ID "yarn.resourcemanager.cluster-id" "yarn_cluster"
        "The name of a cluster with several ResourceManagers."
    RM_HOSTNAME "yarn.resourcemanager.hostname" "0.0.0.0"
        "The ResourceManager's host, for all addresses that are not set; `.ID` behind it for each of several."
    RM_ADDRESS "yarn.resourcemanager.address" ""
        "Where clients call the ResourceManager, by default port 8032 of its host; `.ID` behind it for each of several."
    RM_SCHEDULER_ADDRESS "yarn.resourcemanager.scheduler.address" ""
        "Where application masters call it, by default port 8030; `.ID` behind it for each of several."
    RM_WEB_ADDRESS "yarn.resourcemanager.webapp.address" ""
        "Where its pages are, by default port 8088; `.ID` behind it for each of several."
    RM_WEB_TLS_ADDRESS "yarn.resourcemanager.webapp.https.address" ""
        "Where its pages are with `HTTPS_ONLY`, by default port 8090; `.ID` behind it for each of several."
    YARN_HTTP_POLICY "yarn.http.policy" "HTTP_ONLY"
        "`HTTP_ONLY` or `HTTPS_ONLY`."
    WEB_PROXY_ADDRESS "yarn.web-proxy.address" ""
        "The proxy of application masters' pages, where it is a process of its own."
    RM_FAILOVER_SLEEP_BASE "yarn.client.failover-sleep-base-ms" "500"
        "The first pause after all ResourceManagers have failed; it doubles. Hadoop's default is that of another key."
    RM_FAILOVER_SLEEP_MAX "yarn.client.failover-sleep-max-ms" "5000"
        "The longest pause between attempts. Hadoop's default is that of another key."
    DEADLINE "forebay.hadoop.call-deadline" "60s"
        "How long a call may take with all its attempts. Not a key of Hadoop's, which counts attempts."
}

/// Former names of keys (`Configuration.addDeprecations`).
const RENAMED: [(&str, &str); 4] = [
    ("fs.default.name", "fs.defaultFS"),
    ("dfs.federation.nameservices", "dfs.nameservices"),
    ("dfs.socket.timeout", "dfs.client.socket-timeout"),
    ("ipc.client.tcp-no-delay", "ipc.client.tcpnodelay"),
];

/// The present name of a key that had another.
pub(super) fn renamed(name: &str) -> Option<&'static str> {
    RENAMED.iter().find(|(old, _)| *old == name).map(|(_, new)| *new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::{Configuration, Unit};

    #[test]
    fn each_key_is_listed_once_and_its_default_can_be_read() {
        let conf = Configuration::empty();
        for key in ALL {
            assert_eq!(ALL.iter().filter(|other| other.name == key.name).count(), 1, "{}", key.name);
            assert!(conf.get(key.name).is_ok());
            match key.default {
                "true" | "false" => assert!(conf.flag(key.name).is_ok()),
                default if default.starts_with(|c: char| c.is_ascii_digit()) && !default.contains('.') => {
                    assert!(conf.duration(key.name, Unit::Milliseconds).unwrap().is_some());
                }
                _ => {}
            }
        }
    }
}
