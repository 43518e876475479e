//! Replicas of this host: handed over without a copy, verified, and left for another one when they are bad.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod cluster;

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use cluster::{Cluster, feed_command, numbered, start_feed};
use forebay_fixtures::HdfsOptions;
use forebay_tests::said;
use serde_json::Value;

const MIB: usize = 1 << 20;

fn start(datanodes: usize, properties: &[(&str, &str)]) -> Cluster {
    let properties = properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let options = HdfsOptions {
        datanodes,
        block_size: MIB as u64,
        hdfs_properties: properties,
        ..HdfsOptions::default()
    };
    Cluster::start(&options).unwrap()
}

/// Feeds with a report.
fn fed(hdfs: &Cluster, args: &[&str]) -> (Output, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report");
    let output = feed_command(hdfs, args).arg("--report").arg(&path).output().unwrap();
    let report = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    (output, report)
}

/// Files of a DataNode whose names pass, block files or meta files.
fn stored(hdfs: &Cluster, datanode: usize, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(&hdfs.data_dir(datanode), &mut found);
    found.retain(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("blk_") && wanted(&name)
    });
    found
}

fn blocks(hdfs: &Cluster, datanode: usize) -> Vec<PathBuf> {
    stored(hdfs, datanode, |name| !name.contains(".meta"))
}

fn metas(hdfs: &Cluster, datanode: usize) -> Vec<PathBuf> {
    stored(hdfs, datanode, |name| name.contains(".meta"))
}

fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

