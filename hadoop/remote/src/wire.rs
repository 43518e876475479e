//! The messages of a block read, beside what all data transfers share ([`forebay_hadoop::transfer`]); unknown fields pass.
//!
//! Written after Hadoop's datatransfer.proto; each field keeps its number and type.

use forebay_hadoop::transfer::BaseHeaderProto;
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
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct ClientReadStatusProto {
    #[prost(int32, required, tag = "1")]
    pub(crate) status: i32,
}
