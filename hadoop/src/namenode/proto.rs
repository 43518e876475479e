//! `ClientNamenodeProtocol.proto`, `hdfs.proto`: the messages this crate speaks, and of their fields
//! those it reads. All others are skipped when they come.

use bytes::Bytes;

use crate::credentials::TokenProto;
pub(super) use crate::transfer::{DatanodeInfoProto, ExtendedBlockProto};

/// Answers that say nothing but yes.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Empty {}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GetBlockLocationsRequestProto {
    #[prost(string, required, tag = "1")]
    pub(super) src: String,
    #[prost(uint64, required, tag = "2")]
    pub(super) offset: u64,
    #[prost(uint64, required, tag = "3")]
    pub(super) length: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GetBlockLocationsResponseProto {
    #[prost(message, optional, tag = "1")]
    pub(super) locations: Option<LocatedBlocksProto>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct GetServerDefaultsResponseProto {
    #[prost(message, required, tag = "1")]
    pub(super) defaults: FsServerDefaultsProto,
}

/// What clients do where they have no wish of their own.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct FsServerDefaultsProto {
    #[prost(uint64, required, tag = "1")]
    pub(super) block_size: u64,
    #[prost(uint32, required, tag = "2")]
    pub(super) bytes_per_checksum: u32,
    #[prost(uint32, required, tag = "3")]
    pub(super) write_packet_size: u32,
    #[prost(uint32, required, tag = "4")]
    pub(super) replication: u32,
    #[prost(bool, optional, tag = "6")]
    pub(super) encrypt_data_transfer: Option<bool>,
    /// 1, CRC32, where it is not set.
    #[prost(int32, optional, tag = "8")]
    pub(super) checksum_type: Option<i32>,
}

