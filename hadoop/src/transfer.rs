//! The data-transfer protocol, as far as everybody needs it who speaks to a DataNode: how a request begins, what its header
//! says, and how it is answered. Unknown fields pass.
//!
//! Written after Hadoop's datatransfer.proto, hdfs.proto and Security.proto; each field keeps its number and type.

use prost::Message;

use crate::credentials::{Token, TokenProto};
use crate::namenode::{Block, Replica};

/// The version that every data transfer begins with (`DataTransferProtocol.DATA_TRANSFER_VERSION`).
const TRANSFER_VERSION: u16 = 28;

/// The longest reply that is read, in bytes. Replies are some dozen bytes, or carry a message of a DataNode's exception.
pub const LONGEST_REPLY: u64 = 64 << 10;

/// The most characters of a server's message that an error repeats.
const LONGEST_WORDS: usize = 500;

/// What is asked for (`Op` in Hadoop's datatransfer package).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// `WRITE_BLOCK`.
    WriteBlock = 80,
    /// `READ_BLOCK`.
    ReadBlock = 81,
    /// `REQUEST_SHORT_CIRCUIT_FDS`.
    RequestDescriptors = 87,
    /// `RELEASE_SHORT_CIRCUIT_FDS`.
    ReleaseSlot = 88,
    /// `REQUEST_SHORT_CIRCUIT_SHM`.
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
    /// `CHECKSUM_OK`: what a client says that has compared all it has read.
    ChecksumOk,
    /// `ERROR_UNSUPPORTED`: this DataNode passes no descriptors.
    Unsupported,
    /// Any other number.
    Other(i32),
}

impl Status {
    /// Of the wire's number.
    pub fn of(number: i32) -> Self {
        match number {
            0 => Self::Success,
            1 => Self::Error,
            3 => Self::Invalid,
            5 => Self::AccessToken,
            6 => Self::ChecksumOk,
            7 => Self::Unsupported,
            other => Self::Other(other),
        }
    }

    /// The wire's number.
    pub fn number(self) -> i32 {
        match self {
            Self::Success => 0,
            Self::Error => 1,
            Self::Invalid => 3,
            Self::AccessToken => 5,
            Self::ChecksumOk => 6,
            Self::Unsupported => 7,
            Self::Other(other) => other,
        }
    }
}

/// A block's name on the wire.
#[derive(Clone, PartialEq, Message)]
pub struct ExtendedBlockProto {
    /// The block pool.
    #[prost(string, required, tag = "1")]
    pub pool_id: String,
    /// Its number, as it lies in memory.
    #[prost(uint64, required, tag = "2")]
    pub block_id: u64,
    /// Its generation stamp.
    #[prost(uint64, required, tag = "3")]
    pub generation_stamp: u64,
    /// Its length in bytes.
    #[prost(uint64, optional, tag = "4")]
    pub num_bytes: Option<u64>,
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

/// A DataNode's names and ports.
#[derive(Clone, PartialEq, Message)]
pub struct DatanodeIdProto {
    /// Its address.
    #[prost(string, required, tag = "1")]
    pub ip_addr: String,
    /// Its host name.
    #[prost(string, required, tag = "2")]
    pub host_name: String,
    /// Its own identity.
    #[prost(string, required, tag = "3")]
    pub datanode_uuid: String,
    /// Its port for data.
    #[prost(uint32, required, tag = "4")]
    pub xfer_port: u32,
    /// Its web port.
    #[prost(uint32, required, tag = "5")]
    pub info_port: u32,
    /// Its port for calls.
    #[prost(uint32, required, tag = "6")]
    pub ipc_port: u32,
}

/// A DataNode, and where it stands in the network.
#[derive(Clone, PartialEq, Message)]
pub struct DatanodeInfoProto {
    /// Which one.
    #[prost(message, optional, tag = "1")]
    pub id: Option<DatanodeIdProto>,
    /// Its rack.
    #[prost(string, optional, tag = "8")]
    pub location: Option<String>,
}

impl From<&Replica> for DatanodeInfoProto {
    fn from(replica: &Replica) -> Self {
        let id = DatanodeIdProto {
            ip_addr: replica.ip.clone(),
            host_name: replica.hostname.clone(),
            datanode_uuid: replica.uuid.clone(),
            xfer_port: replica.xfer_port.into(),
            info_port: replica.info_port.into(),
            ipc_port: replica.ipc_port.into(),
        };
        Self { id: Some(id), location: Some(replica.rack.clone()) }
    }
}

/// What every request names: a block, and the token that opens it.
#[derive(Clone, PartialEq, Message)]
pub struct BaseHeaderProto {
    /// The block.
    #[prost(message, required, tag = "1")]
    pub block: ExtendedBlockProto,
    /// The token; an empty one where a cluster asks for none.
    #[prost(message, optional, tag = "2")]
    pub token: Option<TokenProto>,
}

impl BaseHeaderProto {
    /// The header of a request for this block.
    pub fn new(block: &Block, token: &Token) -> Self {
        Self { block: block.into(), token: Some(token.into()) }
    }
}

/// Which checksum, over how many bytes each.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct ChecksumProto {
    /// 0 for none, 1 for CRC32, 2 for CRC32C.
    #[prost(int32, required, tag = "1")]
    pub kind: i32,
    /// Bytes that one checksum covers.
    #[prost(uint32, required, tag = "2")]
    pub bytes_per_checksum: u32,
}

