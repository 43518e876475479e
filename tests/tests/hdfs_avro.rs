//! Avro's own library is the oracle for Avro files: of each split of files that its writer made on a real HDFS, the records that its reader
//! reads, asked as its `AvroInputFormat` asks it, are fed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cluster;

use cluster::{Cluster, fed, feed_command, shared};
use forebay_feeder::Settings;
use forebay_fixtures::HdfsOptions;
use forebay_fixtures::avro::framed;
use forebay_fixtures::oracle::{OracleJob, avro_splits};
use forebay_record::{Format, Framing};
use forebay_split::Shard;
use forebay_tests::said;

const BLOCK: u64 = 16 << 10;

/// Has Avro write files, and gives their paths.
fn write(cluster: &Cluster, folder: &str, seed: u32, records: u32) -> Vec<String> {
    let (folder, seed, records) =
        (format!("{}{folder}", cluster.uri()), seed.to_string(), records.to_string());
    let args = [&*folder, &*seed, &*records, "null", "deflate", "snappy", "bzip2"];
    let output = cluster.java("AvroFiles", args).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn all_framed(records: &[Vec<u8>]) -> Vec<u8> {
    records.iter().flat_map(|record| framed(record)).collect()
}

/// Feeds every split of every file alone, and compares what arrives with what Avro reads. How many records there were.
fn check(cluster: &Cluster, files: &[(&String, u64)]) -> usize {
    let job =
        |&(uri, split_size): &(&String, u64)| OracleJob { uri: uri.clone(), split_size, delimiter: None };
    let jobs: Vec<_> = files.iter().map(job).collect();
    let oracle = avro_splits(cluster.artifacts(), Some(cluster.conf_dir()), &jobs).unwrap();
    for (job, splits) in jobs.iter().zip(&oracle) {
        let (count, split_size) = (u32::try_from(splits.len()).unwrap(), job.split_size);
        for (k, wanted) in (0..count).zip(splits) {
            let shard = Shard::new(k, count).unwrap();
            let format = Format::Avro(Framing::Length);
            let got = fed(&job.uri, &format, Some(split_size), shard, &Settings::default());
            let wanted = all_framed(wanted);
            let at = || format!("split {k} of {count} of {} cut every {split_size} bytes", job.uri);
            assert!(got == wanted, "{}: {} bytes, and Avro has {}", at(), got.len(), wanted.len());
        }
        // From this host's replicas, all of it.
        let output = feed_command(cluster, &["--format=avro", &job.uri]).output().unwrap();
        assert!(output.status.success(), "{}: {}", job.uri, said(&output));
        assert!(output.stdout == splits.concat().concat(), "{} from local replicas", job.uri);
    }
    oracle.iter().flatten().map(Vec::len).sum()
}

#[test]
fn records_of_each_split_of_what_avro_writes_equal_avros() {
    let cluster = shared(&HdfsOptions { block_size: BLOCK, ..HdfsOptions::default() });
    let files = write(&cluster, "/avro", 1, 100);
    assert_eq!(files.len(), 4 * 4, "{files:?}");
    // Sizes above and below a block's; a JVM for each would take long.
    let sizes = files.iter().map(|file| (file, 40_000));
    let sizes: Vec<_> = sizes.chain(files[3..5].iter().map(|file| (file, 1000))).collect();
    assert_eq!(check(&cluster, &sizes), 16 * 100 + 2 * 100);
}
