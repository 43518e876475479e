//! The messages of a short-circuit exchange, as far as this crate needs them; unknown fields pass.
//!
//! Written after Hadoop's datatransfer.proto, hdfs.proto and Security.proto; each field keeps its number and type.

use forebay_hadoop::credentials::TokenProto;
use prost::Message;

use crate::Block;

/// The version that every data transfer begins with (`DataTransferProtocol.DATA_TRANSFER_VERSION`).
const TRANSFER_VERSION: u16 = 28;

/// The layout of block and meta file that we understand, and the only one there is
/// (`DataNode.CURRENT_BLOCK_FORMAT_VERSION`).
pub(crate) const BLOCK_FORMAT: u32 = 1;

/// The longest reply that is read. They are some dozen bytes, or carry a message of a DataNode's exception.
pub(crate) const LONGEST_REPLY: u64 = 64 << 10;

/// What is asked for (`Op` in Hadoop's datatransfer package).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Opcode {
    RequestDescriptors = 87,
    ReleaseSlot = 88,
    RequestSegment = 89,
}

/// The outcome of an operation (`Status` in datatransfer.proto).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// `SUCCESS`.
    Success,
    /// `ERROR`: something else went wrong, see the message.
    Error,
    /// `ERROR_INVALID`: the request made no sense to the DataNode.
    Invalid,
    /// `ERROR_ACCESS_TOKEN`: the block token is missing, wrong or expired.
    AccessToken,
    /// `ERROR_UNSUPPORTED`: this DataNode passes no descriptors.
    Unsupported,
    /// Any other number.
    Other(i32),
}

impl Status {
    pub(crate) fn of(number: i32) -> Self {
        match number {
            0 => Self::Success,
            1 => Self::Error,
            3 => Self::Invalid,
            5 => Self::AccessToken,
            7 => Self::Unsupported,
            other => Self::Other(other),
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExtendedBlockProto {
    #[prost(string, required, tag = "1")]
    pub(crate) pool_id: String,
    #[prost(uint64, required, tag = "2")]
    pub(crate) block_id: u64,
    #[prost(uint64, required, tag = "3")]
    pub(crate) generation_stamp: u64,
    #[prost(uint64, optional, tag = "4")]
    pub(crate) num_bytes: Option<u64>,
}

impl From<&Block> for ExtendedBlockProto {
    fn from(block: &Block) -> Self {
        Self {
            pool_id: block.pool.clone(),
            // Erasure-coded groups have negative numbers; the wire has them as they lie in memory.
            block_id: block.id.cast_unsigned(),
            generation_stamp: block.generation,
            num_bytes: Some(block.len),
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BaseHeaderProto {
    #[prost(message, required, tag = "1")]
    pub(crate) block: ExtendedBlockProto,
    #[prost(message, optional, tag = "2")]
    pub(crate) token: Option<TokenProto>,
}

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
pub(crate) struct BlockOpResponseProto {
    #[prost(int32, required, tag = "1")]
    pub(crate) status: i32,
    #[prost(string, optional, tag = "5")]
    pub(crate) message: Option<String>,
    #[prost(uint32, optional, tag = "6")]
    pub(crate) short_circuit_access_version: Option<u32>,
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

/// The bytes of a request: version, opcode, the message with its length before it.
pub(crate) fn request(opcode: Opcode, message: &impl Message) -> Vec<u8> {
    let mut bytes = TRANSFER_VERSION.to_be_bytes().to_vec();
    bytes.push(opcode as u8);
    bytes.extend(message.encode_length_delimited_to_vec());
    bytes
}

/// The most bytes of a server's message that an error repeats.
const LONGEST_WORDS: usize = 500;

/// A server's message as an error repeats it: the first line without a Java stack.
pub(crate) fn words(message: Option<&str>) -> String {
    match message.and_then(|message| message.lines().next()).unwrap_or_default().trim() {
        "" => "the DataNode does not say why".to_owned(),
        line => line.chars().take(LONGEST_WORDS).map(|c| if c.is_control() { ' ' } else { c }).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Token;

    #[test]
    fn a_request_for_descriptors_has_the_bytes_that_a_datanode_was_seen_to_accept() {
        let block = Block { pool: "BP-1".to_owned(), id: 1_073_741_825, generation: 1001, len: 5 };
        let request = request(
            Opcode::RequestDescriptors,
            &OpRequestShortCircuitAccessProto {
                header: BaseHeaderProto { block: (&block).into(), token: Some((&Token::default()).into()) },
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

    #[test]
    fn a_servers_message_is_repeated_without_its_stack() {
        assert_eq!(words(Some("no such block\n\tat java.lang.Thread")), "no such block");
        assert_eq!(words(None), "the DataNode does not say why");
        assert!(words(Some(&"x".repeat(10_000))).len() <= LONGEST_WORDS);
    }
}
