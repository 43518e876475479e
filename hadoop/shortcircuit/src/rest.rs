//! DataNodes that are left alone for a while, so that a host without short-circuit reads costs one failure and not one per block.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use crate::error::Reason;
use crate::{OpenError, Settings};

/// Which DataNode rests until when, and why.
#[derive(Debug, Default)]
pub(crate) struct Rests {
    by_port: HashMap<u16, Rest>,
}

#[derive(Debug)]
struct Rest {
    until: Instant,
    cause: String,
    reason: Reason,
}

impl Rests {
    /// An error if the DataNode rests.
    pub(crate) fn check(&self, port: u16, path: &Path) -> Result<(), OpenError> {
        let Some(rest) = self.by_port.get(&port) else { return Ok(()) };
        let left = rest.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let (path, cause, reason) = (path.to_owned(), rest.cause.clone(), rest.reason);
        Err(OpenError::Resting { path, left, cause, reason })
    }

    /// Remembers a failure that speaks of the DataNode; one that speaks of a block or a token does not count.
    pub(crate) fn failed(&mut self, port: u16, error: &OpenError, settings: &Settings) {
        let reason = error.reason();
        let rest = match reason {
            Reason::Unsupported => settings.rest_after_unsupported,
            Reason::NoSocket | Reason::TimedOut => settings.rest_after_failure,
            _ => return,
        };
        let rest = Rest { until: Instant::now() + rest, cause: error.to_string(), reason };
        self.by_port.insert(port, rest);
    }

    pub(crate) fn succeeded(&mut self, port: u16) {
        self.by_port.remove(&port);
    }
}
