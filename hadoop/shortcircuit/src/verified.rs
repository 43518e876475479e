//! Verified stretches of a local replica, without a copy on the way to the reader.
//!
//! A stretch of the block file is spliced into a pipe of our own, the *held* one: from then on the pipe, not the
//! page cache, owns what will be delivered. `tee` puts the same pages into a second pipe, from which they are
//! read and checked. Only then does the stretch move on, pipe to pipe. So the bytes verified are the bytes
//! delivered whatever the kernel does in between: nothing is read from the disk again, it does not matter
//! whether `splice` shares pages or copies them, and a block file that is truncated is a short read here, never
//! a fault (nothing is mapped). The one exception: who overwrites a block file in place, after the check and
//! before the reader takes the bytes, changes pages that the pipe only refers to. HDFS never does.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};

use crate::checksum::CHECKSUM_LEN;
use crate::meta::{ChecksumType, HEADER_LEN, MetaHeader};
use crate::pipes::{Pipes, retry};

/// Meta file bytes read at once: checksums of 8 MiB at 512 bytes per checksum.
const SUMS: usize = 64 << 10;

/// What is known of a replica's two files.
#[derive(Debug, Clone, Copy)]
pub struct ReplicaFiles<'r> {
    /// The block file.
    pub block: &'r File,
    /// The meta file.
    pub meta: &'r File,
    /// Where in it the meta file begins: 0 but where both are one file.
    pub meta_at: u64,
    /// The meta file's header.
    pub header: MetaHeader,
    /// Bytes of the block that readers may see.
    pub len: u64,
}

impl ReplicaFiles<'_> {
    /// Bytes per checksum.
    fn chunk(&self) -> usize {
        usize::try_from(self.header.bytes_per_checksum).unwrap_or(usize::MAX).max(1)
    }

    /// What can be delivered by itself, in bytes: a chunk where that is checked.
    fn chunk_of(&self, check: bool) -> usize {
        if check { self.chunk() } else { 1 }
    }

    fn mismatch(&self, at: u64) -> VerifyError {
        VerifyError::Mismatch { at, last_partial: at + self.chunk() as u64 > self.len }
    }
}

/// Why a stretch cannot be delivered from this replica.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The bytes do not match their checksum.
    #[error("the checksum of the chunk at byte {at} does not match")]
    Mismatch {
        /// Offset in the block of the first chunk that differs.
        at: u64,
        /// The chunk is the block's last and a partial one: an append that is under way looks like this, too.
        last_partial: bool,
    },
    /// A file ends before it should.
    #[error("the {file} file ends at byte {end}")]
    Short {
        /// `block` or `meta`.
        file: &'static str,
        /// Its length.
        end: u64,
    },
    /// A read or a splice failed.
    #[error("cannot read the {file} file: {source}")]
    Read {
        /// `block` or `meta`, or `held` for a pipe of this process.
        file: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Nothing is wrong with the replica, but it has to be read into memory ([`read_verified`]).
    #[error("a pipe holds no chunk of {chunk} bytes, so short are the pieces that it comes in")]
    NoRoom {
        /// Bytes per checksum.
        chunk: usize,
    },
}

/// What [`VerifyError::Read`] calls the pipe that holds bytes on their way.
const HELD: &str = "held";

impl VerifyError {
    /// Whether no file is to blame but a pipe of this process.
    pub fn is_of_a_pipe(&self) -> bool {
        matches!(self, Self::Read { file: HELD, .. } | Self::NoRoom { .. })
    }
}

/// Reads `[at, at + out.len())` of the block into memory, and verifies what was read. For the few bytes around a
/// split's bounds, and for readers that want the bytes in memory anyway.
pub fn read_verified(
    files: ReplicaFiles<'_>,
    at: u64,
    out: &mut [u8],
    verify: bool,
) -> Result<(), VerifyError> {
    let check = verify && files.header.checksum != ChecksumType::Null;
    let chunk = files.chunk_of(check) as u64;
    let from = at - at % chunk;
    let end = at + out.len() as u64;
    let to = end.next_multiple_of(chunk).min(files.len.max(end));
    let mut bytes = vec![0; usize::try_from(to - from).unwrap_or(usize::MAX)];
    read_exact(files.block, "block", from, &mut bytes)?;
    if check {
        let mut sums = Sums::default();
        let count = bytes.len().div_ceil(files.chunk());
        sums.load(files, from / chunk, count, count)?;
        if let Some(bad) =
            files.header.checksum.first_mismatch(&bytes, sums.from(from / chunk), files.chunk())
        {
            return Err(files.mismatch(from + bad as u64 * chunk));
        }
    }
    let skip = usize::try_from(at - from).unwrap_or(usize::MAX);
    out.copy_from_slice(&bytes[skip..skip + out.len()]);
    Ok(())
}

