//! Which entries go when there is no room. Pure.

/// Part of the size that is made free beyond what is needed: looking through the folder is then seldom needed.
const SLACK: u64 = 16;

/// What the files of an entry take, as far as the size is concerned: tiny ones take a block of the file system, too.
pub(crate) fn cost(len: u64) -> u64 {
    len.div_ceil(4096).max(1).saturating_mul(4096)
}

/// How many entries have to go, of entries that take so much each, the least recently used first, so that `need` fits.
pub(crate) fn to_evict(costs: impl IntoIterator<Item = u64>, used: u64, need: u64, limit: u64) -> usize {
    if used.saturating_add(need) <= limit {
        return 0;
    }
    let most = (limit - limit / SLACK).saturating_sub(need);
    let (mut left, mut count) = (used, 0);
    for cost in costs {
        if left <= most {
            break;
        }
        left = left.saturating_sub(cost);
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_needed_fits_and_no_more_goes_than_must(
            costs in vec(1u64..100, 0..40), need in 0u64..200, limit in 200u64..2000,
        ) {
            let used: u64 = costs.iter().sum();
            let gone = to_evict(costs.iter().copied(), used, need, limit);
            let left: u64 = costs[gone..].iter().sum();
            prop_assert!(left + need <= limit, "{left} left, {need} needed, of {limit}");
            if used + need <= limit {
                prop_assert_eq!(gone, 0);
            } else if gone > 0 {
                let before: u64 = costs[gone - 1..].iter().sum();
                prop_assert!(before + need > limit - limit / SLACK);
            }
        }
    }

    #[test]
    fn tiny_ones_take_room_too() {
        assert_eq!([0, 1, 4096, 4097].map(cost), [4096, 4096, 4096, 8192]);
    }
}
