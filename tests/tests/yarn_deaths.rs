//! Jobs on a real YARN of which processes die: workers, agents, application masters, and the cluster's own daemons. They are
//! submitted as a user would, and each must end well with every record in its output once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;
mod yarn;

use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use forebay_fixtures::{HadoopLine, HdfsOptions, Yarn, YarnOptions};
use serde_json::Value;
use support::{Room, text};
use tempfile::TempDir;
use yarn::Me;
use yarn::running::{Submitted, assert_exact, kill, names, patiently};

const SH: &[&str] = &["sh", "-c"];
const SPLITS: &str = "--split-size=32K";

/// A worker that keeps what it is fed: half at once, half when the test has made the file `go`. It tells when it waits
/// (`ready.<worker>.<attempt>`) and when it has had all (`fed.…`).
const GATED: &str = "head -c 60000 > output/got; : > $ROOM/ready.$INDEX.$FOREBAY_ATTEMPT; \
    until test -e $ROOM/go; do sleep 0.05; done; cat >> output/got; : > $ROOM/fed.$INDEX.$FOREBAY_ATTEMPT";

/// Two nodes with a DataNode each, every block on both. No container finds a Java.
struct Cluster {
    yarn: Arc<Yarn>,
    _programs: TempDir,
    /// Held for writing by tests that kill what all jobs need.
    quiet: RwLock<()>,
}

impl Cluster {
    fn start(options: YarnOptions) -> Self {
        let programs = without_java();
        let path = programs.path().to_str().unwrap().to_owned();
        let hdfs = HdfsOptions { datanodes: 2, separate_hosts: true, ..options.hdfs };
        let options =
            YarnOptions { hdfs, container_env: vec![("PATH".to_owned(), path)], max_attempts: 4, ..options };
        let yarn = Arc::new(Yarn::start(&options).unwrap());
        Self { yarn, _programs: programs, quiet: RwLock::new(()) }
    }

    fn user(&self, name: &'static str) -> Me {
        let room = Room::new();
        room.file("home/.keep", "");
        Me { cluster: Arc::clone(&self.yarn), user: name, room }
    }
}

impl Deref for Cluster {
    type Target = Yarn;

    fn deref(&self) -> &Yarn {
        &self.yarn
    }
}

/// The cluster that tests share. Whoever waits for his turn holds it already, so that it is started once.
fn shared() -> Arc<Cluster> {
    static CLUSTER: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut slot = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
    slot.upgrade().unwrap_or_else(|| {
        let cluster = Arc::new(Cluster::start(YarnOptions::default()));
        *slot = Arc::downgrade(&cluster);
        cluster
    })
}

/// A folder with all of the system's programs but those of Java.
fn without_java() -> TempDir {
    let folder = TempDir::new().unwrap();
    for bin in ["/usr/bin", "/bin"] {
        for entry in fs::read_dir(bin).unwrap().flatten() {
            let is_java = |path: &Path| path.components().any(|part| part.as_os_str() == "jvm");
            if entry.path().canonicalize().is_ok_and(|program| !is_java(&program)) {
                // The second `/bin` is often the first.
                let _ = std::os::unix::fs::symlink(entry.path(), folder.path().join(entry.file_name()));
            }
        }
    }
    let mut java = Command::new("sh");
    let found = java.args(["-c", "command -v java"]).env("PATH", folder.path()).output().unwrap();
    assert!(!found.status.success(), "there is a Java: {found:?}");
    folder
}

/// One MiB in blocks of 128 KiB.
fn input(me: &Me) -> Vec<u8> {
    put(me, text(1 << 20), 128 << 10)
}

fn put(me: &Me, bytes: Vec<u8>, block: u64) -> Vec<u8> {
    me.cluster.hdfs().write(&me.input_path(), bytes.clone(), Some(block)).unwrap();
    bytes
}

fn attempts(state: &Value) -> Vec<u64> {
    state["workers"].as_array().unwrap().iter().map(|worker| worker["attempt"].as_u64().unwrap()).collect()
}

#[test]
fn three_workers_share_a_file_where_there_is_no_java() {
    let cluster = shared();
    let _turn = cluster.quiet.read();
    share_a_file(&cluster.user("three"));
}