fn read_exact(file: &File, name: &'static str, at: u64, out: &mut [u8]) -> Result<(), VerifyError> {
    file.read_exact_at(out, at).map_err(|source| match (source.kind(), file.metadata()) {
        (io::ErrorKind::UnexpectedEof, Ok(meta)) => VerifyError::Short { file: name, end: meta.len() },
        _ => VerifyError::Read { file: name, source },
    })
}

/// Two pipes, and the checksums of what goes through them. One per delivering thread.
#[derive(Debug)]
pub struct Verifier {
    pipes: Pipes,
    sums: Sums,
    /// Bytes behind the last stretch that are still in the held pipe.
    surplus: usize,
    /// First and last byte of the last stretch, if it was looked at.
    ends: Option<(u8, u8)>,
}

/// Checksums read last, so that a meta file is read in large pieces. Belongs to one replica at a time: the
/// caller says [`Verifier::forget`] when it goes on to another.
#[derive(Debug, Default)]
struct Sums {
    bytes: Vec<u8>,
    /// Index of the first checksum in `bytes`.
    first: u64,
}

impl Verifier {
    /// Makes the pipes. Where the kernel grants only small ones, stretches are shorter.
    pub fn new() -> io::Result<Self> {
        Ok(Self { pipes: Pipes::new()?, sums: Sums::default(), surplus: 0, ends: None })
    }

    /// The longest stretch, in bytes.
    pub fn capacity(&self) -> usize {
        self.pipes.capacity()
    }

    /// The kernel has refused pipes of the size asked for.
    pub fn is_small(&self) -> bool {
        self.pipes.is_small()
    }

    /// The pipes, for bytes that come from elsewhere than a file. They are empty, and are to be left so.
    pub fn pipes(&mut self) -> Result<&mut Pipes, VerifyError> {
        let surplus = std::mem::take(&mut self.surplus);
        self.pipes.discard(surplus).map_err(pipe_failed)?;
        Ok(&mut self.pipes)
    }

    /// Chunks of this length can be checked, if they come in whole pages: at least one fits into the pipe.
    pub fn can_check(&self, chunk: usize) -> bool {
        chunk <= self.capacity()
    }

    /// Takes the next stretch of `[at, end)` of the block into the held pipe and verifies it. Gives its length;
    /// that many bytes can be spliced from [`Verifier::held`], and all of them must be before the next call.
    /// After an error nothing is held.
    pub fn hold(
        &mut self,
        files: ReplicaFiles<'_>,
        at: u64,
        end: u64,
        verify: bool,
    ) -> Result<usize, VerifyError> {
        let check = verify && files.header.checksum != ChecksumType::Null;
        let chunk = files.chunk_of(check) as u64;
        let from = at - at % chunk;
        let most = (self.capacity() as u64 - self.capacity() as u64 % chunk).max(chunk);
        // Up to the end of the chunk in which `end` lies, but not beyond the block.
        let to = end.next_multiple_of(chunk).min(files.len).min(from + most);
        let len = usize::try_from(to - from).unwrap_or(self.capacity());
        let surplus = std::mem::take(&mut self.surplus);
        self.pipes.discard(surplus).map_err(pipe_failed)?;
        self.ends = None;
        let outcome = self.take_in(files, from, len).and_then(|got| {
            let whole = if got < len { got - got % files.chunk_of(check) } else { got };
            if whole == 0 {
                return Err(VerifyError::NoRoom { chunk: files.chunk_of(check) });
            }
            if check {
                self.check(files, from, whole, &(at..end.min(from + whole as u64)))?;
            }
            Ok((got, whole))
        });
        let (got, whole) = outcome.inspect_err(|_| self.pipes.empty())?;
        // What was needed only for its checksum.
        self.pipes.discard(usize::try_from(at - from).unwrap_or(0)).map_err(pipe_failed)?;
        let to = from + whole as u64;
        self.surplus = usize::try_from(to.saturating_sub(end)).unwrap_or(0) + got - whole;
        Ok(usize::try_from(to.min(end) - at).unwrap_or(0))
    }

