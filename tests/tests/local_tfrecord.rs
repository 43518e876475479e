//! TFRecords, as TensorFlow documents them: each record once, by the split in which it begins, as it is stored; and files that
//! are damaged, cut, or none, which never look like whole ones.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod jobs;
mod support;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use forebay_fixtures::corpus::{tfrecord, tfrecord_header, tfrecords};
use forebay_tests::said;
use jobs::{Jobs, assert_said};
use serde_json::json;
use support::{Room, code, run, sh};

/// All that is fed, to standard output.
fn fed(room: &Room, args: &[&str]) -> Vec<u8> {
    let output = run(room.feed(args));
    assert_eq!(code(&output), 0, "{args:?}: {}", said(&output));
    output.stdout
}

/// What the splits of each share deliver, of which every `count`th is its own.
fn wanted(records: &[Vec<u8>], size: usize, share: usize, count: usize) -> Vec<u8> {
    let mut at = 0;
    let mut own = Vec::new();
    for record in records {
        if (at / size) % count == share {
            own.extend_from_slice(record);
        }
        at += record.len();
    }
    own
}

/// Feeds a file to a worker that must not live to see its end, and gives what was said.
fn refused(room: &Room, args: &[&str]) -> String {
    let output = run(room.feed(args).args(sh("cat > /dev/null; : > saw-the-end")));
    let said = said(&output);
    assert_eq!(code(&output), 1, "{args:?}: {said}");
    assert!(!room.path("saw-the-end").exists(), "{args:?}: a failed feed looked complete");
    assert!(said.contains(args[0]), "{args:?}: {said}");
    said
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = gzip.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(bytes).unwrap());
        gzip.wait_with_output().unwrap().stdout
    })
}

#[test]
fn tfrecords_are_fed_each_once_and_by_the_split_that_owns_them() {
    let room = Room::new();
    let records = tfrecords(1, 3 << 20, 300_000);
    room.file("in.tfrecord", records.concat());
    for (split_size, size, count) in
        [("128M", 128 << 20, 1), ("1M", 1 << 20, 2), ("100000", 100_000, 3), ("40009", 40_009, 2)]
    {
        for share in 0..count {
            let shard = format!("{share}/{count}");
            let got = fed(&room, &["in.tfrecord", "--split-size", split_size, "--shard", &shard]);
            assert!(got == wanted(&records, size, share, count), "share {shard} of splits of {split_size}");
        }
    }
    let args = ["in.tfrecord", "--format=tfrecord", "--split-size=60000", "--report=r", "--report-checksums"];
    assert!(fed(&room, &args) == records.concat());
    assert_eq!(
        room.report("r")["splits"],
        room.path("in.tfrecord").metadata().unwrap().len().div_ceil(60_000)
    );
    assert!(fed(&room, &["in.tfrecord", "--epochs=2"]) == records.concat().repeat(2));
}

#[test]
fn names_say_that_files_hold_tfrecords_and_are_not_mixed() {
    let room = Room::new();
    let (a, b) = (tfrecords(2, 30_000, 1000), tfrecords(3, 30_000, 1000));
    room.file("in/train.tfrecord-00000-of-00002", a.concat());
    room.file("in/train.tfrecord-00001-of-00002", b.concat());
    room.file("in/zipped.tfrecord.gz", gzip(&a.concat()));
    room.file("in/empty.tfrecords", "");
    let output = run(room.feed(["in", "--split-size=10K"]).args(sh("cat > got; echo $FOREBAY_FORMAT")));
    assert_eq!((code(&output), &output.stdout[..]), (0, &b"tfrecord\n"[..]), "{}", said(&output));
    assert!(fs::read(room.path("got")).unwrap() == [a.concat(), b.concat(), a.concat()].concat());
    assert_eq!(fed(&room, &["in/empty.tfrecords"]), b"");
    // Said is said.
    assert!(
        fed(&room, &["in/empty.tfrecords", "in/zipped.tfrecord.gz", "--format=bytes"]) == gzip(&a.concat())
    );
    room.file("in/notes.txt", "no records\n");
    for args in [&["in"][..], &["in/notes.txt", "in/empty.tfrecords"]] {
        let output = run(room.feed(args));
        let said = said(&output);
        assert_eq!(code(&output), 1, "{said}");
        assert!(
            said.contains("notes.txt") && said.contains("together") && said.contains("--format"),
            "{said}"
        );
    }
    let output = run(room.feed(["in", "--format=tfrecord", "--delimiter=x"]));
    assert_eq!(code(&output), 2, "{}", said(&output));
}

