//! Hadoop is the oracle: on a real HDFS, each split's records equal those that Hadoop's own
//! `TextInputFormat` reads from the same split.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod cluster;

use cluster::{fed, shared};
use forebay_feeder::{LineEnding, Settings};
use forebay_fixtures::corpus::{LineFile, line_file};
use forebay_fixtures::oracle::{OracleJob, text_splits};
use forebay_fixtures::{Hdfs, HdfsOptions};
use forebay_record::{Delimiter, Format, Terminator};
use forebay_split::Shard;

const BLOCK: u64 = 1024;

fn options() -> HdfsOptions {
    HdfsOptions { block_size: BLOCK, ..HdfsOptions::default() }
}

struct Case {
    path: String,
    len: u64,
    split_size: u64,
}

/// Feeds every split of every case alone, and compares what arrives with the oracle's records.
fn check(
    hdfs: &Hdfs,
    cases: &[Case],
    delimiter: Option<&[u8]>,
    records: impl Fn(&[u8]) -> Vec<Vec<u8>>,
    settings: &Settings,
) {
    let jobs: Vec<_> = cases
        .iter()
        .map(|case| OracleJob {
            uri: format!("{}{}", hdfs.uri(), case.path),
            split_size: case.split_size,
            delimiter: delimiter.map(<[u8]>::to_vec),
        })
        .collect();
    let oracle = text_splits(hdfs.artifacts(), Some(hdfs.conf_dir()), &jobs).unwrap();
    let format = Format::Lines(match delimiter {
        None => Terminator::Any,
        Some(bytes) => Terminator::Delimiter(Delimiter::new(bytes).unwrap()),
    });
    let mut compared = 0;
    for ((case, job), splits) in cases.iter().zip(&jobs).zip(oracle) {
        assert_eq!(splits.len() as u64, case.len.div_ceil(case.split_size), "{}", case.path);
        let count = u32::try_from(splits.len()).unwrap();
        for (k, wanted) in (0..count).zip(splits) {
            let shard = Shard::new(k, count).unwrap();
            let bytes = fed(&job.uri, &format, Some(case.split_size), shard, settings);
            let got = records(&bytes);
            let at = || format!("split {k} of {count} of {} cut every {} bytes", case.path, case.split_size);
            assert_eq!(got.len(), wanted.len(), "number of records of {}", at());
            for (i, (got, wanted)) in got.iter().zip(&wanted).enumerate() {
                assert_eq!(got, wanted, "record {i} of {}", at());
            }
            compared += wanted.len();
        }
    }
    assert!(compared > 500, "only {compared} records were compared");
}

/// What stands between the pieces of a byte string that ends in the separator.
fn pieces(bytes: &[u8], separator: &[u8]) -> Vec<Vec<u8>> {
    let (mut all, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let end =
            rest.windows(separator.len()).position(|w| w == separator).expect("the last record is ended");
        all.push(rest[..end].to_vec());
        rest = &rest[end + separator.len()..];
    }
    all
}

/// Files of some blocks each, with every trouble that lines can have, and the sizes to cut them by.
fn line_cases(hdfs: &Hdfs, folder: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for seed in 0..8 {
        let wishes = LineFile {
            at_least: 6000,
            long_line: if seed % 2 == 0 { 3500 } else { 0 },
            byte_order_mark: seed % 3 == 0,
            no_last_terminator: seed % 4 < 2,
        };
        let bytes = line_file(seed, wishes);
        let path = format!("/oracle/{folder}/{seed}");
        hdfs.write(&path, bytes.clone(), Some(BLOCK)).unwrap();
        for split_size in [BLOCK, 300 + seed, 2500, 100_000] {
            cases.push(Case { path: path.clone(), len: bytes.len() as u64, split_size });
        }
    }
    cases
}

#[test]
fn lines_of_each_split_equal_hadoops() {
    let hdfs = shared(&options());
    let settings = Settings { line_ending: LineEnding::Lf, ..Settings::default() };
    check(&hdfs, &line_cases(&hdfs, "lf"), None, |bytes| pieces(bytes, b"\n"), &settings);
}

#[test]
fn lines_kept_as_stored_cut_into_hadoops_records() {
    let hdfs = shared(&options());
    // Cut again by the simplest possible reader of the three terminators.
    let cut = |bytes: &[u8]| {
        let (mut all, mut line, mut i) = (Vec::new(), Vec::new(), 0);
        while i < bytes.len() {
            match bytes[i] {
                b'\r' if bytes.get(i + 1) == Some(&b'\n') => {
                    all.push(std::mem::take(&mut line));
                    i += 1;
                }
                b'\r' | b'\n' => all.push(std::mem::take(&mut line)),
                byte => line.push(byte),
            }
            i += 1;
        }
        assert!(line.is_empty(), "the last record is ended");
        all
    };
    check(&hdfs, &line_cases(&hdfs, "keep"), None, cut, &Settings::default());
}

#[test]
fn delimited_records_of_each_split_equal_hadoops() {
    let hdfs = shared(&options());
    for delimiter in [&b"<end>"[..], b"\n", b"ab", "é;".as_bytes()] {
        let mut cases = Vec::new();
        for seed in 0..4u64 {
            // Words, line ends and parts of the delimiter, with the whole of it now and then.
            let mut rng = forebay_fixtures::corpus::Rng::new(seed);
            let mut bytes = Vec::new();
            while bytes.len() < 5000 {
                match rng.below(8) {
                    0 | 1 => bytes.extend_from_slice(delimiter),
                    2 => bytes.extend_from_slice(&delimiter[..rng.below(delimiter.len())]),
                    3 => bytes.extend_from_slice(b"\r\n"),
                    _ => bytes.extend(std::iter::repeat_n(b'x', rng.below(40))),
                }
            }
            let path = format!("/oracle/delimited-{}-{seed}", delimiter.len());
            hdfs.write(&path, bytes.clone(), Some(BLOCK)).unwrap();
            for split_size in [BLOCK, 333, 2500] {
                cases.push(Case { path: path.clone(), len: bytes.len() as u64, split_size });
            }
        }
        check(&hdfs, &cases, Some(delimiter), |bytes| pieces(bytes, delimiter), &Settings::default());
    }
}
