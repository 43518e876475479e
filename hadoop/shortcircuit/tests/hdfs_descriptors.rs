//! Descriptors from a real DataNode: the right bytes, the right block, or a refusal that says why.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod support;

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use forebay_fixtures::{Hdfs, HdfsOptions};
use forebay_shortcircuit::{
    Block, ChecksumType, OpenError, Reason, ReplicaError, Settings, ShortCircuit, Token,
};
use support::{blocks, bytes, descriptors_on, noise, open, port, settings, within};

const MIB: usize = 1 << 20;

/// One cluster for all that leaves it as it was.
#[test]
fn descriptors_are_the_blocks_own_files() {
    let hdfs = Hdfs::start(&HdfsOptions { block_size: MIB as u64, ..HdfsOptions::default() }).unwrap();
    let stored = noise(3 * MIB + 777, 1);
    hdfs.write("/in", stored.clone(), None).unwrap();
    let blocks = blocks(&hdfs, "/in");
    assert_eq!(blocks.len(), 4);

    bytes_and_checksums_are_those_stored(&hdfs, &blocks, &stored);
    without_slots_too(&hdfs, &blocks);
    connections_are_used_again(&hdfs, &blocks);
    a_cached_replica_is_given_again(&hdfs, &blocks);
    the_cache_is_bounded_and_closes_what_it_drops(&hdfs, &blocks);
    wrong_blocks_are_refused(&hdfs, &blocks[0]);
    nobody_at_the_socket_is_a_refusal(&hdfs, &blocks[0]);
    many_threads_open_at_once(&hdfs, &blocks, &stored);
    within(Duration::from_secs(5), "all descriptors are closed", || descriptors_on("blk_") == 0);
}

