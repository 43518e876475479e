//! What can be wrong with a configuration, and where.

use std::fmt;
use std::path::PathBuf;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In this file.
    File(PathBuf),
    /// Set by the program.
    Code,
    /// Hadoop's default: nobody set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Code => f.write_str("the program"),
            Self::Default => f.write_str("the defaults"),
        }
    }
}

/// A configuration that cannot be read or makes no sense.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConfError {
    /// The folder that the environment or the caller names is not there.
    #[error("the configuration folder {} is not there", folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// A file could not be read.
    #[error("cannot read {}: {message}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
    /// A file is not XML, or not a configuration.
    #[error("{} is no Hadoop configuration: {message}", path.display())]
    Xml {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Files include each other without end.
    #[error("{} is included more than {depth} levels deep", path.display())]
    Includes {
        /// The file that would have been read next.
        path: PathBuf,
        /// How deep includes may go.
        depth: usize,
    },
    /// Variables lead to variables, further than Hadoop follows them.
    #[error("the variables in {key} (from {origin}) lead on and on")]
    TooDeep {
        /// The key whose value was wanted.
        key: String,
        /// Where its value was written.
        origin: Origin,
    },
    /// A value that is not of its key's kind.
    #[error("{key} is {value:?} (from {origin}), which is not {wanted}")]
    Value {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// Where the value was written.
        origin: Origin,
        /// What it should be.
        wanted: &'static str,
    },
    /// A key that must have a value has none.
    #[error("{key} has no value, needed for {needed_for}")]
    Missing {
        /// The key.
        key: String,
        /// Why it is needed.
        needed_for: String,
    },
    /// A text that is no `host:port` and no nameservice.
    #[error("{text:?} (from {origin}) is no address of a {server}: {why}")]
    Address {
        /// The text.
        text: String,
        /// Whose address it should be.
        server: &'static str,
        /// Where it comes from.
        origin: Origin,
        /// What is wrong with it.
        why: &'static str,
    },
}
