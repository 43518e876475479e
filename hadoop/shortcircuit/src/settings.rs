//! What a client may choose, and the Hadoop properties that say so.

use std::time::Duration;

use forebay_hadoop::conf::{Unit, keys};
use forebay_hadoop::{ConfError, Configuration};

/// How to read short-circuit.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// `dfs.domain.socket.path`, with `_PORT` for the DataNode's data port; `None` when short-circuit reads are off.
    pub socket_path: Option<String>,
    /// How long one [`open`](crate::ShortCircuit::open) may take in all (3 s).
    pub timeout: Duration,
    /// Whether to ask for slots in shared memory (yes). Without them a replica counts as valid for `stale_after`.
    pub slots: bool,
    /// The name that the DataNode's log has for this client.
    pub client_name: String,
    /// How many replicas are kept open, two descriptors each (256, `dfs.client.read.shortcircuit.streams.cache.size`). Fewer are
    /// kept where they would take more than a quarter of the descriptors that the process may have (`RLIMIT_NOFILE`).
    pub cached: usize,
    /// How long a replica without a slot counts as valid (30 min, `dfs.client.short.circuit.replica.stale.threshold.ms`).
    pub stale_after: Duration,
    /// For how long a DataNode that cannot be reached or does not answer is not asked again (5 s).
    pub rest_after_failure: Duration,
    /// For how long a DataNode that passes no descriptors is not asked again (10 min, as Hadoop's client).
    pub rest_after_unsupported: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            socket_path: None,
            timeout: Duration::from_secs(3),
            slots: true,
            client_name: format!("forebay_{}", std::process::id()),
            cached: 256,
            stale_after: Duration::from_mins(30),
            rest_after_failure: Duration::from_secs(5),
            rest_after_unsupported: Duration::from_mins(10),
        }
    }
}

/// The properties that [`Settings::from_conf`] looks up beside those of [`forebay_hadoop::conf::keys`].
const CACHE_SIZE: &str = "dfs.client.read.shortcircuit.streams.cache.size";
const STALE_AFTER: &str = "dfs.client.short.circuit.replica.stale.threshold.ms";
const WATCHER: &str = "dfs.short.circuit.shared.memory.watcher.interrupt.check.ms";

impl Settings {
    /// On, with this `dfs.domain.socket.path` and the defaults.
    pub fn new(socket_path: impl Into<String>) -> Self {
        Self { socket_path: Some(socket_path.into()), ..Self::default() }
    }

    /// As Hadoop's configuration has it: on only with `dfs.client.read.shortcircuit=true` and a socket path.
    pub fn from_conf(conf: &Configuration) -> Result<Self, ConfError> {
        let defaults = Self::default();
        let on = conf.flag(keys::SHORT_CIRCUIT.name)?;
        Ok(Self {
            socket_path: conf.trimmed(keys::SOCKET_PATH.name)?.filter(|_| on),
            cached: conf
                .count(CACHE_SIZE)?
                .map_or(defaults.cached, |count| usize::try_from(count).unwrap_or(usize::MAX)),
            stale_after: conf.duration(STALE_AFTER, Unit::Milliseconds)?.unwrap_or(defaults.stale_after),
            // Hadoop's switch for shared memory is this interval: zero is off.
            slots: conf.integer(WATCHER)?.is_none_or(|interval| interval > 0),
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
        assert_eq!(of(&[]).unwrap().socket_path, None);
        assert_eq!(of(&[("dfs.domain.socket.path", "/run/dn")]).unwrap().socket_path, None);
        let on = of(&[
            ("dfs.client.read.shortcircuit", " TRUE "),
            ("dfs.domain.socket.path", " /run/dn._PORT"),
            (CACHE_SIZE, "7"),
            (WATCHER, "0"),
        ])
        .unwrap();
        assert_eq!(on.socket_path.as_deref(), Some("/run/dn._PORT"));
        assert_eq!((on.cached, on.stale_after, on.slots), (7, Duration::from_mins(30), false));
        assert!(of(&[(STALE_AFTER, "soon")]).is_err());
    }
}
