//! What the agents have said of their workers, for people.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::Duration;

use forebay_protocol::v1;
use forebay_scheduler::{Attempt, Granted, WorkerView};

use crate::state::{Figures, WorkerReport};

/// Figures of the job are of so many seconds back.
const WINDOW: Duration = Duration::from_secs(3);
/// So many notes of an attempt are told, and so long ones.
const NOTES: u32 = 100;
const LONGEST_NOTE: usize = 2000;

/// A worker's current or last attempt, as its agent tells of it.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) number: u32,
    /// When it was last heard of.
    pub(crate) heard: Option<Duration>,
    pub(crate) host: String,
    pub(crate) agent_pid: Option<u32>,
    /// The files it was given, where whole files are.
    pub(crate) files: Vec<Granted>,
    /// Splits granted to it of which it has not heard.
    pub(crate) unheard: Vec<v1::Split>,
    progress: v1::Progress,
    notes: u32,
}

/// All workers of this run.
#[derive(Debug, Default)]
pub(crate) struct AllSeen {
    workers: BTreeMap<u32, Seen>,
    /// Bytes given to attempts that are replaced.
    past: u64,
    samples: VecDeque<(Duration, u64)>,
}

impl AllSeen {
    /// A new attempt is started.
    pub(crate) fn start(&mut self, attempt: Attempt) {
        let new = Seen { number: attempt.number, ..Seen::default() };
        if let Some(old) = self.workers.insert(attempt.index, new) {
            self.past += old.bytes();
        }
    }

    /// Where an attempt's container is.
    pub(crate) fn at(&mut self, attempt: Attempt, host: String) {
        if let Some(seen) = self.workers.get_mut(&attempt.index).filter(|seen| seen.number == attempt.number)
        {
            seen.host = host;
        }
    }

    /// Where an attempt runs, if that is known.
    pub(crate) fn host(&self, attempt: Attempt) -> Option<&str> {
        let seen = self.workers.get(&attempt.index).filter(|seen| seen.number == attempt.number)?;
        Some(&*seen.host)
    }
    /// An attempt goes on that another application master has started: what is known of it holds.
    pub(crate) fn goes_on(&mut self, attempt: Attempt) {
        if self.workers.get(&attempt.index).is_none_or(|seen| seen.number != attempt.number) {
            self.start(attempt);
        }
    }


    /// Something came from this attempt's agent. `None`: the attempt is not a worker's last.
    pub(crate) fn hear(&mut self, now: Duration, attempt: Attempt) -> Option<&mut Seen> {
        let seen = self.workers.get_mut(&attempt.index).filter(|seen| seen.number == attempt.number)?;
        seen.heard = Some(now);
        Some(seen)
    }

    /// When this attempt's agent was last heard of.
    pub(crate) fn heard(&self, attempt: Attempt) -> Option<Duration> {
        self.workers.get(&attempt.index).filter(|seen| seen.number == attempt.number)?.heard
    }

    /// Takes note of what is told of a worker. Returns what a person should know now.
    pub(crate) fn progress(&mut self, attempt: Attempt, mut progress: v1::Progress) -> Vec<String> {
        let Some(seen) = self.workers.get_mut(&attempt.index).filter(|seen| seen.number == attempt.number)
        else {
            return Vec::new();
        };
        let mut notes = std::mem::take(&mut progress.notes);
        let left = NOTES.saturating_sub(seen.notes);
        notes.truncate(usize::try_from(left).unwrap_or(0));
        seen.notes += u32::try_from(notes.len()).unwrap_or(0);
        for note in &mut notes {
            truncate(note);
        }
        seen.progress = progress;
        notes
    }

    /// Bytes given to attempts that are some worker's last, and to all.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let bytes = self.workers.values().map(Seen::bytes).sum();
        (bytes, self.past + bytes)
    }

    /// Gigabytes per second, over the last seconds.
    pub(crate) fn rate(&mut self, now: Duration) -> f64 {
        self.samples.push_back((now, self.bytes().1));
        while self.samples.get(1).is_some_and(|&(at, _)| at + WINDOW <= now) {
            self.samples.pop_front();
        }
        match (self.samples.front(), self.samples.back()) {
            (Some(&(from, old)), Some(&(to, new))) if to > from => {
                new.saturating_sub(old) as f64 / 1e9 / to.saturating_sub(from).as_secs_f64()
            }
            _ => 0.0,
        }
    }

    /// A worker, for people.
    pub(crate) fn report(&self, view: WorkerView) -> WorkerReport {
        let nothing = Seen::default();
        let seen = self
            .workers
            .get(&view.attempt.index)
            .filter(|seen| seen.number == view.attempt.number)
            .unwrap_or(&nothing);
        let progress = &seen.progress;
        WorkerReport {
            index: view.attempt.index,
            attempt: view.attempt.number,
            state: view.state,
            activity: progress.activity.clone(),
            restarts: view.restarts,
            max_restarts: view.max_restarts,
            leased: view.leased,
            fed: view.fed,
            done: view.done,
            agent_pid: seen.agent_pid,
            worker_pid: Some(progress.worker_pid).filter(|&pid| pid != 0),
            host: seen.host.clone(),
            progress: progress.fraction,
            status: progress.status.clone(),
            counters: progress
                .counters
                .iter()
                .map(|counter| (counter.group.clone(), counter.name.clone(), counter.value))
                .collect(),
            figures: progress.figures.clone().map(Figures::from).unwrap_or_default(),
            failure: view.failure,
        }
    }
}

impl Seen {
    /// What the agent calls its host. What the cluster calls it counts more.
    pub(crate) fn host_is(&mut self, host: &str) {
        if self.host.is_empty() {
            host.clone_into(&mut self.host);
        }
    }

    fn bytes(&self) -> u64 {
        self.progress.figures.as_ref().map_or(0, |figures| figures.bytes)
    }
}

fn truncate(text: &mut String) {
    if let Some((end, _)) = text.char_indices().find(|&(at, _)| at >= LONGEST_NOTE) {
        text.truncate(end);
        text.push('…');
    }
}
