//! Looking at jobs, from any machine that has the configuration.

use std::collections::BTreeMap;

use forebay_am::{Condition, JobState, Verdict};
use futures_util::{StreamExt, stream};

use crate::ClientError;
use crate::application::{Application, ApplicationState, is_application_id};
use crate::client::Client;
use crate::follow::verdict;
use crate::history::History;
use crate::site::short;

/// So many jobs are listed.
const MOST: usize = 200;
/// So many folders are read at once.
const AT_ONCE: usize = 8;

/// How a job stands.
#[derive(Debug)]
pub struct Status {
    /// The application's id.
    pub id: String,
    /// In a word.
    pub condition: Condition,
    /// How it ended, if it is over.
    pub verdict: Option<Verdict>,
    /// As YARN has it, if it still knows.
    pub application: Option<Application>,
    /// As its application master has it, or had when that was written down.
    pub state: Option<JobState>,
    /// The job's folder, in full.
    pub folder: String,
}

impl Client {
    /// How a job stands.
    pub fn status(&self, id: &str) -> Result<Status, ClientError> {
        self.runtime.block_on(async {
            let history = self.history(id);
            let application = self.application(id).await?;
            let runs = application.as_ref().is_some_and(|found| found.state == ApplicationState::Running);
            let live = if runs { self.link(id).state().await? } else { None };
            let state = if live.is_some() { live } else { history.state().await? };
            if application.is_none() && state.is_none() {
                return Err(self.no_job(id, &history).await);
            }
            Ok(status(id, application, state, &history))
        })
    }

    /// The user's jobs, the latest first, `MOST` at most: those that YARN knows, and those of which there are folders.
    pub fn list(&self) -> Result<Vec<Status>, ClientError> {
        self.runtime.block_on(async {
            let known = self.rm.applications(short(&self.site.user)).await?;
            let mut all: BTreeMap<(u64, u64), (String, Option<Application>)> = BTreeMap::new();
            for folder in self.site.remote.list(&self.site.jobs()).await? {
                let id = folder.path.rsplit('/').next().unwrap_or_default();
                if let Some(key) = order(id).filter(|_| folder.isdir) {
                    all.insert(key, (id.to_owned(), None));
                }
            }
            for application in known {
                if let Some(key) = order(&application.id) {
                    all.insert(key, (application.id.clone(), Some(application)));
                }
            }
            let latest = all.into_values().rev().take(MOST);
            let looked = latest.map(|(id, application)| async move {
                let history = self.history(&id);
                // One that cannot be read is there all the same.
                let state = history.state().await.unwrap_or(None);
                status(&id, application, state, &history)
            });
            Ok(stream::iter(looked).buffered(AT_ONCE).collect().await)
        })
    }

    /// What YARN says of a job, if it knows it. Other applications, and those of others, are refused.
    pub(crate) async fn application(&self, id: &str) -> Result<Option<Application>, ClientError> {
        self.rm.report(id).await?.map(|application| application.of(&self.site.user)).transpose()
    }

    /// Why there is no such job.
    pub(crate) async fn no_job(&self, id: &str, history: &History) -> ClientError {
        let folder = history.address();
        let why = match history.job().await {
            Ok(Some(_)) => {
                format!("the ResourceManager does not know it, and {folder} does not say how it ended")
            }
            _ => format!(
                "the ResourceManager of this configuration does not know it, and {folder} is not there; jobs of {} are listed by \
                 'forebay list'",
                self.site.user
            ),
        };
        ClientError::NoJob { id: id.to_owned(), why }
    }
}

/// By time, then by number.
fn order(id: &str) -> Option<(u64, u64)> {
    let (timestamp, number) =
        id.strip_prefix("application_").filter(|_| is_application_id(id))?.split_once('_')?;
    Some((timestamp.parse().ok()?, number.parse().ok()?))
}

fn status(id: &str, application: Option<Application>, state: Option<JobState>, history: &History) -> Status {
    let is_over = application.as_ref().map(|application| application.state.is_over());
    let has_ended = state.as_ref().is_some_and(|state| state.phase == forebay_am::Phase::Finished);
    let ended = match is_over {
        Some(is_over) => is_over,
        None => has_ended,
    };
    let verdict = ended.then(|| verdict(state.as_ref(), application.as_ref()).0);
    let condition = match &verdict {
        Some(Verdict::Succeeded) => Condition::Succeeded,
        Some(Verdict::Failed { .. } | Verdict::CommitFailed { .. }) => Condition::Failed,
        Some(Verdict::Stopped { .. }) => Condition::Stopped,
        None if application.is_some() => Condition::Running,
        None => Condition::Lost,
    };
    Status { id: id.to_owned(), condition, verdict, application, state, folder: history.address() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_in_the_order_of_their_submission() {
        assert!(order("application_1700000000000_10000") > order("application_1700000000000_9999"));
        assert!(order("application_1700000000001_0001") > order("application_1700000000000_10000"));
        assert_eq!(order("job_20260102_030405_abcd"), None);
    }
}
