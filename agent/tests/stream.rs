//! Attempts from registration to staging, with splits that are leased while they run.

mod support;

use std::fs;

use forebay_protocol::v1;
use rustix::process::Signal;
use support::{Played, text, wait_until, wait_until_gone};

#[test]
fn all_leases_arrive_once_and_in_order() {
    let am = Played::sh(
        "cat; echo \"$FOREBAY_JOB_ID $FOREBAY_ROLE $FOREBAY_RANK/$FOREBAY_WORLD_SIZE $FOREBAY_LOCAL_RANK $FOREBAY_ATTEMPT $FOREBAY_FORMAT $INDEX $X\" > env",
        "env = ['X=a b']",
    );
    let content = text(3_000_000);
    am.script().splits = am.splits("data", &content, 100_000, 40).into();
    assert_eq!(am.agent(1).status(), Some(0));
    let script = am.script();
    assert!(fs::read(am.folder(0, 1).stdout()).unwrap() == content);
    let env = fs::read_to_string(am.folder(0, 1).work().join("env")).unwrap();
    assert_eq!(env, "job_20200101_000000_abcd worker 0/3 1 1 lines 0 a b\n");
    let exited = script.exited.clone().unwrap();
    assert_eq!(exited.status, 0);
    let position = exited.position.unwrap();
    let all = content.len() as u64;
    assert!(position.complete && position.whole);
    assert_eq!((position.consumed, position.delivered.unwrap().bytes), (all, all));
    assert_eq!(
        position.begins.iter().map(|begin| begin.unit).collect::<Vec<_>>(),
        (40..71).collect::<Vec<_>>()
    );
    let starts: Vec<_> = position.begins.iter().map(|begin| begin.at.unwrap().bytes).collect();
    assert!(starts.is_sorted() && starts[0] == 0);
    let told = script.begins.iter().map(|begin| begin.unit).collect::<Vec<_>>();
    assert_eq!(told, (40..40 + told.len() as u64).collect::<Vec<_>>(), "heartbeats tell each begin once");
    assert_eq!(forebay_agent::read_attempt(am.folder(0, 1).path()).unwrap().begins, position.begins);
    assert!(script.staged.is_some() && script.failed.is_none());
}

#[test]
fn splits_whose_grant_was_not_heard_of_arrive_once() {
    let am = Played::sh("cat", "");
    let content = text(1_000_000);
    am.script().splits = am.splits("data", &content, 100_000, 0).into();
    am.script().loses = 3;
    assert_eq!(am.agent(1).status(), Some(0));
    let script = am.script();
    assert!(fs::read(am.folder(0, 1).stdout()).unwrap() == content, "bytes are missing or doubled");
    assert_eq!(script.loses, 0);
    let position = script.exited.clone().unwrap().position.unwrap();
    assert_eq!(position.begins.len(), script.granted.len());
    let last = script.asks.last().unwrap();
    assert_eq!((last.have, last.ahead), (position.begins.len() as u64, 0));
}

#[test]
fn splits_that_come_back_late_are_fed_before_the_end_of_input() {
    let am = Played::sh("read line; read x < ../../../../go; cat > rest", "");
    let go = am.path("go");
    rustix::fs::mkfifoat(rustix::fs::CWD, &go, rustix::fs::Mode::RWXU).unwrap();
    let mut splits = am.splits("data", b"one\ntwo\nthree\n", 4, 0);
    let late = splits.split_off(2);
    am.script().splits = splits.into();
    // More than a pipe holds: the end is told long before the worker has taken all.
    let much = text(2_000_000);
    let mut filler = am.splits("much", &much, 1 << 30, 9);
    am.script().splits.append(&mut filler.drain(..).collect());
    let agent = am.agent(1);
    am.wait_for("the end of input", |script| script.ends_told > 0);
    am.script().splits = late.into();
    fs::write(&go, "go\n").unwrap();
    assert_eq!(agent.status(), Some(0));
    let script = am.script();
    let units: Vec<_> =
        script.exited.clone().unwrap().position.unwrap().begins.iter().map(|b| b.unit).collect();
    assert_eq!(units, [0, 1, 9, 2, 3]);
    let rest = fs::read(am.folder(0, 1).work().join("rest")).unwrap();
    // By Hadoop's rule the first split of four bytes has two lines, the second one the last.
    assert!(rest == [b"two\nthree\n", &much[..]].concat(), "{} bytes", rest.len());
}