#[test]
fn damaged_and_cut_files_fail_whoever_would_lack_a_record() {
    let room = Room::new();
    let records: Vec<_> = (0..100).map(|i| tfrecord(&vec![b'a'; i * 10])).collect();
    let stored = records.concat();
    let starts: Vec<_> = records
        .iter()
        .scan(0, |at, record| {
            *at += record.len();
            Some(*at - record.len())
        })
        .collect();
    for which in [0, 40, 99] {
        let mut bytes = stored.clone();
        bytes[starts[which] + 3] ^= 1;
        room.file("bad.tfrecord", bytes);
        let told = refused(&room, &["bad.tfrecord"]);
        assert!(
            told.contains(&format!("at byte {}: there must be a record's header", starts[which])),
            "{told}"
        );
        assert!(told.contains("restore it"), "{told}");
        for share in ["0/3", "1/3", "2/3"] {
            let output = run(room.feed(["bad.tfrecord", "--split-size=5K", "--shard", share]));
            let share = share[..1].parse().unwrap();
            let is_whole = output.stdout == wanted(&records, 5 << 10, share, 3);
            assert!(code(&output) == 1 || is_whole, "share {share} lacks something and does not know it");
        }
    }
    for cut in [5, stored.len() - 1, stored.len() - 3, starts[50] + 11, starts[50] + 12] {
        room.file("cut.tfrecord", &stored[..cut]);
        for args in [
            &["cut.tfrecord"][..],
            &["cut.tfrecord", "--split-size=3K"],
            &["cut.tfrecord", "--split-size=4K", "--shard=1/2"],
        ] {
            if cut < 4096 && args.len() == 3 {
                continue;
            }
            let told = refused(&room, args);
            assert!(told.contains(&format!("the file ends at byte {cut}")), "{told}");
        }
    }
    room.file("more.tfrecord", [&stored[..], b"trailing garbage"].concat());
    let told = refused(&room, &["more.tfrecord"]);
    assert!(told.contains(&format!("at byte {}", stored.len())), "{told}");
    room.file("text.tfrecord", "not one record\n".repeat(10));
    assert!(refused(&room, &["text.tfrecord"]).contains("at byte 0"));
    for len in [1 << 31, 1 << 40, 1 << 63, u64::MAX] {
        room.file("long.tfrecord", [&stored[..], &tfrecord_header(len), b"few bytes"].concat());
        for args in [&["long.tfrecord"][..], &["long.tfrecord", "--split-size=4K", "--shard=1/2"]] {
            let told = refused(&room, args);
            assert!(told.contains(&format!("at byte {}: a record of {len} bytes", stored.len())), "{told}");
        }
    }
}

#[test]
fn a_payload_of_tfrecords_is_a_payload_or_the_feed_fails() {
    let room = Room::new();
    // Longer than a split, and a MiB.
    let inner = tfrecords(4, 1_150_000, 400).concat();
    let records: Vec<_> = [&b"first"[..], &inner, b"last"].map(tfrecord).to_vec();
    room.file("nested.tfrecord", records.concat());
    for size in ["64M", "1M"] {
        for (share, own) in [("0/2", 0), ("1/2", 1)] {
            let got = fed(&room, &["nested.tfrecord", "--split-size", size, "--shard", share]);
            let size = if size == "1M" { 1 << 20 } else { 64 << 20 };
            assert!(got == wanted(&records, size, own, 2), "{size} {share}");
        }
    }
    // The split with the record's beginning sees what the next one would take for records.
    let told = refused(&room, &["nested.tfrecord", "--split-size=40K", "--shard=0/9"]);
    assert!(told.contains("do not meet") && told.contains("larger --split-size"), "{told}");
}

