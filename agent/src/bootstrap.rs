//! How an agent learns what to do: from a line on its standard input, or, in a container of YARN's, from the credentials that were
//! given to it.

use std::io::{self, BufRead, Read};
use std::path::PathBuf;

use forebay_hadoop::{Configuration, Credentials};
use forebay_protocol::Bootstrap;

use crate::error::AgentError;

/// Longest first line in bytes.
const LONGEST_LINE: u64 = 64 << 10;
/// What the NodeManager gives to each container.
const CONTAINER: &str = "CONTAINER_ID";
/// What a worker's processes have, and the container itself has not.
const WORKER: &str = "FOREBAY_RANK";

/// The bootstrap of this container; `None` if this agent is no container's, but for example one of a `forebay run` somewhere
/// in a container.
pub(crate) fn of_container() -> Result<Option<Bootstrap>, AgentError> {
    if std::env::var_os(CONTAINER).is_none() || std::env::var_os(WORKER).is_some() {
        return Ok(None);
    }
    let failed = |why: String| AgentError::Credentials(why);
    let conf = Configuration::load().map_err(|error| failed(error.to_string()))?;
    let credentials = Credentials::load(&conf).map_err(|error| failed(error.to_string()))?;
    let Some((_, secret)) = credentials.secrets().find(|(alias, _)| *alias == Bootstrap::SECRET) else {
        return Ok(None);
    };
    let mut bootstrap = parse(secret.expose()).map_err(failed)?;
    if bootstrap.container.is_none() {
        return Err(failed("they say nothing of a container".into()));
    }
    // All paths of the attempt, which its worker sees from another folder.
    bootstrap.job_folder = std::path::absolute(&bootstrap.job_folder)?;
    Ok(Some(bootstrap))
}

/// The line that says what to do. Nothing behind it is read here.
pub(crate) fn of_stdin() -> Result<Bootstrap, AgentError> {
    let mut line = Vec::new();
    let read = io::stdin().lock().take(LONGEST_LINE).read_until(b'\n', &mut line);
    read.map_err(|error| AgentError::Bootstrap(error.to_string()))?;
    if !line.ends_with(b"\n") {
        return Err(AgentError::Bootstrap("it is no line of text".into()));
    }
    parse(&line).map_err(AgentError::Bootstrap)
}

fn parse(text: &[u8]) -> Result<Bootstrap, String> {
    // The error of serde would show the text, and with it the token.
    serde_json::from_slice(text)
        .map_err(|error| format!("it cannot be read ({:?} at column {})", error.classify(), error.column()))
}

/// Where logs go in a container: the first of its log folders, from which they are collected.
pub(crate) fn log_folder() -> Option<PathBuf> {
    let folders = std::env::var("LOG_DIRS").ok()?;
    folders.split(',').find(|folder| !folder.is_empty()).map(PathBuf::from)
}
