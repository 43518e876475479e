//! An agent that outlives its application master, and meets the next one.

mod support;

use std::fs;

use forebay_protocol::{Units, v1};
use support::container::{Yarn, len};
use support::{Played, text, wait_until, wait_until_gone};

/// A worker that takes some megabytes a second and keeps them.
const SLOW: &str = "exec python3 -c '
import os, time
while True:
    piece = os.read(0, 65536)
    if not piece:
        break
    os.write(1, piece)
    time.sleep(0.01)'";

#[test]
fn a_feed_goes_on_while_there_is_no_application_master() {
    let am = Played::sh(SLOW, "");
    let content = text(60_000_000);
    am.script().splits = am.splits("data", &content, 100_000, 0).into();
    am.script().lease_ahead_ms = 60_000;
    let yarn = Yarn::new(&am);
    let first = yarn.master(1);
    yarn.publish(1, &first.address);
    let agent = yarn.start(0, 1, &first.address);
    let stdout = yarn.log(0, 1, "stdout");
    am.wait_for("splits to be held ahead", |script| {
        script.granted.len() >= script.begins.len() + 50 && script.position.consumed > 0
    });
    first.kill();
    // More than a pipe holds: the feed goes on.
    let before = len(&stdout);
    wait_until("the feed without an application master", || len(&stdout) > before + 3_000_000);
    assert!(am.script().rejoins.is_empty());
    let granted = am.script().granted.clone();
    let second = yarn.master(2);
    yarn.publish(2, &second.address);
    am.wait_for("the agent to come back", |script| !script.rejoins.is_empty());
    am.wait_for("splits from the second one", |script| script.granted.len() > granted.len());
    assert_eq!(agent.status(), Some(0));
    assert!(fs::read(&stdout).unwrap() == content, "bytes are missing or doubled");
    let script = am.script();
    assert_eq!(script.rejoins.len(), 1, "one for all tasks of the agent");
    let (attempt, rejoin) = &script.rejoins[0];
    let held: Vec<_> = rejoin.held.iter().map(|held| (0, held.unit)).collect();
    assert_eq!((*attempt, held), (2, granted), "it says what it was granted, in order");
    let position = rejoin.position.clone().unwrap();
    let begun: Vec<_> = position.begins.iter().map(|begin| begin.unit).collect();
    assert_eq!(begun, (0..begun.len() as u64).collect::<Vec<_>>());
    assert!(begun.len() > 30 && position.consumed >= before && !position.complete && rejoin.exited.is_none());
    assert_eq!((script.registered, script.ends, script.stages), (1, 1, 1));
    assert!(script.beats[&2] > 0);
}

#[test]
fn splits_whose_grant_was_not_heard_of_are_asked_for_again() {
    let am = Played::sh("cat", "");
    let content = text(3_000_000);
    am.script().splits = am.splits("data", &content, 100_000, 0).into();
    am.script().loses = 3;
    let yarn = Yarn::new(&am);
    let master = yarn.master(1);
    let agent = yarn.start(0, 1, &master.address);
    assert_eq!(agent.status(), Some(0));
    assert!(fs::read(yarn.log(0, 1, "stdout")).unwrap() == content, "bytes are missing or doubled");
    let script = am.script();
    assert_eq!(script.loses, 0);
    // The connection is given up, and the same application master is told what is held: not what was lost.
    assert!(!script.rejoins.is_empty());
    assert!(script.rejoins.iter().all(|(attempt, rejoin)| (*attempt, rejoin.held.len()) == (1, 0)));
    assert!(script.asks[..4].iter().all(|ask| (ask.have, ask.ahead) == (0, 0)), "{:?}", script.asks);
}

#[test]
fn what_left_the_pipe_long_ago_takes_little_room() {
    let am = Played::sh("cat", "");
    let content = text(100_000);
    am.script().splits = am.splits("data", &content, 20, 0).into();
    am.script().holds_end = true;
    let yarn = Yarn::new(&am);
    let first = yarn.master(1);
    let agent = yarn.start(0, 1, &first.address);
    am.wait_for("all to be fed", |script| {
        script.splits.is_empty() && script.position.consumed == content.len() as u64
    });
    let beats = am.script().beats[&1];
    am.wait_for("what is known of that to be let go of", |script| script.beats[&1] > beats + 2);
    first.kill();
    let second = yarn.master(2);
    yarn.publish(2, &second.address);
    am.wait_for("the agent to come back", |script| !script.rejoins.is_empty());
    am.script().holds_end = false;
    assert_eq!(agent.status(), Some(0));
    assert!(fs::read(yarn.log(0, 1, "stdout")).unwrap() == content, "bytes are missing or doubled");
    let script = am.script();
    let rejoin = &script.rejoins[0].1;
    let fed = Units::read(&rejoin.fed).unwrap();
    assert!(fed.len() > 3000 && rejoin.fed.len() < 2 * fed.len(), "{} in {}", fed.len(), rejoin.fed.len());
    let held = rejoin.held.iter().map(|held| held.unit);
    let granted: Vec<_> = script.granted.iter().map(|&(_, unit)| unit).collect();
    assert_eq!(fed.iter().copied().chain(held).collect::<Vec<_>>(), granted);
    let position = rejoin.position.clone().unwrap();
    let begun: Vec<_> = position.begins.iter().map(|begin| begin.unit).collect();
    assert_eq!(begun, granted[fed.len()..]);
    assert!(
        script.begins.iter().map(|begin| begin.unit).eq(granted.iter().copied()),
        "each was told of once"
    );
}

