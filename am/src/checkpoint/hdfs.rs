//! The checkpoint on HDFS: files `ledger/<AM attempt>-<segment>.jsonl`.
//!
//! An AM writes to files of its own, named after its attempt (from 1). The ledger is the text of all attempts in order, each
//! without a torn last line; an attempt's text is that of its segments in order, from 0. Every append is made durable
//! (`hsync`). After an error in writing, the segment is closed as it is, and the next one goes on at the very byte.
//!
//! A new AM first makes its own first segment, then takes the files of earlier attempts from their writers, until there
//! are no new ones. One that lives on is told by its error, and by the segment of a higher attempt that it then finds: it is
//! superseded, and nothing that it writes later is ever read.

mod successor;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use forebay_scheduler::LedgerRecord;
use hdfs_native::file::FileWriter;

use super::{parse, whole};
use crate::AmError;
use crate::remote::{Remote, Trouble};

pub(crate) use successor::Successor;

/// The ledger's folder, to be appended to.
pub(crate) struct HdfsCheckpoint {
    folder: Remote,
    /// Of this application master, from 1.
    attempt: u32,
    segment: u32,
    /// Nothing after an error.
    writer: Option<FileWriter>,
    /// Bytes of the segment that are durable.
    durable: u64,
    pub(super) pending: Vec<u8>,
}

impl std::fmt::Debug for HdfsCheckpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HdfsCheckpoint")
            .field("attempt", &self.attempt)
            .field("segment", &self.segment)
            .field("durable", &self.durable)
            .finish_non_exhaustive()
    }
}

/// A file's name, and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Segment {
    attempt: u32,
    number: u32,
}

impl Segment {
    fn of(name: &str) -> Option<Self> {
        let (attempt, number) = name.strip_suffix(".jsonl")?.split_once('-')?;
        Some(Self { attempt: attempt.parse().ok()?, number: number.parse().ok()? })
    }

    fn name(self) -> String {
        format!("{}-{}.jsonl", self.attempt, self.number)
    }
}

impl HdfsCheckpoint {
    /// Makes this attempt's first segment, ends those of earlier ones, and reads their records.
    pub(crate) async fn open(folder: Remote, attempt: u32) -> Result<(Self, Vec<LedgerRecord>), AmError> {
        folder.make().await?;
        let first = Segment { attempt, number: 0 };
        let writer = folder.create(&first.name()).await?;
        let mut closed = BTreeSet::new();
        loop {
            let earlier = segments(&folder, attempt).await?.into_iter().filter(|s| s.attempt < attempt);
            let open: Vec<_> = earlier.filter(|segment| !closed.contains(segment)).collect();
            if open.is_empty() {
                break;
            }
            for segment in open {
                folder.close_for_writer(&segment.name()).await?;
                closed.insert(segment);
            }
        }
        let mut texts: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        for segment in closed {
            let text = folder.read(&segment.name()).await?.unwrap_or_default();
            texts.entry(segment.attempt).or_default().extend_from_slice(&text);
        }
        let text: Vec<_> = texts.values().flat_map(|text| whole(text)).copied().collect();
        let records = parse(&text, |why| AmError::Malformed { path: folder.address("").into(), why })?;
        let this =
            Self { folder, attempt, segment: 0, writer: Some(writer), durable: 0, pending: Vec::new() };
        Ok((this, records))
    }

    /// What is looked at to learn that this application master is superseded.
    pub(crate) fn successor(&self) -> Successor {
        Successor { folder: self.folder.clone(), attempt: self.attempt }
    }

    pub(super) async fn sync(&mut self) -> Result<(), AmError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut patience = self.folder.patience("write", &self.name());
        let mut tried = self.write().await;
        while let Err(trouble) = tried {
            self.writer = None;
            tracing::warn!(segment = self.segment, ?trouble, "the ledger could not be written to");
            // What HDFS thinks of this writer does not matter: the next one begins with asking it.
            if !patience.pause().await {
                return Err(match trouble {
                    Trouble::Hdfs(error) => {
                        patience.after(error).await.err().unwrap_or_else(|| patience.give_up())
                    }
                    Trouble::Silence => patience.give_up(),
                }
                .into());
            }
            self.next_segment().await?;
            tried = self.write().await;
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), Trouble> {
        let Some(writer) = self.writer.as_mut() else { return Err(Trouble::Silence) };
        if self.pending.is_empty() {
            return Ok(());
        }
        let bytes = Bytes::copy_from_slice(&self.pending);
        self.folder.once(Box::pin(writer.write_bytes(bytes))).await?;
        self.folder.once(Box::pin(writer.hsync())).await?;
        self.durable += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Closes the file. All that was appended is durable already.
    pub(super) async fn close(&mut self) {
        let Some(mut writer) = self.writer.take() else { return };
        if let Err(trouble) = self.folder.once(Box::pin(writer.close())).await {
            tracing::warn!(?trouble, "the ledger could not be closed; HDFS does that later");
        }
    }

    /// Closes the segment at the end that HDFS knows, and begins another for what is behind it.
    async fn next_segment(&mut self) -> Result<(), AmError> {
        let found = self.folder.close_for_writer(&self.name()).await?;
        let arrived = found.checked_sub(self.durable).and_then(|n| usize::try_from(n).ok());
        let Some(arrived) = arrived.filter(|&arrived| arrived <= self.pending.len()) else {
            let why = format!(
                "it has {found} bytes, which should be {} to {}",
                self.durable,
                self.durable + self.pending.len() as u64
            );
            return Err(AmError::Malformed { path: self.folder.address(&self.name()).into(), why });
        };
        self.pending.drain(..arrived);
        self.durable = found;
        let next = Segment { attempt: self.attempt, number: self.segment + 1 };
        let writer = self.folder.create(&next.name()).await?;
        // After it was made: whoever supersedes this application master looks for it after making its own.
        segments(&self.folder, self.attempt).await?;
        (self.segment, self.writer, self.durable) = (next.number, Some(writer), 0);
        Ok(())
    }

    fn name(&self) -> String {
        Segment { attempt: self.attempt, number: self.segment }.name()
    }
}

/// All segments, in order; an error if there is one of a higher attempt.
async fn segments(folder: &Remote, attempt: u32) -> Result<BTreeSet<Segment>, AmError> {
    let segments: BTreeSet<_> =
        folder.list().await?.iter().filter_map(|file| Segment::of(&file.name)).collect();
    match segments.last() {
        Some(last) if last.attempt > attempt => Err(AmError::Superseded { by: last.attempt }),
        _ => Ok(segments),
    }
}

#[cfg(test)]
mod tests;
