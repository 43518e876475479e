//! An agent on a real HDFS: its input, its downloads, its output.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::fs;
use std::time::Duration;

use forebay_fixtures::{Hdfs, HdfsOptions};
use forebay_output::{OutputDir, State};
use forebay_protocol::v1;
use forebay_store::{Address, Clusters};
use support::container::Yarn;
use support::{Played, Running, text, wait_until_gone};
use tokio::runtime::Runtime;

const JOB: &str = "job_20200101_000000_abcd";

fn split(hdfs: &Hdfs, path: &str, len: u64, unit: u64, start: u64, end: u64) -> v1::Split {
    let file =
        v1::File { address: format!("{}{path}", hdfs.uri()), len, split_size: 1 << 20, identity: None };
    v1::Split { unit, file: Some(file), start, end, skip: None }
}

fn splits(hdfs: &Hdfs, path: &str, content: &[u8]) -> Vec<v1::Split> {
    hdfs.write(path, content.to_vec(), Some(1 << 20)).unwrap();
    let len = content.len() as u64;
    let starts = (0..len).step_by(1 << 20).zip(0..);
    starts.map(|(start, unit)| split(hdfs, path, len, unit, start, (start + (1 << 20)).min(len))).collect()
}

fn agent(am: &Played, hdfs: &Hdfs, number: u32) -> Running {
    am.agent_with(number, &[("HADOOP_CONF_DIR", hdfs.conf_dir())])
}

/// Begins an output path as the application master does, for this played job.
fn begin_output(am: &Played, hdfs: &Hdfs, path: &str) {
    let runtime = Runtime::new().unwrap();
    let clusters = Clusters::new(Duration::from_secs(30), runtime.handle().clone());
    let address = format!("{}{path}", hdfs.uri());
    let output = OutputDir::open(&Address::parse(address.as_ref()).unwrap(), JOB, &clusters).unwrap();
    assert_eq!(runtime.block_on(output.begin()).unwrap(), State::Open);
    am.output(&address, "");
}

#[test]
fn input_and_output_on_hdfs() {
    let hdfs = Hdfs::start(&HdfsOptions { block_size: 1 << 20, ..Default::default() }).unwrap();
    let content = text(5_000_000);

    // Streamed both ways.
    let am = Played::sh("cat", "output-mode = 'stream'");
    begin_output(&am, &hdfs, "/streamed");
    am.script().splits = splits(&hdfs, "/in/data", &content).into();
    assert_eq!(agent(&am, &hdfs, 1).status(), Some(0));
    let part = hdfs.read(&format!("/streamed/_temporary/{JOB}/0.1/part-00000")).unwrap();
    assert!(part == content, "{} bytes of {}", part.len(), content.len());
    assert!(am.script().exited.clone().unwrap().position.unwrap().complete);
    assert_eq!(am.script().staged.clone().unwrap().manifests.len(), 1);

    // Downloaded and uploaded.
    let am = Played::sh("cp in/data output/copy", "input-mode = 'download'");
    begin_output(&am, &hdfs, "/uploaded");
    let file = v1::File {
        address: format!("{}/in/data", hdfs.uri()),
        len: content.len() as u64,
        split_size: 1 << 20,
        identity: None,
    };
    am.script().files = vec![v1::StaticFile { unit: 0, file: Some(file), alias: "in".into() }];
    assert_eq!(agent(&am, &hdfs, 1).status(), Some(0));
    let copy = hdfs.read(&format!("/uploaded/_temporary/{JOB}/0.1/copy")).unwrap();
    assert!(copy == content, "{} bytes of {}", copy.len(), content.len());

    // An upload that fails while the worker writes: it is ended, and the attempt fails.
    let am = Played::sh("echo $$ > ../../../../pids; exec yes", "output-mode = 'stream'\nhdfs-timeout = 3");
    begin_output(&am, &hdfs, "/failing");
    let agent = agent(&am, &hdfs, 1);
    let pids = am.pids("pids", 1);
    hdfs.namenode().kill();
    hdfs.datanode(0).kill();
    assert_eq!(agent.status(), Some(1));
    wait_until_gone(&pids);
    let failed = am.script().failed.clone().unwrap();
    assert!(failed.reason.contains("/failing"), "{}", failed.reason);
    assert!(fs::exists(am.folder(0, 1).stderr()).unwrap());
}

#[test]
fn a_container_finds_the_next_application_master_and_leaves_its_logs_on_hdfs() {
    let hdfs = Hdfs::start(&HdfsOptions { block_size: 1 << 20, ..Default::default() }).unwrap();
    let am = Played::sh("echo begun >&2; cat; echo failing >&2; exit 3", "");
    let content = text(3_000_000);
    let mut splits = splits(&hdfs, "/in/data", &content);
    let rest = splits.split_off(1);
    am.script().splits = splits.into();
    am.script().holds_end = true;
    let mut yarn = Yarn::new(&am);
    yarn.history = format!("{}/user/u/.forebay/jobs/application_1_0001", hdfs.uri());
    yarn.am_file = format!("{}/am.json", yarn.history);
    yarn.conf_dir = Some(hdfs.conf_dir().to_owned());
    let file = "/user/u/.forebay/jobs/application_1_0001/am.json";
    let publish = |attempt, address: &str| {
        hdfs.write(file, Yarn::am_json(attempt, address).into_bytes(), None).unwrap();
    };
    let first = yarn.master(1);
    publish(1, &first.address);
    let agent = yarn.start(0, 2, &first.address);
    am.wait_for("the feed", |script| script.position.consumed > 0);
    first.kill();
    let second = yarn.master(2);
    publish(2, &second.address);
    am.wait_for("the agent to come back", |script| !script.rejoins.is_empty());
    am.script().splits = rest.into();
    am.script().holds_end = false;
    assert_eq!(agent.status(), Some(0));
    let exited = am.script().exited.clone().unwrap();
    assert_eq!(exited.status, 3);
    let logs = "/user/u/.forebay/jobs/application_1_0001/logs/0/2";
    assert!(hdfs.read(&format!("{logs}/stdout")).unwrap() == content);
    assert_eq!(&hdfs.read(&format!("{logs}/stderr")).unwrap()[..], b"begun\nfailing\n");
    // As far as it was when the worker's end was told.
    let log = fs::read(yarn.log(0, 2, "agent.log")).unwrap();
    let kept = hdfs.read(&format!("{logs}/agent.log")).unwrap();
    assert!(!kept.is_empty() && log.starts_with(&kept));
    let notes = [&am.script().notes[..], &exited.progress.unwrap().notes].concat();
    assert!(!notes.iter().any(|note| note.contains("history")), "{notes:?}");

    // An HDFS that is away costs the logs, not the attempt.
    let am = Played::sh("echo said; exit 4", "");
    let mut yarn = Yarn::new(&am);
    yarn.history = format!("{}/user/u/.forebay/jobs/application_1_0002", hdfs.uri());
    yarn.conf_dir = Some(hdfs.conf_dir().to_owned());
    hdfs.namenode().kill();
    let master = yarn.master(1);
    assert_eq!(yarn.start(0, 1, &master.address).status(), Some(0));
    let exited = am.script().exited.clone().unwrap();
    let notes = exited.progress.unwrap().notes;
    assert!(exited.status == 4 && notes.iter().any(|note| note.contains("history")), "{notes:?}");
}
