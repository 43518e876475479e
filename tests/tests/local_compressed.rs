//! Lines of compressed files, as the codecs' own tools write them; and compressed files that are damaged, or none, which
//! never look like whole ones. (Debian has the tools as `gzip`, `bzip2`, `zstd`, `lz4` and `python3`.)
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod jobs;
mod support;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use forebay_tests::said;
use jobs::{Jobs, KEEP};
use rustix::process::Signal;
use serde_json::json;
use support::{Room, Running, code, run, sh, text};

/// What a tool makes of these bytes.
fn filtered(tool: &[&str], bytes: &[u8]) -> Vec<u8> {
    let input = tempfile::NamedTempFile::new().unwrap();
    fs::write(input.path(), bytes).unwrap();
    filtered_file(tool, input.path())
}

/// The same of a file's.
fn filtered_file(tool: &[&str], path: &Path) -> Vec<u8> {
    let output = Command::new(tool[0])
        .args(&tool[1..])
        .stdin(File::open(path).unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("{tool:?}: {error}; ./run-tests installs it"));
    assert!(output.status.success(), "{tool:?}");
    output.stdout
}

const PYTHON_ZLIB: &str = "import sys, zlib; sys.stdout.buffer.write(zlib.compress(sys.stdin.buffer.read()))";

/// Suffixes, and tools that write such files.
const TOOLS: [(&str, &[&str]); 13] = [
    ("gz", &["gzip", "-1", "-n"]),
    ("gz", &["gzip", "-9"]),
    ("bz2", &["bzip2", "-1"]),
    ("bz2", &["bzip2", "-9"]),
    ("zst", &["zstd", "-q", "-1"]),
    ("zst", &["zstd", "-q", "-19", "--no-check"]),
    ("zst", &["zstd", "-q", "--long=27"]),
    ("lz4", &["lz4", "-q", "-1"]),
    ("lz4", &["lz4", "-q", "-9", "-BD", "-B4"]),
    ("lz4", &["lz4", "-q", "-BX", "--content-size"]),
    ("deflate", &["python3", "-c", PYTHON_ZLIB]),
    (
        "gz",
        &[
            "python3",
            "-c",
            "import sys, gzip; sys.stdout.buffer.write(gzip.compress(sys.stdin.buffer.read()))",
        ],
    ),
    (
        "bz2",
        &["python3", "-c", "import sys, bz2; sys.stdout.buffer.write(bz2.compress(sys.stdin.buffer.read()))"],
    ),
];

/// All that is fed, to standard output.
fn fed(room: &Room, args: &[&str]) -> Vec<u8> {
    let output = run(room.feed(args));
    assert_eq!(code(&output), 0, "{args:?}: {}", said(&output));
    output.stdout
}

#[test]
fn what_tools_write_is_fed_as_the_lines_that_they_read() {
    let room = Room::new();
    let plain = text(1 << 20);
    let (first, second) = plain.split_at(plain.len() / 3);
    for (suffix, tool) in TOOLS {
        let name = format!("in.{suffix}");
        room.file(&name, filtered(tool, &plain));
        // A compressed file is one split, whatever is asked for.
        let got = fed(&room, &[&name, "--split-size", "64K", "--report", "report"]);
        assert!(got == plain, "{tool:?}: {} bytes came", got.len());
        let report = room.report("report");
        assert_eq!((&report["splits"], &report["bytes"]), (&json!(1), &json!(plain.len())), "{tool:?}");
        assert_eq!(report["encoded_bytes"], room.path(&name).metadata().unwrap().len(), "{tool:?}");
        assert_eq!(report["decoded_bytes"], plain.len(), "{tool:?}");
        // Several members, streams or frames, one behind the other, are one file.
        room.file(&name, [filtered(tool, first), filtered(tool, second)].concat());
        assert!(fed(&room, &[&name]) == plain, "{tool:?} twice");
    }
}

