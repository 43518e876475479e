//! Block locations recorded from a real NameNode, and wrong ones.

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::namenode::proto::GetBlockLocationsResponseProto;

/// The body of an answer to `getBlockLocations`: three blocks, two replicas, block tokens.
fn recorded() -> Vec<u8> {
    let path = format!("{}/tests/frames/locations.bin", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn decode(bytes: &[u8]) -> Result<LocatedBlocks, &'static str> {
    let answer = GetBlockLocationsResponseProto::decode(bytes).map_err(|_| "no message")?;
    LocatedBlocks::from_wire(answer.locations.ok_or("no locations")?)
}

fn wire() -> LocatedBlocksProto {
    GetBlockLocationsResponseProto::decode(&recorded()[..]).unwrap().locations.unwrap()
}

#[test]
fn recorded_locations() {
    let found = decode(&recorded()).unwrap();
    assert_eq!((found.file_len, found.blocks.len()), (2500, 3));
    assert_eq!(found.blocks.iter().map(|b| b.offset).collect::<Vec<_>>(), [0, 1024, 2048]);
    for block in &found.blocks {
        assert_eq!(block.replicas.len(), 2);
        assert_eq!(block.token.kind, "HDFS_BLOCK_TOKEN");
        assert!(!block.token.is_empty());
        assert!(block.replicas.iter().all(|r| r.storage_id.starts_with("DS-") && r.ip == "127.0.0.1"));
    }
    assert!(found.last_block_complete && !found.under_construction);
}

#[test]
fn cached_flags_are_read_packed_and_not() {
    let block = wire().blocks.remove(0);
    let rest = LocatedBlockProto { is_cached: vec![], ..block }.encode_to_vec();
    for flags in [&[0x32, 2, 0, 1][..], &[0x30, 0, 0x30, 1]] {
        let bytes = [&rest[..], flags].concat();
        let block = LocatedBlock::from_wire(LocatedBlockProto::decode(&bytes[..]).unwrap()).unwrap();
        assert_eq!(block.replicas.iter().map(|r| r.cached).collect::<Vec<_>>(), [false, true]);
    }
}

#[test]
fn erasure_coded_groups_and_encryption_are_recognised() {
    let mut proto = wire();
    proto.ec_policy = Some(ErasureCodingPolicyProto { name: None, schema: None, cell_size: None, id: 1 });
    proto.file_encryption_info =
        Some(FileEncryptionInfoProto { suite: 2, key_name: "k".into(), ez_key_version_name: "k@0".into() });
    let group = &mut proto.blocks[0];
    group.b.as_mut().unwrap().block_id = (-9_223_372_036_854_775_792_i64).cast_unsigned();
    group.block_indices = Some(vec![0, 4].into());
    group.block_tokens = vec![TokenProto::default(); 2];
    let found = LocatedBlocks::from_wire(proto.clone()).unwrap();
    assert_eq!(found.erasure_coding.unwrap().id, 1);
    assert_eq!(found.encryption.unwrap().key_name, "k");
    let group = &found.blocks[0];
    assert_eq!(group.block.id, -9_223_372_036_854_775_792);
    assert_eq!(group.replicas.iter().map(|r| r.index).collect::<Vec<_>>(), [Some(0), Some(4)]);
    assert!(group.replicas.iter().all(|r| r.token.is_some()));
    proto.ec_policy.as_mut().unwrap().id = 0;
    assert!(LocatedBlocks::from_wire(proto).unwrap().erasure_coding.is_none(), "policy 0 is replication");
}

#[test]
fn blocks_that_leave_gaps_are_refused() {
    for (change, wanted) in [
        ((|p| p.blocks[1].offset += 1) as fn(&mut LocatedBlocksProto), "gaps or overlap"),
        (|p| p.blocks[0].b.as_mut().unwrap().num_bytes = Some(7), "gaps or overlap"),
        (|p| p.blocks[2].b.as_mut().unwrap().num_bytes = Some(u64::MAX), "beyond any file"),
        (|p| p.blocks[0].b = None, "has no name"),
        (|p| p.blocks[0].locs[0].id = None, "no DataNode"),
        (|p| p.blocks[0].locs[0].id.as_mut().unwrap().xfer_port = 70_000, "no port"),
    ] {
        let mut proto = wire();
        change(&mut proto);
        let error = LocatedBlocks::from_wire(proto).unwrap_err();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn a_report_names_the_replicas_that_were_kept() {
    let block = decode(&recorded()).unwrap().blocks.remove(0);
    let uuid = block.replicas[1].uuid.clone();
    let report = block.with_replicas(|replica| replica.uuid == uuid).to_report();
    let back = LocatedBlock::from_wire(report).unwrap();
    assert_eq!(back.block, block.block);
    assert_eq!(back.replicas.len(), 1);
    assert_eq!(back.replicas[0].uuid, uuid);
    assert_eq!(back.token, block.token);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn no_damage_makes_it_panic(changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = recorded();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = decode(&bytes);
    }
}
