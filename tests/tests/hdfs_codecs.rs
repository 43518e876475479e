//! Hadoop is the oracle for compressed files, too: what its codecs write to a real HDFS, and the codecs' own tools, is fed as the records that
//! its own `TextInputFormat` reads.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cluster;

use std::fs::{self, File};
use std::process::Command;

use cluster::{Cluster, fed, feed_command, shared, tool, without_short_circuit};
use forebay_feeder::{LineEnding, Settings};
use forebay_fixtures::HdfsOptions;
use forebay_fixtures::corpus::{LineFile, line_file, tfrecords};
use forebay_fixtures::oracle::{OracleJob, text_splits};
use forebay_record::{Format, Terminator};
use forebay_split::Shard;
use forebay_tests::said;

const BLOCK: u64 = 64 << 10;

fn options() -> HdfsOptions {
    HdfsOptions { block_size: BLOCK, ..HdfsOptions::default() }
}

/// Hadoop's codecs that need no native code, and the suffixes of their files.
const CODECS: [(&str, &str); 5] = [
    ("GzipCodec", "gz"),
    ("DefaultCodec", "deflate"),
    ("BZip2Codec", "bz2"),
    ("SnappyCodec", "snappy"),
    ("Lz4Codec", "lz4"),
];

/// Lines with every trouble that they can have, over some blocks also when they are compressed.
fn lines(seed: u64, at_least: usize) -> Vec<u8> {
    line_file(
        seed,
        LineFile {
            at_least,
            long_line: 3500,
            byte_order_mark: seed.is_multiple_of(2),
            no_last_terminator: seed % 4 < 2,
        },
    )
}

/// Has Hadoop write these bytes with all codecs into a folder.
fn write_all(cluster: &Cluster, folder: &str, bytes: &[u8], at_once: usize) -> Vec<String> {
    let local = tempfile::NamedTempFile::new().unwrap();
    fs::write(local.path(), bytes).unwrap();
    let paths: Vec<_> = CODECS.iter().map(|(_, suffix)| format!("{folder}/in.{suffix}")).collect();
    let at_once = at_once.to_string();
    let mut args = vec![local.path().to_str().unwrap(), &at_once];
    for ((codec, _), path) in CODECS.iter().zip(&paths) {
        args.extend([*codec, path]);
    }
    tool(cluster, "CodecFiles", &args);
    paths
}

fn uri(cluster: &Cluster, path: &str) -> String {
    format!("{}{path}", cluster.uri())
}

/// Feeds each file, over the network and from this host's replicas, and compares with what Hadoop reads of it.
fn check(cluster: &Cluster, paths: &[String]) {
    let jobs: Vec<_> = paths
        .iter()
        .map(|path| OracleJob { uri: uri(cluster, path), split_size: 1 << 30, delimiter: None })
        .collect();
    let oracle = text_splits(cluster.artifacts(), Some(cluster.conf_dir()), &jobs).unwrap();
    for (job, splits) in jobs.iter().zip(oracle) {
        let [wanted] = &splits[..] else { panic!("{} splits of {}", splits.len(), job.uri) };
        let wanted: Vec<u8> = wanted.iter().flat_map(|record| [record, &b"\n"[..]].concat()).collect();
        let settings = Settings { line_ending: LineEnding::Lf, ..Settings::default() };
        let got = fed(&job.uri, &Format::Lines(Terminator::Any), Some(BLOCK), Shard::WHOLE, &settings);
        assert!(got == wanted, "{}: {} bytes, and Hadoop has {}", job.uri, got.len(), wanted.len());
        let output = feed_command(cluster, &[&job.uri, "--line-ending", "lf"]).output().unwrap();
        assert!(output.status.success(), "{}: {}", job.uri, said(&output));
        assert!(output.stdout == wanted, "{} from local replicas: {} bytes", job.uri, output.stdout.len());
    }
}

#[test]
fn what_hadoops_codecs_write_is_fed_as_the_lines_that_hadoop_reads() {
    let cluster = shared(&options());
    let mut all = Vec::new();
    for (seed, at_least, at_once) in [(0, 700_000, 4096), (1, 6000, 100), (2, 900_000, 1 << 20), (3, 100, 7)]
    {
        all.extend(write_all(&cluster, &format!("/codecs/{seed}"), &lines(seed, at_least), at_once));
    }
    all.extend(write_all(&cluster, "/codecs/nothing", b"", 1));
    check(&cluster, &all);
}

