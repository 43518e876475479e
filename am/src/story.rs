//! What has happened in a job: kept in `events.jsonl`, and told to whoever watches.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use forebay_scheduler::{Attempt, Story};
use serde::{Deserialize, Serialize};

use crate::state::Phase;
use crate::{AmError, JobFolder, JobState, id};

/// Something that happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Happening {
    /// To the job or a worker.
    Job(Story),
    /// What else a person should know.
    Other(Note),
}

/// What a person should know, beside the job's course.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Note {
    /// Said by an attempt's agent.
    Note {
        /// Which.
        attempt: Attempt,
        /// What it says.
        note: String,
    },
    /// Something went wrong that does not fail the job.
    Warning {
        /// What.
        warning: String,
    },
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(story) => story.fmt(f),
            Self::Other(Note::Note { attempt, note }) => {
                write!(f, "worker {} (attempt {}): {note}", attempt.index, attempt.number)
            }
            Self::Other(Note::Warning { warning }) => warning.fmt(f),
        }
    }
}

/// A line of `events.jsonl`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Told {
    /// When (RFC 3339, UTC).
    pub time: String,
    /// In words.
    pub text: String,
    /// What.
    #[serde(flatten)]
    pub what: Happening,
}

/// What whoever watches is told.
#[derive(Debug)]
pub enum Update {
    /// The job's folder stands and its workers are about to be started.
    Begun(Box<JobState>),
    /// Something happened.
    Told(Told),
    /// The job as it stands now. Whoever watches and is slow misses some: there is no next one before the [`Seat`] is free.
    State(Box<JobState>, Seat),
}

/// Taken while a state is on its way; dropped with it.
#[derive(Debug)]
pub struct Seat(#[expect(dead_code, reason = "its end is what it says")] Arc<()>);

/// Writes the story and tells it.
#[derive(Debug)]
pub(crate) struct Teller {
    file: File,
    watcher: Sender<Update>,
    seat: Arc<()>,
}

impl Teller {
    pub(crate) fn new(folder: &JobFolder, watcher: Sender<Update>) -> Result<Self, AmError> {
        Ok(Self { file: JobFolder::append(&folder.events_file())?, watcher, seat: Arc::new(()) })
    }

    /// The story is for people: the job goes on where it cannot be written.
    pub(crate) fn tell(&mut self, what: Happening) {
        let told = Told { time: id::now(), text: what.to_string(), what };
        if let Ok(mut line) = serde_json::to_vec(&told) {
            line.push(b'\n');
            if let Err(error) = self.file.write_all(&line) {
                tracing::warn!("cannot write events.jsonl: {error}");
            }
        }
        self.update(Update::Told(told));
    }

    pub(crate) fn warn(&mut self, warning: String) {
        self.tell(Happening::Other(Note::Warning { warning }));
    }

    /// Tells how the job stands, if the last that was told has been looked at, or if it is over: a terminal that is held must
    /// not make what waits for it grow.
    pub(crate) fn show(&self, state: JobState) {
        if state.phase == Phase::Finished || Arc::strong_count(&self.seat) == 1 {
            self.update(Update::State(Box::new(state), Seat(Arc::clone(&self.seat))));
        }
    }

    /// Nobody may be watching any more.
    pub(crate) fn update(&self, update: Update) {
        let _ = self.watcher.send(update);
    }
}
