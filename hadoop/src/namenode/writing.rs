//! A file of at most one block, as its writer asks for it: make it, where the block is to go, that it is whole.
//!
//! Each call comes out the same when it is repeated: the NameNode knows a repeated `create` by its client and number, gives a
//! block that it has just allocated a second time, and finds that a file is complete already.

use std::fmt::Write as _;

use super::proto;
use super::{Block, Error, FileStatus, LocatedBlock, NameNode, Replica};

/// `CreateFlagProto`.
const CREATE: u32 = 1;
const OVERWRITE: u32 = 2;
/// `CHECKSUM_CRC32`.
const CRC32: i32 = 1;

/// What the NameNode has clients do that have no wish of their own (`FsServerDefaultsProto`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerDefaults {
    /// The size of a file's blocks in bytes.
    pub block_size: u64,
    /// How many bytes of a block each checksum covers.
    pub bytes_per_checksum: u32,
    /// Bytes of a packet on its way to a DataNode, header and checksums included.
    pub write_packet_size: u32,
    /// How many replicas a block gets.
    pub replication: u32,
    /// Whether clients and DataNodes have to encrypt all data on its way.
    pub encrypt_data_transfer: bool,
    /// Which checksum: 0 for none, 1 for CRC32, 2 for CRC32C.
    pub checksum_type: i32,
}

/// A file that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewFile<'a> {
    /// Its path, absolute.
    pub path: &'a str,
    /// Under which name its writer holds it: another one than any other writer's.
    pub holder: &'a str,
    /// Its permission bits.
    pub permission: u32,
    /// Whether it takes the place of a file that is there.
    pub overwrite: bool,
    /// Whether folders above it are made.
    pub create_parent: bool,
    /// How many replicas its block gets.
    pub replication: u32,
    /// The size of its blocks in bytes.
    pub block_size: u64,
}

/// A file that its writer holds.
#[derive(Debug, Clone, Copy)]
pub struct OpenFile<'a> {
    /// Its path, absolute.
    pub path: &'a str,
    /// Its writer's name.
    pub holder: &'a str,
    /// Its [identity](FileStatus::id): another file of the same name is not meant.
    pub id: u64,
}

impl NameNode {
    /// A name for this client that no other one has, for files that it holds.
    pub fn client_name(&self) -> String {
        self.proxy.client_id().iter().fold("forebay_".to_owned(), |mut name, byte| {
            // Writing to a string does not fail.
            let _ = write!(name, "{byte:02x}");
            name
        })
    }

    /// What clients do that have no wish of their own (`getServerDefaults`).
    pub async fn server_defaults(&self) -> Result<ServerDefaults, Error> {
        let answer: proto::GetServerDefaultsResponseProto =
            self.call("getServerDefaults", &proto::Empty {}).await?;
        let defaults = answer.defaults;
        Ok(ServerDefaults {
            block_size: defaults.block_size,
            bytes_per_checksum: defaults.bytes_per_checksum,
            write_packet_size: defaults.write_packet_size,
            replication: defaults.replication,
            encrypt_data_transfer: defaults.encrypt_data_transfer.unwrap_or(false),
            checksum_type: defaults.checksum_type.unwrap_or(CRC32),
        })
    }

    /// Makes a file and holds it (`create`). In an encryption zone the NameNode refuses that, because this client cannot encrypt.
    pub async fn create(&self, file: &NewFile<'_>) -> Result<FileStatus, Error> {
        const METHOD: &str = "create";
        let request = proto::CreateRequestProto {
            src: file.path.to_owned(),
            masked: proto::FsPermissionProto { perm: file.permission },
            client_name: file.holder.to_owned(),
            create_flag: CREATE | if file.overwrite { OVERWRITE } else { 0 },
            create_parent: file.create_parent,
            replication: file.replication,
            block_size: file.block_size,
        };
        let answer: proto::CreateResponseProto = self.call(METHOD, &request).await?;
        let why = "it does not say what was made";
        let status = answer.fs.ok_or(Error::Answer { method: METHOD, path: file.path.to_owned(), why })?;
        Ok(FileStatus::from_wire(status))
    }

    /// The first block of a file without one, and the DataNodes that it is to be written through, none of which is among those
    /// `excluded` (`addBlock`).
    pub async fn add_first_block(
        &self,
        file: &OpenFile<'_>,
        excluded: &[Replica],
    ) -> Result<LocatedBlock, Error> {
        const METHOD: &str = "addBlock";
        let request = proto::AddBlockRequestProto {
            src: file.path.to_owned(),
            client_name: file.holder.to_owned(),
            exclude_nodes: excluded.iter().map(Into::into).collect(),
            file_id: Some(file.id),
        };
        let answer: proto::AddBlockResponseProto = self.call(METHOD, &request).await?;
        let wrong = |why| Error::Answer { method: METHOD, path: file.path.to_owned(), why };
        let located = LocatedBlock::from_wire(answer.block).map_err(wrong)?;
        if located.replicas.is_empty() { Err(wrong("the block has no DataNodes")) } else { Ok(located) }
    }

    /// Gives back the last block of a file, which could not be written (`abandonBlock`).
    pub async fn abandon_block(&self, file: &OpenFile<'_>, block: &Block) -> Result<(), Error> {
        let request = proto::AbandonBlockRequestProto {
            b: block.into(),
            src: file.path.to_owned(),
            holder: file.holder.to_owned(),
            file_id: Some(file.id),
        };
        let proto::Empty {} = self.call("abandonBlock", &request).await?;
        Ok(())
    }

    /// Closes a file whose last block, with its length, is this one (`complete`). `false` while the NameNode has not heard from
    /// enough DataNodes that they have it: then it is to be asked again.
    pub async fn complete(&self, file: &OpenFile<'_>, last: Option<&Block>) -> Result<bool, Error> {
        let request = proto::CompleteRequestProto {
            src: file.path.to_owned(),
            client_name: file.holder.to_owned(),
            last: last.map(Into::into),
            file_id: Some(file.id),
        };
        let answer: proto::ResultProto = self.call("complete", &request).await?;
        Ok(answer.result)
    }

    /// Removes a file, or an empty folder; says whether there was one (`delete`).
    pub async fn delete(&self, path: &str) -> Result<bool, Error> {
        let request = proto::DeleteRequestProto { src: path.to_owned(), recursive: false };
        let answer: proto::ResultProto = self.call("delete", &request).await?;
        Ok(answer.result)
    }
}
