//! The plan: inputs to files, kept in the job's folder so that a resumed job has the same splits.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};

use forebay_feeder::{FileEntry, Hdfs, Input, Plan, PlanError, PlanOptions};
use forebay_job::{InputMode, Job};
use forebay_protocol::v1;
use forebay_record::Format;
use forebay_scheduler::{Granted, Skip};
use forebay_split::{FileLen, Shard, SplitTable};
use serde::{Deserialize, Serialize};

use crate::folder::private;
use crate::{AmError, JobFolder};

/// The version of `plan.json` that is written and read here.
const VERSION: u32 = 1;

/// The input of a job, file by file.
#[derive(Debug)]
pub(crate) struct JobPlan {
    kept: Kept,
    splits: SplitTable,
    by_file: bool,
}

/// What is kept of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    job: String,
    /// Of the inputs.
    aliases: Vec<String>,
    files: Vec<KeptFile>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptFile {
    /// Which of the aliases.
    alias: usize,
    #[serde(flatten)]
    file: FileEntry,
}

impl JobPlan {
    /// Looks up the inputs of a job, which may take as long as HDFS takes to answer.
    pub(crate) fn new(id: &str, job: &Job) -> Result<Self, AmError> {
        let mut aliases: Vec<String> = Vec::new();
        let mut files = Vec::new();
        for inputs in job.inputs.chunk_by(|a, b| a.alias == b.alias) {
            let Some(name) = inputs.first().map(|input| &input.alias) else { continue };
            let known = aliases.iter().position(|alias| alias == name);
            let alias = known.unwrap_or_else(|| {
                aliases.push(name.clone());
                aliases.len() - 1
            });
            let inputs = inputs.iter().map(|input| Input::parse(input.path.as_ref()));
            let inputs: Vec<_> = inputs.collect::<Result<_, _>>().map_err(PlanError::from)?;
            // What is given as whole files may be of any format.
            let format =
                if job.input_mode == InputMode::Stream { job.record_format() } else { Format::Bytes };
            let options = PlanOptions { format, split_size: job.split_size, shard: Shard::WHOLE };
            let plan = Plan::new(&inputs, options, Hdfs::new(job.hdfs_timeout))?;
            files.extend(plan.entries()?.into_iter().map(|file| KeptFile { alias, file }));
        }
        files.shrink_to_fit();
        Ok(Self::of(Kept { version: VERSION, job: id.to_owned(), aliases, files }, job))
    }

    fn of(kept: Kept, job: &Job) -> Self {
        let lens = kept
            .files
            .iter()
            .map(|KeptFile { file, .. }| FileLen { len: file.len, split_size: file.split_size });
        let splits = SplitTable::new(lens.collect());
        Self { kept, splits, by_file: job.input_mode != InputMode::Stream }
    }

    /// Keeps it in the job's folder.
    pub(crate) fn write(&self, folder: &JobFolder) -> Result<(), AmError> {
        let path = folder.plan_file();
        let write = || {
            let mut file = BufWriter::new(private().write(true).create_new(true).open(&path)?);
            serde_json::to_writer(&mut file, &self.kept)?;
            file.flush()
        };
        write().map_err(AmError::io("write", &path))?;
        folder.sync(&path)
    }

    /// The plan of a job that was begun.
    pub(crate) fn read(folder: &JobFolder, job: &Job) -> Result<Self, AmError> {
        let path = folder.plan_file();
        let file = File::open(&path).map_err(AmError::io("open", &path))?;
        let malformed = |why: String| AmError::Malformed { path: path.clone(), why };
        let kept: Kept =
            serde_json::from_reader(BufReader::new(file)).map_err(|error| malformed(error.to_string()))?;
        if kept.version != VERSION {
            return Err(malformed(format!(
                "it has version {}, this program reads version {VERSION}",
                kept.version
            )));
        }
        if kept.files.iter().any(|file| file.alias >= kept.aliases.len()) {
            return Err(malformed("a file's alias is not there".to_owned()));
        }
        Ok(Self::of(kept, job))
    }

    /// The job's id.
    pub(crate) fn job_id(&self) -> &str {
        &self.kept.job
    }

    /// How many files there are.
    pub(crate) fn files(&self) -> usize {
        self.kept.files.len()
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.kept.files.iter().map(|file| file.file.len).sum()
    }

    /// Units of an epoch: splits, or files where whole files are given.
    pub(crate) fn units(&self) -> u64 {
        if self.by_file { self.kept.files.len() as u64 } else { self.splits.len() }
    }

    /// Whether whole files are given, and not splits.
    pub(crate) fn is_by_file(&self) -> bool {
        self.by_file
    }

    /// Bytes of each unit, where whole files are given.
    pub(crate) fn file_bytes(&self) -> Option<Vec<u64>> {
        self.by_file.then(|| self.kept.files.iter().map(|file| file.file.len).collect())
    }

    /// A split, to be sent to an agent.
    pub(crate) fn split(&self, granted: Granted) -> Option<v1::Split> {
        let split = self.splits.get(granted.unit % self.splits.len().max(1))?;
        let behind = match granted.skip {
            Skip::None => None,
            Skip::Records(n) => Some(v1::skip::Behind::Records(n)),
            Skip::Bytes(n) => Some(v1::skip::Behind::Bytes(n)),
        };
        Some(v1::Split {
            unit: granted.unit,
            file: Some(message(&self.kept.files.get(split.file)?.file)),
            start: split.start,
            end: split.end,
            skip: behind.map(|behind| v1::Skip { behind: Some(behind) }),
        })
    }

    /// A file, to be sent to an agent.
    pub(crate) fn file(&self, granted: Granted) -> Option<v1::StaticFile> {
        let file = self.kept.files.get(usize::try_from(granted.unit).ok()?)?;
        let alias = self.kept.aliases.get(file.alias)?.clone();
        Some(v1::StaticFile { unit: granted.unit, file: Some(message(&file.file)), alias })
    }
}

fn message(file: &FileEntry) -> v1::File {
    let identity = |(device, inode)| v1::Identity { device, inode };
    v1::File {
        address: file.address.clone(),
        len: file.len,
        split_size: file.split_size.get(),
        identity: file.identity.map(identity),
    }
}
