//! A feed that fails while it runs never looks like one that is complete: not to the worker, not to a child of the
//! worker, not to who reads the exit status.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;

use forebay_tests::{bin, said};
use serde_json::json;
use support::{Gate, Room, Running, code, run, sh, text};

const MIB: u64 = 1 << 20;

/// Takes a little of its input, tells (`began`), waits for the gate, and goes on to the end of its input, which it
/// must not live to see.
const WAITING: &str = "head -c 65536 > got; : > began; read x < gate; cat > /dev/null; : > saw-the-end";

/// Feeds `in` (and what else `args` name) to the worker, spoils something while it waits, and gives what was said.
fn spoilt(room: &Room, args: &[&str], worker: &str, spoil: impl FnOnce()) -> String {
    let mut gate = Gate::new(room, "gate");
    let running = Running::start(room.feed(["--report", "report"]).args(args).args(sh(worker)));
    room.wait_for("began");
    spoil();
    gate.open();
    let output = running.output();
    assert_eq!(code(&output), 1, "{output:?}");
    assert!(!room.path("saw-the-end").exists(), "a failed feed looked complete");
    assert_eq!(room.report("report")["outcome"], "failed");
    said(&output)
}

fn cut(room: &Room, name: &str, len: u64) {
    File::options().write(true).open(room.path(name)).unwrap().set_len(len).unwrap();
}

#[test]
fn a_file_that_shrinks_is_an_error_with_path_and_offset() {
    for args in [&["in"][..], &["in", "--format", "bytes"], &["in", "--line-ending", "lf"]] {
        let room = Room::new();
        room.file("in", text(8 << 20));
        let said = spoilt(&room, args, WAITING, || cut(&room, "in", 4 * MIB));
        assert!(said.contains("in shrank") && said.contains("ends at byte 4194304"), "{args:?}: {said}");
    }
}

/// The worker and its child ignore TERM: for as long as they are let live they wait for more input, not for its end.
#[test]
fn no_child_of_a_worker_sees_the_end_of_a_failed_feed() {
    let room = Room::new();
    room.file("in", text(8 << 20));
    let worker = "trap '' TERM INT HUP
        exec 3<&0
        (read x < gate; cat <&3 > /dev/null; : > saw-the-end) &
        (setsid sh -c 'cat <&3 > /dev/null; : > saw-the-end' &)
        : > began
        wait
        : > saw-the-end";
    let said = spoilt(&room, &["in"], worker, || cut(&room, "in", 4 * MIB));
    assert!(said.contains("in shrank"), "{said}");
}

/// A filter in front of the program that learns: were it to die first, the program would see an end of input while
/// it does what it does on TERM.
#[test]
fn a_program_behind_a_filter_sees_no_end_of_a_failed_feed() {
    let room = Room::new();
    room.file("in", text(8 << 20));
    let learner = r#"trap ": > asked" TERM
        : > began
        read x < gate
        while read -r line || test $? -gt 128; do :; done
        : > saw-the-end"#;
    let worker = format!("cat | bash -c '{learner}'");
    let said = spoilt(&room, &["in"], &worker, || cut(&room, "in", 4 * MIB));
    assert!(said.contains("in shrank"), "{said}");
}

/// What is in the pipe is the file's own pages: cut off, they read as NULs.
#[test]
fn a_file_cut_while_its_bytes_are_in_the_pipe_is_an_error() {
    let room = Room::new();
    let mut gate = Gate::new(&room, "gate");
    room.file("in", text(100_000));
    let full = "import fcntl, struct, termios, time
def fill():
    return struct.unpack('i', fcntl.ioctl(0, termios.FIONREAD, b'    '))[0]
while fill() < 100000:
    time.sleep(0.001)
";
    let script = format!("python3 -c \"{full}\"; : > full; read x < gate; cat > got; : > saw-the-end");
    let running = Running::start(room.feed(["in"]).args(sh(&script)));
    room.wait_for("full");
    cut(&room, "in", 50_001);
    gate.open();
    let output = running.output();
    assert_eq!(code(&output), 1, "{output:?}");
    assert!(said(&output).contains("in shrank"), "{output:?}");
    assert!(!room.path("saw-the-end").exists(), "altered bytes looked complete");
}