/// Without a version of encryption that the client speaks: the NameNode then refuses to make a file in an encryption zone.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CreateRequestProto {
    #[prost(string, required, tag = "1")]
    pub(super) src: String,
    #[prost(message, required, tag = "2")]
    pub(super) masked: FsPermissionProto,
    #[prost(string, required, tag = "3")]
    pub(super) client_name: String,
    #[prost(uint32, required, tag = "4")]
    pub(super) create_flag: u32,
    #[prost(bool, required, tag = "5")]
    pub(super) create_parent: bool,
    #[prost(uint32, required, tag = "6")]
    pub(super) replication: u32,
    #[prost(uint64, required, tag = "7")]
    pub(super) block_size: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CreateResponseProto {
    #[prost(message, optional, tag = "1")]
    pub(super) fs: Option<HdfsFileStatusProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AddBlockRequestProto {
    #[prost(string, required, tag = "1")]
    pub(super) src: String,
    #[prost(string, required, tag = "2")]
    pub(super) client_name: String,
    #[prost(message, repeated, tag = "4")]
    pub(super) exclude_nodes: Vec<DatanodeInfoProto>,
    #[prost(uint64, optional, tag = "5")]
    pub(super) file_id: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AddBlockResponseProto {
    #[prost(message, required, tag = "1")]
    pub(super) block: LocatedBlockProto,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AbandonBlockRequestProto {
    #[prost(message, required, tag = "1")]
    pub(super) b: ExtendedBlockProto,
    #[prost(string, required, tag = "2")]
    pub(super) src: String,
    #[prost(string, required, tag = "3")]
    pub(super) holder: String,
    #[prost(uint64, optional, tag = "4")]
    pub(super) file_id: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CompleteRequestProto {
    #[prost(string, required, tag = "1")]
    pub(super) src: String,
    #[prost(string, required, tag = "2")]
    pub(super) client_name: String,
    #[prost(message, optional, tag = "3")]
    pub(super) last: Option<ExtendedBlockProto>,
    #[prost(uint64, optional, tag = "4")]
    pub(super) file_id: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DeleteRequestProto {
    #[prost(string, required, tag = "1")]
    pub(super) src: String,
    #[prost(bool, required, tag = "2")]
    pub(super) recursive: bool,
}

/// `CompleteResponseProto`, `DeleteResponseProto`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct ResultProto {
    #[prost(bool, required, tag = "1")]
    pub(super) result: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GetFileInfoRequestProto {
    #[prost(string, required, tag = "1")]
    pub(super) src: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GetFileInfoResponseProto {
    #[prost(message, optional, tag = "1")]
    pub(super) fs: Option<HdfsFileStatusProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GetListingRequestProto {
    #[prost(string, required, tag = "1")]
    pub(super) src: String,
    #[prost(bytes = "bytes", required, tag = "2")]
    pub(super) start_after: Bytes,
    #[prost(bool, required, tag = "3")]
    pub(super) need_location: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GetListingResponseProto {
    #[prost(message, optional, tag = "1")]
    pub(super) dir_list: Option<DirectoryListingProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DirectoryListingProto {
    #[prost(message, repeated, tag = "1")]
    pub(super) partial_listing: Vec<HdfsFileStatusProto>,
    #[prost(uint32, required, tag = "2")]
    pub(super) remaining_entries: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ReportBadBlocksRequestProto {
    #[prost(message, repeated, tag = "1")]
    pub(super) blocks: Vec<LocatedBlockProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct LocatedBlockProto {
    #[prost(message, optional, tag = "1")]
    pub(super) b: Option<ExtendedBlockProto>,
    #[prost(uint64, required, tag = "2")]
    pub(super) offset: u64,
    #[prost(message, repeated, tag = "3")]
    pub(super) locs: Vec<DatanodeInfoProto>,
    #[prost(bool, required, tag = "4")]
    pub(super) corrupt: bool,
    #[prost(message, optional, tag = "5")]
    pub(super) block_token: Option<TokenProto>,
    /// Packed on the wire; read either way.
    #[prost(bool, repeated, tag = "6")]
    pub(super) is_cached: Vec<bool>,
    #[prost(int32, repeated, packed = "false", tag = "7")]
    pub(super) storage_types: Vec<i32>,
    #[prost(string, repeated, tag = "8")]
    pub(super) storage_ids: Vec<String>,
    #[prost(bytes = "bytes", optional, tag = "9")]
    pub(super) block_indices: Option<Bytes>,
    #[prost(message, repeated, tag = "10")]
    pub(super) block_tokens: Vec<TokenProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct LocatedBlocksProto {
    #[prost(uint64, required, tag = "1")]
    pub(super) file_length: u64,
    #[prost(message, repeated, tag = "2")]
    pub(super) blocks: Vec<LocatedBlockProto>,
    #[prost(bool, required, tag = "3")]
    pub(super) under_construction: bool,
    #[prost(message, optional, tag = "4")]
    pub(super) last_block: Option<LocatedBlockProto>,
    #[prost(bool, required, tag = "5")]
    pub(super) is_last_block_complete: bool,
    #[prost(message, optional, tag = "6")]
    pub(super) file_encryption_info: Option<FileEncryptionInfoProto>,
    #[prost(message, optional, tag = "7")]
    pub(super) ec_policy: Option<ErasureCodingPolicyProto>,
}

/// The file's encrypted key (3, 4) is not read: without a key provider it is of no use.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FileEncryptionInfoProto {
    #[prost(int32, required, tag = "1")]
    pub(super) suite: i32,
    #[prost(string, required, tag = "5")]
    pub(super) key_name: String,
    #[prost(string, required, tag = "6")]
    pub(super) ez_key_version_name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ErasureCodingPolicyProto {
    #[prost(string, optional, tag = "1")]
    pub(super) name: Option<String>,
    #[prost(message, optional, tag = "2")]
    pub(super) schema: Option<EcSchemaProto>,
    #[prost(uint32, optional, tag = "3")]
    pub(super) cell_size: Option<u32>,
    #[prost(uint32, required, tag = "4")]
    pub(super) id: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct EcSchemaProto {
    #[prost(string, required, tag = "1")]
    pub(super) codec_name: String,
    #[prost(uint32, required, tag = "2")]
    pub(super) data_units: u32,
    #[prost(uint32, required, tag = "3")]
    pub(super) parity_units: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FsPermissionProto {
    #[prost(uint32, required, tag = "1")]
    pub(super) perm: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HdfsFileStatusProto {
    #[prost(int32, required, tag = "1")]
    pub(super) file_type: i32,
    #[prost(bytes = "bytes", required, tag = "2")]
    pub(super) path: Bytes,
    #[prost(uint64, required, tag = "3")]
    pub(super) length: u64,
    #[prost(message, optional, tag = "4")]
    pub(super) permission: Option<FsPermissionProto>,
    #[prost(string, required, tag = "5")]
    pub(super) owner: String,
    #[prost(string, required, tag = "6")]
    pub(super) group: String,
    #[prost(uint64, required, tag = "7")]
    pub(super) modification_time: u64,
    #[prost(uint64, required, tag = "8")]
    pub(super) access_time: u64,
    #[prost(uint32, optional, tag = "10")]
    pub(super) block_replication: Option<u32>,
    #[prost(uint64, optional, tag = "11")]
    pub(super) blocksize: Option<u64>,
    #[prost(uint64, optional, tag = "13")]
    pub(super) file_id: Option<u64>,
    #[prost(message, optional, tag = "15")]
    pub(super) file_encryption_info: Option<FileEncryptionInfoProto>,
    #[prost(message, optional, tag = "17")]
    pub(super) ec_policy: Option<ErasureCodingPolicyProto>,
}
