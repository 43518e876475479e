//! What a cluster does to jobs, and jobs to each other: containers that are killed for their memory, queues that are full, nodes
//! with labels and GPUs, clients and applications that are killed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;
mod yarn;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use forebay_fixtures::{Yarn, YarnOptions};
use forebay_tests::said;
use rustix::process::Signal;
use serde_json::Value;
use support::{Gate, Room, Running, arg, code};
use yarn::{Me, stdout, wait_for};

/// How long a job may take on a machine that does much else.
const PATIENCE: Duration = Duration::from_mins(4);
/// Of queue `narrow`: a fifth of the node without a label.
const NARROW_MIB: u32 = 819;

/// Two nodes, the second with a label, each with a GPU; and a queue that is soon full.
fn cluster() -> Arc<Yarn> {
    static CLUSTER: Mutex<Weak<Yarn>> = Mutex::new(Weak::new());
    let mut slot = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
    slot.upgrade().unwrap_or_else(|| {
        let masters = "yarn.scheduler.capacity.root.narrow.maximum-am-resource-percent";
        let options = YarnOptions {
            nm_vcores: 32,
            gpus_per_node: 1,
            labels: vec![("fast".to_owned(), 1)],
            queues: vec![("default".to_owned(), 80, 100), ("narrow".to_owned(), 20, 20)],
            capacity_properties: vec![(masters.to_owned(), "1.0".to_owned())],
            ..YarnOptions::default()
        };
        let cluster = Arc::new(Yarn::start(&options).unwrap());
        *slot = Arc::downgrade(&cluster);
        cluster
    })
}

/// A user with an input and gates of their own.
fn me(user: &'static str) -> (Me, Vec<u8>) {
    let room = Room::new();
    room.file("home/.keep", "");
    let me = Me { cluster: cluster(), user, room };
    let input = me.input();
    (me, input)
}

/// `forebay submit` of a command over the input; its worker's memory is among the `args`, or is little.
fn submit(me: &Me, args: &[&str], command: &[&str]) -> Command {
    let input = me.input_path();
    let mut submit = me.forebay(["submit", "--input", &input, "--split-size", "64K"]);
    if !args.contains(&"--worker-memory") {
        submit.args(["--worker-memory", "128M"]);
    }
    submit.args(args).arg("--").args(command);
    submit
}

/// A job that is followed by its client, and what that says, line by line.
struct Followed {
    id: String,
    client: Running,
    lines: Receiver<(Instant, Value)>,
    said: Vec<Value>,
}

impl Followed {
    fn start(me: &Me, args: &[&str], command: &[&str]) -> Self {
        let args = [args, &["--json"]].concat();
        let mut client = Running::start(submit(me, &args, command));
        let stderr = BufReader::new(client.child().stderr.take().unwrap());
        let (send, lines) = channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if send.send((Instant::now(), line)).is_err() {
                    return;
                }
            }
        });
        let mut job = Self { id: String::new(), client, lines, said: Vec::new() };
        let (_, submitted) = job.until("its id", |line| line["event"] == "submitted");
        submitted["application"].as_str().unwrap().clone_into(&mut job.id);
        job
    }

    /// The next line that is meant, and when it was said.
    fn until(&mut self, what: &str, is_meant: impl Fn(&Value) -> bool) -> (Instant, Value) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let Ok((at, line)) = line else { panic!("{what} was not said: {:#?}", self.said) };
            self.said.push(line.clone());
            if is_meant(&line) {
                return (at, line);
            }
        }
    }

    /// The next line with these words, and when it was said.
    fn says(&mut self, words: &str) -> (Instant, String) {
        let (at, line) =
            self.until(words, |line| line["text"].as_str().is_some_and(|text| text.contains(words)));
        (at, line["text"].as_str().unwrap().to_owned())
    }

    /// The job's end as it is told, which must come, and the exit status.
    fn end(mut self) -> (Value, i32) {
        let (_, end) = self.until("the end", |line| line["event"] == "finished");
        (end, self.client.status().code().unwrap())
    }

    /// The same where it is to end well.
    fn ends_well(self) {
        let (end, status) = self.end();
        assert_eq!((&end["verdict"]["verdict"], status), (&"succeeded".into(), 0), "{end:#}");
    }
}

