//! What a feed says of itself: the report, the events for machines, the lines for people, and the help.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use forebay_fixtures::model;
use forebay_tests::{forebay, said};
use serde_json::{Value, json};
use support::{Gate, Room, Running, code, run, sh, text};

/// CRC32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

#[test]
fn the_checksum_of_these_tests_is_the_published_one() {
    assert_eq!(crc32c(b"123456789"), 0xE306_9283);
}

fn number(report: &Value, key: &str) -> u64 {
    report[key].as_u64().unwrap_or_else(|| panic!("{key} in {report}"))
}

#[test]
fn a_report_says_what_was_fed() {
    let room = Room::new();
    let first = text(2_500_000);
    room.file("d/1", &first);
    room.file("d/2", "x\n".repeat(350_000));
    let args = ["d", "--split-size", "1M", "--report", "report", "--epochs", "2"];
    let output = run(room.feed(args).args(sh("cat > got")));
    assert_eq!(code(&output), 0, "{output:?}");
    let report = room.report("report");
    for (key, value) in [
        ("outcome", json!("complete")),
        ("format", json!("lines")),
        ("shard", json!("0/1")),
        ("epochs", json!(2)),
        ("files", json!(2)),
        ("splits", json!(4)),
        ("splits_of_all_shares", json!(4)),
        ("splits_done", json!(8)),
        ("planned_bytes", json!(first.len() + 700_000)),
        ("bytes", json!(2 * (first.len() + 700_000))),
        // All by splice.
        ("bytes_copied", json!(0)),
        ("notes", json!([])),
        ("pipe_size", json!(1 << 20)),
        ("worker_status", json!(0)),
    ] {
        assert_eq!(report[key], value, "{key} in {report}");
    }
    let seconds = |key: &str| report[key].as_f64().unwrap();
    assert!(seconds("seconds") > 0.0 && seconds("feed_waited_s") <= seconds("seconds"), "{report}");
    let rate = number(&report, "bytes") as f64 / seconds("seconds") / 1e9;
    assert!((seconds("gb_per_s") - rate).abs() < 1e-6 * rate, "{report}");
    assert!(said(&output).contains("8 of 8 splits from 2 files, 2 epochs"), "{}", said(&output));
}

#[test]
fn a_report_of_a_share_counts_the_share() {
    let room = Room::new();
    room.file("in", "x".repeat(10_000));
    run(room.feed(["in", "--format", "bytes", "--split-size", "1K", "--shard", "1/3", "--report", "report"]));
    let report = room.report("report");
    assert_eq!(report["shard"], "1/3");
    assert_eq!((number(&report, "splits"), number(&report, "splits_of_all_shares")), (3, 10));
    assert_eq!((number(&report, "planned_bytes"), number(&report, "bytes")), (3072, 3072));
}

/// A worker that the test holds up while the pipe is full makes the feed wait, and the verdict says so.
#[test]
fn a_report_says_who_waited_for_whom() {
    let room = Room::new();
    room.sparse("in", 8 << 20);
    let mut gate = Gate::new(&room, "gate");
    let mut running = Running::start(
        room.feed(["in", "--format", "bytes", "--json", "--report", "report"])
            .args(sh("read x < gate; cat > /dev/null")),
    );
    let stderr = running.child().stderr.take().unwrap();
    let mut waited = 0.0;
    for line in BufReader::new(stderr).lines() {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if event["event"] == "progress" && waited == 0.0 {
            // A wait is counted when it is over; that this much time has passed is all that is known yet.
            waited = event["seconds"].as_f64().unwrap();
            assert_eq!(number(&event, "bytes"), 1 << 20, "a full pipe: {event}");
            gate.open();
        }
    }
    assert_eq!(running.status().code(), Some(0));
    let report = room.report("report");
    let feed_waited = report["feed_waited_s"].as_f64().unwrap();
    assert!(waited > 0.5 && feed_waited > waited / 2.0, "{waited}: {report}");
    assert!(report["worker_waited_error_s"].as_f64().unwrap() > 0.0, "{report}");
    assert_ne!(report["verdict"], "feed-bound", "{report}");
}

#[test]
fn memory_does_not_grow_with_the_number_of_splits() {
    let room = Room::new();
    room.file("in", text(3 << 20));
    let output =
        run(room.feed(["in", "--split-size", "1", "--report", "report"]).args(sh("cat > /dev/null")));
    assert_eq!(code(&output), 0, "{output:?}");
    let report = room.report("report");
    assert!(report["splits"].as_u64().unwrap() >= 3 << 20, "{report}");
    assert!(report["peak_memory_bytes"].as_u64().unwrap() < 64 << 20, "{report}");
}

#[test]
fn memory_does_not_grow_with_the_file() {
    let room = Room::new();
    room.sparse("in", 512 << 20);
    for args in [&["--format", "bytes"][..], &["--report-checksums", "--shard", "0/4"], &["--shard", "1/2"]] {
        let mut feed = room.feed(["in", "--report", "report"]);
        assert_eq!(code(&run(feed.args(args).args(sh("cat > /dev/null")))), 0);
        let report = room.report("report");
        let peak = number(&report, "peak_memory_bytes");
        assert!((1 << 20..64 << 20).contains(&peak), "{args:?}: {report}");
    }
}

