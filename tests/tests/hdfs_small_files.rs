//! Very many small files: whole, in order, from this host's replicas, with little memory and few descriptors.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod cluster;

use std::fs;
use std::process::Command;

use cluster::{Cluster, feed_command};
use forebay_fixtures::HdfsOptions;
use forebay_tests::said;
use serde_json::Value;

const FILES: usize = 10_000;
const MIB: u64 = 1 << 20;

/// Lines of no two files are alike; some files are empty, some end without a line's end.
fn file(i: usize) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    for line in 0..i * 7919 % 97 {
        bytes.extend_from_slice(format!("{i:05} {line:02} {}\n", "-".repeat(line % 50)).as_bytes());
    }
    if i % 10 == 3 {
        bytes.pop();
    }
    (format!("/in/{:02}/{i:05}", i / 1000), bytes)
}

/// Writes the files by Hadoop's own client, on several threads. It asks soon again whether a file's block was reported;
/// `hdfs-native` does so after half a second, which for so many files is minutes.
fn put(hdfs: &Cluster, files: &[(String, Vec<u8>)]) {
    let folder = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        let path = folder.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let soon = "dfs.client.block.write.locateFollowingBlock.initial.delay.ms=10";
    let from = folder.path().join("in");
    let args = ["-D", soon, "-put", "-t", "16", from.to_str().unwrap(), "/"];
    assert!(hdfs.java("org.apache.hadoop.fs.FsShell", args).status().unwrap().success());
}

#[test]
fn ten_thousand_small_files_arrive_whole_with_few_descriptors() {
    let hdfs = Cluster::start(&HdfsOptions::default()).unwrap();
    let files: Vec<_> = (0..FILES).map(file).collect();
    put(&hdfs, &files);
    let mut wanted = Vec::new();
    for (_, bytes) in &files {
        wanted.extend_from_slice(bytes);
        if bytes.last().is_some_and(|last| *last != b'\n') {
            wanted.push(b'\n');
        }
    }
    let stored: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();

    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    let feed = feed_command(&hdfs, &["hdfs:///in/*", "--report", report.to_str().unwrap()]);
    // A soft limit far below two descriptors for each replica that Hadoop's settings allow to be kept open.
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -S -n 256 && exec \"$0\" \"$@\""])
        .arg(feed.get_program())
        .args(feed.get_args());
    limited.env("HADOOP_CONF_DIR", hdfs.conf_dir());
    let output = limited.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(output.stdout == wanted, "other bytes than stored");
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    assert_eq!(report["local_bytes"], stored, "{report}");
    assert_eq!(report["local_bytes_verified"], stored, "{report}");
    assert!(report["peak_memory_bytes"].as_u64().unwrap() < 64 * MIB, "{report}");
}
