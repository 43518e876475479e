//! A process that may have no more descriptors: what needs no pipe is fed as ever, and what would need one goes through memory.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod cluster;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use cluster::{Cluster, SlowFeed, numbered, put, tool, without_short_circuit};
use forebay_fixtures::HdfsOptions;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::Value;

const MIB: usize = 1 << 20;

/// How many files or sockets of a process pass.
fn open(feed: &SlowFeed, wanted: impl Fn(&str) -> bool) -> usize {
    let links = fs::read_dir(format!("/proc/{}/fd", feed.pid())).unwrap();
    links
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .filter(|link| wanted(&link.to_string_lossy()))
        .count()
}

/// Sockets that are connected to there, as the kernel names them.
fn sockets(address: &str) -> Vec<String> {
    let port: u16 = address.rsplit(':').next().unwrap().parse().unwrap();
    let wanted = format!(":{port:04X}");
    let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
    let fields = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours = fields.filter(|fields| fields[2].ends_with(&wanted));
    ours.map(|fields| format!("socket:[{}]", fields[9])).collect()
}

fn allow(feed: &SlowFeed, descriptors: u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let pid = Pid::from_raw(feed.pid().cast_signed());
    prlimit(pid, Resource::Nofile, Rlimit { current: Some(descriptors), maximum }).unwrap();
}

/// Feeds a file without checksums, and one with checksums that is open before the first one has been read; from then on nothing
/// more can be opened.
fn fed(hdfs: &Cluster, conf: &Path, both_open: impl Fn(&SlowFeed) -> bool) -> Value {
    let (plain, summed) = (numbered(4 * MIB), numbered(12 * MIB));
    let mut feed = SlowFeed::start_with(hdfs, &["hdfs:///in"], conf);
    let deadline = Instant::now() + Duration::from_mins(2);
    while !both_open(&feed) {
        assert!(Instant::now() < deadline, "the second file is not opened ahead");
        thread::sleep(Duration::from_millis(5));
    }
    allow(&feed, 3);
    feed.read(plain.len() + 1);
    // The report is a file, too.
    allow(&feed, 1024);
    let report = feed.finish_with(&[plain, summed].concat());
    assert!(report["notes"].to_string().contains("no pipe is to be had"), "{report}");
    report
}

#[test]
fn without_a_pipe_of_ours_blocks_are_checked_in_memory() {
    let hdfs = Cluster::start(&HdfsOptions::default()).unwrap();
    hdfs.mkdirs("/in").unwrap();
    let local = tempfile::NamedTempFile::new().unwrap();
    fs::write(local.path(), numbered(4 * MIB)).unwrap();
    let shell = ["-D", "dfs.checksum.type=NULL", "-put", local.path().to_str().unwrap(), "/in/a"];
    tool(&hdfs, "org.apache.hadoop.fs.FsShell", &shell);
    put(&hdfs, &numbered(12 * MIB), "/in/b");

    let blocks = |feed: &SlowFeed| open(feed, |link| link.contains("blk_") && !link.contains(".meta"));
    let report = fed(&hdfs, hdfs.conf_dir(), |feed| blocks(feed) == 2);
    assert_eq!(report["local_bytes"], 16 * MIB, "{report}");
    assert_eq!(report["local_bytes_verified"], 12 * MIB, "{report}");
    assert_eq!(report["bytes_copied"], 12 * MIB, "{report}");

    let streams = |feed: &SlowFeed| {
        let sockets = sockets(&hdfs.datanode_address(0));
        open(feed, |link| sockets.iter().any(|socket| socket == link))
    };
    let conf = without_short_circuit(&hdfs);
    let report = fed(&hdfs, conf.path(), |feed| streams(feed) == 2);
    for (what, wanted) in [("direct_bytes", 16 * MIB), ("unverified_bytes", 4 * MIB), ("resumed", 0)] {
        assert_eq!(report["remote_reads"][what], wanted, "{report}");
    }
    assert_eq!(report["bytes_copied"], 12 * MIB + 2, "with the first file's first and last byte: {report}");
}
