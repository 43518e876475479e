//! Whole files to workers, balanced by bytes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Deals `units` (each with its length in bytes) to `slots`: the longest first, each to the slot that has the fewest bytes, then
/// the fewest units. Each slot's units are in ascending order. The same units give the same shares everywhere.
pub fn balance(units: &[(u64, u64)], slots: u32) -> Vec<Vec<u64>> {
    let mut order = units.to_vec();
    order.sort_by_key(|&(unit, bytes)| (Reverse(bytes), unit));
    let mut shares = vec![Vec::new(); slots as usize];
    let mut heap: BinaryHeap<_> = (0..shares.len()).map(|slot| Reverse((0u64, 0u64, slot))).collect();
    for (unit, length) in order {
        let Some(Reverse((bytes, count, slot))) = heap.pop() else { break };
        shares[slot].push(unit);
        heap.push(Reverse((bytes.saturating_add(length), count + 1, slot)));
    }
    for share in &mut shares {
        share.sort_unstable();
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_longest_files_go_first_and_the_rest_fills_up() {
        assert_eq!(balance(&[(0, 1), (1, 10), (2, 5), (3, 5)], 2), [vec![0, 1], vec![2, 3]]);
        assert_eq!(balance(&[(0, 0), (1, 0), (2, 0)], 3), [vec![0], vec![1], vec![2]]);
        assert_eq!(balance(&[(7, 3)], 2), [vec![7], vec![]]);
    }

    proptest! {
        #[test]
        fn every_unit_is_dealt_once_and_no_slot_is_a_unit_behind(
            lengths in prop::collection::vec(0u64..1000, 0..60), slots in 1u32..9,
        ) {
            let units: Vec<_> = (0..).zip(lengths.iter().copied()).collect();
            let shares = balance(&units, slots);
            let mut all = shares.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..units.len() as u64).collect::<Vec<_>>());
            let sum = |share: &Vec<u64>| share.iter().map(|&u| units[usize::try_from(u).unwrap()].1).sum::<u64>();
            let sums: Vec<_> = shares.iter().map(sum).collect();
            let longest = lengths.iter().copied().max().unwrap_or(0);
            prop_assert!(sums.iter().max().unwrap() - sums.iter().min().unwrap() <= longest);
        }
    }
}