    /// The pipe that holds the verified stretch.
    pub fn held(&self) -> BorrowedFd<'_> {
        self.pipes.held()
    }

    /// First and last byte of the held stretch; `None` if nothing was compared, and so nothing read.
    pub fn ends(&self) -> Option<(u8, u8)> {
        self.ends
    }

    /// Forgets the last replica's checksums.
    pub fn forget(&mut self) {
        self.sums.bytes.clear();
    }

    /// Takes so many bytes of the block file into the held pipe, or as many as it has room for.
    fn take_in(&mut self, files: ReplicaFiles<'_>, from: u64, len: usize) -> Result<usize, VerifyError> {
        let (mut offset, mut left) = (from, len);
        while left > 0 {
            let inlet = self.pipes.inlet();
            let moved =
                retry(|| splice(files.block, Some(&mut offset), inlet, None, left, SpliceFlags::MOVE));
            match moved {
                Ok(0) => return Err(VerifyError::Short { file: "block", end: offset }),
                Ok(n) => left -= n,
                // The file gives pieces of pages, each of which takes as much room as a page.
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(VerifyError::Read { file: "block", source: error.into() }),
            }
        }
        Ok(len - left)
    }

    /// Compares what is held with the checksums, through the second pipe; keeps the ends of `wanted`.
    fn check(
        &mut self,
        files: ReplicaFiles<'_>,
        from: u64,
        len: usize,
        wanted: &Range<u64>,
    ) -> Result<(), VerifyError> {
        self.pipes.show(len).map_err(pipe_failed)?;
        let per_look = Pipes::per_look(files.chunk());
        let (mut at, end) = (from, from + len as u64);
        while at < end {
            let want = usize::try_from(end - at).map_or(per_look, |left| left.min(per_look));
            self.sums.load(
                files,
                at / files.chunk() as u64,
                want.div_ceil(files.chunk()),
                SUMS / CHECKSUM_LEN,
            )?;
            let sums = self.sums.from(at / files.chunk() as u64);
            let look = self.pipes.look(want).map_err(pipe_failed)?;
            if let Some(bad) = files.header.checksum.first_mismatch(look, sums, files.chunk()) {
                return Err(files.mismatch(at + (bad * files.chunk()) as u64));
            }
            let byte = |offset: u64| {
                let index = usize::try_from(offset.checked_sub(at)?).ok().filter(|index| *index < want)?;
                look.get(index).copied()
            };
            if let Some(first) = byte(wanted.start) {
                self.ends = Some((first, first));
            }
            if let (Some((_, last)), Some(byte)) = (&mut self.ends, byte(wanted.end.saturating_sub(1))) {
                *last = byte;
            }
            at += want as u64;
        }
        Ok(())
    }
}

impl Sums {
    /// Makes sure that `count` checksums from index `first` are in memory; reads `ahead` of them if it reads.
    fn load(
        &mut self,
        files: ReplicaFiles<'_>,
        first: u64,
        count: usize,
        ahead: usize,
    ) -> Result<(), VerifyError> {
        let have = (self.bytes.len() / CHECKSUM_LEN) as u64;
        if first >= self.first && first + count as u64 <= self.first + have {
            return Ok(());
        }
        let offset = files.meta_at + HEADER_LEN + first * CHECKSUM_LEN as u64;
        // Never over the block's last one: a short file's checksums take one read, and none to find the end.
        let left = files.len.div_ceil(files.chunk() as u64).saturating_sub(first);
        let ahead = usize::try_from(left).map_or(ahead, |left| left.min(ahead));
        self.bytes.resize(ahead.max(count) * CHECKSUM_LEN, 0);
        self.first = first;
        let mut filled = 0;
        while filled < self.bytes.len() {
            match files.meta.read_at(&mut self.bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    self.bytes.clear();
                    return Err(VerifyError::Read { file: "meta", source });
                }
            }
        }
        self.bytes.truncate(filled - filled % CHECKSUM_LEN);
        if self.bytes.len() < count * CHECKSUM_LEN {
            self.bytes.clear();
            return Err(VerifyError::Short { file: "meta", end: offset + filled as u64 });
        }
        Ok(())
    }

    fn from(&self, index: u64) -> &[u8] {
        let skip = usize::try_from(index - self.first).unwrap_or(usize::MAX).saturating_mul(CHECKSUM_LEN);
        self.bytes.get(skip..).unwrap_or_default()
    }
}

fn pipe_failed(error: Errno) -> VerifyError {
    VerifyError::Read { file: HELD, source: error.into() }
}

#[cfg(test)]
#[path = "verified/tests.rs"]
mod tests;
