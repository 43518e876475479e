//! What is shown of a job at any time, and kept in `state.json` for those who ask later.

use std::fs;
use std::path::PathBuf;

use forebay_protocol::v1;
use forebay_scheduler::{Attempt, Counts, UnitName, Verdict, WorkerState};
use serde::{Deserialize, Serialize};

use crate::{AmError, JobFolder};

/// The version of `state.json` that is written here.
pub(crate) const VERSION: u32 = 1;

/// A job as it stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobState {
    /// Of this form.
    pub version: u32,
    /// The job's id.
    pub job: String,
    /// Its name.
    pub name: String,
    /// Where it keeps its files.
    pub folder: PathBuf,
    /// The application master's process.
    pub pid: u32,
    /// When this run of it began (RFC 3339, UTC).
    pub started: String,
    /// When this was written.
    pub updated: String,
    /// Seconds since this run began.
    pub seconds: f64,
    /// How far it is.
    pub phase: Phase,
    /// How it ended.
    pub verdict: Option<Verdict>,
    /// The exit status for whoever waits for the job, when there is a verdict.
    #[serde(default)]
    pub exit: Option<i32>,
    /// `stream`, `download` or `list`.
    pub input_mode: String,
    /// Bytes of memory that each worker is said to need.
    pub worker_memory: Option<u64>,
    /// Cores that each worker is said to need.
    pub worker_cores: Option<u32>,
    /// Files of the input.
    pub files: u64,
    /// Bytes to be fed: those of the files, times the epochs.
    pub bytes_planned: u64,
    /// Passes over the input.
    pub epochs: u64,
    /// Where the splits (in modes download and list: files) are.
    pub units: Counts,
    /// Bytes given to attempts that live or ended well, in this run.
    pub bytes: u64,
    /// The same, but of compressed files as they are stored: what `bytes_planned` is to be compared with.
    #[serde(default)]
    pub bytes_stored: u64,
    /// Bytes given to all attempts, in this run.
    pub bytes_moved: u64,
    /// Of the last seconds.
    pub gb_per_s: f64,
    /// The workers of this run.
    pub workers: Vec<WorkerReport>,
    /// Attempts that ended well in an earlier run.
    pub done_before: Vec<Attempt>,
    /// Splits that were or will be fed more than once.
    pub fed_again: u64,
    /// The first of them.
    pub fed_again_first: Vec<UnitName>,
    /// Splits that were not read to their end.
    pub partly_read: u64,
    /// The first of them, with the byte up to which they were read.
    pub partly_read_first: Vec<PartlyRead>,
    /// Where results appear.
    pub outputs: Vec<String>,
    /// What is to be said of a job on a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<OnCluster>,
}

/// What is to be said of a job on a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnCluster {
    /// The application's id.
    pub application: String,
    /// The queue that it is in.
    pub queue: String,
    /// The application master's attempt, from 1.
    pub attempt: u32,
    /// Where the application master's page is.
    pub tracking_url: String,
    /// The job's folder on HDFS.
    pub history: String,
    /// Containers asked for and not given yet.
    pub wanted: u32,
    /// Containers given and not gone.
    pub running: u32,
    /// Why containers are not given, as far as the cluster tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Workers run.
    Running,
    /// The output is being committed.
    Committing,
    /// It is over but for what still has to end.
    Ending,
    /// It is over.
    Finished,
}

/// A split that was not read to its end.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct PartlyRead {
    /// Which.
    #[serde(flatten)]
    pub split: UnitName,
    /// The byte of its stream behind the last one read.
    pub byte: u64,
}

/// A worker as it stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkerReport {
    /// The worker, from 0.
    pub index: u32,
    /// Its current or last attempt, from 1.
    pub attempt: u32,
    /// What it is doing.
    pub state: WorkerState,
    /// What its agent says it is doing: `downloading`, `running`, `staging`.
    pub activity: String,
    /// Restarts so far.
    pub restarts: u32,
    /// Restarts allowed.
    pub max_restarts: u32,
    /// Splits given to it and not yet read.
    pub leased: u64,
    /// Splits read by the current attempt.
    pub fed: u64,
    /// Splits done by this worker.
    pub done: u64,
    /// Its agent's process.
    pub agent_pid: Option<u32>,
    /// Its own process.
    pub worker_pid: Option<u32>,
    /// Where it runs.
    pub host: String,
    /// How far it says it is, 0 to 1.
    pub progress: Option<f64>,
    /// What it says of itself.
    pub status: Option<String>,
    /// What it counts: group, name, value.
    pub counters: Vec<(String, String, i64)>,
    /// Of its feed.
    pub figures: Figures,
    /// Why its last failed attempt failed.
    pub failure: Option<String>,
}

