//! Whoever is killed: no process of a worker is left, and none takes it for the end of its input.

mod support;

use std::fs::File;

use rustix::process::{Pid, Signal, kill_process};
use support::{Played, Running, is_alive, wait_until, wait_until_gone};

/// A worker with a tree of processes, whose ids it writes down, its own last.
const TREE: &str = "sleep 1000 & echo $! >> ../../../../pids
    python3 -c 'import time; time.sleep(1000)' & echo $! >> ../../../../pids
    echo $$ >> ../../../../pids; wait";

fn tree() -> (Played, Running, Vec<Pid>) {
    let am = Played::sh(TREE, "");
    am.script().holds_end = true;
    let agent = am.agent(1);
    let pids = am.pids("pids", 3);
    assert!(pids.iter().all(|&pid| is_alive(pid)));
    (am, agent, pids)
}

#[test]
fn the_tree_is_gone_after_the_agents_death() {
    let (_am, agent, mut pids) = tree();
    pids.push(agent.guard());
    agent.signal(Signal::KILL);
    assert_eq!(agent.status(), None);
    wait_until_gone(&pids);
}

#[test]
fn the_tree_is_gone_after_a_hanging_agents_death() {
    let (_am, agent, mut pids) = tree();
    pids.push(agent.guard());
    agent.signal(Signal::STOP);
    agent.signal(Signal::KILL);
    assert_eq!(agent.status(), None);
    wait_until_gone(&pids);
}

#[test]
fn the_tree_is_gone_after_the_guards_death() {
    let (am, agent, pids) = tree();
    kill_process(agent.guard(), Signal::KILL).unwrap();
    assert_eq!(agent.status(), Some(1));
    wait_until_gone(&pids);
    let failed = am.script().failed.clone().unwrap();
    assert!(failed.reason.contains("guard"), "{failed:?}");
}

#[test]
fn the_worker_itself_dies_with_agent_and_guard() {
    let (_am, agent, pids) = tree();
    let guard = agent.guard();
    agent.signal(Signal::STOP);
    kill_process(guard, Signal::KILL).unwrap();
    agent.signal(Signal::KILL);
    assert_eq!(agent.status(), None);
    wait_until_gone(&[guard, pids[2]]);
    // What the worker has started is left to the application master, which adopts it.
    for &pid in &pids[..2] {
        let _ = kill_process(pid, Signal::KILL);
    }
    wait_until_gone(&pids);
}

#[test]
fn the_tree_is_gone_after_the_workers_death() {
    let (am, agent, pids) = tree();
    kill_process(pids[2], Signal::KILL).unwrap();
    assert_eq!(agent.status(), Some(0));
    assert_eq!(am.script().exited.clone().unwrap().status, 137);
    assert!(pids.iter().all(|&pid| !is_alive(pid)), "all are gone before the end is told");
}

#[test]
fn the_tree_is_gone_when_the_application_master_is() {
    let (am, mut agent, pids) = tree();
    agent.close_input();
    assert_eq!(agent.status(), Some(1));
    assert!(pids.iter().all(|&pid| !is_alive(pid)));
    assert!(am.script().exited.is_none());
}

#[test]
fn what_a_worker_leaves_behind_is_ended_before_its_output_is_staged() {
    let am = Played::sh("trap '' TERM; sleep 1000 & echo $! > ../../../../pids; exit 0", "");
    let agent = am.agent(1);
    let pids = am.pids("pids", 1);
    am.wait_for("the end", |script| script.exited.is_some());
    assert!(!is_alive(pids[0]));
    assert_eq!(agent.status(), Some(0));
}

#[test]
fn a_worker_that_signals_its_group_reaches_only_its_own() {
    let am = Played::sh("sleep 1000 & echo $! > ../../../../pids; kill -KILL 0", "");
    assert_eq!(am.agent(1).status(), Some(0));
    wait_until_gone(&am.pids("pids", 1));
    assert_eq!(am.script().exited.clone().unwrap().status, 137);
}

/// Workers that say when they have seen the end of their input, and who they are.
const READERS: [&str; 2] = [
    "echo $$ > ../../../../pids; cat > /dev/null; touch ../../../../ended",
    "cat | sh -c 'echo $$ > ../../../../pids; cat > /dev/null; touch ../../../../ended'; touch ../../../../ended",
];

/// A worker that has read what there was, and waits for more.
fn reader(script: &str) -> (Played, Running, Vec<Pid>) {
    let am = Played::sh(script, "");
    am.script().holds_end = true;
    am.script().splits = am.splits("data", b"one\ntwo\n", 100, 0).into();
    let agent = am.agent(1);
    let pids = am.pids("pids", 1);
    am.wait_for("the worker to read", |script| script.position.consumed == 8);
    (am, agent, pids)
}

#[test]
fn the_agents_death_is_no_end_of_input() {
    for script in READERS {
        let (am, agent, mut pids) = reader(script);
        pids.push(agent.guard());
        agent.signal(Signal::KILL);
        assert_eq!(agent.status(), None);
        wait_until_gone(&pids);
        assert!(!am.path("ended").exists(), "{script}");
    }
}

#[test]
fn the_guards_death_is_no_end_of_input() {
    for script in READERS {
        let (am, agent, pids) = reader(script);
        kill_process(agent.guard(), Signal::KILL).unwrap();
        assert_eq!(agent.status(), Some(1));
        wait_until_gone(&pids);
        assert!(!am.path("ended").exists(), "{script}");
    }
}

#[test]
fn the_application_masters_death_is_no_end_of_input() {
    for script in READERS {
        let (am, mut agent, pids) = reader(script);
        agent.close_input();
        assert_eq!(agent.status(), Some(1));
        wait_until_gone(&pids);
        assert!(!am.path("ended").exists(), "{script}");
    }
}

#[test]
fn an_attempt_waits_until_the_earlier_ones_have_no_processes() {
    let am = Played::sh("true", "");
    assert_eq!(am.agent(1).status(), Some(0));
    am.script().exited = None;
    let lock = File::open(am.folder(0, 1).path().join("lock")).unwrap();
    lock.lock_shared().unwrap();
    let agent = am.agent(2);
    am.wait_for("heartbeats", |script| script.registered == 2 && script.progress.activity == "preparing");
    assert!(!am.folder(0, 2).stdout().exists(), "the worker runs beside another");
    drop(lock);
    assert_eq!(agent.status(), Some(0));
    wait_until("the output", || am.folder(0, 2).stdout().exists());
}
