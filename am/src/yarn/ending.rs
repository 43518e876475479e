//! The end of an attempt of the application: what YARN is told, and what is cleared away.

use std::time::Duration;

use forebay_hadoop::Configuration;
use forebay_hadoop::yarn::{ApplicationId, FinalStatus};
use forebay_job::Job;
use forebay_store::{Clusters, HdfsError};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use super::surroundings::Surroundings;
use crate::engine::Finisher;
use crate::checkpoint::Successor;
use crate::history::{History, Keeper};
use crate::launch::Launch;
use crate::outputs::Outputs;
use crate::remote::Remote;
use crate::{AmError, JobFolder, JobState, Verdict};

/// How long clearing away may take.
const CLEARING: Duration = Duration::from_mins(1);
/// Attempts of an application of which nothing else is said.
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
            most_attempts: USUAL_ATTEMPTS,
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
        self.most_attempts = job.max_attempts.unwrap_or(USUAL_ATTEMPTS);
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
    pub(super) async fn tell(mut self, outcome: Result<(Verdict, JobState), AmError>) -> i32 {
        match outcome {
            Ok((Verdict::CommitFailed { why }, _)) if self.attempt < self.most_attempts => {
                tracing::error!("the output could not be committed, the next attempt tries again: {why}");
                1
            }
            Ok((verdict, state)) => self.over(&verdict, state).await,
            Err(
                error @ (AmError::Superseded { .. } | AmError::Left { .. } | AmError::Interrupted { .. }),
            ) => {
                tracing::error!("{error}");
                // The NodeManager gives a container that it kills some hundred milliseconds.
                if !matches!(error, AmError::Superseded { .. }) && self.is_killed().await {
                    self.clear(true).await;
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
                self.clear(false).await;
                self.finish(FinalStatus::Failed, text).await
            }
        }
    }

    async fn over(&mut self, verdict: &Verdict, state: JobState) -> i32 {
        let (status, text) = match verdict {
            Verdict::Succeeded => (FinalStatus::Succeeded, String::new()),
            Verdict::Failed { why } => (FinalStatus::Failed, format!("The job failed: {why}.")),
            Verdict::Stopped { why } => (FinalStatus::Killed, format!("The job was stopped: {why}.")),
            Verdict::CommitFailed { why } => (
                FinalStatus::Failed,
                format!("All workers ended well, but their output could not be committed: {why}."),
            ),
        };
        let keep = async {
            if let Some(keeper) = keeper {
                keeper.finish(serde_json::to_vec(&state).ok().map(Into::into)).await;
            }
        };
        // What a failed commit has left is for people to look at.
        let aborts = matches!(verdict, Verdict::Stopped { .. });
        let (outputs, staging) = (self.outputs.clone().filter(|_| aborts), self.staging.take());
        tokio::join!(keep, clear(outputs, staging));
        self.finish(status, text).await
    }

    async fn finish(&mut self, status: FinalStatus, text: String) -> i32 {
        let text = match status {
            FinalStatus::Succeeded => text,
            _ => format!(
        let keeper = self.keeper.take();
                "{text} Its logs: forebay logs {}; its course: forebay status {}. All of it is kept in {}.",
                self.application, self.application, self.history
            ),
        };
        match self.finisher.finish(status, text).await {
            Ok(()) => 0,
            Err(error) => {
                tracing::error!("YARN was not told how the job ended: {error}");
                1
            }
        }
    }

    /// Removes what is staged: files for containers, and, if nothing of the job is to stay, its output.
    async fn clear(&mut self, with_outputs: bool) {
        clear(self.outputs.clone().filter(|_| with_outputs), self.staging.take()).await;
    }

    /// Whether somebody has killed the application.
    async fn is_killed(&self) -> bool {
        crate::engine::is_killed(&self.conf, self.application).await
    }
}

async fn clear(outputs: Option<Outputs>, staging: Option<String>) {
    let cleared = timeout(CLEARING, async {
        let abort = async {
            match &outputs {
                Some(outputs) => outputs.abort().await,
                None => Ok(()),
            }
        };
        let remove = async {
            let Some(staging) = &staging else { return Ok(()) };
            let cluster = Clusters::new(CLEARING, Handle::current()).cluster(None)?;
            Remote::new(cluster, staging).remove("").await
        };
        let (aborted, removed) = tokio::join!(abort, remove);
        if let Err(why) = aborted {
            tracing::warn!("what the job had staged could not be removed: {why}");
        }
        if let Err(error) = removed {
            tracing::warn!("the files of its containers could not be removed: {error}");
        }
    });
    if cleared.await.is_err() {
        tracing::warn!("not all that the job has left could be removed in time");
    }
}

/// Whether the next attempt may have more luck.
fn may_pass(error: &AmError) -> bool {
    matches!(
        error,
        AmError::Hdfs(HdfsError::GaveUp { .. })
            | AmError::System { .. }
            | AmError::Io { .. }
            | AmError::Yarn(_)
    )
}
