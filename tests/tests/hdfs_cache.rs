//! The block cache: what came over the network once is fed from the host, and nothing that becomes of the folder fails a feed
//! or changes a byte of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod cluster;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use cluster::{Cluster, SlowFeed, feed_command, numbered, shared, tool, without_short_circuit};
use forebay_fixtures::HdfsOptions;
use forebay_tests::{forebay, said};
use serde_json::Value;

const MIB: usize = 1 << 20;
/// Ends a hang; nothing here takes long.
const PATIENCE: Duration = Duration::from_mins(5);

fn options() -> HdfsOptions {
    HdfsOptions { datanodes: 1, block_size: 16 * MIB as u64, ..HdfsOptions::default() }
}

/// A cluster whose blocks come over the network, and a folder for a cache.
struct Room {
    hdfs: Arc<Cluster>,
    conf: tempfile::TempDir,
    cache: tempfile::TempDir,
}

impl Room {
    fn new(hdfs: Arc<Cluster>) -> Self {
        let conf = without_short_circuit(&hdfs);
        Self { hdfs, conf, cache: tempfile::tempdir().unwrap() }
    }

    fn with_file(path: &str, bytes: &[u8]) -> Self {
        let room = Self::new(shared(&options()));
        room.hdfs.write(path, bytes.to_vec(), None).unwrap();
        room
    }

    fn folder(&self) -> &str {
        self.cache.path().to_str().unwrap()
    }

    fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [args, &["--cache-dir", self.folder(), "--cache-size", "1G"]].concat()
    }

    fn feed(&self, args: &[&str]) -> SlowFeed {
        SlowFeed::start_with(&self.hdfs, &self.args(args), self.conf.path())
    }

    /// Feeds until all of it comes from the cache: what comes faster than it is written is kept later.
    fn fill(&self, address: &str, bytes: &[u8]) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let report = self.feed(&[address]).finish_with(bytes);
            assert_eq!(report["notes"], serde_json::json!([]), "{report}");
            if report["cache"]["hit_bytes"] == bytes.len() {
                assert_eq!(report["remote_bytes"], serde_json::json!({}), "{report}");
                return report;
            }
            assert!(Instant::now() < deadline, "it is never all in the cache: {report}");
        }
    }

    fn entries(&self) -> Vec<PathBuf> {
        files(&self.cache.path().join("forebay-cache-1/blocks"))
    }

    /// How many bytes the lock file says are taken.
    fn counted(&self) -> u64 {
        let text = fs::read_to_string(self.cache.path().join("forebay-cache-1/lock")).unwrap();
        text.trim().parse().unwrap()
    }

    /// The same feed in a mount namespace of its own, after this has been done there; `None` where that is not allowed.
    fn feed_where(&self, prepare: &str, address: &str) -> Option<std::process::Output> {
        let is_allowed = |script: &str| {
            let mut unshare = Command::new("unshare");
            unshare.args(["--mount", "sh", "-ec", script, "sh", self.folder()]);
            unshare.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        if !is_allowed(prepare) {
            return None;
        }
        let feed = feed_command(&self.hdfs, &self.args(&[address]));
        let script = format!("{prepare}\nshift\nexec \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", &script, "sh", self.folder()]);
        command.arg(feed.get_program()).args(feed.get_args()).env("HADOOP_CONF_DIR", self.conf.path());
        Some(command.stdin(Stdio::null()).output().unwrap())
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

/// It went well, all of it came, and one note says so.
fn fed_with_note(output: &std::process::Output, wanted: &[u8], words: &[&str]) {
    assert!(output.status.success(), "{}", said(output));
    assert!(output.stdout == wanted, "other bytes than stored");
    let text = said(output);
    let notes: Vec<_> = text.lines().filter(|line| line.starts_with("note: ")).collect();
    assert_eq!(notes.len(), 1, "{text}");
    assert!(words.iter().all(|word| notes[0].contains(word)), "{words:?} in {text}");
}

#[test]
fn later_feeds_and_jobs_come_from_the_cache_without_any_datanode() {
    let room = Room::new(Arc::new(Cluster::start(&options()).unwrap()));
    let bytes = numbered(40 * MIB);
    room.hdfs.write("/in", bytes.clone(), None).unwrap();
    let report = room.fill("hdfs:///in", &bytes);
    assert_eq!(report["bytes_copied"], 0, "{report}");
    room.hdfs.datanode(0).kill();
    let nothing = serde_json::json!({});
    let report = room.feed(&["hdfs:///in", "--epochs", "2"]).finish_with(&bytes.repeat(2));
    assert_eq!((&report["remote_bytes"], &report["bytes_copied"]), (&nothing, &0.into()), "{report}");
    assert_eq!(report["cache"]["hit_bytes"], 2 * bytes.len(), "{report}");
    // Where bytes have to be seen, and where splits end within stretches; checksums are not left out.
    let report = room.feed(&["hdfs:///in", "--report-checksums", "--no-verify"]).finish_with(&bytes);
    assert_eq!(report["remote_bytes"], nothing, "{report}");
    let mut lines = Vec::new();
    for shard in ["0/2", "1/2"] {
        let feed = room.feed(&["hdfs:///in", "--split-size", "700001", "--shard", shard]);
        let (got, output, report) = feed.finish();
        assert!(output.status.success() && report["remote_bytes"] == nothing, "{report} {}", said(&output));
        lines.extend(got.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec));
    }
    lines.sort();
    assert!(lines.concat() == bytes, "lines are missing or came twice");
    a_job_comes_from_the_cache(&room, &bytes);
}

