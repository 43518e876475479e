//! Delivering HDFS replicas of this host, and stretches in its cache: verified before their bytes go on, left where they are bad.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

use forebay_shortcircuit::{ChecksumType, ReplicaFiles, VerifyError, read_verified};

use super::{Delivery, MEMORY, Way, byte_at};
use crate::sink::Halt;
use crate::source::{Here, LocalPiece, Source};

/// Bytes of a replica handed over between two looks at whether it is still valid, where nothing is verified.
const UNVERIFIED: u64 = 8 << 20;

/// Why a local piece cannot be delivered.
pub(super) enum Stuck {
    Halted(Halt),
    /// From this offset in its files on.
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
    /// A part of what this host has of an HDFS block: verified, and moved without a copy unless its bytes have to be seen.
    pub(super) fn local(&mut self, piece: &mut LocalPiece, source: &mut Source<'_>) -> Result<(), Stuck> {
        let header = piece.block.files().header;
        let check = piece.verify && header.checksum != ChecksumType::Null;
        let chunk = usize::try_from(header.bytes_per_checksum).unwrap_or(usize::MAX);
        let mut verifier = if check && !self.through_memory() { self.take_verifier(chunk) } else { None };
        let way = match &mut verifier {
            Some(verifier) => {
                verifier.forget();
                if verifier.is_small() {
                    self.sink.note(format!(
                        "the kernel granted only a small pipe: replicas are verified in stretches of {} bytes",
                        verifier.capacity(),
                    ));
                }
                Way::Held(verifier)
            }
            None if check || self.through_memory() => Way::Memory,
            None => Way::Straight,
        };
        let result = self.local_by(way, check, piece, source);
        if verifier.is_some() {
            self.verifier = verifier;
        }
        result
    }

    fn local_by(
        &mut self,
        mut way: Way<'_>,
        check: bool,
        piece: &mut LocalPiece,
        source: &mut Source<'_>,
    ) -> Result<(), Stuck> {
        let block = piece.block.clone();
        let files = block.files();
        let Range { start, end } = piece.bytes.clone();
        let (mut at, mut memory) = (start, Vec::new());
        while at < end {
            source.read_ahead(piece, at);
            if !block.is_valid() {
                let gone = std::io::ErrorKind::StaleNetworkFileHandle.into();
                return Err(bad(at, VerifyError::Read { file: "block", source: gone }));
            }
            let moved = match &mut way {
                Way::Memory => {
                    memory.resize(usize::try_from(end - at).map_or(MEMORY, |left| left.min(MEMORY)), 0);
                    read_verified(files, at, &mut memory, check).map_err(|error| bad(at, error))?;
                    self.bytes(&memory)?;
                    memory.len()
                }
                Way::Straight => {
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
                }
                Way::Held(verifier) => {
                    let held = match verifier.hold(files, at, end, true) {
                        Err(VerifyError::NoRoom { chunk }) => {
                            self.note_no_room(chunk);
                            way = Way::Memory;
                            continue;
                        }
                        held => held.map_err(|error| bad(at, error))?,
                    };
                    self.held(verifier.ends(), verifier, held)?;
                    held
                }
            };
            at += moved as u64;
            match &block {
                Here::Replica(_) => {
                    self.meter.local.fetch_add(moved as u64, Relaxed);
                    self.meter.verified.fetch_add(if check { moved as u64 } else { 0 }, Relaxed);
                }
                Here::Cached(block) => block.was_delivered(moved as u64),
            }
        }
        if self.terminator.is_some() && matches!(way, Way::Straight) && start < end {
            self.last = byte_at(files.block, end - 1)?;
        }
        Ok(())
    }

    /// What must stand before a piece of a replica that is not verified.
    fn before_stored(&mut self, files: ReplicaFiles<'_>, start: u64) -> Result<(), Stuck> {
        let mut first = [0];
        if self.at_begin && self.terminator.is_some() {
            read_verified(files, start, &mut first, false).map_err(|error| bad(start, error))?;
            self.before(first[0])?;
        }
        Ok(())
    }
}