#[test]
fn a_file_that_another_replaces_before_its_turn_is_an_error() {
    let room = Room::new();
    room.file("in", text(4 << 20));
    room.file("later", "old and short\n");
    room.file("new", "another file, and longer than the one that was planned\n");
    let replace = || fs::rename(room.path("new"), room.path("later")).unwrap();
    let said = spoilt(&room, &["in", "later"], WAITING, replace);
    assert!(said.contains("another file has taken its place"), "{said}");
}

#[test]
fn a_file_that_shrinks_before_its_turn_is_an_error() {
    let room = Room::new();
    room.file("in", text(4 << 20));
    room.file("later", text(10_000));
    let said = spoilt(&room, &["in", "later"], WAITING, || cut(&room, "later", 5000));
    assert!(said.contains("later shrank") && said.contains("ends at byte 5000"), "{said}");
}

#[test]
fn a_file_that_vanishes_before_its_turn_is_an_error() {
    let room = Room::new();
    room.file("in", text(4 << 20));
    room.file("later", "gone soon\n");
    let vanish = || fs::remove_file(room.path("later")).unwrap();
    let said = spoilt(&room, &["in", "later"], WAITING, vanish);
    assert!(said.contains("cannot open later, which was there when the feed was planned"), "{said}");
}

#[test]
fn a_file_that_a_fifo_replaces_is_an_error_and_no_hang() {
    // Nobody ever writes to it: who opens it without care waits forever.
    let room = Room::new();
    room.file("in", text(4 << 20));
    room.file("later", "one\n");
    let replace = || {
        fs::remove_file(room.path("later")).unwrap();
        drop(Gate::new(&room, "later"));
    };
    let said = spoilt(&room, &["in", "later"], WAITING, replace);
    assert!(said.contains("later"), "{said}");
}

#[test]
fn a_file_that_grows_is_fed_to_the_length_it_had() {
    let room = Room::new();
    let content = text(3 << 20);
    let file = room.file("in", &content);
    let mut gate = Gate::new(&room, "gate");
    let worker = sh("head -c 65536 > got; : > began; read x < gate; cat >> got");
    let running = Running::start(room.feed(["in"]).args(worker));
    room.wait_for("began");
    File::options().append(true).open(file).unwrap().write_all(&text(1 << 20)).unwrap();
    gate.open();
    assert_eq!(code(&running.output()), 0);
    assert!(fs::read(room.path("got")).unwrap() == content);
}

/// A last line without an end gets one, also when the file goes on by then.
#[test]
fn a_file_that_grows_within_its_last_line_is_fed_to_the_length_it_had() {
    let room = Room::new();
    room.file("in", text(4 << 20));
    let file = room.file("later", "no end yet");
    let mut gate = Gate::new(&room, "gate");
    let worker = sh("head -c 65536 > got; : > began; read x < gate; tail -c 20 > got");
    let running = Running::start(room.feed(["in", "later"]).args(worker));
    room.wait_for("began");
    File::options().append(true).open(file).unwrap().write_all(b", now it is\nmore\n").unwrap();
    gate.open();
    assert_eq!(code(&running.output()), 0);
    let got = fs::read_to_string(room.path("got")).unwrap();
    assert!(got.ends_with("x\nno end yet\n"), "{got}");
}

#[test]
fn a_failed_feed_of_our_own_output_is_told_by_the_exit_status() {
    let room = Room::new();
    room.file("in", text(8 << 20));
    let mut running = Running::start(room.feed(["in", "--report", "report"]));
    let pipe = running.child().stdout.take().unwrap();
    // Something in the pipe: the file is open, and the pipe holds less than the file.
    support::wait_until("bytes", || rustix::io::ioctl_fionread(pipe.as_fd()).unwrap() > 0);
    cut(&room, "in", 4 * MIB);
    running.child().stdout = Some(pipe);
    let output = running.output();
    assert_eq!(code(&output), 1);
    assert!(said(&output).contains("in shrank") && said(&output).contains("byte 4194304"), "{output:?}");
    assert_eq!(room.report("report")["outcome"], "failed");
}

