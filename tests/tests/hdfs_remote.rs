//! Blocks that come over the network: verified and not copied, and gone on with at the byte when a DataNode fails.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod cluster;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use cluster::{Cluster, SlowFeed, numbered, without_short_circuit};
use forebay_fixtures::HdfsOptions;
use forebay_tests::said;
use serde_json::Value;

const MIB: usize = 1 << 20;

struct Remote {
    hdfs: Cluster,
    conf: tempfile::TempDir,
}

impl Remote {
    fn start(datanodes: usize, block_size: usize) -> Self {
        let options = HdfsOptions { datanodes, block_size: block_size as u64, ..HdfsOptions::default() };
        let hdfs = Cluster::start(&options).unwrap();
        let conf = without_short_circuit(&hdfs);
        Self { hdfs, conf }
    }

    fn feed(&self, args: &[&str]) -> SlowFeed {
        SlowFeed::start_with(&self.hdfs, args, self.conf.path())
    }

    /// The files that hold blocks of a DataNode.
    fn blocks(&self, datanode: usize) -> Vec<PathBuf> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if path.is_dir() {
                    walk(&path, found);
                } else if name.starts_with("blk_") && !name.contains(".meta") {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.hdfs.data_dir(datanode), &mut found);
        found
    }
}

fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

/// All of it was read by our own reader.
fn all_direct(report: &Value, len: usize) {
    assert_eq!(report["remote_bytes"], serde_json::json!({ "off": len }), "{report}");
    assert_eq!(report["remote_reads"]["direct_bytes"], len, "{report}");
    assert_eq!(report["remote_reads"]["unverified_bytes"], 0, "{report}");
}

#[test]
fn remote_blocks_are_verified_and_not_copied() {
    let remote = Remote::start(2, 8 * MIB);
    let bytes = numbered(200 * MIB);
    remote.hdfs.write("/in", bytes.clone(), None).unwrap();
    let report = remote.feed(&["hdfs:///in"]).finish_with(&bytes);
    all_direct(&report, bytes.len());
    assert_eq!(report["bytes_copied"], 0, "{report}");
    assert!(report["peak_memory_bytes"].as_u64().unwrap() < 64 << 20, "{report}");
    unverified_bytes_go_straight(&remote, &bytes);
    seen_bytes_are_the_same(&remote);
    bytes_without_checksums_are_told(&remote);
    shares_hold_each_line_once(&remote);
}

fn unverified_bytes_go_straight(remote: &Remote, bytes: &[u8]) {
    for (format, copied) in [("bytes", 0..=0), ("lines", 2..=4 * 25)] {
        let report = remote.feed(&["hdfs:///in", "--no-verify", "--format", format]).finish_with(bytes);
        assert_eq!(report["remote_reads"]["direct_bytes"], bytes.len(), "{report}");
        assert_eq!(report["remote_reads"]["unverified_bytes"], bytes.len(), "{report}");
        // The first and the last byte of each piece, where lines are to be kept apart; a split has up to two.
        assert!(copied.contains(&report["bytes_copied"].as_u64().unwrap()), "{report}");
    }
}

fn bytes_without_checksums_are_told(remote: &Remote) {
    let bytes = numbered(3 * MIB);
    let local = tempfile::NamedTempFile::new().unwrap();
    fs::write(local.path(), &bytes).unwrap();
    let shell = ["-D", "dfs.checksum.type=NULL", "-put", local.path().to_str().unwrap(), "/unchecked"];
    let mut put = remote.hdfs.java("org.apache.hadoop.fs.FsShell", shell);
    assert!(put.status().unwrap().success());
    let (got, output, report) = remote.feed(&["hdfs:///unchecked"]).finish();
    assert!(output.status.success() && got == bytes, "{}", said(&output));
    assert_eq!(report["remote_reads"]["unverified_bytes"], bytes.len(), "{report}");
    assert!(said(&output).contains("3.0 MiB without checksums"), "{}", said(&output));
}

/// Where bytes have to be seen they pass through memory, and are verified there.
fn seen_bytes_are_the_same(remote: &Remote) {
    let text = numbered(20 * MIB + 777);
    let crlf: Vec<u8> =
        text.iter().flat_map(|&b| if b == b'\n' { vec![b'\r', b'\n'] } else { vec![b] }).collect();
    remote.hdfs.write("/crlf", crlf.clone(), None).unwrap();
    let wanted = [text.as_slice(), b"\n"].concat();
    let report = remote.feed(&["hdfs:///crlf", "--line-ending", "lf"]).finish_with(&wanted);
    assert_eq!(report["remote_reads"]["direct_bytes"], crlf.len(), "{report}");
    let wanted = [crlf.as_slice(), b"\n"].concat();
    let report = remote.feed(&["hdfs:///crlf", "--report-checksums"]).finish_with(&wanted);
    assert_eq!(report["bytes_copied"], report["bytes"], "{report}");
}

