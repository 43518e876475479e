//! An agent on a real HDFS: its input, its downloads, its output.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::fs;
use std::time::Duration;

use forebay_fixtures::{Hdfs, HdfsOptions};
use forebay_output::{OutputDir, State};
use forebay_protocol::v1;
use forebay_store::{Address, Clusters};
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