#[test]
fn decoded_lines_are_lines_like_any_others() {
    let room = Room::new();
    let gz = |name: &str, plain: &[u8]| room.file(name, filtered(&["gzip"], plain));
    gz("open.gz", b"\xEF\xBB\xBFone\r\ntwo\rthree");
    gz("next.gz", b"\nfour\n");
    gz("mark.gz", b"\xEF\xBB\xBF");
    gz("nothing.gz", b"");
    gz("cr.gz", b"five\r");
    room.file("plain", "\nsix");
    let all = ["open.gz", "next.gz", "mark.gz", "nothing.gz", "cr.gz", "plain"];
    let with = |args: &[&'static str]| fed(&room, &[&all[..], args].concat());
    assert_eq!(with(&[]), b"one\r\ntwo\rthree\n\nfour\nfive\r\n\nsix\n");
    assert_eq!(with(&["--report-checksums", "--report", "r"]), with(&[]));
    assert_eq!(with(&["--line-ending", "lf"]), b"one\ntwo\nthree\n\nfour\nfive\n\nsix\n");
    assert_eq!(with(&["--epochs", "2"]), [with(&[]), with(&[])].concat());
    for bars in ["a||b", "a||b||", "a||b|||c|", "\u{feff}||", "a|||"] {
        gz("bars.gz", bars.as_bytes());
        room.file("bars", bars);
        for ending in ["keep", "lf"] {
            let as_fed = |name| fed(&room, &[name, "--delimiter", "||", "--line-ending", ending]);
            assert_eq!(as_fed("bars.gz"), as_fed("bars"), "{bars} {ending}");
        }
    }
    assert_eq!(fed(&room, &["open.gz", "--format", "bytes"]), fs::read(room.path("open.gz")).unwrap());
}

#[test]
fn shares_are_dealt_whole_files_and_hold_each_line_once() {
    let room = Room::new();
    let (mut wanted, tools) = (Vec::new(), [TOOLS[0], TOOLS[2], TOOLS[4], TOOLS[7], TOOLS[10]]);
    for (i, (suffix, tool)) in tools.iter().cycle().take(12).enumerate() {
        let plain = text(20_000 + 1000 * i);
        room.file(&format!("in/{i:02}.{suffix}"), filtered(tool, &plain));
        wanted.push(plain);
    }
    let shares: Vec<_> =
        (0..5).map(|i| fed(&room, &["in", "--split-size", "1K", "--shard", &format!("{i}/5")])).collect();
    for (i, share) in shares.iter().enumerate() {
        let own = wanted.iter().skip(i).step_by(5).flatten().copied();
        assert!(share.iter().copied().eq(own), "share {i}");
    }
}

#[test]
fn first_bytes_tell_where_the_name_does_not() {
    let room = Room::new();
    let plain = text(300_000);
    for (suffix, tool) in TOOLS.iter().filter(|(suffix, _)| *suffix != "deflate") {
        let stored = filtered(tool, &plain);
        room.file("part-00000", &stored);
        for split_size in ["1M", "2K"] {
            // Whoever has the file's beginning feeds all of it, and the others nothing.
            let shares: Vec<_> = (0..3)
                .map(|i| {
                    fed(&room, &["part-00000", "--split-size", split_size, "--shard", &format!("{i}/3")])
                })
                .collect();
            assert!(shares == [plain.clone(), Vec::new(), Vec::new()], "{suffix} {tool:?}");
        }
        // By Hadoop's rule only names count.
        let lines = fed(&room, &["part-00000", "--format", "lines"]);
        assert!(lines.starts_with(&stored), "{suffix} {tool:?}");
    }
}

/// Feeds a file to a worker that must not live to see its end, and gives what was said.
fn refused(room: &Room, name: &str) -> String {
    let worker = "cat > /dev/null; : > saw-the-end";
    let output = run(room.feed([name, "--report", "report"]).args(sh(worker)));
    assert_eq!(code(&output), 1, "{name}: {}", said(&output));
    assert!(!room.path("saw-the-end").exists(), "{name}: a failed feed looked complete");
    assert_eq!(room.report("report")["outcome"], "failed", "{name}");
    let said = said(&output);
    assert!(said.contains(name) && said.contains("at byte"), "{said}");
    said
}

fn spoil(room: &Room, name: &str, spoil: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(room.path(name)).unwrap();
    spoil(&mut bytes);
    room.file(name, bytes);
}

#[test]
fn damaged_files_fail_the_feed_with_name_offset_and_reason() {
    for (suffix, tool) in TOOLS {
        let room = Room::new();
        let name = format!("in.{suffix}");
        let stored = filtered(tool, &text(300_000));
        for cut in [stored.len() - 1, stored.len() / 2, 5] {
            room.file(&name, &stored[..cut]);
            let said = refused(&room, &name);
            assert!(said.contains("it ends in the middle of"), "{tool:?} cut at {cut}: {said}");
        }
        room.file(&name, [&stored[..], b"trailing garbage"].concat());
        let said = refused(&room, &name);
        let behind = format!("at byte {}: what follows the last", stored.len());
        assert!(said.contains(&behind), "{tool:?} with garbage: {said}");
        room.file(&name, &stored);
        // No encoder's checksum is left out but that one.
        if !tool.contains(&"--no-check") {
            spoil(&room, &name, |bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 4;
            });
            refused(&room, &name);
        }
    }
}

