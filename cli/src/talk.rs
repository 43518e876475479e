//! What is said on standard error: for people, for machines (`--json`), or not at all (`--quiet`).

use std::io::Write;

use serde::Serialize;
use serde_json::json;

use crate::exit::Exit;

/// A failure to tell, and the status to exit with.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    message: String,
    pub(crate) exit: Exit,
}

impl Failure {
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit: Exit::FAILURE }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit: Exit::USAGE }
    }

    pub(crate) fn exiting(message: impl Into<String>, exit: Exit) -> Self {
        Self { message: message.into(), exit }
    }
}

/// How to talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Talk {
    Quiet,
    Plain,
    Json,
}

impl Talk {
    /// How `--quiet` and `--json` want it.
    pub(crate) fn of(quiet: bool, json: bool) -> Self {
        match (quiet, json) {
            (true, _) => Self::Quiet,
            (_, true) => Self::Json,
            _ => Self::Plain,
        }
    }

    /// Says a line to people.
    pub(crate) fn say(self, line: &str) {
        if self == Self::Plain {
            stderr_line(line);
        }
    }

    /// Tells machines of an event; its fields are those of `body`.
    pub(crate) fn event(self, name: &str, body: &impl Serialize) {
        if self == Self::Json {
            let mut event = json!({ "event": name });
            if let (Some(event), Ok(serde_json::Value::Object(body))) =
                (event.as_object_mut(), serde_json::to_value(body))
            {
                event.extend(body);
            }
            stderr_line(&event.to_string());
        }
    }

    /// Tells machines of what has an event's name in it already.
    pub(crate) fn told(self, event: &impl Serialize) {
        if self == Self::Json
            && let Ok(text) = serde_json::to_string(event)
        {
            stderr_line(&text);
        }
    }

    /// Tells of a failure, however quiet.
    pub(crate) fn fail(self, failure: &Failure) {
        match self {
            Self::Json => self.event("error", &json!({ "message": failure.to_string() })),
            Self::Plain | Self::Quiet => stderr_line(&format!("forebay: {failure}")),
        }
    }
}

/// A line in one write, so that it does not mix with a worker's. If nobody hears it, nothing can be done.
fn stderr_line(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}
