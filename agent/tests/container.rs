//! An agent in a container: what it finds there, what its worker gets, and how the NodeManager ends it.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use forebay_protocol::v1;
use rustix::process::{Pid, Signal, getpgid};
use support::container::Yarn;
use support::{Played, is_alive, text, wait_until, wait_until_gone};

/// What a worker writes about itself, from its working folder.
const SELF: &str = "echo $$ > ../../../../../pid";

fn pid_of(yarn: &Yarn<'_>, number: u32) -> Pid {
    let path = yarn.folder(0, number).join("pid");
    let read = || fs::read_to_string(&path).unwrap_or_default();
    wait_until("the worker's id", || read().ends_with('\n'));
    Pid::from_raw(read().trim().parse().unwrap()).unwrap()
}

/// A process's session as `/proc` tells it: 0 where its leader is outside of the PID namespace, which `getsid` of `rustix`
/// does not expect.
fn session_of(process: &str) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // Behind the name in parentheses: state, parent, group, session.
    stat[stat.rfind(')').unwrap()..].split_whitespace().nth(4).unwrap().parse().unwrap()
}

#[test]
fn a_worker_in_a_container_has_what_yarn_brought_and_its_logs_are_yarns() {
    let script = "cat code/main table; cat; pwd; echo said >&2; echo $FOREBAY_ATTEMPT";
    let am = Played::sh(script, "files = ['/of/the/owners/host/code', '/of/the/owners/host/table']");
    let mut yarn = Yarn::new(&am);
    yarn.links = vec!["code".into(), "table".into()];
    let folder = yarn.folder(0, 3);
    fs::create_dir_all(folder.join("code")).unwrap();
    fs::write(folder.join("code/main"), "main\n").unwrap();
    fs::write(folder.join("table"), "table\n").unwrap();
    fs::write(folder.join("not-for-the-worker"), "").unwrap();
    am.script().splits = am.splits("data", b"one\ntwo\n", 4, 0).into();
    am.script().waits = 2;
    let master = yarn.master(1);
    assert_eq!(yarn.start(0, 3, &master.address).status(), Some(0));
    let work = folder.join("job/workers/0/3/work");
    let said = fs::read_to_string(yarn.log(0, 3, "stdout")).unwrap();
    assert_eq!(said, format!("main\ntable\none\ntwo\n{}\n3\n", work.display()));
    assert_eq!(fs::read_to_string(yarn.log(0, 3, "stderr")).unwrap(), "said\n");
    assert!(!work.join("not-for-the-worker").exists());
    for name in ["stdout", "stderr", "agent.log"] {
        // The NodeManager collects them, and may be another user of the folder's group.
        assert_eq!(fs::metadata(yarn.log(0, 3, name)).unwrap().permissions().mode() & 0o777, 0o640, "{name}");
    }
    let script = am.script();
    assert_eq!(script.registered, 3, "it waits for the others");
    assert!(script.staged.is_some() && script.failed.is_none() && script.rejoins.is_empty());
    let notes = script.exited.clone().unwrap().progress.unwrap().notes;
    assert!(!notes.iter().any(|note| note.contains("history")), "told too early: {notes:?}");
}

#[test]
fn a_containers_memory_and_processor_time_are_told() {
    let am = Played::sh(
        "x=$(head -c 60000000 /dev/zero | tr '\\0' x); touch ../../../../../big; read x < ../../../../../go; x=; exec sleep 1000",
        "",
    );
    let yarn = Yarn::new(&am);
    let master = yarn.master(1);
    fs::create_dir_all(yarn.folder(0, 1)).unwrap();
    let go = yarn.folder(0, 1).join("go");
    rustix::fs::mkfifoat(rustix::fs::CWD, &go, rustix::fs::Mode::RWXU).unwrap();
    let agent = yarn.start(0, 1, &master.address);
    am.wait_for("much memory", |script| script.progress.memory_bytes > Some(55_000_000));
    fs::write(&go, "go\n").unwrap();
    am.wait_for("little memory", |script| script.progress.memory_bytes < Some(55_000_000));
    let progress = am.script().progress.clone();
    assert!(
        progress.memory_peak_bytes > Some(55_000_000) && progress.cpu_seconds > Some(0.0),
        "{progress:?}"
    );
    am.script().stop = Some("enough".into());
    assert_eq!(agent.status(), Some(0));
}

#[test]
fn all_of_a_container_is_in_its_process_group() {
    let am = Played::sh(&format!("{SELF}; exec sleep 1000"), "");
    let yarn = Yarn::new(&am);
    let master = yarn.master(1);
    let agent = yarn.start(0, 1, &master.address);
    let (group, worker) = (agent.pid(), pid_of(&yarn, 1));
    for process in [group, agent.guard(), worker] {
        assert_eq!(getpgid(Some(process)).unwrap(), group);
        assert_eq!(session_of(&process.to_string()), session_of("self"));
    }
    let guard = agent.guard();
    agent.signal_group(Signal::KILL);
    assert_eq!(agent.status(), None);
    wait_until_gone(&[guard, worker]);
}

