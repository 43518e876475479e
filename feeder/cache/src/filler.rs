//! Cuts what goes by into entries, and hands them to the cache's thread when they are whole.

use crate::STRETCH;
use crate::key::{BlockKey, Extent};
use crate::pool::PIECE;
use crate::writer::{Job, Writer};

/// Bytes of one checksum.
const CHECKSUM_LEN: usize = 4;
/// More checksums than that of a stretch would take as much memory as its bytes.
const SHORTEST_CHUNK: u64 = 64;

/// Takes a copy of a part of a block while it goes by, as far as there is room. Never waits.
#[derive(Debug)]
pub struct Filler {
    writer: Writer,
    key: BlockKey,
    /// Begins what stands behind an entry's bytes: the header of a meta file.
    header: Vec<u8>,
    chunk: u64,
    /// Behind the last byte that is expected.
    end: u64,
    filling: Option<Filling>,
    /// Nothing is taken before this offset.
    skip_until: u64,
}

#[derive(Debug)]
struct Filling {
    extent: Extent,
    /// Filled in turn.
    pieces: Vec<Vec<u8>>,
    tail: Vec<u8>,
}

impl Filler {
    /// `None` where the chunks are such that stretches cannot be made of them.
    pub(crate) fn new(writer: Writer, key: BlockKey, header: Vec<u8>, chunk: u64, end: u64) -> Option<Self> {
        let fits = chunk >= SHORTEST_CHUNK && STRETCH.is_multiple_of(chunk);
        let end = end.checked_next_multiple_of(chunk.max(1))?.min(key.len());
        fits.then_some(Self { writer, key, header, chunk, end, filling: None, skip_until: 0 })
    }

    /// These bytes of the block, from offset `at` on, go by: whole chunks, but for the block's last one, with one checksum of
    /// 4 bytes for each.
    pub fn seen(&mut self, mut at: u64, mut bytes: &[u8], mut sums: &[u8]) {
        while !bytes.is_empty() {
            let border = (at / STRETCH + 1) * STRETCH;
            let len = usize::try_from(border - at).map_or(bytes.len(), |left| left.min(bytes.len()));
            // The border is one of chunks, too.
            let count = len.div_ceil(usize::try_from(self.chunk).unwrap_or(usize::MAX)) * CHECKSUM_LEN;
            if count > sums.len() || !at.is_multiple_of(self.chunk) {
                self.give_up();
                return;
            }
            self.take(at, border, &bytes[..len], &sums[..count]);
            (at, bytes, sums) = (at + len as u64, &bytes[len..], &sums[count..]);
        }
    }

    /// Bytes of one stretch.
    fn take(&mut self, at: u64, border: u64, bytes: &[u8], sums: &[u8]) {
        if self.filling.as_ref().is_some_and(|filling| filling.extent.to != at) {
            self.finish();
        }
        let shared = self.writer.shared();
        if self.filling.is_none() {
            let expected = self.end.min(border).saturating_sub(at).max(bytes.len() as u64);
            let room = || shared.pool.take(usize::try_from(expected).unwrap_or(usize::MAX));
            if !shared.is_filling() {
                return;
            }
            let Some(pieces) = (at >= self.skip_until).then(room).flatten() else {
                self.skip_until = border;
                shared.skipped(bytes.len() as u64);
                return;
            };
            let extent = Extent { from: at, to: at };
            self.filling = Some(Filling { extent, pieces, tail: self.header.clone() });
        }
        let Some(filling) = &mut self.filling else { return };
        if !filling.append(bytes, sums) {
            // More than was asked for: no DataNode's answer is like that.
            self.give_up();
        } else if filling.extent.to == border || filling.extent.to >= self.end {
            self.finish();
        }
    }

    fn give_up(&mut self) {
        if let Some(filling) = self.filling.take() {
            self.writer.shared().pool.give_back(filling.pieces);
        }
    }

    /// Hands over what there is.
    fn finish(&mut self) {
        let Some(Filling { extent, pieces, tail }) = self.filling.take() else { return };
        // A chunk in part has a checksum that fits only at the block's end.
        if extent.to.is_multiple_of(self.chunk) || extent.to == self.key.len() {
            self.writer.send(Job::Store { key: self.key.clone(), extent, pieces, tail });
        } else {
            self.writer.shared().pool.give_back(pieces);
        }
    }
}

impl Filling {
    /// `false` if there is no room for it.
    fn append(&mut self, mut bytes: &[u8], sums: &[u8]) -> bool {
        let mut at = usize::try_from(self.extent.len()).unwrap_or(usize::MAX);
        if self.pieces.len() * PIECE - at < bytes.len() {
            return false;
        }
        self.extent.to += bytes.len() as u64;
        self.tail.extend_from_slice(sums);
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(PIECE - at % PIECE));
            self.pieces[at / PIECE].extend_from_slice(now);
            at += now.len();
            bytes = rest;
        }
        true
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        self.finish();
    }
}
