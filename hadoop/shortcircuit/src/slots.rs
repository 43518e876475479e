//! Slots: how a DataNode tells its client that a replica is not to be used any more, and how the client tells it that pages
//! locked in memory are in use.
//!
//! A DataNode gives out segments of shared memory, one connection each. A replica gets one slot of a segment. The DataNode
//! clears the slot's valid flag when the block is deleted or replaced; when the DataNode dies, the segment's connection ends, and
//! that voids all its slots.

mod memory;
mod release;
mod segment;
mod word;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use release::Release;
use segment::{Granted, Segment};

use crate::connections::Connections;
use crate::error::Fault;
use crate::socket::{Connection, Deadline};
use crate::wire::ShortCircuitShmSlotProto;
use crate::{OpenError, Settings};

/// One replica's slot. Dropping it gives it back to the DataNode.
#[derive(Debug)]
pub(crate) struct Slot {
    segment: Arc<Segment>,
    index: usize,
    registered: bool,
}

impl Slot {
    fn new(segment: Arc<Segment>, index: usize) -> Self {
        Self { segment, index, registered: false }
    }

    /// How the DataNode calls it.
    pub(crate) fn id(&self) -> Option<ShortCircuitShmSlotProto> {
        self.segment.slot_id(self.index)
    }

    /// The DataNode has tied the slot to a replica. Only such a slot is given back when it is dropped; any other is not used
    /// again, as nobody knows whether the DataNode has tied it.
    pub(crate) fn registered(mut self) -> Self {
        self.registered = true;
        self
    }

    /// Whether the replica may still be used. Costs a load and one system call.
    pub(crate) fn is_valid(&self) -> bool {
        // In this order: a flag that was set while the connection was there was set by a DataNode that meant it.
        self.segment.word(self.index).is_some_and(word::is_valid) && self.segment.is_open()
    }

    pub(crate) fn anchor(&self) -> bool {
        self.segment.is_open() && self.segment.word(self.index).is_some_and(word::anchor)
    }

    pub(crate) fn unanchor(&self) {
        self.segment.word(self.index).map(word::unanchor);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.registered {
            self.segment.release(self.index);
        }
    }
}

/// The segments of all DataNodes.
#[derive(Debug)]
pub(crate) struct Slots {
    connections: Arc<Connections<PathBuf>>,
    endpoints: Mutex<HashMap<PathBuf, Arc<Mutex<Endpoint>>>>,
    releases: Mutex<Option<Sender<Release>>>,
}

/// One DataNode's.
#[derive(Debug, Default)]
struct Endpoint {
    segments: Vec<Arc<Segment>>,
    /// The DataNode has no segments to give; it is not asked again before then.
    none_until: Option<Instant>,
}

impl Slots {
    /// Slots go back over these connections.
    pub(crate) fn new(connections: Arc<Connections<PathBuf>>) -> Self {
        Self { connections, endpoints: Mutex::default(), releases: Mutex::default() }
    }

    /// A slot that the DataNode does not know of yet; `None` when it gives none. Threads that want one of the same DataNode wait for
    /// each other, so that one segment is asked for and not many.
    pub(crate) fn allocate(
        &self,
        settings: &Settings,
        path: &Path,
        deadline: Deadline,
    ) -> Result<Option<Slot>, SlotError> {
        let endpoint = Arc::clone(
            self.endpoints.lock().unwrap_or_else(PoisonError::into_inner).entry(path.to_owned()).or_default(),
        );
        let mut endpoint = endpoint.lock().unwrap_or_else(PoisonError::into_inner);
        if endpoint.none_until.is_some_and(|until| Instant::now() < until) {
            return Ok(None);
        }
        endpoint.segments.retain(|segment| segment.is_open());
        if let Some(slot) = endpoint.segments.iter().find_map(Segment::allocate) {
            return Ok(Some(slot));
        }
        let releases = self.releases(settings)?;
        let connection = Connection::open(path, deadline)?;
        match Segment::request(connection, path, &settings.client_name, releases, deadline)? {
            Granted::Segment(segment) => {
                let slot = segment.allocate();
                endpoint.segments.push(segment);
                Ok(slot)
            }
            Granted::No(message) => {
                tracing::debug!(socket = %path.display(), message, "the DataNode gives no shared memory");
                endpoint.none_until = Some(Instant::now() + settings.rest_after_unsupported);
                Ok(None)
            }
        }
    }

    fn releases(&self, settings: &Settings) -> Result<Sender<Release>, OpenError> {
        let mut releases = self.releases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*releases {
            return Ok(sender.clone());
        }
        let sender = release::start(settings.timeout, Arc::clone(&self.connections))
            .map_err(|source| OpenError::Thread { source })?;
        Ok(releases.insert(sender).clone())
    }
}

/// Why there is no slot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SlotError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Exchange(#[from] Fault),
}
