//! INT and TERM stop worker and feed cleanly: the worker is asked, given time, and nothing is left running.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::os::unix::process::CommandExt;

use rustix::process::Signal;
use serde_json::json;
use support::{Gate, Room, Running, Stray, code, is_alive, sh, text};

/// A worker with a child, a child that ignores TERM and INT, a child of a child, and one that is nobody's child any
/// more and has a session of its own. Their ids stand in `pids` before `ready` is there.
const FAMILY: &str = "exec > /dev/null 2>&1 3<&0
    echo $$ >> pids
    sleep 1000 <&3 & echo $! >> pids
    sh -c 'trap \"\" TERM INT; echo $$ >> pids; : > deaf; while :; do sleep 1000; done' <&3 &
    sh -c 'sleep 1000 <&3 & echo $! >> pids; wait' &
    (setsid sh -c 'echo $$ >> pids; : > orphan; exec sleep 1000' <&3 &)
    until test -e deaf -a -e orphan -a $(wc -l < pids) -eq 5; do :; done
    : > ready
    wait";

/// `forebay` in a process group of its own: even where the tests run on a terminal, it is not in the foreground.
fn started(room: &Room, args: &[&str], worker: &str) -> Running {
    Running::start(room.feed(args).args(sh(worker)).process_group(0))
}

fn stopping_leaves_nothing_running(signal: Signal, status: i32) {
    let room = Room::new();
    room.file("in", text(4 << 20));
    let running = started(&room, &["in", "--report", "report"], FAMILY);
    room.wait_for("ready");
    let family: Vec<_> = room.pids("pids").into_iter().map(Stray).collect();
    assert_eq!(family.iter().filter(|member| is_alive(member.0)).count(), 5, "all are up");
    running.signal(signal);
    assert_eq!(code(&running.output()), status);
    let alive: Vec<_> = family.iter().map(|member| is_alive(member.0)).collect();
    assert_eq!(alive, [false; 5]);
    let report = room.report("report");
    assert_eq!(
        (&report["outcome"], &report["signal"]),
        (&json!("stopped"), &json!(status - 128)),
        "{report}"
    );
}

#[test]
fn term_ends_the_worker_and_all_it_started() {
    stopping_leaves_nothing_running(Signal::TERM, 143);
}

#[test]
fn int_ends_the_worker_and_all_it_started() {
    stopping_leaves_nothing_running(Signal::INT, 130);
}

#[test]
fn a_worker_that_cleans_up_on_term_gets_the_time_to() {
    let room = Room::new();
    room.file("in", text(4 << 20));
    let mut gate = Gate::new(&room, "gate");
    let _forever = Gate::new(&room, "never");
    let worker = "trap ': > asked; read x < gate; : > cleaned; exit 0' TERM
        : > ready
        read x < never";
    let running = started(&room, &["in"], worker);
    room.wait_for("ready");
    running.signal(Signal::TERM);
    room.wait_for("asked");
    assert!(!room.path("cleaned").exists());
    gate.open();
    assert_eq!(code(&running.output()), 143);
    assert!(room.path("cleaned").exists(), "it was killed while it cleaned up");
}

#[test]
fn a_stopped_worker_sees_no_end_of_input() {
    let room = Room::new();
    room.file("in", text(4 << 20));
    // Deaf to the request, it reads as long as it is let: until it is killed.
    let worker = "trap '' TERM; : > ready; cat > /dev/null; : > saw-the-end";
    let running = started(&room, &["in", "--epochs", "1000000"], worker);
    room.wait_for("ready");
    running.signal(Signal::TERM);
    assert_eq!(code(&running.output()), 143);
    assert!(!room.path("saw-the-end").exists(), "a stopped feed looked complete");
}

#[test]
fn a_worker_is_stopped_also_after_it_has_read_all() {
    let room = Room::new();
    room.file("in", "one\n");
    let worker = "cat > got; exec > /dev/null 2>&1; echo $$ > pids; : > ready; exec sleep 1000";
    let running = started(&room, &["in"], worker);
    room.wait_for("ready");
    let worker = Stray(room.pids("pids")[0]);
    running.signal(Signal::TERM);
    assert_eq!(code(&running.output()), 143);
    assert!(!is_alive(worker.0));
}

#[test]
fn a_feed_of_its_own_output_stops_while_nobody_reads() {
    let room = Room::new();
    room.file("in", text(4 << 20));
    for (signal, status) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        let mut feed = room.feed(["in", "--json"]);
        let mut running = Running::start(feed.process_group(0));
        let pipe = running.child().stdout.take().unwrap();
        // The first bytes say that it listens to signals; the pipe is then full soon, and stays so.
        support::wait_until("bytes", || rustix::io::ioctl_fionread(&pipe).unwrap() > 0);
        running.signal(signal);
        assert_eq!(code(&running.output()), status);
    }
}
