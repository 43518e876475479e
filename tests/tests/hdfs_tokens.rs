//! Block tokens that expire while a file is fed.

mod cluster;

use std::time::Duration;
use std::{fs, thread};

use cluster::{Cluster, SlowFeed, numbered, without_short_circuit};
use forebay_fixtures::HdfsOptions;
use serde_json::json;

const MIB: usize = 1 << 20;
const LIFETIME: Duration = Duration::from_secs(4);

/// Feeds far more than is opened or fetched ahead, and lets the tokens given at the beginning expire meanwhile.
fn feed_slowly(hdfs: &Cluster, conf_dir: &std::path::Path, bytes: &[u8]) -> serde_json::Value {
    let mut feed = SlowFeed::start_with(hdfs, &["hdfs:///in"], conf_dir);
    feed.read(MIB);
    thread::sleep(LIFETIME + Duration::from_secs(1));
    feed.finish_with(bytes)
}

#[test]
fn block_tokens_that_expire_midway_are_asked_for_anew() {
    let options = HdfsOptions {
        block_size: MIB as u64,
        block_token_lifetime_ms: Some(LIFETIME.as_millis().try_into().unwrap()),
        ..HdfsOptions::default()
    };
    let hdfs = Cluster::start(&options).unwrap();
    let bytes = numbered(200 * MIB);
    hdfs.write("/in", bytes.clone(), None).unwrap();
    let report = feed_slowly(&hdfs, hdfs.conf_dir(), &bytes);
    assert_eq!(report["local_bytes"], bytes.len(), "{report}");

    // The same over the network.
    let remote = without_short_circuit(&hdfs);
    let report = feed_slowly(&hdfs, remote.path(), &bytes);
    assert_eq!(report["remote_bytes"], json!({ "off": bytes.len() }));
    let log = fs::read_to_string(hdfs.datanode(0).log()).unwrap();
    assert!(log.contains("is expired") || log.contains("InvalidToken"), "no token expired: {log}");
}