#[test]
fn what_is_to_be_left_out_of_a_split_is_held_too() {
    let am = Played::sh("exec sleep 1000", "on-restart = 'from-ack'");
    let mut splits = am.splits("data", b"one\ntwo\nthree\nfour\n", 100, 4);
    let skip = v1::Skip { behind: Some(v1::skip::Behind::Records(2)) };
    splits[0].skip = Some(skip);
    am.script().splits = splits.into();
    am.script().holds_end = true;
    let yarn = Yarn::new(&am);
    let first = yarn.master(1);
    let agent = yarn.start(0, 1, &first.address);
    am.wait_for("the split", |script| script.position.begins.len() + script.begins.len() > 0);
    first.kill();
    let second = yarn.master(2);
    yarn.publish(2, &second.address);
    am.wait_for("the agent to come back", |script| !script.rejoins.is_empty());
    assert_eq!(am.script().rejoins[0].1.held, [v1::Held { unit: 4, skip: Some(skip) }]);
    am.script().stop = Some("enough".into());
    assert_eq!(agent.status(), Some(0));
}

#[test]
fn without_an_application_master_the_worker_is_ended_in_time() {
    let am =
        Played::sh("echo $$ > ../../../../../../pid; cat > /dev/null; touch ../../../../../../ended", "");
    am.script().holds_end = true;
    am.script().splits = am.splits("data", b"one\n", 100, 0).into();
    let mut yarn = Yarn::new(&am);
    yarn.patience_s = 3;
    let master = yarn.master(1);
    yarn.publish(1, &master.address);
    let agent = yarn.start(0, 1, &master.address);
    let worker = am.pids("pid", 1);
    am.wait_for("heartbeats", |script| script.position.consumed == 4);
    master.kill();
    assert_eq!(agent.status(), Some(1));
    wait_until_gone(&worker);
    assert!(!am.path("ended").exists(), "it saw an end of input");
    assert!(fs::read_to_string(yarn.log(0, 1, "agent.log")).unwrap().contains("has gone"));
}

#[test]
fn an_older_application_master_is_not_listened_to() {
    let am = Played::sh("exec sleep 1000", "");
    am.script().holds_end = true;
    let yarn = Yarn::new(&am);
    let second = yarn.master(2);
    let agent = yarn.start(0, 1, &second.address);
    am.wait_for("heartbeats", |script| script.beats.contains_key(&2));
    let log = || fs::read_to_string(yarn.log(0, 1, "agent.log")).unwrap();
    // One that says so in the file.
    let first = yarn.master(1);
    yarn.publish(1, &first.address);
    second.kill();
    wait_until("the older one to be left alone", || log().contains("is left alone"));
    // One that does not.
    yarn.publish(3, &first.address);
    wait_until("the older one to be found out", || log().contains("that of the application's attempt 1"));
    let third = yarn.master(3);
    yarn.publish(3, &third.address);
    am.wait_for("heartbeats", |script| script.beats.contains_key(&3));
    assert!(!am.script().beats.contains_key(&1));
    am.script().stop = Some("enough".into());
    assert_eq!(agent.status(), Some(0));
}

#[test]
fn whoever_has_no_certificate_of_the_job_is_told_nothing() {
    let am = Played::sh("exec sleep 1000", "");
    am.script().holds_end = true;
    let yarn = Yarn::new(&am);
    let first = yarn.master(1);
    let agent = yarn.start(0, 1, &first.address);
    am.wait_for("heartbeats", |script| script.beats.contains_key(&1));
    first.kill();
    // The same job, to believe its file, but made by somebody else.
    let other = Played::sh("", "");
    let stranger = Yarn::new(&other).master(2);
    yarn.publish(2, &stranger.address);
    let log = || fs::read_to_string(yarn.log(0, 1, "agent.log")).unwrap();
    wait_until("the stranger to be found out", || log().to_lowercase().contains("certificate"));
    assert!(other.script().rejoins.is_empty());
    let second = yarn.master(2);
    yarn.publish(2, &second.address);
    am.wait_for("heartbeats", |script| script.beats.contains_key(&2));
    am.script().stop = Some("enough".into());
    assert_eq!(agent.status(), Some(0));
}

