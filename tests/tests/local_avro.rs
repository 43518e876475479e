//! Records of Avro files of this machine, through the binary: whole, split, of several schemas, and damaged.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod jobs;
mod support;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use forebay_fixtures::avro::{AvroFile, Kind, SAMPLE_SCHEMA, bytes_of, framed, sample};
use forebay_tests::said;
use jobs::{Jobs, KEEP, lines_below};
use support::{Room, code, run, sh};

/// What a codec's own tool makes of bytes.
fn packed(tool: &str, args: &[&str], bytes: &[u8]) -> Vec<u8> {
    let mut child =
        Command::new(tool).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{tool}: {}", said(&output));
    output.stdout
}

/// Deflate, as it stands between a gzip header and trailer.
fn deflate(bytes: &[u8]) -> Vec<u8> {
    let gzip = packed("gzip", &["-n"], bytes);
    gzip[10..gzip.len() - 8].to_vec()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    packed("bzip2", &[], bytes)
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    packed("zstd", &["-q"], bytes)
}

fn kinds() -> [Kind<'static>; 4] {
    [
        Kind { block: 5, ..Kind::SAMPLE },
        Kind { block: 30, codec: "deflate", compress: &deflate, ..Kind::SAMPLE },
        Kind { block: 30, codec: "bzip2", compress: &bzip2, ..Kind::SAMPLE },
        Kind { block: 30, codec: "zstandard", compress: &zstd, ..Kind::SAMPLE },
    ]
}

fn samples(n: usize) -> Vec<Vec<u8>> {
    (0..n).map(sample).collect()
}

fn all_framed(records: &[Vec<u8>]) -> Vec<u8> {
    records.iter().flat_map(|record| framed(record)).collect()
}

/// All that is fed, to standard output.
fn fed(room: &Room, args: &[&str]) -> Vec<u8> {
    let output = run(room.feed([&["--format", "avro"], args].concat()));
    assert_eq!(code(&output), 0, "{args:?}: {}", said(&output));
    output.stdout
}

#[test]
fn records_are_fed_one_after_the_other_or_behind_their_lengths() {
    let room = Room::new();
    let records = samples(100);
    for kind in kinds() {
        let name = kind.codec;
        room.file(name, AvroFile::write(&kind, &records).bytes);
        let raw = records.concat();
        assert!(fed(&room, &[name, "--report", "report"]) == raw, "{name}");
        let report = room.report("report");
        assert_eq!(report["decoded_bytes"], raw.len(), "{name}: {report}");
        assert!(fed(&room, &[name, name, "--epochs", "2"]) == raw.repeat(4), "{name}");
        let length = ["--framing", "length", "--report-checksums", "--report", "report"];
        assert!(fed(&room, &[&[name], &length[..]].concat()) == all_framed(&records), "{name}");
    }
    let nothing = AvroFile::write(&Kind::SAMPLE, &[]);
    room.file("nothing.avro", &nothing.bytes);
    assert_eq!(fed(&room, &["nothing.avro"]), b"");
}

#[test]
fn shares_hold_each_record_once_and_by_the_split_that_owns_it() {
    let room = Room::new();
    let records = samples(120);
    for kind in kinds() {
        let (name, file) = (kind.codec, AvroFile::write(&kind, &records));
        room.file(name, &file.bytes);
        for size in [90, 777, 20_000] {
            for share in 0..3 {
                let starts = (0..file.bytes.len()).step_by(size).skip(share).step_by(3);
                let own = starts.flat_map(|start| file.split(start, start + size));
                let wanted: Vec<u8> = own.flat_map(|i| framed(&records[i])).collect();
                let (size, share) = (size.to_string(), format!("{share}/3"));
                let args = [name, "--framing=length", "--split-size", &size, "--shard", &share];
                let got = fed(&room, &args);
                assert!(got == wanted, "{name} cut every {size}, share {share}: {} bytes", got.len());
            }
        }
    }
}

/// Feeds files to a worker that must not live to see their end, and gives what was said.
fn refused(room: &Room, names: &[&str], args: &[&str]) -> String {
    let worker = "cat > /dev/null; : > saw-the-end";
    let output = run(room.feed([names, args].concat()).args(sh(worker)));
    assert_eq!(code(&output), 1, "{names:?}: {}", said(&output));
    assert!(!room.path("saw-the-end").exists(), "{names:?}: a failed feed looked complete");
    let said = said(&output);
    assert!(names.iter().all(|name| said.contains(name)), "{said}");
    said
}

const AVRO: [&str; 2] = ["--format", "avro"];

