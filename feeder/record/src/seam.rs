//! Between two delivered ranges: a lone `\r` must not join a following `\n`.

use crate::Terminator;

/// Remembers how the last delivered range ended.
///
/// A range ends in `\r` only when that `\r` is a terminator by itself. Were the next delivered byte a `\n`,
/// the reader would take the two for one terminator and lose an empty line.
#[derive(Debug, Default)]
pub struct Seam {
    after_lone_cr: bool,
}

impl Seam {
    /// What to put before a range that begins with `first`.
    pub fn before(&mut self, first: u8) -> &'static [u8] {
        if std::mem::take(&mut self.after_lone_cr) && first == b'\n' { b"\n" } else { b"" }
    }

    /// Notes the last byte of a delivered range.
    pub fn after(&mut self, terminator: &Terminator, last: u8) {
        self.after_lone_cr = *terminator == Terminator::Any && last == b'\r';
    }
}
