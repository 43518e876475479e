//! Where a file's blocks lie: which of them this host can open, and why it cannot open the others.

use std::collections::HashMap;
use std::net::{IpAddr, UdpSocket};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use forebay_hadoop::namenode::{LocatedBlock, LocatedBlocks};
use forebay_shortcircuit::{Reason, Replica, ReplicaFiles, ShortCircuit};

/// Why a block's bytes come over the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remote {
    /// The DataNode gave no descriptors, or nobody asked it to.
    NotOpened(Reason),
    NoLocations,
    NotLocal,
    BeingWritten,
    ErasureCoded,
    Encrypted,
    ChunkTooLong,
    Corrupt,
    Invalidated,
    ReadFailed,
    BadCacheEntry,
}

impl Remote {
    /// The report's word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NotOpened(reason) => reason.as_str(),
            Self::NoLocations => "no-locations",
            Self::NotLocal => "not-local",
            Self::BeingWritten => "being-written",
            Self::ErasureCoded => "erasure-coded",
            Self::Encrypted => "encrypted",
            Self::ChunkTooLong => "checksum-chunks-too-long",
            Self::Corrupt => "corrupt",
            Self::Invalidated => "invalidated",
            Self::ReadFailed => "read-failed",
            Self::BadCacheEntry => "bad-cache-entry",
        }
    }
}

/// The blocks of a file, as they were when it was opened.
#[derive(Debug)]
pub(crate) struct Places {
    blocks: Vec<LocatedBlock>,
    /// None of the file's blocks may be opened, for this reason.
    never: Option<Remote>,
    /// Tokens are refused even when they are new.
    tokens_refused: bool,
}

impl Places {
    pub(crate) fn nowhere(reason: Remote) -> Self {
        Self { blocks: Vec::new(), never: Some(reason), tokens_refused: false }
    }

    pub(crate) fn new(located: LocatedBlocks) -> Self {
        let never = match () {
            () if located.encryption.is_some() => Some(Remote::Encrypted),
            () if located.erasure_coding.is_some() => Some(Remote::ErasureCoded),
            () => None,
        };
        let mut blocks = located.blocks;
        // The block being written has no checksums that stand still.
        let last = located.last_block.filter(|_| !located.last_block_complete);
        blocks.retain(|block| last.as_ref().is_none_or(|last| last.block.id != block.block.id));
        Self { blocks, never, tokens_refused: false }
    }

    pub(crate) fn refuse_tokens(self) -> Self {
        Self { tokens_refused: true, ..self }
    }

    pub(crate) fn tokens_are_refused(&self) -> bool {
        self.tokens_refused
    }

    /// The same block as it is known here, perhaps with a newer token. One whose generation has moved stays as it is.
    pub(crate) fn renewed<'a>(&'a self, located: &'a LocatedBlock) -> &'a LocatedBlock {
        self.blocks.iter().find(|known| known.block == located.block).unwrap_or(located)
    }

    /// Cuts a range of the file at the blocks' borders.
    pub(crate) fn cut(&self, range: Range<u64>) -> Vec<(Range<u64>, Result<&LocatedBlock, Remote>)> {
        let mut pieces: Vec<(Range<u64>, Result<&LocatedBlock, Remote>)> = Vec::new();
        let mut at = range.start;
        while at < range.end {
            // They are in order.
            let next = self.blocks.partition_point(|b| b.offset + b.block.len <= at);
            let block = self.blocks.get(next).filter(|block| block.offset <= at);
            let (end, place) = match (self.never, block) {
                (Some(reason), _) => (range.end, Err(reason)),
                (None, Some(block)) => (block.offset + block.block.len, Ok(block)),
                (None, None) => (range.end, Err(Remote::BeingWritten)),
            };
            let end = end.min(range.end);
            pieces.push((at..end, place));
            at = end;
        }
        pieces
    }
}

/// An open replica of this host, and where it belongs.
#[derive(Debug, Clone)]
pub(crate) struct LocalBlock {
    pub(crate) replica: Arc<Replica>,
    pub(crate) located: LocatedBlock,
    /// The DataNode's data port and address, for reports.
    pub(crate) port: u16,
    pub(crate) host: String,
}

