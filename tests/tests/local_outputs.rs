//! Standard output, whatever it is, gets the same bytes; inputs come in their order, and no record joins another where
//! two of them meet.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::thread;

use forebay_tests::{bin, said};
use serde_json::{Value, json};
use support::{Room, Running, code, run, sh, text};

/// More than a pipe holds, the last line without an end.
fn large() -> Vec<u8> {
    let mut content = text(3 << 20);
    content.extend_from_slice(b"no end");
    content
}

fn large_as_fed() -> Vec<u8> {
    [&large()[..], b"\n"].concat()
}

/// Feeds `in` into `stdout` and gives the report.
fn feed_into(room: &Room, args: &[&str], stdout: impl Into<Stdio>) -> Value {
    let mut feed = room.feed(["in", "--split-size", "1M", "--report", "report"]);
    // The command keeps its own copy of the output: it is gone when this returns.
    let status = Running::just_start(feed.args(args).arg("--quiet").stdout(stdout)).status();
    assert_eq!(status.code(), Some(0));
    let report = room.report("report");
    assert_eq!(report["outcome"], "complete", "{report}");
    assert_eq!(report["bytes"], large_as_fed().len(), "{report}");
    report
}

fn read_all(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

const SETTINGS: [&[&str]; 3] = [&[], &["--report-checksums"], &["--format", "lines", "--line-ending", "lf"]];

#[test]
fn a_pipe_gets_all() {
    let room = Room::new();
    room.file("in", large());
    for args in SETTINGS {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let got = read_all(File::from(read));
        let report = feed_into(&room, args, write);
        assert!(got.join().unwrap() == large_as_fed(), "{args:?}");
        assert_eq!(report["pipe_size"], 1 << 20, "{report}");
    }
}

#[test]
fn a_pipe_that_others_share_stays_as_blocking_as_it_was() {
    let room = Room::new();
    room.file("in", large());
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let ours = write.try_clone().unwrap();
    let got = read_all(File::from(read));
    feed_into(&room, &[], write);
    let flags = rustix::fs::fcntl_getfl(&ours).unwrap();
    assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK), "{flags:?}");
    drop(ours);
    assert!(got.join().unwrap() == large_as_fed());
}

#[test]
fn a_file_gets_all_from_where_it_stands() {
    let room = Room::new();
    room.file("in", large());
    for args in SETTINGS {
        let path = room.file("out", "head|old");
        let mut out = File::options().write(true).open(&path).unwrap();
        out.seek(SeekFrom::Start(5)).unwrap();
        let report = feed_into(&room, args, out);
        assert!(fs::read(path).unwrap() == [b"head|", &large_as_fed()[..]].concat(), "{args:?}");
        assert_eq!(report["pipe_size"], Value::Null);
    }
}

#[test]
fn a_file_in_append_mode_keeps_what_it_has() {
    let room = Room::new();
    room.file("in", large());
    for args in SETTINGS {
        let path = room.file("out", "kept\n");
        let out = File::options().append(true).open(&path).unwrap();
        let report = feed_into(&room, args, out);
        assert!(fs::read(path).unwrap() == [b"kept\n", &large_as_fed()[..]].concat(), "{args:?}");
        if args.is_empty() {
            let note = report["notes"][0].as_str().unwrap();
            assert!(note.contains("moves no file ranges into the output file"), "{note}");
        }
    }
}

#[test]
fn a_socket_gets_all() {
    let room = Room::new();
    room.file("in", large());
    for args in SETTINGS {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let got = read_all(ours);
        feed_into(&room, args, OwnedFd::from(theirs));
        assert!(got.join().unwrap() == large_as_fed(), "{args:?}");
    }
}

#[test]
fn a_socket_whose_reader_has_gone_ends_the_feed_well() {
    let room = Room::new();
    room.file("in", large());
    let (ours, theirs) = UnixStream::pair().unwrap();
    let running = Running::just_start(room.feed(["in", "--report", "report"]).stdout(OwnedFd::from(theirs)));
    let mut first = [0; 10];
    (&ours).read_exact(&mut first).unwrap();
    drop(ours);
    assert_eq!(running.status().code(), Some(0));
    assert_eq!(room.report("report")["outcome"], "early-exit");
}

#[test]
fn a_terminal_gets_all() {
    let room = Room::new();
    room.file("in", large());
    // `script` runs a command on a terminal and passes on what that shows; `-opost` leaves line ends as they are.
    let feed = format!("stty -opost && exec {} feed in --quiet", bin("forebay").display());
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-c", &feed, "/dev/null"]).current_dir(room.path("")).stdin(Stdio::null());
    let output = run(script);
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(output.stdout == large_as_fed(), "{} bytes came", output.stdout.len());
}

#[test]
fn a_reader_that_has_had_enough_ends_the_feed_well() {
    let room = Room::new();
    room.file("in", large());
    let mut running = Running::start(room.feed(["in", "--split-size", "1M", "--report", "report"]));
    let mut first = [0; 10];
    running.child().stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(first[..], large()[..10]);
    let output = running.output();
    assert_eq!(code(&output), 0, "{output:?}");
    let report = room.report("report");
    assert_eq!(report["outcome"], "early-exit", "{report}");
    assert!(report["splits_left"].as_u64().unwrap() > 0, "{report}");
}

