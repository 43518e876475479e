//! What the owner of a job on a real YARN may rely on: whose jobs are whose, that logs come when they can, and that a job can
//! be ended whatever is away.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;
mod yarn;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;

use forebay_fixtures::{Yarn, YarnOptions};
use forebay_tests::said;
use serde_json::Value;
use support::{Room, code, run};
use yarn::running::Submitted;
use yarn::{Me, stdout, wait_for};

#[test]
fn the_jobs_of_others_are_named_and_left_alone() {
    let me = Me::new("first");
    me.input();
    me.refused(&["--keep-folder"], &["keep-folder", "a container"]);
    let output = run(me.submit(&["--queue", "tiny", "--detach", "--am-memory", "2G"]));
    assert_eq!(code(&output), 0, "{}", said(&output));
    let id = stdout(&output).trim_end().to_owned();
    let other = Me::new("second");
    for command in ["status", "logs", "attach", "kill"] {
        let output = run(other.forebay([command, &id]));
        assert_eq!(code(&output), 2, "{command}: {}", said(&output));
        for words in ["is a job of first", "the user here is second"] {
            assert!(said(&output).contains(words), "{command}: {words:?} is not in {}", said(&output));
        }
    }
    assert_eq!(me.cluster.application(&id).unwrap()["state"], "ACCEPTED");
    let killed = run(me.forebay(["kill", &id, "--json"]));
    assert_eq!(code(&killed), 0, "{}", said(&killed));
    let event: Value = serde_json::from_str(said(&killed).lines().last().unwrap()).unwrap();
    assert_eq!(event["how"], "forced");
}

#[test]
fn the_logs_of_a_worker_that_is_done_are_followed_while_others_run() {
    let me = Me::new("reader");
    me.input();
    let script = "echo worker $FOREBAY_RANK says so >&2
        if test $FOREBAY_RANK = 1; then : > $ROOM/ready; until test -e $ROOM/go; do sleep 0.05; done; fi; cat > /dev/null";
    let job = Submitted::new(&me, &["--workers=2", "--split-size=64K"], &["sh", "-c"], script);
    job.wait_for_files(&["ready"]);
    job.wait_for("a worker that is done", || {
        let status = run(me.forebay(["status", &job.id, "--json"]));
        let status: Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
        status["workers"][0]["state"] == "done"
    });
    let mut logs = me.forebay(["logs", &job.id, "--worker", "0", "--stderr", "--follow"]);
    let mut logs = logs.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(logs.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "0.1 stderr | worker 0 says so");
    me.room.file("go", "");
    job.succeed();
    assert!(logs.wait().unwrap().success());
    assert!(lines.next().is_none());
}

#[test]
fn a_job_is_ended_also_while_hdfs_is_away() {
    // A cluster of its own: its NameNode is held.
    let cluster = Arc::new(Yarn::start(&YarnOptions { nodemanagers: 1, ..YarnOptions::default() }).unwrap());
    let me = Me { cluster, user: "away", room: Room::new() };
    me.room.file("home/.keep", "");
    me.input();
    let job = Submitted::new(&me, &["--output=out"], &["sh", "-c"], ": > $ROOM/ready; exec sleep 600");
    job.wait_for_files(&["ready"]);
    let silent = me.cluster.hdfs().namenode().stop();
    let killed = run(me.forebay(["kill", &job.id]));
    silent.cont();
    assert_eq!(code(&killed), 1, "{}", said(&killed));
    for words in ["is over, and what it has left could not be removed", &format!("'forebay kill {}'", job.id)]
    {
        assert!(said(&killed).contains(words), "{words:?} is not in {}", said(&killed));
    }
    assert_eq!(me.cluster.application(&job.id).unwrap()["state"], "KILLED");
    wait_for("HDFS", || me.cluster.hdfs().list("/input").is_ok());
    let again = run(me.forebay(["kill", &job.id]));
    assert_eq!((code(&again), said(&again).contains("was over already")), (0, true), "{}", said(&again));
    assert!(me.stat(&me.forebay_folder(&format!("staging/{}", job.id))).is_none(), "staging stays");
    assert!(me.stat("/user/away/out/_temporary").is_none(), "output of workers stays");
}