#[test]
fn a_split_goes_on_behind_what_was_acknowledged() {
    let am = Played::sh("cat", "on-restart = 'from-ack'");
    let mut splits = am.splits("data", b"one\ntwo\nthree\nfour\n", 100, 4);
    splits[0].skip = Some(v1::Skip { behind: Some(v1::skip::Behind::Records(2)) });
    am.script().splits = splits.into();
    assert_eq!(am.agent(1).status(), Some(0));
    assert_eq!(fs::read(am.folder(0, 1).stdout()).unwrap(), b"three\nfour\n");
    let position = am.script().exited.clone().unwrap().position.unwrap();
    assert_eq!(position.begins[0].skipped, Some(v1::StreamPosition { bytes: 8, records: 2 }));
    assert_eq!(position.delivered, Some(v1::StreamPosition { bytes: 11, records: 2 }));
}

#[test]
fn a_worker_that_exits_early_leaves_a_true_position() {
    let am = Played::sh("head -c 5 > /dev/null; exit 0", "");
    am.script().splits = am.splits("data", &text(5_000_000), 1 << 20, 0).into();
    assert_eq!(am.agent(1).status(), Some(0));
    let position = am.script().exited.clone().unwrap().position.unwrap();
    assert!(!position.complete);
    assert!(position.consumed >= 5 && position.consumed < 1 << 20, "{position:?}");
    assert!(position.delivered.unwrap().bytes > position.consumed);
    assert!(am.script().staged.is_some());
}

#[test]
fn a_worker_that_needs_no_end_of_input_has_read_whole_splits() {
    let am = Played::sh("head -c 8 > /dev/null", "");
    am.script().holds_end = true;
    am.script().splits = am.splits("data", b"one\ntwo\n", 1 << 20, 0).into();
    assert_eq!(am.agent(1).status(), Some(0));
    let position = am.script().exited.clone().unwrap().position.unwrap();
    assert!(!position.complete && position.whole && position.consumed == 8, "{position:?}");
}

#[test]
fn an_attempt_that_is_told_to_stop_ends_its_worker() {
    let am = Played::sh("echo $$ > ../../../../pid; cat > /dev/null; touch ../../../../ended", "");
    am.script().holds_end = true;
    am.script().splits = am.splits("data", b"one\n", 100, 0).into();
    let agent = am.agent(1);
    let worker = am.pids("pid", 1);
    am.script().stop = Some("the job ends".into());
    assert_eq!(agent.status(), Some(0));
    wait_until_gone(&worker);
    assert!(!am.path("ended").exists(), "it saw an end of input");
    assert!(am.script().exited.is_none() && am.script().failed.is_none());
}

#[test]
fn a_failed_feed_fails_the_attempt_and_looks_like_no_end_of_input() {
    let am = Played::sh("cat > /dev/null; touch ../../../../ended", "");
    let mut splits = am.splits("data", b"one\ntwo\n", 4, 0);
    splits.truncate(1);
    splits.extend(am.splits("gone", b"three\n", 10, 7));
    fs::remove_file(am.path("gone")).unwrap();
    am.script().splits = splits.into();
    assert_eq!(am.agent(1).status(), Some(1));
    let failed = am.script().failed.clone().unwrap();
    assert!(failed.reason.contains("gone") && !failed.fatal, "{failed:?}");
    assert_eq!(failed.position.unwrap().begins[0].unit, 0);
    assert!(!am.path("ended").exists(), "it saw an end of input");
}