/// The other line that clusters run; all tests here run on it with `FOREBAY_TESTS=all`.
#[test]
fn three_workers_share_a_file_on_hadoop_3_3() {
    let hdfs = HdfsOptions { hadoop: Some(HadoopLine::V3_3), ..HdfsOptions::default() };
    let cluster = Cluster::start(YarnOptions { hdfs, ..YarnOptions::default() });
    share_a_file(&cluster.user("older"));
}

fn share_a_file(me: &Me) {
    let input = input(me);
    let programs = without_java();
    let worker = "if command -v java || test -n \"$JAVA_HOME$HADOOP_HOME\"; then exit 9; fi; cat > output/got; : > $ROOM/fed.$INDEX";
    let job = Submitted::with(me, &["--workers=3", SPLITS, "--output=out"], SH, worker, |client| {
        client.env("PATH", programs.path()).env_remove("JAVA_HOME").env_remove("HADOOP_HOME");
    });
    let state = job.succeed();
    assert_exact(me, &input, "out");
    assert_eq!(names(me, "fed.").len(), 3, "not all workers were there");
    assert_eq!(attempts(&state), [1, 1, 1]);
}

#[test]
fn a_worker_and_an_agent_killed_midway_are_replaced() {
    let cluster = shared();
    let _turn = cluster.quiet.read();
    let me = cluster.user("killed");
    let input = input(&me);
    // The worker's parent is its guard, whose parent is the agent.
    let worker = "head -c 60000 > output/got; case $INDEX.$FOREBAY_ATTEMPT in 0.1) kill -9 $$ ;; \
        1.1) kill -9 $(cut -d ' ' -f 4 /proc/$PPID/stat); sleep 1000; echo bad >> output/got ;; esac; cat >> output/got";
    let job = Submitted::new(&me, &["--workers=3", SPLITS, "--output=out"], SH, worker);
    let state = job.succeed();
    assert_exact(&me, &input, "out");
    assert_eq!(attempts(&state), [2, 2, 1]);
    let failure = |worker: usize| state["workers"][worker]["failure"].to_string();
    assert!(failure(0).contains("killed by signal 9"), "{}", failure(0));
    assert!(failure(1).contains("signal 9"), "{}", failure(1));
    assert!(state["fed_again"].as_u64().unwrap() > 0, "{state}");
}

/// The ResourceManager is stopped while the application master is killed, so there surely is none while the workers are fed on:
/// more than their pipes hold, and less than what an agent holds ahead, which is a sixth of what is left where two share it. They
/// are slow until there is another application master, so that enough is left.
#[test]
fn an_application_master_killed_midway_is_replaced_and_the_feed_goes_on() {
    const BEFORE: u64 = 3 << 19;
    const WITHOUT: u64 = 2 << 20;
    let cluster = shared();
    let _turn = cluster.quiet.write();
    let me = cluster.user("master");
    let line = "x".repeat(1000);
    let all = (0..32 << 10).flat_map(|n| format!("{n} {line}\n").into_bytes()).collect();
    let input = put(&me, all, 4 << 20);
    // About half a MiB in a second. Each line of its log: its process, bytes so far.
    let worker = "n=0; while head -c 131072 > chunk && test -s chunk; do cat chunk >> output/got; n=$((n + $(wc -c < chunk))); \
        echo $$ $n >> $ROOM/log.$INDEX.$FOREBAY_ATTEMPT; \
        test -e $ROOM/go || sleep 0.25; done";
    let options = ["--workers=2", "--split-size=256K", "--output=out"];
    let job = Submitted::new(&me, &options, SH, worker);
    let am = job.wait_for_am(1);
    let fed = || ["log.0.1", "log.1.1"].map(|name| Log::read(&me, name).bytes());
    job.wait_for("both workers to be fed", || fed().iter().all(|&bytes| bytes >= BEFORE));

    let silent = cluster.resourcemanager().stop();
    kill(am);
    let until = fed().map(|bytes| bytes + WITHOUT);
    patiently("workers to be fed without an application master", || {
        fed().iter().zip(&until).all(|(bytes, until)| bytes >= until)
    });
    silent.cont();
    job.wait_for("another application master", || job.am_attempt() == Some(2));
    me.room.file("go", "");

    let state = job.succeed();
    assert_exact(&me, &input, "out");
    assert_eq!(state["cluster"]["attempt"], 2, "{state}");
    assert_eq!(attempts(&state), [1, 1]);
    assert_eq!(names(&me, "log.").into_iter().collect::<Vec<_>>(), ["log.0.1", "log.1.1"]);
    for name in ["log.0.1", "log.1.1"] {
        let log = Log::read(&me, name);
        assert!(log.0.iter().all(|(pid, _)| *pid == log.0[0].0), "{name}: another process");
    }
}