#[test]
fn files_of_several_schemas_are_refused_with_the_names_of_two() {
    let room = Room::new();
    let file = |name: &str, schema: &str| {
        room.file(name, AvroFile::write(&Kind { schema, ..Kind::SAMPLE }, &samples(5)).bytes);
    };
    file("first.avro", SAMPLE_SCHEMA);
    file("dense.avro", &SAMPLE_SCHEMA.replace('\n', "").replace("All types that there are", "all"));
    file("other.avro", &SAMPLE_SCHEMA.replace("millis", "micros"));
    assert!(fed(&room, &["first.avro", "dense.avro", "first.avro"]) == samples(5).concat().repeat(3));
    let told = refused(&room, &["first.avro", "other.avro"], &AVRO);
    assert!(told.contains("their schemas differ"), "{told}");
}

#[test]
fn what_is_not_fed_is_named_with_what_to_do() {
    let room = Room::new();
    let file = |name: &str, kind: Kind<'_>, records: &[Vec<u8>]| {
        room.file(name, AvroFile::write(&kind, records).bytes);
    };
    file("packed.avro", Kind { codec: "xz", ..Kind::SAMPLE }, &samples(5));
    let told = refused(&room, &["packed.avro"], &AVRO);
    assert!(told.contains("compressed by xz") && told.contains("write it again with one of them"), "{told}");
    file("odd.avro", Kind { schema: "\"Missing\"", ..Kind::SAMPLE }, &samples(5));
    let told = refused(&room, &["odd.avro"], &AVRO);
    assert!(told.contains("its schema cannot be used") && told.contains("Missing"), "{told}");
    // Text that is looked for in one is not found in silence.
    let told = refused(&room, &["odd.avro"], &[]);
    assert!(told.contains("is an Avro file") && told.contains("--format avro"), "{told}");
    let long = [bytes_of("first"), bytes_of(vec![b'x'; 64 << 20])];
    file("long.avro", Kind { schema: "\"bytes\"", ..Kind::SAMPLE }, &long);
    let told = refused(&room, &["long.avro"], &["--format", "avro", "--framing", "length"]);
    assert!(told.contains("67108864 bytes") && told.contains("--framing raw"), "{told}");
    assert!(fed(&room, &["long.avro"]) == long.concat());
}

#[test]
fn damaged_files_fail_the_feed_with_name_offset_and_reason() {
    let room = Room::new();
    let told = |name: &str, bytes: &[u8], word: &str| {
        room.file(name, bytes);
        let told = refused(&room, &[name], &AVRO);
        assert!(told.contains("at byte ") && told.contains(word), "{name}: {told}");
    };
    for kind in kinds() {
        let name = &*format!("{}.avro", kind.codec);
        let file = AvroFile::write(&kind, &samples(100));
        let whole = &file.bytes;
        told(name, &whole[..whole.len() - 1], "it ends in the middle of a sync marker");
        told(name, &whole[..whole.len() - 20], "it ends in the middle of a block");
        told(name, &whole[..file.header_end - 5], "it ends in the middle of its header");
        // The marker between two blocks: no split begins there, and the one before it finds none.
        let mut spoilt = whole.clone();
        spoilt[file.blocks[1].0 - 9] ^= 0x40;
        told(name, &spoilt, "the sync marker does not match");
        room.file(name, &spoilt);
        let split = file.blocks[1].0.to_string();
        let said = refused(&room, &[name], &[&AVRO[..], &["--split-size", &split]].concat());
        assert!(said.contains("the sync marker does not match"), "{said}");
        // The number of a block's records.
        let mut spoilt = whole.clone();
        spoilt[file.header_end] ^= 0x02;
        told(name, &spoilt, "at byte");
    }
    told("text.avro", b"just some text\nof two lines\n", "does not begin like one");
    told("short.avro", b"Obj", "its header");
    room.file("empty.avro", "");
    let said = refused(&room, &["empty.avro"], &AVRO);
    assert!(said.contains("it is empty") && said.contains("never finished"), "{said}");
}

#[test]
fn a_job_feeds_each_record_once() {
    let jobs = Jobs::new();
    for (name, kind) in ["in/a", "in/b", "in/c"].into_iter().zip(kinds()) {
        // A line each, behind its length: what is fed one after the other ends in line ends again.
        let lines = fs::read(jobs.path(name)).unwrap();
        let records: Vec<_> = lines.split_inclusive(|&byte| byte == b'\n').map(bytes_of).collect();
        jobs.0.file(&format!("wanted/{name}"), records.concat());
        // A process for each block of a few would take long.
        let kind = Kind { schema: "\"bytes\"", block: if kind.codec == "null" { 7 } else { 500 }, ..kind };
        jobs.0.file(name, AvroFile::write(&kind, &records).bytes);
    }
    let output = run(jobs.run(&["--workers=2", "--format=avro"], KEEP));
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(jobs.output() == lines_below(&jobs.path("wanted")), "other records than were written");
}
