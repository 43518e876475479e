//! Avro files: what was written is decoded, from any block on, and what is damaged is an error.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod support;
#[path = "../../../fixtures/src/avro.rs"]
#[allow(dead_code, unreachable_pub, reason = "a part of it serves others")]
mod written;

use std::io::Write;

use forebay_decode::{AvroSchema, Codec, DecodeError, Decoder, Reason};
use forebay_record::{AvroHeader, Framing};
use proptest::prelude::*;
use support::{as_hadoop, decode_with, raw_snappy};
use written::{AvroFile, Kind, block, bytes_of, framed, long, sample};

const CODECS: [&str; 7] = ["null", "", "deflate", "deflate, cut zlib", "snappy", "bzip2", "zstandard"];

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn snappy(data: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(data);
    [raw_snappy(data), crc.sum().to_be_bytes().to_vec()].concat()
}

/// Runs with each codec.
fn all_kinds(mut run: impl FnMut(Kind<'_>)) {
    for codec in CODECS {
        let compress = |data: &[u8]| match codec {
            "deflate" => deflate(data),
            // What Python's writers make: a zlib stream without its header and its last byte.
            "deflate, cut zlib" => {
                let zlib = as_hadoop(Codec::Deflate, data);
                zlib[2..zlib.len() - 1].to_vec()
            }
            "snappy" => snappy(data),
            "bzip2" => as_hadoop(Codec::Bzip2, data),
            "zstandard" => as_hadoop(Codec::Zstd, data),
            _ => data.to_vec(),
        };
        let codec = codec.split(',').next().unwrap();
        run(Kind { codec, compress: &compress, ..Kind::SAMPLE });
    }
}

/// What comes of a part of a file.
fn decode_part(
    file: &[u8],
    part: core::ops::Range<usize>,
    framing: Framing,
    (piece, room): (usize, usize),
) -> Result<Vec<u8>, DecodeError> {
    let header = AvroHeader::parse(file)?.unwrap();
    let schema = AvroSchema::parse(&header.schema)?;
    let decoder = Decoder::of_avro(&header, schema.into(), framing, part.start as u64)?;
    decode_with(decoder, &file[part], piece, room)
}

fn decode(file: &AvroFile, framing: Framing, sizes: (usize, usize)) -> Result<Vec<u8>, DecodeError> {
    decode_part(&file.bytes, file.header_end..file.bytes.len(), framing, sizes)
}

fn delivered(records: &[Vec<u8>], framing: Framing) -> Vec<u8> {
    match framing {
        Framing::Raw => records.concat(),
        Framing::Length => records.iter().flat_map(|record| framed(record)).collect(),
    }
}

const HOW: [Framing; 2] = [Framing::Raw, Framing::Length];

fn samples(n: usize) -> Vec<Vec<u8>> {
    (0..n).map(sample).collect()
}

#[test]
fn records_of_all_types_are_cut_by_their_schema() {
    let records = samples(20);
    all_kinds(|kind| {
        let file = AvroFile::write(&kind, &records);
        for framing in HOW {
            for sizes in [(usize::MAX, 1 << 20), (1, 1), (7, 300), (1000, 9)] {
                let got = decode(&file, framing, sizes).unwrap();
                assert!(got == delivered(&records, framing), "{} {framing:?} {sizes:?}", kind.codec);
            }
        }
    });
}

#[test]
fn a_file_cut_anywhere_is_whole_only_between_blocks() {
    let records = samples(4);
    all_kinds(|kind| {
        let file = AvroFile::write(&kind, &records);
        let ends = |cut: usize| cut == file.header_end || file.blocks.iter().any(|(at, _)| *at == cut);
        for cut in file.header_end..file.bytes.len() {
            let got = decode_part(&file.bytes, file.header_end..cut, Framing::Length, (50, 50));
            match got {
                Ok(_) => assert!(ends(cut), "{}: cut at {cut}", kind.codec),
                Err(error) => {
                    assert!(matches!(error.reason, Reason::Truncated(_)), "{}: {error}", kind.codec);
                    assert!(error.offset <= cut as u64 && !ends(cut));
                }
            }
        }
    });
}

#[test]
fn a_flipped_bit_never_makes_another_number_of_bytes_look_whole() {
    let records = samples(4);
    all_kinds(|kind| {
        let file = AvroFile::write(&kind, &records);
        for at in (8 * file.header_end..8 * file.bytes.len()).step_by(19) {
            let mut flipped = file.bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            let got = decode_part(&flipped, file.header_end..flipped.len(), Framing::Raw, (100, 200));
            let has_sums = matches!(kind.codec, "snappy" | "bzip2" | "zstandard");
            if let Ok(got) = got
                && has_sums
            {
                assert!(got == delivered(&records, Framing::Raw), "{}: bit {at}", kind.codec);
            }
        }
    });
}

/// A file of one block, and what is wrong with it.
fn reason(schema: &str, codec: &str, rest: &[Vec<u8>]) -> Reason {
    let kind = Kind { schema, codec, ..Kind::SAMPLE };
    let header = written::header(&kind);
    let file = [header.clone(), rest.concat()].concat();
    let whole = decode_part(&file, header.len()..file.len(), Framing::Length, (1 << 16, 1 << 16));
    let pieces = decode_part(&file, header.len()..file.len(), Framing::Raw, (1, 1));
    let (whole, pieces) = (whole.unwrap_err(), pieces.unwrap_err());
    assert_eq!(whole.reason, pieces.reason);
    whole.reason
}

fn damaged(schema: &str, rest: &[Vec<u8>]) -> String {
    match reason(schema, "null", rest) {
        Reason::Damaged(what) => what,
        other => panic!("{rest:?}: {other}"),
    }
}

#[test]
fn counts_and_sizes_that_lie_are_errors() {
    let marker = || Kind::SAMPLE.marker.to_vec();
    let int = "\"int\"";
    assert!(damaged(int, &[long(-1)]).contains("negative number"));
    assert!(damaged(int, &[long(1), long(-1)]).contains("negative size"));
    assert!(damaged(int, &[long(1), long(i64::MIN)]).contains("negative size"));
    assert!(damaged(int, &[vec![0xff; 10]]).contains("too many bytes"));
    assert!(damaged(int, &[long(1), long(2), vec![0, 0]]).contains("more bytes"));
    assert!(damaged(int, &[long(0), long(1), vec![0]]).contains("more bytes"));
    assert!(damaged(int, &[long(2), long(1), vec![0]]).contains("fewer records"));
    assert!(damaged(int, &[long(1), long(0)]).contains("fewer records"));
    assert!(damaged(int, &[long(i64::MAX), long(2), vec![0, 0]]).contains("fewer records"));
    assert!(damaged(int, &[long(1), long(1), vec![0x80]]).contains("middle of a record"));
    // What is announced is not waited for in memory.
    let plain = [long(1), long(i64::MAX), long(i64::MAX)];
    assert!(matches!(reason("\"bytes\"", "null", &plain), Reason::Truncated(_)));
    for codec in ["deflate", "bzip2", "zstandard"] {
        assert!(matches!(reason(int, codec, &[long(1), long(i64::MAX)]), Reason::Truncated(_)));
        assert!(matches!(reason(int, codec, &[long(1), long(0)]), Reason::Damaged(_)));
    }
    assert!(matches!(reason(int, "snappy", &[long(1), long(i64::MAX)]), Reason::TooLong { .. }));
    assert!(matches!(reason(int, "snappy", &[long(1), long(3)]), Reason::Damaged(_)));
    let sum = reason(int, "snappy", &[long(1), long(7), vec![1, 0, 2, 1, 2, 3, 4], marker()]);
    assert_eq!(sum, Reason::Mismatch("checksum of a block"));
    let other = reason(int, "null", &[long(1), long(1), vec![2], vec![7; 16]]);
    assert_eq!(other, Reason::Mismatch("sync marker"));
    let after = [deflate(&[2]), vec![0; 5]].concat();
    let after = reason(int, "deflate", &[long(1), long(after.len()), after, marker()]);
    assert!(matches!(after, Reason::Damaged(_)), "{after}");
    assert!(matches!(reason(int, "xz", &[]), Reason::UnknownCodec { codec, .. } if codec == "xz"));
}

#[test]
fn values_that_no_writer_writes_are_errors() {
    let of = |schema: &str, value: &[Vec<u8>]| {
        let value = value.concat();
        damaged(schema, &[long(1), long(value.len()), value])
    };
    assert!(of("\"boolean\"", &[vec![2]]).contains("boolean"));
    assert!(of("\"boolean\"", &[vec![0x80, 0]]).contains("too many bytes"));
    assert!(of("\"int\"", &[long(1_i64 << 31)]).contains("32 bits"));
    assert!(of("\"int\"", &[vec![0x80; 5]]).contains("too many bytes"));
    assert!(of("\"long\"", &[vec![0xff; 10]]).contains("too many bytes"));
    assert!(of("\"string\"", &[long(-1)]).contains("negative length"));
    assert!(of("[\"null\",\"int\"]", &[long(2)]).contains("branch"));
    assert!(of("[\"null\",\"int\"]", &[long(-1)]).contains("branch"));
    let suit = r#"{"type":"enum","name":"E","symbols":["A","B"]}"#;
    assert!(of(suit, &[long(2)]).contains("symbol") && of(suit, &[long(-1)]).contains("symbol"));
    let longs = r#"{"type":"array","items":"long"}"#;
    assert!(of(longs, &[long(i64::MIN)]).contains("impossible number"));
    assert!(of(longs, &[long(-1), long(-1)]).contains("impossible size"));
    assert!(of(longs, &[long(-1), long(i64::MAX), long(3), long(0)]).contains("another size"));
    assert!(of(longs, &[long(-2), long(1), long(3), long(3), long(0)]).contains("another size"));
    assert!(of(longs, &[long(i64::MAX), long(3)]).contains("middle of a record"));
    let map = r#"{"type":"map","values":"null"}"#;
    assert!(of(map, &[long(i64::MAX), long(0)]).contains("middle of a record"));
    // Two in each other without end: a value that has none, and one that is deeper than is gone.
    let deep = r#"{"type":"record","name":"R","fields":[{"name":"r","type":"R"}]}"#;
    assert!(of(deep, &[vec![0]]).contains("deep"));
    let list = r#"{"type":"array","items":{"type":"record","name":"R","fields":[{"name":"r","type":["null","R"]}]}}"#;
    assert!(of(list, &[long(1), vec![2; 5000]]).contains("deep"));
}

#[test]
fn nulls_have_no_bytes_however_many_there_are() {
    let schema = r#"{"type":"record","name":"R","fields":[
        {"name":"a","type":{"type":"array","items":{"type":"record","name":"N","fields":[{"name":"n","type":"null"}]}}},
        {"name":"f","type":{"type":"fixed","name":"F","size":0}},{"name":"n","type":"N"}]}"#;
    let record = [long(i64::MAX), long(-i64::MAX), long(0), long(0)].concat();
    let file = AvroFile::write(&Kind { schema, ..Kind::SAMPLE }, &vec![record.clone(); 3]);
    assert_eq!(decode(&file, Framing::Raw, (9, 9)).unwrap(), record.repeat(3));
}

