//! What the tests on a real HDFS share: a cluster, and feeds run inside the test process.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "test support, of which each binary uses its part"
)]

use std::ffi::OsStr;
use std::io::Read;
use std::num::NonZeroU64;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use forebay_feeder::{
    Delivered, Ended, Hdfs, Input, Meter, Plan, PlanOptions, Settings, Sink, Stop, Watch, feed,
};
use forebay_fixtures::HdfsOptions;
use forebay_record::Format;
use forebay_split::Shard;
use forebay_tests::{forebay, said};

pub type Cluster = forebay_fixtures::Hdfs;

/// A cluster that the tests of this binary share for as long as one of them uses it.
pub fn shared(options: &HdfsOptions) -> Arc<Cluster> {
    static CLUSTER: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut slot = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
    slot.upgrade().unwrap_or_else(|| {
        let cluster = Arc::new(Cluster::start(options).unwrap());
        *slot = Arc::downgrade(&cluster);
        cluster
    })
}

/// Writes many files, several at once: each waits some time for its block to be reported.
pub fn write_files(cluster: &Cluster, files: &[(String, Vec<u8>)]) {
    const AT_ONCE: usize = 16;
    thread::scope(|scope| {
        for part in files.chunks(files.len().div_ceil(AT_ONCE).max(1)) {
            scope.spawn(move || {
                for (path, bytes) in part {
                    cluster.write(path, bytes.clone(), None).unwrap();
                }
            });
        }
    });
}

/// Feeds one share within this process and gives the bytes that a reader of the pipe sees.
pub fn fed(
    uri: &str,
    format: &Format,
    split_size: Option<u64>,
    shard: Shard,
    settings: &Settings,
) -> Vec<u8> {
    let options = PlanOptions {
        format: format.clone(),
        by_name: false,
        split_size: split_size.and_then(NonZeroU64::new),
        shard,
    };
    let input = Input::parse(OsStr::new(uri)).unwrap();
    let plan = Plan::new(&[input], options, Hdfs::new(Duration::from_secs(30))).unwrap();
    let meter = Arc::new(Meter::default());
    let (mut sink, read) = Sink::pipe(Arc::clone(&meter)).unwrap();
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        std::fs::File::from(read).read_to_end(&mut bytes).unwrap();
        bytes
    });
    let watch = Watch { stop: Arc::new(Stop::new().unwrap()), worker: None };
    let ended = feed(&plan, settings, &mut sink, &watch, &meter, &mut Delivered::default());
    drop(sink);
    assert_eq!(ended.unwrap(), Ended::Complete);
    reader.join().unwrap()
}

/// `forebay feed` with the cluster's configuration.
pub fn feed_command(cluster: &Cluster, args: &[&str]) -> Command {
    let mut command = forebay(["feed"].iter().chain(args));
    command.env("HADOOP_CONF_DIR", cluster.conf_dir());
    command
}

/// A feed whose standard output the test reads at its own pace.
pub fn start_feed(cluster: &Cluster, args: &[&str]) -> (std::process::Child, ChildStdout) {
    let mut child =
        feed_command(cluster, args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    (child, stdout)
}

/// A feed with a report, whose output the test reads at its own pace.
pub struct SlowFeed {
    child: Child,
    stdout: ChildStdout,
    /// What it has fed so far.
    pub got: Vec<u8>,
    folder: tempfile::TempDir,
}

impl SlowFeed {
    pub fn start(cluster: &Cluster, args: &[&str]) -> Self {
        Self::start_with(cluster, args, cluster.conf_dir())
    }

    /// With another configuration than the cluster's own clients have.
    pub fn start_with(cluster: &Cluster, args: &[&str], conf_dir: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = feed_command(cluster, args);
        command.env("HADOOP_CONF_DIR", conf_dir).arg("--report").arg(folder.path().join("report"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        Self { child, stdout, got: Vec::new(), folder }
    }

    /// Reads so many bytes more.
    pub fn read(&mut self, len: usize) {
        let begin = self.got.len();
        self.got.resize(begin + len, 0);
        self.stdout.read_exact(&mut self.got[begin..]).unwrap();
    }

    /// The feed's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its output, for who reads it in another way.
    pub fn stdout(&self) -> &ChildStdout {
        &self.stdout
    }

    /// Reads on to the end: what was fed, how the feed ended, and its report.
    pub fn finish(mut self) -> (Vec<u8>, Output, serde_json::Value) {
        self.stdout.read_to_end(&mut self.got).unwrap();
        let output = self.child.wait_with_output().unwrap();
        let report = std::fs::read(self.folder.path().join("report")).unwrap();
        (self.got, output, serde_json::from_slice(&report).unwrap())
    }

    /// Like [`SlowFeed::finish`], and all of these bytes must have come.
    pub fn finish_with(self, wanted: &[u8]) -> serde_json::Value {
        let (got, output, report) = self.finish();
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(got.len(), wanted.len());
        assert!(got == wanted, "other bytes than stored");
        report
    }
}

/// The cluster's configuration for clients, with short-circuit reads off.
pub fn without_short_circuit(cluster: &Cluster) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["core-site.xml", "hdfs-site.xml"] {
        let text = std::fs::read_to_string(cluster.conf_dir().join(name)).unwrap();
        let (on, off) = ("shortcircuit</name><value>true", "shortcircuit</name><value>false");
        std::fs::write(folder.path().join(name), text.replace(on, off)).unwrap();
    }
    folder
}

/// Runs one of Hadoop's tools, which must succeed.
pub fn tool(cluster: &Cluster, main_class: &str, args: &[&str]) {
    let output = cluster.java(main_class, args).output().unwrap();
    assert!(output.status.success(), "{main_class} {args:?}: {}", said(&output));
}

/// Writes a file with Hadoop's own client.
pub fn put(cluster: &Cluster, bytes: &[u8], path: &str) {
    let local = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(local.path(), bytes).unwrap();
    tool(cluster, "org.apache.hadoop.fs.FsShell", &["-put", local.path().to_str().unwrap(), path]);
}

/// Bytes that tell every position from every other, in lines of 64 bytes.
pub fn numbered(len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 64);
    let mut line = 0u64;
    while bytes.len() < len {
        bytes.extend_from_slice(format!("{line:063}\n").as_bytes());
        line += 1;
    }
    bytes.truncate(len);
    bytes
}
