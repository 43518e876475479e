//! A shared-memory segment and the connection it lives with: when either side closes it, the segment's slots are void.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use super::memory::SharedMemory;
use super::release::Release;
use super::{Slot, word};
use crate::error::Fault;
use crate::socket::{Connection, Deadline};
use crate::wire::{self, Opcode, ShortCircuitShmIdProto, ShortCircuitShmSlotProto, Status};

/// A segment that a DataNode has given us.
#[derive(Debug)]
pub(super) struct Segment {
    memory: SharedMemory,
    connection: Connection,
    id: ShortCircuitShmIdProto,
    path: PathBuf,
    /// Which slots may be given out. A slot whose fate at the DataNode is not known never becomes free again: registering
    /// it anew could meet the old registration, or its late undoing.
    free: Mutex<Vec<bool>>,
    releases: Sender<Release>,
}

/// What a DataNode says to the wish for a segment.
#[derive(Debug)]
pub(super) enum Granted {
    Segment(Arc<Segment>),
    /// It has none to give; the words are its.
    No(String),
}

impl Segment {
    /// Asks for a segment (`REQUEST_SHORT_CIRCUIT_SHM`, opcode 89). The connection is the segment's from then on: the DataNode
    /// takes its end for the client's death.
    pub(super) fn request(
        connection: Connection,
        path: &Path,
        client_name: &str,
        releases: Sender<Release>,
        deadline: Deadline,
    ) -> Result<Granted, Fault> {
        let request = wire::ShortCircuitShmRequestProto { client_name: client_name.to_owned() };
        connection.send(&wire::request(Opcode::RequestSegment, &request), deadline)?;
        let reply: wire::ShortCircuitShmResponseProto = connection.receive(deadline)?;
        if Status::of(reply.status) != Status::Success {
            return Ok(Granted::No(wire::words(reply.error.as_deref())));
        }
        let id = reply.id.ok_or_else(|| Fault::Malformed("a segment without an id".to_owned()))?;
        let (_, [descriptor]) = connection.receive_descriptors(deadline)?;
        let memory = SharedMemory::map(&File::from(descriptor))?;
        let free = Mutex::new(vec![true; memory.slots()]);
        Ok(Granted::Segment(Arc::new(Self { memory, connection, id, path: path.to_owned(), free, releases })))
    }

    /// A slot that nobody uses, marked valid: the DataNode registers no other.
    pub(super) fn allocate(self: &Arc<Self>) -> Option<Slot> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let index = free.iter().position(|free| *free)?;
        word::begin(self.memory.word(index)?);
        free[index] = false;
        drop(free);
        Some(Slot::new(Arc::clone(self), index))
    }

    /// Whether the DataNode still knows of this segment.
    pub(super) fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    /// Gives the segment up: all its slots are void on both sides.
    pub(super) fn close(&self) {
        // Fails only when it is closed already.
        let _ = rustix::net::shutdown(&self.connection, rustix::net::Shutdown::Both);
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn slot_id(&self, index: usize) -> Option<ShortCircuitShmSlotProto> {
        Some(ShortCircuitShmSlotProto { shm_id: self.id, slot_idx: i32::try_from(index).ok()? })
    }

    pub(super) fn word(&self, index: usize) -> Option<&std::sync::atomic::AtomicU64> {
        self.memory.word(index)
    }

    /// The DataNode has taken the slot back.
    pub(super) fn freed(&self, index: usize) {
        if let Some(free) = self.free.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index) {
            *free = true;
        }
    }

    /// Has a slot given back to the DataNode, later, by the thread for it.
    pub(super) fn release(self: &Arc<Self>, index: usize) {
        // Without that thread the slot stays taken until the segment's end.
        let _ = self.releases.send(Release { segment: Arc::clone(self), index });
    }
}
