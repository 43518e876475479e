//! Files that are not just closed files of replicated blocks: being written, erasure-coded, encrypted.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod cluster;

use std::time::Duration;

use bytes::Bytes;
use cluster::{Cluster, SlowFeed, feed_command, numbered, put, tool, without_short_circuit, write_files};
use forebay_fixtures::HdfsOptions;
use forebay_store::Clusters;
use forebay_tests::said;
use hdfs_native::WriteOptions;
use serde_json::json;
use tokio::runtime::Runtime;

const MIB: usize = 1 << 20;

fn start(options: HdfsOptions) -> Cluster {
    Cluster::start(&HdfsOptions { block_size: MIB as u64, ..options }).unwrap()
}

/// Feeds a path to the end, and all of these bytes must come.
fn fed_whole(hdfs: &Cluster, uri: &str, wanted: &[u8]) -> serde_json::Value {
    SlowFeed::start(hdfs, &[uri]).finish_with(wanted)
}

#[test]
fn a_file_being_written_is_waited_for_and_then_named() {
    let hdfs = start(HdfsOptions::default());
    let bytes = numbered(2 * MIB + MIB / 2);
    let held = hdfs.hold_open("/open", &bytes).unwrap();
    for off in [false, true] {
        let conf_dir = off.then(|| without_short_circuit(&hdfs));
        let conf_dir = conf_dir.as_ref().map_or(hdfs.conf_dir(), |folder| folder.path());
        let args = ["hdfs:///open", "--hdfs-timeout", "2"];
        let (got, output, _) = SlowFeed::start_with(&hdfs, &args, conf_dir).finish();
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        for word in ["/open is being written", "had 2621440 bytes", "first 2097152 are in finished blocks"] {
            assert!(text.contains(word), "no '{word}' in {text}");
        }
        assert!(bytes.starts_with(&got));
    }
    let feed = SlowFeed::start(&hdfs, &["hdfs:///open", "--hdfs-timeout", "90"]);
    held.close().unwrap();
    feed.finish_with(&bytes);

    appended_to_between_plan_and_turn(&hdfs);
}

/// An append takes the last block up again, with another generation, and hides it as long as it lasts.
fn appended_to_between_plan_and_turn(hdfs: &Cluster) {
    let (long, part) = (numbered(96 * MIB), numbered(MIB / 2));
    hdfs.write("/in/a", long.clone(), None).unwrap();
    // More than are opened ahead.
    write_files(hdfs, &(0..8).map(|i| (format!("/in/b{i}"), part.clone())).collect::<Vec<_>>());
    let mut feed = SlowFeed::start(hdfs, &["hdfs:///in", "--hdfs-timeout", "90"]);
    feed.read(MIB);
    let held = hdfs.hold_open("/in/b7", b"more\n").unwrap();
    // All that comes before it, less than what the pipe may hold.
    feed.read(long.len() - MIB + 2 * MIB);
    held.close().unwrap();
    let report = feed.finish_with(&[long, part.repeat(8)].concat());
    assert_eq!(report["remote_bytes"], json!({}), "{report}");
}

#[test]
fn erasure_coded_files_come_over_the_network_also_where_a_datanode_is_missing() {
    let hdfs = start(HdfsOptions { datanodes: 5, ..HdfsOptions::default() });
    let admin = "org.apache.hadoop.hdfs.tools.ECAdmin";
    let bytes = numbered(10 * MIB + 12_345);
    let wanted = [bytes.as_slice(), b"\n"].concat();
    for (folder, policy) in [("/rs", "RS-3-2-1024k"), ("/xor", "XOR-2-1-1024k")] {
        hdfs.mkdirs(folder).unwrap();
        tool(&hdfs, admin, &["-enablePolicy", "-policy", policy]);
        tool(&hdfs, admin, &["-setPolicy", "-path", folder, "-policy", policy]);
        put(&hdfs, &bytes, &format!("{folder}/in"));
        let report = fed_whole(&hdfs, &format!("hdfs://{folder}"), &wanted);
        assert_eq!(report["remote_bytes"], json!({ "erasure-coded": bytes.len() }), "{report}");
    }
    hdfs.datanode(0).kill();
    fed_whole(&hdfs, "hdfs:///rs", &wanted);
}

#[test]
fn an_encrypted_file_is_refused_by_name_and_no_ciphertext_is_fed() {
    let hdfs = start(HdfsOptions { kms: true, ..HdfsOptions::default() });
    hdfs.make_zone("/zone").unwrap();
    put(&hdfs, &numbered(3 * MIB), "/zone/in");
    let output = feed_command(&hdfs, &["hdfs:///zone"]).output().unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("/zone/in: it is in an encryption zone"), "{text}");
    assert!(output.stdout.is_empty(), "{} bytes were fed", output.stdout.len());
    nothing_is_written_in_the_clear(&hdfs);
}

/// Small files are left to `hdfs-native`, which, as it is built here, cannot encrypt either and says so.
fn nothing_is_written_in_the_clear(hdfs: &Cluster) {
    let runtime = Runtime::new().unwrap();
    let clusters = Clusters::new(Duration::from_mins(2), runtime.handle().clone());
    let cluster = clusters.cluster(hdfs.uri().strip_prefix("hdfs://")).unwrap();
    for overwrite in [false, true] {
        let (bytes, options) = (Bytes::from("1\n"), WriteOptions::default().overwrite(overwrite));
        let error = runtime.block_on(cluster.write("/zone/small", &bytes, &options)).unwrap_err();
        let natively = cluster.write_natively("/zone/small", &bytes, &options);
        assert_eq!(error.to_string(), runtime.block_on(natively).unwrap_err().to_string());
        let text = error.to_string();
        assert!(text.contains("/zone/small") && text.contains("encryption zone"), "{text}");
    }
    assert_eq!(hdfs.list("/zone").unwrap(), ["/zone/in"]);
}
