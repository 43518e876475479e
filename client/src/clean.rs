//! What an application that is over leaves behind when its application master could not clean up.

use std::time::{Duration, Instant};

use forebay_am::Verdict;
use forebay_output::{OutputDir, OutputError, abort, finish_commit};
use forebay_store::Address;
use tokio::time::sleep;

use crate::ClientError;
use crate::client::Client;

/// After so long the containers of an application that is over have ended: the ResourceManager tells their NodeManagers with
/// the next heartbeat, and those kill soon. Its application master removes the staging folder within that time, if it can.
const ENDING: Duration = Duration::from_secs(3);
/// How often is looked whether it has.
const LOOK: Duration = Duration::from_millis(100);

/// What was found of an application that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// It has cleaned up by itself.
    Nothing,
    /// What it had staged, which is gone now.
    Staged,
    /// Its output was committed all the same, and stays.
    Committed,
}

impl Client {
    /// Removes the staging folder of an application that is over, and what it has staged of its output, if they are still
    /// there: its application master removes both, last the folder.
    pub(crate) async fn clean(&self, id: &str, verdict: &Verdict) -> Result<Found, ClientError> {
        let staging = self.site.staging(id);
        if self.site.remote.stat(&staging).await?.is_none() {
            return Ok(Found::Nothing);
        }
        let outputs = match verdict {
            // What a failed commit has left is for people to look at.
            Verdict::Succeeded | Verdict::CommitFailed { .. } => Vec::new(),
            Verdict::Failed { .. } | Verdict::Stopped { .. } => self.outputs(id).await?,
        };
        // Until then its application master may be renaming there, and containers may be staging.
        if self.is_removed_within(&staging, ENDING).await? {
            return Ok(Found::Staged);
        }
        let found = undo(&outputs).await?;
        self.site.remote.remove(&staging).await?;
        Ok(found)
    }

    /// Where a job puts its output. Where its folder is gone, nobody knows.
    async fn outputs(&self, id: &str) -> Result<Vec<OutputDir>, ClientError> {
        let Some(job) = self.history(id).job().await? else { return Ok(Vec::new()) };
        let open = |path: &str| {
            let address = Address::parse(path.as_ref());
            let address = address.map_err(|error| ClientError::Refused(error.to_string()))?;
            Ok(OutputDir::open(&address, id, &self.site.clusters)?)
        };
        job.outputs.iter().map(|output| open(&output.path)).collect()
    }

    async fn is_removed_within(&self, path: &str, time: Duration) -> Result<bool, ClientError> {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            sleep(LOOK).await;
            if self.site.remote.stat(path).await?.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Takes back what is staged, and a commit that broke off. One that is done in one path is finished in all.
async fn undo(outputs: &[OutputDir]) -> Result<Found, OutputError> {
    match abort(outputs).await {
        Err(OutputError::Done { .. }) => finish_commit(outputs).await.map(|_| Found::Committed),
        aborted => aborted.map(|()| Found::Staged),
    }
}
