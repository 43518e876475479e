//! Where splits lie, as the NameNode tells: for whoever hands them out by locality.

mod cluster;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::time::Duration;

use cluster::{Cluster, numbered, write_files};
use forebay_feeder::{Hdfs, Input, Plan, PlanOptions};
use forebay_fixtures::HdfsOptions;
use forebay_record::Format;
use forebay_split::Shard;

const MIB: usize = 1 << 20;

#[test]
fn each_split_has_the_hosts_of_its_blocks_and_their_storage() {
    let options = HdfsOptions { datanodes: 2, block_size: MIB as u64, ..HdfsOptions::default() };
    let hdfs = Cluster::start(&options).unwrap();
    let files: Vec<_> = (0..30).map(|i| (format!("/in/{i:02}"), numbered(3 * MIB / 2 + i))).collect();
    write_files(&hdfs, &files);
    let shard = Shard::new(1, 2).unwrap();
    let options = PlanOptions { format: Format::Bytes, by_name: false, split_size: None, shard };
    let input = Input::parse(OsStr::new(&format!("{}/in", hdfs.uri()))).unwrap();
    let plan = Plan::new(&[input], options, Hdfs::new(Duration::from_secs(30))).unwrap();
    let locations = plan.locations().unwrap();
    let both: BTreeSet<_> = [0, 1].map(|i| hdfs.datanode_address(i)).into();
    let mut splits = 0;
    for split in plan.share() {
        splits += 1;
        let stretch = locations.stretches(split.file).iter().find(|s| s.start == split.start).unwrap();
        assert_eq!(stretch.end, split.end, "splits are blocks here");
        let at: BTreeSet<_> = stretch.replicas.iter().map(|replica| replica.address.to_string()).collect();
        assert_eq!(at, both);
        // Both DataNodes are of this host, whose bytes count once.
        let hosts = locations.hosts(&split);
        assert_eq!(hosts.len(), 1, "{hosts:?}");
        assert_eq!((&*hosts[0].host, &*hosts[0].storage), ("127.0.0.1", "DISK"));
        assert_eq!(hosts[0].bytes, split.end - split.start);
    }
    assert_eq!(splits, 30);

    hdfs.delete("/in/07").unwrap();
    let error = plan.locations().unwrap_err().to_string();
    assert!(error.contains("/in/07"), "{error}");
}
