//! How long and how often an operation is tried.

use std::time::{Duration, Instant};

use hdfs_native::HdfsError as NativeError;

use crate::{HdfsError, may_pass, server_message};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How often and how long an operation has been tried since it last made progress.
#[derive(Debug)]
pub struct Patience {
    action: &'static str,
    path: String,
    timeout: Duration,
    since: Instant,
    tries: u32,
    pause: Duration,
    last: Option<String>,
}

impl Patience {
    pub(crate) fn new(action: &'static str, path: String, timeout: Duration) -> Self {
        Self { action, path, timeout, since: Instant::now(), tries: 0, pause: FIRST_PAUSE, last: None }
    }

    /// Progress was made: the time starts anew.
    pub fn renew(&mut self) {
        (self.since, self.tries, self.pause, self.last) = (Instant::now(), 0, FIRST_PAUSE, None);
    }

    /// How long the next try may take.
    pub fn left(&self) -> Duration {
        self.timeout.saturating_sub(self.since.elapsed()).max(Duration::from_millis(1))
    }

    /// Pauses after a failure that may pass, or gives the error up.
    pub async fn after(&mut self, error: NativeError) -> Result<(), HdfsError> {
        self.tries += 1;
        if !may_pass(&error) {
            return Err(HdfsError::Refused { action: self.action, path: self.path.clone(), source: error });
        }
        self.last = Some(server_message(&error));
        tracing::info!(action = self.action, path = self.path, tries = self.tries, %error, "a try failed");
        if self.pause().await { Ok(()) } else { Err(self.give_up()) }
    }

    /// Pauses before another try, or says that the time does not allow one.
    pub async fn pause(&mut self) -> bool {
        if self.since.elapsed() + self.pause >= self.timeout {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }

    /// The error of an operation whose time is over.
    pub fn give_up(&self) -> HdfsError {
        HdfsError::GaveUp {
            action: self.action,
            path: self.path.clone(),
            tries: self.tries.max(1),
            waited: self.since.elapsed(),
            last: self.last.clone().unwrap_or_else(|| "none, it did not answer".into()),
        }
    }
}
