//! What the tests on a real HDFS share: blocks from the NameNode, and bytes that differ everywhere.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_fixtures::Hdfs;
use forebay_hadoop::namenode::LocatedBlock;
use forebay_hadoop::{Configuration, NameNode};
use forebay_shortcircuit::{Block, OpenError, Replica, Settings, ShortCircuit, Token};

/// Bytes of which no two nearby stretches are alike.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend((state ^ (state >> 29)).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// The settings that the cluster's own clients have.
pub(crate) fn settings(hdfs: &Hdfs) -> Settings {
    Settings::from_conf(&Configuration::from_folder(hdfs.conf_dir()).unwrap()).unwrap()
}

/// On, whatever the cluster's own clients have.
pub(crate) fn socket_settings(hdfs: &Hdfs) -> Settings {
    Settings::new(hdfs.socket_dir().join("dn._PORT").display().to_string())
}

pub(crate) fn port(hdfs: &Hdfs, i: usize) -> u16 {
    hdfs.datanode_address(i).rsplit(':').next().unwrap().parse().unwrap()
}

/// The blocks of a file, in order, with their tokens.
pub(crate) fn located(hdfs: &Hdfs, path: &str) -> Vec<LocatedBlock> {
    let conf = Configuration::from_folder(hdfs.conf_dir()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let namenode = NameNode::connect(&conf, "").unwrap();
    let found = runtime.block_on(namenode.block_locations(path, 0, u64::MAX >> 1)).unwrap();
    assert!(!found.blocks.is_empty());
    found.blocks
}

/// The blocks of a file, in order.
pub(crate) fn blocks(hdfs: &Hdfs, path: &str) -> Vec<Block> {
    located(hdfs, path).into_iter().map(|located| located.block).collect()
}

pub(crate) fn open(local: &ShortCircuit, hdfs: &Hdfs, block: &Block) -> Result<Arc<Replica>, OpenError> {
    local.open(block, &Token::default(), port(hdfs, 0))
}

/// All bytes of a replica's block.
pub(crate) fn bytes(replica: &Replica) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(replica.block().len).unwrap()];
    replica.block_file().read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// Waits until something has come true.
pub(crate) fn within(limit: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How many descriptors of this process are open on something whose name holds `part`.
pub(crate) fn descriptors_on(part: &str) -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| {
        let link = std::fs::read_link(entry.unwrap().path()).ok()?;
        Some(link.display().to_string())
    });
    links.filter(|link| link.contains(part)).count()
}

/// Runs one of Hadoop's tools, which must succeed.
pub(crate) fn run(hdfs: &Hdfs, main_class: &str, args: &[&str]) -> String {
    let mut command = hdfs.java(main_class, args);
    command.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{main_class} {args:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}
