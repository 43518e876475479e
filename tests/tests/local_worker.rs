//! The worker: how it is started, what it inherits, and what its exit, early or not, means.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use support::{Gate, Room, Stray, code, is_alive, run, sh, text};

/// Feeds a small file to a script, and gives the exit status.
fn status_of(script: &str) -> i32 {
    let room = Room::new();
    room.file("in", "one\ntwo\n");
    code(&run(room.feed(["in"]).args(sh(script))))
}

#[test]
fn the_exit_status_is_the_workers() {
    for status in [0, 1, 2, 3, 126, 255] {
        assert_eq!(status_of(&format!("cat > got; exit {status}")), status);
    }
}

#[test]
fn a_worker_ended_by_a_signal_gives_128_and_the_signal() {
    for (signal, number) in [("TERM", 15), ("KILL", 9), ("USR1", 10)] {
        assert_eq!(status_of(&format!("cat > got; kill -{signal} $$")), 128 + number);
    }
}

#[test]
fn a_command_that_is_not_there_is_127_and_named() {
    let room = Room::new();
    room.file("in", "one\n");
    for command in ["no-such-program", "./no/such/program"] {
        let output = run(room.feed(["in", "--report", "report", "--", command]));
        assert_eq!(code(&output), 127);
        let said = forebay_tests::said(&output);
        assert!(said.contains(&format!("cannot start {command}")), "{said}");
        assert_eq!(room.report("report")["outcome"], "failed");
    }
}

#[test]
fn a_command_that_cannot_be_executed_is_126_and_named() {
    let room = Room::new();
    room.file("in", "one\n");
    room.file("plain.txt", "not a program");
    for command in ["./plain.txt", "/"] {
        let output = run(room.feed(["in", "--", command]));
        assert_eq!(code(&output), 126);
        let said = forebay_tests::said(&output);
        assert!(said.contains(&format!("cannot start {command}")), "{said}");
    }
}

#[test]
fn the_worker_gets_its_arguments_as_they_are() {
    let room = Room::new();
    room.file("in", "one\n");
    let output = run(room.feed(["in", "--quiet", "--", "sh", "-c"]).args([
        r#"cat > got; printf '[%s]' "$@""#,
        "x",
        "--quiet",
        "a b",
        "",
        "*",
    ]));
    assert_eq!(output.stdout, b"[--quiet][a b][][*]");
}

