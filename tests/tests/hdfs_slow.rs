//! DataNodes that are slow, stop within a packet, are away for a while, or have no room for another reader: behind relays that
//! the tests rule.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod cluster;

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use cluster::{Cluster, SlowFeed, feed_command, numbered, without_short_circuit};
use forebay_fixtures::HdfsOptions;
use forebay_tests::said;
use serde_json::{Value, json};

const MIB: usize = 1 << 20;
/// Ends a hang.
const PATIENCE: Duration = Duration::from_mins(5);

struct Slow {
    hdfs: Cluster,
    conf: tempfile::TempDir,
}

impl Slow {
    fn start(options: &HdfsOptions) -> Self {
        let hdfs = Cluster::start(options).unwrap();
        let conf = without_short_circuit(&hdfs);
        Self { hdfs, conf }
    }

    /// So many DataNodes behind relays.
    fn behind_relays(datanodes: usize, block_size: usize) -> Self {
        let block_size = block_size as u64;
        Self::start(&HdfsOptions {
            datanodes,
            block_size,
            separate_hosts: true,
            relays: true,
            ..HdfsOptions::default()
        })
    }

    fn feed(&self, args: &[&str]) -> SlowFeed {
        SlowFeed::start_with(&self.hdfs, args, self.conf.path())
    }

    fn passed(&self, datanodes: usize) -> Vec<u64> {
        (0..datanodes).map(|i| self.hdfs.relay(i).passed()).collect()
    }
}

/// All of it was read by our own reader.
fn all_direct(report: &Value, len: usize) {
    assert_eq!(report["remote_bytes"], json!({ "off": len }), "{report}");
    assert_eq!(report["remote_reads"]["direct_bytes"], len, "{report}");
}

fn wait_until(mut is_so: impl FnMut() -> bool, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Stands still in the midst of a packet, with its connection open.
#[test]
fn what_a_datanode_is_late_with_is_asked_for_at_another_one() {
    let slow = Slow::behind_relays(2, 128 * MIB);
    // One block, and so one stream.
    let bytes = numbered(128 * MIB);
    slow.hdfs.write("/in", bytes.clone(), None).unwrap();
    for flags in [&[][..], &["--report-checksums"], &["--no-verify"]] {
        let before = slow.passed(2);
        let mut feed = slow.feed(&[&["hdfs:///in"], flags].concat());
        feed.read(8 * MIB);
        let after = slow.passed(2);
        let sends = usize::from(after[1] - before[1] > after[0] - before[0]);
        slow.hdfs.relay(sends).limit(Some(0));
        let (got, output, report) = feed.finish();
        slow.hdfs.relay(sends).limit(None);
        assert!(output.status.success() && got.len() >= bytes.len(), "{}", said(&output));
        assert!(got.starts_with(&bytes), "other bytes than stored");
        all_direct(&report, bytes.len());
        let reads = &report["remote_reads"];
        // A machine that stands still makes more of them.
        let hedged = |what: &str| reads["hedged"][what].as_u64().unwrap();
        assert!(hedged("won") >= 1 && hedged("tried") >= hedged("won"), "{report}");
        let address = slow.hdfs.datanode_address(sends);
        assert!(reads["slow"][&address].as_u64().is_some_and(|times| times >= 1), "{report}");
        let text = said(&output);
        assert!(text.contains(&format!("remote reads from {address} are slow")), "{text}");
        assert!(text.contains("asked for at another replica"), "{text}");
    }
}

/// The first DataNode does not even answer.
#[test]
fn who_does_not_answer_keeps_no_feed_waiting() {
    let slow = Slow::behind_relays(2, MIB);
    let bytes = numbered(8 * MIB);
    slow.hdfs.write("/in", bytes.clone(), None).unwrap();
    slow.hdfs.relay(0).limit(Some(0));
    let report = slow.feed(&["hdfs:///in"]).finish_with(&bytes);
    slow.hdfs.relay(0).limit(None);
    all_direct(&report, bytes.len());
}

#[test]
fn of_three_datanodes_a_slow_one_is_left() {
    let slow = Slow::behind_relays(3, 8 * MIB);
    let bytes = numbered(256 * MIB);
    slow.hdfs.write("/in", bytes.clone(), None).unwrap();
    let before = slow.hdfs.relay(0).passed();
    slow.hdfs.relay(0).limit(Some(1_000_000));
    let (got, output, report) = slow.feed(&["hdfs:///in"]).finish();
    assert!(output.status.success(), "{}", said(&output));
    assert!(got == bytes, "other bytes than stored");
    all_direct(&report, bytes.len());
    // A third of the blocks has it as the nearest one.
    let passed = slow.hdfs.relay(0).passed() - before;
    assert!(passed < bytes.len() as u64 / 10, "{passed} bytes came from the slow DataNode: {report}");
    let slow_ones = report["remote_reads"]["slow"].as_object().unwrap();
    assert!(slow_ones.contains_key(&slow.hdfs.datanode_address(0)), "{report}");
}

#[test]
fn datanodes_that_are_all_away_for_a_while_are_waited_for() {
    const AWAY: Duration = Duration::from_secs(20);
    let slow =
        Slow::start(&HdfsOptions { datanodes: 3, block_size: 8 * MIB as u64, ..HdfsOptions::default() });
    let bytes = numbered(256 * MIB);
    slow.hdfs.write("/in", bytes.clone(), None).unwrap();

    let mut feed = slow.feed(&["hdfs:///in", "--hdfs-timeout", "180"]);
    feed.read(8 * MIB);
    let silent = [0, 1, 2].map(|i| slow.hdfs.datanode(i).stop());
    let feed = thread::scope(|scope| {
        let finish = scope.spawn(|| feed.finish_with(&bytes));
        thread::sleep(AWAY);
        drop(silent);
        finish.join().unwrap()
    });
    assert_eq!(feed["remote_bytes"], json!({ "off": bytes.len() }), "{feed}");

    let mut feed = slow.feed(&["hdfs:///in", "--hdfs-timeout", "180"]);
    feed.read(8 * MIB);
    (0..3).for_each(|i| slow.hdfs.datanode(i).kill());
    let feed = thread::scope(|scope| {
        let finish = scope.spawn(|| feed.finish_with(&bytes));
        thread::sleep(AWAY);
        (0..3).for_each(|i| slow.hdfs.datanode(i).start().unwrap());
        finish.join().unwrap()
    });
    assert_eq!(feed["remote_bytes"], json!({ "off": bytes.len() }), "{feed}");
}

/// How often a DataNode has refused a connection since it has too many.
fn refusals(log: &Path) -> usize {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap()).into_owned();
    text.matches("exceeds the limit of concurrent").count()
}

