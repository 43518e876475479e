//! The exchange that yields a replica's descriptors (`REQUEST_SHORT_CIRCUIT_FDS`, opcode 87), and the one that gives a slot back
//! (`RELEASE_SHORT_CIRCUIT_FDS`, 88).
//!
//! Request → `BlockOpResponseProto` → one byte with two descriptors, block file and meta file. When the byte says so, one
//! byte is sent back as a receipt, without which the DataNode takes the request for failed (`DataXceiver` in Hadoop).

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use forebay_hadoop::transfer::BaseHeaderProto;
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};

use crate::OpenError;
use crate::error::{Fault, ReplicaError};
use crate::meta::MetaHeader;
use crate::socket::{Connection, Deadline};
use crate::wire::{self, Opcode, ShortCircuitShmSlotProto, Status};
use crate::{Block, Token};

/// `ShortCircuitFdResponse` in datatransfer.proto: `USE_RECEIPT_VERIFICATION`.
const RECEIPT_WANTED: u8 = 1;
/// `DO_NOT_USE_RECEIPT_VERIFICATION`.
const NO_RECEIPT: u8 = 0;

/// The two files of a replica, seen to be what they should be.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) block: File,
    pub(crate) meta: File,
    pub(crate) header: MetaHeader,
}

/// Asks for a replica's descriptors.
pub(crate) fn descriptors(
    connection: &Connection,
    path: &Path,
    (block, token): (&Block, &Token),
    slot: Option<ShortCircuitShmSlotProto>,
    deadline: Deadline,
) -> Result<Files, OpenError> {
    let broken = |action| {
        move |source| OpenError::Exchange { action, block: block.to_string(), path: path.to_owned(), source }
    };
    let request = wire::OpRequestShortCircuitAccessProto {
        header: BaseHeaderProto::new(block, token),
        max_version: wire::BLOCK_FORMAT,
        slot_id: slot,
        supports_receipt_verification: Some(true),
    };
    connection
        .send(&wire::request(Opcode::RequestDescriptors, &request), deadline)
        .map_err(broken("send the request"))?;
    let reply: wire::BlockOpResponseProto =
        connection.receive(deadline).map_err(broken("get the descriptors"))?;
    granted(&reply, block, path)?;
    let version = reply.short_circuit_access_version.unwrap_or_default();
    if version != wire::BLOCK_FORMAT {
        return Err(broken("get the descriptors")(Fault::Version(version)));
    }
    let (byte, [block_file, meta_file]) =
        connection.receive_descriptors(deadline).map_err(broken("get the descriptors"))?;
    match byte {
        NO_RECEIPT => {}
        RECEIPT_WANTED => connection.send(&[0], deadline).map_err(broken("confirm the descriptors"))?,
        other => {
            let what = format!("the byte with the descriptors is {other}");
            return Err(broken("get the descriptors")(Fault::Malformed(what)));
        }
    }
    checked(block_file, meta_file, block.len)
        .map_err(|source| OpenError::Replica { block: block.to_string(), source })
}

fn granted(reply: &wire::BlockOpResponseProto, block: &Block, path: &Path) -> Result<(), OpenError> {
    let (block, path, message) = (block.to_string(), path.to_owned(), wire::words(reply.message.as_deref()));
    match Status::of(reply.status) {
        Status::Success => Ok(()),
        Status::AccessToken => Err(OpenError::Token { block, path, message }),
        Status::Unsupported => Err(OpenError::Unsupported { path, message }),
        status => Err(OpenError::Refused { block, path, status, message }),
    }
}

/// Sees that the descriptors are two regular files, open for reading only, that hold the block and its checksums.
fn checked(block: OwnedFd, meta: OwnedFd, len: u64) -> Result<Files, ReplicaError> {
    let (have, block_id) = readable(&block, "block")?;
    let (_, meta_id) = readable(&meta, "meta")?;
    if block_id == meta_id {
        return Err(ReplicaError::SameFile);
    }
    if have < len {
        return Err(ReplicaError::Short { have, want: len });
    }
    let meta = File::from(meta);
    let header = MetaHeader::read(&meta, len)?;
    Ok(Files { block: File::from(block), meta, header })
}

/// The length of a regular file that is open for reading only, and which file it is.
fn readable(descriptor: &OwnedFd, file: &'static str) -> Result<(u64, (u64, u64)), ReplicaError> {
    let failed = |source: rustix::io::Errno| ReplicaError::Io { file, source: io::Error::from(source) };
    let stat = fstat(descriptor).map_err(failed)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(ReplicaError::NotRegular { file });
    }
    if fcntl_getfl(descriptor).map_err(failed)? & OFlags::ACCMODE != OFlags::RDONLY {
        return Err(ReplicaError::NotReadOnly { file });
    }
    Ok((u64::try_from(stat.st_size).unwrap_or_default(), (stat.st_dev, stat.st_ino)))
}

/// Tells the DataNode that a slot is not used any more; `Ok` when it has taken it back.
pub(crate) fn release(
    connection: &Connection,
    slot: ShortCircuitShmSlotProto,
    deadline: Deadline,
) -> Result<(), Fault> {
    let request = wire::ReleaseShortCircuitAccessRequestProto { slot_id: slot };
    connection.send(&wire::request(Opcode::ReleaseSlot, &request), deadline)?;
    let reply: wire::ReleaseShortCircuitAccessResponseProto = connection.receive(deadline)?;
    match Status::of(reply.status) {
        Status::Success => Ok(()),
        status => Err(Fault::Malformed(format!("{status:?}: {}", wire::words(reply.error.as_deref())))),
    }
}