#[test]
fn blocks_without_records_are_passed_over() {
    let mut file = AvroFile::write(&Kind::SAMPLE, &samples(4));
    file.bytes.splice(file.header_end..file.header_end, block(&Kind::SAMPLE, 0, b""));
    file.bytes.extend(block(&Kind::SAMPLE, 0, b""));
    assert_eq!(decode(&file, Framing::Raw, (10, 10)).unwrap(), samples(4).concat());
}

#[test]
fn a_long_record_is_passed_on_but_not_held() {
    let long_record = bytes_of(vec![b'x'; 64 << 20]);
    let compress = |data: &[u8]| deflate(data);
    let kind = Kind { schema: "\"bytes\"", codec: "deflate", compress: &compress, ..Kind::SAMPLE };
    let records = [bytes_of("short"), long_record, bytes_of("short")];
    let file = AvroFile::write(&kind, &records);
    let sizes = (1 << 16, 1 << 16);
    assert!(decode(&file, Framing::Raw, sizes).unwrap() == records.concat());
    let error = decode(&file, Framing::Length, sizes).unwrap_err();
    assert!(matches!(error.reason, Reason::LongRecord { .. }), "{error}");
    assert!(error.is_refusal() && error.to_string().contains("--framing raw"));
    // What snappy decodes to is refused before it is there.
    let bomb = [vec![0xff, 0xff, 0xff, 0x7f], vec![0; 40]].concat();
    assert!(matches!(
        reason("\"bytes\"", "snappy", &[long(1), long(bomb.len()), bomb]),
        Reason::TooLong { .. }
    ));
}

