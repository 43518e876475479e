//! What a real DataNode does with slots: it invalidates, takes back, gives none.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::fs::read_to_string;
use std::sync::Arc;
use std::time::Duration;

use forebay_fixtures::{Hdfs, HdfsOptions};
use forebay_shortcircuit::{OpenError, Reason, ShortCircuit};
use support::{blocks, bytes, noise, open, run, settings, within};

const LIMIT: Duration = Duration::from_secs(30);

/// How many segments this process has mapped.
fn segments() -> usize {
    let maps = read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains("HadoopShortCircuitShm")).count()
}

/// Deletion, appending and the DataNode's death, on one cluster; the last leaves it changed.
#[test]
fn a_datanode_invalidates_what_it_has_given() {
    let hdfs = Hdfs::start(&HdfsOptions::default()).unwrap();
    slots_are_given_back_and_used_again(&hdfs);
    a_deleted_block_is_invalid(&hdfs);
    a_moved_generation_is_asked_again(&hdfs);
    a_dead_datanodes_slots_are_void(&hdfs);
    within(LIMIT, "all segments are unmapped", || segments() == 0);
}

fn slots_are_given_back_and_used_again(hdfs: &Hdfs) {
    hdfs.write("/small", noise(1000, 2), None).unwrap();
    let block = &blocks(hdfs, "/small")[0];
    let mut settings = settings(hdfs);
    settings.cached = 0;
    let local = ShortCircuit::new(settings);
    // Three times as many as a segment has.
    for _ in 0..384 {
        assert!(open(&local, hdfs, block).unwrap().is_valid());
    }
    // They are given back behind our back, so now and then a second segment is needed.
    assert!((1..=2).contains(&segments()), "{} segments", segments());
    let log = read_to_string(hdfs.datanode(0).log()).unwrap();
    assert!(!log.contains("InvalidRequestException"), "{log}");

    // All at once they need three.
    let held: Vec<_> = (0..300).map(|_| open(&local, hdfs, block).unwrap()).collect();
    assert!(held.iter().all(|replica| replica.is_valid() && replica.has_slot()));
    assert!((3..=4).contains(&segments()), "{} segments", segments());
}

fn a_deleted_block_is_invalid(hdfs: &Hdfs) {
    let stored = noise(5000, 3);
    hdfs.write("/deleted", stored.clone(), None).unwrap();
    hdfs.write("/kept", noise(5000, 4), None).unwrap();
    let (block, other) = (blocks(hdfs, "/deleted").remove(0), blocks(hdfs, "/kept").remove(0));
    let local = ShortCircuit::new(settings(hdfs));
    let replica = open(&local, hdfs, &block).unwrap();
    let kept = open(&local, hdfs, &other).unwrap();
    assert!(replica.is_valid());
    hdfs.delete("/deleted").unwrap();
    within(LIMIT, "the DataNode invalidates the slot", || !replica.is_valid());
    assert!(kept.is_valid(), "another block's slot is left alone");
    // The descriptor still reads, but the cache does not give it any more.
    assert!(bytes(&replica) == stored);
    assert!(matches!(open(&local, hdfs, &block), Err(OpenError::Refused { .. })));
}

fn a_moved_generation_is_asked_again(hdfs: &Hdfs) {
    let (first, more) = (noise(1300, 5), noise(700, 6));
    hdfs.write("/grown", first.clone(), None).unwrap();
    let block = blocks(hdfs, "/grown").remove(0);
    let local = ShortCircuit::new(settings(hdfs));
    let replica = open(&local, hdfs, &block).unwrap();
    let file = hdfs.folder().join("more");
    std::fs::write(&file, &more).unwrap();
    run(hdfs, "org.apache.hadoop.fs.FsShell", &["-appendToFile", file.to_str().unwrap(), "/grown"]);

    let grown = blocks(hdfs, "/grown").remove(0);
    assert_eq!((grown.id, grown.len), (block.id, 2000));
    assert!(grown.generation > block.generation);
    let again = open(&local, hdfs, &grown).unwrap();
    assert!(!Arc::ptr_eq(&replica, &again));
    assert!(bytes(&again) == [first, more].concat());
    assert_eq!(again.block(), &grown);
    // The old generation is nowhere any more.
    let error = open(&local, hdfs, &block).unwrap_err();
    assert_eq!(error.reason(), Reason::Refused, "{error}");
}

