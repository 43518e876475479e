//! Submitting to a real YARN: what is refused before anything is changed, what is put where and for whom, and that what does
//! not come to be leaves nothing.
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
use yarn::{Me, interrupt, stdout, wait_for};

#[test]
fn a_dry_run_tells_all_and_changes_nothing() {
    let me = Me::new("dry");
    let bytes = me.input().len();
    me.room.file("code/a.py", "12345");
    me.room.file("model.bin", "123");
    let args = [
        "--dry-run",
        "--workers",
        "3",
        "--worker-memory",
        "1000M",
        "--files",
        "code,model.bin#m",
        "--output",
        "out",
    ];
    let output = run(me.submit(&[&args[..], &["--json"]].concat()));
    assert_eq!(code(&output), 0, "{}", said(&output));
    let dry: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&dry["splits"], &dry["bytes"], &dry["files"]), (&5.into(), &bytes.into(), &1.into()));
    assert_eq!(dry["hosts"][0]["bytes"], bytes, "{dry}");
    assert_eq!(dry["hosts"][0]["has_node"], true, "{dry}");
    assert_eq!(dry["remote_bytes"], 0);
    assert_eq!(dry["worker"]["asked"]["memory_mib"], 1128);
    assert_eq!(dry["worker"]["rounded"]["memory_mib"], 2048, "by the step that this configuration has");
    assert_eq!(dry["outputs"][0], format!("{}/user/dry/out", me.cluster.hdfs().uri()));
    let uploads: Vec<_> =
        dry["uploads"].as_array().unwrap().iter().map(|upload| upload["path"].as_str().unwrap()).collect();
    for path in [
        "forebay",
        "conf/core-site.xml",
        "conf/hdfs-site.xml",
        "conf/yarn-site.xml",
        "files/0/code.tar.gz",
        "files/1/model.bin",
    ] {
        assert!(uploads.contains(&path), "{path} is not among {uploads:?}");
    }
    let output = run(me.submit(&args));
    let page = stdout(&output);
    for words in [
        "307.24 kB",
        "5 splits",
        "on 127.0.0.1",
        "each of 3 workers",
        "1128 MiB",
        "files/0/code.tar.gz (5 B)",
    ] {
        assert!(page.contains(words), "{words:?} is not in {page}");
    }
    me.assert_untouched();
    assert!(me.stat(&me.forebay_folder("")).is_none() && me.stat("/user/dry/out").is_none());
}

#[test]
fn what_cannot_be_is_refused_and_nothing_is_changed() {
    let me = Me::new("refused");
    me.input();
    me.cluster.hdfs().write("/user/refused/full/x", "x", None).unwrap();
    me.room.file("code/in", "");
    std::os::unix::fs::symlink("/etc/passwd", me.room.path("code/out")).unwrap();
    for (args, words) in [
        (&["--queue", "nope"][..], &["no queue 'nope'", "yarn queue"][..]),
        (&["--queue", "root"], &["root", "default, closed, tiny"]),
        (&["--queue", "closed"], &["closed", "stopped"]),
        (&["--node-label", "slow"], &["no node label 'slow'", "fast"]),
        (&["--worker-memory", "5G"], &["5248 MiB", "a worker's container", "4096 MiB", "8 cores"]),
        (&["--worker-cores", "9"], &["9 cores", "8 cores"]),
        (&["--am-memory", "5G"], &["application master", "5120 MiB", "4096 MiB"]),
        (&["--worker-gpus", "2"], &["2 GPUs", "1 GPU"]),
        (&["--input", "file:///etc/passwd"], &["file:///etc/passwd", "forebay run"]),
        (&["--input", "nothing/here"], &["/user/refused/nothing/here"]),
        (&["--output", "file:/tmp/x"], &["file:/tmp/x", "on this machine"]),
        (&["--output", "full"], &["/user/refused/full", "x"]),
        (&["--files", "code"], &["code/out", "/etc/passwd", "outside"]),
        (&["--files", "missing.py"], &["missing.py", "No such file"]),
        (&["--files", "code/in#forebay"], &["'forebay'", "with #"]),
        (&["--cache-file", "/nothing#x"], &["/nothing", "no such file"]),
        (&["--cache-file", "/user/refused/full#x"], &["full", "folder"]),
        (&["--archives", "code/in"], &["code/in", ".tar.gz"]),
    ] {
        me.refused(args, words);
    }
    let mut homeless = me.submit(&[]);
    homeless.env_remove("HADOOP_CONF_DIR");
    let output = run(homeless);
    assert_eq!(code(&output), 2);
    assert!(said(&output).contains("HADOOP_CONF_DIR is not set"), "{}", said(&output));
    me.assert_untouched();
    assert_eq!(me.cluster.hdfs().list("/user/refused/full").unwrap().len(), 1);
}

