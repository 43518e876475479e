//! How an attempt stands, for all of the agent to see: what it was granted, how far it has fed that, what its worker told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forebay_protocol::v1;
use forebay_protocol::v1::lease_reply::Reply;

use crate::stream::Stream;
use crate::told::Told;
use crate::usage::Usage;

/// Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    pub(crate) stream: Stream,
    pub(crate) told: Told,
    /// What the container's processes use, where that is measured.
    pub(crate) usage: Usage,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    registered: bool,
    /// All units granted, in order.
    units: Vec<u64>,
    /// What is to be left out, by place among the units. Few have something.
    skips: BTreeMap<usize, v1::Skip>,
    exited: Option<i32>,
    worker_is_gone: bool,
}

impl Standing {
    /// The AM knows of this attempt, and has given it these files.
    pub(crate) fn registered(&self, files: impl IntoIterator<Item = u64>) {
        let mut state = self.state();
        state.registered = true;
        state.units = files.into_iter().collect();
    }

    /// Whether an AM knows of this attempt.
    pub(crate) fn has_registered(&self) -> bool {
        self.state().registered
    }

    /// A question for up to `max` splits more.
    pub(crate) fn wants(&self, attempt: v1::Attempt, max: u32) -> v1::LeaseRequest {
        let have = self.state().units.len();
        let ahead = have.saturating_sub(self.stream.begun());
        v1::LeaseRequest { attempt: Some(attempt), max, have: have as u64, ahead: ahead as u64 }
    }

    /// What an answer grants.
    pub(crate) fn granted(&self, reply: &v1::LeaseReply) {
        let Some(Reply::Leases(leases)) = &reply.reply else { return };
        let mut state = self.state();
        for split in &leases.splits {
            let place = state.units.len();
            state.units.push(split.unit);
            if let Some(skip) = split.skip {
                state.skips.insert(place, skip);
            }
        }
    }

    /// The worker has ended with this status.
    pub(crate) fn exited(&self, status: i32) {
        self.state().exited = Some(status);
    }

    /// The worker has ended, or none will run: nobody writes to its logs any more.
    pub(crate) fn worker_is_gone(&self) {
        self.state().worker_is_gone = true;
    }

    /// Whether nobody writes to the worker's logs any more.
    pub(crate) fn is_worker_gone(&self) -> bool {
        self.state().worker_is_gone
    }

    /// The position, with the units begun from the `from`th on.
    pub(crate) fn position(&self, from: usize) -> v1::Position {
        self.stream.position(from, self.told.ack())
    }

    /// What people see.
    pub(crate) fn progress(&self) -> v1::Progress {
        let mut progress = self.told.progress(self.stream.figures());
        self.usage.put_into(&mut progress);
        progress
    }

    /// What another AM is told first. Notes are not in it: they are told by heartbeats, each once.
    pub(crate) fn rejoin(&self, attempt: v1::Attempt, pid: u32, host: String) -> v1::RejoinRequest {
        let progress = v1::Progress { notes: Vec::new(), ..self.progress() };
        let state = self.state();
        let held = |(place, &unit)| v1::Held { unit, skip: state.skips.get(&place).copied() };
        v1::RejoinRequest {
            attempt: Some(attempt),
            pid,
            host,
            held: state.units.iter().enumerate().map(held).collect(),
            position: Some(self.position(0)),
            progress: Some(progress),
            exited: state.exited,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