/// What a DataNode is about to send of a block.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct ReadOpChecksumInfoProto {
    /// The checksums that go with the bytes.
    #[prost(message, required, tag = "1")]
    pub checksum: ChecksumProto,
    /// Where in the block the first packet begins: at the chunk in which the wanted bytes do.
    #[prost(uint64, required, tag = "2")]
    pub chunk_offset: u64,
}

/// The answer to a request.
#[derive(Clone, PartialEq, Message)]
pub struct BlockOpResponseProto {
    /// A [`Status`].
    #[prost(int32, required, tag = "1")]
    pub status: i32,
    /// When a pipeline could not be made: the address of the DataNode that is to blame; empty or not set where all is well.
    #[prost(string, optional, tag = "2")]
    pub first_bad_link: Option<String>,
    /// Set when a block is about to be sent.
    #[prost(message, optional, tag = "4")]
    pub read_op_checksum_info: Option<ReadOpChecksumInfoProto>,
    /// The DataNode's words.
    #[prost(string, optional, tag = "5")]
    pub message: Option<String>,
    /// Set when descriptors are about to be passed: the layout of their files.
    #[prost(uint32, optional, tag = "6")]
    pub short_circuit_access_version: Option<u32>,
}

/// The bytes of a request: version, opcode, the message with its length before it.
pub fn request(opcode: Opcode, message: &impl Message) -> Vec<u8> {
    let mut bytes = TRANSFER_VERSION.to_be_bytes().to_vec();
    bytes.push(opcode as u8);
    bytes.extend(message.encode_length_delimited_to_vec());
    bytes
}

/// A server's message as an error repeats it: the first line without a Java stack.
pub fn words(message: Option<&str>) -> String {
    match message.and_then(|message| message.lines().next()).unwrap_or_default().trim() {
        "" => "the DataNode does not say why".to_owned(),
        line => line.chars().take(LONGEST_WORDS).map(|c| if c.is_control() { ' ' } else { c }).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_message_is_repeated_without_its_stack() {
        assert_eq!(words(Some("no such block\n\tat java.lang.Thread")), "no such block");
        assert_eq!(words(None), "the DataNode does not say why");
        assert!(words(Some(&"x".repeat(10_000))).len() <= LONGEST_WORDS);
    }

    #[test]
    fn a_status_has_its_number() {
        for number in -3..20 {
            assert_eq!(Status::of(number).number(), number);
        }
    }
}
