//! Whose output it is: an attempt of a worker.

use std::fmt;

/// An attempt of a worker; shown and staged as `index.number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt {
    /// The worker, from 0.
    pub index: u32,
    /// Which attempt of it, from 1.
    pub number: u32,
}

impl Attempt {
    /// Where its part goes when it is a folder: `<index>`.
    pub(crate) fn folder(self) -> String {
        self.index.to_string()
    }

    /// The file of its standard output: `part-NNNNN`.
    pub(crate) fn part(self) -> String {
        format!("part-{:05}", self.index)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.number)
    }
}
