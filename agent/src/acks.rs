//! The FIFO for a worker's acknowledgements.
//!
//! What is in a FIFO is gone when its last holder dies, and what was read from it when its reader does. So its bytes
//! go straight into a file, by `splice`, and are read there: whoever dies, no acknowledgement is lost.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};

use crate::folder::{AttemptFolder, new_file};

/// Bytes moved at once: what a FIFO holds.
const PIECE: usize = 64 << 10;
/// Above this many bytes the file is begun anew.
const LONGEST: u64 = 1 << 20;

/// The FIFO, open for both directions so that its writers come and go as they like.
#[derive(Debug)]
pub(crate) struct AckFifo(File);

impl AckFifo {
    pub(crate) fn open(folder: &AttemptFolder) -> io::Result<Self> {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        OpenOptions::new().read(true).write(true).custom_flags(flags).open(folder.fifo()).map(Self)
    }

    pub(crate) fn file(&self) -> &File {
        &self.0
    }

    /// Moves what is there to `offset` of a file; gives how much that was, 0 if nothing was there.
    fn move_to(&self, file: &File, offset: u64) -> io::Result<usize> {
        let mut at = offset;
        loop {
            let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
            match splice(&self.0, None, file, Some(&mut at), PIECE, flags) {
                Ok(n) => return Ok(n),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(0),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Keeps what is there for whoever looks after the agent's death. It makes no file if nothing is.
    pub(crate) fn save_rest(&mut self, folder: &AttemptFolder) -> io::Result<()> {
        if rustix::io::ioctl_fionread(&self.0)? == 0 {
            return Ok(());
        }
        let file = new_file(OpenOptions::new().create(true).truncate(true)).open(folder.acks_rest())?;
        let mut at = 0;
        loop {
            match self.move_to(&file, at)? {
                0 => return Ok(()),
                n => at += n as u64,
            }
        }
    }
}

/// The file that acknowledgements go to while the agent lives.
#[derive(Debug)]
pub(crate) struct AckFile {
    folder: AttemptFolder,
    file: File,
    len: u64,
    at_line_end: bool,
}

impl AckFile {
    pub(crate) fn create(folder: &AttemptFolder) -> io::Result<Self> {
        let file = Self::open(folder)?;
        Ok(Self { folder: folder.clone(), file, len: 0, at_line_end: true })
    }

    fn open(folder: &AttemptFolder) -> io::Result<File> {
        new_file(OpenOptions::new().create(true).truncate(true).read(true)).open(folder.acks())
    }

    /// Takes what is in the FIFO now, and hands it to `each` in pieces.
    pub(crate) fn take(&mut self, fifo: &AckFifo, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let mut buffer = vec![0; PIECE];
        loop {
            let moved = fifo.move_to(&self.file, self.len)?;
            if moved == 0 {
                return Ok(());
            }
            self.file.read_exact_at(&mut buffer[..moved], self.len)?;
            self.len += moved as u64;
            self.at_line_end = buffer[moved - 1] == b'\n';
            each(&buffer[..moved]);
        }
    }

    /// Begins the file anew when it has become long, at the end of a line: `said` is the line that says all that it has
    /// said so far.
    pub(crate) fn shorten(&mut self, said: impl FnOnce() -> Vec<u8>) -> io::Result<()> {
        if self.len <= LONGEST || !self.at_line_end {
            return Ok(());
        }
        let said = said();
        let fresh = self.folder.acks().with_extension("new");
        let options = &mut OpenOptions::new();
        let file = new_file(options.create(true).truncate(true).read(true)).open(&fresh)?;
        file.write_all_at(&said, 0)?;
        // From here on the new one says all that the old one did.
        fs::rename(&fresh, self.folder.acks())?;
        (self.file, self.len) = (file, said.len() as u64);
        Ok(())
    }
}