#[test]
fn an_application_master_that_was_replaced_before_the_first_call_is_found() {
    let am = Played::sh("cat", "");
    am.script().splits = am.splits("data", b"one\n", 100, 0).into();
    let yarn = Yarn::new(&am);
    let gone = yarn.master(1);
    let address = gone.address.clone();
    gone.kill();
    let agent = yarn.start(0, 1, &address);
    wait_until("a try", || agent.log().contains("no application master"));
    let second = yarn.master(2);
    yarn.publish(2, &second.address);
    assert_eq!(agent.status(), Some(0));
    assert_eq!(fs::read(yarn.log(0, 1, "stdout")).unwrap(), b"one\n");
    assert!(am.script().rejoins.is_empty(), "there is nothing to say");
}

#[test]
fn the_end_of_a_worker_and_its_output_are_told_until_they_are_heard() {
    let am = Played::sh("cat", "");
    am.script().splits = am.splits("data", b"one\n", 100, 0).into();
    am.script().silent_on = "exited";
    let yarn = Yarn::new(&am);
    let first = yarn.master(1);
    let agent = yarn.start(0, 1, &first.address);
    am.wait_for("the end", |script| script.ends == 1);
    first.kill();
    am.script().silent_on = "staged";
    let second = yarn.master(2);
    yarn.publish(2, &second.address);
    am.wait_for("the output", |script| script.stages == 1);
    second.kill();
    am.script().silent_on = "";
    let third = yarn.master(3);
    yarn.publish(3, &third.address);
    assert_eq!(agent.status(), Some(0));
    let script = am.script();
    assert_eq!((script.registered, script.ends, script.stages), (1, 2, 2));
    let rejoins: Vec<_> = script.rejoins.iter().map(|(attempt, rejoin)| (*attempt, rejoin.exited)).collect();
    assert_eq!(rejoins, [(2, Some(0)), (3, Some(0))]);
    let position = script.exited.clone().unwrap().position.unwrap();
    assert!(
        position.complete
            && script.rejoins.iter().all(|(_, rejoin)| rejoin.position.as_ref() == Some(&position))
    );
}

#[test]
fn a_new_application_master_may_want_the_attempt_to_end() {
    let am =
        Played::sh("echo $$ > ../../../../../../pid; cat > /dev/null; touch ../../../../../../ended", "");
    am.script().holds_end = true;
    am.script().splits = am.splits("data", b"one\n", 100, 0).into();
    let yarn = Yarn::new(&am);
    let first = yarn.master(1);
    let agent = yarn.start(0, 1, &first.address);
    let worker = am.pids("pid", 1);
    first.kill();
    am.script().stop = Some("another attempt runs".into());
    let second = yarn.master(2);
    yarn.publish(2, &second.address);
    assert_eq!(agent.status(), Some(0));
    wait_until_gone(&worker);
    assert!(!am.path("ended").exists(), "it saw an end of input");
    assert!(am.script().exited.is_none() && am.script().failed.is_none());
}

#[test]
fn a_failure_is_told_to_the_next_application_master() {
    let am = Played::sh("cat > /dev/null", "");
    let mut splits = am.splits("data", b"one\ntwo\n", 4, 0);
    splits.truncate(1);
    am.script().splits = splits.into();
    am.script().holds_end = true;
    let yarn = Yarn::new(&am);
    let first = yarn.master(1);
    let agent = yarn.start(0, 1, &first.address);
    am.wait_for("the feed", |script| script.position.consumed > 0);
    let gone = am.splits("gone", b"three\n", 10, 7);
    fs::remove_file(am.path("gone")).unwrap();
    am.script().splits = gone.into();
    am.wait_for("the split that cannot be fed", |script| script.splits.is_empty());
    first.kill();
    let second = yarn.master(2);
    yarn.publish(2, &second.address);
    assert_eq!(agent.status(), Some(1));
    let failed = am.script().failed.clone().unwrap();
    assert!(failed.reason.contains("gone") && failed.position.is_some(), "{failed:?}");
}

#[test]
fn a_short_input_is_shared_by_workers_that_hold_splits_ahead() {
    let am = Played::sh(SLOW, "");
    let content = text(12_000_000);
    let splits = am.splits("data", &content, 200_000, 0);
    let all = splits.len();
    am.script().splits = splits.into();
    am.script().lease_ahead_ms = 60_000;
    let yarn = Yarn::new(&am);
    let master = yarn.master(1);
    let one = yarn.start(0, 1, &master.address);
    am.wait_for("the first worker to hold splits ahead", |script| {
        script.granted.len() > script.begins.len() + 3
    });
    let other = yarn.start(1, 1, &master.address);
    assert_eq!((one.status(), other.status()), (Some(0), Some(0)));
    let script = am.script();
    let units = |index| script.granted.iter().filter(|granted| granted.0 == index).count();
    assert_eq!(units(0) + units(1), all);
    assert!(units(0) >= 15 && units(1) >= 15, "{} and {}", units(0), units(1));
    let fed = len(&yarn.log(0, 1, "stdout")) + len(&yarn.log(1, 1, "stdout"));
    assert_eq!(fed, content.len() as u64);
}
