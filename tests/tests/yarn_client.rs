//! Jobs on a real YARN as their user sees them: followed to their end, looked at, ended.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;
mod yarn;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use forebay_tests::said;
use serde_json::Value;
use support::{code, run};
use yarn::{Me, stdout, wait_for};

/// Lines, sorted.
fn sorted(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<_> = bytes.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    lines.sort_unstable();
    lines
}

/// All that was committed to `/user/<user>/out`.
fn output(me: &Me) -> Vec<u8> {
    let folder = format!("/user/{}/out", me.user);
    let files = me.cluster.hdfs().list(&folder).unwrap();
    assert!(files.iter().any(|file| file.ends_with("/_SUCCESS")), "{files:?}");
    assert!(!files.iter().any(|file| file.contains("_temporary")), "{files:?}");
    let parts = files.iter().filter(|file| file.contains("/part-"));
    parts.flat_map(|file| me.cluster.hdfs().read(file).unwrap().to_vec()).collect()
}

const SCRIPT: &str = "echo worker $FOREBAY_RANK starts >&2; exec cat";

#[test]
fn a_job_is_followed_to_its_end_and_known_ever_after() {
    let me = Me::new("runner");
    let input = me.input();
    me.room.file("code/say.sh", SCRIPT);
    let mut submit = me.forebay([
        "submit",
        "--input",
        &me.input_path(),
        "--split-size",
        "64K",
        "--workers",
        "2",
        "--worker-memory",
        "128M",
        "--files",
        "code",
        "--output",
        "out",
        "--output-mode",
        "stream",
        "--json",
        "--",
        "sh",
        "code/say.sh",
    ]);
    let submitted = run(&mut submit);
    let events: Vec<Value> =
        said(&submitted).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(code(&submitted), 0, "{}", said(&submitted));
    let named = |name: &str| {
        events.iter().find(|event| event["event"] == name).unwrap_or_else(|| panic!("no {name}: {events:?}"))
    };
    let id = named("submitted")["application"].as_str().unwrap().to_owned();
    assert_eq!(named("finished")["exit"], 0);
    assert_eq!(named("finished")["state"]["units"]["done"], 5);
    assert_eq!(sorted(&output(&me)), sorted(&input));
    let app = me.cluster.application(&id).unwrap();
    assert_eq!((&app["state"], &app["finalStatus"]), (&"FINISHED".into(), &"SUCCEEDED".into()));
    assert!(me.stat(&me.forebay_folder(&format!("staging/{id}"))).is_none(), "staging stays");

    let status: Value = serde_json::from_slice(&run(me.forebay(["status", &id, "--json"])).stdout).unwrap();
    assert_eq!((&status["condition"], &status["units"]["done"]), (&"succeeded".into(), &5.into()));
    let list = stdout(&run(me.forebay(["list"])));
    assert!(list.contains(&id) && list.contains("succeeded") && list.contains("5/5"), "{list}");
    for rank in 0..2 {
        let logs = run(me.forebay(["logs", &id, "--worker", &rank.to_string(), "--stderr"]));
        assert_eq!(stdout(&logs), format!("worker {rank} starts\n"), "{}", said(&logs));
    }
    let followed = stdout(&run(me.forebay(["logs", &id, "--stderr", "--follow"])));
    assert!(followed.contains("0.1 stderr | worker 0 starts\n"), "{followed}");
    let attached = run(me.forebay(["attach", &id]));
    assert_eq!(code(&attached), 0, "{}", said(&attached));
    assert!(said(&attached).contains("the job succeeded"), "{}", said(&attached));
}

#[test]
fn a_job_that_fails_says_why_and_leaves_its_output_untouched() {
    let me = Me::new("failing");
    me.input();
    let failed = run(me.forebay([
        "submit",
        "--input",
        &me.input_path(),
        "--worker-memory",
        "128M",
        "--max-restarts",
        "0",
        "--output",
        "out",
        "--",
        "sh",
        "-c",
        "cat > /dev/null; echo it is broken >&2; exit 3",
    ]));
    let said = said(&failed);
    assert_eq!(code(&failed), 1, "{said}");
    for words in [
        "the job failed: ",
        "ended with status 3",
        "it is broken",
        "nothing was put into",
        "forebay logs application_",
    ] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    assert!(me.cluster.hdfs().list("/user/failing/out").unwrap().is_empty());
    assert!(me.cluster.hdfs().list(&me.forebay_folder("staging")).unwrap().is_empty());
}

#[test]
fn a_running_job_shows_its_logs_and_is_ended_by_its_application_master() {
    let me = Me::new("stopper");
    me.input();
    let mut submit = me.forebay([
        "submit",
        "--input",
        &me.input_path(),
        "--worker-memory",
        "128M",
        "--output",
        "out",
        "--",
        "sh",
        "-c",
        "echo at work >&2; exec sleep 600",
    ]);
    let submitted = submit.stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the application", || me.applications().iter().any(|app| app["state"] == "RUNNING"));
    let id = me.applications()[0]["id"].as_str().unwrap().to_owned();
    let mut logs = me.forebay(["logs", &id, "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(logs.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "0.1 stderr | at work");
    let status = stdout(&run(me.forebay(["status", &id])));
    assert!(status.contains("running") && status.contains("worker 0 (attempt 1)"), "{status}");
    let killed = run(me.forebay(["kill", &id]));
    assert_eq!(code(&killed), 0, "{}", said(&killed));
    assert!(said(&killed).contains("ended by its application master"), "{}", said(&killed));
    let followed = submitted.wait_with_output().unwrap();
    assert_eq!(followed.status.code(), Some(1), "{}", said(&followed));
    for words in ["the job was ended", "stopper asked for it with forebay kill"] {
        assert!(said(&followed).contains(words), "{words:?} is not in {}", said(&followed));
    }
    assert!(logs.wait().unwrap().success());
    assert!(lines.all(|line| !line.unwrap().is_empty()));
    assert!(me.stat("/user/stopper/out").is_none(), "the output is touched");
    assert!(me.cluster.hdfs().list(&me.forebay_folder("staging")).unwrap().is_empty());
}