fn a_dead_datanodes_slots_are_void(hdfs: &Hdfs) {
    let block = blocks(hdfs, "/kept").remove(0);
    let mut settings = settings(hdfs);
    settings.rest_after_failure = Duration::from_millis(100);
    let local = ShortCircuit::new(settings);
    let replica = open(&local, hdfs, &block).unwrap();
    hdfs.datanode(0).kill();
    assert!(!replica.is_valid());
    let error = open(&local, hdfs, &block).unwrap_err();
    assert_eq!(error.reason(), Reason::NoSocket, "{error}");
    hdfs.datanode(0).start().unwrap();
    let mut again = None;
    within(LIMIT, "the DataNode serves again", || {
        again = open(&local, hdfs, &block).ok();
        again.is_some()
    });
    let again = again.unwrap();
    assert!(again.is_valid() && again.has_slot() && !replica.is_valid());
    assert!(bytes(&again) == bytes(&replica));
}

#[test]
fn a_datanode_without_shared_memory_passes_descriptors_all_the_same() {
    let off = ("dfs.short.circuit.shared.memory.watcher.interrupt.check.ms".to_owned(), "0".to_owned());
    let hdfs = Hdfs::start(&HdfsOptions { hdfs_properties: vec![off], ..HdfsOptions::default() }).unwrap();
    let stored = noise(3000, 7);
    hdfs.write("/in", stored.clone(), None).unwrap();
    let local = ShortCircuit::new(settings(&hdfs));
    let replica = open(&local, &hdfs, &blocks(&hdfs, "/in")[0]).unwrap();
    assert!(!replica.has_slot() && replica.is_valid());
    assert!(bytes(&replica) == stored);
}

#[test]
fn a_replica_locked_in_memory_can_be_anchored() {
    let properties = [
        ("dfs.datanode.max.locked.memory", "65536"),
        // How often the NameNode looks at its directives, and the DataNode says what it has locked.
        ("dfs.namenode.path.based.cache.refresh.interval.ms", "500"),
        ("dfs.cachereport.intervalMsec", "500"),
    ];
    let hdfs_properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let hdfs = Hdfs::start(&HdfsOptions { hdfs_properties, ..HdfsOptions::default() }).unwrap();
    let stored = noise(10_000, 8);
    hdfs.write("/in", stored.clone(), None).unwrap();
    let block = blocks(&hdfs, "/in").remove(0);
    let local = ShortCircuit::new(settings(&hdfs));
    let early = open(&local, &hdfs, &block).unwrap();
    assert!(early.anchor().is_none(), "not locked yet");

    let admin = "org.apache.hadoop.hdfs.tools.CacheAdmin";
    run(&hdfs, admin, &["-addPool", "pool"]);
    let added = run(&hdfs, admin, &["-addDirective", "-path", "/in", "-pool", "pool"]);
    let directive = added.split_whitespace().last().unwrap().to_owned();
    let mut anchor = None;
    within(LIMIT, "the replica is locked in memory", || {
        anchor = open(&local, &hdfs, &block).unwrap().anchor();
        anchor.is_some()
    });
    run(&hdfs, admin, &["-removeDirective", &directive]);
    within(LIMIT, "no further anchors are allowed", || early.anchor().is_none());
    assert!(early.is_valid() && bytes(&early) == stored);
    std::thread::sleep(Duration::from_secs(2));
    assert!(locked_memory(&hdfs) >= stored.len() as u64, "unlocked under an anchor");
    drop(anchor);
    within(LIMIT, "the replica is unlocked", || locked_memory(&hdfs) == 0);
}

/// How many bytes the DataNode's process has locked in memory.
fn locked_memory(hdfs: &Hdfs) -> u64 {
    let pid = hdfs.datanode(0).pid().unwrap();
    let status = read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
