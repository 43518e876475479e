//! Exit codes, in one place. See the table in `forebay --help`.

use std::process::ExitCode;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exit(pub(crate) i32);

impl Exit {
    pub(crate) const SUCCESS: Self = Self(0);
    pub(crate) const FAILURE: Self = Self(1);
    pub(crate) const USAGE: Self = Self(2);

    /// Ended by a signal.
    pub(crate) fn signal(number: i32) -> Self {
        Self(128 + number)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        // Statuses are bytes; anything else would be a bug here, and must not look like success.
        u8::try_from(exit.0).map_or(Self::FAILURE, Self::from)
    }
}
