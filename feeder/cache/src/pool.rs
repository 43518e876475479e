//! Memory set aside for what is on its way into the cache.

use std::sync::{Mutex, PoisonError};

/// Bytes of one piece.
pub(crate) const PIECE: usize = 256 << 10;
/// Bytes set aside, at most: three entries of full length. What a feed needs beside that leaves room below 64 MiB.
const BUDGET: usize = 24 << 20;

/// Pieces, made when they are first needed and used again.
#[derive(Debug)]
pub(crate) struct Pool(Mutex<State>);

#[derive(Debug)]
struct State {
    free: Vec<Vec<u8>>,
    /// Pieces that were not made yet.
    unmade: usize,
}

impl Default for Pool {
    fn default() -> Self {
        Self(Mutex::new(State { free: Vec::new(), unmade: BUDGET / PIECE }))
    }
}

impl Pool {
    /// Empty pieces for so many bytes; `None` while others have them.
    pub(crate) fn take(&self, bytes: usize) -> Option<Vec<Vec<u8>>> {
        let count = bytes.div_ceil(PIECE);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.free.len() + state.unmade < count {
            return None;
        }
        let made = count.min(state.free.len());
        let from = state.free.len() - made;
        let mut pieces = state.free.split_off(from);
        state.unmade -= count - made;
        drop(state);
        pieces.resize_with(count, || Vec::with_capacity(PIECE));
        Some(pieces)
    }

    pub(crate) fn give_back(&self, pieces: Vec<Vec<u8>>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for mut piece in pieces {
            piece.clear();
            state.free.push(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_given_than_is_set_aside() {
        let pool = Pool::default();
        let all = pool.take(BUDGET).unwrap();
        assert_eq!(all.len() * PIECE, BUDGET);
        assert!(pool.take(1).is_none());
        assert!(pool.take(0).is_some_and(|none| none.is_empty()));
        pool.give_back(all);
        let (some, others) = (pool.take(PIECE + 1).unwrap(), pool.take(BUDGET - 2 * PIECE).unwrap());
        assert_eq!((some.len(), others.len()), (2, BUDGET / PIECE - 2));
        assert!(some.iter().all(|piece| piece.is_empty() && piece.capacity() == PIECE));
        assert!(pool.take(1).is_none());
    }
}
