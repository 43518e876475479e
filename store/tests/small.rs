//! Small files on a real HDFS: whole, as they were asked for, by our own writer where it can, whatever becomes of DataNodes.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_fixtures::{Hdfs, HdfsOptions};
use forebay_hadoop::namenode::{Block, NewFile, OpenFile};
use forebay_hadoop::{Configuration, NameNode};
use forebay_remote::{BlockForm, DataNodes, Settings};
use forebay_shortcircuit::{ChecksumType, MetaHeader};
use forebay_store::{Cluster, Clusters};
use hdfs_native::WriteOptions;
use tokio::runtime::Runtime;

const MIB: usize = 1 << 20;
/// Ends a hang; nothing here takes long.
const PATIENCE: Duration = Duration::from_mins(2);

/// Bytes of which no two nearby stretches are alike.
fn noise(len: usize) -> Bytes {
    let mut state = 1u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend((state ^ (state >> 29)).to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

fn private() -> WriteOptions {
    WriteOptions::default().overwrite(true).permission(0o600)
}

/// An HDFS, and what is to be found on it.
struct Site {
    hdfs: Arc<Hdfs>,
    runtime: Runtime,
    wanted: BTreeMap<String, Bytes>,
}

impl Site {
    fn cluster(&self, timeout: Duration) -> Arc<Cluster> {
        let authority = self.hdfs.uri();
        let authority = authority.strip_prefix("hdfs://").unwrap();
        Clusters::new(timeout, self.runtime.handle().clone()).cluster(Some(authority)).unwrap()
    }

    fn write(&mut self, path: &str, bytes: &Bytes, options: &WriteOptions) {
        self.runtime.block_on(self.cluster(PATIENCE).write(path, bytes, options)).unwrap();
        assert!(self.hdfs.read(path).unwrap() == *bytes, "{path}: other bytes");
        self.wanted.insert(path.to_owned(), bytes.clone());
    }

    fn fails(&self, path: &str, options: &WriteOptions) -> String {
        let (cluster, bytes) = (self.cluster(PATIENCE), noise(5));
        let error = self.runtime.block_on(cluster.write(path, &bytes, options)).unwrap_err();
        let natively = cluster.write_natively(path, &bytes, options);
        assert_eq!(error.to_string(), self.runtime.block_on(natively).unwrap_err().to_string());
        error.to_string()
    }

    /// Whether our own writer has closed the file.
    fn is_ours(&self, path: &str) -> bool {
        let said = format!("{path} is closed by forebay_");
        let logs = fs::read_dir(self.hdfs.logs()).unwrap();
        logs.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).any(|log| log.contains(&said))
    }
}

#[test]
fn small_files_are_written_whole_by_our_own_hand() {
    let properties = [
        ("dfs.block.access.token.enable", "true"),
        ("dfs.namenode.ec.system.default.policy", "XOR-2-1-1024k"),
        // Whoever writes something else just now would be left out.
        ("dfs.namenode.redundancy.considerLoad", "false"),
    ];
    let hdfs = Hdfs::start(&HdfsOptions {
        datanodes: 3,
        block_size: MIB as u64,
        separate_hosts: true,
        relays: true,
        block_token_lifetime_ms: Some(3000),
        hdfs_properties: properties.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..HdfsOptions::default()
    })
    .unwrap();
    let mut site = Site { hdfs: Arc::new(hdfs), runtime: Runtime::new().unwrap(), wanted: BTreeMap::new() };
    // Hadoop's tools take their time.
    let hdfs = Arc::clone(&site.hdfs);
    let striped = std::thread::spawn(move || make_striped(&hdfs));
    whatever_its_length(&mut site);
    as_it_was_asked_for(&mut site);
    striped.join().unwrap();
    stripes_are_left_to_hdfs_native(&mut site);
    with_other_checksums(&mut site);
    a_datanode_that_is_gone_is_left_out(&mut site);
    pipelines_that_are_cut_are_made_anew(&mut site);
    // Hadoop compares with the checksums what it reads.
    let local = tempfile::tempdir().unwrap();
    let to = local.path().to_str().unwrap();
    let mut get = site.hdfs.java("org.apache.hadoop.fs.FsShell", ["-copyToLocal", "/small", to]);
    let output = get.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (path, bytes) in &site.wanted {
        let read = fs::read(local.path().join(Path::new(path).strip_prefix("/").unwrap())).unwrap();
        assert!(read == *bytes, "{path}: other bytes by Hadoop");
    }
}

fn whatever_its_length(site: &mut Site) {
    // A packet has 64,512 bytes of data.
    for len in [0, 1, 511, 512, 513, 64_512, 64_513, 300_000, MIB] {
        let (path, replication) = (format!("/small/deep/{len}"), if len % 2 == 0 { 3 } else { 1 });
        site.write(&path, &noise(len), &private().replication(replication));
        assert!(site.is_ours(&path), "{path}");
        let status = site.runtime.block_on(site.cluster(PATIENCE).stat(&path)).unwrap().unwrap();
        let found = (status.length, status.permission, status.replication, status.blocksize);
        assert_eq!(found, (len, 0o600, Some(replication), Some(MIB as u64)), "{path}");
    }
    // One byte more is for `hdfs-native`.
    site.write("/small/two-blocks", &noise(MIB + 1), &private());
    assert!(!site.is_ours("/small/two-blocks"));
    // It is the file's own block that counts.
    site.write("/small/large-block", &noise(MIB + 1), &private().block_size(2 * MIB as u64));
    assert!(site.is_ours("/small/large-block"));
    site.write("/small/small-block", &noise(MIB / 2 + 1), &private().block_size(MIB as u64 / 2));
    assert!(!site.is_ours("/small/small-block"));
}

fn as_it_was_asked_for(site: &mut Site) {
    let (path, once) = ("/small/once", WriteOptions::default());
    site.write(path, &noise(10), &once);
    assert!(site.is_ours(path));
    let text = site.fails(path, &once);
    assert!(text.contains(path) && text.contains("already exists"), "{text}");
    assert_eq!(site.hdfs.read(path).unwrap(), noise(10));
    site.write(path, &noise(9), &once.clone().overwrite(true));
    let text = site.fails("/small/none/there", &once.clone().create_parent(false));
    assert!(text.contains("/small/none"), "{text}");
    site.fails("/small/once/below", &once);
    site.fails("/small", &once.overwrite(true));
}

fn make_striped(hdfs: &Hdfs) {
    hdfs.mkdirs("/striped").unwrap();
    let args = ["-setPolicy", "-path", "/striped", "-policy", "XOR-2-1-1024k"];
    let output = hdfs.java("org.apache.hadoop.hdfs.tools.ECAdmin", args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn stripes_are_left_to_hdfs_native(site: &mut Site) {
    for (name, options) in [("new", WriteOptions::default()), ("over", private()), ("over", private())] {
        let path = format!("/striped/{name}");
        let cluster = site.cluster(PATIENCE);
        site.runtime.block_on(cluster.write(&path, &noise(1000), &options)).unwrap();
        assert!(!site.is_ours(&path));
        assert_eq!(site.hdfs.read(&path).unwrap(), noise(1000), "{path}");
    }
    let conf = Configuration::from_folder(site.hdfs.conf_dir()).unwrap();
    let located = async {
        let namenode = NameNode::connect(&conf, "").unwrap();
        namenode.block_locations("/striped/new", 0, 1).await.unwrap()
    };
    assert!(site.runtime.block_on(located).erasure_coding.is_some());
}

/// Call by call, with checksums that the NameNode does not ask for.
fn with_other_checksums(site: &mut Site) {
    let (path, bytes, checksum) = ("/small/crc32", noise(100_000), ChecksumType::Crc32);
    let conf = Configuration::from_folder(site.hdfs.conf_dir()).unwrap();
    let written = async {
        let (namenode, holder) = (NameNode::connect(&conf, "").unwrap(), "somebody");
        let (overwrite, create_parent, replication, block_size) = (false, true, 3, MIB as u64);
        let new =
            NewFile { path, holder, permission: 0o644, overwrite, create_parent, replication, block_size };
        let id = namenode.create(&new).await.unwrap().id;
        let file = OpenFile { path, holder, id };
        let located = namenode.add_first_block(&file, &[]).await.unwrap();
        // Asked again, as after an answer that was lost, it is the same block.
        let again = namenode.add_first_block(&file, &[]).await.unwrap();
        assert_eq!((&located.block, located.replicas.len()), (&again.block, 3));
        let sums = MetaHeader { checksum, bytes_per_checksum: 4096 };
        let form = BlockForm { sums, packet: 20_000 };
        let datanodes = DataNodes::new(Settings::from_conf(&conf).unwrap());
        let mut bare = located.clone();
        bare.token = forebay_hadoop::Token::default();
        let error = datanodes.write(&bare, holder, &form, &bytes).await.unwrap_err();
        assert!(error.is_token(), "{error}");
        datanodes.write(&located, holder, &form, &bytes).await.unwrap();
        let block = Block { len: bytes.len() as u64, ..located.block };
        while !namenode.complete(&file, Some(&block)).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(namenode.complete(&file, Some(&block)).await.unwrap(), "also the second time");
    };
    site.runtime.block_on(written);
    assert!(site.hdfs.read(path).unwrap() == bytes);
    site.wanted.insert(path.to_owned(), bytes);
}

fn a_datanode_that_is_gone_is_left_out(site: &mut Site) {
    // The NameNode does not know yet.
    site.hdfs.datanode(1).kill();
    for n in 0..4 {
        let path = format!("/small/without-one-{n}");
        site.write(&path, &noise(100 + n), &private());
        assert!(site.is_ours(&path));
    }
    site.hdfs.datanode(1).start().unwrap();
    site.hdfs.wait_ready().unwrap();
}

fn pipelines_that_are_cut_are_made_anew(site: &mut Site) {
    let cut = |site: &Site, datanodes: std::ops::Range<usize>, bytes| {
        datanodes.for_each(|i| site.hdfs.relay(i).cut_after(bytes));
    };
    for (n, cut_are) in [(0, 0..1), (1, 1..3)] {
        for bytes in [0, 300, 400_000] {
            cut(site, cut_are.clone(), Some(bytes));
            let path = format!("/small/cut-{n}-{bytes}");
            site.write(&path, &noise(MIB), &private());
            assert!(site.is_ours(&path));
            cut(site, 0..3, None);
        }
    }
    // All of them: until one is there again.
    cut(site, 0..3, Some(500_000));
    let (path, bytes) = ("/small/cut", noise(MIB));
    let error = site.cluster(Duration::from_secs(2));
    let error = site.runtime.block_on(error.write(path, &bytes, &private())).unwrap_err().to_string();
    for word in [path, "gave up after", "cannot write BP-", ":blk_", &site.hdfs.host(0)[..6]] {
        assert!(error.contains(word), "no '{word}' in {error}");
    }
    let cluster = site.cluster(PATIENCE);
    let writing = site.runtime.spawn(async move { cluster.write(path, &bytes, &private()).await });
    let passed = site.hdfs.relay(0).passed();
    while site.hdfs.relay(0).passed() == passed {
        std::thread::sleep(Duration::from_millis(5));
    }
    cut(site, 0..3, None);
    site.runtime.block_on(writing).unwrap().unwrap();
    assert!(site.is_ours(path));
    assert!(site.hdfs.read(path).unwrap() == noise(MIB));
    site.wanted.insert(path.to_owned(), noise(MIB));
}
