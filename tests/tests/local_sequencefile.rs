//! Records of SequenceFiles of this machine, through the binary: whole, split, of other classes than text, and damaged.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod jobs;
mod support;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use forebay_fixtures::sequence::{Form, Kind, Record, SequenceFile, bytes, framed, text};
use forebay_tests::said;
use jobs::{Jobs, KEEP};
use support::{Room, code, run, sh};

/// What `gzip` makes of bytes.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut child =
        Command::new("gzip").arg("-n").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output.stdout
}

const GZIP: &str = "org.apache.hadoop.io.compress.GzipCodec";

fn kinds() -> [(&'static str, Kind<'static>); 3] {
    let plain = Kind { interval: 300, metadata: &[("name", "value")], ..Kind::TEXT };
    let packed = Kind { codec: GZIP, compress: &gzip, ..plain };
    [
        ("plain", plain),
        ("records", Kind { form: Form::Records, ..packed }),
        ("blocks", Kind { form: Form::Blocks(9), version: 5, ..packed }),
    ]
}

/// Keys and values that are lines.
fn pairs(n: usize) -> Vec<(String, String)> {
    (0..n).map(|i| (i.to_string(), format!("value {i} {}", "x".repeat(i * 7 % 90)))).collect()
}

fn texts(pairs: &[(String, String)]) -> Vec<Record> {
    pairs.iter().map(|(key, value)| (text(key), text(value))).collect()
}

/// All that is fed, to standard output.
fn fed(room: &Room, args: &[&str]) -> Vec<u8> {
    let output = run(room.feed([&["--format", "sequencefile"], args].concat()));
    assert_eq!(code(&output), 0, "{args:?}: {}", said(&output));
    output.stdout
}

#[test]
fn values_or_keys_and_values_are_fed_as_lines_or_behind_their_lengths() {
    let room = Room::new();
    let pairs = pairs(40);
    for (name, kind) in kinds() {
        room.file(name, SequenceFile::write(&kind, &texts(&pairs)).bytes);
        let of = |one: &dyn Fn(&(String, String)) -> Vec<u8>| pairs.iter().flat_map(one).collect::<Vec<_>>();
        let values = of(&|(_, value)| format!("{value}\n").into());
        assert!(fed(&room, &[name, "--report", "report"]) == values, "{name}");
        let report = room.report("report");
        assert_eq!(report["decoded_bytes"], values.len(), "{name}: {report}");
        assert!(fed(&room, &[name, "--report-checksums", "--report", "report"]) == values, "{name}");
        assert!(fed(&room, &[name, name, "--epochs", "2"]) == values.repeat(4), "{name}");
        let both = of(&|(key, value)| format!("{key}\t{value}\n").into());
        assert!(fed(&room, &[name, "--sequencefile", "key-value"]) == both, "{name}");
        let length = ["--framing", "length"];
        let values = of(&|(_, value)| framed(value.as_bytes()));
        assert!(fed(&room, &[&[name], &length[..]].concat()) == values, "{name}");
        let both = of(&|(key, value)| [framed(key.as_bytes()), framed(value.as_bytes())].concat());
        assert!(fed(&room, &[&[name, "--sequencefile=key-value"], &length[..]].concat()) == both, "{name}");
    }
}

#[test]
fn shares_hold_each_record_once_and_by_the_split_that_owns_it() {
    let room = Room::new();
    let pairs = pairs(120);
    for (name, kind) in kinds() {
        let file = SequenceFile::write(&kind, &texts(&pairs));
        room.file(name, &file.bytes);
        for size in [40, 333, 2000] {
            for share in 0..3 {
                let starts = (0..file.bytes.len()).step_by(size).skip(share).step_by(3);
                let own = starts.flat_map(|start| file.split(start, start + size));
                let wanted: Vec<u8> = own.flat_map(|i| format!("{}\n", pairs[i].1).into_bytes()).collect();
                let (size, share) = (size.to_string(), format!("{share}/3"));
                let got = fed(&room, &[name, "--split-size", &size, "--shard", &share]);
                assert!(got == wanted, "{name} cut every {size}, share {share}: {} bytes", got.len());
            }
        }
    }
}

