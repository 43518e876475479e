//! The messages of a block read or written, beside what all data transfers share ([`forebay_hadoop::transfer`]); unknown fields pass.
//!
//! Written after Hadoop's datatransfer.proto; each field keeps its number and type.

use forebay_hadoop::transfer::{BaseHeaderProto, ChecksumProto, DatanodeInfoProto};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ClientOperationHeaderProto {
    #[prost(message, required, tag = "1")]
    pub(crate) base: BaseHeaderProto,
    #[prost(string, required, tag = "2")]
    pub(crate) client_name: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct CachingStrategyProto {
    #[prost(bool, optional, tag = "1")]
    pub(crate) drop_behind: Option<bool>,
    #[prost(int64, optional, tag = "2")]
    pub(crate) readahead: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct OpReadBlockProto {
    #[prost(message, required, tag = "1")]
    pub(crate) header: ClientOperationHeaderProto,
    #[prost(uint64, required, tag = "2")]
    pub(crate) offset: u64,
    #[prost(uint64, required, tag = "3")]
    pub(crate) len: u64,
    #[prost(bool, optional, tag = "4")]
    pub(crate) send_checksums: Option<bool>,
    #[prost(message, optional, tag = "5")]
    pub(crate) caching_strategy: Option<CachingStrategyProto>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct PacketHeaderProto {
    #[prost(sfixed64, required, tag = "1")]
    pub(crate) offset_in_block: i64,
    #[prost(sfixed64, required, tag = "2")]
    pub(crate) seqno: i64,
    #[prost(bool, required, tag = "3")]
    pub(crate) last: bool,
    #[prost(sfixed32, required, tag = "4")]
    pub(crate) data_len: i32,
    /// Whether the block is to be on the disk before the packet is acknowledged.
    #[prost(bool, optional, tag = "5")]
    pub(crate) sync_block: Option<bool>,
}

/// `PIPELINE_SETUP_CREATE`: the stage of a block that is written from its beginning.
pub(crate) const CREATE: i32 = 6;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct OpWriteBlockProto {
    #[prost(message, required, tag = "1")]
    pub(crate) header: ClientOperationHeaderProto,
    /// The DataNodes behind the one that is asked.
    #[prost(message, repeated, tag = "2")]
    pub(crate) targets: Vec<DatanodeInfoProto>,
    #[prost(int32, required, tag = "4")]
    pub(crate) stage: i32,
    #[prost(uint32, required, tag = "5")]
    pub(crate) pipeline_size: u32,
    #[prost(uint64, required, tag = "6")]
    pub(crate) min_bytes_rcvd: u64,
    #[prost(uint64, required, tag = "7")]
    pub(crate) max_bytes_rcvd: u64,
    #[prost(uint64, required, tag = "8")]
    pub(crate) latest_generation_stamp: u64,
    #[prost(message, required, tag = "9")]
    pub(crate) requested_checksum: ChecksumProto,
    #[prost(int32, optional, tag = "11")]
    pub(crate) storage_type: Option<i32>,
    #[prost(int32, repeated, packed = "false", tag = "12")]
    pub(crate) target_storage_types: Vec<i32>,
    #[prost(string, optional, tag = "16")]
    pub(crate) storage_id: Option<String>,
    #[prost(string, repeated, tag = "17")]
    pub(crate) target_storage_ids: Vec<String>,
}

/// What the DataNodes of a pipeline have made of a packet, the first one first.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PipelineAckProto {
    #[prost(sint64, required, tag = "1")]
    pub(crate) seqno: i64,
    #[prost(int32, repeated, packed = "false", tag = "2")]
    pub(crate) reply: Vec<i32>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct ClientReadStatusProto {
    #[prost(int32, required, tag = "1")]
    pub(crate) status: i32,
}