fn a_job_comes_from_the_cache(room: &Room, bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let args = ["run", "--workers", "2", "--input", "hdfs:///in", "--output-mode", "stream", "--output"];
    let mut command = forebay(args);
    command.arg(&out).arg("--job-dir").arg(folder.path().join("job"));
    command.args(room.args(&["--split-size", "4M"])).args(["--", "cat"]);
    let output = command.env("HADOOP_CONF_DIR", room.conf.path()).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let is_part = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("part-");
    let parts: Vec<u8> =
        files(&out).into_iter().filter(is_part).flat_map(|part| fs::read(part).unwrap()).collect();
    let mut lines: Vec<_> = parts.split_inclusive(|b| *b == b'\n').collect();
    lines.sort_unstable();
    let (got, wanted) = (parts.len(), bytes.len());
    assert!(lines.concat() == bytes, "lines are missing or came twice: {got} bytes for {wanted}");
}

#[test]
fn a_bad_entry_is_dropped_counted_and_fetched_again() {
    let bytes = numbered(40 * MIB);
    let room = Room::with_file("/bad", &bytes);
    room.fill("hdfs:///bad", &bytes);
    let entries: Vec<_> =
        room.entries().into_iter().filter(|path| path.metadata().unwrap().len() > 1 << 20).collect();
    assert!(entries.len() >= 5, "{entries:?}");
    // A bit of the bytes, a bit of a checksum, a torn entry, an empty one.
    flip(&entries[0], 3_000_000);
    flip(&entries[1], entries[1].metadata().unwrap().len() - 1);
    File::options().write(true).open(&entries[2]).unwrap().set_len(1_000_000).unwrap();
    File::create(&entries[3]).unwrap();
    let report = room.feed(&["hdfs:///bad"]).finish_with(&bytes);
    assert_eq!(report["cache"]["bad_entries"], 4, "{report}");
    assert!(report["remote_bytes"]["bad-cache-entry"].as_u64().unwrap() > 0, "{report}");
    let report = room.fill("hdfs:///bad", &bytes);
    assert_eq!(report["cache"]["bad_entries"], 0, "{report}");
}

