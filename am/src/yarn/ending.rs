//! The end of an attempt of the application: what YARN is told, and what is cleared away.

use std::time::Duration;

use forebay_hadoop::Configuration;
use forebay_hadoop::yarn::{ApplicationId, FinalStatus};
use forebay_job::Job;
use forebay_output::OutputError;
use forebay_store::{Clusters, HdfsError};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use super::surroundings::Surroundings;
use crate::checkpoint::Successor;
use crate::dispatcher::Over;
use crate::engine::Finisher;
use crate::history::{History, Keeper};
use crate::launch::Launch;
use crate::outputs::Outputs;
use crate::remote::Remote;
use crate::{AmError, JobFolder, Verdict};

/// How long clearing away may take.
const CLEARING: Duration = Duration::from_mins(1);
/// How many attempts an application has of which nothing is said.
const ATTEMPTS: &str = "yarn.resourcemanager.am.max-attempts";
/// How many it may have at most, if that is said.
const MOST_ATTEMPTS: &str = "yarn.resourcemanager.am.global.max-attempts";
/// Where the configuration says nothing either.
const USUAL_ATTEMPTS: u32 = 2;

/// What there is to do at the end.
pub(super) struct Ending {
    application: ApplicationId,
    attempt: u32,
    most_attempts: u32,
    history: String,
    finisher: Finisher,
    conf: Configuration,
    outputs: Option<Outputs>,
    staging: Option<String>,
    keeper: Option<Keeper>,
}

impl Ending {
    pub(super) fn new(here: &Surroundings, history: &History, finisher: Finisher) -> Self {
        Self {
            application: here.container.application(),
            attempt: here.attempt(),
            most_attempts: most_attempts(None, &here.conf),
            history: history.address(),
            finisher,
            conf: here.conf.clone(),
            outputs: None,
            staging: None,
            keeper: None,
        }
    }

    /// The job is known by now.
    pub(super) fn knows(&mut self, job: &Job, launch: &Launch, outputs: &Outputs) {
        self.most_attempts = most_attempts(job.max_attempts, &self.conf);
        self.outputs = Some(outputs.clone());
        self.staging = Some(launch.staging.clone());
    }

    /// Begins to keep the job's state.
    pub(super) fn keep(
        &mut self,
        history: &History,
        folder: &JobFolder,
        successor: Successor,
    ) -> watch::Sender<bytes::Bytes> {
        let keeper = history.keep(folder, successor);
        let states = keeper.states();
        self.keeper = Some(keeper);
        states
    }

    /// Tells YARN how the job ended, if it did. Returns the status to exit with.
    pub(super) async fn tell(mut self, outcome: Result<Over, AmError>) -> i32 {
        match outcome {
            Ok(Over { verdict: Verdict::CommitFailed { why }, mut ledger, .. })
                if self.attempt < self.most_attempts =>
            {
                ledger.close().await;
                tracing::error!("the output could not be committed, the next attempt tries again: {why}");
                1
            }
            Ok(over) => self.over(over).await,
            Err(
                error @ (AmError::Superseded { .. } | AmError::Left { .. } | AmError::Interrupted { .. }),
            ) => {
                tracing::error!("{error}");
                // The NodeManager gives a container that it kills some hundred milliseconds. A commit may still be under way in
                // this process: that is left to a client. So are the files for containers, by which a client knows that
                // workers may have staged more before they ended.
                if !matches!(error, AmError::Superseded { .. })
                    && self.is_killed().await
                    && self.outputs.as_ref().is_none_or(Outputs::give_up)
                {
                    abort(self.outputs.as_ref()).await;
                }
                1
            }
            Err(error) if may_pass(&error) && self.attempt < self.most_attempts => {
                tracing::error!("{error}; the next attempt goes on");
                1
            }
            Err(error) => {
                tracing::error!("{error}");
                let text = format!("The job could not be carried out: {error}.");
                let is_clear = match self.keeper.take() {
                    // The job was carried out, and what was begun with its output may still be under way: that is left, with
                    // the files for containers, to a client.
                    Some(keeper) => {
                        keeper.finish(None).await;
                        false
                    }
                    None => abort(self.outputs.as_ref()).await,
                };
                self.finish(FinalStatus::Failed, text, is_clear).await
            }
        }
    }

