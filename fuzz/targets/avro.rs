//! Avro files: headers, schemas, sync markers, and blocks of records. Splits of one size together give what the whole file gives, and
//! however the bytes are cut into pieces and whatever room there is, the same comes out.
//!
//! The first bytes: whether lengths are delivered, how long the pieces are, how much room there is, and how long a split is.
#![no_main]

use forebay_decode::{AvroSchema, DecodeError, Decoder};
use forebay_record::{AvroHeader, Format, Framing, Search, Step};
use libfuzzer_sys::fuzz_target;
use std::ops::Range;
use std::sync::Arc;

/// What a bomb may decode to here.
const MOST: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Some((&[how, piece, room, size], file)) = bytes.split_first_chunk() else { return };
    let framing = if how & 1 == 0 { Framing::Raw } else { Framing::Length };
    let Some(begin) = bound(0, file) else { return };
    let header = AvroHeader::parse(file).ok().flatten().expect("the search has read it");
    assert_eq!(header.end, begin as u64);
    let Ok(schema) = AvroSchema::parse(&header.schema) else { return };
    let reader = Reader { header, schema: Arc::new(schema), framing, file };
    let at_once = reader.decode(begin..file.len(), file.len().max(1), MOST);
    let pieces = reader.decode(begin..file.len(), usize::from(piece) + 1, 16 * usize::from(room) + 1);
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
        let to = bound(end, file).expect("its header is right");
        match reader.decode(from..to, 1000, 1000) {
            Some(Ok(part)) => all.extend(part),
            // A record may hold what looks like a marker: then no split looks whole.
            Some(Err(_)) | None => return,
        }
        from = to;
    }
    assert_eq!(all, whole, "splits of {size}");
});

/// Where the blocks of a split from `at` on begin; `None` if the file has none.
fn bound(at: usize, file: &[u8]) -> Option<usize> {
    let format = Format::Avro(Framing::Raw);
    let mut search = Search::new(&format, at as u64, file.len() as u64);
    let mut read = 0;
    loop {
        match search.step() {
            // A file of no bytes has no header.
            Step::Found(_) if file.is_empty() => return None,
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

struct Reader<'f> {
    header: AvroHeader,
    schema: Arc<AvroSchema>,
    framing: Framing,
    file: &'f [u8],
}

impl Reader<'_> {
    /// What a part of the file decodes to; `None` if that is more than is waited for.
    fn decode(&self, part: Range<usize>, piece: usize, room: usize) -> Option<Result<Vec<u8>, DecodeError>> {
        let schema = Arc::clone(&self.schema);
        let mut decoder = match Decoder::of_avro(&self.header, schema, self.framing, part.start as u64) {
            Ok(decoder) => decoder,
            Err(error) => return Some(Err(error)),
        };
        let (mut all, mut out) = (Vec::new(), Vec::with_capacity(room));
        let room = out.capacity();
        for piece in self.file[part].chunks(piece) {
            let mut at = 0;
            loop {
                match decoder.decode(&piece[at..], &mut out) {
                    Ok(n) => at += n,
                    Err(error) => return Some(Err(error)),
                }
                let is_full = out.len() == room;
                assert_eq!(out.capacity(), room);
                all.append(&mut out);
                if all.len() > MOST {
                    return None;
                }
                if !is_full {
                    assert_eq!(at, piece.len());
                    break;
                }
            }
        }
        loop {
            let done = match decoder.finish(&mut out) {
                Ok(done) => done,
                Err(error) => return Some(Err(error)),
            };
            assert!(done || out.len() == room);
            all.append(&mut out);
            match done {
                true => return Some(Ok(all)),
                false if all.len() > MOST => return None,
                false => {}
            }
        }
    }
}
