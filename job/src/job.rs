//! A job: everything its user has said of it, checked.

use core::num::NonZeroU64;
use core::time::Duration;
use std::collections::BTreeMap;

use forebay_record::{Delimiter, Format, Terminator};
use serde::{Deserialize, Serialize};

use crate::choice::{EarlyExit, Framing, InputMode, LineEnding, OnRestart, OutputMode, SequenceFields};
use crate::paths::{InputPath, LinkedFile, Output};
use crate::places;
use crate::values::{self, FormatName, Misplaced, RecordOptions};
use crate::{Draft, JobError, checks};

/// A job. It comes from a [`Draft`] or from a file's text alone, and so its parts go together.
///
/// To other processes it goes as the text of its file, and is checked again where it arrives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub struct Job {
    /// Shown to people. Default: the command's file name.
    pub name: String,
    /// What each worker runs: a program and its arguments, at least the program.
    pub command: Vec<String>,
    /// How many workers, at least 1.
    pub workers: u32,
    /// Bytes of memory of each worker, if said.
    pub worker_memory: Option<u64>,
    /// Cores of each worker, if said.
    pub worker_cores: Option<u32>,
    /// GPUs of each worker; on one machine 0.
    pub worker_gpus: u32,
    /// In the order given, at least one.
    pub inputs: Vec<InputPath>,
    /// How workers get the inputs.
    pub input_mode: InputMode,
    /// What a record is.
    pub format: FormatName,
    /// What ends a line, if not any line ending.
    pub delimiter: Option<Delimiter>,
    /// How delivered lines end.
    pub line_ending: LineEnding,
    /// How delivered records are set apart.
    pub framing: Framing,
    /// What of a SequenceFile's records is delivered.
    pub sequencefile: SequenceFields,
    /// Bytes per split; else the HDFS block, or a default for local files.
    pub split_size: Option<NonZeroU64>,
    /// How many times everything is fed, at least 1.
    pub epochs: u64,
    /// Whether HDFS replicas of this host are compared with their checksums.
    pub verify: bool,
    /// How long to go on trying when HDFS does not answer.
    pub hdfs_timeout: Duration,
    /// Where each host keeps blocks that came over the network: an absolute path.
    pub cache_dir: Option<String>,
    /// How many bytes of them each host keeps; given with `cache_dir`, and only then.
    pub cache_size: Option<u64>,
    /// Where results go; none of them lies in another.
    pub outputs: Vec<Output>,
    /// What of a worker is output.
    pub output_mode: OutputMode,
    /// Variables for the workers.
    pub env: BTreeMap<String, String>,
    /// Local files and folders linked into the workers' folders.
    pub files: Vec<LinkedFile>,
    /// How often each worker may be started again.
    pub max_restarts: u32,
    /// What an exit with 0 before the end of the input means.
    pub early_exit: EarlyExit,
    /// What the input of a dead worker becomes.
    pub on_restart: OnRestart,
    /// Whether a restarted worker gets the folder of its predecessor (on the same host).
    pub keep_folder: bool,
    /// How long the job may take.
    pub job_timeout: Option<Duration>,
    /// Where the job keeps its own files, if not at the usual place.
    pub job_dir: Option<String>,
    /// The queue, if not the cluster's default.
    pub queue: Option<String>,
    /// Within the queue.
    pub priority: Option<u32>,
    /// Of the nodes to run on.
    pub node_label: Option<String>,
    /// Bytes of memory of the application master's container.
    pub am_memory: u64,
    /// Cores of the application master's container.
    pub am_cores: u32,
    /// How often the application master is started, if not as often as the cluster allows.
    pub max_attempts: Option<u32>,
    /// Local archives, unpacked in the workers' folders.
    pub archives: Vec<LinkedFile>,
    /// Files on HDFS, linked into the workers' folders.
    pub cache_files: Vec<LinkedFile>,
    /// Archives on HDFS, unpacked in the workers' folders.
    pub cache_archives: Vec<LinkedFile>,
    /// Of the application.
    pub tags: Vec<String>,
    /// How long to wait for all workers' containers.
    pub wait_timeout: Duration,
    /// Whether a worker that was out of memory gets more.
    pub grow_memory: bool,
}

/// How long to wait for all workers' containers, unless said otherwise.
const WAIT_TIMEOUT: Duration = Duration::from_mins(15);
/// Memory of an application master's container, unless said otherwise.
const AM_MEMORY: u64 = 256 << 20;
/// How long HDFS may stay silent, unless said otherwise.
const HDFS_TIMEOUT: Duration = Duration::from_secs(30);

