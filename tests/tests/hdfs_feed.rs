//! `forebay feed` from a real HDFS, as a user runs it.

mod cluster;

use std::io::Read;
use std::process::Stdio;

use cluster::{feed_command, numbered, shared, start_feed, write_files};
use forebay_fixtures::HdfsOptions;
use forebay_fixtures::corpus::LogText;
use forebay_fixtures::model::Multiset;
use forebay_tests::said;

const MIB: usize = 1 << 20;

fn options() -> HdfsOptions {
    HdfsOptions { block_size: MIB as u64, ..HdfsOptions::default() }
}

#[test]
fn three_shards_in_three_processes_hold_each_record_once() {
    let hdfs = shared(&options());
    let mut text = Vec::new();
    LogText::new(7).write_to(&mut text, 20 * MIB as u64 + 12_345).unwrap();
    hdfs.write("/shards/log", text.clone(), None).unwrap();
    let uri = format!("{}/shards", hdfs.uri());
    let folder = tempfile::tempdir().unwrap();
    let feeds: Vec<_> = (0..3)
        .map(|i| {
            let out = folder.path().join(i.to_string());
            let shard = format!("{i}/3");
            let args =
                [uri.as_str(), "--shard", &shard, "--", "sh", "-c", "cat > \"$0\"", out.to_str().unwrap()];
            (feed_command(&hdfs, &args).stderr(Stdio::piped()).spawn().unwrap(), out)
        })
        .collect();
    let mut delivered = Vec::new();
    for (feed, out) in feeds {
        let output = feed.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let share = std::fs::read(out).unwrap();
        assert!(share.len() > 5 * MIB, "a share of 7 splits has {} bytes", share.len());
        delivered.extend(share);
    }
    let lines =
        |bytes: &[u8]| bytes.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec).collect::<Multiset>();
    let differences = lines(&text).differences(&lines(&delivered), 5);
    assert!(differences.is_empty(), "{differences:?}");
    assert_eq!(delivered.len(), text.len());
}

#[test]
fn folders_globs_and_the_default_file_system() {
    let hdfs = shared(&options());
    for (path, text) in [
        ("/tree/b/2", "b2\n"),
        ("/tree/b/10", "b10\n"),
        ("/tree/a", "a\n"),
        ("/tree/_SUCCESS", "no\n"),
        ("/tree/.tmp/x", "no\n"),
        ("/tree/c", ""),
    ] {
        hdfs.write(path, text, None).unwrap();
    }
    let fed = |args: &[&str]| {
        let output = feed_command(&hdfs, args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(fed(&["hdfs:///tree"]), "a\nb10\nb2\n");
    assert_eq!(fed(&["hdfs:///tree/b/2", "hdfs:///tree/a"]), "b2\na\n");
    assert_eq!(fed(&[&format!("{}/tree/{{a,b/1*}}", hdfs.uri())]), "a\nb10\n");
    assert_eq!(fed(&["hdfs:///tree//b/"]), "b10\nb2\n");
    assert_eq!(fed(&["hdfs:///tree/?", "--epochs", "2"]), "a\nb10\nb2\na\nb10\nb2\n");
    let failed = feed_command(&hdfs, &["hdfs:///tree/nothing*"]).output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(said(&failed).contains("nothing matches hdfs:///tree/nothing*"), "{}", said(&failed));
}

#[test]
fn many_blocks_arrive_whole_within_the_memory_budget() {
    let hdfs = shared(&options());
    let bytes = numbered(200 * MIB);
    // Large blocks and few: as much as possible is fetched ahead.
    hdfs.write("/large", bytes.clone(), Some(64 * MIB as u64)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let uri = format!("{}/large", hdfs.uri());
    let (child, mut stdout) = start_feed(&hdfs, &[&uri, "--report", report.to_str().unwrap()]);
    let mut got = Vec::with_capacity(bytes.len());
    stdout.read_to_end(&mut got).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(got == bytes, "other bytes than stored");
    let report: serde_json::Value = serde_json::from_reader(std::fs::File::open(report).unwrap()).unwrap();
    let peak = report["peak_memory_bytes"].as_u64().unwrap();
    assert!(peak < 64 << 20, "{peak} bytes at the peak");
    assert_eq!((&report["bytes_copied"], &report["local_bytes"]), (&0.into(), &report["bytes"]), "{report}");
    assert_eq!(report["splits"], 4);
}

#[test]
fn many_small_files_arrive_in_order() {
    let hdfs = shared(&options());
    let wanted = (0..200).map(|i| format!("line {i:03}\n")).collect::<Vec<_>>().concat();
    // Without a final newline each.
    let files: Vec<_> =
        (0..200).map(|i| (format!("/small/{i:03}"), format!("line {i:03}").into_bytes())).collect();
    write_files(&hdfs, &files);
    let output = feed_command(&hdfs, &["hdfs:///small"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(output.stdout == wanted.as_bytes(), "{}", said(&output));
}
