//! The way in: a block's local replica, from the cache or from the DataNode.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::cache::{Cache, Hit};
use crate::connections::Connections;
use crate::error::Fault;
use crate::replica::Replica;
use crate::request;
use crate::rest::Rests;
use crate::slots::{SlotError, Slots};
use crate::socket::{Connection, Deadline, socket_path};
use crate::{Block, Token};
use crate::{OpenError, Settings};

/// Opens local replicas, for any number of threads. Nothing in it is shared with another `ShortCircuit`.
#[derive(Debug)]
pub struct ShortCircuit {
    settings: Settings,
    cache: Mutex<Cache<Replica>>,
    rests: Mutex<Rests>,
    connections: Arc<Connections<PathBuf>>,
    slots: Slots,
}

impl ShortCircuit {
    /// Nothing is connected before the first [`open`](Self::open).
    pub fn new(settings: Settings) -> Self {
        let cache = Mutex::new(Cache::new(settings.cached.min(affordable())));
        let connections = Arc::default();
        let slots = Slots::new(Arc::clone(&connections));
        Self { settings, cache, rests: Mutex::default(), connections, slots }
    }

    /// The replica of a block that the local DataNode serving on `port` has.
    ///
    /// One that is open already is given again if the generation is the same and the DataNode has not invalidated it. All errors mean
    /// that the block should be read in another way; see [`OpenError::reason`].
    pub fn open(&self, block: &Block, token: &Token, port: u16) -> Result<Arc<Replica>, OpenError> {
        let path = socket_path(&self.settings, port)?;
        if let Some(replica) = self.opened(block, port) {
            return Ok(replica);
        }
        lock(&self.rests).check(port, &path)?;
        match self.ask(block, token, &path) {
            Ok(replica) => {
                lock(&self.rests).succeeded(port);
                let replica = Arc::new(replica);
                let gone = lock(&self.cache).put(port, &replica);
                drop(gone);
                Ok(replica)
            }
            Err(error) => {
                lock(&self.rests).failed(port, &error, &self.settings);
                Err(error)
            }
        }
    }

    /// The replica, if it is open already and may be used. Does not wait for the DataNode.
    pub fn opened(&self, block: &Block, port: u16) -> Option<Arc<Replica>> {
        // The lock is gone before what was found is dropped: closing files may take its time.
        let found = lock(&self.cache).get(port, block);
        if let Hit::Valid(replica) = found { Some(replica) } else { None }
    }

    /// Forgets a block's replica, so that the next [`open`](Self::open) asks the DataNode again: for one that was found corrupt.
    pub fn forget(&self, block: &Block, port: u16) {
        let gone = lock(&self.cache).remove(port, block);
        drop(gone);
    }

    fn ask(&self, block: &Block, token: &Token, path: &Path) -> Result<Replica, OpenError> {
        let deadline = Deadline::after(self.settings.timeout);
        if let Some(connection) = self.connections.take(path) {
            match self.ask_on(connection, (block, token), path, deadline) {
                // The DataNode has closed it as idle in the meantime.
                Err(OpenError::Exchange { source: Fault::Closed, .. }) => {}
                outcome => return outcome,
            }
        }
        // Before the slot: where nobody listens, no slot is used up.
        self.ask_on(Connection::open(path, deadline)?, (block, token), path, deadline)
    }

    fn ask_on(
        &self,
        connection: Connection,
        (block, token): (&Block, &Token),
        path: &Path,
        deadline: Deadline,
    ) -> Result<Replica, OpenError> {
        let slot = if self.settings.slots {
            self.slots.allocate(&self.settings, path, deadline).map_err(|error| match error {
                SlotError::Open(error) => error,
                SlotError::Exchange(source) => OpenError::Exchange {
                    action: "get shared memory",
                    block: block.to_string(),
                    path: path.to_owned(),
                    source,
                },
            })?
        } else {
            None
        };
        let id = slot.as_ref().and_then(crate::slots::Slot::id);
        let files = request::descriptors(&connection, path, (block, token), id, deadline)?;
        self.connections.put(path, connection);
        let slot = slot.map(crate::slots::Slot::registered);
        Ok(Replica::new(block.clone(), files, slot, self.settings.stale_after))
    }
}

impl Drop for ShortCircuit {
    /// Replicas outlive this, and with them the thread that gives their slots back; idle connections need not.
    fn drop(&mut self) {
        self.connections.clear();
    }
}

/// How many replicas may be kept open so that they take no more than a quarter of the descriptors this process may have.
fn affordable() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit / 8).unwrap_or(usize::MAX))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
