//! The small JSON files of an output's staging. Each says its version.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Attempt, Tally};

/// The version of all notes.
const VERSION: u32 = 1;

/// What an attempt's part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A folder of the worker.
    Upload,
    /// Its standard output.
    Stream,
}

/// `<index>.<number>.staged`: an attempt's part is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// What it is.
    pub kind: Kind,
    /// What it holds.
    pub tally: Tally,
    /// The worker left no such folder; an empty one stands for it.
    #[serde(default)]
    pub absent: bool,
}

/// `_job.json`: whose staging it is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct JobNote {
    pub(crate) job: String,
    /// The output path was not there before.
    pub(crate) made: bool,
}

/// `_temporary/_commit` and `_SUCCESS`: who commits, or has.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Claim {
    pub(crate) job: String,
}

/// `_commit.json`: what a commit does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) job: String,
    pub(crate) moves: Vec<Move>,
}

/// One rename of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Move {
    /// Relative to the job's staging.
    pub(crate) from: String,
    /// Relative to the output path.
    pub(crate) to: String,
    pub(crate) tally: Tally,
}

impl Move {
    pub(crate) fn new(attempt: Attempt, staged: &Staged) -> Self {
        match staged.kind {
            Kind::Upload => Self { from: attempt.to_string(), to: attempt.folder(), tally: staged.tally },
            Kind::Stream => Self {
                from: format!("{attempt}/{}", attempt.part()),
                to: attempt.part(),
                tally: staged.tally,
            },
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    note: T,
}

/// A note as bytes.
pub(crate) fn write<T: Serialize>(note: T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Versioned { version: VERSION, note })
}

/// A note from bytes, or why it is none.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let note: Versioned<T> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if note.version != VERSION {
        return Err(format!("its version is {}, and this program knows version {VERSION}", note.version));
    }
    Ok(note.note)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_back_and_other_versions_are_refused() {
        let attempt = Attempt { index: 3, number: 2 };
        let tally = Tally { files: 1, folders: 0, bytes: 7, names: u64::MAX };
        let staged = Staged { kind: Kind::Stream, tally, absent: false };
        let plan = Plan { job: "job".into(), moves: vec![Move::new(attempt, &staged)] };
        let bytes = write(&plan).unwrap();
        assert_eq!(read::<Plan>(&bytes).unwrap(), plan);
        assert_eq!((&*plan.moves[0].from, &*plan.moves[0].to), ("3.2/part-00003", "part-00003"));
        let other = String::from_utf8(bytes).unwrap().replace("\"version\":1", "\"version\":2");
        assert!(read::<Plan>(other.as_bytes()).unwrap_err().contains("version is 2"));
        assert!(read::<Plan>(b"").is_err());
    }
}