#[test]
fn a_job_that_waits_is_staged_for_its_user_alone_and_can_be_looked_at_left_and_ended() {
    let me = Me::new("owner");
    me.input();
    me.room.file("code/a.py", "12345");
    me.cluster.hdfs().write("/shared/model.tgz", "not looked at", None).unwrap();
    let output = run(me.submit(&[
        "--queue",
        "tiny",
        "--name",
        "waits",
        "--tags",
        "one,two",
        "--detach",
        "--output",
        "out",
        "--am-memory",
        "2G",
        "--files",
        "code#lib",
        "--cache-archive",
        "/shared/model.tgz#model",
    ]));
    assert_eq!(code(&output), 0, "{}", said(&output));
    let id = stdout(&output).trim_end().to_owned();
    assert!(id.starts_with("application_"), "{id}");
    let app = me.cluster.application(&id).unwrap();
    assert_eq!(
        (&app["state"], &app["applicationType"], &app["name"]),
        (&"ACCEPTED".into(), &"FOREBAY".into(), &"waits".into())
    );
    assert_eq!(app["applicationTags"], "one,two");
    let (staging, job) =
        (me.forebay_folder(&format!("staging/{id}")), me.forebay_folder(&format!("jobs/{id}")));
    for (path, mode) in [
        (me.forebay_folder("").trim_end_matches('/').to_owned(), 0o700),
        (me.forebay_folder("staging"), 0o700),
        (me.forebay_folder("jobs"), 0o700),
        (staging.clone(), 0o700),
        (format!("{staging}/forebay"), 0o700),
        (format!("{staging}/conf"), 0o700),
        (format!("{staging}/conf/yarn-site.xml"), 0o600),
        (format!("{staging}/files/0"), 0o700),
        (format!("{staging}/files/0/code.tar.gz"), 0o600),
        (format!("{staging}/channel.json"), 0o600),
        (job.clone(), 0o700),
        (format!("{job}/job.toml"), 0o600),
        (format!("{job}/plan.json"), 0o600),
        (format!("{job}/launch.json"), 0o600),
    ] {
        let found = me.stat(&path).unwrap_or_else(|| panic!("{path} is not there"));
        assert_eq!(format!("{:o}", found.permission), format!("{mode:o}"), "{path}");
        assert_eq!(found.owner, "owner", "{path}");
    }
    let read = |name: &str| me.cluster.hdfs().read(&format!("{job}/{name}")).unwrap();
    let plan: Value = serde_json::from_slice(&read("plan.json")).unwrap();
    assert_eq!((&plan["version"], &plan["job"]), (&2.into(), &id.clone().into()));
    assert_eq!(plan["located"]["units"].as_array().unwrap().len(), 2 * 5, "{plan}");
    let launch: Value = serde_json::from_slice(&read("launch.json")).unwrap();
    assert_eq!(launch["links"], serde_json::json!(["lib", "model"]));
    let secrets = me.cluster.hdfs().read(&format!("{staging}/channel.json")).unwrap();
    let secrets: Value = serde_json::from_slice(&secrets).unwrap();
    let token = secrets["token"].as_str().unwrap();
    for name in ["job.toml", "plan.json", "launch.json"] {
        assert!(!String::from_utf8_lossy(&read(name)).contains(token), "{name} has the token");
    }

    let status = run(me.forebay(["status", &id, "--json"]));
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(
        (&status["condition"], &status["application"]["state"]),
        (&"running".into(), &"accepted".into())
    );
    let page = stdout(&run(me.forebay(["status", &id])));
    assert!(page.contains("accepted") && page.contains("root.tiny") && page.contains(&job), "{page}");
    let list = stdout(&run(me.forebay(["list"])));
    assert!(list.contains(&id) && list.contains("waits"), "{list}");

    let mut attach = me.forebay(["attach", &id]);
    let mut attached = attach.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(attached.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("waits in queue root.tiny")), "it is not told what is waited for");
    interrupt(&attached);
    let rest = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(attached.wait().unwrap().code(), Some(130), "{rest}");
    for words in ["the job goes on", &format!("forebay kill {id}")] {
        assert!(rest.contains(words), "{words:?} is not in {rest}");
    }

    let kill = run(me.forebay(["kill", &id]));
    assert_eq!(code(&kill), 0, "{}", said(&kill));
    assert_eq!(me.cluster.application(&id).unwrap()["state"], "KILLED");
    assert!(me.stat(&staging).is_none(), "staging stays");
    assert!(me.stat(&format!("{job}/job.toml")).is_some(), "the job's folder is kept");
    assert!(me.stat("/user/owner/out").is_none(), "the output was touched");
    let status = run(me.forebay(["status", &id, "--json"]));
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["condition"], "stopped", "{status}");
    let again = run(me.forebay(["kill", &id]));
    assert_eq!((code(&again), said(&again).contains("was over already")), (0, true), "{}", said(&again));
    let attach = run(me.forebay(["attach", &id]));
    assert_eq!(code(&attach), 1);
    assert!(said(&attach).contains("killed"), "{}", said(&attach));
}