/// How a feed goes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Given to the worker.
    pub bytes: u64,
    /// Since the feed began.
    pub seconds: f64,
    /// Of late.
    pub gb_per_s: f64,
    /// Time in which the feed waited for the worker, in seconds.
    pub feed_waited_s: f64,
    /// Time in which the worker waited for the feed, in seconds.
    pub worker_waited_s: Option<f64>,
    /// `feed-bound`, `worker-bound`, `balanced`, or nothing.
    pub verdict: String,
    /// Read from HDFS replicas of this host.
    pub local_bytes: u64,
    /// Read from HDFS over the network.
    pub remote_bytes: u64,
    /// Passed through memory.
    pub copied_bytes: u64,
    /// As `bytes`, but of compressed files as they are stored.
    #[serde(default)]
    pub stored_bytes: u64,
}

impl From<v1::Figures> for Figures {
    fn from(figures: v1::Figures) -> Self {
        Self {
            bytes: figures.bytes,
            seconds: figures.seconds,
            gb_per_s: figures.gb_per_s,
            feed_waited_s: figures.feed_waited_s,
            worker_waited_s: figures.worker_waited_s,
            verdict: figures.verdict,
            local_bytes: figures.local_bytes,
            remote_bytes: figures.remote_bytes,
            copied_bytes: figures.copied_bytes,
            stored_bytes: figures.stored_bytes,
        }
    }
}

impl From<Figures> for v1::Figures {
    fn from(figures: Figures) -> Self {
        Self {
            bytes: figures.bytes,
            seconds: figures.seconds,
            gb_per_s: figures.gb_per_s,
            feed_waited_s: figures.feed_waited_s,
            worker_waited_s: figures.worker_waited_s,
            verdict: figures.verdict,
            local_bytes: figures.local_bytes,
            remote_bytes: figures.remote_bytes,
            copied_bytes: figures.copied_bytes,
            stored_bytes: figures.stored_bytes,
        }
    }
}

/// What became of a job, as far as its folder and its lock tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// An application master runs it.
    Running,
    /// Its output is committed.
    Succeeded,
    /// It failed for good.
    Failed,
    /// It was stopped, or its commit failed: it can be resumed.
    Stopped,
    /// Its application master is gone without a word: it can be resumed.
    Lost,
}

impl JobState {
    /// What was written last, and what it means now. No state: the job had not begun.
    pub fn read(folder: &JobFolder) -> Result<(Condition, Option<Self>), AmError> {
        // The lock first: who ends between the two looks finished, not lost.
        let running = folder.is_running();
        let path = folder.state_file();
        let state: Option<Self> = match fs::read(&path) {
            Ok(text) => Some(
                serde_json::from_slice(&text)
                    .map_err(|error| AmError::Malformed { path: path.clone(), why: error.to_string() })?,
            ),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(AmError::io("read", &path)(error)),
        };
        let verdict = state
            .as_ref()
            .filter(|state| state.phase == Phase::Finished)
            .and_then(|state| state.verdict.as_ref());
        let condition = match verdict {
            _ if running => Condition::Running,
            Some(Verdict::Succeeded) => Condition::Succeeded,
            Some(Verdict::Failed { .. }) => Condition::Failed,
            Some(Verdict::Stopped { .. } | Verdict::CommitFailed { .. }) => Condition::Stopped,
            None => Condition::Lost,
        };
        Ok((condition, state))
    }

    /// Replaces the file, and returns its content.
    pub(crate) fn write(&self, folder: &JobFolder) -> Result<Vec<u8>, AmError> {
        let path = folder.state_file();
        let text = serde_json::to_vec(self).map_err(|error| AmError::io("write", &path)(error.into()))?;
        JobFolder::write(&path, &text)?;
        Ok(text)
    }

    /// Planned bytes that were fed, from 0 to 1; where whole files are given, files that are done.
    pub fn fraction(&self) -> f64 {
        let said = self.workers.iter().filter_map(|worker| worker.progress);
        if !self.workers.is_empty() && said.clone().count() == self.workers.len() {
            return (said.sum::<f64>() / self.workers.len() as f64).clamp(0.0, 1.0);
        }
        let Counts { total, done, fed, .. } = self.units;
        let of_units = if total == 0 { 1.0 } else { (done + fed) as f64 / total as f64 };
        if self.input_mode == "stream" && self.done_before.is_empty() && self.bytes_planned > 0 {
            return (self.bytes_stored as f64 / self.bytes_planned as f64)
                .clamp(0.0, 1.0)
                .max(of_units.min(1.0));
        }
        of_units
    }
}
