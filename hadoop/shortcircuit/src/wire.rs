//! The messages of a short-circuit exchange, beside what all data transfers share ([`forebay_hadoop::transfer`]); unknown
//! fields pass.
//!
//! Written after Hadoop's datatransfer.proto; each field keeps its number and type.

use forebay_hadoop::transfer::BaseHeaderProto;
pub(crate) use forebay_hadoop::transfer::{
    BlockOpResponseProto, LONGEST_REPLY, Opcode, Status, request, words,
};
use prost::Message;

/// The layout of block and meta file that we understand, and the only one there is
/// (`DataNode.CURRENT_BLOCK_FORMAT_VERSION`).
pub(crate) const BLOCK_FORMAT: u32 = 1;

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct ShortCircuitShmIdProto {
    #[prost(int64, required, tag = "1")]
    pub(crate) hi: i64,
    #[prost(int64, required, tag = "2")]
    pub(crate) lo: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct ShortCircuitShmSlotProto {
    #[prost(message, required, tag = "1")]
    pub(crate) shm_id: ShortCircuitShmIdProto,
    #[prost(int32, required, tag = "2")]
    pub(crate) slot_idx: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct OpRequestShortCircuitAccessProto {
    #[prost(message, required, tag = "1")]
    pub(crate) header: BaseHeaderProto,
    #[prost(uint32, required, tag = "2")]
    pub(crate) max_version: u32,
    #[prost(message, optional, tag = "3")]
    pub(crate) slot_id: Option<ShortCircuitShmSlotProto>,
    #[prost(bool, optional, tag = "4")]
    pub(crate) supports_receipt_verification: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ShortCircuitShmRequestProto {
    #[prost(string, required, tag = "1")]
    pub(crate) client_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ShortCircuitShmResponseProto {
    #[prost(int32, required, tag = "1")]
    pub(crate) status: i32,
    #[prost(string, optional, tag = "2")]
    pub(crate) error: Option<String>,
    #[prost(message, optional, tag = "3")]
    pub(crate) id: Option<ShortCircuitShmIdProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ReleaseShortCircuitAccessRequestProto {
    #[prost(message, required, tag = "1")]
    pub(crate) slot_id: ShortCircuitShmSlotProto,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ReleaseShortCircuitAccessResponseProto {
    #[prost(int32, required, tag = "1")]
    pub(crate) status: i32,
    #[prost(string, optional, tag = "2")]
    pub(crate) error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Block, Token};

    #[test]
    fn a_request_for_descriptors_has_the_bytes_that_a_datanode_was_seen_to_accept() {
        let block = Block { pool: "BP-1".to_owned(), id: 1_073_741_825, generation: 1001, len: 5 };
        let request = request(
            Opcode::RequestDescriptors,
            &OpRequestShortCircuitAccessProto {
                header: BaseHeaderProto::new(&block, &Token::default()),
                max_version: 1,
                slot_id: None,
                supports_receipt_verification: Some(true),
            },
        );
        // version, opcode, length; header (block, token); highest version, receipt verification
        let mut wanted = vec![0, 28, 87, 35, 0x0a, 29, 0x0a, 17, 0x0a, 4];
        wanted.extend(b"BP-1");
        wanted.extend([0x10, 0x81, 0x80, 0x80, 0x80, 0x04, 0x18, 0xe9, 0x07, 0x20, 5]);
        // An empty token has all its fields: they are required.
        wanted.extend([0x12, 8, 0x0a, 0, 0x12, 0, 0x1a, 0, 0x22, 0]);
        wanted.extend([0x10, 1, 0x20, 1]);
        assert_eq!(request, wanted, "{request:x?}");
        let again = OpRequestShortCircuitAccessProto::decode_length_delimited(&request[3..]).unwrap();
        assert_eq!(again.header.block.block_id, 1_073_741_825);
    }
}
