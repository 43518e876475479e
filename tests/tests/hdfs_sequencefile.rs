//! Hadoop is the oracle for SequenceFiles, too: of each split of files that its own writer made on a real HDFS, the records that its
//! `SequenceFileInputFormat` reads are fed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cluster;

use cluster::{Cluster, fed, feed_command, shared};
use forebay_feeder::Settings;
use forebay_fixtures::HdfsOptions;
use forebay_fixtures::oracle::{OracleJob, sequence_splits};
use forebay_record::{Fields, Format, Framing, SequenceRecords};
use forebay_split::Shard;
use forebay_tests::said;

const BLOCK: u64 = 16 << 10;

fn options() -> HdfsOptions {
    HdfsOptions { block_size: BLOCK, ..HdfsOptions::default() }
}

/// Has Hadoop write files, and gives their paths.
fn write(cluster: &Cluster, folder: &str, seed: u32, records: u32) -> Vec<String> {
    let codecs = ["DefaultCodec", "GzipCodec", "BZip2Codec", "SnappyCodec", "Lz4Codec"];
    let (folder, seed, records) =
        (format!("{}{folder}", cluster.uri()), seed.to_string(), records.to_string());
    let args = [&[&*folder, &*seed, &*records][..], &codecs].concat();
    let output = cluster.java("SequenceFiles", &args).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn framed(fields: &[Vec<u8>]) -> Vec<u8> {
    let length = |field: &[u8]| u32::try_from(field.len()).unwrap().to_le_bytes();
    fields.iter().flat_map(|field| [&length(field)[..], field].concat()).collect()
}

/// Feeds every split of every file alone, and compares what arrives with what Hadoop reads.
fn check(cluster: &Cluster, files: &[String], split_size: u64) {
    let jobs: Vec<_> =
        files.iter().map(|uri| OracleJob { uri: uri.clone(), split_size, delimiter: None }).collect();
    let oracle = sequence_splits(cluster.artifacts(), Some(cluster.conf_dir()), &jobs).unwrap();
    let format = Format::Sequence(SequenceRecords { fields: Fields::KeyValue, framing: Framing::Length });
    for (job, splits) in jobs.iter().zip(&oracle) {
        let count = u32::try_from(splits.len()).unwrap();
        for (k, wanted) in (0..count).zip(splits) {
            let shard = Shard::new(k, count).unwrap();
            let got = fed(&job.uri, &format, Some(split_size), shard, &Settings::default());
            let wanted = framed(wanted);
            let at = || format!("split {k} of {count} of {} cut every {split_size} bytes", job.uri);
            assert!(got == wanted, "{}: {} bytes, and Hadoop has {}", at(), got.len(), wanted.len());
        }
        // From this host's replicas, all of it.
        let args = ["--format=sequencefile", "--framing=length", "--sequencefile=key-value", &job.uri];
        let output = feed_command(cluster, &args).output().unwrap();
        assert!(output.status.success(), "{}: {}", job.uri, said(&output));
        assert!(output.stdout == framed(&splits.concat()), "{} from local replicas", job.uri);
    }
}

#[test]
fn records_of_each_split_of_what_hadoop_writes_equal_hadoops() {
    let cluster = shared(&options());
    let files = write(&cluster, "/sequence/many", 1, 150);
    assert!(files.len() >= 4 * 9, "Hadoop wrote only {files:?}");
    check(&cluster, &files, 20_000);
    check(&cluster, &files[..2], 2500);
    check(&cluster, &write(&cluster, "/sequence/one", 2, 1)[..6], 100);
    check(&cluster, &write(&cluster, "/sequence/none", 3, 0)[..6], 100);
}

#[test]
fn lines_of_texts_equal_hadoops_and_a_file_that_is_cut_fails_the_feed_with_its_name() {
    let cluster = shared(&options());
    let files = write(&cluster, "/sequence/lines", 4, 60);
    for uri in files.iter().filter(|uri| uri.ends_with("-0")) {
        let job = OracleJob { uri: uri.clone(), split_size: 1 << 30, delimiter: None };
        let oracle = sequence_splits(cluster.artifacts(), Some(cluster.conf_dir()), &[job]).unwrap();
        let [fields] = &oracle[0][..] else { panic!("one split") };
        let lines: Vec<u8> =
            fields.chunks(2).flat_map(|pair| [&pair[0][..], b"\t", &pair[1], b"\n"].concat()).collect();
        let args = ["--format", "sequencefile", "--sequencefile", "key-value"];
        let output = feed_command(&cluster, &[&args[..], &[uri]].concat()).output().unwrap();
        assert!(output.stdout == lines, "{uri}: {}", said(&output));

        let path = uri.strip_prefix(&cluster.uri()).unwrap();
        let stored = cluster.read(path).unwrap();
        let cut = path.replace("lines", "cut");
        cluster.write(&cut, stored[..stored.len() - 3].to_vec(), Some(BLOCK)).unwrap();
        let output = feed_command(&cluster, &[&args[..], &[&format!("{}{cut}", cluster.uri())]].concat())
            .output()
            .unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&cut) && said.contains("it ends in the middle of a "), "{said}");
    }
}
