//! The NameNode's answers for `fuzz/`.

use prost::Message;

use super::proto::{GetBlockLocationsResponseProto, GetFileInfoResponseProto, GetListingResponseProto};
use super::{FileStatus, LocatedBlock, LocatedBlocks};

/// An answer to `getBlockLocations`; `None` when it is none or makes no sense.
pub fn located_blocks(bytes: &[u8]) -> Option<LocatedBlocks> {
    LocatedBlocks::from_wire(GetBlockLocationsResponseProto::decode(bytes).ok()?.locations?).ok()
}

/// A block as the NameNode would read it in our report of it.
pub fn reported(block: &LocatedBlock) -> Option<LocatedBlock> {
    LocatedBlock::from_wire(block.to_report()).ok()
}

/// All statuses in an answer to `getFileInfo` or `getListing`.
pub fn statuses(bytes: &[u8]) -> Vec<FileStatus> {
    let info = GetFileInfoResponseProto::decode(bytes).ok().and_then(|answer| answer.fs);
    let list = GetListingResponseProto::decode(bytes).ok().and_then(|answer| answer.dir_list);
    let listed = list.into_iter().flat_map(|list| list.partial_listing);
    info.into_iter().chain(listed).map(FileStatus::from_wire).collect()
}