impl LocalBlock {
    fn new(replica: Arc<Replica>, located: &LocatedBlock, here: &forebay_hadoop::namenode::Replica) -> Self {
        let host = format!("{}:{}", here.ip, here.xfer_port);
        Self { replica, located: located.clone(), port: here.xfer_port, host }
    }

    /// Whether this is the replica that the NameNode lists so.
    pub(crate) fn is_at(&self, replica: &forebay_hadoop::namenode::Replica) -> bool {
        self.host == format!("{}:{}", replica.ip, replica.xfer_port)
    }

    /// Whether the block has been appended to since it was located: its last checksum then covers more than it
    /// did, and a mismatch there is no corruption.
    pub(crate) fn has_grown(&self) -> bool {
        self.replica.block_file().metadata().is_ok_and(|meta| meta.len() > self.located.block.len)
    }

    pub(crate) fn files(&self) -> ReplicaFiles<'_> {
        ReplicaFiles {
            block: self.replica.block_file(),
            meta: self.replica.meta_file(),
            meta_at: 0,
            header: self.replica.header(),
            len: self.located.block.len,
        }
    }
}

/// Bytes per checksum, at most: what a pipe of the usual size can hold besides two cut pages.
pub(super) const LONGEST_CHUNK: u32 = 256 << 10;

/// Opens replicas of this host.
#[derive(Debug)]
pub(crate) struct Local {
    short_circuit: Option<ShortCircuit>,
    here: OwnAddresses,
}

impl Local {
    pub(crate) fn new(short_circuit: Option<ShortCircuit>) -> Self {
        Self { short_circuit, here: OwnAddresses::default() }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.short_circuit.is_some()
    }

    /// A block's replica, if it is open already.
    pub(crate) fn opened(&self, located: &LocatedBlock) -> Option<LocalBlock> {
        let here = self.here(located)?;
        let replica = self.short_circuit.as_ref()?.opened(&located.block, here.xfer_port)?;
        let usable = !located.corrupt && replica.header().bytes_per_checksum <= LONGEST_CHUNK;
        usable.then(|| LocalBlock::new(replica, located, here))
    }

    /// Opens a block's replica; blocks the thread, for a limited time.
    pub(crate) fn open(&self, located: &LocatedBlock) -> Result<LocalBlock, Remote> {
        let short_circuit = self.short_circuit.as_ref().ok_or(Remote::NotOpened(Reason::Off))?;
        let here = self.here(located).ok_or(Remote::NotLocal)?;
        if located.corrupt {
            return Err(Remote::Corrupt);
        }
        let block = &located.block;
        let replica = short_circuit.open(block, &located.token, here.xfer_port).map_err(|error| {
            tracing::info!(%block, %error, "reading over the network instead");
            Remote::NotOpened(error.reason())
        })?;
        if replica.header().bytes_per_checksum > LONGEST_CHUNK {
            return Err(Remote::ChunkTooLong);
        }
        Ok(LocalBlock::new(replica, located, here))
    }

    /// The replica that a DataNode of this host has.
    fn here<'b>(&self, located: &'b LocatedBlock) -> Option<&'b forebay_hadoop::namenode::Replica> {
        located.replicas.iter().find(|replica| self.here.is(&replica.ip))
    }

    /// Never gives this replica again without asking the DataNode.
    pub(crate) fn forget(&self, local: &LocalBlock) {
        if let Some(short_circuit) = &self.short_circuit {
            short_circuit.forget(local.replica.block(), local.port);
        }
    }
}

/// Which addresses are this host's.
#[derive(Debug, Default)]
pub(crate) struct OwnAddresses {
    /// Those looked at.
    addresses: Mutex<HashMap<String, bool>>,
}

impl OwnAddresses {
    /// Whether an address is one of this host's: only such can be bound.
    pub(crate) fn is(&self, ip: &str) -> bool {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        *addresses
            .entry(ip.to_owned())
            .or_insert_with(|| ip.parse::<IpAddr>().is_ok_and(|ip| UdpSocket::bind((ip, 0)).is_ok()))
    }
}
