//! A worker's standard output as its part: a file of this machine, or one on HDFS.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::note::{Kind, Staged};
use crate::store::{Local, Store, failed, sync_folder};
use crate::{Attempt, OutputDir, OutputError};

mod hdfs;

pub use self::hdfs::HdfsStream;

/// Where a worker's standard output goes.
#[derive(Debug)]
pub enum StreamTarget {
    /// To a file, which the worker itself may have as its standard output.
    Local(LocalStream),
    /// To HDFS, through this process.
    Hdfs(Box<HdfsStream>),
}

/// A part that is a file of this machine.
#[derive(Debug)]
pub struct LocalStream {
    output: OutputDir,
    attempt: Attempt,
    path: PathBuf,
    room: String,
}

impl OutputDir {
    /// A place for the standard output of a worker's attempt. What was staged of the same attempt before is gone.
    pub async fn stream(&self, attempt: Attempt) -> Result<StreamTarget, OutputError> {
        let room = self.make_room(attempt).await?;
        let part = format!("{room}/{}", attempt.part());
        match &self.store {
            Store::Local(local) => {
                let path = local.path(&part);
                let stream = LocalStream { output: self.clone(), attempt, path, room };
                stream.make(local).await?;
                Ok(StreamTarget::Local(stream))
            }
            Store::Hdfs(hdfs) => {
                let stream = HdfsStream::create(self.clone(), hdfs.clone(), attempt, part).await?;
                Ok(StreamTarget::Hdfs(Box::new(stream)))
            }
        }
    }

    /// Says that an attempt's streamed part is whole.
    async fn set_streamed(&self, attempt: Attempt, len: u64) -> Result<Staged, OutputError> {
        let part = format!("{}/{}", self.staging(&attempt.to_string()), attempt.part());
        let found = self.store.tally(&part).await?.unwrap_or_default();
        let mut tally = crate::Tally::default();
        tally.file(b"", len);
        if found != tally {
            return Err(OutputError::Mismatch { path: self.store.address(&part), wanted: tally, found });
        }
        let staged = Staged { kind: Kind::Stream, tally, absent: false };
        self.set_note(&self.staging(&format!("{attempt}.staged")), staged).await?;
        Ok(staged)
    }
}

impl LocalStream {
    async fn make(&self, local: &Local) -> Result<(), OutputError> {
        let path = self.path.clone();
        local
            .run(move |_| {
                File::options()
                    .write(true)
                    .create_new(true)
                    .open(&path)
                    .map(drop)
                    .map_err(failed("write", &path))
            })
            .await
    }

    /// The file, empty and there.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file, open for one writer.
    pub fn open(&self) -> Result<File, OutputError> {
        File::options().write(true).open(&self.path).map_err(failed("write", &self.path))
    }

    /// The worker has ended and nobody writes any more: its part is whole, and on the disk.
    pub async fn finish(self) -> Result<Staged, OutputError> {
        let Store::Local(local) = &self.output.store else { return Err(OutputError::Cancelled) };
        let (path, room) = (self.path.clone(), local.path(&self.room));
        let len = local.run(move |_| {
            let file = File::open(&path).map_err(failed("read", &path))?;
            file.sync_all().map_err(failed("write", &path))?;
            sync_folder(&room)?;
            Ok(file.metadata().map_err(failed("read", &path))?.len())
        });
        self.output.set_streamed(self.attempt, len.await?).await
    }
}