fn with_few_threads(datanodes: usize, threads: usize) -> Slow {
    let hdfs_properties = vec![("dfs.datanode.max.transfer.threads".to_owned(), threads.to_string())];
    let block_size = 32 * MIB as u64;
    Slow::start(&HdfsOptions { datanodes, block_size, hdfs_properties, ..HdfsOptions::default() })
}

#[test]
fn a_datanode_without_room_for_another_reader_is_waited_for() {
    const THREADS: usize = 6;
    let slow = with_few_threads(1, THREADS);
    let bytes = numbered(32 * MIB);
    slow.hdfs.write("/in", bytes.clone(), None).unwrap();
    let log = slow.hdfs.datanode(0).log();
    // Each holds a thread of the DataNode, or does not get one.
    let feeds: Vec<_> =
        (0..2 * THREADS).map(|_| slow.feed(&["hdfs:///in", "--hdfs-timeout", "180"])).collect();
    wait_until(|| refusals(log) > 0, "no connection was refused");
    thread::scope(|scope| {
        for feed in feeds {
            scope.spawn(|| feed.finish_with(&bytes));
        }
    });
}

#[test]
fn a_datanode_without_room_or_without_its_blocks_is_left_for_the_other_replica() {
    const THREADS: usize = 6;
    let slow = with_few_threads(2, THREADS);
    let bytes = numbered(96 * MIB);
    slow.hdfs.write("/in", bytes.clone(), None).unwrap();
    let log = slow.hdfs.datanode(0).log();
    let held: Vec<_> =
        (0..2 * THREADS).map(|_| TcpStream::connect(slow.hdfs.datanode_address(0)).unwrap()).collect();
    wait_until(|| refusals(log) > 0, "no connection was refused");
    let report = slow.feed(&["hdfs:///in"]).finish_with(&bytes);
    all_direct(&report, bytes.len());
    drop(held);

    let pool = fs::read_dir(slow.hdfs.data_dir(0).join("current")).unwrap();
    let pool = pool.map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
    fs::remove_dir_all(pool.join("current/finalized")).unwrap();
    let report = slow.feed(&["hdfs:///in"]).finish_with(&bytes);
    all_direct(&report, bytes.len());
}

#[test]
fn datanodes_are_reached_by_name_where_that_is_asked_for() {
    let property = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let hdfs_properties = vec![
        property("dfs.datanode.hostname", "localhost"),
        property("dfs.client.use.datanode.hostname", "true"),
    ];
    let slow = Slow::start(&HdfsOptions { hdfs_properties, ..HdfsOptions::default() });
    let bytes = numbered(8 * MIB);
    slow.hdfs.write("/in", bytes.clone(), None).unwrap();
    let report = slow.feed(&["hdfs:///in"]).finish_with(&bytes);
    all_direct(&report, bytes.len());
    // Whom it has asked stands in the log.
    slow.hdfs.datanode(0).kill();
    let output = feed_command(&slow.hdfs, &["hdfs:///in", "--hdfs-timeout", "1"])
        .env("HADOOP_CONF_DIR", slow.conf.path())
        .env("FOREBAY_LOG", "info")
        .output()
        .unwrap();
    let port = slow.hdfs.datanode_address(0).rsplit(':').next().unwrap().to_owned();
    let text = said(&output);
    assert!(text.contains(&format!("from the DataNode localhost:{port}")), "{text}");
}
