//! The ledger's checkpoint: records appended durably, read again by a resumed job.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use forebay_scheduler::LedgerRecord;

use crate::{AmError, JobFolder};

/// `ledger.jsonl`, to be appended to.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    path: PathBuf,
    file: File,
}

impl Checkpoint {
    /// Opens it, and makes it if it is not there.
    pub(crate) fn open(folder: &JobFolder) -> Result<Self, AmError> {
        let path = folder.ledger_file();
        let file = JobFolder::append(&path)?;
        folder.sync(&path)?;
        Ok(Self { path, file })
    }

    /// Appends a record. It is on disk when this returns.
    pub(crate) fn append(&mut self, record: &LedgerRecord) -> Result<(), AmError> {
        let mut write = || -> io::Result<()> {
            let mut line = serde_json::to_vec(record)?;
            line.push(b'\n');
            self.file.write_all(&line)?;
            self.file.sync_data()
        };
        write().map_err(AmError::io("write", &self.path))
    }

    /// The records of an earlier run; none if it ended before there was a ledger. A last line without its end was being written when that run ended: nothing that
    /// depends on it was done, and it is cut off.
    pub(crate) fn read(folder: &JobFolder) -> Result<Vec<LedgerRecord>, AmError> {
        let path = folder.ledger_file();
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => text.map_err(AmError::io("read", &path))?,
        };
        let whole = text.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            let file = File::options().write(true).open(&path).map_err(AmError::io("open", &path))?;
            file.set_len(whole as u64).and_then(|()| file.sync_all()).map_err(AmError::io("cut", &path))?;
        }
        let lines = text[..whole].split(|&b| b == b'\n').filter(|line| !line.is_empty());
        let record = |(at, line): (usize, &[u8])| {
            serde_json::from_slice(line).map_err(|error| AmError::Malformed {
                path: path.clone(),
                why: format!("line {at}: {error}"),
            })
        };
        (1..).zip(lines).map(record).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_scheduler::Attempt;

    #[test]
    fn a_torn_last_line_is_cut_off_and_a_torn_earlier_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("job.toml"), "").unwrap();
        let folder = JobFolder::open(folder.path()).unwrap();
        let record = |number| LedgerRecord::Started { attempt: Attempt { index: 0, number } };
        assert_eq!(Checkpoint::read(&folder).unwrap(), []);
        let mut ledger = Checkpoint::open(&folder).unwrap();
        ledger.append(&record(1)).unwrap();
        ledger.file.write_all(b"{\"record\":\"sta").unwrap();
        drop(ledger);
        assert_eq!(Checkpoint::read(&folder).unwrap(), [record(1)]);
        let mut ledger = Checkpoint::open(&folder).unwrap();
        ledger.append(&record(2)).unwrap();
        assert_eq!(Checkpoint::read(&folder).unwrap(), [record(1), record(2)]);
        ledger.file.write_all(b"{\"record\":\"sta\n").unwrap();
        let error = Checkpoint::read(&folder).unwrap_err();
        assert!(error.to_string().contains("line 3"), "{error}");
    }
}
