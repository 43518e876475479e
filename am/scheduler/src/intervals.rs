//! A set of units as disjoint intervals.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of units; neighbours are kept as one interval, so it costs what it has gaps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Intervals {
    /// Start to end (not included); never empty, never touching.
    map: BTreeMap<u64, u64>,
    len: u64,
}

impl Intervals {
    pub(crate) fn insert(&mut self, unit: u64) {
        self.insert_range(unit..unit + 1);
    }

    pub(crate) fn insert_range(&mut self, range: Range<u64>) {
        let Range { mut start, mut end } = range;
        if start >= end {
            return;
        }
        if let Some((&s, &e)) = self.map.range(..start).next_back()
            && e >= start
        {
            start = s;
        }
        while let Some((&s, &e)) = self.map.range(start..=end).next() {
            self.map.remove(&s);
            self.len -= e - s;
            end = end.max(e);
        }
        self.len += end - start;
        self.map.insert(start, end);
    }

    /// Takes a unit out; says whether it was in.
    pub(crate) fn remove(&mut self, unit: u64) -> bool {
        let Some((&start, &end)) = self.map.range(..=unit).next_back().filter(|&(_, &end)| end > unit) else {
            return false;
        };
        self.map.remove(&start);
        if start < unit {
            self.map.insert(start, unit);
        }
        if unit + 1 < end {
            self.map.insert(unit + 1, end);
        }
        self.len -= 1;
        true
    }

    /// Takes the lowest units out, neighbours only, at most `max`.
    pub(crate) fn pop(&mut self, max: u64) -> Option<Range<u64>> {
        if max == 0 {
            return None;
        }
        let (start, end) = self.map.pop_first()?;
        let cut = start.saturating_add(max).min(end);
        if cut < end {
            self.map.insert(cut, end);
        }
        self.len -= cut - start;
        Some(start..cut)
    }

    pub(crate) fn contains(&self, unit: u64) -> bool {
        self.map.range(..=unit).next_back().is_some_and(|(_, &end)| end > unit)
    }

    /// The lowest unit at or behind `unit`.
    pub(crate) fn first_from(&self, unit: u64) -> Option<u64> {
        if self.contains(unit) { Some(unit) } else { self.map.range(unit..).next().map(|(&start, _)| start) }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.map.iter().map(|(&start, &end)| start..end)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.ranges().flatten()
    }
}

impl FromIterator<u64> for Intervals {
    fn from_iter<I: IntoIterator<Item = u64>>(units: I) -> Self {
        let mut set = Self::default();
        units.into_iter().for_each(|unit| set.insert(unit));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set(steps in prop::collection::vec((0u8..4, 0u64..40, 0u64..8), 0..60)) {
            let (mut set, mut model) = (Intervals::default(), BTreeSet::new());
            for (what, at, n) in steps {
                match what {
                    0 => { set.insert(at); model.insert(at); }
                    1 => { set.insert_range(at..at + n); model.extend(at..at + n); }
                    2 => prop_assert_eq!(set.remove(at), model.remove(&at)),
                    _ => {
                        let popped: Vec<_> = set.pop(n).into_iter().flatten().collect();
                        let lowest: Vec<_> = model.iter().copied().take(popped.len()).collect();
                        prop_assert_eq!(&popped, &lowest);
                        prop_assert!(popped.len() as u64 <= n && (!popped.is_empty() || n == 0 || model.is_empty()));
                        for unit in &popped { model.remove(unit); }
                    }
                }
                prop_assert_eq!(set.len(), model.len() as u64);
                prop_assert_eq!(set.first_from(at), model.range(at..).next().copied());
                prop_assert_eq!(set.contains(at), model.contains(&at));
                prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
                let ranges: Vec<_> = set.ranges().collect();
                prop_assert!(ranges.windows(2).all(|w| w[0].end < w[1].start));
            }
        }
    }
}
