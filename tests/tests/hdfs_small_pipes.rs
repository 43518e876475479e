//! A kernel that grants only the smallest pipes: the feed is slower, and neither blocks nor lies.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod cluster;

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use cluster::{Cluster, numbered, without_short_circuit};
use forebay_fixtures::HdfsOptions;
use forebay_tests::{bin, said};
use rustix::process::getuid;
use serde_json::Value;
use tempfile::TempDir;

const MIB: usize = 1 << 20;
/// A user who has no process and no pipe anywhere.
const NOBODYS_UID: u32 = 64_123;
/// What one feed's `few-pipes` holds, another one's would take for granted, and lose when the first one ends.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A folder with all that another user needs for a feed.
struct Room(TempDir);

impl Room {
    fn new(hdfs: &Cluster, conf: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A pipe's size is a matter of privileges; root has them all.
        let (open, all) = (Permissions::from_mode(0o755), Permissions::from_mode(0o777));
        for program in ["forebay", "few-pipes"] {
            fs::copy(bin(program), folder.path().join(program)).unwrap();
        }
        for file in ["core-site.xml", "hdfs-site.xml"] {
            fs::copy(conf.join(file), folder.path().join(file)).unwrap();
            fs::set_permissions(folder.path().join(file), Permissions::from_mode(0o644)).unwrap();
        }
        fs::set_permissions(folder.path(), all).unwrap();
        fs::set_permissions(hdfs.socket_dir(), open).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Feeds `/in` to a worker; gives what it was fed and the report, too.
    fn fed(&self, more: &[&str]) -> (Output, Vec<u8>, Value) {
        let (out, report) = (self.path("out"), self.path("report"));
        for old in [&out, &report] {
            let _ = fs::remove_file(old);
        }
        let mut command = Command::new(self.path("few-pipes"));
        command.arg(self.path("forebay")).args(["feed", "hdfs:///in", "--report"]).arg(&report).args(more);
        command.args(["--", "sh", "-c", "cat > \"$0\""]).arg(&out);
        command.env("HADOOP_CONF_DIR", self.0.path()).env("HADOOP_USER_NAME", "reader");
        if getuid().is_root() {
            command.uid(NOBODYS_UID).gid(NOBODYS_UID);
        }
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let output = command.current_dir(self.0.path()).output().unwrap();
        drop(alone);
        let report = fs::read(report).unwrap_or_else(|_| panic!("{}", said(&output)));
        (output, fs::read(out).unwrap(), serde_json::from_slice(&report).unwrap())
    }
}

/// Hadoop's own client obeys the chunk length when it writes.
fn start(bytes: &[u8], chunk: u32) -> Cluster {
    let options =
        HdfsOptions { bytes_per_checksum: Some(chunk), block_size: MIB as u64, ..HdfsOptions::default() };
    let hdfs = Cluster::start(&options).unwrap();
    let local = tempfile::NamedTempFile::new().unwrap();
    fs::write(local.path(), bytes).unwrap();
    let put =
        hdfs.java("org.apache.hadoop.fs.FsShell", ["-put", local.path().to_str().unwrap(), "/in"]).status();
    assert!(put.unwrap().success());
    hdfs
}

fn block_file(folder: &Path) -> Option<PathBuf> {
    fs::read_dir(folder).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            block_file(&path)
        } else {
            (name.starts_with("blk_") && !name.contains(".meta")).then_some(path)
        }
    })
}

fn notes(report: &Value) -> String {
    report["notes"].to_string()
}

#[test]
fn chunks_longer_than_the_pipe_are_checked_and_the_report_says_how() {
    let bytes = numbered(3 * MIB + 777);
    let hdfs = start(&bytes, 65_536);
    let room = Room::new(&hdfs, hdfs.conf_dir());
    let (output, fed, report) = room.fed(&[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(fed == [bytes.as_slice(), b"\n"].concat(), "other bytes than stored");
    assert_eq!(report["local_bytes_verified"], bytes.len(), "{report}");
    assert!(notes(&report).contains("chunks of 65536 bytes are checked in memory"), "{report}");

    let block =
        fs::File::options().read(true).write(true).open(block_file(&hdfs.data_dir(0)).unwrap()).unwrap();
    let mut byte = [0];
    block.read_exact_at(&mut byte, 300_000).unwrap();
    block.write_all_at(&[byte[0] ^ 1], 300_000).unwrap();
    let (output, fed, _) = room.fed(&["--hdfs-timeout", "2"]);
    assert!(!output.status.success(), "a flipped bit was fed");
    assert!(bytes.starts_with(&fed), "bytes that are not stored were fed");
    assert!(said(&output).contains("corrupt"), "{}", said(&output));
}

#[test]
fn chunks_shorter_than_the_pipe_are_checked_in_it() {
    let bytes = numbered(3 * MIB);
    let hdfs = start(&bytes, 512);
    let (output, fed, report) = Room::new(&hdfs, hdfs.conf_dir()).fed(&[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(fed == bytes, "other bytes than stored");
    assert_eq!(
        (&report["local_bytes_verified"], &report["bytes_copied"]),
        (&bytes.len().into(), &0.into()),
        "{report}"
    );
    assert!(notes(&report).contains("verified in stretches of 4096 bytes"), "{report}");
}

/// What comes over the network comes in pieces, of which the pipe holds two.
#[test]
fn remote_chunks_that_find_no_room_in_the_pipe_are_checked_in_memory() {
    const CHUNK: usize = 512;
    let bytes = numbered(MIB);
    let options = HdfsOptions {
        datanodes: 1,
        block_size: MIB as u64,
        separate_hosts: true,
        relays: true,
        ..HdfsOptions::default()
    };
    let hdfs = Cluster::start(&options).unwrap();
    hdfs.write("/in", bytes.clone(), None).unwrap();
    hdfs.relay(0).scatter(CHUNK / 2 - 1);
    let conf = without_short_circuit(&hdfs);
    let room = Room::new(&hdfs, conf.path());
    let (output, fed, report) = room.fed(&[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(fed == bytes, "other bytes than stored");
    let reads = &report["remote_reads"];
    assert_eq!((&reads["direct_bytes"], &reads["resumed"]), (&bytes.len().into(), &0.into()), "{report}");
    assert_eq!(reads["unverified_bytes"], 0, "{report}");
    assert!(notes(&report).contains("had no room for a checksum chunk of 512 bytes"), "{report}");
}
