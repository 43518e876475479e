//! The thread that gives slots back, so that nobody who drops a replica waits for a DataNode.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use super::segment::Segment;
use crate::error::Fault;
use crate::request;
use crate::socket::{Connection, Deadline};

/// A slot to give back. There are never more of them than slots, so the channel needs no bound.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) segment: Arc<Segment>,
    pub(super) index: usize,
}

/// Starts the thread. It ends when all senders are gone, and with them all segments.
pub(super) fn start(timeout: Duration) -> io::Result<Sender<Release>> {
    let (sender, receiver) = channel();
    thread::Builder::new().name("slot-release".to_owned()).spawn(move || run(&receiver, timeout))?;
    Ok(sender)
}

fn run(receiver: &Receiver<Release>, timeout: Duration) {
    // Kept only while there is more to give back to the same DataNode.
    let mut kept: Option<(PathBuf, Connection)> = None;
    loop {
        let release = match receiver.try_recv() {
            Ok(release) => release,
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {
                kept = None;
                match receiver.recv() {
                    Ok(release) => release,
                    Err(_) => return,
                }
            }
        };
        let segment = &release.segment;
        if !segment.is_open() {
            continue;
        }
        let usable = kept.take().filter(|(path, _)| path == segment.path()).map(|(_, connection)| connection);
        match give_back(&release, usable, Deadline::after(timeout)) {
            Ok(connection) => {
                segment.freed(release.index);
                kept = Some((segment.path().to_owned(), connection));
            }
            Err(why) => {
                // As Hadoop's client: a DataNode that cannot take one slot back gets the whole segment.
                tracing::debug!(socket = %segment.path().display(), why, "a slot could not be given back");
                segment.close();
            }
        }
    }
}

fn give_back(release: &Release, kept: Option<Connection>, deadline: Deadline) -> Result<Connection, String> {
    let slot = release.segment.slot_id(release.index).ok_or("no such slot")?;
    if let Some(connection) = kept {
        match request::release(&connection, slot, deadline) {
            Ok(()) => return Ok(connection),
            // The DataNode may have closed a connection that it thought idle: the slot is then still as it was.
            Err(Fault::Closed) => {}
            Err(other) => return Err(other.to_string()),
        }
    }
    let connection = Connection::open(release.segment.path(), deadline).map_err(|e| e.to_string())?;
    request::release(&connection, slot, deadline).map_err(|e| e.to_string())?;
    Ok(connection)
}
