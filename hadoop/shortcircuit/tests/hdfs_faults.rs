//! What breaks at a real DataNode, and what the caller sees of it: an error in time that says what and why.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod support;

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use forebay_fixtures::{Hdfs, HdfsOptions};
use forebay_hadoop::namenode::LocatedBlock;
use forebay_shortcircuit::{Block, Fault, MetaError, OpenError, Reason, ReplicaError, ShortCircuit, Token};
use support::{blocks, bytes, located, noise, open, port, settings, socket_settings, within};

const LIMIT: Duration = Duration::from_secs(30);

fn start(properties: &[(&str, &str)]) -> Hdfs {
    let hdfs_properties = properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Hdfs::start(&HdfsOptions { hdfs_properties, ..HdfsOptions::default() }).unwrap()
}

/// A file below a folder.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    fs::read_dir(folder).unwrap().find_map(|entry| {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            find(&entry.path(), name)
        } else {
            (entry.file_name().to_str() == Some(name)).then(|| entry.path())
        }
    })
}

#[test]
fn a_frozen_datanode_is_given_up_in_time() {
    let hdfs = start(&[]);
    hdfs.write("/in", noise(1000, 1), None).unwrap();
    hdfs.write("/other", noise(1000, 2), None).unwrap();
    let (block, other) = (blocks(&hdfs, "/in").remove(0), blocks(&hdfs, "/other").remove(0));
    let mut settings = settings(&hdfs);
    settings.timeout = Duration::from_millis(700);
    settings.rest_after_failure = Duration::from_millis(300);
    let local = ShortCircuit::new(settings);
    let replica = open(&local, &hdfs, &block).unwrap();
    let timed = |block: &Block| {
        let begin = Instant::now();
        let outcome = open(&local, &hdfs, block);
        assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
        outcome
    };
    let silent = hdfs.datanode(0).stop();
    let error = timed(&other).unwrap_err();
    assert_eq!(error.reason(), Reason::TimedOut, "{error}");
    assert!(error.to_string().contains("no answer within 0.7 s"), "{error}");
    let error = timed(&other).unwrap_err();
    assert!(matches!(error, OpenError::Resting { reason: Reason::TimedOut, .. }), "{error}");
    // What is open needs no DataNode.
    assert!(replica.is_valid() && timed(&block).is_ok());
    // Giving back to one that does not answer keeps nobody.
    drop(replica);
    let begin = Instant::now();
    local.forget(&block, port(&hdfs, 0));
    assert!(begin.elapsed() < Duration::from_millis(300));
    silent.cont();
    within(LIMIT, "the DataNode serves again", || open(&local, &hdfs, &other).is_ok());
    assert!(open(&local, &hdfs, &block).unwrap().is_valid());
}

#[test]
fn a_datanode_that_passes_no_descriptors_says_so_and_is_left_alone() {
    let hdfs = start(&[
        ("dfs.client.read.shortcircuit", "false"),
        ("dfs.client.domain.socket.data.traffic", "true"),
    ]);
    hdfs.write("/in", noise(1000, 1), None).unwrap();
    let block = blocks(&hdfs, "/in").remove(0);
    let local = ShortCircuit::new(socket_settings(&hdfs));
    let error = open(&local, &hdfs, &block).unwrap_err();
    assert!(matches!(error, OpenError::Unsupported { .. }), "{error}");
    let error = open(&local, &hdfs, &block).unwrap_err();
    let OpenError::Resting { left, reason, .. } = &error else { panic!("{error}") };
    assert!(*left > Duration::from_secs(500) && *reason == Reason::Unsupported, "{error}");
}