#[test]
fn a_job_that_yarn_kills_while_it_is_followed_leaves_nothing() {
    let me = Me::new("killed");
    me.input();
    let mut submit = me.submit(&["--queue", "tiny", "--am-memory", "2G", "--output", "out", "--json"]);
    let mut submitted = submit.stderr(Stdio::piped()).spawn().unwrap();
    let mut events = BufReader::new(submitted.stderr.take().unwrap())
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    // Killed sooner, it would be refused, and nothing would be followed.
    let mut seen = Vec::new();
    while seen.last().is_none_or(|event: &Value| event["event"] != "application") {
        seen.push(events.next().unwrap_or_else(|| panic!("no application is told of: {seen:?}")));
    }
    let id = me.applications()[0]["id"].as_str().unwrap().to_owned();
    me.cluster.kill_application(&id).unwrap();
    seen.extend(events);
    let names: Vec<_> = seen.iter().map(|event| event["event"].as_str().unwrap()).collect();
    for name in ["planned", "submitted", "application", "finished", "error"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    assert_eq!(submitted.wait().unwrap().code(), Some(1));
    assert!(me.stat(&me.forebay_folder(&format!("staging/{id}"))).is_none());
}

#[test]
fn a_submission_that_is_interrupted_or_fails_leaves_nothing() {
    // A cluster of its own: its DataNode is held.
    let cluster = Arc::new(Yarn::start(&YarnOptions { nodemanagers: 1, ..YarnOptions::default() }).unwrap());
    let room = Room::new();
    let me = Me { cluster, user: "short", room };
    me.input();
    let silent = me.cluster.hdfs().datanode(0).stop();
    let mut submit = me.submit(&["--hdfs-timeout", "60", "--output", "out"]);
    let submitted = submit.stderr(Stdio::piped()).spawn().unwrap();
    let staging = me.forebay_folder("staging");
    wait_for("something that is staged", || !me.cluster.hdfs().list(&staging).unwrap().is_empty());
    interrupt(&submitted);
    let output = submitted.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(said(&output).contains("nothing of it is left"), "{}", said(&output));
    me.assert_untouched();

    let output = run(me.submit(&["--hdfs-timeout", "5", "--output", "out"]));
    assert_eq!(code(&output), 1);
    // Several files are on their way at once, to two folders.
    let folders = [&staging, &me.forebay_folder("jobs")];
    assert!(folders.iter().any(|folder| said(&output).contains(*folder)), "{}", said(&output));
    me.assert_untouched();
    silent.cont();
}

#[test]
fn what_is_not_there_is_said() {
    let me = Me::new("nobody");
    let id = "application_1700000000000_0007";
    for args in [&["status", id][..], &["logs", id], &["kill", id], &["attach", id]] {
        let output = run(me.forebay(args));
        assert_eq!(code(&output), 2, "{args:?}: {}", said(&output));
        assert!(said(&output).contains(&format!("there is no job {id}")), "{args:?}: {}", said(&output));
    }
    assert_eq!(stdout(&run(me.forebay(["list"]))), "no jobs\n");
    let local = run(me.forebay(["attach", "job_20260102_030405_abcd"]));
    assert_eq!(code(&local), 2);
}
