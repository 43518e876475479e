//! Blocks from real DataNodes: the right bytes by either way, or an error that says why.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use forebay_fixtures::{Hdfs, HdfsOptions};
use forebay_hadoop::namenode::LocatedBlock;
use forebay_hadoop::{Configuration, NameNode, Token};
use forebay_remote::{Bare, DataNodes, Fault, ReadError, Settings, Step, Stream};
use forebay_shortcircuit::Pipes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::RecvFlags;

const MIB: usize = 1 << 20;
/// Ends a hang; nothing here takes long.
const PATIENCE: Duration = Duration::from_mins(2);

fn start(properties: &[(&str, &str)]) -> Hdfs {
    let hdfs_properties = properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Hdfs::start(&HdfsOptions { block_size: MIB as u64, hdfs_properties, ..HdfsOptions::default() }).unwrap()
}

/// Bytes of which no two nearby stretches are alike.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend((state ^ (state >> 29)).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn datanodes(hdfs: &Hdfs) -> DataNodes {
    DataNodes::new(Settings::from_conf(&Configuration::from_folder(hdfs.conf_dir()).unwrap()).unwrap())
}

fn located(hdfs: &Hdfs, path: &str) -> Vec<LocatedBlock> {
    let conf = Configuration::from_folder(hdfs.conf_dir()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let namenode = NameNode::connect(&conf, "").unwrap();
    runtime.block_on(namenode.block_locations(path, 0, u64::MAX >> 1)).unwrap().blocks
}

fn open(datanodes: &DataNodes, located: &LocatedBlock, range: Range<u64>) -> Result<Stream, ReadError> {
    let address = datanodes.address(&located.replicas[0]);
    datanodes.open(&address, (&located.block, &located.token), range, PATIENCE)
}

/// All of a stream, through the pipes.
fn held(mut stream: Stream, pipes: &mut Pipes) -> Result<Vec<u8>, ReadError> {
    let mut all = Vec::new();
    loop {
        match stream.hold(pipes).inspect_err(|_| pipes.empty())? {
            Step::End => return Ok(all),
            Step::Wait => {
                poll(&mut [PollFd::new(&stream.socket().unwrap(), PollFlags::IN)], None).unwrap();
            }
            Step::Ready(len) => {
                let begin = all.len();
                all.resize(begin + len, 0);
                File::from(pipes.held().try_clone_to_owned().unwrap()).read_exact(&mut all[begin..]).unwrap();
            }
            Step::NoRoom => panic!("{} bytes hold no chunk", pipes.capacity()),
        }
    }
}

/// Some of a block without checksums, and how much of it came in memory.
fn bare(datanodes: &DataNodes, located: &LocatedBlock, range: &Range<usize>) -> (Vec<u8>, usize) {
    let address = datanodes.address(&located.replicas[0]);
    let (named, part) = ((&located.block, &located.token), range.start as u64..range.end as u64);
    let mut stream = datanodes.open_unchecked(&address, named, part, PATIENCE).unwrap();
    let (mut all, mut in_memory) = (Vec::new(), 0);
    loop {
        match stream.bare(true).unwrap() {
            Bare::End => return (all, in_memory),
            Bare::Bytes(len) => {
                all.extend_from_slice(stream.bytes());
                in_memory += len;
            }
            Bare::InSocket(most) => {
                let mut bytes = vec![0; most];
                match rustix::net::recv(stream.socket().unwrap(), &mut bytes, RecvFlags::DONTWAIT) {
                    Ok((_, len)) => {
                        all.extend_from_slice(&bytes[..len]);
                        stream.took(len);
                    }
                    Err(error) => {
                        assert_eq!(error, Errno::AGAIN);
                        poll(&mut [PollFd::new(&stream.socket().unwrap(), PollFlags::IN)], None).unwrap();
                    }
                }
            }
            Bare::Wait => {
                poll(&mut [PollFd::new(&stream.socket().unwrap(), PollFlags::IN)], None).unwrap();
            }
        }
    }
}

/// Connections of this process to there.
fn connections(address: &str) -> usize {
    let port: u16 = address.rsplit(':').next().unwrap().parse().unwrap();
    let wanted = format!(":{port:04X}");
    let inodes: Vec<String> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| Some(fs::read_link(entry.unwrap().path()).ok()?.display().to_string()))
        .collect();
    let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
    let ours = table.lines().skip(1).filter(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[2].ends_with(&wanted) && inodes.iter().any(|inode| *inode == format!("socket:[{}]", fields[9]))
    });
    ours.count()
}

fn block_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            block_files(&path, found);
        } else if name.starts_with("blk_") && !name.contains(".meta") {
            found.push(path);
        }
    }
}