/// What the NameNode says of blocks with corrupt replicas.
fn corrupt_blocks(hdfs: &Cluster) -> u64 {
    let output = hdfs.java("org.apache.hadoop.hdfs.tools.DFSAdmin", ["-report"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.contains("Blocks with corrupt replicas:")).unwrap();
    line.rsplit(' ').next().unwrap().trim().parse().unwrap()
}

#[test]
fn a_local_replica_is_verified_and_not_copied() {
    let hdfs = start(1, &[]);
    let bytes = numbered(10 * MIB + 12_345);
    hdfs.write("/in", bytes.clone(), None).unwrap();
    let (output, report) = fed(&hdfs, &["hdfs:///in"]);
    assert!(output.status.success(), "{}", said(&output));
    let wanted = [bytes.as_slice(), b"\n"].concat();
    assert!(output.stdout == wanted, "other bytes than stored");
    assert_eq!(report["local_bytes"], bytes.len());
    assert_eq!(report["local_bytes_verified"], bytes.len());
    assert_eq!(report["bytes_copied"], 1, "the last line's end: {report}");
    assert_eq!(report["remote_bytes"], serde_json::json!({}));
    let (output, report) = fed(&hdfs, &["hdfs:///in", "--no-verify", "--report-checksums", "--shard", "1/3"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(report["local_bytes_verified"], 0);
    assert_eq!(report["bytes_copied"], report["bytes"], "checksums of ours are made in memory");
}

#[test]
fn other_checksums_are_understood() {
    for properties in [
        &[("dfs.bytes-per-checksum", "4096")][..],
        &[("dfs.checksum.type", "CRC32")],
        &[("dfs.checksum.type", "NULL")],
    ] {
        let hdfs = start(1, properties);
        let bytes = numbered(3 * MIB);
        let local = tempfile::NamedTempFile::new().unwrap();
        fs::write(local.path(), &bytes).unwrap();
        // Hadoop's own client obeys these settings when it writes.
        let put = hdfs.java("org.apache.hadoop.fs.FsShell", ["-put", local.path().to_str().unwrap(), "/in"]);
        assert!({ put }.status().unwrap().success());
        let (output, report) = fed(&hdfs, &["hdfs:///in"]);
        assert!(output.status.success(), "{properties:?}: {}", said(&output));
        assert!(output.stdout == bytes, "{properties:?}: other bytes than stored");
        assert_eq!(report["local_bytes"], bytes.len(), "{properties:?}: {report}");
        if properties[0].1 != "NULL" {
            flip(&blocks(&hdfs, 0)[0], 77_777);
            let (output, _) = fed(&hdfs, &["hdfs:///in", "--hdfs-timeout", "1"]);
            assert!(!output.status.success(), "{properties:?}: a flipped bit was fed");
        }
    }
}

#[test]
fn a_bit_flipped_in_one_of_two_replicas_is_never_fed_and_told() {
    let hdfs = start(2, &[]);
    let bytes = numbered(3 * MIB);
    // Several files: the bad replica is the first choice of some.
    for i in 0..8 {
        hdfs.write(&format!("/in/{i}"), bytes.clone(), None).unwrap();
    }
    let all = blocks(&hdfs, 0);
    assert_eq!(all.len(), 24);
    for block in &all {
        flip(block, 500_000);
    }
    let (output, report) = fed(&hdfs, &["hdfs:///in"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(output.stdout == bytes.repeat(8), "other bytes than stored");
    let around = report["remote_bytes"]["corrupt"].as_u64().unwrap();
    assert!(around > 0, "no bad replica was met: {report}");
    let deadline = Instant::now() + Duration::from_secs(30);
    while corrupt_blocks(&hdfs) == 0 {
        assert!(Instant::now() < deadline, "the NameNode was not told");
    }
}

#[test]
fn a_bit_flipped_in_the_only_replica_fails_naming_block_file_host_and_offset() {
    let hdfs = start(1, &[]);
    hdfs.write("/in", numbered(MIB), None).unwrap();
    let block = blocks(&hdfs, 0).remove(0);
    flip(&block, 300_000);
    let (output, report) = fed(&hdfs, &["hdfs:///in", "--hdfs-timeout", "2"]);
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    let name = block.file_name().unwrap().to_str().unwrap().to_owned();
    // The chunk of 512 bytes in which byte 300,000 lies.
    for word in ["/in is corrupt at byte 299520", &name, &hdfs.datanode_address(0)] {
        assert!(text.contains(word), "no '{word}' in {text}");
    }
    assert!(output.stdout.len() <= 299_520, "bytes behind the bad chunk were fed");
    assert!(numbered(MIB).starts_with(&output.stdout));
    assert_eq!(report["outcome"], "failed");
}

#[test]
fn broken_files_of_a_replica_send_the_feed_to_the_other_one() {
    let hdfs = start(2, &[]);
    let bytes = numbered(4 * MIB);
    hdfs.write("/in", bytes.clone(), None).unwrap();
    let (files, sums) = (blocks(&hdfs, 0), metas(&hdfs, 0));
    fs::remove_file(&sums[0]).unwrap();
    File::options().write(true).open(&sums[1]).unwrap().set_len(100).unwrap();
    File::options().write(true).open(&files[2]).unwrap().set_len(1000).unwrap();
    fs::remove_file(&files[3]).unwrap();
    let (output, _) = fed(&hdfs, &["hdfs:///in"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(output.stdout == bytes, "other bytes than stored");
}

#[test]
fn a_block_file_cut_while_it_is_read_sends_the_feed_to_the_other_replica() {
    let hdfs = start(2, &[("dfs.blocksize", "67108864")]);
    let bytes = numbered(40 * MIB);
    hdfs.write("/in", bytes.clone(), Some(64 * MIB as u64)).unwrap();
    let (child, mut stdout) = start_feed(&hdfs, &["hdfs:///in"]);
    let mut got = vec![0; 8 * MIB];
    stdout.read_exact(&mut got).unwrap();
    // Both DataNodes are on this host; whichever was asked, its file ends now.
    for datanode in [0, 1] {
        let file = blocks(&hdfs, datanode).remove(0);
        if datanode == 0 {
            File::options().write(true).open(file).unwrap().set_len(20 * MIB as u64).unwrap();
        }
    }
    stdout.read_to_end(&mut got).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(got == bytes, "other bytes than stored");
}

/// An append takes the block file up again and changes its last checksum.
#[test]
fn a_file_appended_to_while_it_is_read_is_fed_to_its_planned_length() {
    let hdfs = start(1, &[]);
    let bytes = numbered(20 * MIB + 100);
    hdfs.write("/in", bytes.clone(), Some(64 * MIB as u64)).unwrap();
    let (child, mut stdout) = start_feed(&hdfs, &["hdfs:///in"]);
    let mut got = vec![0; MIB];
    stdout.read_exact(&mut got).unwrap();
    let more = tempfile::NamedTempFile::new().unwrap();
    fs::write(more.path(), "appended".repeat(1000)).unwrap();
    let append = ["-appendToFile", more.path().to_str().unwrap(), "/in"];
    assert!(hdfs.java("org.apache.hadoop.fs.FsShell", append).status().unwrap().success());
    stdout.read_to_end(&mut got).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(got == [bytes.as_slice(), b"\n"].concat(), "other bytes than planned");
    assert_eq!(corrupt_blocks(&hdfs), 0, "an append was reported as corruption");
}

#[test]
fn block_tokens_are_shown_to_the_datanode() {
    let hdfs = start(1, &[("dfs.block.access.token.enable", "true")]);
    let bytes = numbered(2 * MIB);
    hdfs.write("/in", bytes.clone(), None).unwrap();
    let (output, report) = fed(&hdfs, &["hdfs:///in"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(output.stdout == bytes);
    assert_eq!(report["local_bytes"], bytes.len(), "{report}");
}

#[test]
fn without_short_circuit_the_report_says_why() {
    let hdfs = start(1, &[("dfs.client.read.shortcircuit", "false")]);
    let bytes = numbered(2 * MIB);
    hdfs.write("/in", bytes.clone(), None).unwrap();
    let (output, report) = fed(&hdfs, &["hdfs:///in"]);
    assert!(output.status.success() && output.stdout == bytes, "{}", said(&output));
    assert_eq!(report["remote_bytes"], serde_json::json!({ "off": bytes.len() }));
}

#[test]
fn a_file_that_is_deleted_or_renamed_while_it_is_read_arrives_whole() {
    let hdfs = start(1, &[]);
    let bytes = numbered(12 * MIB);
    for path in ["/deleted", "/renamed"] {
        hdfs.write(path, bytes.clone(), Some(16 * MIB as u64)).unwrap();
        let uri = format!("hdfs://{path}");
        let (child, mut stdout) = start_feed(&hdfs, &[&uri]);
        let mut got = vec![0; MIB];
        stdout.read_exact(&mut got).unwrap();
        if path == "/deleted" {
            hdfs.delete(path).unwrap();
        } else {
            let moved =
                hdfs.java("org.apache.hadoop.fs.FsShell", ["-mv", path, "/elsewhere"]).status().unwrap();
            assert!(moved.success());
        }
        stdout.read_to_end(&mut got).unwrap();
        let output = child.wait_with_output().unwrap();
        // A deleted file's replica is soon invalidated; then no whole copy is to be had, and that is said.
        if output.status.success() {
            assert!(got == bytes, "other bytes than stored");
        } else {
            assert_eq!(path, "/deleted", "{}", said(&output));
            assert!(bytes.starts_with(&got) && said(&output).contains("/deleted"), "{}", said(&output));
        }
    }
}
