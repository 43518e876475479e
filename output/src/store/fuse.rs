//! Where tests break a sequence of changes. Outside tests there is nothing here.

use crate::OutputError;

#[cfg(not(test))]
#[derive(Debug, Clone)]
pub(crate) struct Fuse;

#[cfg(not(test))]
#[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests have another one")]
impl Fuse {
    /// One that never breaks.
    pub(crate) fn whole() -> Self {
        Self
    }

    /// Called before a change.
    pub(crate) fn before(&self) -> Result<(), OutputError> {
        Ok(())
    }

    /// Called after a change.
    pub(crate) fn after(&self) -> Result<(), OutputError> {
        Ok(())
    }
}

#[cfg(test)]
pub(crate) use in_tests::Fuse;

#[cfg(test)]
mod in_tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::OutputError;

    /// Lets a number of looks pass and then none: every change has one before and one after it. Clones share the count.
    #[derive(Debug, Clone)]
    pub(crate) struct Fuse(Arc<AtomicI64>);

    impl Fuse {
        pub(crate) fn whole() -> Self {
            Self::new(i64::MAX)
        }

        pub(crate) fn new(looks: i64) -> Self {
            Self(Arc::new(AtomicI64::new(looks)))
        }

        /// Whether it has ever said no.
        pub(crate) fn is_blown(&self) -> bool {
            self.0.load(Ordering::SeqCst) < 0
        }

        pub(crate) fn before(&self) -> Result<(), OutputError> {
            match self.0.fetch_sub(1, Ordering::SeqCst) {
                looks if looks > 0 => Ok(()),
                _ => Err(OutputError::Cancelled),
            }
        }

        pub(crate) fn after(&self) -> Result<(), OutputError> {
            self.before()
        }
    }
}
