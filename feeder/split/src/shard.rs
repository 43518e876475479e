//! Which splits are whose: `I/N`.

use std::fmt;
use std::str::FromStr;

/// Share `index` of `count`, from 0. Splits are dealt one by one, so that shares differ by one split at most and
/// files of unlike sizes spread over all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: u32,
}

/// Why a text or a pair of numbers is no shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// Not of the form `I/N`.
    #[error("a shard is written I/N, for example 0/4 for the first of four")]
    Form,
    /// `N` is 0.
    #[error("there is no share of 0 shares; N in I/N is at least 1")]
    NoShares,
    /// `I` is not below `N`.
    #[error("shards are counted from 0: with {count} shares, I in I/N goes from 0 to {last}", last = count - 1)]
    Index {
        /// The shares there are.
        count: u32,
    },
}

impl Shard {
    /// All splits in one share.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Share `index` of `count`.
    pub fn new(index: u32, count: u32) -> Result<Self, ShardError> {
        match count {
            0 => Err(ShardError::NoShares),
            _ if index >= count => Err(ShardError::Index { count }),
            _ => Ok(Self { index, count }),
        }
    }

    /// Which share this is, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// How many shares there are.
    pub fn count(self) -> u32 {
        self.count
    }

    /// Whether the split with this ordinal is in the share.
    pub fn owns(self, ordinal: u64) -> bool {
        ordinal % u64::from(self.count) == u64::from(self.index)
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let (index, count) = text.split_once('/').ok_or(ShardError::Form)?;
        // `parse` alone would take a sign.
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let number = |text: &str| text.parse().ok().filter(|_| digits(text)).ok_or(ShardError::Form);
        Self::new(number(index)?, number(count)?)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        assert_eq!("2/3".parse(), Shard::new(2, 3));
        assert_eq!("3/3".parse::<Shard>(), Err(ShardError::Index { count: 3 }));
        assert_eq!("0/0".parse::<Shard>(), Err(ShardError::NoShares));
        for bad in ["", "1", "/", "1/", "/2", "a/2", "-1/2", "+1/2", "1/2/3", " 1/2", "1/99999999999"] {
            assert_eq!(bad.parse::<Shard>(), Err(ShardError::Form), "{bad:?}");
        }
    }
}
