//! Why a part of a block does not come from a DataNode, or a block does not get to one: which block, which host, where, and what.

use std::io;

use forebay_hadoop::transfer::Status;

/// A block cannot be read any further from this DataNode.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {block} from the DataNode {host} at byte {at}: {fault}")]
pub struct ReadError {
    /// The block, as Hadoop's logs have it.
    pub block: String,
    /// The DataNode's `host:port` for data.
    pub host: String,
    /// Offset in the block of the first byte that is missing or wrong.
    pub at: u64,
    /// What is wrong.
    pub fault: Fault,
}

impl ReadError {
    /// The replica's bytes do not match their checksums.
    pub fn is_corrupt(&self) -> bool {
        matches!(self.fault, Fault::Mismatch)
    }

    /// The DataNode does not accept the block's token.
    pub fn is_token(&self) -> bool {
        matches!(self.fault, Fault::Token(_))
    }

    /// The error speaks of the DataNode and not of a block of its: it cannot be reached, is silent, or talks nonsense.
    pub fn is_of_the_datanode(&self) -> bool {
        match &self.fault {
            Fault::Connect(_)
            | Fault::Exchange(_)
            | Fault::Packet(_)
            | Fault::Silent(_)
            | Fault::Slow { .. } => true,
            Fault::Token(_)
            | Fault::Refused { .. }
            | Fault::Mismatch
            | Fault::Unsupported(_)
            | Fault::Pipe(_) => false,
        }
    }

    /// There was no answer in time.
    pub fn is_late(&self) -> bool {
        match &self.fault {
            Fault::Exchange(forebay_shortcircuit::Fault::TimedOut(_)) => true,
            Fault::Connect(error) => error.kind() == io::ErrorKind::TimedOut,
            _ => false,
        }
    }

    /// It would come, but so slowly that another replica is worth a try.
    pub fn is_slow(&self) -> bool {
        matches!(self.fault, Fault::Slow { .. })
    }

    /// The other side has ended the connection.
    pub fn is_closed(&self) -> bool {
        matches!(self.fault, Fault::Exchange(forebay_shortcircuit::Fault::Closed))
    }
}

/// A block could not be written through its pipeline.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {block} to the DataNode {host}: {fault}")]
pub struct WriteError {
    /// The block, as Hadoop's logs have it.
    pub block: String,
    /// The `host:port` for data of the DataNode that is to blame, as far as one can tell.
    pub host: String,
    /// Which one of the block's replicas that is.
    pub replica: usize,
    /// What is wrong.
    pub fault: Fault,
}

impl WriteError {
    /// The DataNode does not accept the block's token.
    pub fn is_token(&self) -> bool {
        matches!(self.fault, Fault::Token(_))
    }
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The connection broke, or what came over it is no message.
    #[error(transparent)]
    Exchange(#[from] forebay_shortcircuit::Fault),
    /// `ERROR_ACCESS_TOKEN`.
    #[error("it does not accept the block's token: {0}; ask the NameNode for the block's location again")]
    Token(String),
    /// Any other status but success.
    #[error("it refuses ({status:?}): {message}")]
    Refused {
        /// What it answered.
        status: Status,
        /// Its words.
        message: String,
    },
    /// A packet that cannot be.
    #[error("a packet makes no sense: {0}")]
    Packet(#[from] PacketFault),
    /// Bytes and checksum differ.
    #[error("the checksum does not match")]
    Mismatch,
    /// Nothing came for too long.
    #[error("nothing came for {:.1} s", .0.as_secs_f64())]
    Silent(std::time::Duration),
    /// Other DataNodes were seen to be much faster.
    #[error("it gives {:.1} MB/s, and {:.1} MB/s can be had elsewhere", .rate / 1e6, .elsewhere / 1e6)]
    Slow {
        /// Bytes per second that came, while they were waited for.
        rate: f64,
        /// Bytes per second that came from another DataNode, or are expected to.
        elsewhere: f64,
    },
    /// What is sent is possible, but not read here.
    #[error("{0}")]
    Unsupported(String),
    /// A pipe of our own failed.
    #[error("a pipe of this process failed: {0}")]
    Pipe(io::Error),
}

/// What is wrong with a packet. Whatever it announces, nothing is allocated for it before it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketFault {
    /// The header's length is none that a header has.
    #[error("its header has {0} bytes")]
    HeaderLength(u16),
    /// The header is no such message.
    #[error("its header is malformed")]
    Header,
    /// Longer than any packet, or shorter than its own length's field.
    #[error("it is {0} bytes long")]
    Length(i32),
    /// Its parts are not as long as the whole.
    #[error("it has {have} bytes behind the header, its {data} bytes of data need {want}")]
    Parts {
        /// What the packet's length leaves.
        have: u64,
        /// Bytes of data that the header announces.
        data: u64,
        /// What these need, with their checksums.
        want: u64,
    },
    /// A packet was lost, or comes twice.
    #[error("its number is {0}, expected was {1}")]
    Sequence(i64, i64),
    /// It leaves a gap or overlaps the one before.
    #[error("it begins at byte {0} of the block, expected was {1}")]
    Offset(i64, u64),
    /// Data beyond what was asked for.
    #[error("its data ends at byte {0} of the block, asked for was up to {1}")]
    Beyond(u64, u64),
    /// It cuts a chunk that is not the last.
    #[error("it ends within a chunk, at byte {0} of the block")]
    Cut(u64),
    /// No data, and not the last packet; or the last packet, and data.
    #[error("it has {0} bytes of data, and says {1} that it is the last one")]
    Last(i64, bool),
    /// The last packet came too early.
    #[error("it is the last one at byte {0} of the block, asked for was up to {1}")]
    Early(u64, u64),
    /// The answer announces packets that cannot be.
    #[error("the answer announces chunks of {chunk} bytes from byte {from}, asked for was byte {wanted}")]
    Layout {
        /// Bytes per checksum.
        chunk: u32,
        /// Where the first packet begins.
        from: u64,
        /// What was asked for.
        wanted: u64,
    },
}
