//! Bad input is refused before anything starts: exit 2 for wrong use, 1 for the rest, the thing and the way out named,
//! nothing on standard output.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use forebay_tests::{bin, said};
use support::{Gate, Room, code, run, sh};

/// Checks a feed that must be refused with this status and these words, with a worker (which is not started) and
/// without.
fn refused(room: &Room, status: i32, args: &[&str], words: &[&str]) {
    let with_worker = run(room.feed(args).args(sh(": > started")));
    assert_eq!(code(&with_worker), status, "{args:?}: {with_worker:?}");
    assert!(!room.path("started").exists(), "{args:?}: a worker was started");
    let output = run(room.feed(args));
    assert_eq!(code(&output), status, "{args:?}: {output:?}");
    assert_eq!(output.stdout, b"", "{args:?}");
    for said in [said(&output), said(&with_worker)] {
        for word in words {
            assert!(said.contains(word), "{args:?} does not say {word:?}: {said}");
        }
    }
}

#[test]
fn an_input_that_is_not_there_is_named() {
    let room = Room::new();
    room.file("in", "one\n");
    room.file("in.d/_hidden", "one\n");
    for input in ["none", "none/at/all", "*.txt", "in.d/*", "in/below", "-", "file:///no/such/file"] {
        let shown = input.strip_prefix("file://").unwrap_or(input);
        refused(&room, 1, &["in", input], &[&format!("nothing matches {shown}"), "check the path"]);
    }
}

#[test]
fn a_folder_without_a_file_to_feed_is_refused() {
    let room = Room::new();
    room.file("in.d/below/_SUCCESS", "");
    room.file("in.d/.part.crc", "");
    refused(&room, 1, &["in.d"], &["in.d holds no file to feed", "_ or ."]);
}

#[test]
fn a_fifo_a_socket_and_a_device_are_no_inputs() {
    let room = Room::new();
    let _gate = Gate::new(&room, "fifo");
    let _socket = UnixListener::bind(room.path("socket")).unwrap();
    refused(&room, 1, &["fifo"], &["cannot feed fifo: it is a FIFO", "plain redirection"]);
    refused(&room, 1, &["socket"], &["cannot feed socket: it is a socket"]);
    refused(&room, 1, &["/dev/zero"], &["cannot feed /dev/zero: it is a character device"]);
    refused(&room, 1, &["."], &["cannot feed ./fifo: it is a FIFO"]);
}

#[test]
fn folders_that_contain_themselves_are_refused() {
    let room = Room::new();
    room.file("in.d/file", "one\n");
    std::os::unix::fs::symlink("..", room.path("in.d/up")).unwrap();
    refused(&room, 1, &["in.d"], &["in.d/up", "links lead back"]);
}

#[test]
fn a_broken_link_in_a_folder_is_refused_and_not_skipped() {
    let room = Room::new();
    room.file("in.d/file", "one\n");
    std::os::unix::fs::symlink("nowhere", room.path("in.d/link")).unwrap();
    refused(&room, 1, &["in.d"], &["in.d/link", "No such file"]);
}