#[test]
fn checksums_are_those_of_each_splits_own_bytes() {
    let room = Room::new();
    let mut content = text(30_000);
    // A line longer than three splits, so that some own nothing.
    content.extend_from_slice(&[b'y'; 3500]);
    content.extend_from_slice(b"\r\nlast\rx");
    room.file("in", &content);
    let args = ["in", "--split-size", "1000", "--report-checksums", "--report", "report"];
    assert_eq!(code(&run(room.feed(args))), 0);
    let report = room.report("report");
    let splits = report["split_checksums"].as_array().unwrap();
    assert_eq!(splits.len(), content.len().div_ceil(1000));
    let mut empty = 0;
    for (k, split) in splits.iter().enumerate() {
        let (start, end) = (k * 1000, (k * 1000 + 1000).min(content.len()));
        let owned = model::split_records(&content, None, start, end);
        let mut bytes: Vec<u8> =
            owned.iter().flat_map(|r| content[r.begin..r.end_with_terminator].to_vec()).collect();
        if bytes.last() == Some(&b'x') {
            bytes.push(b'\n');
        }
        empty += u32::from(bytes.is_empty());
        for (key, value) in [
            ("file", json!("in")),
            ("split", json!(k)),
            ("start", json!(start)),
            ("end", json!(end)),
            ("delivered", json!(bytes.len())),
            ("crc32c", json!(format!("{:08x}", crc32c(&bytes)))),
        ] {
            assert_eq!(split[key], value, "{key} of {split}");
        }
        if let (Some(first), Some(last)) = (owned.first(), owned.last()) {
            assert_eq!(number(split, "records_start"), first.begin as u64, "{split}");
            assert_eq!(number(split, "records_end"), last.end_with_terminator as u64, "{split}");
        } else {
            assert_eq!(split["records_start"], split["records_end"], "{split}");
        }
    }
    assert!(empty >= 2, "splits within the long line own nothing");
}

#[test]
fn a_report_goes_into_a_pipe_as_well() {
    let room = Room::new();
    room.file("in", "one\n");
    let output = run(room.feed(["in", "--quiet", "--report", "/dev/stderr"]));
    let report: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(report["bytes"], 4);
}

#[test]
fn quiet_says_nothing() {
    let room = Room::new();
    room.file("in", "one\n");
    for quiet in ["--quiet", "-q"] {
        let output = run(room.feed(["in", quiet]));
        assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"one\n"[..], &b""[..]));
        let output = run(room.feed(["in", quiet]).args(sh("cat; echo theirs >&2; exit 3")));
        assert_eq!((code(&output), &output.stderr[..]), (3, &b"theirs\n"[..]), "{output:?}");
    }
}

fn events(output: &std::process::Output) -> Vec<Value> {
    said(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_line_for_machines_is_an_event() {
    let room = Room::new();
    room.file("in", "one\ntwo\n");
    let output = run(room.feed(["in", "--split-size", "4", "--json"]));
    let [planned, finished] = &events(&output)[..] else { panic!("{output:?}") };
    assert_eq!(*planned, json!({ "event": "planned", "files": 1, "splits": 2, "bytes": 8 }));
    assert_eq!(finished["event"], "finished");
    assert_eq!((&finished["outcome"], &finished["bytes"]), (&json!("complete"), &json!(8)), "{finished}");
}

#[test]
fn a_command_that_cannot_start_is_an_event() {
    let room = Room::new();
    room.file("in", "one\n");
    let output = run(room.feed(["in", "--json", "--", "./none"]));
    assert_eq!(code(&output), 127);
    let events = events(&output);
    let last = events.last().unwrap();
    assert_eq!(last["event"], "error");
    assert!(last["message"].as_str().unwrap().contains("./none"), "{last}");
}

/// The worker waits until the test has seen a line of progress.
#[test]
fn progress_is_told_in_lines_where_there_is_no_terminal() {
    let room = Room::new();
    room.file("in", text(4 << 20));
    let mut gate = Gate::new(&room, "gate");
    let mut running = Running::start(room.feed(["in"]).args(sh("read x < gate; cat > /dev/null")));
    let mut lines = BufReader::new(running.child().stderr.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    gate.open();
    assert!(line.starts_with("25%  ") && line.contains(" of ") && line.contains("GB/s"), "{line}");
    assert!(lines.any(|line| line.unwrap().starts_with("fed ")), "a summary follows");
    assert_eq!(running.status().code(), Some(0));
}

#[test]
fn the_help_explains_by_example() {
    let output = run(forebay(["feed", "--help"]));
    let help = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]));
    let words = ["Examples:", "  forebay feed ", "Exit status:", "--split-size", "FOREBAY_RANK", "126/127"];
    for word in words {
        assert!(help.contains(word), "{word} in {help}");
    }
    let output = run(forebay(["--help"]));
    assert!(String::from_utf8_lossy(&output.stdout).contains("Exit status:"));
    assert_eq!(run(forebay(["--version"])).status.code(), Some(0));
}

#[test]
fn shells_get_completions() {
    for (shell, word) in
        [("bash", "complete -F"), ("zsh", "#compdef forebay"), ("fish", "complete -c forebay")]
    {
        let output = run(forebay(["completions", shell]));
        let script = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(script.contains(word) && script.contains("split-size"), "{shell}: {script}");
    }
}

#[test]
fn help_and_completions_survive_a_reader_that_has_gone() {
    for args in [&["feed", "--help"][..], &["completions", "bash"]] {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        drop(read);
        let mut command = forebay(args);
        let mut running = Running::just_start(command.stdout(write).stderr(Stdio::piped()));
        let mut said = String::new();
        running.child().stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(!said.contains("panicked"), "{args:?}: {said}");
        running.status();
    }
}