#[test]
fn a_record_longer_than_many_splits_is_fed_once() {
    let room = Room::new();
    let len = 8 << 20;
    let head = tfrecord_header(len);
    let path = room.sparse("one.tfrecord", 16 + len);
    fs::File::options().write(true).open(path).unwrap().write_all(&head).unwrap();
    for (share, bytes) in [("0/2", 16 + len), ("1/2", 0)] {
        let args = ["one.tfrecord", "--split-size=3M", "--shard", share, "--report", "r"];
        let output = run(room.feed(args).args(sh("cat > /dev/null")));
        assert_eq!(code(&output), 0, "{}", said(&output));
        let report = room.report("r");
        assert_eq!(report["bytes"], bytes, "{report}");
        assert!(report["peak_memory_bytes"].as_u64().unwrap() < 32 << 20, "{report}");
    }
}

#[test]
fn compressed_tfrecords_are_decoded_and_whole() {
    let room = Room::new();
    let records = tfrecords(5, 700_000, 50_000).concat();
    room.file("a.tfrecord.gz", gzip(&records));
    let got = fed(&room, &["a.tfrecord.gz", "--split-size=1K", "--report=r"]);
    assert!(got == records);
    assert_eq!(room.report("r")["splits"], json!(1));
    room.file("cut.tfrecord.gz", gzip(&records[..records.len() - 1]));
    let told = refused(&room, &["cut.tfrecord.gz"]);
    assert!(
        told.contains("does not decode to TFRecords") && told.contains("the file ends at byte"),
        "{told}"
    );
    let mut bad = records.clone();
    bad[2] ^= 1;
    room.file("bad.tfrecord.gz", gzip(&bad));
    assert!(refused(&room, &["bad.tfrecord.gz"]).contains("at byte 0"));
    room.file("a.tfrecord.xz", "x");
    assert!(refused(&room, &["a.tfrecord.xz", "--format=tfrecord"]).contains("decompress it first"));
}

#[test]
fn a_worker_goes_on_behind_the_tfrecords_that_it_acknowledged() {
    let jobs = Jobs::new();
    let records: Vec<_> = (0..5000_u64).map(|i| tfrecord(&i.to_le_bytes())).collect();
    jobs.0.file("records/in.tfrecord", records.concat());
    // It dies once in the middle of a split.
    let script = "import os, struct, sys
kept = open('output/got', 'ab')
n = 0
while head := sys.stdin.buffer.read(12):
    payload = sys.stdin.buffer.read(struct.unpack('<Q', head[:8])[0] + 4)[:-4]
    n += 1
    if os.environ['FOREBAY_ATTEMPT'] == '1' and n == 1234:
        os.kill(os.getpid(), 9)
    kept.write(b'%d\\n' % struct.unpack('<Q', payload))
    kept.flush()
    print('reporter ack:records=%d' % n, file=sys.stderr, flush=True)";
    let options = [
        "run",
        "--job-dir=job",
        "--input=records",
        "--split-size=30K",
        "--output=out",
        "--on-restart=from-ack",
    ];
    let mut command = jobs.forebay(options);
    command.args(["--keep-folder", "--", "python3", "-c", script]);
    assert_said(&run(command), 0, &["killed by signal 9"]);
    let mut got: Vec<u64> =
        jobs.output().iter().map(|line| str::from_utf8(line).unwrap().trim().parse().unwrap()).collect();
    got.sort_unstable();
    assert!(got.iter().copied().eq(0..5000), "{} records", got.len());
    let job = fs::read_to_string(jobs.path("job/job.toml")).unwrap();
    assert!(job.contains("format = \"tfrecord\""), "{job}");
}