/// What a worker has written down: its process, bytes so far.
struct Log(Vec<(u32, u64)>);

impl Log {
    fn read(me: &Me, name: &str) -> Self {
        let text = fs::read_to_string(me.room.path(name)).unwrap_or_default();
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let line = |line: &str| {
            let mut words = line.split_whitespace();
            let mut word = || words.next().unwrap();
            (word().parse().unwrap(), word().parse().unwrap())
        };
        Self(lines.map(line).collect())
    }

    fn bytes(&self) -> u64 {
        self.0.last().map_or(0, |(_, bytes)| *bytes)
    }
}

#[test]
fn an_application_master_killed_before_there_are_workers_is_replaced() {
    let cluster = shared();
    let _turn = cluster.quiet.read();
    let me = cluster.user("early");
    let input = input(&me);
    let job = Submitted::new(&me, &["--workers=2", SPLITS, "--output=out"], SH, "cat > output/got");
    kill(job.wait_for_am(1));
    let state = job.succeed();
    assert_exact(&me, &input, "out");
    assert_eq!(state["cluster"]["attempt"], 2, "{state}");
}

/// Once when one of two workers has staged its output, and once amid a commit: one output is in its place, another is not.
#[test]
fn an_application_master_killed_while_output_is_staged_and_committed_is_replaced() {
    let cluster = shared();
    let _turn = cluster.quiet.read();
    let me = cluster.user("commits");
    let input = input(&me);
    let outs: Vec<String> = (0..8).map(|n| format!("out{n}")).collect();
    let outputs: Vec<String> = outs.iter().map(|out| format!("--output={out}#{out}")).collect();
    let mut options = vec!["--workers=2", SPLITS];
    options.extend(outputs.iter().map(String::as_str));
    let worker = "cat > got; for out in out*; do cp got $out/; done; until test $INDEX = 0 -o -e $ROOM/go; do sleep 0.05; done";
    let job = Submitted::new(&me, &options, SH, worker);
    let am = job.wait_for_am(1);
    let home = |name: &str| format!("/user/{}/{name}", me.user);
    let staged = home(&format!("out7/_temporary/{}/0.1.staged", job.id));
    job.wait_for("a worker to stage", || me.stat(&staged).is_some());
    kill(am);
    let second = job.wait_for_am(2);
    me.room.file("go", "");
    // Moved there by its commit.
    job.wait_for("a part to be committed", || me.stat(&home("out0/0")).is_some());
    kill(second);
    assert!(me.stat(&home("out7/_SUCCESS")).is_none(), "the commit was over too soon for this test");
    let events = me.forebay_folder(&format!("jobs/{}/events.jsonl", job.id));
    let state = job.succeed();
    for out in &outs {
        assert_exact(&me, &input, out);
    }
    assert_eq!(state["cluster"]["attempt"], 3, "{state}");
    // Containers that had ended with an application master, or without one, are not waited for.
    let told = String::from_utf8(me.cluster.hdfs().read(&events).unwrap().to_vec()).unwrap();
    let story = |line: &str| serde_json::from_str::<Value>(line).unwrap()["event"].clone();
    let waited = told.lines().filter(|line| story(line) == "lingers" || story(line) == "left-behind");
    assert_eq!(waited.collect::<Vec<_>>(), [""; 0]);
}

