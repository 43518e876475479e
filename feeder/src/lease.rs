//! Splits that somebody else deals out: queued here ahead of need, fed in that order.
//!
//! A feed of leases knows neither how many there will be nor whose the others are. It tells where in its
//! stream each begins ([`LeaseObserver`]), so that whoever deals them out can say what a reader has taken and
//! where to go on after its death ([`Skip`]).

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use forebay_split::Span;
use rustix::event::{EventfdFlags, PollFlags, eventfd};
use serde::{Deserialize, Serialize};

use crate::plan::{Place, PlannedFile};
use crate::sink::{Halt, Watch, wait_for};
use crate::source::{Leased, Task};
use crate::{Hdfs, Input, PlanError};

/// A file as it was planned, in a form that can be kept and sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// An absolute path of this machine, or `hdfs://authority/path`.
    pub address: String,
    /// Length in bytes when planned: what is fed, even if the file has grown since.
    pub len: u64,
    /// Bytes per split.
    pub split_size: NonZeroU64,
    /// Device and inode of a local file.
    pub identity: Option<(u64, u64)>,
}

/// Where a split that was fed before goes on, in its own stream of records (with the line ends that are added
/// or rewritten), counted from that stream's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Skip {
    /// At its beginning.
    #[default]
    None,
    /// Behind so many records.
    Records(u64),
    /// Behind so many bytes, or at the beginning of the record that they end in.
    Bytes(u64),
}

/// One split to be fed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What the observer is told.
    pub id: u64,
    /// The file.
    pub file: FileEntry,
    /// The split's first byte.
    pub start: u64,
    /// Behind its last byte.
    pub end: u64,
    /// What to leave out.
    pub skip: Skip,
}

/// A place in a stream, from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StreamPosition {
    /// Bytes.
    pub bytes: u64,
    /// Records, where they are counted; else 0.
    pub records: u64,
}

/// Is told how a feed of leases goes on.
pub trait LeaseObserver {
    /// The first byte of a lease is about to be delivered, or it has none: `at` is where in the feed's stream,
    /// `skipped` what of the lease's own stream was left out. A failure ends the feed.
    fn begin(&mut self, lease: u64, at: StreamPosition, skipped: StreamPosition) -> io::Result<()>;
}

/// Leases waiting to be fed. One feed takes from it; anybody may put into it.
pub struct LeaseQueue {
    state: Mutex<State>,
    /// Is called when the feed finds nothing to take.
    starved: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// Readable when a lease was put in or the queue was closed.
    wake: OwnedFd,
}

#[derive(Debug)]
struct State {
    tasks: VecDeque<Task>,
    is_closed: bool,
    is_starved: bool,
    hdfs: Hdfs,
    /// The file last put in: the next lease is often of the same one, and can share what is known of it.
    last: Option<(FileEntry, Arc<PlannedFile>)>,
}

impl LeaseQueue {
    /// An empty queue, whose files on HDFS are read through `hdfs`.
    pub fn new(hdfs: Hdfs) -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let state = State { tasks: VecDeque::new(), is_closed: false, is_starved: false, hdfs, last: None };
        Ok(Self { state: Mutex::new(state), starved: OnceLock::new(), wake })
    }

    /// Puts a lease in, behind all others.
    pub fn push(&self, lease: Lease) -> Result<(), PlanError> {
        let Lease { id, file, start, end, skip } = lease;
        let mut state = self.state();
        let file = state.planned(file)?;
        let span = Span { file: 0, start, end, ordinal: id, splits: 1 };
        state.is_starved = false;
        state.tasks.push_back(Task { file, span, lease: Some(Leased { id, skip }) });
        self.ring();
        Ok(())
    }

    /// There will be no more: the feed ends with the last one.
    pub fn close(&self) {
        self.state().is_closed = true;
        self.ring();
    }

    /// Leases waiting, without the one being fed.
    pub fn len(&self) -> usize {
        self.state().tasks.len()
    }

    /// Whether none is waiting.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the feed has handed over all that was put in, and waits for more.
    pub fn is_starved(&self) -> bool {
        self.state().is_starved
    }

    /// Has `tell` called, by the feed's thread, whenever the queue becomes starved. Can be set once.
    pub fn when_starved(&self, tell: impl Fn() + Send + Sync + 'static) {
        let _ = self.starved.set(Box::new(tell));
    }

    pub(crate) fn pop(&self, watch: &Watch) -> Result<Option<Task>, Halt> {
        loop {
            let newly_starved = {
                let mut state = self.state();
                if let Some(task) = state.tasks.pop_front() {
                    return Ok(Some(task));
                }
                if state.is_closed {
                    return Ok(None);
                }
                !std::mem::replace(&mut state.is_starved, true)
            };
            if let Some(tell) = self.starved.get().filter(|_| newly_starved) {
                tell();
            }
            wait_for(watch, &self.wake, PollFlags::IN, None)?;
            let _ = rustix::io::read(&self.wake, &mut [0; 8]);
        }
    }

    pub(crate) fn pop_if(&self, wanted: impl Fn(&PlannedFile) -> bool) -> Option<Task> {
        self.state().tasks.pop_front_if(|task| wanted(&task.file))
    }

    fn ring(&self) {
        // Fails only when the counter is full, and then it is readable.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for LeaseQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeaseQueue").field("state", &self.state).finish_non_exhaustive()
    }
}

impl State {
    fn planned(&mut self, entry: FileEntry) -> Result<Arc<PlannedFile>, PlanError> {
        if let Some((last, file)) = &self.last
            && *last == entry
        {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(entry.planned(&mut self.hdfs)?);
        self.last = Some((entry, Arc::clone(&file)));
        Ok(file)
    }
}

impl FileEntry {
    pub(crate) fn of(file: &PlannedFile) -> Result<Self, PlanError> {
        let address = match &file.place {
            Place::Hdfs(..) => file.name(),
            Place::Local(path) => {
                let failed = |source| PlanError::Local { action: "find", path: path.clone(), source };
                let absolute = std::path::absolute(path).map_err(failed)?;
                let not_utf8 = |path: OsString| PlanError::NameNotUtf8 { path: PathBuf::from(path) };
                absolute.into_os_string().into_string().map_err(not_utf8)?
            }
        };
        Ok(Self { address, len: file.len, split_size: file.split_size, identity: file.identity })
    }

    pub(crate) fn planned(&self, hdfs: &mut Hdfs) -> Result<PlannedFile, PlanError> {
        let place = match Input::parse(OsStr::new(&self.address))? {
            Input::Local(_) => Place::Local(PathBuf::from(&self.address)),
            Input::Hdfs { authority, path } => Place::Hdfs(hdfs.cluster(authority.as_deref())?, path),
        };
        Ok(PlannedFile { place, len: self.len, split_size: self.split_size, identity: self.identity })
    }
}
