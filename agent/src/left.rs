//! What a dead agent's attempt has left behind, for the application master to go on from.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use forebay_job::{Ack, Channel, Report, ReportScanner};
use forebay_protocol::v1;

use crate::folder::AttemptFolder;
use crate::journal;
use crate::told::{further, to_wire};
use crate::watch::BLOCK;

/// How far an attempt had come.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Left {
    /// Where in its stream each unit begins, in the order of their delivery.
    pub begins: Vec<v1::Begin>,
    /// The worker's furthest acknowledgement.
    pub ack: Option<v1::Ack>,
}

/// Reads what an attempt has left in its folder (`workers/<index>/<number>`), when its agent and its guard are gone. An
/// attempt that never began has left nothing. Memory is bounded whatever the worker has written.
pub fn read_attempt(folder: &Path) -> io::Result<Left> {
    let folder = AttemptFolder::at(folder);
    let begins = journal::read(&folder)?;
    let mut ack = None;
    let files = [
        (folder.stderr(), Channel::Stderr),
        (folder.acks(), Channel::Ack),
        (folder.acks_rest(), Channel::Ack),
    ];
    // What the agent took and what the guard took are one stream, and may part a line.
    let mut acks = ReportScanner::new(Channel::Ack);
    for (path, channel) in files {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        match channel {
            Channel::Stderr => {
                let mut scanner = ReportScanner::new(channel);
                scan(file, &mut scanner, &mut ack)?;
                scanner.finish(|report| keep(&report, &mut ack));
            }
            Channel::Ack => scan(file, &mut acks, &mut ack)?,
        }
    }
    acks.finish(|report| keep(&report, &mut ack));
    Ok(Left { begins, ack: ack.map(to_wire) })
}

fn scan(mut file: File, scanner: &mut ReportScanner, ack: &mut Option<Ack>) -> io::Result<()> {
    let mut buffer = vec![0; BLOCK];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => scanner.push(&buffer[..read], |report| keep(&report, ack)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn keep<E>(report: &Result<Report, E>, ack: &mut Option<Ack>) {
    if let Ok(Report::Ack(said)) = report {
        *ack = Some(further(*ack, *said));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn records(n: u64) -> v1::Ack {
        to_wire(Ack::Records(n))
    }

    #[test]
    fn a_torn_line_does_not_count_and_a_parted_one_does() {
        let room = tempfile::tempdir().unwrap();
        let folder = AttemptFolder::at(room.path());
        assert_eq!(read_attempt(folder.path()).unwrap(), Left::default());
        let line = |unit: u64, bytes: u64| {
            format!(
                "{{\"unit\":{unit},\"bytes\":{bytes},\"records\":0,\"skipped_bytes\":0,\"skipped_records\":0}}\n"
            )
        };
        let whole = line(7, 0) + &line(9, 100);
        fs::write(folder.journal(), whole.clone() + &line(11, 200)[..20]).unwrap();
        fs::write(folder.stderr(), "x\nreporter ack:records=5\nnoise\nreporter ack:records=6").unwrap();
        let left = read_attempt(folder.path()).unwrap();
        assert_eq!(left.begins.iter().map(|begin| begin.unit).collect::<Vec<_>>(), [7, 9]);
        assert_eq!(left.ack, Some(records(6)));
        fs::write(folder.acks(), "ack:records=1\nack:rec").unwrap();
        fs::write(folder.acks_rest(), "ords=12\nack:records=13").unwrap();
        assert_eq!(read_attempt(folder.path()).unwrap().ack, Some(records(13)));
        fs::write(folder.journal(), whole + "{}\n").unwrap();
        assert!(read_attempt(folder.path()).unwrap_err().to_string().contains("line 3"));
    }
}
