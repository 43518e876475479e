//! What an application that has ended leaves behind when its application master could not clean up.

use forebay_job::Job;
use forebay_output::{OutputDir, OutputError};
use forebay_store::Address;

use crate::ClientError;
use crate::client::Client;

impl Client {
    /// Removes the staging folder of an application that is over, and what it has staged of its output, if they are still
    /// there: its application master removes both, last the folder. Says whether there was anything.
    pub(crate) async fn clean(&self, id: &str) -> Result<bool, ClientError> {
        let staging = self.site.staging(id);
        if self.site.remote.stat(&staging).await?.is_none() {
            return Ok(false);
        }
        if let Some(job) = self.history(id).job().await? {
            self.abort_outputs(id, &job).await?;
        }
        self.site.remote.remove(&staging).await?;
        Ok(true)
    }

    async fn abort_outputs(&self, id: &str, job: &Job) -> Result<(), ClientError> {
        for output in &job.outputs {
            let address = Address::parse(output.path.as_ref());
            let address = address.map_err(|error| ClientError::Refused(error.to_string()))?;
            match OutputDir::open(&address, id, &self.site.clusters)?.abort().await {
                // It had gone well.
                Ok(()) | Err(OutputError::Done { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
