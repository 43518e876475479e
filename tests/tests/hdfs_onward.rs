//! A reader that moves its input onward without looking at it, and looks much later: what it has moved stays what it was.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod cluster;

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use cluster::{Cluster, SlowFeed, numbered, without_short_circuit};
use forebay_fixtures::HdfsOptions;
use rustix::pipe::{SpliceFlags, pipe, splice, tee};
use serde_json::Value;

const MIB: usize = 1 << 20;
/// What a pipe holds by default.
const KEPT: usize = 64 << 10;

/// Reads a feed, and keeps some of it in pipes that are read when the feed has ended: parts that were spliced out of its output,
/// and parts that were shown by `tee` and then read there, too.
fn kept_long(hdfs: &Cluster, conf: &Path, args: &[&str], wanted: &[u8]) -> Value {
    let mut feed = SlowFeed::start_with(hdfs, args, conf);
    let mut kept: Vec<(OwnedFd, usize, usize)> = Vec::new();
    let mut at = 0;
    while at + MIB + KEPT < wanted.len() {
        let (read, write) = pipe().unwrap();
        let flags = SpliceFlags::empty();
        let is_shown = kept.len() % 2 == 1;
        let len = if is_shown {
            tee(feed.stdout(), &write, KEPT, flags).unwrap()
        } else {
            splice(feed.stdout(), None, &write, None, KEPT, flags).unwrap()
        };
        assert!(len > 0, "the feed has ended at byte {at} of {}", wanted.len());
        kept.push((read, at, len));
        at += if is_shown { 0 } else { len };
        feed.got.clear();
        feed.read(MIB);
        assert!(feed.got == wanted[at..at + MIB], "{args:?}: other bytes from {at} on");
        at += MIB;
    }
    feed.got.clear();
    let report = feed.finish_with(&wanted[at..]);
    for (pipe, at, len) in kept {
        let mut bytes = Vec::new();
        File::from(pipe).read_to_end(&mut bytes).unwrap();
        assert!(bytes == wanted[at..at + len], "{args:?}: other bytes were kept from {at} on");
    }
    report
}

#[test]
fn what_a_reader_has_moved_onward_stays_what_it_was() {
    let options = HdfsOptions { block_size: 8 * MIB as u64, ..HdfsOptions::default() };
    let hdfs = Cluster::start(&options).unwrap();
    let bytes = numbered(48 * MIB);
    hdfs.write("/in", bytes.clone(), None).unwrap();
    let remote = without_short_circuit(&hdfs);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &bytes).unwrap();
    let kept_long = |conf: &Path, args: &[&str]| kept_long(&hdfs, conf, args, &bytes);

    kept_long(remote.path(), &[file.path().to_str().unwrap()]);
    // Moved, unchecked, and through memory.
    for more in [&[][..], &["--no-verify"], &["--report-checksums"]] {
        let args = [&["hdfs:///in"], more].concat();
        let report = kept_long(hdfs.conf_dir(), &args);
        assert_eq!(report["local_bytes"], bytes.len(), "{report}");
        let report = kept_long(remote.path(), &args);
        assert_eq!(report["remote_reads"]["direct_bytes"], bytes.len(), "{report}");
    }
}
