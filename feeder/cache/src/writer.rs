//! The thread that writes.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;

use crate::cache::Shared;
use crate::key::{BlockKey, Extent};

/// What is to be changed in the folder.
#[derive(Debug)]
pub(crate) enum Job {
    Store {
        key: BlockKey,
        extent: Extent,
        pieces: Vec<Vec<u8>>,
        tail: Vec<u8>,
    },
    /// It is no good, unless it is another file by now.
    Remove {
        key: BlockKey,
        extent: Extent,
        /// The device and the number of the file.
        of: (u64, u64),
    },
}

/// Hands jobs to the thread, which ends when the last of these is gone.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    jobs: Sender<Job>,
    shared: Arc<Shared>,
}

impl Writer {
    pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let (jobs, taken) = mpsc::channel();
        let own = Arc::clone(shared);
        let run = move || {
            let mut is_first = true;
            for job in taken {
                if std::mem::take(&mut is_first) {
                    own.worked(own.folder.set_right());
                }
                carry_out(&own, job);
                own.is_done();
            }
        };
        thread::Builder::new().name("forebay-cache".into()).spawn(run)?;
        Ok(Self { jobs, shared: Arc::clone(shared) })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn send(&self, job: Job) {
        self.shared.is_to_do();
        if self.jobs.send(job).is_err() {
            // The thread broke off; what it was sent is lost, and its room stays taken.
            self.shared.is_done();
        }
    }
}

fn carry_out(shared: &Shared, job: Job) {
    match job {
        Job::Store { key, extent, pieces, tail } => {
            if shared.is_filling()
                && let Some(stored) = shared.worked(store(shared, &key, extent, &pieces, &tail))
            {
                shared.stored(stored);
            }
            shared.pool.give_back(pieces);
        }
        Job::Remove { key, extent, of } => {
            shared.worked(shared.folder.remove(&key, extent, of));
        }
    }
}

/// Writes an entry: gives its bytes of the block, none if it is there already.
fn store(
    shared: &Shared,
    key: &BlockKey,
    extent: Extent,
    pieces: &[Vec<u8>],
    tail: &[u8],
) -> io::Result<u64> {
    let folder = &shared.folder;
    let (reserved, evicted) = folder.reserve(key, extent, extent.len() + tail.len() as u64, shared.limit)?;
    shared.evicted(evicted);
    let Some(reserved) = reserved else { return Ok(0) };
    let write = || {
        for bytes in pieces.iter().map(Vec::as_slice).chain([tail]) {
            (&reserved.file).write_all(bytes)?;
        }
        folder.publish(&reserved, key, extent)
    };
    match write() {
        Ok(true) => Ok(extent.len()),
        Ok(false) => Ok(0),
        Err(error) => {
            let _ = folder.cancel(&reserved);
            Err(error)
        }
    }
}
