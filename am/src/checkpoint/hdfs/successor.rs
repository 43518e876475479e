//! The next attempt of the application master: whoever makes a segment of the ledger has taken over from all before it.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::segments;
use crate::AmError;
use crate::remote::Remote;

/// Between two looks for it.
const LOOK: Duration = Duration::from_secs(10);

/// What an application master knows its successor by. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Successor {
    pub(super) folder: Remote,
    /// Of the application master that may have one, from 1.
    pub(super) attempt: u32,
}

impl Successor {
    /// Looks whether there is one: [`AmError::Superseded`].
    pub(crate) async fn look(&self) -> Result<(), AmError> {
        segments(&self.folder, self.attempt).await.map(drop)
    }

    /// Looks for it while there is `silence`: the ResourceManager, which would tell, does not answer. Returns when there is one.
    pub(crate) async fn wait(self, mut silence: watch::Receiver<bool>) -> AmError {
        while silence.wait_for(|is_silent| *is_silent).await.is_ok() {
            match self.look().await {
                Ok(()) => {}
                Err(error @ AmError::Superseded { .. }) => return error,
                Err(error) => tracing::warn!("nobody knows whether another attempt has taken over: {error}"),
            }
            sleep(LOOK).await;
        }
        // Whoever speaks with the ResourceManager has ended, and has said why.
        std::future::pending().await
    }
}
