//! What a checkpoint or a journal says of units.

use std::ops::Range;

use super::{Ledger, Next, Partly};
use crate::{Attempt, Named, Position, Skip};

impl Ledger {
    /// From a checkpoint: these units are done. Fails with the first that does not wait.
    pub(crate) fn restore_done(&mut self, range: Range<u64>) -> Result<(), u64> {
        for unit in range {
            if !self.waiting.remove(unit) {
                return Err(unit);
            }
            self.skips.remove(&unit);
            self.done.insert(unit);
        }
        Ok(())
    }

    /// From a checkpoint: where a unit goes on. Fails if it does not wait.
    pub(crate) fn restore_skip(&mut self, next: Next) -> Result<(), u64> {
        if !self.waiting.contains(next.unit) {
            return Err(next.unit);
        }
        self.skips.insert(next.unit, next.skip);
        Ok(())
    }

    /// From a checkpoint: these were fed before they went back.
    pub(crate) fn restore_again(&mut self, range: Range<u64>) {
        self.again.insert_range(range.start..range.end.min(self.total));
    }

    /// From a journal: an attempt held what began and waits.
    pub(crate) fn restore_held(&mut self, attempt: Attempt, position: &Position) {
        for begin in &position.begins {
            if self.waiting.remove(begin.unit) {
                let skip = match begin.skipped.bytes {
                    0 => Skip::None,
                    bytes => Skip::Bytes(bytes),
                };
                self.skips.entry(begin.unit).or_insert(skip);
                self.grant(attempt, begin.unit);
            }
        }
    }

    pub(crate) fn close_partly(&mut self, partly: Partly) {
        self.partly_count += 1;
        if self.partly.len() < Named::FIRST {
            self.partly.push(partly);
        }
    }
}
