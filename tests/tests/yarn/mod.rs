//! What the tests of jobs on YARN share: a cluster, and a user of one's own on it.
#![allow(dead_code, reason = "each test binary uses its part of this")]

pub(crate) mod running;

use std::ffi::OsStr;
use std::process::{Child, Command, Output};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use forebay_fixtures::{Yarn, YarnOptions};
use forebay_hadoop::namenode::FileStatus;
use forebay_hadoop::{Configuration, NameNode};
use forebay_tests::{forebay, said};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Room, code, run, text};

/// A cluster with two nodes, of which one has a label; with one GPU each, and queues of all kinds.
pub(crate) fn shared() -> Arc<Yarn> {
    static CLUSTER: Mutex<Weak<Yarn>> = Mutex::new(Weak::new());
    let mut slot = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
    slot.upgrade().unwrap_or_else(|| {
        let options = YarnOptions {
            gpus_per_node: 1,
            labels: vec![("fast".to_owned(), 1)],
            queues: vec![
                ("default".to_owned(), 60, 100),
                ("closed".to_owned(), 30, 100),
                ("tiny".to_owned(), 10, 10),
            ],
            capacity_properties: vec![("yarn.scheduler.capacity.root.closed.state".into(), "STOPPED".into())],
            ..YarnOptions::default()
        };
        let cluster = Arc::new(Yarn::start(&options).unwrap());
        *slot = Arc::downgrade(&cluster);
        cluster
    })
}

/// A folder of a test, seen as a user's at home on the cluster as this user: each test has a user of its own.
pub(crate) struct Me {
    pub(crate) cluster: Arc<Yarn>,
    pub(crate) user: &'static str,
    pub(crate) room: Room,
}

impl Me {
    pub(crate) fn new(user: &'static str) -> Self {
        let room = Room::new();
        room.file("home/.keep", "");
        Self { cluster: shared(), user, room }
    }

    pub(crate) fn forebay<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Command {
        let mut command = forebay(args);
        command.current_dir(self.room.path("")).env("HOME", self.room.path("home"));
        command.env("HADOOP_CONF_DIR", self.cluster.conf_dir()).env("HADOOP_USER_NAME", self.user);
        command
    }

    /// An input of some splits, as `/input/<user>/lines`.
    pub(crate) fn input(&self) -> Vec<u8> {
        let bytes = text(300 << 10);
        self.cluster.hdfs().write(&self.input_path(), bytes.clone(), None).unwrap();
        bytes
    }

    pub(crate) fn input_path(&self) -> String {
        format!("/input/{}/lines", self.user)
    }

    /// `forebay submit` of a job over the input, with more arguments before the command.
    pub(crate) fn submit(&self, args: &[&str]) -> Command {
        let input = self.input_path();
        let usual = ["submit", "--input", &input, "--split-size", "64K"];
        let mut command = self.forebay(usual);
        command.args(args).args(["--", "cat"]);
        command
    }

    pub(crate) fn refused(&self, args: &[&str], words: &[&str]) {
        let output = run(self.submit(args));
        let said = said(&output);
        assert!(matches!(code(&output), 1 | 2), "{args:?}: {output:?}");
        assert_eq!(output.stdout, b"", "{args:?}");
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{args:?} does not say {word:?}: {said}");
        }
    }

    /// What the NameNode says of a path.
    pub(crate) fn stat(&self, path: &str) -> Option<FileStatus> {
        let conf = Configuration::from_folder(self.cluster.conf_dir()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let namenode = NameNode::connect(&conf, "").unwrap();
            namenode.file_info(path).await.unwrap()
        })
    }

    pub(crate) fn forebay_folder(&self, name: &str) -> String {
        format!("/user/{}/.forebay/{name}", self.user)
    }

    /// Nothing is staged, no job has a folder, no application of this user was ever begun.
    pub(crate) fn assert_untouched(&self) {
        for folder in ["staging", "jobs"] {
            let left = self.cluster.hdfs().list(&self.forebay_folder(folder)).unwrap();
            assert_eq!(left, Vec::<String>::new());
        }
        assert_eq!(self.applications(), Vec::<Value>::new());
    }

    pub(crate) fn applications(&self) -> Vec<Value> {
        let apps = self.cluster.rest(&format!("/ws/v1/cluster/apps?user={}", self.user)).unwrap();
        apps["apps"]["app"].as_array().cloned().unwrap_or_default()
    }
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(5);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub(crate) fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}
