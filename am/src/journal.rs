//! How far attempts had come whose agents can tell no more: from what they have left in their folders.

use forebay_agent::read_attempt;
use forebay_protocol::v1;
use forebay_scheduler::{Attempt, Position};

use crate::{AmError, JobFolder, convert};

/// Reads what an attempt has left. To be called when all its processes are gone.
pub(crate) fn position(folder: &JobFolder, attempt: Attempt) -> Result<Position, AmError> {
    let left = folder.attempt(attempt);
    let read = read_attempt(&left).map_err(AmError::io("read what was left in", &left))?;
    let message = v1::Position { begins: read.begins, ack: read.ack, ..v1::Position::default() };
    let Position { begins, ack, .. } = convert::position(message);
    Ok(Position::of_journal(begins, ack))
}
