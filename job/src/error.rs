//! What can be wrong with a job. All of it is the user's to mend.

use core::fmt;

/// Where a setting was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// On the command line.
    Flag,
    /// In a job file, on this line (from 1).
    Line(usize),
}

/// Why there is no job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// The file is not TOML.
    #[error("line {line}: {why}")]
    Syntax {
        /// From 1.
        line: usize,
        /// What TOML says.
        why: String,
    },
    /// A key that is no setting.
    #[error("line {line}: there is no setting '{key}'{}", hint(*.nearest))]
    UnknownKey {
        /// From 1.
        line: usize,
        /// As written.
        key: String,
        /// What was probably meant.
        nearest: Option<&'static str>,
    },
    /// A value of the wrong type in a file.
    #[error("line {line}: {setting} must be {wanted}, and is {found}")]
    Type {
        /// From 1.
        line: usize,
        /// Its name.
        setting: &'static str,
        /// What it takes.
        wanted: &'static str,
        /// What was found.
        found: String,
    },
    /// A value that does not do.
    #[error("{}: {why}", Given(.setting, *.origin, .value))]
    Value {
        /// Where.
        origin: Origin,
        /// Its name.
        setting: &'static str,
        /// As given.
        value: String,
        /// What is wrong with it, and what would do.
        why: String,
    },
    /// Something that every job needs.
    #[error("{0}")]
    Missing(&'static str),
    /// Settings that do not go together.
    #[error("{0}")]
    Conflict(String),
}

impl JobError {
    /// Whether the message counts lines of a job file, and so should stand behind the file's name.
    pub fn names_line(&self) -> bool {
        match self {
            Self::Syntax { .. } | Self::UnknownKey { .. } | Self::Type { .. } => true,
            Self::Value { origin, .. } => matches!(origin, Origin::Line(_)),
            Self::Conflict(message) => message.contains("(line "),
            Self::Missing(_) => false,
        }
    }
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean '{name}'?"))
}

/// A setting as its user wrote it.
struct Given<'a>(&'a str, Origin, &'a str);

impl fmt::Display for Given<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(setting, origin, value) = *self;
        match (origin, setting) {
            (Origin::Line(line), setting) => write!(f, "line {line}: {setting}")?,
            (Origin::Flag, "command") => write!(f, "COMMAND")?,
            (Origin::Flag, setting) => write!(f, "--{setting}")?,
        }
        let end = value.char_indices().nth(MAX_SHOWN).map(|(at, _)| at);
        let (shown, more) = end.map_or((value, ""), |end| (&value[..end], "…"));
        write!(f, " '{}{more}'", Plain(shown))
    }
}

/// Long values are cut: the message is for a terminal.
const MAX_SHOWN: usize = 100;

/// A text whose control characters are shown as escapes.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            if char.is_control() { write!(f, "{}", char.escape_default())? } else { write!(f, "{char}")? }
        }
        Ok(())
    }
}
