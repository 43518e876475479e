//! Files to splits, splits to shares.
//!
//! Pure: no I/O, no clock. The same files, split size and shard give the same share everywhere, which is what
//! lets several feeds of one input work without talking to each other.

mod places;
mod shard;
mod span;
mod table;

pub use places::{HostShare, Replica, Stretch, hosts};
pub use shard::{Shard, ShardError};
pub use span::{Span, spans};
pub use table::SplitTable;

use std::num::NonZeroU64;

/// What the planner must know of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileLen {
    /// Length in bytes.
    pub len: u64,
    /// The size of its splits in bytes; the last one may be shorter.
    pub split_size: NonZeroU64,
}

/// A part of a file: the unit that is dealt out. The records of a split are found by
/// `forebay_record::Search` from both of its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// Index of the file in the order of the inputs.
    pub file: usize,
    /// Index of the split among all splits of all files.
    pub ordinal: u64,
    /// First byte; a multiple of the split size.
    pub start: u64,
    /// Behind the last byte.
    pub end: u64,
}

/// Cuts files into splits of exactly their split size, in order.
///
/// Unlike Hadoop's `FileInputFormat`, the last split is not let grow by a tenth (`SPLIT_SLOP`), so a split's
/// bounds follow from its index alone. An empty file has no split.
pub fn splits(files: &[FileLen]) -> impl Iterator<Item = Split> + '_ {
    let mut ordinal = 0;
    files
        .iter()
        .enumerate()
        .flat_map(|(file, f)| {
            let size = f.split_size.get();
            (0..f.len.div_ceil(size))
                .map(move |k| (file, k * size, (k * size).saturating_add(size).min(f.len)))
        })
        .map(move |(file, start, end)| {
            ordinal += 1;
            Split { file, ordinal: ordinal - 1, start, end }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn files() -> impl Strategy<Value = Vec<FileLen>> {
        let file = (0u64..2000, 1u64..300)
            .prop_map(|(len, size)| FileLen { len, split_size: size.try_into().unwrap_or(NonZeroU64::MIN) });
        prop::collection::vec(file, 0..6)
    }

    #[test]
    fn the_largest_file_has_splits() {
        let file = FileLen { len: u64::MAX, split_size: NonZeroU64::new(u64::MAX - 1).unwrap() };
        let all: Vec<_> = splits(&[file]).collect();
        assert_eq!((all.len(), all[1].end), (2, u64::MAX));
    }

    proptest! {
        #[test]
        fn splits_cover_each_file_once(files in files()) {
            let all: Vec<_> = splits(&files).collect();
            for (i, f) in files.iter().enumerate() {
                let mut at = 0;
                for s in all.iter().filter(|s| s.file == i) {
                    prop_assert_eq!(s.start, at);
                    prop_assert!(s.end > s.start && s.end - s.start <= f.split_size.get());
                    at = s.end;
                }
                prop_assert_eq!(at, f.len);
            }
            prop_assert!(all.iter().enumerate().all(|(i, s)| s.ordinal == i as u64));
        }

        #[test]
        fn shares_are_a_partition_and_even(files in files(), count in 1u32..7) {
            let all: Vec<_> = splits(&files).collect();
            let shares: Vec<Vec<_>> = (0..count)
                .map(|i| {
                    let shard = Shard::new(i, count).unwrap();
                    all.iter().copied().filter(|s| shard.owns(s.ordinal)).collect()
                })
                .collect();
            let mut joined: Vec<_> = shares.concat();
            joined.sort_by_key(|s| s.ordinal);
            prop_assert_eq!(joined, all);
            let sizes = shares.iter().map(Vec::len);
            prop_assert!(sizes.clone().max().unwrap_or(0) - sizes.min().unwrap_or(0) <= 1);
        }

        #[test]
        fn spans_join_neighbours_only(files in files(), count in 1u32..4, longest in 1u64..1000) {
            let shard = Shard::new(0, count).unwrap();
            let share: Vec<_> = splits(&files).filter(|s| shard.owns(s.ordinal)).collect();
            let spans: Vec<_> = spans(share.iter().copied(), longest).collect();
            prop_assert_eq!(spans.iter().map(|s| s.splits).sum::<u64>(), share.len() as u64);
            let mut share = share.into_iter();
            for span in spans {
                let parts: Vec<_> = share.by_ref().take(usize::try_from(span.splits).unwrap()).collect();
                prop_assert!(parts.iter().all(|p| p.file == span.file));
                prop_assert!(parts.windows(2).all(|w| w[0].end == w[1].start));
                prop_assert_eq!((parts[0].start, parts[parts.len() - 1].end), (span.start, span.end));
                prop_assert!(parts.len() == 1 || span.end - span.start <= longest);
            }
        }
    }
}
