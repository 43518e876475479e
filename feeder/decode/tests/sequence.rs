//! SequenceFiles: what was written is decoded, from any sync marker on, and what is damaged is an error.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;
#[path = "../../../fixtures/src/sequence.rs"]
#[allow(dead_code, unreachable_pub, reason = "a part of it serves others")]
mod written;

use forebay_decode::{Codec, DecodeError, Decoder, Reason};
use forebay_record::{Fields, Framing, SequenceHeader, SequenceRecords};
use proptest::prelude::*;
use support::{as_hadoop, decode_with};
use written::{Form, Kind, Record, SequenceFile, bytes, framed, text, vint};

const IO: &str = "org.apache.hadoop.io.";

const CODECS: [(&str, Codec); 6] = [
    ("org.apache.hadoop.io.compress.DefaultCodec", Codec::Deflate),
    ("org.apache.hadoop.io.compress.GzipCodec", Codec::Gzip),
    ("org.apache.hadoop.io.compress.BZip2Codec", Codec::Bzip2),
    ("org.apache.hadoop.io.compress.SnappyCodec", Codec::Snappy),
    ("org.apache.hadoop.io.compress.Lz4Codec", Codec::Lz4),
    ("org.apache.hadoop.io.compress.ZStandardCodec", Codec::Zstd),
];

/// What comes of a part of a file.
fn decode_part(
    file: &[u8],
    part: core::ops::Range<usize>,
    (fields, framing): (Fields, Framing),
    (piece, room): (usize, usize),
) -> Result<Vec<u8>, DecodeError> {
    let header = SequenceHeader::parse(file)?.unwrap();
    let decoder = Decoder::of_sequence(&header, SequenceRecords { fields, framing }, part.start as u64)?;
    decode_with(decoder, &file[part], piece, room)
}

fn decode(
    file: &SequenceFile,
    how: (Fields, Framing),
    sizes: (usize, usize),
) -> Result<Vec<u8>, DecodeError> {
    decode_part(&file.bytes, file.header_end..file.bytes.len(), how, sizes)
}