/// The processes of the application's containers on the `i`th node, or on all, by name.
fn processes(me: &Me, id: &str, node: Option<usize>) -> Vec<String> {
    let number = id.trim_start_matches("application_");
    let containers = me.cluster.container_pids(node);
    let ours = containers.iter().filter(|(container, _)| container.contains(number));
    // One that is gone by now has no name.
    ours.flat_map(|(_, pids)| pids)
        .filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok())
        .map(|name| name.trim_end().to_owned())
        .collect()
}

/// Lines, sorted.
fn sorted(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<_> = bytes.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    lines.sort_unstable();
    lines
}

/// All that was committed to an output of the user's, and nothing else is there.
fn output(me: &Me, name: &str) -> Vec<u8> {
    let files = me.cluster.hdfs().list(&format!("/user/{}/{name}", me.user)).unwrap();
    let (parts, others): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.contains("/part-"));
    assert!(matches!(others[..], [success] if success.ends_with("/_SUCCESS")), "{files:?}");
    parts.into_iter().flat_map(|file| me.cluster.hdfs().read(file).unwrap().to_vec()).collect()
}

fn assert_nothing_left(me: &Me, id: &str, name: &str) {
    let left = me.cluster.hdfs().list(&format!("/user/{}/{name}", me.user)).unwrap();
    assert!(left.is_empty(), "{left:?}");
    assert!(me.stat(&me.forebay_folder(&format!("staging/{id}"))).is_none(), "staging stays");
    wait_for("containers to go", || processes(me, id, None).is_empty());
}

/// Holds 560 MiB: until it is ended in its first attempt, for some looks at its memory in the next.
const HOLDS: &str = "cat >/dev/null; \
    { head -c 560M /dev/zero; if [ $FOREBAY_ATTEMPT = $ENDED ]; then sleep 600; else sleep 3; fi; } | tail -n 1 | wc -c";

#[test]
fn memory_beyond_the_container_is_told_with_figures_and_fails_the_job_in_the_end() {
    let (me, _) = me("greedy");
    let script = HOLDS.replace("[ $FOREBAY_ATTEMPT = $ENDED ]", "true");
    let args =
        ["--worker-memory", "400M", "--max-restarts", "1", "--output", "out", "--output-mode", "stream"];
    let mut job = Followed::start(&me, &args, &["sh", "-c", &script]);
    for _ in 0..2 {
        let holds = || processes(&me, &job.id, None).iter().any(|name| name == "tail");
        wait_for("a worker that holds memory", holds);
        wait_for("its kill", || !holds());
        let killed = Instant::now();
        let (at, text) = job.says("used more memory than it had");
        for words in ["it used ", " MiB of 576 MiB physical memory", "--worker-memory", "--grow-memory"] {
            assert!(text.contains(words), "{words:?} is not in {text}");
        }
        println!("the reason was shown {:?} after the kill", at.saturating_duration_since(killed));
    }
    let id = job.id.clone();
    let (end, status) = job.end();
    let why = end["verdict"]["why"].as_str().unwrap_or_default();
    assert_eq!(status, 1, "{end}");
    for words in ["of 576 MiB physical memory", "after 1 restart"] {
        assert!(why.contains(words), "{words:?} is not in {end:#}");
    }
    let page = stdout(&support::run(me.forebay(["status", &id])));
    assert!(page.contains("of 576 MiB physical memory"), "{page}");
    assert_nothing_left(&me, &id, "out");
}

#[test]
fn a_worker_that_may_grow_is_given_more_memory_and_ends_well() {
    let (me, _) = me("growing");
    let script = HOLDS.replace("$ENDED", "1");
    let args = ["--worker-memory", "400M", "--grow-memory", "--output", "out", "--output-mode", "stream"];
    let mut job = Followed::start(&me, &args, &["sh", "-c", &script]);
    job.says("used more memory than it had");
    job.ends_well();
    assert_eq!(output(&me, "out"), format!("{}\n", 560 << 20).into_bytes());
}