#[test]
fn lying_names_and_empty_files_are_told() {
    let room = Room::new();
    for suffix in ["gz", "deflate", "zst", "bz2", "snappy", "lz4"] {
        let name = format!("text.{suffix}");
        room.file(&name, "just some text\nof two lines\n");
        let told = refused(&room, &name);
        assert!(told.contains("it does not begin like one"), "{told}");
        let empty = format!("empty.{suffix}");
        room.file(&empty, "");
        let output = run(room.feed([&empty]));
        if matches!(suffix, "snappy" | "lz4") {
            assert_eq!((code(&output), &output.stdout[..]), (0, &b""[..]), "{}", said(&output));
        } else {
            let told = said(&output);
            assert!(code(&output) == 1 && told.contains(&empty) && told.contains("never finished"), "{told}");
        }
    }
    room.file("in.gz", filtered(&["zstd", "-q"], b"text\n"));
    let said = refused(&room, "in.gz");
    assert!(said.contains("as gzip: at byte 0") && said.contains("but like zstd"), "{said}");
}

#[test]
fn a_bomb_takes_little_memory_and_a_feed_of_it_stops() {
    let room = Room::new();
    let len = 96 << 20;
    let zeros = room.sparse("zeros", len);
    for (suffix, tool) in [("gz", &["gzip", "-1"][..]), ("zst", &["zstd", "-q", "-1"])] {
        let name = format!("bomb.{suffix}");
        room.file(&name, filtered_file(tool, &zeros));
        let output = run(room.feed([&name, "--report", "report"]).args(sh("wc -c > count")));
        assert_eq!(code(&output), 0, "{}", said(&output));
        let report = room.report("report");
        // One line, which is ended.
        assert_eq!(report["bytes"], len + 1, "{report}");
        assert!(report["peak_memory_bytes"].as_u64().unwrap() < 64 << 20, "{report}");
    }
    let running = Running::start(room.feed(["bomb.gz"]).args(sh(": > began; exec sleep 1000")));
    room.wait_for("began");
    running.signal(Signal::TERM);
    assert_eq!(code(&running.output()), 128 + Signal::TERM.as_raw());
}

#[test]
fn a_job_counts_compressed_files_as_they_are_stored() {
    let jobs = Jobs::new();
    let expected = jobs.lines();
    // One that its name tells, and one that only its first bytes do.
    for (plain, packed) in [("in/a", "in/a.gz"), ("in/b", "in/b")] {
        let bytes = filtered_file(&["gzip"], &jobs.path(plain));
        fs::remove_file(jobs.path(plain)).unwrap();
        jobs.0.file(packed, bytes);
    }
    let output = run(jobs.run(&["--workers=2"], KEEP));
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(jobs.output() == expected, "other lines than were packed");
    let state = jobs.state();
    assert!(state["bytes"].as_u64() > state["bytes_planned"].as_u64(), "{state}");
    assert_eq!(state["bytes_stored"], state["bytes_planned"], "{state}");
}
