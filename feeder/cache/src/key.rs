//! Names: of blocks, of stretches of them, and which stretches make up a range. Pure.

use std::ops::Range;

/// A block as it was at one time: after an append or a recovery it has another generation, and so another key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BlockKey {
    pool: String,
    id: i64,
    generation: u64,
    len: u64,
}

impl BlockKey {
    /// The block with this number in a block pool, which names the namespace. `None` for a pool whose name is no file's.
    pub fn new(pool: &str, id: i64, generation: u64, len: u64) -> Option<Self> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        let is_name = (1..=200).contains(&pool.len()) && !pool.starts_with('.') && pool.bytes().all(is_plain);
        is_name.then(|| Self { pool: pool.to_owned(), id, generation, len })
    }

    /// The block's length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the block has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The folder of its pool.
    pub(crate) fn pool(&self) -> &str {
        &self.pool
    }

    /// The folder of its entries, in that of its pool.
    pub(crate) fn folder(&self) -> String {
        format!("{}_{}_{}", self.id, self.generation, self.len)
    }
}

/// A stretch of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Extent {
    /// Offset in the block of its first byte.
    pub from: u64,
    /// Behind its last byte.
    pub to: u64,
}

impl Extent {
    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.to - self.from
    }

    /// Whether it has no bytes. No entry is like that.
    pub fn is_empty(&self) -> bool {
        self.to <= self.from
    }

    pub(crate) fn name(self) -> String {
        format!("{}-{}", self.from, self.to)
    }

    /// Only what [`name`](Self::name) gives is a name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (from, to) = name.split_once('-')?;
        let extent = Self { from: from.parse().ok()?, to: to.parse().ok()? };
        (extent.from < extent.to && extent.name() == name).then_some(extent)
    }
}

/// A part of a range of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// These bytes of the block are in an entry.
    Kept(Extent, Range<u64>),
    /// These are in none.
    Missing(Range<u64>),
}

impl Part {
    /// The bytes of the block.
    pub fn bytes(&self) -> Range<u64> {
        match self {
            Self::Kept(_, bytes) | Self::Missing(bytes) => bytes.clone(),
        }
    }
}

/// Makes up a range from entries, of which some may overlap: as few parts as can be.
pub(crate) fn cover(extents: &[Extent], range: Range<u64>) -> Vec<Part> {
    let (mut parts, mut at) = (Vec::new(), range.start);
    while at < range.end {
        let furthest = extents.iter().filter(|extent| (extent.from..extent.to).contains(&at));
        let part = if let Some(extent) = furthest.max_by_key(|extent| extent.to) {
            Part::Kept(*extent, at..range.end.min(extent.to))
        } else {
            let next = extents.iter().map(|extent| extent.from).filter(|from| *from > at).min();
            Part::Missing(at..next.unwrap_or(range.end).min(range.end))
        };
        at = part.bytes().end;
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_make_up_the_range_and_are_what_they_say(
            extents in vec((0u64..100, 1u64..40), 0..12), start in 0u64..100, len in 0u64..100,
        ) {
            let extents: Vec<_> = extents.iter().map(|(from, len)| Extent { from: *from, to: from + len }).collect();
            let parts = cover(&extents, start..start + len);
            let mut at = start;
            for part in &parts {
                let bytes = part.bytes();
                prop_assert_eq!(bytes.start, at);
                prop_assert!(bytes.end > at);
                at = bytes.end;
                match part {
                    Part::Kept(extent, bytes) => {
                        prop_assert!(extents.contains(extent));
                        prop_assert!(extent.from <= bytes.start && bytes.end <= extent.to);
                    }
                    Part::Missing(bytes) => {
                        prop_assert!(extents.iter().all(|e| e.to <= bytes.start || e.from >= bytes.end));
                    }
                }
            }
            prop_assert_eq!(at, start + len);
        }

        #[test]
        fn a_name_is_read_as_written_and_nothing_else_is_one(from: u64, to: u64, text in "[0-9+ -]{0,6}") {
            let extent = Extent { from, to };
            prop_assert_eq!(Extent::parse(&extent.name()), (from < to).then_some(extent));
            prop_assert!(Extent::parse(&text).is_none_or(|extent| extent.name() == text));
        }

        #[test]
        fn no_pool_leads_out_of_the_folder(pool in ".{0,12}") {
            if let Some(key) = BlockKey::new(&pool, 1, 2, 3) {
                prop_assert!(!key.pool().contains('/') && !key.pool().starts_with('.') && !key.pool().is_empty());
            }
        }
    }

    #[test]
    fn what_changes_has_another_key() {
        let key = |pool: &str, id, generation, len| BlockKey::new(pool, id, generation, len).unwrap();
        let block = key("BP-1-10.0.0.1-5", 7, 1001, 100);
        for other in [
            key("BP-2-10.0.0.1-5", 7, 1001, 100),
            key("BP-1-10.0.0.1-5", 8, 1001, 100),
            key("BP-1-10.0.0.1-5", 7, 1002, 100),
            key("BP-1-10.0.0.1-5", 7, 1001, 101),
        ] {
            assert_ne!((block.pool(), block.folder()), (other.pool(), other.folder()));
        }
    }
}