#[test]
fn a_full_queue_fails_a_job_in_time_and_lets_it_in_when_there_is_room() {
    let (me, input) = me("waiting");
    let hog = me.cluster.submit("exec sleep 600", 448, "narrow").unwrap();
    wait_for("the queue to be full", || me.cluster.application(&hog).unwrap()["state"] == "ACCEPTED");
    wait_for("its process", || processes(&me, &hog, None).iter().any(|name| name == "sleep"));
    let args = ["--queue", "narrow", "--output", "out", "--output-mode", "stream"];
    let job = Followed::start(&me, &[&args[..], &["--wait-timeout", "10s"]].concat(), &["cat"]);
    let id = job.id.clone();
    let (end, status) = job.end();
    let why = end["verdict"]["why"].as_str().unwrap_or_default();
    assert_eq!(status, 1, "{end:#}");
    let room = format!("room for {} MiB", (NARROW_MIB - 448 - 256) / 64 * 64);
    let queue = format!("queue {}", me.cluster.queue("narrow"));
    for words in ["within 10 s (--wait-timeout)", "256 MiB", &queue, &room] {
        assert!(why.contains(words), "{words:?} is not in {why:?}");
    }
    assert_nothing_left(&me, &id, "out");

    let mut job = Followed::start(&me, &args, &["cat"]);
    job.until("what is waited for", |line| {
        line["cluster"]["waiting_for"].as_str().is_some_and(|why| why.contains(&queue))
    });
    let page = stdout(&support::run(me.forebay(["status", &job.id])));
    assert!(page.contains(&queue), "{page}");
    me.cluster.kill_application(&hog).unwrap();
    job.ends_well();
    assert_eq!(sorted(&output(&me, "out")), sorted(&input));
}

#[test]
fn a_command_that_is_in_no_container_fails_the_job_at_once() {
    let (me, _) = me("typist");
    let args = ["--workers", "2", "--output", "out"];
    let job = Followed::start(&me, &args, &["no-such-command"]);
    let id = job.id.clone();
    let (end, status) = job.end();
    assert_eq!(status, 127, "{end:#}");
    let why = end["verdict"]["why"].as_str().unwrap_or_default();
    for words in ["no-such-command", "No such file", "--files"] {
        assert!(why.contains(words), "{words:?} is not in {end:#}");
    }
    let workers = end["state"]["workers"].as_array().unwrap();
    assert!(workers.iter().all(|worker| worker["restarts"] == 0 && worker["attempt"] == 1), "{workers:#?}");
    assert_nothing_left(&me, &id, "out");
}

