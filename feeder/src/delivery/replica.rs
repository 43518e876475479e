//! Delivering HDFS replicas of this host: verified before their bytes go on, left where they are bad.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

use forebay_shortcircuit::{ReplicaFiles, Verifier, VerifyError, read_verified};

use super::{Delivery, MEMORY, byte_at};
use crate::DeliveryError;
use crate::sink::Halt;
use crate::source::{LocalPiece, Source};

/// Bytes of a replica handed over between two looks at whether it is still valid, where nothing is verified.
const UNVERIFIED: u64 = 8 << 20;

/// Why a local piece cannot be delivered.
pub(super) enum Stuck {
    Halted(Halt),
    /// From this offset in the block on.
    BadReplica {
        at: u64,
        error: VerifyError,
    },
}

impl From<Halt> for Stuck {
    fn from(halt: Halt) -> Self {
        Self::Halted(halt)
    }
}

fn bad(at: u64, error: VerifyError) -> Stuck {
    Stuck::BadReplica { at, error }
}

impl Delivery<'_> {
    /// A part of an HDFS replica of this host: verified, and moved without a copy unless its bytes have to be seen.
    pub(super) fn local(&mut self, piece: &mut LocalPiece, source: &mut Source<'_>) -> Result<(), Stuck> {
        let block = piece.block.clone();
        let files = block.files();
        let Range { start, end } = piece.bytes.clone();
        let mut verifier = match self.verifier.take() {
            Some(verifier) => verifier,
            None => Verifier::new().map_err(|e| Halt::Failed(DeliveryError::Wait(e)))?,
        };
        verifier.forget();
        // Where the kernel grants only small pipes, a long chunk does not fit into one, and is checked in memory.
        let chunk = usize::try_from(files.header.bytes_per_checksum).unwrap_or(usize::MAX);
        let fits = !self.verify || verifier.can_check(chunk);
        if !fits {
            self.sink.note(format!(
                "the kernel granted no pipe for more than {} bytes: replicas with checksum chunks of {chunk} bytes are checked in memory",
                verifier.capacity(),
            ));
        } else if self.verify && verifier.is_small() {
            self.sink.note(format!(
                "the kernel granted only a small pipe: replicas are verified in stretches of {} bytes",
                verifier.capacity(),
            ));
        }
        let through_memory = self.through_memory() || !fits;
        let (mut at, mut memory) = (start, Vec::new());
        while at < end {
            source.read_ahead(piece, at);
            if !block.replica.is_valid() {
                let gone = std::io::ErrorKind::StaleNetworkFileHandle.into();
                return Err(bad(at, VerifyError::Read { file: "block", source: gone }));
            }
            let moved = if through_memory {
                memory.resize(usize::try_from(end - at).map_or(MEMORY, |left| left.min(MEMORY)), 0);
                read_verified(files, at, &mut memory, self.verify).map_err(|error| bad(at, error))?;
                self.bytes(&memory)?;
                memory.len()
            } else if !self.verify {
                if at == start {
                    self.before_stored(files, start)?;
                    self.begin()?;
                }
                // Nothing to wait for before it may go on: straight into the reader's pipe, some of it at a time.
                let some = (end - at).min(UNVERIFIED);
                match self.sink.deliver_file(self.watch, files.block, at, some) {
                    Ok(()) => usize::try_from(some).unwrap_or(usize::MAX),
                    Err(Halt::FileEnded(end)) => {
                        return Err(bad(end, VerifyError::Short { file: "block", end }));
                    }
                    Err(Halt::FileFailed(at, source)) => {
                        return Err(bad(at, VerifyError::Read { file: "block", source }));
                    }
                    Err(halt) => return Err(halt.into()),
                }
            } else {
                let held = verifier.hold(files, at, end, self.verify).map_err(|error| bad(at, error))?;
                match verifier.ends() {
                    Some((first, _)) if at == start && self.terminator.is_some() => self.before(first)?,
                    None if at == start => self.before_stored(files, start)?,
                    _ => {}
                }
                self.begin()?;
                self.sink.deliver_held(self.watch, verifier.held(), held)?;
                held
            };
            at += moved as u64;
            self.meter.local.fetch_add(moved as u64, Relaxed);
            self.meter.verified.fetch_add(if self.verify { moved as u64 } else { 0 }, Relaxed);
        }
        if self.terminator.is_some() && !through_memory && start < end {
            self.last = match verifier.ends() {
                Some((_, last)) => last,
                None => byte_at(files.block, end - 1)?,
            };
        }
        self.verifier = Some(verifier);
        Ok(())
    }

    /// What must stand before a piece of a replica that nothing is known of.
    fn before_stored(&mut self, files: ReplicaFiles<'_>, start: u64) -> Result<(), Stuck> {
        let mut first = [0];
        if self.at_begin && self.terminator.is_some() {
            read_verified(files, start, &mut first, self.verify).map_err(|error| bad(start, error))?;
            self.before(first[0])?;
        }
        Ok(())
    }
}