#[test]
fn a_changed_file_is_never_fed_from_old_blocks() {
    let mut bytes = numbered(20 * MIB);
    let room = Room::with_file("/changing", &bytes);
    room.fill("hdfs:///changing", &bytes);
    let more = tempfile::NamedTempFile::new().unwrap();
    fs::write(more.path(), b"more\n").unwrap();
    let append = ["-appendToFile", more.path().to_str().unwrap(), "/changing"];
    tool(&room.hdfs, "org.apache.hadoop.fs.FsShell", &append);
    bytes.extend(b"more\n");
    let report = room.feed(&["hdfs:///changing"]).finish_with(&bytes);
    // The block that was appended to came anew.
    let hit = |report: &Value| usize::try_from(report["cache"]["hit_bytes"].as_u64().unwrap()).unwrap();
    assert!((16 * MIB..17 * MIB).contains(&hit(&report)), "{report}");
    room.hdfs.delete("/changing").unwrap();
    let other: Vec<u8> = bytes.iter().map(|b| if *b == b'\n' { b'\n' } else { b'x' }).collect();
    room.hdfs.write("/changing", other.clone(), None).unwrap();
    let report = room.feed(&["hdfs:///changing"]).finish_with(&other);
    // A few bytes may have been kept by this feed itself, when it looked for where splits begin.
    assert!(hit(&report) < MIB, "{report}");
}

#[test]
fn a_full_folder_is_told_and_the_feed_goes_on() {
    let bytes = numbered(64 * MIB);
    let room = Room::with_file("/full", &bytes);
    // No file may become longer than 1 MB: as writing fails on a full disk, in the middle of an entry.
    let feed = feed_command(&room.hdfs, &room.args(&["hdfs:///full"]));
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 2000; exec \"$@\"", "sh"]).arg(feed.get_program());
    command.args(feed.get_args()).env("HADOOP_CONF_DIR", room.conf.path()).stdin(Stdio::null());
    let output = command.output().unwrap();
    fed_with_note(&output, &bytes, &["nothing more is kept in the block cache", room.folder()]);
    assert!(files(&room.cache.path().join("forebay-cache-1/tmp")).is_empty(), "it is left there");
    if let Some(output) = room.feed_where("mount -t tmpfs -o size=20m,mode=700 none \"$1\"", "hdfs:///full") {
        fed_with_note(&output, &bytes, &["nothing more is kept in the block cache", "No space left"]);
    }
    assert_eq!(room.fill("hdfs:///full", &bytes)["cache"]["bad_entries"], 0);
}

#[test]
fn a_folder_that_is_read_only_is_read_and_told_once() {
    let bytes = numbered(24 * MIB);
    let room = Room::with_file("/known", &bytes);
    room.fill("hdfs:///known", &bytes);
    let more = numbered(20 * MIB);
    room.hdfs.write("/unknown", more.clone(), None).unwrap();
    let read_only = "mount --bind \"$1\" \"$1\"; mount -o remount,ro,bind \"$1\"";
    if let Some(output) = room.feed_where(read_only, "hdfs:///known") {
        assert!(output.status.success() && output.stdout == bytes, "{}", said(&output));
        assert!(said(&output).contains("block cache: 24.0 MiB from it, 0 B stored"), "{}", said(&output));
        let output = room.feed_where(read_only, "hdfs:///unknown").unwrap();
        fed_with_note(&output, &more, &["nothing more is kept in the block cache", "Read-only"]);
    } else {
        // Without such rights, permissions do.
        let set = |mode: u32| {
            for folder in ["forebay-cache-1/tmp", "forebay-cache-1/blocks"] {
                let path = room.cache.path().join(folder);
                fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            }
        };
        set(0o500);
        let report = room.feed(&["hdfs:///known"]).finish_with(&bytes);
        assert_eq!(report["cache"]["hit_bytes"], bytes.len(), "{report}");
        let report = room.feed(&["hdfs:///unknown"]).finish_with(&more);
        // Or nobody could remove it.
        set(0o700);
        assert!(report["notes"].to_string().contains("nothing more is kept in the block cache"), "{report}");
    }
}

#[test]
fn a_folder_of_somebody_else_is_not_used_and_told() {
    let bytes = numbered(2 * MIB);
    let room = Room::with_file("/foreign", &bytes);
    let feed = |folder: &str| {
        let mut feed =
            feed_command(&room.hdfs, &["hdfs:///foreign", "--cache-dir", folder, "--cache-size", "1G"]);
        feed.env("HADOOP_CONF_DIR", room.conf.path()).output().unwrap()
    };
    let is_root = room.cache.path().metadata().unwrap().uid() == 0;
    let foreign = if is_root {
        std::os::unix::fs::chown(room.cache.path(), Some(65534), None).unwrap();
        room.folder()
    } else {
        "/usr"
    };
    fed_with_note(&feed(foreign), &bytes, &["no block cache", foreign, "belongs to the user with the id"]);
    let open = tempfile::tempdir().unwrap();
    fs::set_permissions(open.path(), Permissions::from_mode(0o777)).unwrap();
    let path = open.path().to_str().unwrap();
    fed_with_note(&feed(path), &bytes, &["no block cache", path, "chmod go-w"]);
    assert!(files(open.path()).is_empty(), "something was put there");
    fed_with_note(&feed("/proc/nothing"), &bytes, &["no block cache", "/proc/nothing"]);
}