/// `forebay feed` by a user who may not do everything: root gives that up, anybody else has no such power.
fn feed_unprivileged(room: &Room, args: &[&str]) -> Command {
    let forebay = room.path("forebay");
    if !forebay.exists() {
        fs::copy(bin("forebay"), &forebay).unwrap();
        fs::set_permissions(room.path(""), Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = if rustix::process::geteuid().is_root() {
        let mut setpriv = Command::new("setpriv");
        setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(forebay);
        setpriv
    } else {
        Command::new(forebay)
    };
    command.arg("feed").args(args).current_dir(room.path(""));
    command
}

fn forbid(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
}

#[test]
fn what_may_not_be_read_is_named_and_not_skipped() {
    let room = Room::new();
    room.file("in.d/a", "one\n");
    let file = room.file("in.d/b", "secret\n");
    room.file("in.d/c/d", "one\n");
    assert_eq!(code(&run(feed_unprivileged(&room, &["in.d"]))), 0, "all may be read so far");

    forbid(&file);
    for input in ["in.d/b", "in.d", "in.d/*"] {
        let output = run(feed_unprivileged(&room, &[input]));
        assert_eq!(code(&output), 1, "{output:?}");
        assert!(said(&output).contains("cannot read in.d/b: Permission denied"), "{output:?}");
        assert_eq!(output.stdout, b"");
    }
    fs::remove_file(file).unwrap();
    let folder = room.path("in.d/c");
    forbid(&folder);
    let output = run(feed_unprivileged(&room, &["in.d"]));
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(code(&output), 1, "{output:?}");
    assert!(said(&output).contains("cannot list in.d/c: Permission denied"), "{output:?}");
    assert_eq!(output.stdout, b"");
}

#[test]
fn fixed_records_with_a_remainder_are_refused_with_the_remainder() {
    let room = Room::new();
    room.file("good", "12345678");
    room.file("bad", "1234567890");
    let words = ["bad", "records of 4 bytes", "10 bytes", "remainder of 2"];
    refused(&room, 1, &["good", "bad", "--format", "fixed:4"], &words);
}

#[test]
fn compressed_files_are_refused_as_other_records_than_lines_and_passed_as_bytes() {
    let room = Room::new();
    for name in
        ["part.gz", "part.BZ2", "part.zst", "part.snappy", "part.lz4", "part.deflate", "part.xz", "part.LZO"]
    {
        room.file(name, "\x1f12345\r");
        if ["part.xz", "part.LZO"].contains(&name) {
            refused(&room, 1, &[name], &[name, "--format bytes", "decompress it first"]);
        }
        refused(&room, 1, &[name, "--format", "fixed:7"], &[name, "--format bytes"]);
        let output = run(room.feed([name, "--format", "bytes"]));
        assert_eq!((code(&output), &output.stdout[..]), (0, &b"\x1f12345\r"[..]), "{name}");
    }
}

#[test]
fn wrong_use_is_refused_with_status_2_and_the_nearest_name() {
    let room = Room::new();
    room.file("in", "one\n");
    for (args, words) in [
        (&[][..], &["INPUT"][..]),
        (&["in", "--shard", "3/3"], &["--shard", "from 0 to 2"]),
        (&["in", "--shard", "0/0"], &["--shard", "at least 1"]),
        (&["in", "--shard", "one"], &["--shard", "I/N"]),
        (&["in", "--shard=-1/3"], &["--shard", "I/N"]),
        (&["in", "--format", "line"], &["--format", "did you mean 'lines'"]),
        (&["in", "--format", "fixd:4"], &["--format", "did you mean 'fixed:N'"]),
        (&["in", "--format", "orc"], &["--format", "auto, lines, bytes, fixed:N"]),
        (&["in", "--format", "fixed:0"], &["record length", "at least 1"]),
        (&["in", "--split-sise", "1M"], &["--split-sise", "'--split-size'"]),
        (&["in", "--split-size", "0"], &["--split-size", "at least 1"]),
        (&["in", "--split-size", "1MB"], &["--split-size", "K, M, G or T"]),
        (&["in", "--epochs", "0"], &["--epochs"]),
        (&["in", "--delimiter", ""], &["--delimiter", "empty"]),
        (&["in", "--delimiter", r"\q"], &["--delimiter", r"\n \r \t"]),
        (&["in", "--delimiter", "|", "--format", "bytes"], &["--delimiter is for lines"]),
        (&["in", "--line-ending", "lf", "--format", "fixed:4"], &["--line-ending lf is for lines"]),
        (
            &["in", "--framing", "length"],
            &["--framing length is for records of SequenceFiles", "--format auto"],
        ),
        (
            &["in", "--sequencefile", "key-value", "--format", "bytes"],
            &["--sequencefile key-value is for", "--format bytes"],
        ),
        (&["in", "--line-ending", "crlf"], &["--line-ending", "keep, lf"]),
        (&["in", "--json", "--quiet"], &["--json", "--quiet"]),
        (&["s3://bucket/key"], &["s3://bucket/key", "file://, hdfs://"]),
        (&["file://host/in"], &["file://host/in", "no host"]),
        (&[""], &["empty"]),
        (&["in["], &["in[", "backslash"]),
        (&["in", "--report"], &["--report"]),
    ] {
        refused(&room, 2, args, words);
    }
}

#[test]
fn an_unknown_command_is_wrong_use() {
    for (args, words) in [(&["fed"][..], &["fed", "feed"][..]), (&[], &["Usage"])] {
        let output = run(forebay_tests::forebay(args));
        assert_eq!(code(&output), 2);
        assert!(words.iter().all(|word| said(&output).contains(word)), "{output:?}");
        assert_eq!(output.stdout, b"");
    }
}

#[test]
fn all_is_refused_when_one_of_several_inputs_is_bad() {
    let room = Room::new();
    room.file("in", "one\n");
    let _gate = Gate::new(&room, "fifo");
    for bad in ["none", "fifo", "s3://b/k"] {
        let output = run(room.feed(["in", bad, "in"]));
        assert_ne!(code(&output), 0);
        assert_eq!(output.stdout, b"", "{bad}");
    }
}

#[test]
fn refusals_are_told_in_json_where_json_is_asked_for() {
    let room = Room::new();
    let output = run(room.feed(["none", "--json"]));
    assert_eq!(code(&output), 1);
    let event: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(event["event"], "error");
    assert!(event["message"].as_str().unwrap().contains("nothing matches none"), "{event}");
    let output = run(room.feed(["none", "--json", "--shard", "3/3"]));
    assert_eq!(code(&output), 2);
    let event: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert!(event["message"].as_str().unwrap().contains("counted from 0"), "{event}");
}

#[test]
fn a_report_does_not_overwrite_an_input() {
    let room = Room::new();
    room.file("in/a", "one\n");
    std::os::unix::fs::symlink("a", room.path("in/b")).unwrap();
    refused(&room, 1, &["in", "--report", "in/b"], &["in/b is an input"]);
    assert_eq!(fs::read(room.path("in/a")).unwrap(), b"one\n");
    // Nor when the feed is refused before its inputs are known.
    for args in [&["in/a", "none"][..], &["in/a", "--format", "fixed:3"]] {
        refused(&room, 1, &[args, &["--report", "in/a"]].concat(), &[]);
        assert_eq!(fs::read(room.path("in/a")).unwrap(), b"one\n");
    }
}

#[test]
fn a_report_does_not_replace_the_file_that_is_fed() {
    let room = Room::new();
    room.file("in", "one\n");
    let out = fs::File::create(room.path("out")).unwrap();
    let mut feed = room.feed(["in", "--report", "out"]);
    let output = feed.stdout(out).output().unwrap();
    assert_eq!(code(&output), 1);
    assert!(said(&output).contains("out is standard output"), "{output:?}");
}

#[test]
fn a_glob_does_not_look_at_what_it_does_not_match() {
    let room = Room::new();
    room.file("d/a.txt", "one\n");
    std::os::unix::fs::symlink("nowhere", room.path("d/b.lnk")).unwrap();
    let output = run(room.feed(["d/*.txt"]));
    assert_eq!((code(&output), output.stdout.as_slice()), (0, &b"one\n"[..]), "{output:?}");
}

#[test]
fn a_file_of_the_kernels_that_says_it_is_empty_is_refused() {
    refused(&Room::new(), 1, &["/proc/cpuinfo"], &["/proc/cpuinfo", "does not know its length"]);
}

#[test]
fn refusals_are_told_however_quiet() {
    let room = Room::new();
    let output = run(room.feed(["none", "--quiet"]));
    assert_eq!(code(&output), 1);
    assert_eq!(said(&output).lines().count(), 1, "{output:?}");
    assert!(said(&output).starts_with("forebay: nothing matches none"), "{output:?}");
}