#[test]
fn ranges_of_blocks_are_those_stored() {
    let hdfs = start(&[]);
    let stored = noise(2 * MIB + 777);
    hdfs.write("/in", stored.clone(), None).unwrap();
    let blocks = located(&hdfs, "/in");
    assert_eq!(blocks.len(), 3);
    let (datanodes, mut pipes) = (datanodes(&hdfs), Pipes::new().unwrap());
    for (block, wanted) in blocks.iter().zip(stored.chunks(MIB)) {
        let len = wanted.len();
        for range in [0..len, 1..len, 0..1, len - 1..len, 511..513, 512..700, len / 2..len / 2 + 100] {
            let ours = range.start as u64..range.end as u64;
            let read = open(&datanodes, block, ours.clone()).unwrap().read_to_end(PATIENCE).unwrap();
            assert!(read == wanted[range.clone()], "{range:?} of {}: other bytes", block.block);
            let read = held(open(&datanodes, block, ours).unwrap(), &mut pipes).unwrap();
            assert!(read == wanted[range.clone()], "{range:?} of {}: other bytes by pipe", block.block);
            let (read, in_memory) = bare(&datanodes, block, &range);
            assert!(read == wanted[range.clone()], "{range:?} of {}: other bytes unchecked", block.block);
            let ends = range.len().min(2);
            assert!(
                in_memory >= ends && in_memory < 600,
                "{in_memory} bytes of {range:?} went through memory"
            );
        }
    }
    assert_eq!(connections(&hdfs.datanode_address(0)), 1, "one connection served all");
    // One that is left before its end is not used again.
    drop(open(&datanodes, &blocks[0], 0..MIB as u64).unwrap());
    assert_eq!(connections(&hdfs.datanode_address(0)), 0);
    refusals_say_why(&datanodes, &blocks[0]);
    a_flipped_bit_is_named(&hdfs, &datanodes, &stored);
}

fn refusals_say_why(datanodes: &DataNodes, located: &LocatedBlock) {
    let mut other = located.clone();
    other.block.id += 1000;
    let error = open(datanodes, &other, 0..10).unwrap_err();
    assert!(matches!(error.fault, Fault::Refused { .. }), "{error}");
    assert!(error.to_string().contains(&other.block.to_string()), "{error}");
    assert!(!error.is_of_the_datanode());
    let error = open(datanodes, located, 0..located.block.len + 10_000).unwrap_err();
    assert!(matches!(error.fault, Fault::Refused { .. }), "{error}");
}

fn a_flipped_bit_is_named(hdfs: &Hdfs, datanodes: &DataNodes, stored: &[u8]) {
    let block = &located(hdfs, "/in")[1];
    let mut files = Vec::new();
    block_files(&hdfs.data_dir(0), &mut files);
    let name = format!("blk_{}", block.block.id);
    let path = files.iter().find(|path| path.ends_with(&name)).unwrap();
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 300_000).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 300_000).unwrap();
    let mut pipes = Pipes::new().unwrap();
    let error = held(open(datanodes, block, 0..MIB as u64).unwrap(), &mut pipes).unwrap_err();
    assert!(error.is_corrupt(), "{error}");
    // The chunk in which it lies.
    assert_eq!((error.at, error.host.as_str()), (299_520, hdfs.datanode_address(0).as_str()));
    // What lies before it is good.
    let read = open(datanodes, block, 0..299_520).unwrap().read_to_end(PATIENCE).unwrap();
    assert!(read == stored[MIB..MIB + 299_520]);
}

#[test]
fn other_checksums_and_long_packets_are_understood() {
    for properties in [
        &[
            ("dfs.bytes-per-checksum", "4096"),
            ("dfs.checksum.type", "CRC32"),
            ("io.file.buffer.size", "1048576"),
        ][..],
        &[("dfs.checksum.type", "NULL")],
        &[("dfs.datanode.transferTo.allowed", "false")],
    ] {
        let hdfs = start(properties);
        let stored = noise(MIB);
        let local = std::env::temp_dir().join(format!("forebay-remote-{}", std::process::id()));
        fs::write(&local, &stored).unwrap();
        // Hadoop's own client obeys these settings when it writes.
        let mut put = hdfs.java("org.apache.hadoop.fs.FsShell", ["-put", local.to_str().unwrap(), "/in"]);
        assert!(put.status().unwrap().success());
        fs::remove_file(&local).unwrap();
        let (datanodes, mut pipes) = (datanodes(&hdfs), Pipes::new().unwrap());
        let block = &located(&hdfs, "/in")[0];
        for range in [0..MIB, 5000..MIB - 5000] {
            let ours = range.start as u64..range.end as u64;
            let read = open(&datanodes, block, ours.clone()).unwrap().read_to_end(PATIENCE).unwrap();
            assert!(read == stored[range.clone()], "{properties:?}: other bytes");
            let read = held(open(&datanodes, block, ours).unwrap(), &mut pipes).unwrap();
            assert!(read == stored[range], "{properties:?}: other bytes by pipe");
        }
    }
}

#[test]
fn tokens_are_shown_and_names_are_used() {
    let hdfs =
        start(&[("dfs.block.access.token.enable", "true"), ("dfs.client.use.datanode.hostname", "true")]);
    let stored = noise(100_000);
    hdfs.write("/in", stored.clone(), None).unwrap();
    let mut block = located(&hdfs, "/in").remove(0);
    // An address that leads nowhere: the name must be what is used.
    block.replicas[0].ip = "0.0.0.1".to_owned();
    let datanodes = datanodes(&hdfs);
    let read = open(&datanodes, &block, 0..100_000).unwrap().read_to_end(PATIENCE).unwrap();
    assert!(read == stored);
    block.token = Token::default();
    let error = open(&datanodes, &block, 0..100_000).unwrap_err();
    assert!(error.is_token(), "{error}");
}