/// Feeds a file to a worker that must not live to see its end, and gives what was said.
fn refused(room: &Room, name: &str, args: &[&str]) -> String {
    let worker = "cat > /dev/null; : > saw-the-end";
    let output = run(room.feed([&[name], args].concat()).args(sh(worker)));
    assert_eq!(code(&output), 1, "{name}: {}", said(&output));
    assert!(!room.path("saw-the-end").exists(), "{name}: a failed feed looked complete");
    let said = said(&output);
    assert!(said.contains(name), "{said}");
    said
}

#[test]
fn classes_and_codecs_that_are_not_fed_are_named_with_what_to_do() {
    let room = Room::new();
    let sequence = ["--format", "sequencefile"];
    for class in ["org.apache.hadoop.io.BytesWritable", "com.example.Sample"] {
        let kind = Kind { value_class: class, ..Kind::TEXT };
        room.file("binary", SequenceFile::write(&kind, &[(text("k"), bytes(b"\n\0"))]).bytes);
        let told = refused(&room, "binary", &sequence);
        assert!(told.contains(class) && told.contains("--framing length"), "{told}");
        let raw = if class.ends_with("Sample") { bytes(b"\n\0") } else { b"\n\0".to_vec() };
        assert_eq!(fed(&room, &["binary", "--framing", "length"]), framed(&raw));
    }
    let codec = "com.hadoop.compression.lzo.LzoCodec";
    let kind = Kind { codec, form: Form::Records, ..Kind::TEXT };
    room.file("lzo", SequenceFile::write(&kind, &texts(&pairs(3))).bytes);
    let told = refused(&room, "lzo", &sequence);
    assert!(told.contains(codec) && told.contains("write it again"), "{told}");
    // Text that is looked for in one is not found in silence.
    let told = refused(&room, "lzo", &[]);
    assert!(told.contains("is a SequenceFile") && told.contains("--format sequencefile"), "{told}");
}

#[test]
fn damaged_files_fail_the_feed_with_name_offset_and_reason() {
    let room = Room::new();
    let sequence = ["--format", "sequencefile"];
    let told = |name: &str, bytes: &[u8], word: &str| {
        room.file(name, bytes);
        let told = refused(&room, name, &sequence);
        assert!(told.contains("at byte ") && told.contains(word), "{name}: {told}");
    };
    for (name, kind) in kinds() {
        let file = SequenceFile::write(&kind, &texts(&pairs(40)));
        let whole = &file.bytes;
        told(name, &whole[..whole.len() - 1], "it ends in the middle of");
        told(name, &whole[..file.header_end - 5], "it ends in the middle of its header");
        let spoilt = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            bytes
        };
        // The marker of the second run, and its escape: no split begins there, and the one before it finds no record.
        let marker = file.runs[1].0;
        told(name, &spoilt(marker + 9), "the sync marker does not match");
        told(name, &spoilt(marker), "it is damaged");
        let mut newer = whole.clone();
        newer[3] = 7;
        room.file("newer", newer);
        let said = refused(&room, "newer", &sequence);
        assert!(said.contains("of version 7") && said.contains("write it again"), "{said}");
    }
    told("plain.seq", b"just some text\nof two lines\n", "does not begin like one");
    told("short.seq", b"SE", "its header");
    room.file("empty.seq", "");
    let said = refused(&room, "empty.seq", &sequence);
    assert!(said.contains("it is empty") && said.contains("never finished"), "{said}");
}

#[test]
fn a_job_feeds_each_record_once() {
    let jobs = Jobs::new();
    let expected = jobs.lines();
    for (name, (_, kind)) in ["in/a", "in/b", "in/c"].into_iter().zip(kinds()) {
        let lines = fs::read(jobs.path(name)).unwrap();
        let lines =
            lines.split_inclusive(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line));
        let records: Vec<_> = lines.map(|line| (text("k"), text(line))).collect();
        let kind = match kind.form {
            // A process for each record would take long.
            Form::Records => Kind { form: Form::Plain, ..kind },
            Form::Blocks(_) => Kind { form: Form::Blocks(500), ..kind },
            Form::Plain => kind,
        };
        jobs.0.file(name, SequenceFile::write(&kind, &records).bytes);
    }
    let output = run(jobs.run(&["--workers=2", "--format=sequencefile"], KEEP));
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(jobs.output() == expected, "other records than were written");
}
