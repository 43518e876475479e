//! Headers and sync markers of Avro files, against the plain writer that the tests have.

#[path = "../../../../fixtures/src/avro.rs"]
#[allow(dead_code, unreachable_pub, reason = "a part of it serves others")]
mod written;

use proptest::prelude::*;

use self::written::{AvroFile, Kind, bytes_of, long};
use super::*;
use crate::{Bound, Format, Framing, Header, Search, Step};

const RAW: Format = Format::Avro(Framing::Raw);

fn search(at: usize, file: &[u8], known: Option<&AvroHeader>) -> Result<Bound, HeaderError> {
    let mut search = Search::new(&RAW, at as u64, file.len() as u64);
    if let Some(header) = known {
        search = search.with_header(Header::from(header.clone()));
    }
    loop {
        match search.step() {
            Step::Found(bound) => return Ok(bound),
            Step::Failed(error) => return Err(error),
            Step::Read(range) => {
                assert!(range.start < range.end && range.end <= file.len() as u64, "{range:?}");
                let (start, end) =
                    (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
                search.feed(&file[start..end]);
            }
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Option<AvroHeader>, HeaderError> {
    AvroHeader::parse(bytes)
}

#[test]
fn numbers_are_read() {
    let near = |n: i64| [n.saturating_sub(1), n, n.saturating_add(1)];
    for number in [0, 63, -64, 64, 8191, 1 << 31, i64::MAX, i64::MIN].into_iter().flat_map(near) {
        assert_eq!(zigzag::number(&long(number)), number);
    }
}

#[test]
fn headers_are_read() {
    let long_schema = format!("\"{}\"", "x".repeat(9000));
    for (schema, codec) in [(Kind::SAMPLE.schema, "deflate"), (&*long_schema, ""), ("\"long\"", "null")] {
        let kind = Kind { schema, codec, ..Kind::SAMPLE };
        let file = AvroFile::write(&kind, &[b"abc".to_vec()]);
        let header = parse(&file.bytes).unwrap().unwrap();
        assert_eq!((header.end, header.marker), (file.header_end as u64, kind.marker));
        assert_eq!(header.schema, schema.as_bytes());
        assert_eq!(header.codec, if codec.is_empty() { "null" } else { codec });
        for cut in 0..file.header_end {
            assert_eq!(parse(&file.bytes[..cut]), Ok(None), "cut at {cut}");
        }
        assert_eq!(search(0, &file.bytes, None).unwrap().offset, header.end);
        let cut = search(0, &file.bytes[..file.header_end - 1], None).unwrap_err();
        assert_eq!((cut.offset, cut.reason), (header.end - 1, HeaderReason::Truncated));
    }
    // A map in two blocks, of which the first says its size.
    let entry = [bytes_of("avro.schema"), bytes_of("\"int\"")].concat();
    let other = [bytes_of("avro.codec"), bytes_of("snappy")].concat();
    let map = [long(-1), long(entry.len()), entry, long(1), other, long(0)].concat();
    let header = parse(&[b"Obj\x01", &*map, &[7; 16]].concat()).unwrap().unwrap();
    assert_eq!((&*header.schema, &*header.codec, header.marker), (&b"\"int\""[..], "snappy", [7; 16]));
}

#[test]
fn what_is_no_header_is_told() {
    let reason = |bytes: &[u8]| parse(bytes).unwrap_err().reason;
    for bytes in [&b"hello"[..], b"SEQ\x06", b"Obj\x02", b"Obj\0"] {
        assert!(matches!(reason(bytes), HeaderReason::NotThis(_)), "{bytes:?}");
    }
    assert_eq!(parse(b"Obj"), Ok(None));
    let of = |rest: &[Vec<u8>]| reason(&[b"Obj\x01".to_vec(), rest.concat()].concat());
    let damaged = |rest: &[Vec<u8>]| match of(rest) {
        HeaderReason::Damaged(what) => what,
        other => panic!("{rest:?}: {other}"),
    };
    assert!(damaged(&[long(0), vec![0; 16]]).contains("no schema"));
    assert!(damaged(&[vec![0xff; 10]]).contains("too many bytes"));
    assert!(damaged(&[long(1), long(-1)]).contains("negative"));
    assert!(damaged(&[long(1), bytes_of("avro.schema"), long(i64::MIN)]).contains("negative"));
    assert_eq!(of(&[long(1), long(i64::MAX)]), HeaderReason::TooLong);
    let codec = [bytes_of("avro.codec"), bytes_of([0xff]), bytes_of("avro.schema"), bytes_of("")].concat();
    assert!(damaged(&[long(2), codec, long(0), vec![0; 16]]).contains("no text"));
}

#[test]
fn a_header_without_end_is_not_read_on() {
    let mut file = [b"Obj\x01".to_vec(), long(i64::MAX)].concat();
    file.resize(40 << 20, 0);
    assert_eq!(search(0, &file, None).unwrap_err().reason, HeaderReason::TooLong);
}

#[test]
fn a_marker_across_chunks_is_found() {
    let header_end = written::header(&Kind::SAMPLE).len();
    for pad in 4060..4100 {
        let kind = Kind { block: 1, ..Kind::SAMPLE };
        let file = AvroFile::write(&kind, &[vec![b'x'; pad], b"y".to_vec()]);
        // One offset further, the header's own marker is behind.
        let bound = search(header_end - 15, &file.bytes, None).unwrap();
        assert_eq!(bound.offset, file.blocks[1].0 as u64, "pad {pad}");
    }
}

proptest! {
    #[test]
    fn splits_meet_behind_markers(n in 0usize..30, len in 0usize..60, block in 1usize..7, size in 1usize..900) {
        let records: Vec<_> = (0..n).map(|i| vec![b'x'; len + i % 7]).collect();
        let file = AvroFile::write(&Kind { block, ..Kind::SAMPLE }, &records);
        let header = parse(&file.bytes).unwrap().unwrap();
        let begin_of = |record: usize| {
            let block = file.blocks.iter().find(|(_, records)| records.start == record);
            block.map_or(file.bytes.len(), |(at, _)| *at)
        };
        for start in (0..file.bytes.len()).step_by(size) {
            let end = (start + size).min(file.bytes.len());
            let own = file.split(start, end);
            let (from, to) = (search(start, &file.bytes, None).unwrap(), search(end, &file.bytes, Some(&header)).unwrap());
            if own.is_empty() {
                prop_assert_eq!(from.offset, to.offset);
            } else {
                prop_assert_eq!(from.offset, begin_of(own.start) as u64);
                prop_assert_eq!(to.offset, begin_of(own.end) as u64);
            }
            for at in start..=usize::try_from(from.same_until).unwrap_or(usize::MAX).min(file.bytes.len()) {
                prop_assert_eq!(search(at, &file.bytes, Some(&header)).unwrap().offset, from.offset);
            }
        }
    }
}