#[test]
fn a_container_that_is_asked_to_end_says_so_at_once() {
    // The worker heeds no TERM; it says how far it is until it is killed.
    let script = format!(
        "trap '' TERM; {SELF}; n=0; while IFS= read -r line; do n=$((n+1)); echo ack:records=$n > \"$FOREBAY_ACK\"; done; touch ../../../../../ended"
    );
    let am = Played::sh(&script, "on-restart = 'from-ack'");
    am.script().holds_end = true;
    am.script().splits = am.splits("data", &text(2000), 500, 0).into();
    let yarn = Yarn::new(&am);
    let master = yarn.master(1);
    let agent = yarn.start(0, 1, &master.address);
    let worker = pid_of(&yarn, 1);
    am.wait_for("all to be read", |script| script.position.ack.is_some() && script.position.consumed >= 2000);
    agent.signal_group(Signal::TERM);
    // What a NodeManager takes for an end by that signal.
    assert_eq!(agent.status(), Some(143));
    assert!(!is_alive(worker) && !yarn.folder(0, 1).join("ended").exists());
    let failed = am.script().failed.clone().unwrap();
    let position = failed.position.unwrap();
    assert!(failed.reason.contains("signal 15") && !failed.fatal, "{}", failed.reason);
    assert_eq!(position.ack, am.script().position.ack);
    assert_eq!(position.consumed, am.script().position.consumed);
}

/// A worker that writes a mark when it sees the end of its input, with as little delay as a shell allows, and one that
/// sees it through others.
const READERS: [&str; 2] = [
    "while read -r line; do :; done; : > ../../../../../ended",
    "cat | while read -r line; do :; done; : > ../../../../../ended",
];

/// Kills one container after the other.
fn killed(signals: &[Signal], script: &str) {
    let rounds = std::env::var("FOREBAY_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    for round in 1..=rounds {
        let am = Played::sh(&format!("{SELF}; {script}"), "");
        am.script().holds_end = true;
        am.script().splits = am.splits("data", b"one\ntwo\n", 100, 0).into();
        let yarn = Yarn::new(&am);
        let master = yarn.master(1);
        let agent = yarn.start(0, 1, &master.address);
        let (worker, guard) = (pid_of(&yarn, 1), agent.guard());
        am.wait_for("the worker to read", |script| script.position.consumed == 8);
        for &signal in signals {
            agent.signal_group(signal);
        }
        agent.status();
        wait_until_gone(&[worker, guard]);
        let ended: &Path = &yarn.folder(0, 1).join("ended");
        assert!(!ended.exists(), "round {round}: a killed container looked like the end of input");
    }
}

#[test]
fn a_killed_container_is_no_end_of_input() {
    for script in READERS {
        killed(&[Signal::KILL], script);
    }
}

#[test]
fn a_container_that_is_ended_and_killed_is_no_end_of_input() {
    for script in READERS {
        killed(&[Signal::TERM, Signal::KILL], script);
    }
}

#[test]
fn logs_can_be_asked_for_while_the_agent_lives() {
    let am = Played::sh("echo 0123456789; echo wrong >&2; read x < ../../../../../go; echo more", "");
    let yarn = Yarn::new(&am);
    let master = yarn.master(1);
    fs::create_dir_all(yarn.folder(0, 1)).unwrap();
    let go = yarn.folder(0, 1).join("go");
    rustix::fs::mkfifoat(rustix::fs::CWD, &go, rustix::fs::Mode::RWXU).unwrap();
    let agent = yarn.start(0, 1, &master.address);
    wait_until("output", || support::container::len(&yarn.log(0, 1, "stderr")) > 0);
    let ask = |id, name: &str, offset, max| v1::LogWanted { id, name: name.into(), offset, max };
    let answer = |wanted: v1::LogWanted| {
        let before = am.script().logs.len();
        am.script().log_asks.push(wanted);
        am.wait_for("a piece of a log", |script| script.logs.len() > before);
        am.script().logs[before].clone()
    };
    let piece = answer(ask(7, "stdout", 2, 3));
    assert_eq!(
        (piece.id, piece.offset, &piece.data[..], piece.len, piece.over),
        (7, 2, &b"234"[..], 11, false)
    );
    assert_eq!(answer(ask(8, "stderr", -3, 100)).data, b"ng\n");
    assert_eq!(answer(ask(9, "agent.log", 0, 100)).error, None);
    for bad in ["../../../../etc/passwd", "", "stdin", "container_tokens"] {
        let piece = answer(ask(10, bad, 0, 100));
        assert!(piece.error.is_some() && piece.data.is_empty(), "{bad}");
    }
    // The worker has ended, the agent waits for an answer.
    am.script().silent_on = "exited";
    fs::write(&go, "go\n").unwrap();
    am.wait_for("the end", |script| script.ends > 0);
    let piece = answer(ask(11, "stdout", 11, 100));
    assert_eq!((&piece.data[..], piece.over), (&b"more\n"[..], true));
    drop(agent);
}

#[test]
fn an_agent_without_credentials_says_so() {
    let room = tempfile::tempdir().unwrap();
    let tokens = room.path().join("tokens");
    fs::write(&tokens, "no tokens").unwrap();
    let agent = || {
        let mut command = forebay_tests::forebay(["agent"]);
        command.env("CONTAINER_ID", "container_1_0001_01_000002").env("HADOOP_TOKEN_FILE_LOCATION", &tokens);
        command
    };
    let output = agent().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = forebay_tests::said(&output);
    assert!(
        said.contains("credentials") && said.contains("forebay submit") && said.contains("HDTS"),
        "{said}"
    );
    // One that a `forebay run` has started in a container reads what it is told.
    let output = agent().env("FOREBAY_RANK", "0").output().unwrap();
    assert!(forebay_tests::said(&output).contains("forebay run"));
}