#[test]
fn a_command_that_cannot_be_run_is_told_as_a_shell_tells_it() {
    for (command, status) in [("no-such-command", 127), ("/etc/passwd", 126), ("./missing", 127)] {
        let am = Played::new(&[command], "");
        assert_eq!(am.agent(1).status(), Some(1));
        let failed = am.script().failed.clone().unwrap();
        assert!(failed.fatal && failed.status == status && failed.reason.contains(command), "{failed:?}");
    }
}

#[test]
fn what_the_worker_tells_is_told_on() {
    let am = Played::sh(
        "echo 'reporter progress:0.25' >&2; echo reporter:status:fine >&2; echo reporter:counter:g,c,2 >&2;
         echo reporter:counter:g,c,3 >&2; echo reporter progress:x >&2; exit 3",
        "",
    );
    assert_eq!(am.agent(1).status(), Some(0));
    let script = am.script();
    let exited = script.exited.clone().unwrap();
    let progress = exited.progress.unwrap();
    assert_eq!((exited.status, progress.fraction, progress.status), (3, Some(0.25), Some("fine".into())));
    assert_eq!(progress.counters, [v1::Counter { group: "g".into(), name: "c".into(), value: 5 }]);
    let notes = [&script.notes[..], &progress.notes].concat();
    assert!(notes.iter().any(|note| note.contains("progress log format error")), "{notes:?}");
    assert!(script.staged.is_none());
}

#[test]
fn the_worker_inherits_no_descriptor_and_no_signal_mask_of_ours() {
    let list = "ls /proc/$$/fd; grep -E 'SigIgn|SigBlk' /proc/self/status";
    // What this test's own surroundings hand down is no leak of ours.
    let bare = std::process::Command::new("sh").args(["-c", list]).output().unwrap();
    let am = Played::sh(list, "");
    assert_eq!(am.agent(1).status(), Some(0));
    let own = fs::read_to_string(am.folder(0, 1).stdout()).unwrap();
    let bare = String::from_utf8(bare.stdout).unwrap();
    // What the agent hears itself (INT, say) is no longer ignored below it, where it was.
    let (own_rest, own_ignores) = ignored(&own);
    let (bare_rest, bare_ignores) = ignored(&bare);
    assert_eq!(own_rest, bare_rest);
    assert_eq!(own_ignores & !bare_ignores, 0, "{own} {bare}");
    assert!(own.starts_with("0\n1\n"), "{own}");
}

/// What a listing says besides the signals ignored, and these.
fn ignored(listing: &str) -> (Vec<&str>, u64) {
    let (mask, rest): (Vec<_>, Vec<_>) = listing.lines().partition(|line| line.starts_with("SigIgn:"));
    (rest, u64::from_str_radix(mask[0]["SigIgn:".len()..].trim(), 16).unwrap_or(u64::MAX))
}

#[test]
fn calls_that_fail_are_made_again() {
    let am = Played::sh("cat", "");
    am.script().splits = am.splits("data", b"one\ntwo\n", 4, 0).into();
    am.script().refuses = Some(tonic::Status::unavailable("not now"));
    let agent = am.agent(1);
    wait_until("a refused call", || agent.log().contains("not now"));
    am.script().refuses = None;
    assert_eq!(agent.status(), Some(0));
    assert_eq!(fs::read(am.folder(0, 1).stdout()).unwrap(), b"one\ntwo\n");
}

#[test]
fn signals_end_the_attempt_and_the_worker() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let am = Played::sh("echo $$ > ../../../../pid; exec sleep 1000", "");
        let agent = am.agent(1);
        let worker = am.pids("pid", 1);
        agent.signal(signal);
        assert_eq!(agent.status(), Some(1));
        wait_until_gone(&worker);
        let failed = am.script().failed.clone().unwrap();
        assert!(failed.reason.contains("signal") && failed.position.is_some(), "{failed:?}");
    }
}

#[test]
fn an_agent_that_nobody_told_what_to_do_says_so() {
    let output = forebay_tests::forebay(["agent"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(forebay_tests::said(&output).contains("forebay run"));
}
