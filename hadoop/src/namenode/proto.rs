//! `ClientNamenodeProtocol.proto`, `hdfs.proto`: the messages this crate speaks, and of their fields
//! those it reads. All others are skipped when they come.

use bytes::Bytes;

use crate::credentials::TokenProto;

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

/// Of what the NameNode tells its clients, what readers must know.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct FsServerDefaultsProto {
    #[prost(bool, optional, tag = "6")]
    pub(super) encrypt_data_transfer: Option<bool>,
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
pub(super) struct ExtendedBlockProto {
    #[prost(string, required, tag = "1")]
    pub(super) pool_id: String,
    #[prost(uint64, required, tag = "2")]
    pub(super) block_id: u64,
    #[prost(uint64, required, tag = "3")]
    pub(super) generation_stamp: u64,
    #[prost(uint64, optional, tag = "4")]
    pub(super) num_bytes: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DatanodeIdProto {
    #[prost(string, required, tag = "1")]
    pub(super) ip_addr: String,
    #[prost(string, required, tag = "2")]
    pub(super) host_name: String,
    #[prost(string, required, tag = "3")]
    pub(super) datanode_uuid: String,
    #[prost(uint32, required, tag = "4")]
    pub(super) xfer_port: u32,
    #[prost(uint32, required, tag = "5")]
    pub(super) info_port: u32,
    #[prost(uint32, required, tag = "6")]
    pub(super) ipc_port: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DatanodeInfoProto {
    #[prost(message, optional, tag = "1")]
    pub(super) id: Option<DatanodeIdProto>,
    #[prost(string, optional, tag = "8")]
    pub(super) location: Option<String>,
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
