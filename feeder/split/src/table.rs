//! Splits by their ordinal: for whoever deals out single ones.

use std::num::NonZeroU64;

use crate::{FileLen, Split};

/// The splits of some files, found by ordinal without listing them.
#[derive(Debug, Clone)]
pub struct SplitTable {
    files: Vec<FileLen>,
    /// Ordinal of each file's first split, and behind them the number of all splits.
    first: Vec<u64>,
}

impl SplitTable {
    /// A table of the splits that [`crate::splits`] lists.
    pub fn new(files: Vec<FileLen>) -> Self {
        let mut first = vec![0];
        first.extend(files.iter().scan(0, |sum, file| {
            *sum += file.len.div_ceil(file.split_size.get());
            Some(*sum)
        }));
        Self { files, first }
    }

    /// How many splits there are.
    pub fn len(&self) -> u64 {
        self.first.last().copied().unwrap_or(0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The split with this ordinal, if there is one.
    pub fn get(&self, ordinal: u64) -> Option<Split> {
        let file = self.first.partition_point(|&first| first <= ordinal).checked_sub(1)?;
        let FileLen { len, split_size } = *self.files.get(file)?;
        let start = (ordinal - self.first[file]) * NonZeroU64::get(split_size);
        Some(Split { file, ordinal, start, end: start.saturating_add(split_size.get()).min(len) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_split_is_found(files in prop::collection::vec((0u64..2000, 1u64..300), 0..6)) {
            let file = |(len, size)| FileLen { len, split_size: NonZeroU64::new(size).unwrap() };
            let files: Vec<_> = files.into_iter().map(file).collect();
            let table = SplitTable::new(files.clone());
            let all: Vec<_> = crate::splits(&files).collect();
            prop_assert_eq!(table.len(), all.len() as u64);
            prop_assert!((0..table.len()).filter_map(|n| table.get(n)).eq(all));
            prop_assert_eq!(table.get(table.len()), None);
        }
    }
}
