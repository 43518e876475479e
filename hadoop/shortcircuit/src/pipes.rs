//! Two pipes of our own: one *holds* bytes on their way to a reader, in the other one the same pages are *looked at*, so that
//! what was checked is what is delivered.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, tee};

/// Pipe size asked for: what the kernel allows a user without privileges.
const PIPE_SIZE: usize = 1 << 20;
const PAGE: usize = 4096;
/// Read at once to be checked: stays in the second-level cache between the copy and the check.
const LOOK: usize = 64 << 10;

/// The two pipes, and room to look at what is in them. One pair per delivering thread.
#[derive(Debug)]
pub struct Pipes {
    held: (OwnedFd, OwnedFd),
    looked_at: (OwnedFd, OwnedFd),
    capacity: usize,
    look: Vec<u8>,
}

impl Pipes {
    /// Makes the pipes. Where the kernel grants only small ones, they are small.
    pub fn new() -> io::Result<Self> {
        let pipe = || -> io::Result<(OwnedFd, OwnedFd, usize)> {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            let mut size = PIPE_SIZE;
            while size > fcntl_getpipe_size(&write)? && fcntl_setpipe_size(&write, size).is_err() {
                size /= 2;
            }
            // Whoever fills one is never to wait for whoever empties it: they are the same thread.
            fcntl_setfl(&write, fcntl_getfl(&write)? | OFlags::NONBLOCK)?;
            let size = fcntl_getpipe_size(&write)?;
            Ok((read, write, size))
        };
        let ((held_read, held_write, a), (look_read, look_write, b)) = (pipe()?, pipe()?);
        // What one holds, in however many pieces, the other one has to hold, too.
        for (pipe, size) in [(&held_write, a), (&look_write, b)] {
            if size > a.min(b) {
                fcntl_setpipe_size(pipe, a.min(b))?;
            }
        }
        // A stretch that begins and ends within pages takes a page more than its length.
        let capacity = a.min(b).saturating_sub(2 * PAGE).max(PAGE);
        let (held, looked_at) = ((held_read, held_write), (look_read, look_write));
        Ok(Self { held, looked_at, capacity, look: vec![0; LOOK] })
    }

    /// Bytes that fit when they lie in whole pages. A pipe holds so many pieces of pages: where these are short, it holds less.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The kernel has refused pipes of the size asked for.
    pub fn is_small(&self) -> bool {
        self.capacity < PIPE_SIZE - 2 * PAGE
    }

    /// Where held bytes come out.
    pub fn held(&self) -> BorrowedFd<'_> {
        self.held.0.as_fd()
    }

    /// Where bytes to be held go in. It never makes anybody wait.
    pub fn inlet(&self) -> BorrowedFd<'_> {
        self.held.1.as_fd()
    }

    /// Shows the first `len` held bytes in the second pipe, all of which must be [looked at](Self::look) before the next call.
    pub fn show(&mut self, len: usize) -> Result<(), Errno> {
        if len == 0 {
            return Ok(());
        }
        // Both pipes have as much room, and one `tee` sees all of it.
        let shown = retry(|| tee(&self.held.0, &self.looked_at.1, len, SpliceFlags::NONBLOCK))?;
        if shown < len { Err(Errno::IO) } else { Ok(()) }
    }

    /// How many bytes are looked at at once: whole chunks of this length, at least one.
    pub fn per_look(chunk: usize) -> usize {
        (LOOK / chunk).max(1) * chunk
    }

    /// The next `len` bytes of those shown.
    pub fn look(&mut self, len: usize) -> Result<&[u8], Errno> {
        if self.look.len() < len {
            self.look.resize(len, 0);
        }
        let mut filled = 0;
        while filled < len {
            filled += retry(|| rustix::io::read(&self.looked_at.0, &mut self.look[filled..len]))?;
        }
        Ok(&self.look[..len])
    }

    /// Drops bytes from the front of the held ones.
    pub fn discard(&mut self, mut len: usize) -> Result<(), Errno> {
        while len > 0 {
            let want = len.min(self.look.len());
            len -= retry(|| rustix::io::read(&self.held.0, &mut self.look[..want]))?;
        }
        Ok(())
    }

    /// Takes bytes from the front of the held ones into memory, of which so many must be there.
    pub fn take(&mut self, out: &mut [u8]) -> Result<(), Errno> {
        let mut filled = 0;
        while filled < out.len() {
            filled += retry(|| rustix::io::read(&self.held.0, &mut out[filled..]))?;
        }
        Ok(())
    }

    /// Empties both pipes, after a failure.
    pub fn empty(&mut self) {
        for pipe in [&self.held.0, &self.looked_at.0] {
            while rustix::io::ioctl_fionread(pipe).is_ok_and(|fill| fill > 0) {
                if !matches!(rustix::io::read(pipe, &mut self.look), Ok(n) if n > 0) {
                    break;
                }
            }
        }
    }
}

pub(crate) fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
