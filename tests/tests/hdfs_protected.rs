//! Clusters that protect data on its way are read through `hdfs-native`, which knows how; replicas of this host do not travel.

mod cluster;

use cluster::{Cluster, SlowFeed, numbered, put, without_short_circuit};
use forebay_fixtures::HdfsOptions;

const MIB: usize = 1 << 20;

#[test]
fn protected_data_comes_through_hdfs_native_and_whole() {
    // Without Kerberos a DataNode encrypts with keys that go with block tokens, and heeds no other protection.
    for properties in [
        &[("dfs.encrypt.data.transfer", "true"), ("dfs.block.access.token.enable", "true")][..],
        &[("dfs.data.transfer.protection", "privacy")],
    ] {
        let hdfs_properties = properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let options = HdfsOptions { block_size: MIB as u64, hdfs_properties, ..HdfsOptions::default() };
        let hdfs = Cluster::start(&options).unwrap();
        let bytes = numbered(3 * MIB);
        put(&hdfs, &bytes, "/in");
        let conf = without_short_circuit(&hdfs);
        let args = ["hdfs:///in", "--hdfs-timeout", "120"];
        let report = SlowFeed::start_with(&hdfs, &args, conf.path()).finish_with(&bytes);
        assert_eq!(report["remote_bytes"]["off"], bytes.len(), "{properties:?}: {report}");
        assert_eq!(report["remote_reads"]["direct_bytes"], 0, "{properties:?}: {report}");
        let report = SlowFeed::start(&hdfs, &args).finish_with(&bytes);
        assert_eq!(report["local_bytes_verified"], bytes.len(), "{properties:?}: {report}");
    }
}
