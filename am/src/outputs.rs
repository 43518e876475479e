//! The job's outputs: what is done with them, one thing after the other, beside the dispatcher.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use forebay_job::Job;
use forebay_output::{OutputDir, OutputError, commit};
use forebay_scheduler::Attempt;
use forebay_store::{Address, Clusters};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::AmError;

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Task {
    /// Remove what an attempt has staged.
    Discard(Attempt),
    /// Make the staged parts of these attempts visible.
    Commit(Vec<Attempt>),
    /// Remove all that is staged.
    Abort,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Done {
    Discarded(Attempt, Result<(), String>),
    Committed(Result<(), CommitFailure>),
    Aborted(Result<(), String>),
}

/// A commit that did not come to be.
#[derive(Debug)]
pub(crate) struct CommitFailure {
    pub(crate) why: String,
    /// What was staged is gone: trying again is of no use.
    pub(crate) is_final: bool,
}

/// The outputs of a job.
#[derive(Debug, Clone)]
pub(crate) struct Outputs {
    dirs: Vec<OutputDir>,
    /// [`OPEN`] until a commit begins or none may any more, for all clones.
    fate: Arc<AtomicU8>,
}

const OPEN: u8 = 0;
const COMMITTING: u8 = 1;
const GIVEN_UP: u8 = 2;

impl Outputs {
    /// Touches nothing.
    pub(crate) fn open(job: &Job, id: &str) -> Result<Self, AmError> {
        let clusters = Clusters::new(job.hdfs_timeout, Handle::current());
        let dir = |output: &forebay_job::Output| {
            Ok(OutputDir::open(&Address::parse(output.path.as_ref())?, id, &clusters)?)
        };
        let dirs = job.outputs.iter().map(dir).collect::<Result<_, AmError>>()?;
        Ok(Self { dirs, fate: Arc::new(AtomicU8::new(OPEN)) })
    }

    /// Lets no commit begin any more. Says whether none has begun: one that has may still be under way, beside whoever asks.
    pub(crate) fn give_up(&self) -> bool {
        self.turn(GIVEN_UP)
    }

    fn turn(&self, fate: u8) -> bool {
        let turned = self.fate.compare_exchange(OPEN, fate, Ordering::SeqCst, Ordering::SeqCst);
        turned.map_or_else(|was| was == fate, |_| true)
    }

    /// Their paths, in full.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.dirs.iter().map(OutputDir::address).collect()
    }

    /// Looks whether they can be written to, and makes the places for staging.
    pub(crate) async fn begin(&self) -> Result<(), AmError> {
        for dir in &self.dirs {
            dir.begin().await?;
        }
        Ok(())
    }

    /// Carries out tasks in the order in which they come, until no more can.
    pub(crate) fn start(self) -> (mpsc::UnboundedSender<Task>, mpsc::UnboundedReceiver<Done>) {
        let (tasks, mut to_do) = mpsc::unbounded_channel();
        let (tell, done) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(task) = to_do.recv().await {
                if tell.send(self.carry_out(task).await).is_err() {
                    return;
                }
            }
        });
        (tasks, done)
    }

    async fn carry_out(&self, task: Task) -> Done {
        match task {
            Task::Discard(attempt) => {
                let staged = forebay_output::Attempt { index: attempt.index, number: attempt.number };
                let mut result = Ok(());
                for dir in &self.dirs {
                    result = result.and(dir.discard(staged).await.map_err(|error| error.to_string()));
                }
                Done::Discarded(attempt, result)
            }
            Task::Commit(_) if !self.turn(COMMITTING) => Done::Committed(Err(CommitFailure {
                why: "the application master is ending".to_owned(),
                is_final: false,
            })),
            Task::Commit(attempts) => {
                let attempts: Vec<_> = attempts
                    .into_iter()
                    .map(|Attempt { index, number }| forebay_output::Attempt { index, number })
                    .collect();
                let committed = commit(&self.dirs, &attempts).await;
                Done::Committed(
                    committed.map_err(|error| CommitFailure {
                        why: error.to_string(),
                        is_final: error.is_refusal(),
                    }),
                )
            }
            Task::Abort => Done::Aborted(self.abort().await.map_err(|error| error.to_string())),
        }
    }

    /// Removes all that the job has staged; nothing where it is committed.
    pub(crate) async fn abort(&self) -> Result<(), OutputError> {
        forebay_output::abort(&self.dirs).await
    }
}
