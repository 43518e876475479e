//! The plan: inputs to files, and where their splits lie, kept in the job's folder so that a resumed job has the same splits.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use forebay_feeder::{FileEntry, Hdfs, Input, Plan, PlanError, PlanOptions};
use forebay_job::values::FormatName;
use forebay_job::{InputMode, Job};
use forebay_protocol::v1;
use forebay_record::Format;
use forebay_scheduler::{Granted, Skip};
use forebay_split::{FileLen, Shard, SplitTable};
use serde::{Deserialize, Serialize};

use crate::folder::private;
use crate::located::Located;
use crate::{AmError, JobFolder};

/// The version of `plan.json` that is written here. Version 1, which does not say where splits lie, is read too.
const VERSION: u32 = 2;

/// The input of a job, file by file.
#[derive(Debug)]
pub struct JobPlan {
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
    /// Where units lie, where that was asked for.
    #[serde(default, skip_serializing_if = "Located::is_empty")]
    located: Located,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptFile {
    /// Which of the aliases.
    alias: usize,
    #[serde(flatten)]
    file: FileEntry,
}

/// Files of each format that the names of a job's inputs say.
#[derive(Debug, Default)]
struct Named {
    tfrecord: Option<String>,
    other: Option<String>,
}

impl Named {
    /// Notes the files of one input. All inputs of a job have one format.
    fn note(&mut self, format: &Format, files: &[FileEntry]) -> Result<(), PlanError> {
        let Some(file) = files.first() else { return Ok(()) };
        let place = if *format == Format::TfRecord { &mut self.tfrecord } else { &mut self.other };
        place.get_or_insert_with(|| file.address.clone());
        match (&self.tfrecord, &self.other) {
            (Some(path), Some(other)) => Err(PlanError::Mixed { path: path.clone(), other: other.clone() }),
            _ => Ok(()),
        }
    }
}

impl JobPlan {
    /// Looks up the inputs of a job, which may take as long as HDFS takes to answer. What their names say of the format is
    /// written into the job, where nobody else has said it.
    pub fn new(id: &str, job: &mut Job) -> Result<Self, AmError> {
        Self::plan(id, job, false)
    }

    /// As [`JobPlan::new`], and asks where the files on HDFS lie. Not to be called from async code.
    pub fn located(id: &str, job: &mut Job) -> Result<Self, AmError> {
        Self::plan(id, job, true)
    }

    fn plan(id: &str, job: &mut Job, locate: bool) -> Result<Self, AmError> {
        let by_file = job.input_mode != InputMode::Stream;
        let mut aliases: Vec<String> = Vec::new();
        let mut files = Vec::new();
        let mut located = Located::default();
        let by_name = !by_file && job.is_format_by_name();
        let mut named = Named::default();
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
            let format = if by_file { Format::Bytes } else { job.record_format() };
            let options = PlanOptions { format, by_name, split_size: job.split_size, shard: Shard::WHOLE };
            let plan = Plan::new(&inputs, options, Hdfs::new(job.hdfs_timeout))?;
            let entries = plan.entries()?;
            named.note(plan.format(), &entries)?;
            if locate {
                located.add(&plan, &entries, by_file)?;
            }
            files.extend(entries.into_iter().map(|file| KeptFile { alias, file }));
        }
        if named.tfrecord.is_some() && by_name {
            job.format = FormatName::TfRecord;
        }
        files.shrink_to_fit();
        Ok(Self::of(Kept { version: VERSION, job: id.to_owned(), aliases, files, located }, job))
    }

    fn of(kept: Kept, job: &Job) -> Self {
        let lens = kept
            .files
            .iter()
            .map(|KeptFile { file, .. }| FileLen { len: file.len, split_size: file.split_size });
        let splits = SplitTable::new(lens.collect());
        Self { kept, splits, by_file: job.input_mode != InputMode::Stream }
    }

    /// The same plan under another id, when that is known only later.
    #[must_use]
    pub fn with_job_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.kept.job);
        self
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

    /// The content of `plan.json`.
    pub fn to_json(&self) -> Result<Vec<u8>, AmError> {
        serde_json::to_vec(&self.kept)
            .map_err(|error| AmError::io("write", Path::new("plan.json"))(error.into()))
    }

    /// The plan of a job that was begun.
    pub(crate) fn read(folder: &JobFolder, job: &Job) -> Result<Self, AmError> {
        let path = folder.plan_file();
        let file = File::open(&path).map_err(AmError::io("open", &path))?;
        Self::from_json(BufReader::new(file), &path, job)
    }

    /// The plan that [`JobPlan::to_json`] wrote. `path` is for messages.
    pub fn from_json(text: impl Read, path: &Path, job: &Job) -> Result<Self, AmError> {
        let malformed = |why: String| AmError::Malformed { path: path.to_owned(), why };
        let kept: Kept = serde_json::from_reader(text).map_err(|error| malformed(error.to_string()))?;
        if !(1..=VERSION).contains(&kept.version) {
            return Err(malformed(format!(
                "it has version {}, this program reads versions up to {VERSION}",
                kept.version
            )));
        }
        if kept.files.iter().any(|file| file.alias >= kept.aliases.len()) {
            return Err(malformed("a file's alias is not there".to_owned()));
        }
        let plan = Self::of(kept, job);
        plan.kept.located.check(plan.units()).map_err(malformed)?;
        Ok(plan)
    }

    /// Where the units lie; empty where that was not asked for.
    pub fn places(&self) -> &Located {
        &self.kept.located
    }

    /// Bytes of each unit of an epoch, in order.
    pub fn unit_bytes(&self) -> impl Iterator<Item = u64> + use<'_> {
        let files: &[KeptFile] = if self.by_file { &self.kept.files } else { &[] };
        let splits = if self.by_file { 0 } else { self.splits.len() };
        let splits = (0..splits).filter_map(|at| self.splits.get(at));
        files.iter().map(|file| file.file.len).chain(splits.map(|split| split.end - split.start))
    }

    /// The hosts with bytes of units that lie on them, the most first.
    pub fn host_bytes(&self) -> Vec<(&str, u64)> {
        let located = &self.kept.located;
        let mut bytes = vec![0; located.hosts().len()];
        for (hosts, len) in located.units().zip(self.unit_bytes()) {
            for &host in hosts {
                if let Some(bytes) = bytes.get_mut(host as usize) {
                    *bytes += len;
                }
            }
        }
        let mut all: Vec<_> = located.hosts().iter().map(String::as_str).zip(bytes).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        all
    }

    /// The job's id.
    pub fn job_id(&self) -> &str {
        &self.kept.job
    }

    /// How many files there are.
    pub fn files(&self) -> usize {
        self.kept.files.len()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.kept.files.iter().map(|file| file.file.len).sum()
    }

    /// Units of an epoch: splits, or files where whole files are given.
    pub fn units(&self) -> u64 {
        if self.by_file { self.kept.files.len() as u64 } else { self.splits.len() }
    }

    /// Whether whole files are given, and not splits.
    pub fn is_by_file(&self) -> bool {
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
