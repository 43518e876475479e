//! SequenceFiles: headers, sync markers, and records of all forms. Splits of one size together give what the whole file gives, and
//! however the bytes are cut into pieces and whatever room there is, the same comes out.
//!
//! The first bytes: what is delivered, how long the pieces are, how much room there is, and how long a split is.
#![no_main]

mod pieces;

use forebay_decode::{DecodeError, Decoder};
use forebay_record::{Fields, Format, Framing, Search, SequenceHeader, SequenceRecords, Step};
use libfuzzer_sys::fuzz_target;
use pieces::{MOST, decoded};
use std::ops::Range;

fuzz_target!(|bytes: &[u8]| {
    let Some((&[how, piece, room, size], file)) = bytes.split_first_chunk() else { return };
    let fields = if how & 1 == 0 { Fields::Value } else { Fields::KeyValue };
    let framing = if how & 2 == 0 { Framing::Raw } else { Framing::Length };
    let records = SequenceRecords { fields, framing };
    let (Some(begin), Some(header)) = (bound(records, 0, file), header(file)) else { return };
    let at_once = decode(&header, records, file, begin..file.len(), file.len().max(1), MOST);
    let pieces =
        decode(&header, records, file, begin..file.len(), usize::from(piece) + 1, 16 * usize::from(room) + 1);
    let whole = match (at_once, pieces) {
        (Some(Ok(whole)), Some(Ok(pieces))) => {
            assert_eq!(whole, pieces);
            whole
        }
        (Some(Err(whole)), Some(Err(pieces))) => {
            assert!(whole.offset.max(pieces.offset) <= file.len() as u64);
            return;
        }
        (None, _) | (_, None) => return,
        (whole, pieces) => panic!("{whole:?} at once, and in pieces {pieces:?}"),
    };
    let size = (usize::from(size) + 1) * file.len().div_ceil(64).max(1);
    let (mut all, mut from, mut end) = (Vec::new(), begin, 0);
    while end < file.len() {
        end = (end + size).min(file.len());
        let to = bound(records, end, file).expect("its header is right");
        match decode(&header, records, file, from..to, 1000, 1000) {
            Some(Ok(part)) => all.extend(part),
            // A record may hold what looks like a marker: then no split looks whole.
            Some(Err(_)) | None => return,
        }
        from = to;
    }
    assert_eq!(all, whole, "splits of {size}");
});

fn header(file: &[u8]) -> Option<SequenceHeader> {
    SequenceHeader::parse(file).ok().flatten()
}

/// Where the records of a split from `at` on begin; `None` if the file has none.
fn bound(records: SequenceRecords, at: usize, file: &[u8]) -> Option<usize> {
    let format = Format::Sequence(records);
    let mut search = Search::new(&format, at as u64, file.len() as u64);
    let mut read = 0;
    loop {
        match search.step() {
            Step::Found(bound) => return Some(bound.offset as usize),
            Step::Failed(error) => {
                assert!(error.offset <= file.len() as u64);
                return None;
            }
            Step::Read(range) => {
                assert!(range.start < range.end && range.end <= file.len() as u64, "{range:?}");
                read += range.end - range.start;
                assert!(read <= 4 * file.len() as u64 + 16_384, "{read} bytes read of {}", file.len());
                search.feed(&file[range.start as usize..range.end as usize]);
            }
        }
    }
}

/// What a part of a file decodes to; `None` if that is more than is waited for.
fn decode(
    header: &SequenceHeader,
    records: SequenceRecords,
    file: &[u8],
    part: Range<usize>,
    piece: usize,
    room: usize,
) -> Option<Result<Vec<u8>, DecodeError>> {
    let decoder = match Decoder::of_sequence(header, records, part.start as u64) {
        Ok(decoder) => decoder,
        Err(error) => return Some(Err(error)),
    };
    decoded(decoder, &file[part], piece, room)
}
