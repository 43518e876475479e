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
    // Every signal that would end a process that does not care.
    let signals = [
        (Signal::TERM, 143),
        (Signal::INT, 130),
        (Signal::HUP, 129),
        (Signal::USR1, 138),
        (Signal::XCPU, 152),
    ];
    for (signal, status) in signals {
        let mut feed = room.feed(["in", "--json"]);
        let mut running = Running::start(feed.process_group(0));
        let pipe = running.child().stdout.take().unwrap();
        // The first bytes say that it listens to signals; the pipe is then full soon, and stays so.
        support::wait_until("bytes", || rustix::io::ioctl_fionread(&pipe).unwrap() > 0);
        running.signal(signal);
        assert_eq!(code(&running.output()), status);
    }
}

/// `nohup`, and what shells do for background jobs.
#[test]
fn a_signal_that_is_to_be_ignored_is_ignored() {
    let room = Room::new();
    room.file("in", text(4 << 20));
    let mut gate = Gate::new(&room, "gate");
    let script = "trap '' HUP; exec \"$0\" feed in -- sh -c ': > ready; read x < gate; cat > /dev/null'";
    let mut nohup = std::process::Command::new("sh");
    nohup.args(["-c", script]).arg(forebay_tests::bin("forebay")).current_dir(room.path(""));
    let running = Running::start(nohup.process_group(0));
    room.wait_for("ready");
    running.signal(Signal::HUP);
    gate.open();
    assert_eq!(code(&running.output()), 0);
}

#[test]
fn a_search_through_an_endless_line_stops() {
    let room = Room::new();
    room.sparse("in", 1 << 40);
    let running = started(&room, &["in", "--shard", "1/2", "--json"], "cat > /dev/null");
    // It has announced its plan, listens to signals, and searches.
    support::wait_until("the worker", || has_children(running.pid()));
    running.signal(Signal::TERM);
    assert_eq!(code(&running.output()), 143);
}

#[test]
fn ranges_without_bytes_stop() {
    let room = Room::new();
    room.file("in", "\u{feff}");
    let running = started(&room, &["in", "--epochs", "1000000000000"], "cat > /dev/null");
    support::wait_until("the worker", || has_children(running.pid()));
    running.signal(Signal::TERM);
    assert_eq!(code(&running.output()), 143);
}

fn has_children(pid: rustix::process::Pid) -> bool {
    let path = format!("/proc/{0}/task/{0}/children", pid.as_raw_nonzero());
    std::fs::read_to_string(path).is_ok_and(|children| !children.trim().is_empty())
}

/// Its first thread ends, and it looks like a zombie: it is none.
#[test]
fn a_worker_whose_first_thread_has_ended_is_ended() {
    let room = Room::new();
    room.file("in", text(4 << 20));
    let script = "import ctypes, threading, time
threading.Thread(target=lambda: (open('ready', 'w').close(), time.sleep(1000))).start()
ctypes.CDLL(None).pthread_exit(0)";
    let mut feed = room.feed(["in", "--", "python3", "-c", script]);
    let running = Running::start(feed.process_group(0));
    room.wait_for("ready");
    running.signal(Signal::TERM);
    assert_eq!(code(&running.output()), 143);
}

/// A container's entry point may start helpers and then become the feed.
#[test]
fn children_that_were_there_before_are_left_alone() {
    let room = Room::new();
    room.file("in", text(4 << 20));
    let script = "sleep 1000 & echo $! > pids; exec \"$0\" feed in -- sh -c ': > ready; sleep 1000'";
    let mut entry = std::process::Command::new("sh");
    entry.args(["-c", script]).arg(forebay_tests::bin("forebay")).current_dir(room.path(""));
    entry.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let running = Running::just_start(entry.process_group(0));
    room.wait_for("ready");
    let helper = Stray(room.pids("pids")[0]);
    running.signal(Signal::TERM);
    assert_eq!(running.status().code(), Some(143));
    assert!(is_alive(helper.0), "the helper was ended");
}
