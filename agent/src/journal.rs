//! The feed's journal: where in an attempt's stream each unit begins, written before its first byte is delivered.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Write};

use forebay_feeder::{LeaseObserver, StreamPosition};
use forebay_protocol::v1;
use serde::{Deserialize, Serialize};

use crate::folder::{AttemptFolder, new_file};
use crate::stream::Stream;

/// One line of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// Unit of the ledger.
    unit: u64,
    /// Bytes delivered since the attempt's start.
    bytes: u64,
    /// Records delivered since the attempt's start, where they are counted.
    records: u64,
    /// Bytes of the unit's own stream that were left out.
    skipped_bytes: u64,
    /// Records of the unit's own stream that were left out.
    skipped_records: u64,
}

/// Writes the journal, and tells the rest of the agent.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    stream: Stream,
}

impl Journal {
    /// A new journal. There must be none: two agents would feed the same attempt.
    pub(crate) fn create(folder: &AttemptFolder, stream: Stream) -> io::Result<Self> {
        let file = new_file(OpenOptions::new().create_new(true).append(true)).open(folder.journal())?;
        Ok(Self { file, stream })
    }
}

impl LeaseObserver for Journal {
    fn begin(&mut self, unit: u64, at: StreamPosition, skipped: StreamPosition) -> io::Result<()> {
        let line = Line {
            unit,
            bytes: at.bytes,
            records: at.records,
            skipped_bytes: skipped.bytes,
            skipped_records: skipped.records,
        };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        self.file.write_all(&text)?;
        self.stream.begins(line.into());
        Ok(())
    }
}

impl From<Line> for v1::Begin {
    fn from(line: Line) -> Self {
        let position = |bytes, records| Some(v1::StreamPosition { bytes, records });
        Self {
            unit: line.unit,
            at: position(line.bytes, line.records),
            skipped: position(line.skipped_bytes, line.skipped_records),
        }
    }
}

/// Reads the journal of an attempt whose agent is dead; empty if there is none. A last line that was not written to its
/// end does not count: none of its unit was delivered.
pub(crate) fn read(folder: &AttemptFolder) -> io::Result<Vec<v1::Begin>> {
    let file = match File::open(folder.journal()) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let (mut reader, mut line, mut begins) = (BufReader::new(file), Vec::new(), Vec::new());
    loop {
        line.clear();
        // The longest line has five numbers.
        let mut limited = io::Read::take(&mut reader, 1 << 10);
        limited.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Ok(begins);
        }
        let read: Line = serde_json::from_slice(&line).map_err(|error| {
            let why =
                format!("line {} of {} is damaged: {error}", begins.len() + 1, folder.journal().display());
            io::Error::new(ErrorKind::InvalidData, why)
        })?;
        begins.push(read.into());
    }
}
