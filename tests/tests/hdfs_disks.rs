//! What a DataNode has stored is taken away while it is fed, for good or for a while.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod cluster;

use std::fs;
use std::path::PathBuf;

use cluster::{Cluster, SlowFeed, numbered};
use forebay_fixtures::HdfsOptions;
use forebay_tests::said;

const MIB: usize = 1 << 20;
/// More than can be opened ahead, so that many blocks are asked for after the fault.
const LEN: usize = 160 * MIB;

fn start(datanodes: usize) -> Cluster {
    Cluster::start(&HdfsOptions { datanodes, block_size: MIB as u64, ..HdfsOptions::default() }).unwrap()
}

/// Removes all blocks that a DataNode has stored.
fn remove_blocks(hdfs: &Cluster, datanode: usize) {
    let pools = fs::read_dir(hdfs.data_dir(datanode).join("current")).unwrap();
    let pools: Vec<PathBuf> = pools.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    assert_eq!(pools.len(), 1, "{pools:?}");
    fs::remove_dir_all(pools[0].join("current/finalized")).unwrap();
}

#[test]
fn blocks_removed_under_a_datanode_come_from_the_other_replica() {
    let hdfs = start(2);
    let bytes = numbered(LEN);
    hdfs.write("/in", bytes.clone(), None).unwrap();
    let mut feed = SlowFeed::start(&hdfs, &["hdfs:///in"]);
    feed.read(8 * MIB);
    remove_blocks(&hdfs, 0);
    let report = feed.finish_with(&bytes);
    let local = report["local_bytes"].as_u64().unwrap();
    let refused = report["remote_bytes"]["refused"].as_u64().unwrap_or(0);
    assert!(local >= 8 * MIB as u64 && refused > 0, "{report}");
}

#[test]
fn blocks_removed_under_the_only_datanode_fail_the_feed_naming_the_file() {
    let hdfs = start(1);
    let bytes = numbered(LEN);
    hdfs.write("/in", bytes.clone(), None).unwrap();
    let mut feed = SlowFeed::start(&hdfs, &["hdfs:///in", "--hdfs-timeout", "3"]);
    feed.read(8 * MIB);
    remove_blocks(&hdfs, 0);
    let (got, output, report) = feed.finish();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("cannot read") && text.contains("/in") && text.contains("gave up after"), "{text}");
    assert!(bytes.starts_with(&got), "other bytes than stored");
    assert_eq!(report["outcome"], "failed");
}

#[test]
fn the_only_datanode_restarted_midway_is_waited_for() {
    let hdfs = start(1);
    let bytes = numbered(LEN);
    hdfs.write("/in", bytes.clone(), None).unwrap();
    let mut feed = SlowFeed::start(&hdfs, &["hdfs:///in", "--hdfs-timeout", "90"]);
    feed.read(8 * MIB);
    hdfs.datanode(0).kill();
    // What is in the pipe; the rest has to wait, since replicas of a dead DataNode are not trusted.
    feed.read(MIB / 2);
    hdfs.datanode(0).start().unwrap();
    let report = feed.finish_with(&bytes);
    assert!(report["local_bytes"].as_u64().unwrap() > 8 * MIB as u64, "{report}");
    assert!(!report["remote_bytes"].as_object().unwrap().is_empty(), "{report}");
}