#[test]
fn a_block_is_had_with_its_token_and_with_no_other() {
    let hdfs = start(&[("dfs.block.access.token.enable", "true")]);
    hdfs.write("/in", noise(1000, 1), None).unwrap();
    hdfs.write("/other", noise(1000, 2), None).unwrap();
    let LocatedBlock { block, token, .. } = located(&hdfs, "/in").remove(0);
    let others = located(&hdfs, "/other").remove(0).token;
    let mut settings = settings(&hdfs);
    settings.cached = 0;
    let local = ShortCircuit::new(settings);
    let ask = |token: &Token| local.open(&block, token, port(&hdfs, 0));
    assert!(bytes(&ask(&token).unwrap()) == noise(1000, 1));

    let forged = Token::new(token.identifier.clone(), "correct horse", token.kind.clone(), "");
    for token in [Token::default(), forged, others] {
        let error = ask(&token).unwrap_err();
        assert!(matches!(error, OpenError::Token { .. }), "{error}");
        let text = format!("{error} {error:?}");
        assert!(text.contains(&block.to_string()) && !text.contains("horse"), "{text}");
    }
    // At an identifier that it cannot read, a DataNode drops the connection without a word.
    let error = ask(&Token::new(noise(60, 3), "correct horse", "HDFS_BLOCK_TOKEN", "")).unwrap_err();
    assert!(matches!(error, OpenError::Exchange { source: Fault::Closed, .. }), "{error}");
    assert!(ask(&token).unwrap().is_valid());
}

#[test]
fn broken_files_are_errors_that_name_what_is_broken() {
    let hdfs = start(&[]);
    let broken = |name: &str, breaks: &dyn Fn(&Block, PathBuf, PathBuf)| {
        hdfs.write(name, noise(2000, 4), None).unwrap();
        let block = blocks(&hdfs, name).remove(0);
        let file = find(&hdfs.data_dir(0), &format!("blk_{}", block.id)).unwrap();
        let meta = find(&hdfs.data_dir(0), &format!("blk_{}_{}.meta", block.id, block.generation)).unwrap();
        breaks(&block, file, meta);
        let error = open(&ShortCircuit::new(settings(&hdfs)), &hdfs, &block).unwrap_err();
        assert!(error.to_string().contains(&block.to_string()), "{error}");
        error
    };
    let cut = |path: PathBuf, len| OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();

    let error = broken("/no-meta", &|_, _, meta| fs::remove_file(meta).unwrap());
    assert_eq!(error.reason(), Reason::Refused, "{error}");
    let error = broken("/no-block", &|_, file, _| fs::remove_file(file).unwrap());
    assert_eq!(error.reason(), Reason::Refused, "{error}");
    let meta = |error| match error {
        OpenError::Replica { source: ReplicaError::Meta(error), .. } => error,
        other => panic!("{other}"),
    };
    let error = meta(broken("/short-meta", &|_, _, meta| cut(meta, 22)));
    assert!(matches!(error, MetaError::Short { have: 22, want: 23 }), "{error}");
    let error = meta(broken("/empty-meta", &|_, _, meta| cut(meta, 0)));
    assert!(matches!(error, MetaError::Short { have: 0, want: 7 }), "{error}");
    let error = meta(broken("/odd-meta", &|_, _, meta| fs::write(meta, [0, 1, 9, 0, 0, 2, 0]).unwrap()));
    assert!(matches!(error, MetaError::Type(9)), "{error}");
    let error = broken("/short-block", &|_, file, _| cut(file, 1999));
    let short = matches!(error, OpenError::Replica { source: ReplicaError::Short { have: 1999, .. }, .. });
    assert!(short, "{error}");
}

#[test]
fn checksums_of_all_kinds_are_recognised() {
    use forebay_shortcircuit::ChecksumType::{Crc32, Crc32c, Null};
    let hdfs = start(&[]);
    for (name, kind, chunk) in [("CRC32", Crc32, 4096), ("CRC32C", Crc32c, 1024), ("NULL", Null, 512)] {
        let path = format!("/{name}");
        let file = hdfs.folder().join("local");
        fs::write(&file, noise(5000, 5)).unwrap();
        let (kind_option, chunk_option) =
            (format!("-Ddfs.checksum.type={name}"), format!("-Ddfs.bytes-per-checksum={chunk}"));
        let args = [&kind_option, &chunk_option, "-put", file.to_str().unwrap(), &path];
        support::run(&hdfs, "org.apache.hadoop.fs.FsShell", &args);
        let block = blocks(&hdfs, &path).remove(0);
        let replica = open(&ShortCircuit::new(settings(&hdfs)), &hdfs, &block).unwrap();
        assert_eq!(replica.header().checksum, kind);
        assert!(kind == Null || replica.header().bytes_per_checksum == chunk);
        assert_eq!(replica.meta_file().metadata().unwrap().len(), replica.header().file_len(5000));
        assert!(bytes(&replica) == noise(5000, 5));
    }
}
