//! What a client may choose, and the Hadoop properties that say so.

use std::time::Duration;

use forebay_hadoop::conf::{Unit, keys};
use forebay_hadoop::{ConfError, Configuration};

/// How to read from DataNodes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Reach DataNodes by name instead of address (`dfs.client.use.datanode.hostname`, no).
    pub use_hostname: bool,
    /// How long a DataNode may be silent (`dfs.client.socket-timeout`, 60 s).
    pub silence: Duration,
    /// The name that the DataNode's log has for this client.
    pub client_name: String,
    /// Whether the DataNode's page cache is to forget what was read (`dfs.client.cache.drop.behind.reads`; the DataNode's own
    /// setting when `None`).
    pub drop_behind: Option<bool>,
    /// How many bytes the DataNode reads ahead (`dfs.client.cache.readahead`; the DataNode's own setting when `None`).
    pub readahead: Option<u64>,
    /// Whether the cluster asks for protection of the data itself (`dfs.data.transfer.protection`,
    /// `dfs.encrypt.data.transfer`), which is not spoken here.
    pub protected: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            use_hostname: false,
            silence: Duration::from_mins(1),
            client_name: format!("forebay_{}", std::process::id()),
            drop_behind: None,
            readahead: None,
            protected: false,
        }
    }
}

/// The properties that [`Settings::from_conf`] looks up beside those of [`forebay_hadoop::conf::keys`].
const DROP_BEHIND: &str = "dfs.client.cache.drop.behind.reads";
const READAHEAD: &str = "dfs.client.cache.readahead";
const PROTECTION: &str = "dfs.data.transfer.protection";
const ENCRYPT: &str = "dfs.encrypt.data.transfer";

impl Settings {
    /// As Hadoop's configuration has it.
    pub fn from_conf(conf: &Configuration) -> Result<Self, ConfError> {
        let defaults = Self::default();
        let drop_behind = match conf.trimmed(DROP_BEHIND)? {
            Some(text) if !text.is_empty() => Some(conf.flag(DROP_BEHIND)?),
            _ => None,
        };
        Ok(Self {
            use_hostname: conf.flag(keys::USE_DATANODE_HOSTNAME.name)?,
            silence: conf
                .duration(keys::SOCKET_TIMEOUT.name, Unit::Milliseconds)?
                .filter(|silence| !silence.is_zero())
                .unwrap_or(defaults.silence),
            drop_behind,
            readahead: conf.count(READAHEAD)?,
            protected: conf.trimmed(PROTECTION)?.is_some_and(|text| !text.is_empty())
                || conf.flag(ENCRYPT)?,
            ..defaults
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Settings, ConfError> {
        let mut conf = Configuration::empty();
        for (key, value) in pairs {
            conf.set(*key, *value);
        }
        Settings::from_conf(&conf)
    }

    #[test]
    fn properties_are_read_as_hadoop_reads_them() {
        let plain = of(&[]).unwrap();
        assert!(!plain.use_hostname && !plain.protected);
        assert_eq!((plain.drop_behind, plain.readahead, plain.silence.as_secs()), (None, None, 60));
        let set = of(&[
            ("dfs.client.use.datanode.hostname", "true"),
            (DROP_BEHIND, "true"),
            (READAHEAD, "0"),
            ("dfs.client.socket-timeout", "5000"),
        ])
        .unwrap();
        assert!(set.use_hostname);
        assert_eq!((set.drop_behind, set.readahead, set.silence.as_secs()), (Some(true), Some(0), 5));
        assert!(of(&[(PROTECTION, "privacy")]).unwrap().protected);
        assert!(of(&[(ENCRYPT, "true")]).unwrap().protected);
        assert!(of(&[(READAHEAD, "-1")]).is_err() && of(&[(DROP_BEHIND, "perhaps")]).is_err());
    }
}
