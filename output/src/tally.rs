//! What a folder holds, in a few numbers that two folders share only if they hold files of the same names and lengths.

use crc_fast::{CrcAlgorithm, Digest};
use serde::{Deserialize, Serialize};

/// Counts of a folder's content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Regular files.
    pub files: u64,
    /// Folders, without the folder itself.
    pub folders: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Sum over files and folders of a checksum of each one's relative path and length, in whatever order they come.
    pub names: u64,
}

impl Tally {
    /// Counts a file in.
    pub(crate) fn file(&mut self, path: &[u8], len: u64) {
        self.files += 1;
        self.bytes += len;
        self.name(path, len);
    }

    /// Counts a folder in.
    pub(crate) fn folder(&mut self, path: &[u8]) {
        self.folders += 1;
        self.name(path, u64::MAX);
    }

    fn name(&mut self, path: &[u8], len: u64) {
        let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
        digest.update(path);
        digest.update(&len.to_be_bytes());
        self.names = self.names.wrapping_add(digest.finalize());
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} files in {} folders with {} bytes", self.files, self.folders, self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_does_not_matter_and_all_else_does() {
        let of = |parts: &[(&str, u64)]| {
            let mut tally = Tally::default();
            for (path, len) in parts {
                tally.file(path.as_bytes(), *len);
            }
            tally
        };
        let all = of(&[("a", 1), ("b", 2)]);
        assert_eq!(all, of(&[("b", 2), ("a", 1)]));
        assert_ne!(all, of(&[("a", 2), ("b", 1)]));
        assert_ne!(all, of(&[("a", 1), ("c", 2)]));
        let mut folder = Tally::default();
        folder.folder(b"a");
        assert_ne!(folder.names, of(&[("a", 0)]).names);
    }
}
