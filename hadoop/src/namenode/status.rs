//! What a path is.

use super::blocks::{Encryption, ErasureCoding};
use super::proto::HdfsFileStatusProto;

/// What kind of thing a path names (`HdfsFileStatusProto.FileType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// 1.
    Directory,
    /// 2.
    File,
    /// 3.
    Symlink,
    /// A number that was not known when this was written.
    Other(i32),
}

/// A file's or directory's status (`hdfs.proto`, `HdfsFileStatusProto`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStatus {
    /// The name within the listed directory; empty for the path that was asked for itself.
    pub name: String,
    /// File or directory.
    pub kind: FileKind,
    /// Length in bytes; of a file being written, that of its finished blocks.
    pub len: u64,
    /// Permission bits.
    pub permission: u32,
    /// The owner.
    pub owner: String,
    /// The group.
    pub group: String,
    /// When it was last changed, in milliseconds since 1970.
    pub modified: u64,
    /// When it was last read, in milliseconds since 1970, as far as HDFS keeps that.
    pub accessed: u64,
    /// How many replicas its blocks should have.
    pub replication: u32,
    /// The size of its blocks but the last.
    pub block_size: u64,
    /// What stays the same when it is renamed, and differs when another file takes its name.
    pub id: u64,
    /// Set for files in encryption zones.
    pub encryption: Option<Encryption>,
    /// Set for erasure-coded files.
    pub erasure_coding: Option<ErasureCoding>,
}

impl FileStatus {
    pub(super) fn from_wire(proto: HdfsFileStatusProto) -> Self {
        let kind = match proto.file_type {
            1 => FileKind::Directory,
            2 => FileKind::File,
            3 => FileKind::Symlink,
            other => FileKind::Other(other),
        };
        Self {
            // HDFS makes no other names than UTF-8; the lossless form of another is not needed to list it.
            name: String::from_utf8_lossy(&proto.path).into_owned(),
            kind,
            len: proto.length,
            permission: proto.permission.map_or(0, |permission| permission.perm),
            owner: proto.owner,
            group: proto.group,
            modified: proto.modification_time,
            accessed: proto.access_time,
            replication: proto.block_replication.unwrap_or(0),
            block_size: proto.blocksize.unwrap_or(0),
            id: proto.file_id.unwrap_or(0),
            encryption: proto.file_encryption_info.map(Encryption::from_wire),
            erasure_coding: proto.ec_policy.and_then(ErasureCoding::from_wire),
        }
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == FileKind::Directory
    }
}