#[test]
fn schemas_that_tell_no_ends_are_refused() {
    let refused = |schema: &str| {
        let error = AvroSchema::parse(schema.as_bytes()).unwrap_err();
        assert!(error.is_refusal() && matches!(error.reason, Reason::Schema(_)), "{schema}: {error}");
        error.to_string()
    };
    assert!(refused("\"null\"").contains("no bytes"));
    assert!(refused(r#"{"type":"record","name":"R","fields":[]}"#).contains("no bytes"));
    assert!(refused("\"Other\"").contains("\"Other\" is not defined"));
    for schema in [
        "",
        "{",
        "7",
        "{}",
        r#"{"type":"array"}"#,
        r#"{"type":"map","values":"x"}"#,
        r#"{"type":"enum","name":"E"}"#,
        r#"{"type":"enum","symbols":["A"]}"#,
        r#"{"type":"fixed","name":"F","size":-1}"#,
        r#"{"type":"fixed","name":"F","size":"1"}"#,
        r#"{"type":"record","name":"R"}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"a"}]}"#,
        r#"[{"type":"fixed","name":"F","size":1},{"type":"fixed","name":"F","size":1}]"#,
    ] {
        refused(schema);
    }
    refused(&format!("{}\"int\"{}", "[".repeat(1000), "]".repeat(1000)));
    // A chain of types by their names goes deeper than JSON does.
    let chain = (1..9000).map(|i| {
        let before = i - 1;
        format!(r#",{{"type":"record","name":"R{i}","fields":[{{"name":"r","type":"R{before}"}}]}}"#)
    });
    let chain = format!(r#"[{{"type":"fixed","name":"R0","size":1}}{}]"#, chain.collect::<Vec<_>>().concat());
    assert!(damaged(&chain, &[long(1), long(3), long(8999), vec![0]]).contains("deep"));
}

#[test]
fn names_are_found_as_avro_finds_them() {
    for (schema, value) in [
        (
            r#"["null",{"type":"fixed","name":"a.F","size":2},{"type":"array","items":"a.F"}]"#,
            vec![4, 2, 9, 9, 0],
        ),
        (
            r#"{"type":"record","name":"R","namespace":"a","fields":[
                {"name":"f","type":{"type":"fixed","name":"F","namespace":"","size":2}},{"name":"g","type":"F"}]}"#,
            vec![1, 1, 2, 2],
        ),
        (
            r#"{"type":"record","name":"a.R","fields":[
                {"name":"f","type":{"type":"fixed","name":"F","size":2}},{"name":"g","type":{"type":"F"}},
                {"name":"h","type":"a.F"},{"name":"i","type":{"type":{"type":"array","items":"F"}}}]}"#,
            vec![1, 1, 2, 2, 3, 3, 0],
        ),
    ] {
        let file = AvroFile::write(&Kind { schema, ..Kind::SAMPLE }, std::slice::from_ref(&value));
        assert_eq!(decode(&file, Framing::Raw, (9, 9)).unwrap(), value, "{schema}");
    }
}