fn shares_hold_each_line_once(remote: &Remote) {
    let text = numbered(10 * MIB + 12_345);
    // Blocks end within lines, splits end within blocks.
    remote.hdfs.write("/lines", text.clone(), Some(MIB as u64)).unwrap();
    let mut lines: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    let whole = [text.as_slice(), b"\n"].concat();
    for line in whole.split_inclusive(|b| *b == b'\n') {
        *lines.entry(line.to_vec()).or_default() += 1;
    }
    for shard in ["0/3", "1/3", "2/3"] {
        let feed = remote.feed(&["hdfs:///lines", "--split-size", "700001", "--shard", shard]);
        let (got, output, _) = feed.finish();
        assert!(output.status.success(), "{}", said(&output));
        for line in got.split_inclusive(|b| *b == b'\n') {
            *lines.entry(line.to_vec()).or_default() -= 1;
        }
    }
    assert!(lines.values().all(|count| *count == 0), "lines are missing or came twice");
}

#[test]
fn a_datanode_killed_while_it_sends_is_replaced_at_the_byte() {
    let remote = Remote::start(2, 64 * MIB);
    let bytes = numbered(256 * MIB);
    remote.hdfs.write("/in", bytes.clone(), None).unwrap();
    let mut feed = remote.feed(&["hdfs:///in"]);
    feed.read(8 * MIB);
    remote.hdfs.datanode(0).kill();
    let report = feed.finish_with(&bytes);
    all_direct(&report, bytes.len());
}

#[test]
fn a_datanode_that_falls_silent_while_it_sends_is_replaced_at_the_byte() {
    let remote = Remote::start(2, 64 * MIB);
    let bytes = numbered(256 * MIB);
    remote.hdfs.write("/in", bytes.clone(), None).unwrap();
    let mut feed = remote.feed(&["hdfs:///in", "--hdfs-timeout", "6"]);
    feed.read(8 * MIB);
    let silent = remote.hdfs.datanode(0).stop();
    let report = feed.finish_with(&bytes);
    silent.cont();
    all_direct(&report, bytes.len());
}

/// It goes on by jerks: 20 ms of a second.
#[test]
fn a_datanode_that_sends_slowly_is_left_for_the_other_one() {
    let remote = Remote::start(2, 16 * MIB);
    let bytes = numbered(256 * MIB);
    remote.hdfs.write("/in", bytes.clone(), None).unwrap();
    let over = AtomicBool::new(false);
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                let silent = remote.hdfs.datanode(0).stop();
                thread::sleep(Duration::from_millis(980));
                silent.cont();
                thread::sleep(Duration::from_millis(20));
            }
        });
        let (got, output, report) = remote.feed(&["hdfs:///in"]).finish();
        over.store(true, Relaxed);
        assert!(output.status.success(), "{}", said(&output));
        assert!(got == bytes, "other bytes than stored");
        report
    });
    all_direct(&report, bytes.len());
}

#[test]
fn a_bit_flipped_in_a_remote_replica_is_never_fed_and_told() {
    let remote = Remote::start(2, MIB);
    let bytes = numbered(24 * MIB);
    remote.hdfs.write("/in", bytes.clone(), None).unwrap();
    for block in remote.blocks(0) {
        flip(&block, 500_000);
    }
    let report = remote.feed(&["hdfs:///in"]).finish_with(&bytes);
    assert!(report["remote_reads"]["resumed"].as_u64().unwrap() > 0, "no bad replica was met: {report}");
    let deadline = Instant::now() + Duration::from_mins(2);
    let told = || {
        let output = remote.hdfs.java("org.apache.hadoop.hdfs.tools.DFSAdmin", ["-report"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        !text.lines().any(|line| line.trim() == "Blocks with corrupt replicas: 0")
    };
    while !told() {
        assert!(Instant::now() < deadline, "the NameNode was not told");
    }
}

#[test]
fn a_bit_flipped_in_the_only_remote_replica_fails_naming_block_file_host_and_offset() {
    let remote = Remote::start(1, MIB);
    let bytes = numbered(MIB);
    remote.hdfs.write("/in", bytes.clone(), None).unwrap();
    let block = remote.blocks(0).remove(0);
    flip(&block, 300_000);
    let (got, output, report) = remote.feed(&["hdfs:///in", "--hdfs-timeout", "2"]).finish();
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    let name = block.file_name().unwrap().to_str().unwrap().to_owned();
    // The chunk of 512 bytes in which byte 300,000 lies.
    for word in ["/in is corrupt at byte 299520", &name, &remote.hdfs.datanode_address(0)] {
        assert!(text.contains(word), "no '{word}' in {text}");
    }
    assert!(got.len() <= 299_520 && bytes.starts_with(&got), "bytes behind the bad chunk were fed");
    assert_eq!(report["outcome"], "failed");
}

#[test]
fn the_only_datanode_restarted_while_it_sends_is_waited_for() {
    let remote = Remote::start(1, 16 * MIB);
    let bytes = numbered(128 * MIB);
    remote.hdfs.write("/in", bytes.clone(), None).unwrap();
    let mut feed = remote.feed(&["hdfs:///in", "--hdfs-timeout", "120"]);
    feed.read(8 * MIB);
    remote.hdfs.datanode(0).kill();
    remote.hdfs.datanode(0).start().unwrap();
    let report = feed.finish_with(&bytes);
    assert_eq!(report["remote_bytes"]["off"], bytes.len(), "{report}");
}
