//! Headers and sync markers of SequenceFiles, against the plain writer that the tests have.

#[path = "../../../../fixtures/src/sequence.rs"]
#[allow(dead_code, unreachable_pub, reason = "a part of it serves others")]
mod written;

use proptest::prelude::*;

use self::written::{Form, Kind, SequenceFile, text};
use super::*;
use crate::{Bound, Format, Search, Step};

const VALUES: Format = Format::Sequence(SequenceRecords { fields: Fields::Value, framing: Framing::Raw });

fn search(at: usize, file: &[u8], known: Option<&SequenceHeader>) -> Result<Bound, HeaderError> {
    let mut search = Search::new(&VALUES, at as u64, file.len() as u64);
    if let Some(header) = known {
        search = search.with_header(header.clone().into());
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

fn parse(bytes: &[u8]) -> Result<Option<SequenceHeader>, HeaderError> {
    SequenceHeader::parse(bytes)
}

fn records(n: usize, len: usize) -> Vec<written::Record> {
    (0..n).map(|i| (text(i.to_string()), text("x".repeat(len + i % 7)))).collect()
}

#[test]
fn numbers_of_variable_length_are_read() {
    let near = |n: i64| [n.saturating_sub(1), n, n.saturating_add(1)];
    for number in
        [0, 1, -1, 127, -112, 255, -256, 1 << 31, -(1 << 31), i64::MAX, i64::MIN].into_iter().flat_map(near)
    {
        let mut bytes = Vec::new();
        written::vint(number, &mut bytes);
        assert_eq!((vint_len(bytes[0]), vint(&bytes)), (bytes.len(), number), "{bytes:?}");
    }
}

#[test]
fn headers_of_all_versions_are_read() {
    for version in 4..=6 {
        for (form, compression) in [
            (Form::Plain, Compression::None),
            (Form::Records, Compression::Record),
            (Form::Blocks(3), Compression::Block),
        ] {
            let metadata = [("a", "b"), ("", &*"long".repeat(3000))];
            let kind = Kind { version, form, metadata: &metadata, ..Kind::TEXT };
            let file = SequenceFile::write(&kind, &records(5, 3));
            let header = parse(&file.bytes).unwrap().unwrap();
            assert_eq!(header.end, file.header_end as u64, "{version} {form:?}");
            assert_eq!((header.compression, header.marker), (compression, kind.marker));
            assert_eq!((&*header.key_class, &*header.value_class), (kind.key_class, kind.value_class));
            assert_eq!(header.codec_class.as_deref(), (form != Form::Plain).then_some(kind.codec));
            for cut in 0..file.header_end {
                assert_eq!(parse(&file.bytes[..cut]), Ok(None), "cut at {cut}");
            }
            assert_eq!(search(0, &file.bytes, None).unwrap().offset, header.end);
            let cut = search(0, &file.bytes[..file.header_end - 1], None).unwrap_err();
            assert_eq!((cut.offset, cut.reason), (header.end - 1, HeaderReason::Truncated));
        }
    }
}

#[test]
fn what_is_no_header_is_told() {
    let reason = |bytes: &[u8]| parse(bytes).unwrap_err().reason;
    assert_eq!(reason(b"hello"), HeaderReason::NotThis("SEQ and a version"));
    assert_eq!(reason(b"SEr"), HeaderReason::NotThis("SEQ and a version"));
    assert_eq!(parse(b"SE"), Ok(None));
    for version in [0, 1, 3, 7, 255] {
        assert_eq!(reason(&[b'S', b'E', b'Q', version]), HeaderReason::Version(version));
    }
    let of = |rest: &[u8]| reason(&[b"SEQ\x06", rest].concat());
    // A name of 2⁶³ - 1 bytes, one of none, one of a negative number, one of 100 KB, one that is no text.
    for name in [
        &[0x88, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..],
        &[0],
        &[0xff],
        &[0x8d, 1, 0x86, 0xa0],
        &[2, 0xff, 0xff],
    ] {
        let reason = of(name);
        assert!(matches!(reason, HeaderReason::Damaged(_)), "{name:?}: {reason}");
    }
    assert!(matches!(of(b"\x01a\x01b\x02\0"), HeaderReason::Damaged(_)), "a flag of 2");
    assert!(matches!(of(b"\x01a\x01b\0\x01"), HeaderReason::Damaged(_)), "blocks without compression");
    assert!(matches!(of(b"\x01a\x01b\0\0\xff\xff\xff\xff"), HeaderReason::Damaged(_)), "metadata");
}

#[test]
fn a_header_without_end_is_not_read_on() {
    let mut file = b"SEQ\x06\x01a\x01b\0\0\x7f\xff\xff\xff".to_vec();
    file.resize(40 << 20, 0x7f);
    assert_eq!(search(0, &file, None).unwrap_err().reason, HeaderReason::TooLong);
}

#[test]
fn a_marker_across_chunks_is_found() {
    let header_end = SequenceFile::write(&Kind::TEXT, &[]).header_end;
    for pad in 4060..4100 {
        let kind = Kind { interval: 1, ..Kind::TEXT };
        let mut file =
            SequenceFile::write(&kind, &[(text("k"), text("x".repeat(pad))), (text("k"), text(""))]);
        file.bytes.truncate(file.runs[1].0 + 20);
        let bound = search(header_end + 1, &file.bytes, None).unwrap();
        assert_eq!(bound.offset, file.runs[1].0 as u64, "pad {pad}");
    }
}

#[test]
fn a_marker_without_its_escape_is_none() {
    let mut file = SequenceFile::write(&Kind { interval: 1, ..Kind::TEXT }, &records(3, 5));
    let first = file.runs[1].0;
    file.bytes[first] ^= 1;
    assert_eq!(search(first, &file.bytes, None).unwrap().offset, file.runs[2].0 as u64);
}

proptest! {
    #[test]
    fn splits_meet_at_markers(
        n in 0usize..40,
        len in 0usize..60,
        interval in 1usize..500,
        blocks in prop::option::of(1usize..7),
        size in 1usize..900,
    ) {
        let form = blocks.map_or(Form::Plain, Form::Blocks);
        let file = SequenceFile::write(&Kind { form, interval, ..Kind::TEXT }, &records(n, len));
        let header = parse(&file.bytes).unwrap().unwrap();
        let of_run = |run: usize| file.runs.get(run).map_or(file.bytes.len(), |(at, _)| *at);
        let begin_of = |record: usize| {
            of_run(file.runs.iter().position(|(_, run)| run.start == record).unwrap_or(file.runs.len()))
        };
        for start in (0..file.bytes.len()).step_by(size) {
            let end = (start + size).min(file.bytes.len());
            let own = file.split(start, end);
            let (from, to) = (search(start, &file.bytes, None).unwrap(), search(end, &file.bytes, Some(&header)).unwrap());
            if own.is_empty() {
                prop_assert!(from.offset == to.offset || n == 0, "{start}..{end}: {from:?} {to:?}");
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
