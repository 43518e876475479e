//! Bytes from one open file to another, within the kernel where it can, and never beyond recall.

use std::fs::File;
use std::io::{self, Read, Write};

use rustix::fs::copy_file_range;
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

/// How much is copied between two looks at the token, in bytes.
const STEP: usize = 16 << 20;
const BUFFER: usize = 1 << 20;

/// Copies from `from`'s position until its end, but no more than `len` bytes, to `to`'s position. Gives the number of
/// bytes copied, or nothing if it was called off.
pub fn copy_bytes(from: &File, to: &File, len: u64, cancel: &CancellationToken) -> io::Result<Option<u64>> {
    let mut done = 0;
    while done < len {
        if cancel.is_cancelled() {
            return Ok(None);
        }
        let step = usize::try_from(len - done).unwrap_or(STEP).min(STEP);
        match copy_file_range(from, None, to, None, step) {
            // Some file systems (procfs) say so although there is more to read.
            Ok(0) => return by_hand(from, to, done, len, cancel),
            Ok(n) => done += n as u64,
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::BADF) => {
                return by_hand(from, to, done, len, cancel);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(done))
}

fn by_hand(
    mut from: &File,
    mut to: &File,
    mut done: u64,
    len: u64,
    cancel: &CancellationToken,
) -> io::Result<Option<u64>> {
    let mut buffer = vec![0; BUFFER];
    while done < len {
        if cancel.is_cancelled() {
            return Ok(None);
        }
        let most = usize::try_from(len - done).unwrap_or(BUFFER).min(BUFFER);
        match from.read(&mut buffer[..most]) {
            Ok(0) => break,
            Ok(n) => {
                to.write_all(&buffer[..n])?;
                done += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(done))
}

#[cfg(test)]
mod tests {
    use std::io::Seek;

    use super::*;

    #[test]
    fn copies_no_more_than_asked_and_stops_when_told() {
        let mut from = tempfile::tempfile().unwrap();
        from.write_all(b"0123456789").unwrap();
        for (len, wanted) in [(4, "0123"), (10, "0123456789"), (99, "0123456789")] {
            let (mut to, go) = (tempfile::tempfile().unwrap(), CancellationToken::new());
            from.rewind().unwrap();
            assert_eq!(copy_bytes(&from, &to, len, &go).unwrap(), Some(wanted.len() as u64));
            to.rewind().unwrap();
            assert_eq!(io::read_to_string(&to).unwrap(), wanted);
            go.cancel();
            from.rewind().unwrap();
            assert_eq!(copy_bytes(&from, &to, len, &go).unwrap(), None);
        }
        // The kernel copies nothing out of procfs by itself.
        let (from, mut to) = (File::open("/proc/self/stat").unwrap(), tempfile::tempfile().unwrap());
        assert!(copy_bytes(&from, &to, 4096, &CancellationToken::new()).unwrap().unwrap() > 0);
        to.rewind().unwrap();
        assert!(io::read_to_string(&to).unwrap().starts_with(&std::process::id().to_string()));
    }
}
