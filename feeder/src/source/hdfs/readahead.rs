//! Asks the kernel to read replicas ahead of their delivery, also over the end of a block or a file.
//!
//! Within a block file the kernel reads ahead by itself, in large folios, and is only told that it is read from front to back.
//! At its end that stops; so the beginning of what follows, with its checksums, is asked for while the end is still being
//! delivered. Asking for everything so was measured to be no gain: it took twice the CPU time, presumably as pages come singly
//! then.

use std::fs::File;
use std::num::NonZeroU64;
use std::ops::Range;

use forebay_shortcircuit::{ChecksumType, HEADER_LEN};
use rustix::fs::{Advice, fadvise};

use super::LocalPiece;

/// How far before the end of what is delivered the following is asked for, in bytes.
const AHEAD: u64 = 4 << 20;
/// How much of a following piece is asked for, in bytes: what the kernel's own read-ahead needs to get going.
const START: u64 = 1 << 20;
/// Bytes of one checksum in a meta file.
const CHECKSUM_LEN: u64 = 4;

/// A piece is delivered from `at` in its block on; `following` come next.
pub(super) fn advance<'p>(
    piece: &mut LocalPiece,
    at: u64,
    following: impl Iterator<Item = &'p mut LocalPiece>,
) {
    if at == piece.bytes.start && piece.bytes.end - at > START {
        // A file system that has no use for the advice says so, and is not listened to.
        let _ = fadvise(piece.block.files().block, 0, None, Advice::Sequential);
    }
    let mut ahead = piece.bytes.end - at;
    for next in following {
        if ahead > AHEAD {
            return;
        }
        ahead += next.bytes.end - next.bytes.start;
        if !std::mem::replace(&mut next.asked, true) {
            ask(next);
        }
    }
}

/// Asks for a piece's beginning.
fn ask(piece: &LocalPiece) {
    let files = piece.block.files();
    let bytes = piece.bytes.start..piece.bytes.end.min(piece.bytes.start + START);
    if piece.verify && files.header.checksum != ChecksumType::Null {
        let chunk = u64::from(files.header.bytes_per_checksum).max(1);
        let sum = |byte: u64| files.meta_at + HEADER_LEN + byte / chunk * CHECKSUM_LEN;
        will_need(files.meta, sum(bytes.start)..sum(bytes.end) + CHECKSUM_LEN);
    }
    will_need(files.block, bytes);
}

fn will_need(file: &File, range: Range<u64>) {
    let len = NonZeroU64::new(range.end - range.start);
    let _ = fadvise(file, range.start, len, Advice::WillNeed);
}
