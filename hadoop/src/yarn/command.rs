//! What a container runs.

use super::error::Error;
use super::shell::{self, LOG_DIR};

/// What a container runs, as a line of bash that the NodeManager's launch script runs in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The line as the inner bash reads it.
    text: String,
    /// Files in the container's log folder.
    stdout: Option<String>,
    stderr: Option<String>,
}

impl Command {
    /// A program, which takes the shell's place: signals that YARN sends reach it. A name without `/` is looked for in `PATH`.
    pub fn new(program: &str) -> Self {
        Self::script(format!("exec {}", shell::single_quoted(program)))
    }

    /// A script, as bash reads it: `$PWD` is the container's folder.
    pub fn script(text: impl Into<String>) -> Self {
        Self { text: text.into(), stdout: None, stderr: None }
    }

    /// Another argument, which arrives as it is.
    #[must_use]
    pub fn arg(mut self, literal: &str) -> Self {
        self.text.push(' ');
        self.text.push_str(&shell::single_quoted(literal));
        self
    }

    /// Another argument, as bash reads it between double quotes: `$PWD/x`.
    #[must_use]
    pub fn arg_shell(mut self, text: &str) -> Self {
        self.text.push_str(" \"");
        self.text.push_str(text);
        self.text.push('"');
        self
    }

    /// Sends its output to these files of the container's log folder, from where YARN gathers them. Without, it goes to
    /// `prelaunch.out` and `prelaunch.err` there.
    #[must_use]
    pub fn output_to(mut self, stdout: &str, stderr: &str) -> Self {
        (self.stdout, self.stderr) = (Some(stdout.to_owned()), Some(stderr.to_owned()));
        self
    }

    pub(super) fn to_wire(&self) -> Result<String, Error> {
        let mut line = String::new();
        for (number, file) in [("1", &self.stdout), ("2", &self.stderr)] {
            let Some(file) = file else { continue };
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            if file.is_empty() || !file.chars().all(plain) || file.starts_with("..") {
                let what = format!("the output file {file:?}");
                return Err(Error::Request {
                    what,
                    why: "its name may have letters, digits, '.', '_' and '-'",
                });
            }
            line.extend(["exec ", number, ">\\\"", LOG_DIR, "/", file, "\\\"\n"]);
        }
        if let Some(why) = shell::refused(&self.text) {
            return Err(Error::Request { what: format!("the command {:?}", self.text), why });
        }
        line.push_str(&shell::for_double_quotes(&self.text));
        Ok(line)
    }
}
