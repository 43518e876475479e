//! The plan: inputs to files, files to splits, splits to one share. All that can be refused is refused here,
//! before a worker is started.

use std::num::NonZeroU64;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use forebay_record::Format;
use forebay_split::{FileLen, Shard, Split, splits};

use crate::hdfs::{Cluster, HdfsNamespace};
use crate::listing::{FileFacts, Found, LocalNamespace, expand};
use crate::{FileEntry, Hdfs, Input, PlanError, codec, names};

/// The split size of local files, in bytes, where none is asked for: HDFS's usual block.
pub const LOCAL_SPLIT_SIZE: NonZeroU64 = NonZeroU64::new(128 << 20).unwrap();

/// How inputs are cut and shared.
#[derive(Debug, Clone)]
pub struct PlanOptions {
    /// What a record is.
    pub format: Format,
    /// Where all files' names say that they are of one other format, they are of that. Files of several are refused then.
    pub by_name: bool,
    /// Bytes per split; default is the HDFS block, [`LOCAL_SPLIT_SIZE`] for local files. A file whose name says that it is
    /// compressed is one split, and so is a tar archive.
    pub split_size: Option<NonZeroU64>,
    /// Which share of the splits is fed.
    pub shard: Shard,
}

/// What will be fed, and in which order.
#[derive(Debug)]
pub struct Plan {
    pub(crate) options: PlanOptions,
    pub(crate) files: Vec<Arc<PlannedFile>>,
    lens: Vec<FileLen>,
    splits: u64,
    total_splits: u64,
    bytes: u64,
    /// Keeps the clients' threads alive as long as the plan can be fed.
    _hdfs: Hdfs,
}

/// A file of the plan.
#[derive(Debug)]
pub(crate) struct PlannedFile {
    pub(crate) place: Place,
    /// Length in bytes when planned: what is fed, even if the file has grown since.
    pub(crate) len: u64,
    /// Bytes of each of its splits but the last.
    pub(crate) split_size: NonZeroU64,
    /// Device and inode of a local file.
    pub(crate) identity: Option<(u64, u64)>,
}

/// Where a file is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Local(PathBuf),
    Hdfs(Arc<Cluster>, String),
}

impl PlannedFile {
    pub(crate) fn is_on_hdfs(&self) -> bool {
        matches!(self.place, Place::Hdfs(..))
    }

    /// The path or address to show.
    pub(crate) fn name(&self) -> String {
        match &self.place {
            Place::Local(path) => path.display().to_string(),
            Place::Hdfs(cluster, path) => cluster.address(path),
        }
    }
}

impl Plan {
    /// Looks the inputs up and deals the splits.
    pub fn new(inputs: &[Input], mut options: PlanOptions, mut hdfs: Hdfs) -> Result<Self, PlanError> {
        let mut files = Vec::new();
        for input in inputs {
            for (place, FileFacts { len, block_size, identity }) in look_up(input, &mut hdfs)? {
                let block = block_size.and_then(NonZeroU64::new).unwrap_or(LOCAL_SPLIT_SIZE);
                let split_size = options.split_size.unwrap_or(block);
                files.push(PlannedFile { place, len, split_size, identity });
            }
        }
        if options.by_name
            && let Some(format) = names::format(files.iter().map(PlannedFile::name))?
        {
            options.format = format;
        }
        for file in &mut files {
            check(file, &options.format)?;
            if options.format == Format::Tar || codec::by_name(&options.format, &file.name()).is_some() {
                file.split_size = NonZeroU64::new(file.len).unwrap_or(file.split_size);
            }
        }
        let lens = files.iter().map(|file| FileLen { len: file.len, split_size: file.split_size }).collect();
        let files = files.into_iter().map(Arc::new).collect();
        let mut plan = Self { options, files, lens, splits: 0, total_splits: 0, bytes: 0, _hdfs: hdfs };
        plan.total_splits = splits(&plan.lens).count() as u64;
        (plan.splits, plan.bytes) =
            plan.share().fold((0, 0), |(count, bytes), split| (count + 1, bytes + split.end - split.start));
        Ok(plan)
    }

    /// The share's splits, in order. Made anew each time: there may be very many.
    pub fn share(&self) -> impl Iterator<Item = Split> + use<'_> {
        splits(&self.lens).filter(|split| self.options.shard.owns(split.ordinal))
    }

    /// The files of the inputs, in a form that can be kept and sent. Their splits are those of
    /// [`forebay_split::splits`].
    pub fn entries(&self) -> Result<Vec<FileEntry>, PlanError> {
        self.files.iter().map(|file| FileEntry::of(file)).collect()
    }

    /// Files of the inputs, whether or not this share reads from them.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Splits of the share.
    pub fn splits(&self) -> u64 {
        self.splits
    }

    /// Splits of all shares together.
    pub fn total_splits(&self) -> u64 {
        self.total_splits
    }

    /// Bytes of the share's splits; what is delivered differs by the lines that reach over its ends.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether `path` is one of the local files, by whatever name.
    pub fn reads(&self, path: &Path) -> bool {
        let identity = path.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
        identity.is_some() && self.files.iter().any(|file| file.identity == identity)
    }

    /// The record format: the one asked for, or what the files' names say.
    pub fn format(&self) -> &Format {
        &self.options.format
    }

    /// The share.
    pub fn shard(&self) -> Shard {
        self.options.shard
    }
}

fn look_up(input: &Input, hdfs: &mut Hdfs) -> Result<Vec<(Place, FileFacts)>, PlanError> {
    let place = |found: Vec<Found>, place: &dyn Fn(PathBuf) -> Place| {
        found.into_iter().map(|(path, facts)| (place(path), facts)).collect()
    };
    match input {
        Input::Local(path) => {
            let found = expand(&LocalNamespace, path, &input.to_string())?;
            Ok(place(found, &Place::Local))
        }
        Input::Hdfs { authority, path } => {
            let cluster = hdfs.cluster(authority.as_deref())?;
            // NameNodes refuse `//` and a slash at the end.
            let path: PathBuf = PathBuf::from(path).components().collect();
            let found = expand(&HdfsNamespace(&cluster), &path, &input.to_string())?;
            let at = |path: PathBuf| Place::Hdfs(Arc::clone(&cluster), path.to_string_lossy().into_owned());
            Ok(place(found, &at))
        }
    }
}

fn check(file: &PlannedFile, format: &Format) -> Result<(), PlanError> {
    codec::check(format, &file.name(), file.len)?;
    match format {
        Format::Fixed(record) if !file.len.is_multiple_of(record.get()) => Err(PlanError::Remainder {
            path: file.name(),
            len: file.len,
            record: record.get(),
            remainder: file.len % record.get(),
        }),
        _ => Ok(()),
    }
}
