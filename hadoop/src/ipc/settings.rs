//! What the configuration says about connections, waits and retries.

use std::time::Duration;

use crate::conf::{ConfError, Configuration, Unit, keys};

/// Bounds of connections and calls.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long connecting to one address may take.
    pub connect_timeout: Duration,
    /// How long one attempt may take; `None` for as long as the call's deadline allows.
    pub attempt_timeout: Option<Duration>,
    /// After how long without a call a connection is closed.
    pub max_idle: Duration,
    /// Whether small packets are sent at once.
    pub no_delay: bool,
    /// The longest response, in bytes.
    pub max_response: usize,
    /// How often a call goes on to another server.
    pub max_failovers: u32,
    /// The first pause after all servers have failed.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// Whether to begin with any server, not with the first.
    pub any_first: bool,
    /// How long a call may take with all its attempts.
    pub deadline: Duration,
}

impl Settings {
    /// Those of a configuration.
    pub fn from_conf(conf: &Configuration) -> Result<Self, ConfError> {
        let time = |key: keys::Key| {
            Ok::<_, ConfError>(conf.duration(key.name, Unit::Milliseconds)?.unwrap_or_default())
        };
        let count = |key: keys::Key| Ok::<_, ConfError>(conf.count(key.name)?.unwrap_or_default());
        let attempt = time(keys::RPC_TIMEOUT)?;
        Ok(Self {
            connect_timeout: time(keys::CONNECT_TIMEOUT)?,
            attempt_timeout: (!attempt.is_zero()).then_some(attempt),
            max_idle: time(keys::MAX_IDLE)?,
            no_delay: conf.flag(keys::NO_DELAY.name)?,
            max_response: usize::try_from(count(keys::MAX_RESPONSE)?).unwrap_or(usize::MAX),
            max_failovers: u32::try_from(count(keys::FAILOVER_ATTEMPTS)?).unwrap_or(u32::MAX),
            first_pause: time(keys::FAILOVER_SLEEP_BASE)?,
            longest_pause: time(keys::FAILOVER_SLEEP_MAX)?,
            any_first: conf.flag(keys::FAILOVER_RANDOM.name)?,
            deadline: time(keys::DEADLINE)?,
        })
    }
}