fn bytes_and_checksums_are_those_stored(hdfs: &Hdfs, blocks: &[Block], stored: &[u8]) {
    let local = ShortCircuit::new(settings(hdfs));
    for (block, wanted) in blocks.iter().zip(stored.chunks(MIB)) {
        let replica = open(&local, hdfs, block).unwrap();
        assert!(replica.is_valid() && replica.has_slot());
        assert_eq!(replica.block(), block);
        assert!(bytes(&replica) == wanted, "other bytes than stored in {block}");
        let header = replica.header();
        assert_eq!((header.checksum, header.bytes_per_checksum), (ChecksumType::Crc32c, 512));
        assert_eq!(replica.block_file().metadata().unwrap().len(), wanted.len() as u64);
        let meta = replica.meta_file().metadata().unwrap().len();
        assert_eq!(meta, header.file_len(block.len));
        // A worker that is started meanwhile must not inherit it.
        for file in [replica.block_file(), replica.meta_file()] {
            let flags = rustix::io::fcntl_getfd(file.as_fd()).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
        assert!(replica.anchor().is_none(), "anchored without being locked in memory");
    }
}

fn without_slots_too(hdfs: &Hdfs, blocks: &[Block]) {
    let mut settings = settings(hdfs);
    settings.slots = false;
    settings.stale_after = Duration::from_millis(200);
    let local = ShortCircuit::new(settings);
    let replica = open(&local, hdfs, &blocks[3]).unwrap();
    assert!(replica.is_valid() && !replica.has_slot());
    assert_eq!(bytes(&replica).len(), 777);
    within(Duration::from_secs(2), "it is stale", || !replica.is_valid());
    assert!(!Arc::ptr_eq(&replica, &open(&local, hdfs, &blocks[3]).unwrap()));
}

fn connections_are_used_again(hdfs: &Hdfs, blocks: &[Block]) {
    let local = ShortCircuit::new(settings(hdfs));
    let before = descriptors_on("socket:");
    for _ in 0..3 {
        for block in blocks {
            open(&local, hdfs, block).unwrap();
            local.forget(block, port(hdfs, 0));
        }
    }
    // The segment's, one for requests, one for slots given back.
    let now = descriptors_on("socket:");
    assert!(now <= before + 3, "{now} sockets, {before} before");
    drop(local);
}

fn a_cached_replica_is_given_again(hdfs: &Hdfs, blocks: &[Block]) {
    let local = ShortCircuit::new(settings(hdfs));
    let first = open(&local, hdfs, &blocks[0]).unwrap();
    assert!(Arc::ptr_eq(&first, &open(&local, hdfs, &blocks[0]).unwrap()));
    local.forget(&blocks[0], port(hdfs, 0));
    assert!(!Arc::ptr_eq(&first, &open(&local, hdfs, &blocks[0]).unwrap()));
    assert!(first.is_valid(), "what is forgotten is still usable");
}

fn the_cache_is_bounded_and_closes_what_it_drops(hdfs: &Hdfs, blocks: &[Block]) {
    let mut settings = settings(hdfs);
    settings.cached = 2;
    let local = ShortCircuit::new(settings);
    let before = descriptors_on("blk_");
    // More rounds than a segment has slots: they are given back and used again.
    for _ in 0..60 {
        for block in blocks {
            open(&local, hdfs, block).unwrap();
            assert!(descriptors_on("blk_") <= before + 4);
        }
    }
    drop(local);
    assert_eq!(descriptors_on("blk_"), before);
}

fn wrong_blocks_are_refused(hdfs: &Hdfs, block: &Block) {
    let local = ShortCircuit::new(settings(hdfs));
    let refused = |block: &Block| match open(&local, hdfs, block).unwrap_err() {
        error @ OpenError::Refused { .. } => {
            let text = error.to_string();
            assert!(text.contains(&block.to_string()) && !text.contains("\tat "), "{text}");
        }
        other => panic!("{other}"),
    };
    refused(&Block { id: block.id + 1_000_000, ..block.clone() });
    refused(&Block { generation: block.generation + 1, ..block.clone() });
    let longer = Block { len: block.len + 1, ..block.clone() };
    let error = open(&local, hdfs, &longer).unwrap_err();
    assert!(
        matches!(error, OpenError::Replica { source: ReplicaError::Short { .. }, .. }),
        "a block shorter than the NameNode says: {error}"
    );
    assert_eq!(error.reason(), Reason::Unusable);
    // None of this is the DataNode's fault: it is asked again at once.
    open(&local, hdfs, block).unwrap();

    // A DataNode waits 20 s for a block pool that it does not know: it may be about to learn of it.
    let mut brief = settings(hdfs);
    brief.timeout = Duration::from_millis(500);
    let error = open(&ShortCircuit::new(brief), hdfs, &Block { pool: "BP-1".to_owned(), ..block.clone() });
    assert_eq!(error.unwrap_err().reason(), Reason::TimedOut);
}

fn nobody_at_the_socket_is_a_refusal(hdfs: &Hdfs, block: &Block) {
    let mut nowhere = settings(hdfs);
    nowhere.socket_path = Some(hdfs.socket_dir().join("nobody._PORT").display().to_string());
    let local = ShortCircuit::new(nowhere);
    let error = local.open(block, &Token::default(), 9866).unwrap_err();
    assert!(matches!(error, OpenError::Connect { .. }), "{error}");
    assert!(error.to_string().contains("nobody.9866"), "{error}");
    assert_eq!(error.reason(), Reason::NoSocket);
    let again = local.open(block, &Token::default(), 9866).unwrap_err();
    assert!(matches!(again, OpenError::Resting { .. }), "{again}");
    assert_eq!(again.reason(), Reason::NoSocket);

    let off = ShortCircuit::new(Settings::default()).open(block, &Token::default(), 9866).unwrap_err();
    assert_eq!(off.reason(), Reason::Off);
}

fn many_threads_open_at_once(hdfs: &Hdfs, blocks: &[Block], stored: &[u8]) {
    let mut settings = settings(hdfs);
    settings.cached = 2;
    let local = ShortCircuit::new(settings);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let local = &local;
            scope.spawn(move || {
                for round in 0..25 {
                    let i = (thread + round) % blocks.len();
                    let replica = open(local, hdfs, &blocks[i]).unwrap();
                    assert!(bytes(&replica) == stored[i * MIB..].chunks(MIB).next().unwrap());
                }
            });
        }
    });
}