/// Each kind of file, with what its codec does.
fn all_kinds(run: impl Fn(Kind<'_>)) {
    for form in [Form::Plain, Form::Records, Form::Blocks(4), Form::Blocks(1000)] {
        for (class, codec) in CODECS {
            let compress = move |data: &[u8]| as_hadoop(codec, data);
            run(Kind { form, codec: class, compress: &compress, interval: 100, ..Kind::TEXT });
        }
    }
}

fn texts(records: &[(Vec<u8>, Vec<u8>)]) -> Vec<Record> {
    records.iter().map(|(key, value)| (text(key), text(value))).collect()
}

/// What is delivered of texts.
fn delivered(records: &[(Vec<u8>, Vec<u8>)], (fields, framing): (Fields, Framing)) -> Vec<u8> {
    let of = |(key, value): &(Vec<u8>, Vec<u8>)| match (fields, framing) {
        (Fields::Value, Framing::Raw) => [value, &b"\n"[..]].concat(),
        (Fields::KeyValue, Framing::Raw) => [key, &b"\t"[..], value, b"\n"].concat(),
        (Fields::Value, Framing::Length) => framed(value),
        (Fields::KeyValue, Framing::Length) => [framed(key), framed(value)].concat(),
    };
    records.iter().flat_map(of).collect()
}

const HOW: [(Fields, Framing); 4] = [
    (Fields::Value, Framing::Raw),
    (Fields::KeyValue, Framing::Raw),
    (Fields::Value, Framing::Length),
    (Fields::KeyValue, Framing::Length),
];

fn some_records() -> Vec<(Vec<u8>, Vec<u8>)> {
    (0..23_usize)
        .map(|i| {
            (format!("key {i}").into_bytes(), format!("{i}, and a\nvalue ").repeat(i * i % 31).into_bytes())
        })
        .collect()
}

#[test]
fn long_files_are_decoded() {
    let records: Vec<_> = (0..150_usize)
        .map(|i| (i.to_string().into_bytes(), vec![b'a' + u8::try_from(i % 26).unwrap(); i * 37 % 700]))
        .chain([(b"long".to_vec(), vec![b'z'; 300 << 10]), (Vec::new(), Vec::new())])
        .collect();
    all_kinds(|kind| {
        let file = SequenceFile::write(&kind, &texts(&records));
        for how in HOW {
            let got = decode(&file, how, (1 << 16, 1 << 18)).unwrap();
            assert!(
                got == delivered(&records, how),
                "{:?} {} {how:?}: {} bytes",
                kind.form,
                kind.codec,
                got.len()
            );
        }
    });
}

#[test]
fn writables_become_their_natural_bytes() {
    let int = |n: i32| n.to_be_bytes().to_vec();
    let long = |n: i64| n.to_be_bytes().to_vec();
    let double = 1.5_f64.to_be_bytes().to_vec();
    let cases = [
        ("IntWritable", int(-5), &b"-5"[..]),
        ("IntWritable", int(i32::MAX), b"2147483647"),
        ("LongWritable", long(i64::MIN), b"-9223372036854775808"),
        ("LongWritable", long(0), b"0"),
        ("NullWritable", Vec::new(), b""),
        ("BytesWritable", bytes(b"\0\n\xff"), b"\0\n\xff"),
        ("BytesWritable", bytes(b""), b""),
        ("DoubleWritable", double.clone(), &double),
    ];
    for (class, written, natural) in cases {
        let class = format!("{IO}{class}");
        all_kinds(|kind| {
            let record = (text("k"), written.clone());
            let kind = Kind { value_class: &class, ..kind };
            let as_value = SequenceFile::write(&kind, &[record.clone(), record.clone()]);
            for sizes in [(1000, 1000), (1, 1)] {
                let got = decode(&as_value, (Fields::Value, Framing::Length), sizes).unwrap();
                assert_eq!(got, framed(natural).repeat(2), "{class} {:?} {}", kind.form, kind.codec);
            }
            let kind = Kind { key_class: &class, value_class: Kind::TEXT.value_class, ..kind };
            let as_key = SequenceFile::write(&kind, &[(record.1, record.0)]);
            let got = decode(&as_key, (Fields::KeyValue, Framing::Length), (3, 3)).unwrap();
            assert_eq!(
                got,
                [framed(natural), framed(b"k")].concat(),
                "{class} {:?} {}",
                kind.form,
                kind.codec
            );
            let lines = decode(&as_key, (Fields::KeyValue, Framing::Raw), (3, 3));
            match lines {
                Ok(lines) => assert_eq!(lines, [natural, b"\tk\n"].concat()),
                Err(error) => {
                    assert!(
                        matches!(&error.reason, Reason::NotText { what: "keys", class: told } if *told == class)
                    );
                    assert!(class.contains("Bytes") || class.contains("Double"), "{error}");
                }
            }
        });
    }
}

#[test]
fn unknown_codecs_are_refused_by_name() {
    let kind = Kind { form: Form::Records, codec: "com.hadoop.compression.lzo.LzoCodec", ..Kind::TEXT };
    let file = SequenceFile::write(&kind, &texts(&some_records()));
    let error = decode(&file, HOW[0], (100, 100)).unwrap_err();
    assert!(error.is_refusal() && error.to_string().contains(kind.codec), "{error}");
}

#[test]
fn a_file_cut_anywhere_is_whole_only_between_records() {
    let records = some_records();
    all_kinds(|kind| {
        if kind.form == Form::Blocks(1000) {
            return;
        }
        let file = SequenceFile::write(&kind, &texts(&records));
        let all = delivered(&records, HOW[1]);
        for cut in (file.header_end..file.bytes.len()).step_by(11) {
            match decode_part(&file.bytes, file.header_end..cut, HOW[1], (50, 100)) {
                Ok(got) => {
                    assert!(all.starts_with(&got) && got.len() < all.len(), "{:?} cut at {cut}", kind.form);
                }
                Err(error) => {
                    assert!(
                        matches!(error.reason, Reason::Truncated(_)),
                        "{:?} cut at {cut}: {error}",
                        kind.form
                    );
                    assert!(error.offset <= cut as u64);
                }
            }
        }
    });
}

#[test]
fn a_flipped_bit_is_never_a_panic_and_in_what_is_summed_an_error() {
    let records = some_records();
    all_kinds(|kind| {
        let file = SequenceFile::write(&kind, &texts(&records));
        let mut at = file.header_end * 8;
        while at < file.bytes.len() * 8 {
            let mut flipped = file.bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            let got = decode_part(&flipped, file.header_end..flipped.len(), HOW[1], (100, 200));
            if matches!(kind.form, Form::Blocks(_)) && kind.codec.contains("Gzip") {
                // Names and times of members are not covered by a sum.
                assert!(got.is_err() || got.unwrap() == delivered(&records, HOW[1]), "bit {at}");
            }
            at += 97;
        }
    });
}

#[test]
fn lengths_that_lie_are_errors() {
    let header = SequenceFile::write(&Kind::TEXT, &[]).bytes;
    let in_blocks = SequenceFile::write(&Kind { form: Form::Blocks(1), ..Kind::TEXT }, &[]).bytes;
    let reason = |header: &[u8], rest: &[&[u8]]| {
        let file = [header, &rest.concat()].concat();
        let framed = (Fields::KeyValue, Framing::Length);
        decode_part(&file, header.len()..file.len(), framed, (100, 100)).unwrap_err().reason
    };
    let damaged = |header: &[u8], rest: &[&[u8]]| match reason(header, rest) {
        Reason::Damaged(what) => what,
        other => panic!("{rest:?}: {other}"),
    };
    // A record of -2 bytes; a key longer than its record; one of -1 bytes; a text longer than its value, and shorter.
    assert!(damaged(&header, &[b"\xff\xff\xff\xfe"]).contains("negative"));
    assert!(damaged(&header, &[b"\0\0\0\x02\0\0\0\x03"]).contains("longer than its record"));
    assert!(damaged(&header, &[b"\0\0\0\x02\xff\xff\xff\xff"]).contains("negative"));
    for value in [&b"\x03a"[..], b"\0a", b"\x88\x7f\xff\xff\xff\xff\xff\xff\xff", b"\xffa"] {
        let len = u8::try_from(value.len()).unwrap() + 1;
        damaged(&header, &[&[0, 0, 0, len, 0, 0, 0, 1, 0], value]);
    }
    // What is announced is not waited for in memory.
    assert!(matches!(reason(&header, &[b"\x7f\xff\xff\xff\x7f\0\0\0"]), Reason::Truncated(_)));
    let marker = [&[0xff; 4][..], &Kind::TEXT.marker].concat();
    assert!(matches!(reason(&header, &[&[0xff; 4], &[7; 16]]), Reason::Mismatch(_)));
    assert!(damaged(&in_blocks, &[b"\0\0\0\x01"]).contains("no sync marker"));
    assert!(damaged(&in_blocks, &[&marker, b"\xff"]).contains("impossible number"));
    assert!(damaged(&in_blocks, &[&marker, b"\x01\xff"]).contains("impossible length"));
    assert!(
        damaged(&in_blocks, &[&marker, b"\x88\x7f\xff\xff\xff\xff\xff\xff\xff\x7f"])
            .contains("impossible number")
    );
    let part = |data: &[u8]| {
        let packed = as_hadoop(Codec::Deflate, data);
        let mut part = Vec::new();
        vint(packed.len(), &mut part);
        [part, packed].concat()
    };
    let block = |count: u8, parts: [&[u8]; 4]| {
        let parts = parts.map(part).concat();
        damaged(&in_blocks, &[&marker, &[count], &parts])
    };
    assert!(block(2, [b"\x01\x01", b"\0\0", b"\x01", b"\0"]).contains("fewer lengths"));
    assert!(block(1, [b"\x02", b"\0", b"\x01", b"\0"]).contains("fewer keys"));
    assert!(block(1, [b"\x01", b"\0", b"\x02", b"\x01"]).contains("fewer values"));
    assert!(block(1, [b"\x01", b"\0", b"\x01", b"\0\0"]).contains("more values"));
    assert!(block(1, [b"\x01", b"\0\0", b"\x01", b"\0"]).contains("more keys or lengths"));
    assert!(block(1, [b"\x01", b"\0", b"\xff", b"\0"]).contains("negative"));
    let codec = damaged(&in_blocks, &[&marker, b"\x01\x03abc"]);
    assert!(codec.contains("not what deflate writes"), "{codec}");
    assert!(damaged(&in_blocks, &[&marker, b"\x01\0"]).contains("no bytes"));
    assert!(damaged(&in_blocks, &[&marker, b"\x01\x02\x78\x9c\x01"]).contains("too early"));
}

#[test]
fn a_block_of_too_many_lengths_is_refused_before_it_is_held() {
    let compress = |data: &[u8]| as_hadoop(Codec::Deflate, data);
    let kind = Kind {
        form: Form::Blocks(usize::MAX),
        key_class: "org.apache.hadoop.io.NullWritable",
        value_class: "org.apache.hadoop.io.NullWritable",
        compress: &compress,
        ..Kind::TEXT
    };
    let mut file = SequenceFile::write(&kind, &[]);
    file.bytes.extend([&[0xff; 4][..], &kind.marker, b"\x8c\x7f\xff\xff\xff"].concat());
    for part in [&b""[..], b"", &vec![0; 65 << 20]] {
        let packed = compress(part);
        vint(packed.len(), &mut file.bytes);
        file.bytes.extend(packed);
    }
    let error = decode(&file, HOW[0], (1 << 16, 1 << 16)).unwrap_err();
    assert!(matches!(error.reason, Reason::TooLong { .. }), "{error}");
}

#[test]
fn sync_markers_in_a_row_are_one() {
    let marker = [&[0xff; 4][..], &Kind::TEXT.marker].concat();
    let mut file = SequenceFile::write(&Kind::TEXT, &texts(&some_records()));
    file.bytes.splice(file.header_end..file.header_end, marker.repeat(2));
    file.bytes.extend(marker);
    assert_eq!(decode(&file, HOW[0], (10, 10)).unwrap(), delivered(&some_records(), HOW[0]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 16, ..Default::default() })]
    #[test]
    fn pieces_room_and_where_it_begins_do_not_matter(
        records in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..9), support::data(300)), 0..12),
        piece in 1usize..300,
        room in 1usize..300,
    ) {
        all_kinds(|kind| {
            let file = SequenceFile::write(&kind, &texts(&records));
            for how in HOW {
                for (i, (at, run)) in file.runs.iter().enumerate() {
                    let end = file.runs.get(i + 1).map_or(file.bytes.len(), |next| next.0);
                    let got = decode_part(&file.bytes, *at..end, how, (piece, room)).unwrap();
                    assert!(got == delivered(&records[run.clone()], how), "{:?} {}", kind.form, kind.codec);
                }
            }
        });
    }
}
