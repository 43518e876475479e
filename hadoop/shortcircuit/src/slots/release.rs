//! The thread that gives slots back, so that nobody who drops a replica waits for a DataNode.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::segment::Segment;
use crate::connections::Connections;
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
pub(super) fn start(
    timeout: Duration,
    connections: Arc<Connections<PathBuf>>,
) -> io::Result<Sender<Release>> {
    let (sender, receiver) = channel();
    thread::Builder::new()
        .name("slot-release".to_owned())
        .spawn(move || run(&receiver, timeout, &connections))?;
    Ok(sender)
}

fn run(receiver: &Receiver<Release>, timeout: Duration, connections: &Connections<PathBuf>) {
    for Release { segment, index } in receiver {
        if !segment.is_open() {
            continue;
        }
        match give_back(&segment, index, connections, Deadline::after(timeout)) {
            Ok(()) => segment.freed(index),
            Err(why) => {
                // As Hadoop's client: a DataNode that cannot take one slot back gets the whole segment.
                tracing::debug!(socket = %segment.path().display(), why, "a slot could not be given back");
                segment.close();
            }
        }
    }
}

fn give_back(
    segment: &Segment,
    index: usize,
    connections: &Connections<PathBuf>,
    deadline: Deadline,
) -> Result<(), String> {
    let slot = segment.slot_id(index).ok_or("no such slot")?;
    if let Some(connection) = connections.take(segment.path()) {
        match request::release(&connection, slot, deadline) {
            Ok(()) => {
                connections.put(segment.path(), connection);
                return Ok(());
            }
            // The DataNode may have closed a connection that it thought idle: the slot is then still as it was.
            Err(Fault::Closed) => {}
            Err(other) => return Err(other.to_string()),
        }
    }
    let connection = Connection::open(segment.path(), deadline).map_err(|e| e.to_string())?;
    request::release(&connection, slot, deadline).map_err(|e| e.to_string())?;
    connections.put(segment.path(), connection);
    Ok(())
}