#[test]
fn schemas_are_alike_that_read_records_alike() {
    let parse = |schema: &str| AvroSchema::parse(schema.as_bytes()).unwrap();
    let one = parse(written::SAMPLE_SCHEMA);
    let dense =
        written::SAMPLE_SCHEMA.replace('\n', "").replace("All types", "Some").replace(", \"default\": 7", "");
    assert!(one.is_like(&parse(&dense)));
    for (from, to) in [("millis", "micros"), ("\"text\"", "\"words\""), ("\"size\": 5", "\"size\": 6")] {
        assert!(!one.is_like(&parse(&written::SAMPLE_SCHEMA.replace(from, to))), "{from}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 16, ..Default::default() })]
    #[test]
    fn pieces_room_and_where_it_begins_do_not_matter(
        n in 0usize..12,
        first in 0usize..100,
        per_block in 1usize..5,
        piece in 1usize..300,
        room in 1usize..300,
    ) {
        let records: Vec<_> = (first..first + n).map(sample).collect();
        all_kinds(|kind| {
            let file = AvroFile::write(&Kind { block: per_block, ..kind }, &records);
            for framing in HOW {
                for (i, (at, own)) in file.blocks.iter().enumerate() {
                    let end = file.blocks.get(i + 1).map_or(file.bytes.len(), |next| next.0);
                    let got = decode_part(&file.bytes, *at..end, framing, (piece, room)).unwrap();
                    assert!(got == delivered(&records[own.clone()], framing), "{} {framing:?}", kind.codec);
                }
            }
        });
    }
}
