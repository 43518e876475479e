//! The checkpoint on this machine: `ledger.jsonl` in the job's folder.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use forebay_scheduler::LedgerRecord;

use super::{parse, whole};
use crate::{AmError, JobFolder};

/// `ledger.jsonl`, to be appended to.
#[derive(Debug)]
pub(crate) struct LocalCheckpoint {
    path: PathBuf,
    file: File,
    pub(super) pending: Vec<u8>,
}

impl LocalCheckpoint {
    /// Opens it, and makes it if it is not there.
    pub(crate) fn open(folder: &JobFolder) -> Result<Self, AmError> {
        let path = folder.ledger_file();
        let file = JobFolder::append(&path)?;
        folder.sync(&path)?;
        Ok(Self { path, file, pending: Vec::new() })
    }

    pub(super) fn sync(&mut self) -> Result<(), AmError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.pending).and_then(|()| self.file.sync_data());
        written.map_err(AmError::io("write", &self.path))?;
        self.pending.clear();
        Ok(())
    }

    /// The records of an earlier run; none if it ended before there was a ledger. A torn last line is cut off.
    pub(crate) fn read(folder: &JobFolder) -> Result<Vec<LedgerRecord>, AmError> {
        let path = folder.ledger_file();
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => text.map_err(AmError::io("read", &path))?,
        };
        let whole = whole(&text);
        if whole.len() < text.len() {
            let file = File::options().write(true).open(&path).map_err(AmError::io("open", &path))?;
            let cut = file.set_len(whole.len() as u64).and_then(|()| file.sync_all());
            cut.map_err(AmError::io("cut", &path))?;
        }
        parse(whole, |why| AmError::Malformed { path: path.clone(), why })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Checkpoint;
    use super::*;
    use forebay_scheduler::Attempt;

    #[tokio::test]
    async fn a_torn_last_line_is_cut_off_and_a_torn_earlier_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("job.toml"), "").unwrap();
        let folder = JobFolder::open(folder.path()).unwrap();
        let record = |number| LedgerRecord::Started { attempt: Attempt { index: 0, number } };
        assert_eq!(LocalCheckpoint::read(&folder).unwrap(), []);
        let open = || Checkpoint::Local(LocalCheckpoint::open(&folder).unwrap());
        let tear = |text: &[u8]| JobFolder::append(&folder.ledger_file()).unwrap().write_all(text).unwrap();
        let mut ledger = open();
        ledger.push(&record(1)).unwrap();
        ledger.sync().await.unwrap();
        tear(b"{\"record\":\"sta");
        drop(ledger);
        assert_eq!(LocalCheckpoint::read(&folder).unwrap(), [record(1)]);
        let mut ledger = open();
        ledger.push(&record(2)).unwrap();
        assert_eq!(
            LocalCheckpoint::read(&folder).unwrap(),
            [record(1)],
            "it is not written before it is synced"
        );
        ledger.sync().await.unwrap();
        assert_eq!(LocalCheckpoint::read(&folder).unwrap(), [record(1), record(2)]);
        tear(b"{\"record\":\"sta\n");
        let error = LocalCheckpoint::read(&folder).unwrap_err();
        assert!(error.to_string().contains("line 3"), "{error}");
    }
}
