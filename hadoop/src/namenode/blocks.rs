//! Where a file's blocks lie.

use std::fmt;

use super::proto::{
    ErasureCodingPolicyProto, FileEncryptionInfoProto, LocatedBlockProto, LocatedBlocksProto,
};
use crate::credentials::{Token, TokenProto};

/// A block's name, and how long the NameNode takes it to be (`hdfs.proto`, `ExtendedBlockProto`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Block {
    /// The block pool, which names the namespace.
    pub pool: String,
    /// Its number. That of an erasure-coded group is negative.
    pub id: i64,
    /// The generation stamp: another one after an append or a recovery.
    pub generation: u64,
    /// Its length in bytes; of an erasure-coded group, the bytes of the file in it.
    pub len: u64,
}

impl fmt::Display for Block {
    /// As DataNodes and `hdfs fsck` write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:blk_{}_{}", self.pool, self.id, self.generation)
    }
}

/// What a replica is stored on (`StorageTypeProto`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum StorageType {
    /// 1; also where the NameNode says nothing.
    #[default]
    Disk,
    /// 2.
    Ssd,
    /// 3.
    Archive,
    /// 4.
    RamDisk,
    /// 5: another storage system behind the DataNode.
    Provided,
    /// 6.
    Nvdimm,
    /// A number that was not known when this was written.
    Other(i32),
}

impl StorageType {
    const KNOWN: [(i32, Self); 6] = [
        (1, Self::Disk),
        (2, Self::Ssd),
        (3, Self::Archive),
        (4, Self::RamDisk),
        (5, Self::Provided),
        (6, Self::Nvdimm),
    ];

    fn from_wire(number: i32) -> Self {
        Self::KNOWN.iter().find(|(n, _)| *n == number).map_or(Self::Other(number), |(_, known)| *known)
    }

    /// The wire's number.
    pub fn number(self) -> i32 {
        match self {
            Self::Other(number) => number,
            known => Self::KNOWN.iter().find(|(_, k)| *k == known).map_or(1, |(n, _)| *n),
        }
    }
}

/// One replica of a block, or one cell column of an erasure-coded group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// The DataNode's address.
    pub ip: String,
    /// The DataNode's host name.
    pub hostname: String,
    /// The DataNode's port for data.
    pub xfer_port: u16,
    /// The DataNode's web port.
    pub info_port: u16,
    /// The DataNode's port for calls.
    pub ipc_port: u16,
    /// The DataNode's own identity.
    pub uuid: String,
    /// Where it stands in the network, for example `/default-rack`.
    pub rack: String,
    /// The volume's identity.
    pub storage_id: String,
    /// What the volume is.
    pub storage_type: StorageType,
    /// Whether the DataNode holds it locked in memory.
    pub cached: bool,
    /// Which unit of an erasure-coded group it is.
    pub index: Option<u8>,
    /// The token for this unit of an erasure-coded group; other replicas share the block's.
    pub token: Option<Token>,
}

/// A block of a file with its replicas, the nearest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedBlock {
    /// The block.
    pub block: Block,
    /// Where in the file it begins.
    pub offset: u64,
    /// Its replicas.
    pub replicas: Vec<Replica>,
    /// Whether all replicas are known to be corrupt; they are listed nevertheless.
    pub corrupt: bool,
    /// The token that DataNodes ask for; [empty](Token::is_empty) where they ask for none.
    pub token: Token,
}

/// The blocks of a part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedBlocks {
    /// The file's length; of a file being written, without its last block if that is incomplete.
    pub file_len: u64,
    /// The blocks asked for, in order.
    pub blocks: Vec<LocatedBlock>,
    /// Whether the file is open for writing.
    pub under_construction: bool,
    /// The file's last block, asked for or not; `None` for an empty file.
    pub last_block: Option<LocatedBlock>,
    /// Whether the last block is finished. If not, its DataNodes know its length better than the NameNode.
    pub last_block_complete: bool,
    /// Set for files in encryption zones: their blocks hold ciphertext.
    pub encryption: Option<Encryption>,
    /// Set for erasure-coded files: their blocks are groups.
    pub erasure_coding: Option<ErasureCoding>,
}

/// How a file is encrypted, as far as one can tell without its key (`FileEncryptionInfoProto`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// 2 for AES/CTR/NoPadding, 3 for SM4/CTR/NoPadding.
    pub suite: i32,
    /// The zone's key.
    pub key_name: String,
    /// The version of the zone's key.
    pub key_version: String,
}

/// How a file is erasure-coded (`ErasureCodingPolicyProto`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureCoding {
    /// The policy's number.
    pub id: u32,
    /// The policy's name, for example `RS-6-3-1024k`; empty for the NameNode's built-in ones, known by number.
    pub name: String,
    /// The codec, for example `rs`; empty like the name.
    pub codec: String,
    /// Units that hold data.
    pub data_units: u32,
    /// Units that hold parity.
    pub parity_units: u32,
    /// Bytes of a cell.
    pub cell_size: u32,
}

