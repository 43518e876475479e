//! Tar archives of this machine, through the binary: as tools write them, one behind the other, read by tools again, and damaged.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod jobs;
mod support;

use std::fs;
use std::process::{Command, Stdio};

use forebay_tests::said;
use jobs::{Jobs, lines_below};
use support::{Room, code, run, sh};

/// Runs a shell's commands in the room, which have to go well.
fn shell(room: &Room, commands: &str) -> Vec<u8> {
    let output =
        run(Command::new("sh").args(["-ec", commands]).current_dir(room.path("")).stdin(Stdio::null()));
    assert_eq!(code(&output), 0, "{commands}: {}", said(&output));
    output.stdout
}

/// Prints each file's path and content as Python's `tarfile` finds them in a stream.
const LIST: &str = r#"
import sys, tarfile
shards = tarfile.open(fileobj=sys.stdin.buffer, mode="r|")
for entry in shards:
    if entry.isfile():
        print(entry.name, entry.size, shards.extractfile(entry).read().hex())
"#;

/// Samples of two files each, in a folder.
fn samples(room: &Room, folder: &str, range: std::ops::Range<usize>) {
    for i in range {
        room.file(&format!("{folder}/{i:04}.cls"), i.to_string());
        room.file(&format!("{folder}/{i:04}.seg.bin"), "x".repeat(i * 97 % 20_000));
    }
}

/// Makes shards of three kinds, each of some samples.
fn shards(room: &Room) {
    for (i, format) in ["ustar", "gnu", "pax"].into_iter().enumerate() {
        let folder = format!("{format}{}", if i > 0 { "/long-name".repeat(20) } else { String::new() });
        samples(room, &folder, 20 * i..20 * i + 20);
        shell(room, &format!("tar --format={format} --sort=name -cf {format}.tar {format}"));
    }
}

fn refused(room: &Room, names: &[&str], words: &[&str]) {
    let worker = "cat > /dev/null; : > saw-the-end";
    let output = run(room.feed([&["--format", "tar"], names].concat()).args(sh(worker)));
    assert_eq!(code(&output), 1, "{names:?}: {}", said(&output));
    assert!(!room.path("saw-the-end").exists(), "{names:?}: a failed feed looked complete");
    let said = said(&output);
    assert!(names.iter().chain(words).all(|word| said.contains(word)), "{said}");
}

const NAMES: [&str; 3] = ["ustar.tar", "gnu.tar", "pax.tar"];

#[test]
fn archives_of_all_kinds_are_one_stream_that_tools_read() {
    let room = Room::new();
    shards(&room);
    room.file("list.py", LIST);
    let each = NAMES.map(|name| shell(&room, &format!("python3 list.py < {name}")));
    let output = run(room
        .feed(["--format=tar", "--report=report"])
        .args(NAMES)
        .args(sh("tee all.tar | python3 list.py")));
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(output.stdout == each.concat(), "{}", said(&output));
    let listed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(listed.lines().count(), 120);
    // Nothing is copied, and nothing but zeros is left out.
    let report = room.report("report");
    assert_eq!(report["bytes_copied"], 0, "{report}");
    let all = fs::read(room.path("all.tar")).unwrap();
    let stored = NAMES.map(|name| fs::read(room.path(name)).unwrap());
    let mut at = 0;
    for stored in stored {
        let end = stored.len() - stored.iter().rev().take_while(|&&byte| byte == 0).count();
        let end = end.next_multiple_of(512);
        assert!(all[at..].starts_with(&stored[..end]) && stored[end..].iter().all(|&byte| byte == 0));
        at += end;
    }
    assert_eq!(at, all.len());
    let by_tar = shell(&room, "tar -tf all.tar | grep -v '/$'");
    assert_eq!(by_tar.split(|&byte| byte == b'\n').count(), 121);
    // Shares have whole archives, also where splits would be smaller.
    for (share, wanted) in each.iter().enumerate() {
        let shard = format!("--shard={share}/3");
        let args = ["--format=tar", "--split-size=1K", &shard];
        let output = run(room.feed(args).args(NAMES).args(["--", "python3", "list.py"]));
        assert!(output.stdout == *wanted, "{shard}: {}", said(&output));
    }
}

#[test]
fn archives_that_are_cut_or_damaged_fail_the_feed_before_its_first_byte() {
    let room = Room::new();
    shards(&room);
    for name in NAMES {
        let whole = fs::read(room.path(name)).unwrap();
        let end = whole.len() - whole.iter().rev().take_while(|&&byte| byte == 0).count();
        let end = end.next_multiple_of(512);
        for (cut, word) in [
            (end + 512, "blocks of zeros"),
            (end, "blocks of zeros"),
            (end - 1, "an entry"),
            (700, "at byte "),
        ] {
            room.file("cut.tar", &whole[..cut]);
            refused(&room, &["cut.tar"], &["at byte ", word]);
            let output = run(room.feed(["--format=tar", "cut.tar"]));
            assert!(output.stdout.is_empty(), "{name}: it is known before anything is delivered");
        }
        room.file("two.tar", whole.repeat(2));
        refused(&room, &["two.tar"], &["something follows the blocks of zeros"]);
        let mut flipped = whole.clone();
        flipped[40] ^= 1;
        room.file("flipped.tar", flipped);
        refused(&room, &["flipped.tar"], &["at byte 0", "does not begin like one"]);
    }
    room.file("text.tar", "just some text\n".repeat(100));
    refused(&room, &["text.tar"], &["does not begin like one"]);
    room.file("empty.tar", "");
    refused(&room, &["empty.tar"], &["it is empty", "never finished"]);
    shell(&room, "gzip -k ustar.tar");
    refused(&room, &["ustar.tar.gz"], &["decompress it first"]);
    room.sparse("hole", 1 << 20);
    shell(
        &room,
        "echo data >> hole; tar -Scf gnu-sparse.tar hole; tar --format=pax -Scf pax-sparse.tar hole",
    );
    refused(&room, &["gnu-sparse.tar"], &["a sparse file"]);
    refused(&room, &["pax-sparse.tar"], &["a sparse file"]);
}

#[test]
fn samples_of_one_key_that_meet_are_refused() {
    let room = Room::new();
    for name in ["a", "b"] {
        room.file("same.cls", name);
        room.file("same.txt", name);
        shell(&room, &format!("tar -cf {name}.tar same.cls same.txt"));
    }
    refused(&room, &["a.tar", "b.tar"], &["the same key", "same"]);
    room.file("other.cls", "c");
    shell(&room, "tar -cf between.tar other.cls");
    let output = run(room.feed(["--format=tar", "a.tar", "between.tar", "b.tar"]));
    assert_eq!(code(&output), 0, "{}", said(&output));
}

#[test]
fn a_job_feeds_each_archive_once() {
    let jobs = Jobs::new();
    fs::remove_dir_all(jobs.path("in")).unwrap();
    for i in 0..6 {
        samples(&jobs.0, &format!("part{i}"), 0..30);
        shell(&jobs.0, &format!("mkdir -p in; tar -cf in/{i}.tar part{i}"));
    }
    jobs.0.file("list.py", LIST);
    shell(&jobs.0, "mkdir wanted; for part in in/*; do python3 list.py < $part >> wanted/all; done");
    let worker = "python3 $ROOM/list.py > output/got";
    let output = run(jobs.run(&["--workers=2", "--format=tar"], worker));
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(jobs.output() == lines_below(&jobs.path("wanted")), "other entries than were written");
}
