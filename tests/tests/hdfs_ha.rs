//! Two NameNodes, of which the active one changes while files are fed.

mod cluster;

use cluster::{Cluster, SlowFeed, numbered, without_short_circuit, write_files};
use forebay_fixtures::HdfsOptions;

const MIB: usize = 1 << 20;

/// Orderly, and then by the active one's death: on one cluster.
#[test]
fn a_namenode_failed_over_midway_is_replaced_by_the_other() {
    let options = HdfsOptions { ha: true, block_size: 4 * MIB as u64, ..HdfsOptions::default() };
    let hdfs = Cluster::start(&options).unwrap();
    let bytes = numbered(128 * MIB);
    // Many files: opening each needs the NameNode.
    let parts = bytes.chunks(2 * MIB).enumerate();
    write_files(&hdfs, &parts.map(|(i, part)| (format!("/in/{i:03}"), part.to_vec())).collect::<Vec<_>>());

    let remote = without_short_circuit(&hdfs);
    for (active, other) in [(0, 1), (1, 0)] {
        // Both ask by our own client where blocks are; one then opens replicas, the other reads from DataNodes.
        let mut local = SlowFeed::start(&hdfs, &["hdfs:///in"]);
        let mut network = SlowFeed::start_with(&hdfs, &["hdfs:///in"], remote.path());
        local.read(8 * MIB);
        network.read(8 * MIB);
        if active == 1 {
            hdfs.namenode_at(active).kill();
        }
        hdfs.fail_over(active, other).unwrap();
        let report = local.finish_with(&bytes);
        // Far more than was opened before: the locations of the rest came from the other NameNode.
        assert_eq!(report["local_bytes"], bytes.len(), "{report}");
        let report = network.finish_with(&bytes);
        assert_eq!(report["remote_bytes"]["off"], bytes.len(), "{report}");
    }
}
