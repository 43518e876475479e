//! How an attempt stands, for all of the agent to see: what it was granted, how far it has fed that, what its worker told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forebay_protocol::v1::lease_reply::Reply;
use forebay_protocol::{Units, v1};

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
    /// Whether what has left the pipe need not be told from its neighbours any more.
    packs: bool,
    /// The first units granted, as far as they have left the pipe for good and an AM knows where they began.
    fed: Units,
    /// All others, in order.
    units: VecDeque<u64>,
    /// What is to be left out, by place among all of them. Few have something, and none where units are packed away.
    skips: BTreeMap<u64, v1::Skip>,
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
        let have = self.state().granted();
        let ahead = have.saturating_sub(self.stream.begun() as u64);
        v1::LeaseRequest { attempt: Some(attempt), max, have, ahead }
    }

    /// The feed is a stream that would be fed anew from its beginning: of what has left the pipe no more than the units matter.
    pub(crate) fn packs(&self) {
        self.state().packs = true;
    }

    /// An AM has heard of so many begins.
    pub(crate) fn heard(&self, begins: usize) {
        let mut state = self.state();
        if !state.packs {
            return;
        }
        for unit in self.stream.let_go(begins) {
            // Units begin in the order in which they were granted.
            state.units.pop_front();
            state.fed.push(unit);
        }
    }

    /// What an answer grants.
    pub(crate) fn granted(&self, reply: &v1::LeaseReply) {
        let Some(Reply::Leases(leases)) = &reply.reply else { return };
        let mut state = self.state();
        for split in &leases.splits {
            let place = state.granted();
            state.units.push_back(split.unit);
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
        let held = |(place, &unit): (u64, &u64)| v1::Held { unit, skip: state.skips.get(&place).copied() };
        v1::RejoinRequest {
            attempt: Some(attempt),
            pid,
            host,
            fed: state.fed.as_bytes().to_vec(),
            held: (state.fed.len()..).zip(&state.units).map(held).collect(),
            position: Some(self.position(0)),
            progress: Some(progress),
            exited: state.exited,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Units granted so far.
    fn granted(&self) -> u64 {
        self.fed.len() + self.units.len() as u64
    }
}
