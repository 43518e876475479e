//! Bounds of splits, what a last record lacks, and rewritten line ends, against the plain reference that the tests have.
//!
//! The first bytes: which terminator, where to cut. The others are made into a file of few kinds of bytes: the
//! highest repeat the one before, so that files become longer than a search's chunks.
#![no_main]

#[path = "../../fixtures/src/model.rs"]
#[allow(dead_code, reason = "a part of it serves others")]
mod model;

use forebay_record::{Bound, Delimiter, Ending, EndingStep, Format, LfRewriter, Search, Step, Terminator};
use libfuzzer_sys::fuzz_target;

const DELIMITERS: [&[u8]; 8] = [b"", b"\n", b"\n\n", b"ab", b"aba", b"aab", b"\r\n", b"abab"];
const BYTES: [&[u8]; 8] = [b"a", b"b", b"\n", b"\r", b"c", b"\r\n", b"ab", b"\xef\xbb\xbf"];
/// From this byte on, the one before is repeated.
const LONG_RUN: u8 = 248;
const LONGEST: usize = 6_000;
/// A search's first chunk. Files may begin so that it ends within what follows.
const CHUNK: usize = 4096;

fn file(begin: usize, bytes: &[u8]) -> Vec<u8> {
    let (mut file, mut last) = (vec![b'a'; begin], BYTES[0]);
    for byte in bytes {
        if *byte < LONG_RUN {
            last = BYTES[usize::from(byte % 8)];
            file.extend_from_slice(last);
        } else {
            file.extend(last.repeat(70 << (byte - LONG_RUN)));
        }
        file.truncate(LONGEST);
    }
    file
}

fn bound(format: &Format, at: u64, file: &[u8], known: u64) -> Bound {
    let mut search = Search::behind(format, at, file.len() as u64, known);
    let mut read = 0;
    loop {
        match search.step() {
            Step::Found(bound) => return bound,
            Step::Failed(error) => panic!("{error}"),
            Step::Read(range) => {
                assert!(range.start < range.end && range.end <= file.len() as u64, "{range:?}");
                read += range.end - range.start;
                assert!(read <= 8 * file.len() as u64 + 16_384, "{read} bytes read of {}", file.len());
                search.feed(&file[range.start as usize..range.end as usize]);
            }
        }
    }
}

fn ending(terminator: &Terminator, begin: u64, file: &[u8]) -> Vec<u8> {
    let mut ending = Ending::new(terminator, begin, file.len() as u64);
    loop {
        match ending.step() {
            EndingStep::Append(bytes) => return bytes,
            EndingStep::Read(range) => ending.feed(&file[range.start as usize..range.end as usize]),
        };
    }
}

fn rewritten(terminator: &Terminator, file: &[u8], piece: usize) -> Vec<u8> {
    let (mut rewriter, mut out) = (LfRewriter::new(terminator.clone()), Vec::new());
    for piece in file.chunks(piece) {
        rewriter.push(piece, &mut out);
    }
    rewriter.finish(&mut out);
    out
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&[which, cut0, cut1, piece], rest)) = bytes.split_first_chunk() else { return };
    let delimiter = Some(DELIMITERS[usize::from(which % 8)]).filter(|delimiter| !delimiter.is_empty());
    let terminator =
        delimiter.map_or(Terminator::Any, |d| Terminator::Delimiter(Delimiter::new(d).expect("one")));
    let format = Format::Lines(terminator.clone());
    let cut = usize::from(u16::from_be_bytes([cut0, cut1]));
    let begin = if which & 8 == 0 { 0 } else { cut % 1024 + CHUNK - 4 };
    let file = file(begin, rest);
    let len = file.len();

    // Splits of one size, each bound found from what the one before has found. Of many, the first.
    let size = if begin > 0 { cut % 1024 + 1 } else { (cut % len.max(1)).max(len / 6).max(1) };
    let mut known = bound(&format, 0, &file, 0).offset;
    for start in (0..len).step_by(size).take(6) {
        let end = len.min(start + size);
        let next = bound(&format, end as u64, &file, known);
        assert_eq!(next.offset, bound(&format, end as u64, &file, 0).offset, "known {known}");
        let same = next.same_until.min(len as u64);
        assert_eq!(bound(&format, same.max(end as u64), &file, 0).offset, next.offset, "same until {same}");
        let records = model::split_records(&file, delimiter, start, end);
        let wanted = match (records.first(), records.last()) {
            (Some(first), Some(last)) => first.begin as u64..last.end_with_terminator as u64,
            // A split without records delivers nothing, wherever that lies.
            _ => known..known,
        };
        assert_eq!(known..next.offset, wanted, "split {start}..{end} of {len}, {delimiter:?}");
        known = next.offset;
    }

    let records =
        delimiter.map_or_else(|| model::lines(&file), |delimiter| model::delimited(&file, delimiter));
    let begin = bound(&format, 0, &file, 0).offset;
    if begin < len as u64 {
        let ended = [&file[..], &ending(&terminator, begin, &file)].concat();
        let again =
            delimiter.map_or_else(|| model::lines(&ended), |delimiter| model::delimited(&ended, delimiter));
        assert_eq!(again.len(), records.len(), "an ended file has as many records");
        let last = again.last().expect("there is one");
        assert!(last.end_without_terminator < last.end_with_terminator, "its last record is ended");
    }

    let whole = rewritten(&terminator, &file, len.max(1));
    // Not too many pieces: each may allocate.
    let piece = (usize::from(piece) + 1).max(len / 64);
    assert_eq!(rewritten(&terminator, &file, piece), whole, "pieces of {piece}");
    let mut plain = file[..begin as usize].to_vec();
    for record in &records {
        plain.extend_from_slice(record.text(&file));
        if record.end_without_terminator < record.end_with_terminator {
            plain.push(b'\n');
        }
    }
    assert_eq!(whole, plain, "each terminator becomes one newline");
});