/// All of them, while workers are being fed: these go on, and come to their end, before anybody looks after them again.
#[test]
fn nodemanagers_killed_and_started_again_find_their_containers() {
    let cluster = shared();
    let _turn = cluster.quiet.write();
    let me = cluster.user("nodes");
    let input = input(&me);
    let job = Submitted::new(&me, &["--workers=2", SPLITS, "--output=out"], SH, GATED);
    job.wait_for_files(&["ready.0.1", "ready.1.1"]);
    for node in 0..cluster.nodemanagers() {
        cluster.nodemanager(node).kill();
    }
    me.room.file("go", "");
    job.wait_for_files(&["fed.0.1", "fed.1.1"]);
    for node in 0..cluster.nodemanagers() {
        cluster.nodemanager(node).start().unwrap();
    }
    cluster.wait_ready().unwrap();
    let state = job.succeed();
    assert_exact(&me, &input, "out");
    assert_eq!((attempts(&state), &state["cluster"]["attempt"]), (vec![1, 1], &1.into()));
}

#[test]
fn the_replicas_of_a_datanode_killed_midway_are_read_elsewhere() {
    let cluster = shared();
    let _turn = cluster.quiet.write();
    let me = cluster.user("replicas");
    let input = input(&me);
    let job = Submitted::new(&me, &["--workers=2", SPLITS, "--output=out"], SH, GATED);
    job.wait_for_files(&["ready.0.1", "ready.1.1"]);
    cluster.hdfs().datanode(1).kill();
    me.room.file("go", "");
    let state = job.succeed();
    assert_exact(&me, &input, "out");
    assert_eq!((attempts(&state), &state["cluster"]["attempt"]), (vec![1, 1], &1.into()));
    cluster.hdfs().datanode(1).start().unwrap();
    cluster.wait_ready().unwrap();
}

/// Workers are fed to their end while there is no ResourceManager.
#[test]
fn a_resourcemanager_killed_and_started_again_finds_the_job() {
    let cluster = shared();
    let _turn = cluster.quiet.write();
    let me = cluster.user("manager");
    let input = input(&me);
    let job = Submitted::new(&me, &["--workers=2", SPLITS, "--output=out"], SH, GATED);
    job.wait_for_files(&["ready.0.1", "ready.1.1"]);
    cluster.resourcemanager().kill();
    me.room.file("go", "");
    job.wait_for_files(&["fed.0.1", "fed.1.1"]);
    cluster.resourcemanager().start().unwrap();
    cluster.wait_ready().unwrap();
    let state = job.succeed();
    assert_exact(&me, &input, "out");
    assert_eq!((attempts(&state), &state["cluster"]["attempt"]), (vec![1, 1], &1.into()));
}

/// On a cluster of its own, with two ResourceManagers, that gives up a silent node soon. Neither node has room for all
/// containers, so both have some.
#[test]
fn a_job_outlives_a_fail_over_and_the_loss_of_a_node() {
    let cluster = Cluster::start(YarnOptions {
        rm_ha: true,
        nm_expiry_ms: Some(20_000),
        nm_memory_mib: 768,
        ..YarnOptions::default()
    });
    let me = cluster.user("loses");
    let input = input(&me);
    let job = Submitted::new(&me, &["--workers=3", SPLITS, "--output=out"], SH, GATED);
    job.wait_for_files(&["ready.0.1", "ready.1.1", "ready.2.1"]);
    cluster.fail_over(0, 1).unwrap();
    cluster.wait_ready().unwrap();
    let lost = 1 - job.node_of_am(1);
    assert!(!cluster.container_pids(Some(lost)).is_empty());
    cluster.kill_node(lost);
    me.room.file("go", "");
    let state = job.succeed();
    assert_exact(&me, &input, "out");
    assert_eq!(state["cluster"]["attempt"], 1, "{state}");
    let again = state["workers"].as_array().unwrap().iter().filter(|worker| worker["attempt"] != 1);
    let why: Vec<String> = again.map(|worker| worker["failure"].to_string()).collect();
    // Whoever is quicker: YARN, or the application master that hears nothing of the agent for 30 s.
    let is_told = |why: &String| why.contains("lost") || why.contains("was not heard of for");
    assert!(!why.is_empty() && why.iter().all(is_told), "{why:?}");
}
