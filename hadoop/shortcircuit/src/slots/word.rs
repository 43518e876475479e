//! The 64 bits by which a DataNode and its client speak of one replica (`ShortCircuitShm.Slot` in Hadoop).
//!
//! Bit 63: the replica is valid. Bit 62: it is locked in memory and may be anchored. Bits 0 to 30: how many anchors hold it
//! there. Either side changes the word by compare-and-swap only, so no change of the other's is ever lost.
//!
//! On ordering: all that is decided is decided by one word, and changes of one word have one order that both sides agree on.
//! Acquire on success keeps what we do with a replica behind the look that allowed it; release keeps it before the
//! change that lets go.

use std::sync::atomic::{AtomicU64, Ordering};

const VALID: u64 = 1 << 63;
const ANCHORABLE: u64 = 1 << 62;
const ANCHORS: u64 = (1 << 31) - 1;

/// Readies the word of a slot that nobody else uses: valid, not anchorable, no anchors.
pub(super) fn begin(word: &AtomicU64) {
    word.store(VALID, Ordering::Release);
}

pub(super) fn is_valid(word: &AtomicU64) -> bool {
    word.load(Ordering::Acquire) & VALID != 0
}

/// Adds an anchor if the slot is valid and anchorable.
pub(super) fn anchor(word: &AtomicU64) -> bool {
    word.try_update(Ordering::AcqRel, Ordering::Acquire, |now| {
        let allowed = now & (VALID | ANCHORABLE) == VALID | ANCHORABLE;
        (allowed && now & ANCHORS != ANCHORS).then(|| now + 1)
    })
    .is_ok()
}

/// Takes an anchor away, also from a slot that is not valid any more. Without an anchor nothing happens: the count must not
/// run into the flags.
pub(super) fn unanchor(word: &AtomicU64) -> bool {
    word.try_update(Ordering::AcqRel, Ordering::Acquire, |now| (now & ANCHORS != 0).then(|| now - 1)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    /// What the DataNode does to a slot.
    fn change(word: &AtomicU64, flag: u64, on: bool) {
        let _ = word.try_update(Ordering::SeqCst, Ordering::SeqCst, |now| {
            Some(if on { now | flag } else { now & !flag })
        });
    }

    proptest! {
        #[test]
        fn a_word_does_as_its_model(start: u64, steps in proptest::collection::vec(0u8..6, 0..60)) {
            let word = AtomicU64::new(start);
            let mut model = (start & VALID != 0, start & ANCHORABLE != 0, start & ANCHORS);
            let rest = start & !(VALID | ANCHORABLE | ANCHORS);
            for step in steps {
                match step {
                    0 | 1 => {
                        let wanted = model.0 && model.1 && model.2 < ANCHORS;
                        prop_assert_eq!(anchor(&word), wanted);
                        model.2 += u64::from(wanted);
                    }
                    2 => {
                        prop_assert_eq!(unanchor(&word), model.2 > 0);
                        model.2 = model.2.saturating_sub(1);
                    }
                    3 => { change(&word, VALID, false); model.0 = false; }
                    4 => { change(&word, VALID, true); model.0 = true; }
                    _ => { change(&word, ANCHORABLE, !model.1); model.1 = !model.1; }
                }
                prop_assert_eq!(is_valid(&word), model.0);
                let flags = u64::from(model.0) << 63 | u64::from(model.1) << 62;
                prop_assert_eq!(word.load(Ordering::Relaxed), flags | rest | model.2);
            }
        }
    }

    #[test]
    fn a_full_count_takes_no_further_anchor() {
        let word = AtomicU64::new(VALID | ANCHORABLE | ANCHORS);
        assert!(!anchor(&word));
        assert!(unanchor(&word) && anchor(&word));
    }

    #[test]
    fn nothing_is_unlocked_under_an_anchor() {
        const THREADS: usize = 4;
        const ROUNDS: usize = 20_000;
        let word = AtomicU64::new(VALID | ANCHORABLE);
        // As the DataNode: first no new anchors, then unlock only when there are none left.
        let (unlocked, done) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            let readers: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        let mut held = 0;
                        for _ in 0..ROUNDS {
                            if anchor(&word) {
                                assert!(!unlocked.load(Ordering::SeqCst), "unlocked under an anchor");
                                assert!(unanchor(&word));
                                held += 1;
                            }
                        }
                        held
                    })
                })
                .collect();
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    change(&word, ANCHORABLE, false);
                    if word.load(Ordering::SeqCst) & ANCHORS == 0 {
                        unlocked.store(true, Ordering::SeqCst);
                        thread::yield_now();
                        unlocked.store(false, Ordering::SeqCst);
                    }
                    change(&word, ANCHORABLE, true);
                    thread::yield_now();
                }
            });
            let held: Vec<_> = readers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            // Before a reader's failure is passed on: the other thread has to end, too.
            done.store(true, Ordering::SeqCst);
            assert!(held.into_iter().map(Result::unwrap).sum::<usize>() > 0);
        });
        assert_eq!(word.load(Ordering::SeqCst) & ANCHORS, 0);
    }
}
