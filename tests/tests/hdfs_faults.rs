//! What breaks on a real HDFS while it is being fed, and what a user sees of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod cluster;

use std::io::Read;
use std::process::{Child, Output};
use std::time::{Duration, Instant};

use cluster::{Cluster, feed_command, numbered, start_feed, write_files};
use forebay_fixtures::HdfsOptions;
use forebay_tests::said;

const MIB: usize = 1 << 20;

fn start(datanodes: usize) -> Cluster {
    Cluster::start(&HdfsOptions { datanodes, block_size: 4 * MIB as u64, ..HdfsOptions::default() }).unwrap()
}

/// Reads on to the end and compares all that came with what is stored.
fn read_rest(mut got: Vec<u8>, mut stdout: impl Read, child: Child, wanted: &[u8]) {
    stdout.read_to_end(&mut got).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(got.len(), wanted.len());
    assert!(got == wanted, "other bytes than stored");
}

/// Writes bytes as the many files of `/in`.
fn write_parts(hdfs: &Cluster, bytes: &[u8]) {
    let parts = bytes.chunks(2 * MIB).enumerate();
    write_files(hdfs, &parts.map(|(i, part)| (format!("/in/{i:03}"), part.to_vec())).collect::<Vec<_>>());
}

fn read_some(stdout: &mut impl Read, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    stdout.read_exact(&mut bytes).unwrap();
    bytes
}

fn failed_with(output: &Output, words: &[&str]) {
    let text = said(output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for word in words {
        assert!(text.contains(word), "no '{word}' in: {text}");
    }
    assert!(!text.contains("panicked") && !text.contains("\tat "), "{text}");
}

#[test]
fn a_datanode_killed_midway_is_replaced_by_the_other_replica() {
    let hdfs = start(2);
    // Far more than can be in flight, so that most blocks are asked for after the kill.
    let bytes = numbered(160 * MIB);
    hdfs.write("/in", bytes.clone(), None).unwrap();
    let (child, mut stdout) = start_feed(&hdfs, &["hdfs:///in"]);
    let got = read_some(&mut stdout, 8 * MIB);
    hdfs.datanode(0).kill();
    read_rest(got, stdout, child, &bytes);
}

#[test]
fn a_datanode_that_falls_silent_is_replaced_by_the_other_replica() {
    let hdfs = start(2);
    let bytes = numbered(160 * MIB);
    hdfs.write("/in", bytes.clone(), None).unwrap();
    let (child, mut stdout) = start_feed(&hdfs, &["hdfs:///in", "--hdfs-timeout", "6"]);
    let got = read_some(&mut stdout, 8 * MIB);
    let silent = hdfs.datanode(0).stop();
    read_rest(got, stdout, child, &bytes);
    silent.cont();
}

#[test]
fn a_namenode_restarted_midway_is_waited_for() {
    let hdfs = start(1);
    let bytes = numbered(96 * MIB);
    // Many files: opening each needs the NameNode.
    write_parts(&hdfs, &bytes);
    let (child, mut stdout) = start_feed(&hdfs, &["hdfs:///in"]);
    let mut got = read_some(&mut stdout, MIB);
    hdfs.namenode().kill();
    // What was opened before is fed; the rest has to wait.
    got.extend(read_some(&mut stdout, 4 * MIB));
    hdfs.namenode().start().unwrap();
    read_rest(got, stdout, child, &bytes);
}

#[test]
fn a_namenode_that_stays_away_fails_the_feed_and_the_worker_sees_no_end_of_input() {
    let hdfs = start(1);
    let bytes = numbered(96 * MIB);
    write_parts(&hdfs, &bytes);
    let folder = tempfile::tempdir().unwrap();
    let (go, end) = (folder.path().join("go"), folder.path().join("end"));
    rustix::fs::mkfifoat(rustix::fs::CWD, &go, 0o600.into()).unwrap();
    // Takes a little, says so by opening the FIFO, takes the rest once it has been told.
    let script = r#"head -c 1000000 >/dev/null; : < "$0"; cat >/dev/null; echo end > "$1""#;
    let (go_text, end_text) = (go.to_str().unwrap(), end.to_str().unwrap());
    let args = ["hdfs:///in", "--hdfs-timeout", "3", "--", "sh", "-c", script, go_text, end_text];
    let child = feed_command(&hdfs, &args).stderr(std::process::Stdio::piped()).spawn().unwrap();
    // Opening the other end returns when the worker has opened its own.
    let told = std::fs::File::options().write(true).open(&go).unwrap();
    hdfs.namenode().kill();
    drop(told);
    let output = child.wait_with_output().unwrap();
    failed_with(&output, &["cannot open", "/in/", "gave up after", &hdfs.uri()]);
    assert!(!end.exists(), "the worker saw an end of input");
}

#[test]
fn a_namenode_that_is_down_is_given_up_in_time() {
    let hdfs = start(1);
    hdfs.write("/in", "x\n", None).unwrap();
    hdfs.namenode().kill();
    let begin = Instant::now();
    let output = feed_command(&hdfs, &["hdfs:///in", "--hdfs-timeout", "2"]).output().unwrap();
    failed_with(&output, &["cannot read", "/in", "gave up after", "tries"]);
    // Not a measurement: the default of 30 s would be well beyond.
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    let other = feed_command(&hdfs, &["hdfs://127.0.0.1:1/in", "--hdfs-timeout", "1"]).output().unwrap();
    failed_with(&other, &["hdfs://127.0.0.1:1/in", "refused"]);
}

#[test]
fn no_datanode_left_fails_naming_the_file() {
    let hdfs = start(1);
    hdfs.write("/in", numbered(64 * MIB), None).unwrap();
    let (child, mut stdout) = start_feed(&hdfs, &["hdfs:///in", "--hdfs-timeout", "2"]);
    read_some(&mut stdout, MIB);
    hdfs.datanode(0).kill();
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    failed_with(&child.wait_with_output().unwrap(), &["cannot read", "/in", "gave up after"]);
}

#[test]
fn a_file_deleted_before_its_turn_fails_the_feed() {
    let hdfs = start(1);
    hdfs.write("/in/a", numbered(64 * MIB), None).unwrap();
    // More than are opened ahead: a file that is open already is fed although it is deleted.
    let part = numbered(MIB);
    write_files(&hdfs, &(10..70).map(|i| (format!("/in/b{i}"), part.clone())).collect::<Vec<_>>());
    let (child, mut stdout) = start_feed(&hdfs, &["hdfs:///in"]);
    read_some(&mut stdout, MIB);
    hdfs.delete("/in/b69").unwrap();
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    failed_with(&child.wait_with_output().unwrap(), &["cannot open", "/in/b69"]);
}

#[test]
fn an_unreadable_file_and_an_unknown_host_are_named() {
    let hdfs = start(1);
    hdfs.write("/in", "x\n", None).unwrap();
    let chmod = hdfs.java("org.apache.hadoop.fs.FsShell", ["-chmod", "600", "/in"]).status().unwrap();
    assert!(chmod.success());
    let output = feed_command(&hdfs, &["hdfs:///in"]).env("HADOOP_USER_NAME", "stranger").output().unwrap();
    failed_with(&output, &["/in", "Permission denied"]);
    let output =
        feed_command(&hdfs, &["hdfs://no-such-host.invalid/in", "--hdfs-timeout", "2"]).output().unwrap();
    failed_with(&output, &["no-such-host.invalid"]);
    let output = feed_command(&hdfs, &["hdfs:///in"]).env_remove("HADOOP_CONF_DIR").output().unwrap();
    failed_with(&output, &["hdfs://", "HADOOP_CONF_DIR is not set"]);
}