impl Encryption {
    pub(super) fn from_wire(proto: FileEncryptionInfoProto) -> Self {
        Self { suite: proto.suite, key_name: proto.key_name, key_version: proto.ez_key_version_name }
    }
}

impl ErasureCoding {
    /// `None` for policy 0, which says that a file is replicated (`ErasureCodeConstants.REPLICATION_POLICY_ID`).
    pub(super) fn from_wire(proto: ErasureCodingPolicyProto) -> Option<Self> {
        let schema = proto.schema.unwrap_or_default();
        (proto.id != 0).then(|| Self {
            id: proto.id,
            name: proto.name.unwrap_or_default(),
            codec: schema.codec_name,
            data_units: schema.data_units,
            parity_units: schema.parity_units,
            cell_size: proto.cell_size.unwrap_or(0),
        })
    }
}

impl LocatedBlocks {
    /// Of the wire's message. Blocks must lie one behind the other, or a reader would give out wrong bytes.
    pub(super) fn from_wire(proto: LocatedBlocksProto) -> Result<Self, &'static str> {
        let blocks = proto.blocks.into_iter().map(LocatedBlock::from_wire);
        let blocks = blocks.collect::<Result<Vec<_>, _>>()?;
        for pair in blocks.windows(2) {
            if pair[0].end() != Some(pair[1].offset) {
                return Err("its blocks leave gaps or overlap");
            }
        }
        if blocks.last().is_some_and(|last| last.end().is_none()) {
            return Err("a block ends beyond any file");
        }
        Ok(Self {
            file_len: proto.file_length,
            blocks,
            under_construction: proto.under_construction,
            last_block: proto.last_block.map(LocatedBlock::from_wire).transpose()?,
            last_block_complete: proto.is_last_block_complete,
            encryption: proto.file_encryption_info.map(Encryption::from_wire),
            erasure_coding: proto.ec_policy.and_then(ErasureCoding::from_wire),
        })
    }
}

impl LocatedBlock {
    pub(super) fn from_wire(proto: LocatedBlockProto) -> Result<Self, &'static str> {
        let block = proto.b.ok_or("a block has no name")?;
        let block = Block {
            pool: block.pool_id,
            id: block.block_id.cast_signed(),
            generation: block.generation_stamp,
            len: block.num_bytes.unwrap_or(0),
        };
        let mut tokens = proto.block_tokens.into_iter();
        let replicas = proto.locs.into_iter().enumerate().map(|(i, location)| {
            let id = location.id.ok_or("a replica has no DataNode")?;
            Ok(Replica {
                xfer_port: port(id.xfer_port)?,
                info_port: port(id.info_port)?,
                ipc_port: port(id.ipc_port)?,
                ip: id.ip_addr,
                hostname: id.host_name,
                uuid: id.datanode_uuid,
                rack: location.location.unwrap_or_default(),
                storage_id: proto.storage_ids.get(i).cloned().unwrap_or_default(),
                storage_type: proto
                    .storage_types
                    .get(i)
                    .map_or(StorageType::Disk, |n| StorageType::from_wire(*n)),
                cached: proto.is_cached.get(i).copied().unwrap_or(false),
                index: proto.block_indices.as_ref().and_then(|indices| indices.get(i).copied()),
                token: tokens.next().map(Token::from),
            })
        });
        Ok(Self {
            block,
            offset: proto.offset,
            replicas: replicas.collect::<Result<_, &'static str>>()?,
            corrupt: proto.corrupt,
            token: proto.block_token.map(Token::from).unwrap_or_default(),
        })
    }

    /// Where in the file it ends; `None` beyond what a file may have (Java's `long`).
    pub fn end(&self) -> Option<u64> {
        self.offset.checked_add(self.block.len).filter(|end| i64::try_from(*end).is_ok())
    }

    /// The same block with these replicas alone, as it is to be reported.
    #[must_use]
    pub fn with_replicas(&self, keep: impl Fn(&Replica) -> bool) -> Self {
        let mut block = self.clone();
        block.replicas.retain(keep);
        block
    }

    pub(super) fn to_report(&self) -> LocatedBlockProto {
        LocatedBlockProto {
            b: Some((&self.block).into()),
            offset: self.offset,
            locs: self.replicas.iter().map(Into::into).collect(),
            corrupt: self.corrupt,
            block_token: Some(TokenProto::from(&self.token)),
            is_cached: Vec::new(),
            storage_types: self.replicas.iter().map(|replica| replica.storage_type.number()).collect(),
            storage_ids: self.replicas.iter().map(|replica| replica.storage_id.clone()).collect(),
            block_indices: None,
            block_tokens: Vec::new(),
        }
    }
}

fn port(number: u32) -> Result<u16, &'static str> {
    u16::try_from(number).map_err(|_| "a DataNode's port is no port")
}

#[cfg(test)]
#[path = "blocks_tests.rs"]
mod tests;
