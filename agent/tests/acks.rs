//! What a worker acknowledges counts, whoever dies.

mod support;

use std::fs;

use forebay_agent::read_attempt;
use forebay_protocol::v1;
use rustix::process::Signal;
use support::{Played, wait_until_gone};

fn records(n: u64) -> v1::Ack {
    v1::Ack { ack: Some(v1::ack::Ack::Records(n)) }
}

const FROM_ACK: &str = "on-restart = 'from-ack'";

/// A worker that acknowledges each of 50 records, and then kills itself.
fn kills_itself(acknowledge: &str) -> String {
    format!("n=0; while read line; do n=$((n+1)); {acknowledge}; [ $n = 50 ] && kill -9 $$; done")
}

#[test]
fn acknowledgements_count_up_to_the_workers_death() {
    for acknowledge in ["echo ack:records=$n > $FOREBAY_ACK", "echo reporter ack:records=$n >&2"] {
        let am = Played::sh(&kills_itself(acknowledge), FROM_ACK);
        am.script().splits = am.splits("data", "line\n".repeat(1000).as_bytes(), 200, 0).into();
        assert_eq!(am.agent(1).status(), Some(0));
        let exited = am.script().exited.clone().unwrap();
        let position = exited.position.unwrap();
        assert_eq!((exited.status, position.ack), (137, Some(records(50))), "{acknowledge}");
        assert_eq!(position.begins[1].at.unwrap(), v1::StreamPosition { bytes: 205, records: 41 });
        let left = read_attempt(am.folder(0, 1).path()).unwrap();
        assert_eq!((left.ack, &left.begins), (Some(records(50)), &position.begins));
    }
}

#[test]
fn acknowledgements_outlive_the_agent() {
    let am = Played::sh(
        "echo ack:records=1 > $FOREBAY_ACK; while [ ! -e ../../../../go ]; do sleep 0.05; done
         echo ack:records=2 > $FOREBAY_ACK; echo $$ > ../../../../pids; exec sleep 1000",
        FROM_ACK,
    );
    am.script().holds_end = true;
    am.script().splits = am.splits("data", b"one\ntwo\n", 100, 5).into();
    let agent = am.agent(1);
    let guard = agent.guard();
    am.wait_for("an acknowledgement", |script| script.position.ack == Some(records(1)));
    am.wait_for("a begin", |script| script.begins.len() == 1);
    agent.signal(Signal::STOP);
    fs::write(am.path("go"), "").unwrap();
    let mut pids = am.pids("pids", 1);
    pids.push(guard);
    agent.signal(Signal::KILL);
    assert_eq!(agent.status(), None);
    wait_until_gone(&pids);
    let folder = am.folder(0, 1);
    assert_eq!(fs::read_to_string(folder.path().join("acks")).unwrap(), "ack:records=1\n");
    assert_eq!(fs::read_to_string(folder.path().join("acks.rest")).unwrap(), "ack:records=2\n");
    let left = read_attempt(folder.path()).unwrap();
    assert_eq!(left.ack, Some(records(2)));
    assert_eq!(left.begins.iter().map(|begin| begin.unit).collect::<Vec<_>>(), [5]);
}

#[test]
fn many_acknowledgements_take_little_room() {
    let am = Played::sh(
        "awk 'BEGIN { for (i = 1; i <= 300000; i++) print \"ack:records=\" i }' > $FOREBAY_ACK; exit 1",
        FROM_ACK,
    );
    assert_eq!(am.agent(1).status(), Some(0));
    assert_eq!(am.script().exited.clone().unwrap().position.unwrap().ack, Some(records(300_000)));
    let folder = am.folder(0, 1);
    assert!(fs::metadata(folder.path().join("acks")).unwrap().len() < 2 << 20);
    assert_eq!(read_attempt(folder.path()).unwrap().ack, Some(records(300_000)));
}

#[test]
fn what_is_no_acknowledgement_is_told_and_ends_nothing() {
    let am = Played::sh("echo ack:records=7 > $FOREBAY_ACK; echo records=9 > $FOREBAY_ACK", FROM_ACK);
    assert_eq!(am.agent(1).status(), Some(0));
    let script = am.script();
    let exited = script.exited.clone().unwrap();
    assert_eq!(exited.position.unwrap().ack, Some(records(7)));
    let notes = [&script.notes[..], &exited.progress.unwrap().notes].concat();
    assert!(notes.iter().any(|note| note.contains("records=9")), "{notes:?}");
}

/// Megabytes of log, of which half has no line ends.
fn log_size() -> u64 {
    std::env::var("FOREBAY_TEST_LOG_MB").ok().and_then(|size| size.parse().ok()).unwrap_or(100)
}

#[test]
fn a_long_log_is_kept_and_followed_in_little_memory() {
    let half = log_size() << 19;
    let am = Played::sh(
        &format!(
            "yes 'a line like many others' | head -c {half} >&2; head -c {half} /dev/zero >&2; echo >&2
             printf 'reporter ack:records=3\\nreporter progress:0.5\\n' >&2
             while [ ! -e ../../../../go ]; do sleep 0.05; done; printf 'reporter ack:records=4' >&2"
        ),
        FROM_ACK,
    );
    let agent = am.agent(1);
    am.wait_for("the log's end", |script| script.position.ack == Some(records(3)));
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid().as_raw_nonzero())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 32 << 10, "the agent took {peak} KiB");
    fs::write(am.path("go"), "").unwrap();
    assert_eq!(agent.status(), Some(0));
    let exited = am.script().exited.clone().unwrap();
    assert_eq!(exited.position.unwrap().ack, Some(records(4)), "a last line without an end counts");
    assert_eq!(exited.progress.unwrap().fraction, Some(0.5));
    assert!(fs::metadata(am.folder(0, 1).stderr()).unwrap().len() > log_size() << 20);
    assert_eq!(read_attempt(am.folder(0, 1).path()).unwrap().ack, Some(records(4)));
}