#[test]
fn jobs_beside_each_other_are_exact_and_one_output_is_won_by_one() {
    let (me, input) = me("twice");
    let stream = ["--output-mode", "stream", "--output"];
    let mut gates = ["a", "b"].map(|name| Gate::new(&me.room, name));
    let jobs = ["a", "b"].map(|name| {
        let script = format!("read go < {}; exec cat", arg(&me.room.path(name)));
        Followed::start(&me, &[&stream[..], &[name]].concat(), &["sh", "-c", &script])
    });
    for job in &jobs {
        wait_for("both at once", || processes(&me, &job.id, None).iter().any(|name| name == "sh"));
    }
    gates.iter_mut().for_each(Gate::open);
    for job in jobs {
        job.ends_well();
    }
    for name in ["a", "b"] {
        assert_eq!(sorted(&output(&me, name)), sorted(&input), "{name}");
    }

    let rivals: Vec<_> =
        (0..2).map(|_| Running::start(submit(&me, &[&stream[..], &["one"]].concat(), &["cat"]))).collect();
    let ends: Vec<_> = rivals.into_iter().map(Running::output).collect();
    let (won, lost): (Vec<_>, Vec<_>) = ends.iter().partition(|end| code(end) == 0);
    assert_eq!(won.len(), 1, "{ends:?}");
    assert!(said(lost[0]).contains("/user/twice/one"), "{}", said(lost[0]));
    assert_eq!(sorted(&output(&me, "one")), sorted(&input));
    let left = me.cluster.hdfs().list(&me.forebay_folder("staging")).unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_job_goes_on_without_its_client_and_can_be_followed_again() {
    let (me, input) = me("leaver");
    let mut gate = Gate::new(&me.room, "gate");
    let script = format!("read go < {}; exec cat", arg(&me.room.path("gate")));
    let args = ["--output", "out", "--output-mode", "stream"];
    let job = Followed::start(&me, &args, &["sh", "-c", &script]);
    wait_for("the worker", || processes(&me, &job.id, None).iter().any(|name| name == "sh"));
    job.client.signal(Signal::KILL);
    let Followed { id, client, .. } = job;
    assert_eq!(client.status().code(), None);
    let attached = Running::start(me.forebay(["attach", &id]));
    assert_eq!(me.cluster.application(&id).unwrap()["state"], "RUNNING");
    gate.open();
    let attached = attached.output();
    assert_eq!(code(&attached), 0, "{}", said(&attached));
    assert_eq!(sorted(&output(&me, "out")), sorted(&input));
    assert!(me.stat(&me.forebay_folder(&format!("staging/{id}"))).is_none(), "staging stays");
    let after = support::run(me.forebay(["attach", &id]));
    assert_eq!(code(&after), 0, "{}", said(&after));
    assert!(said(&after).contains("the job succeeded"), "{}", said(&after));
}

#[test]
fn killed_jobs_leave_nothing_whoever_kills_them() {
    let (me, _) = me("killer");
    let _gate = Gate::new(&me.room, "gate");
    let script = format!("head -n 100; read go < {}; exec cat", arg(&me.room.path("gate")));
    let args = ["--workers", "2", "--output", "out", "--output-mode", "stream"];
    for by_yarn in [false, true] {
        let job = Followed::start(&me, &args, &["sh", "-c", &script]);
        let staged = |name: &str| {
            let files = me.cluster.hdfs().list("/user/killer/out").unwrap();
            files.iter().any(|file| file.contains("_temporary") && file.contains(name))
        };
        wait_for("workers with some output", || staged("0.1") && staged("1.1"));
        let mut kill = if by_yarn {
            let client = "org.apache.hadoop.yarn.client.cli.ApplicationCLI";
            me.cluster.java(client, ["application", "-kill", &job.id])
        } else {
            me.forebay(["kill", &job.id])
        };
        let killed = Running::start(kill.stdin(Stdio::null())).output();
        assert_eq!(code(&killed), 0, "{}", said(&killed));
        let id = job.id.clone();
        let (end, status) = job.end();
        assert_eq!(status, 1, "{end:#}");
        assert!(end["verdict"]["verdict"] == "stopped", "{end:#}");
        let app = me.cluster.application(&id).unwrap();
        assert_eq!(app["finalStatus"], "KILLED", "{app:#}");
        assert_nothing_left(&me, &id, "out");
        let status = stdout(&support::run(me.forebay(["status", &id, "--json"])));
        let status: Value = serde_json::from_str(&status).unwrap();
        assert_eq!(status["condition"], "stopped", "{status:#}");
    }
}

#[test]
fn workers_get_the_nodes_and_gpus_that_they_ask_for() {
    let (me, input) = me("picky");
    let mut gate = Gate::new(&me.room, "gate");
    let script = format!("read go < {}; exec cat", arg(&me.room.path("gate")));
    let args = ["--node-label", "fast", "--worker-gpus", "1", "--output", "out", "--output-mode", "stream"];
    let job = Followed::start(&me, &args, &["sh", "-c", &script]);
    wait_for("the worker", || processes(&me, &job.id, Some(1)).iter().any(|name| name == "sh"));
    assert_eq!(processes(&me, &job.id, Some(0)), Vec::<String>::new());
    let nodes = me.cluster.rest("/ws/v1/cluster/nodes").unwrap();
    let nodes = nodes["nodes"]["node"].as_array().unwrap();
    let labelled = nodes.iter().find(|node| node["id"] == me.cluster.node_id(1).as_str()).unwrap();
    let used = labelled["usedResource"]["resourceInformations"]["resourceInformation"].as_array().unwrap();
    let gpus = used.iter().find(|resource| resource["name"] == "yarn.io/gpu").unwrap();
    assert_eq!(gpus["value"], 1, "{labelled:#}");
    gate.open();
    job.ends_well();
    assert_eq!(sorted(&output(&me, "out")), sorted(&input));

    // One node without a label, and one GPU there.
    let args = ["--workers", "2", "--worker-gpus", "1", "--wait-timeout", "30s"];
    let (end, status) = Followed::start(&me, &args, &["cat"]).end();
    let why = end["verdict"]["why"].as_str().unwrap_or_default();
    assert_eq!(status, 1, "{end:#}");
    for words in ["1 had a container", "yarn.io/gpu"] {
        assert!(why.contains(words), "{words:?} is not in {why:?}");
    }
}