impl Job {
    /// A job of which nothing has been said yet: each setting at its default, those without one empty.
    pub(crate) fn blank() -> Self {
        Self {
            name: String::new(),
            command: Vec::new(),
            workers: 1,
            worker_memory: None,
            worker_cores: None,
            worker_gpus: 0,
            inputs: Vec::new(),
            input_mode: InputMode::Stream,
            format: FormatName::Auto,
            delimiter: None,
            line_ending: LineEnding::Keep,
            framing: Framing::Raw,
            sequencefile: SequenceFields::Value,
            split_size: None,
            epochs: 1,
            verify: true,
            hdfs_timeout: HDFS_TIMEOUT,
            cache_dir: None,
            cache_size: None,
            outputs: Vec::new(),
            output_mode: OutputMode::Upload,
            env: BTreeMap::new(),
            files: Vec::new(),
            max_restarts: 3,
            early_exit: EarlyExit::Fail,
            on_restart: OnRestart::ReplayAll,
            keep_folder: false,
            job_timeout: None,
            job_dir: None,
            queue: None,
            priority: None,
            node_label: None,
            am_memory: AM_MEMORY,
            am_cores: 1,
            max_attempts: None,
            archives: Vec::new(),
            cache_files: Vec::new(),
            cache_archives: Vec::new(),
            tags: Vec::new(),
            wait_timeout: WAIT_TIMEOUT,
            grow_memory: false,
        }
    }

    /// Reads a job file's text. The file must say all that a job needs; see [`Draft::from_toml`] for one that
    /// flags complete.
    pub fn from_toml(text: &str) -> Result<Self, JobError> {
        Draft::from_toml(text)?.build()
    }

    /// The text of its file: its name, its command, and what differs from the defaults.
    pub fn to_toml(&self) -> String {
        crate::file::write(self)
    }

    /// The record format that `format` and the options for it make together.
    pub fn record_format(&self) -> Format {
        let lines = || Format::Lines(self.delimiter.clone().map_or(Terminator::Any, Terminator::Delimiter));
        // A draft with options for another format is refused, so this never falls back.
        self.checked_format().unwrap_or_else(|_| lines())
    }

    /// The same, or the option that does not go with the format.
    pub(crate) fn checked_format(&self) -> Result<Format, Misplaced> {
        let options = RecordOptions {
            delimiter: self.delimiter.as_ref(),
            line_ending: self.line_ending,
            framing: self.framing,
            sequencefile: self.sequencefile,
        };
        values::record_format(self.format, options)
    }

    /// Whether files' names may say that they are of another format than [`Self::record_format`].
    pub fn is_format_by_name(&self) -> bool {
        values::is_by_name(self.format, self.delimiter.as_ref(), self.line_ending)
    }

    /// The inputs by alias; aliases and paths in the order given.
    pub fn inputs_by_alias(&self) -> Vec<(&str, Vec<&str>)> {
        let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
        for input in &self.inputs {
            match groups.iter_mut().find(|(alias, _)| *alias == input.alias) {
                Some((_, paths)) => paths.push(&input.path),
                None => groups.push((&input.alias, vec![&input.path])),
            }
        }
        groups
    }

    /// Makes what is relative to the user's folder independent of it: outputs, linked files and the job folder.
    /// `folder` is an absolute path. Inputs stay as written (they may be globs): they are looked up once, when
    /// the job is planned.
    pub fn at(mut self, folder: &str) -> Result<Self, JobError> {
        for output in &mut self.outputs {
            output.path = places::join(folder, &output.path);
        }
        for file in self.files.iter_mut().chain(&mut self.archives) {
            file.path = places::join(folder, &file.path);
        }
        self.job_dir = self.job_dir.map(|dir| places::join(folder, &dir));
        // Only now `out` and `/home/me/out` are known to be the same.
        checks::outputs(&self)?;
        Ok(self)
    }

    /// As [`Self::at`], for a cluster whose default file system is `hdfs://authority`: there paths without a scheme are on that
    /// file system, relative ones below `home`, an absolute path of it. What is shipped is on this machine, seen from `folder`.
    pub fn on_cluster(mut self, authority: &str, home: &str, folder: &str) -> Result<Self, JobError> {
        let stored = |what: &str, path: &mut String| {
            *path =
                places::stored(authority, home, path).ok_or_else(|| checks::on_this_machine(what, path))?;
            Ok(())
        };
        for input in &mut self.inputs {
            stored("input", &mut input.path)?;
        }
        for output in &mut self.outputs {
            stored("output", &mut output.path)?;
        }
        for file in self.cache_files.iter_mut().chain(&mut self.cache_archives) {
            stored("cache file", &mut file.path)?;
        }
        for file in self.files.iter_mut().chain(&mut self.archives) {
            file.path = places::join(folder, &file.path);
        }
        checks::outputs(&self)?;
        Ok(self)
    }
}

impl From<Job> for String {
    fn from(job: Job) -> Self {
        job.to_toml()
    }
}

impl TryFrom<String> for Job {
    type Error = JobError;

    fn try_from(text: String) -> Result<Self, JobError> {
        Self::from_toml(&text)
    }
}