#[test]
fn what_tools_write_is_fed_as_the_lines_that_hadoop_reads() {
    let cluster = shared(&options());
    let local = tempfile::NamedTempFile::new().unwrap();
    let mut paths = Vec::new();
    for (tool, suffix) in [("gzip", "gz"), ("bzip2", "bz2")] {
        let mut members = Vec::new();
        for seed in 0..3 {
            fs::write(local.path(), lines(seed, 200_000)).unwrap();
            let output = Command::new(tool).stdin(File::open(local.path()).unwrap()).output().unwrap();
            assert!(output.status.success(), "{tool}");
            members.extend(output.stdout);
        }
        let path = format!("/tools/in.{suffix}");
        cluster.write(&path, members, Some(BLOCK)).unwrap();
        paths.push(path);
    }
    check(&cluster, &paths);
}

#[test]
fn a_compressed_file_that_is_cut_fails_the_feed_with_its_name() {
    let cluster = shared(&options());
    for path in write_all(&cluster, "/whole", &lines(1, 300_000), 4096) {
        let stored = cluster.read(&path).unwrap();
        let cut = path.replace("whole", "cut");
        cluster.write(&cut, stored[..stored.len() - 5].to_vec(), Some(BLOCK)).unwrap();
        let output = feed_command(&cluster, &[&uri(&cluster, &cut)]).output().unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&cut) && said.contains("it ends in the middle of"), "{said}");
    }
}

#[test]
fn tfrecords_are_fed_each_once_from_replicas_and_over_the_network() {
    let cluster = shared(&options());
    let records = tfrecords(1, 1 << 20, 100_000);
    cluster.write("/records/in.tfrecord", records.concat(), Some(BLOCK)).unwrap();
    let uri = uri(&cluster, "/records/in.tfrecord");
    let network_only = without_short_circuit(&cluster);
    for conf in [cluster.conf_dir(), network_only.path()] {
        let shares = ["0/2", "1/2"].map(|share| {
            let mut feed = feed_command(&cluster, &[&uri, "--shard", share]);
            let output = feed.env("HADOOP_CONF_DIR", conf).output().unwrap();
            assert!(output.status.success(), "{}", said(&output));
            output.stdout
        });
        let mut wanted = [Vec::new(), Vec::new()];
        let mut at = 0;
        for record in &records {
            wanted[(at / usize::try_from(BLOCK).unwrap()) % 2].extend_from_slice(record);
            at += record.len();
        }
        assert!(shares == wanted, "{} and {} bytes", shares[0].len(), shares[1].len());
    }
    let mut bytes = records.concat();
    bytes.pop();
    cluster.write("/records/cut.tfrecord", bytes, Some(BLOCK)).unwrap();
    let output = feed_command(&cluster, &[&uri.replace("in.", "cut.")]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("/records/cut.tfrecord") && said(&output).contains("the file ends at byte")
    );
}

#[test]
fn archives_come_whole_from_replicas_and_over_the_network() {
    let cluster = shared(&options());
    let room = tempfile::tempdir().unwrap();
    let mut wanted: Vec<u8> = Vec::new();
    for name in ["a", "b"] {
        for (i, len) in [(1, 10), (2, 200_000), (3, 3000), (4, 65_536)] {
            fs::write(room.path().join(format!("{name}{i}.bin")), name.repeat(len)).unwrap();
        }
        let archive = format!("tar --record-size=1024 -cf {name}.tar {name}?.bin");
        let made = Command::new("sh").args(["-c", &archive]).current_dir(room.path()).status().unwrap();
        assert!(made.success());
        let bytes = fs::read(room.path().join(format!("{name}.tar"))).unwrap();
        wanted.extend(&bytes[..bytes.len() - 1024]);
        let cut = bytes[..bytes.len() - 1024].to_vec();
        cluster.write(&format!("/archives/whole/{name}.tar"), bytes, Some(BLOCK)).unwrap();
        cluster.write(&format!("/archives/cut/{name}.tar"), cut, Some(BLOCK)).unwrap();
    }
    let network_only = without_short_circuit(&cluster);
    for conf in [cluster.conf_dir(), network_only.path()] {
        let mut feed = feed_command(&cluster, &["--format=tar", &uri(&cluster, "/archives/whole")]);
        let output = feed.env("HADOOP_CONF_DIR", conf).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert!(output.stdout == wanted, "{} bytes of {}", output.stdout.len(), wanted.len());
    }
    let output =
        feed_command(&cluster, &["--format=tar", &uri(&cluster, "/archives/cut/a.tar")]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(
        said.contains("/archives/cut/a.tar") && said.contains("without the two blocks of zeros"),
        "{said}"
    );
}