#[test]
fn the_worker_is_told_its_rank_the_number_of_shares_and_the_format() {
    let room = Room::new();
    room.file("in", "12345678");
    let told = |args: &[&str]| {
        let worker = sh("cat > got; echo $FOREBAY_RANK/$FOREBAY_WORLD_SIZE/$FOREBAY_FORMAT");
        // What stands in our own environment is not what the worker is told.
        let outer = [("FOREBAY_RANK", "9"), ("FOREBAY_WORLD_SIZE", "9"), ("FOREBAY_FORMAT", "other")];
        let output = run(room.feed(["in"]).args(args).args(worker).envs(outer));
        assert_eq!(code(&output), 0, "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(told(&[]), "0/1/lines\n");
    assert_eq!(told(&["--shard", "2/5", "--format", "fixed:4"]), "2/5/fixed:4\n");
    assert_eq!(told(&["--shard", "1/2", "--format", "bytes"]), "1/2/bytes\n");
}

#[test]
fn the_worker_inherits_no_descriptor_of_ours() {
    let room = Room::new();
    room.file("in", "one\n");
    let list = "ls /proc/$$/fd; cat > got";
    // Descriptors that this test's own surroundings hand down are no leak of ours.
    let bare = run(Command::new("sh").args(["-c", list]).current_dir(room.path("")));
    let output = run(room.feed(["in", "--report", "report", "--report-checksums"]).args(sh(list)));
    assert_eq!(String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&bare.stdout));
    assert!(output.stdout.starts_with(b"0\n1\n"), "{output:?}");
}

#[test]
fn the_worker_dies_of_a_broken_pipe_as_programs_do() {
    let room = Room::new();
    room.file("in", "one\n");
    let output = run(room.feed(["in"]).args(sh("cat > got; grep SigIgn /proc/self/status")));
    let line = String::from_utf8(output.stdout).unwrap();
    let ignored = u64::from_str_radix(line.rsplit('\t').next().unwrap().trim(), 16).unwrap();
    assert_eq!(ignored & 1 << 12, 0, "SIGPIPE is ignored: {line}");
}

#[test]
fn standard_input_of_the_feed_is_not_the_workers() {
    let room = Room::new();
    room.file("in", "fed\n");
    let other = fs::File::open(room.file("other", "not fed\n")).unwrap();
    let output = run(room.feed(["in", "--", "cat"]).stdin(other));
    assert_eq!(output.stdout, b"fed\n");
}

/// What an early exit's report says must add up: handed over = read by the worker + left in the pipe.
fn assert_early_exit(report: &Value, read: u64, status: i32) {
    assert_eq!(report["outcome"], "early-exit", "{report}");
    assert_eq!(report["worker_status"], status);
    let number = |key: &str| report[key].as_u64().unwrap();
    assert_eq!(number("bytes") - number("unread_bytes"), read, "{report}");
    assert_eq!(number("splits_left"), number("splits") - number("splits_done"), "{report}");
    assert!(number("splits_left") > 0, "{report}");
}

#[test]
fn a_worker_that_has_had_enough_ends_the_feed_with_its_own_status() {
    let room = Room::new();
    room.file("in", text(4 << 20));
    for status in [0, 3] {
        let worker = format!("head -c 100 > got; exit {status}");
        let output = run(room.feed(["in", "--split-size", "1M", "--report", "report"]).args(sh(&worker)));
        assert_eq!(code(&output), status);
        assert_early_exit(&room.report("report"), 100, status);
        let said = forebay_tests::said(&output);
        assert!(said.contains("stopped reading") && said.contains("left: "), "{said}");
    }
}

#[test]
fn a_worker_that_closes_its_input_may_go_on_and_is_waited_for() {
    let room = Room::new();
    room.file("in", text(4 << 20));
    let mut gate = Gate::new(&room, "gate");
    let worker = sh("head -c 100 > got; exec 0< /dev/null; : > closed; read x < gate; exit 7");
    let running = support::Running::start(room.feed(["in", "--report", "report"]).args(worker));
    room.wait_for("closed");
    gate.open();
    assert_eq!(code(&running.output()), 7);
    assert_early_exit(&room.report("report"), 100, 7);
}

#[test]
fn input_that_a_worker_leaves_in_the_pipe_is_reported() {
    let room = Room::new();
    room.file("in", "12345\n");
    // `read -t 0` says whether something is there, and takes nothing.
    let script = "until read -t 0; do :; done; exit 4";
    let output = run(room.feed(["in", "--report", "report", "--", "bash", "-c", script]));
    assert_eq!(code(&output), 4);
    let report = room.report("report");
    assert_eq!((&report["outcome"], &report["unread_bytes"]), (&json!("early-exit"), &json!(6)), "{report}");
}

#[test]
fn a_worker_that_never_looks_at_its_input_ends_well() {
    let room = Room::new();
    room.file("in", "12345\n");
    for _ in 0..20 {
        let output = run(room.feed(["in", "--report", "report"]).args(sh("exit 0")));
        assert_eq!(code(&output), 0, "{output:?}");
        assert_eq!(room.report("report")["outcome"], "early-exit");
    }
}

#[test]
fn a_grandchild_that_keeps_the_pipe_does_not_hang_the_feed() {
    let room = Room::new();
    room.file("in", text(4 << 20));
    let worker = sh("exec 3<&0; sleep 1000 <&3 > /dev/null 2>&1 & echo $! > pid; exit 5");
    let output = run(room.feed(["in", "--report", "report"]).args(worker));
    let stray = Stray(room.pids("pid")[0]);
    assert_eq!(code(&output), 5);
    assert_early_exit(&room.report("report"), 0, 5);
    assert!(is_alive(stray.0), "the feed ended well, and its worker's children are the worker's");
}

#[test]
fn a_grandchild_that_keeps_the_pipe_does_not_hang_a_complete_feed() {
    let room = Room::new();
    room.file("in", "small\n");
    let worker = sh("exec 3<&0; sleep 1000 <&3 > /dev/null 2>&1 & echo $! > pid; exit 0");
    let output = run(room.feed(["in"]).args(worker));
    let _stray = Stray(room.pids("pid")[0]);
    assert_eq!(code(&output), 0);
}

#[test]
fn a_worker_that_reads_all_and_stays_is_waited_for() {
    let room = Room::new();
    room.file("in", "one\n");
    let mut gate = Gate::new(&room, "gate");
    let worker = sh("cat > got; : > done; read x < gate; exit 6");
    let running = support::Running::start(room.feed(["in", "--report", "report"]).args(worker));
    room.wait_for("done");
    gate.open();
    assert_eq!(code(&running.output()), 6);
    let report = room.report("report");
    assert_eq!((&report["outcome"], &report["worker_status"]), (&json!("complete"), &json!(6)));
}

#[test]
fn orphans_of_the_worker_are_buried() {
    let room = Room::new();
    room.file("in", "one\n");
    // Every `true` is left behind by a shell that ends before it; as our children they would stay zombies.
    let script = "i=0; while [ $i -lt 30 ]; do (sh -c 'exec true' &); i=$((i+1)); done
        while grep -l -s 'State:.Z' /proc/[0-9]*/status | xargs -r grep -l -s \"PPid:.$PPID\\$\" | grep -q .; do :; done
        : > clean; cat > got";
    assert_eq!(code(&run(room.feed(["in"]).args(sh(script)))), 0);
    assert!(room.path("clean").exists());
}