/// All that is fed, to standard output.
fn fed(room: &Room, args: &[&str]) -> String {
    let output = run(room.feed(args));
    assert_eq!(code(&output), 0, "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn inputs_come_in_the_order_given_and_folders_by_name() {
    let room = Room::new();
    for name in ["d/b", "d/a", "d/c/z", "d/c/y", "d/a.txt", "d/B", "e", "d/_SUCCESS", "d/.hidden", "d/_c/x"] {
        room.file(name, name);
    }
    let folder = "d/B\nd/a\nd/a.txt\nd/b\nd/c/y\nd/c/z\n";
    assert_eq!(fed(&room, &["d"]), folder);
    assert_eq!(fed(&room, &["e", "d/c", "e", "d/a"]), "e\nd/c/y\nd/c/z\ne\nd/a\n");
    assert_eq!(fed(&room, &["d/[ab]*", "?"]), format!("d/a\nd/a.txt\nd/b\n{folder}e\n"));
    assert_eq!(fed(&room, &["{e,d/c}"]), "d/c/y\nd/c/z\ne\n");
    assert_eq!(fed(&room, &["d/_SUCCESS", "d/.h*"]), "d/_SUCCESS\nd/.hidden\n", "asked for by name");
    let uri = format!("file://{}", room.path("e").display());
    assert_eq!(fed(&room, &[&uri]), "e\n");
}

#[test]
fn a_path_that_is_also_a_pattern_is_the_path() {
    let room = Room::new();
    room.file("a*", "the star\n");
    room.file("ab", "not meant\n");
    assert_eq!(fed(&room, &["a*"]), "the star\n");
}

#[test]
fn no_line_joins_the_next_files_first() {
    let room = Room::new();
    room.file("open", "open");
    room.file("cr", "cr\r");
    room.file("lf", "\nlf\n");
    room.file("empty", "");
    assert_eq!(fed(&room, &["open", "open"]), "open\nopen\n");
    assert_eq!(fed(&room, &["open", "empty", "lf"]), "open\n\nlf\n");
    // A lone `\r` and an empty line are two line ends, and read as one when they meet.
    assert_eq!(fed(&room, &["cr", "lf"]), "cr\r\n\nlf\n");
    assert_eq!(fed(&room, &["cr", "empty", "lf"]), "cr\r\n\nlf\n");
    assert_eq!(fed(&room, &["cr", "open"]), "cr\ropen\n");
    assert_eq!(fed(&room, &["cr", "lf", "--line-ending", "lf"]), "cr\n\nlf\n");
    assert_eq!(fed(&room, &["cr", "lf", "--format", "bytes"]), "cr\r\nlf\n");
    assert_eq!(fed(&room, &["open", "open", "--format", "fixed:4"]), "openopen");
    assert_eq!(fed(&room, &["open", "lf", "--delimiter", "||"]), "open||\nlf\n||");
}

#[test]
fn the_byte_order_mark_of_each_file_is_dropped() {
    let room = Room::new();
    room.file("mark", "\u{feff}a\n");
    room.file("alone", "\u{feff}");
    assert_eq!(fed(&room, &["mark", "alone", "mark"]), "a\na\n");
    assert_eq!(fed(&room, &["mark", "--format", "bytes"]), "\u{feff}a\n");
}

#[test]
fn epochs_repeat_the_share_and_mend_its_seams() {
    let room = Room::new();
    room.file("in", "\na\rb\nend\r");
    assert_eq!(fed(&room, &["in", "--epochs", "3"]), "\na\rb\nend\r\n\na\rb\nend\r\n\na\rb\nend\r");
    room.file("open", "one\ntwo");
    assert_eq!(fed(&room, &["open", "--epochs", "3"]), "one\ntwo\n".repeat(3));
    let report = ["open", "--split-size", "1", "--shard", "1/4", "--epochs", "3", "--report", "report"];
    assert_eq!(fed(&room, &report), "");
    let report = room.report("report");
    assert_eq!((&report["splits"], &report["splits_done"]), (&json!(2), &json!(6)), "{report}");
}

#[test]
fn an_empty_share_ends_well() {
    let room = Room::new();
    room.file("in", "one split\n");
    room.file("empty", "");
    for args in [&["in", "--shard", "1/2"][..], &["empty"], &["empty", "--epochs", "1000000000000"]] {
        assert_eq!(fed(&room, args), "");
        let output = run(room.feed(["--report", "report"]).args(args).args(sh("cat > got; echo $?")));
        assert_eq!((code(&output), &output.stdout[..]), (0, &b"0\n"[..]), "{output:?}");
        assert_eq!(fs::read(room.path("got")).unwrap(), b"");
        let report = room.report("report");
        assert_eq!((&report["outcome"], &report["splits"]), (&json!("complete"), &json!(0)), "{report}");
    }
}

#[test]
fn many_small_files_become_one_stream() {
    let room = Room::new();
    let names: Vec<String> = (0..300).map(|n| format!("d/{n:04}")).collect();
    for name in &names {
        room.file(name, name);
    }
    assert_eq!(fed(&room, &["d"]), names.join("\n") + "\n");
}

/// Output that somebody else writes to as well: nothing of ours is held back beyond our end.
#[test]
fn what_follows_in_the_same_output_comes_after() {
    let room = Room::new();
    room.file("in", "ours\n");
    let path = room.path("out");
    let mut out = File::create(&path).unwrap();
    let feed = Running::just_start(room.feed(["in", "--quiet"]).stdout(out.try_clone().unwrap()));
    assert_eq!(feed.status().code(), Some(0));
    out.write_all(b"after\n").unwrap();
    assert_eq!(fs::read(path).unwrap(), b"ours\nafter\n");
}