    async fn over(&mut self, over: Over) -> i32 {
        let Over { ref verdict, state, mut ledger, .. } = over;
        let (status, text) = match verdict {
            Verdict::Succeeded => (FinalStatus::Succeeded, String::new()),
            Verdict::Failed { why } => (FinalStatus::Failed, format!("The job failed: {why}.")),
            Verdict::Stopped { why } => (FinalStatus::Killed, format!("The job was stopped: {why}.")),
            Verdict::CommitFailed { why } => (
                FinalStatus::Failed,
                format!("All workers ended well, but their output could not be committed: {why}."),
            ),
        };
        let keeper = self.keeper.take();
        let keep = async {
            if let Some(keeper) = keeper {
                keeper.finish(serde_json::to_vec(&state).ok().map(Into::into)).await;
            }
        };
        let outputs = self.outputs.clone();
        let abort = async {
            match verdict {
                Verdict::Failed { .. } | Verdict::Stopped { .. } => abort(outputs.as_ref()).await,
                Verdict::Succeeded | Verdict::CommitFailed { .. } => true,
            }
        };
        let ((), is_clear) = tokio::join!(keep, abort);
        if matches!(verdict, Verdict::CommitFailed { .. }) {
            // What the commit has left is for people to look at. Whoever finds the staging folder of an application that is
            // over removes that, too; and no other attempt needs the folder.
            self.unstage().await;
        }
        // All that is in it is durable. That HDFS takes its time to close it is nothing that a client should wait for.
        let (status, ()) = tokio::join!(self.finish(status, text, is_clear), ledger.close());
        status
    }

    /// Tells YARN that the application is over, and then, if no output `is_clear` of its staging any more, removes the files for
    /// containers: until YARN has heard it, there may be another attempt, which needs them.
    async fn finish(&mut self, status: FinalStatus, text: String, is_clear: bool) -> i32 {
        let text = match status {
            FinalStatus::Succeeded => text,
            _ => format!(
                "{text} Its logs: forebay logs {}; its course: forebay status {}. All of it is kept in {}.",
                self.application, self.application, self.history
            ),
        };
        match self.finisher.finish(status, text).await {
            Ok(()) => {
                if is_clear {
                    self.unstage().await;
                }
                0
            }
            Err(error) => {
                tracing::error!("YARN was not told how the job ended: {error}");
                1
            }
        }
    }

    /// Removes the files for containers. Clients take the folder as a sign that there may be staged output, too: it goes last.
    async fn unstage(&mut self) {
        let Some(staging) = self.staging.take() else { return };
        let remove = async {
            let cluster = Clusters::new(CLEARING, Handle::current()).cluster(None)?;
            Remote::new(cluster, &staging).remove("").await
        };
        match timeout(CLEARING, remove).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the files of its containers could not be removed: {error}"),
            Err(_) => tracing::warn!("the files of its containers could not be removed in time"),
        }
    }

    /// Whether somebody has killed the application.
    async fn is_killed(&self) -> bool {
        crate::engine::is_killed(&self.conf, self.application).await
    }
}

/// Removes all output that is staged. Says whether nothing of it is left: what turns out to be committed is left to a client, which
/// finishes that.
async fn abort(outputs: Option<&Outputs>) -> bool {
    let Some(outputs) = outputs else { return true };
    match timeout(CLEARING, outputs.abort()).await {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => tracing::warn!("what the job had staged could not be removed: {error}"),
        Err(_) => tracing::warn!("what the job had staged could not be removed in time"),
    }
    false
}

/// How many attempts YARN gives to an application that asks for so many.
fn most_attempts(asked: Option<u32>, conf: &Configuration) -> u32 {
    let said = |name| conf.trimmed(name).ok().flatten()?.parse().ok();
    let usual = said(ATTEMPTS).unwrap_or(USUAL_ATTEMPTS);
    asked.map_or(usual, |asked| asked.min(said(MOST_ATTEMPTS).unwrap_or(usual)))
}

/// Whether the next attempt may have more luck.
fn may_pass(error: &AmError) -> bool {
    matches!(
        error,
        AmError::Hdfs(HdfsError::GaveUp { .. })
            | AmError::Output(OutputError::Hdfs(HdfsError::GaveUp { .. }))
            | AmError::System { .. }
            | AmError::Io { .. }
            | AmError::Yarn(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_has_no_more_attempts_than_the_cluster_allows() {
        let most = |asked, settings: &[(&str, &str)]| {
            let mut conf = Configuration::empty();
            for (name, value) in settings {
                conf.set(*name, *value);
            }
            most_attempts(asked, &conf)
        };
        assert_eq!([None, Some(1), Some(9)].map(|asked| most(asked, &[])), [2, 1, 2]);
        let some = [(ATTEMPTS, "4")];
        assert_eq!([None, Some(1), Some(9)].map(|asked| most(asked, &some)), [4, 1, 4]);
        let more = [(ATTEMPTS, "3"), (MOST_ATTEMPTS, "6")];
        assert_eq!([None, Some(5), Some(9)].map(|asked| most(asked, &more)), [3, 5, 6]);
    }

    #[test]
    fn an_output_that_hdfs_does_not_answer_for_may_be_there_for_the_next_attempt() {
        let gave_up = HdfsError::GaveUp {
            action: "make",
            path: "hdfs://c/out".into(),
            tries: 3,
            waited: Duration::from_secs(9),
            last: "nobody is there".into(),
        };
        assert!(may_pass(&AmError::Output(gave_up.into())));
        let taken = OutputError::NotEmpty { path: "hdfs://c/out".into(), entry: "x".into() };
        assert!(!may_pass(&taken.into()));
    }
}
