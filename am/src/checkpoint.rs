//! The ledger's checkpoint: records appended durably, read again by whoever goes on with the job.

mod hdfs;
mod local;

use forebay_scheduler::LedgerRecord;

pub(crate) use hdfs::{HdfsCheckpoint, Successor};
pub(crate) use local::LocalCheckpoint;

use crate::AmError;

/// Where records are appended.
#[derive(Debug)]
pub(crate) enum Checkpoint {
    /// To a file of this machine.
    Local(LocalCheckpoint),
    /// To files on HDFS.
    Hdfs(Box<HdfsCheckpoint>),
}

impl Checkpoint {
    /// Takes a record, to be appended with the next [`sync`](Self::sync).
    pub(crate) fn push(&mut self, record: &LedgerRecord) -> Result<(), AmError> {
        let pending = match self {
            Self::Local(local) => &mut local.pending,
            Self::Hdfs(hdfs) => &mut hdfs.pending,
        };
        serde_json::to_writer(&mut *pending, record)
            .map_err(|error| AmError::System { action: "write the ledger", source: error.into() })?;
        pending.push(b'\n');
        Ok(())
    }

    /// Appends what was taken. It is durable when this returns.
    pub(crate) async fn sync(&mut self) -> Result<(), AmError> {
        match self {
            Self::Local(local) => local.sync(),
            Self::Hdfs(hdfs) => Box::pin(hdfs.sync()).await,
        }
    }

    /// Nothing more will be appended.
    pub(crate) async fn close(&mut self) {
        if let Self::Hdfs(hdfs) = self {
            hdfs.close().await;
        }
    }
}

/// What of a ledger's text ends with a line's end. A last line without it was being written when its writer ended: nothing
/// that depends on it was done.
fn whole(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
    &text[..end]
}

/// Parses whole lines; `wrong` makes an error of a line's number and what is wrong with it.
fn parse(text: &[u8], wrong: impl Fn(String) -> AmError) -> Result<Vec<LedgerRecord>, AmError> {
    let lines = text.split(|&b| b == b'\n').filter(|line| !line.is_empty());
    let record = |(at, line): (usize, &[u8])| {
        serde_json::from_slice(line).map_err(|error| wrong(format!("line {at}: {error}")))
    };
    (1..).zip(lines).map(record).collect()
}
