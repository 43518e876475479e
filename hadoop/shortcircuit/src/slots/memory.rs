//! A segment of memory shared with a DataNode, mapped: an array of slots of 64 bytes, of which the first eight are used
//! (`ShortCircuitShm` in Hadoop).
#![allow(unsafe_code, reason = "a mapping that another process changes can only be had through pointers")]

use std::fs::File;
use std::sync::atomic::AtomicU64;

use memmap2::{MmapOptions, MmapRaw};

use crate::error::Fault;

/// `BYTES_PER_SLOT`.
const SLOT_LEN: usize = 64;

/// A DataNode's segments have 8 KiB; a file of more than this is none.
const LONGEST: u64 = 1 << 20;

/// The mapped segment. Its words are only ever used as atomics, by us and by the DataNode.
///
/// The DataNode makes the file, unlinks it and never changes its length. A DataNode that did would end this process by
/// SIGBUS; as it is the one that hands us the data and its checksums, it is trusted here as there.
#[derive(Debug)]
pub(super) struct SharedMemory {
    mapping: MmapRaw,
    slots: usize,
}

impl SharedMemory {
    pub(super) fn map(file: &File) -> Result<Self, Fault> {
        let stat = file.metadata()?;
        if !stat.is_file() {
            return Err(Fault::Segment("it is no file"));
        }
        if stat.len() > LONGEST {
            return Err(Fault::Segment("it is longer than 1 MiB"));
        }
        let slots = usize::try_from(stat.len()).unwrap_or_default() / SLOT_LEN;
        if slots == 0 {
            return Err(Fault::Segment("it is too short for a slot"));
        }
        // Shared and writable; fails on a descriptor that is not.
        let mapping = MmapOptions::new().len(slots * SLOT_LEN).map_raw(file)?;
        Ok(Self { mapping, slots })
    }

    /// How many slots there are.
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    /// The word of a slot.
    pub(super) fn word(&self, slot: usize) -> Option<&AtomicU64> {
        if slot >= self.slots {
            return None;
        }
        // Within the mapping, so no wrapping happens.
        #[expect(clippy::cast_ptr_alignment, reason = "mappings begin at a page, slots are multiples of 64")]
        let at = self.mapping.as_mut_ptr().wrapping_add(slot * SLOT_LEN).cast::<u64>();
        // SAFETY: `at` lies within the mapping (`slot < slots`, and `slots * SLOT_LEN` bytes are mapped, readable and
        // writable), which lives as long as `self` and so as the borrow. It is aligned: mappings begin at a page, slots
        // are multiples of 64. No plain access to the word exists in this process, and the DataNode's accesses are atomic, too
        // (`Unsafe.compareAndSwapLong`, `getLongVolatile`), of the same size. Guarded by `words_lie_64_bytes_apart`.
        Some(unsafe { AtomicU64::from_ptr(at) })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::sync::atomic::Ordering;

    use super::*;

    fn file(len: u64) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(len).unwrap();
        file
    }

    #[test]
    fn words_lie_64_bytes_apart() {
        let file = file(8192);
        let memory = SharedMemory::map(&file).unwrap();
        assert_eq!(memory.slots(), 128);
        for slot in 0..128 {
            memory.word(slot).unwrap().store(slot as u64 + 1, Ordering::SeqCst);
        }
        assert!(memory.word(128).is_none() && memory.word(usize::MAX).is_none());
        // What one side writes, the other reads.
        let mut bytes = [0; 8192];
        file.read_exact_at(&mut bytes, 0).unwrap();
        for (slot, bytes) in bytes.chunks(64).enumerate() {
            assert_eq!(u64::from_ne_bytes(bytes[..8].try_into().unwrap()), slot as u64 + 1);
            assert!(bytes[8..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn a_file_that_is_no_segment_is_an_error() {
        assert!(matches!(SharedMemory::map(&file(63)), Err(Fault::Segment(_))));
        assert!(matches!(SharedMemory::map(&file(LONGEST + 1)), Err(Fault::Segment(_))));
        assert!(matches!(SharedMemory::map(&File::open("/").unwrap()), Err(Fault::Segment(_))));
        assert_eq!(SharedMemory::map(&file(130)).unwrap().slots(), 2);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        std::fs::write(&path, [0; 64]).unwrap();
        assert!(matches!(SharedMemory::map(&File::open(path).unwrap()), Err(Fault::Io(_))), "read-only");
    }
}
