//! A job as its user gives it: a job file, flags, a command.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use forebay_job::{Draft, JobError};

use crate::args::JobArgs;
use crate::talk::{Failure, Talk};

/// A longer job file is something else.
const MAX_FILE: u64 = 1 << 20;

impl JobArgs {
    /// How to talk.
    pub(crate) fn talk(&self) -> Talk {
        Talk::of(self.quiet, self.json)
    }

    /// What file and flags say together.
    pub(crate) fn draft(&self) -> Result<Draft, Failure> {
        let flags = self.settings.draft(&self.command)?;
        let Some(path) = &self.file else { return Ok(flags) };
        let file = Draft::from_toml(&read(path)?).map_err(|error| self.failure(&error))?;
        Ok(file.overridden_by(flags))
    }

    /// A job's errors are its user's; those that count lines stand behind the file's name.
    pub(crate) fn failure(&self, error: &JobError) -> Failure {
        match &self.file {
            Some(file) if error.names_line() => Failure::usage(format!("{}: {error}", file.display())),
            _ => Failure::usage(error.to_string()),
        }
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut text));
    read.map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::NotFound => " (a command to run stands behind --)",
            _ => "",
        };
        Failure::usage(format!("cannot read the job file {shown}: {error}{hint}"))
    })?;
    if text.len() as u64 > MAX_FILE {
        return Err(Failure::usage(format!("{shown} is no job file: it is longer than 1 MiB")));
    }
    String::from_utf8(text).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::usage(format!(
            "{shown} is no job file: byte {at} is not UTF-8 (a command to run stands behind --)"
        ))
    })
}

/// The folder from which relative paths are seen.
pub(crate) fn here() -> Result<String, Failure> {
    let folder = std::env::current_dir()
        .map_err(|error| Failure::failed(format!("cannot tell the current folder: {error}")))?;
    folder.into_os_string().into_string().map_err(|folder| {
        Failure::usage(format!(
            "the current folder {} is not UTF-8, and a job is kept as text; run it from elsewhere",
            folder.display()
        ))
    })
}

/// Prints what may be piped on; who has read enough is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