#[test]
fn a_full_device_as_output_is_an_error() {
    let room = Room::new();
    room.file("in", "one\n");
    for args in [&["in"][..], &["in", "--line-ending", "lf"], &["in", "--report-checksums"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output =
            Running::just_start(room.feed(args).stdout(full).stderr(std::process::Stdio::piped())).output();
        assert_eq!(code(&output), 1);
        let said = said(&output);
        assert!(said.contains("cannot write to the device") && said.contains("No space left"), "{said}");
    }
}

/// Where mounting is not allowed, a limit on the file's size is what stops the writing.
#[test]
fn an_output_file_on_a_full_disk_is_an_error() {
    let room = Room::new();
    room.file("in", text(4 << 20));
    room.file("disk/nothing", "");
    let mount = "mount -t tmpfs -o size=1M forebay disk";
    let script = format!(
        r#"if unshare --mount true 2> /dev/null; then
               exec unshare --mount sh -c '{mount} && "$0" feed in --report report > disk/out' "$1"
           elif unshare --mount --map-root-user sh -c '{mount}' 2> /dev/null; then
               exec unshare --mount --map-root-user sh -c '{mount} && "$0" feed in --report report > disk/out' "$1"
           else
               trap '' XFSZ; ulimit -f 1024; exec "$1" feed in --report report > disk/out
           fi"#
    );
    let mut command = std::process::Command::new("sh");
    let output = run(command.args(["-c", &script, "sh"]).arg(bin("forebay")).current_dir(room.path("")));
    assert_eq!(code(&output), 1, "{output:?}");
    let said = said(&output);
    assert!(said.contains("cannot write to the output file after 1048576 bytes: "), "{said}");
    assert!(said.contains("No space left") || said.contains("File too large"), "{said}");
    assert_eq!(room.report("report")["outcome"], "failed");
}

#[test]
fn an_output_that_is_also_an_input_is_refused_before_it_grows() {
    let room = Room::new();
    let file = room.file("both", "one\ntwo\n");
    for append in [true, false] {
        let both = File::options().write(true).append(append).open(&file).unwrap();
        let output =
            Running::just_start(room.feed(["both"]).stdout(both).stderr(std::process::Stdio::piped()))
                .output();
        assert_eq!(code(&output), 1);
        assert!(said(&output).contains("both is both an input and the output"), "{output:?}");
        assert_eq!(fs::read(&file).unwrap(), b"one\ntwo\n");
    }
}

#[test]
fn a_report_that_cannot_be_written_is_known_before_anything_starts() {
    let room = Room::new();
    room.file("in", "one\n");
    for report in ["no/such/folder/report", "in/report"] {
        let output = run(room.feed(["in", "--report", report]).args(sh(": > started")));
        assert_eq!(code(&output), 1);
        let said = said(&output);
        assert!(said.contains(&format!("cannot write the report {report}")), "{said}");
        assert!(!room.path("started").exists());
    }
}

#[test]
fn a_report_that_fails_in_the_end_is_a_failure() {
    let room = Room::new();
    room.file("in", "one\n");
    let output = run(room.feed(["in", "--report", "/dev/full"]));
    assert_eq!(code(&output), 1);
    assert!(said(&output).contains("cannot write the report /dev/full"), "{output:?}");
    assert_eq!(output.stdout, b"one\n");
}

#[test]
fn a_failed_feed_leaves_no_half_written_report_behind() {
    let room = Room::new();
    room.file("in", "one\n");
    // Whatever stands there is left alone, unless it is a report: nobody may take that for the new one.
    room.file("report", "old");
    assert_eq!(code(&run(room.feed(["in", "none", "--report", "report"]))), 1);
    assert_eq!(fs::read(room.path("report")).unwrap(), b"old");
    room.file("report", r#"{"outcome": "complete"}"#);
    let output = run(room.feed(["in", "none", "--report", "report"]));
    assert_eq!(code(&output), 1);
    let report = room.report("report");
    assert_eq!(report["outcome"], json!("failed"));
    assert!(report["error"].as_str().unwrap().contains("none"), "{report}");
    let mut names: Vec<_> = fs::read_dir(room.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["in", "report"]);
}