#[test]
fn two_processes_share_a_folder_at_once() {
    let bytes = numbered(64 * MIB);
    let room = Room::with_file("/shared", &bytes);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..2 {
                    let report = room.feed(&["hdfs:///shared"]).finish_with(&bytes);
                    assert_eq!(report["cache"]["bad_entries"], 0, "{report}");
                    assert_eq!(report["notes"], serde_json::json!([]), "{report}");
                }
            });
        }
    });
    room.fill("hdfs:///shared", &bytes);
    let taken: u64 =
        room.entries().iter().map(|path| path.metadata().unwrap().len().next_multiple_of(4096)).sum();
    assert_eq!(room.counted(), taken);
}

#[test]
fn what_is_killed_while_it_fills_leaves_nothing_that_is_fed_or_stays() {
    let bytes = numbered(64 * MIB);
    let room = Room::with_file("/killed", &bytes);
    for round in 1..=6 {
        let mut command = feed_command(&room.hdfs, &room.args(&["hdfs:///killed"]));
        command.env("HADOOP_CONF_DIR", room.conf.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut feed = command.spawn().unwrap();
        let mut some = vec![0; round * 9 * MIB];
        std::io::Read::read_exact(feed.stdout.as_mut().unwrap(), &mut some).unwrap();
        feed.kill().unwrap();
        feed.wait().unwrap();
        assert!(bytes.starts_with(&some), "other bytes than stored in round {round}");
    }
    // What a process dies with, to be sure that there is some: nobody has it locked.
    let tmp = room.cache.path().join("forebay-cache-1/tmp");
    fs::create_dir_all(&tmp).unwrap();
    fs::write(tmp.join("1-0-8388608"), vec![7; MIB]).unwrap();
    fs::write(room.cache.path().join("forebay-cache-1/lock"), "half a num").unwrap();
    assert_eq!(room.fill("hdfs:///killed", &bytes)["cache"]["bad_entries"], 0);
    let other = numbered(MIB);
    room.hdfs.write("/other", other.clone(), None).unwrap();
    room.fill("hdfs:///other", &other);
    assert_eq!(files(&tmp), Vec::<PathBuf>::new(), "leftovers stay");
    let taken: u64 =
        room.entries().iter().map(|path| path.metadata().unwrap().len().next_multiple_of(4096)).sum();
    assert_eq!(room.counted(), taken);
}

#[test]
fn a_small_cache_evicts_while_it_is_read_and_stays_small() {
    let bytes = numbered(200 * MIB);
    let room = Room::with_file("/large", &bytes);
    let args = ["hdfs:///large", "--epochs", "2", "--cache-dir", room.folder(), "--cache-size", "64M"];
    let mut feed = SlowFeed::start_with(&room.hdfs, &args, room.conf.path());
    let mut evictions_seen = 0;
    for _ in 0..300 {
        feed.read(MIB);
        let sizes = room.entries().into_iter().filter_map(|path| path.metadata().ok()).map(|meta| meta.len());
        let taken: u64 = sizes.sum();
        // The look is not of one moment: an entry may be counted beside the one that had to go for it.
        assert!(taken <= 72 << 20, "{taken}");
        evictions_seen += u64::from(taken > 48 << 20);
    }
    let report = feed.finish_with(&bytes.repeat(2));
    assert!(evictions_seen > 0, "it was never nearly full: {report}");
    assert!(report["cache"]["evicted_bytes"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["cache"]["bad_entries"], 0, "{report}");
    assert!(report["peak_memory_bytes"].as_u64().unwrap() < 64 << 20, "{report}");
    assert!(room.counted() <= 64 << 20);
}
