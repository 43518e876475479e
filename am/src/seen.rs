//! What the agents have said of their workers, for people.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use forebay_protocol::v1;
use forebay_scheduler::{Attempt, Granted, WorkerState, WorkerView};

use crate::state::{Figures, JobState, WorkerReport};

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
    progress: v1::Progress,
    notes: u32,
}

/// All workers of this run.
#[derive(Debug, Default)]
pub(crate) struct AllSeen {
    workers: BTreeMap<u32, Seen>,
    /// The workers of each host, by their last attempts.
    hosts: BTreeMap<String, BTreeSet<u32>>,
    /// Bytes given to attempts that are replaced.
    past: u64,
    samples: VecDeque<(Duration, u64)>,
}

impl AllSeen {
    /// All that an earlier application master has seen.
    pub(crate) fn of(state: &JobState) -> Self {
        let mut all = Self::default();
        for worker in &state.workers {
            all.workers.insert(worker.index, Seen::of(worker));
            all.is_at(worker.index, worker.host.clone());
        }
        all.past = state.bytes_moved.saturating_sub(all.bytes().0);
        all
    }

    /// A new attempt is started.
    pub(crate) fn start(&mut self, attempt: Attempt) {
        self.is_at(attempt.index, String::new());
        let new = Seen { number: attempt.number, ..Seen::default() };
        if let Some(old) = self.workers.insert(attempt.index, new) {
            self.past += old.bytes();
        }
    }

    /// An attempt goes on that another application master has started: what is known of it holds.
    pub(crate) fn goes_on(&mut self, attempt: Attempt) {
        if self.workers.get(&attempt.index).is_none_or(|seen| seen.number != attempt.number) {
            self.start(attempt);
        }
    }

    /// Where an attempt's container is.
    pub(crate) fn at(&mut self, attempt: Attempt, host: String) {
        if self.workers.get(&attempt.index).is_some_and(|seen| seen.number == attempt.number) {
            self.is_at(attempt.index, host);
        }
    }

    /// What the agent calls its host. What the cluster calls it counts more.
    pub(crate) fn says_at(&mut self, attempt: Attempt, host: &str) {
        if self.host(attempt) == Some("") {
            self.is_at(attempt.index, host.to_owned());
        }
    }

    fn is_at(&mut self, index: u32, host: String) {
        let Some(seen) = self.workers.get_mut(&index) else { return };
        if let Some(beside) = self.hosts.get_mut(&seen.host) {
            beside.remove(&index);
        }
        if !host.is_empty() {
            self.hosts.entry(host.clone()).or_default().insert(index);
        }
        seen.host = host;
    }

    /// How many workers before this one have their last attempt on the same host.
    pub(crate) fn before(&self, attempt: Attempt) -> usize {
        let host = self.host(attempt).and_then(|host| self.hosts.get(host));
        host.map_or(0, |workers| workers.range(..attempt.index).count())
    }

    /// Where an attempt runs, if that is known.
    pub(crate) fn host(&self, attempt: Attempt) -> Option<&str> {
        let seen = self.workers.get(&attempt.index).filter(|seen| seen.number == attempt.number)?;
        Some(&*seen.host)
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

    /// Of what attempts were given that are some worker's last, the bytes as they are stored.
    pub(crate) fn bytes_stored(&self) -> u64 {
        let figures = self.workers.values().filter_map(|seen| seen.progress.figures.as_ref());
        figures.map(|figures| figures.stored_bytes).sum()
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
            activity: match view.state {
                // It was said before that.
                WorkerState::Done | WorkerState::Over => String::new(),
                _ => progress.activity.clone(),
            },
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
    fn of(worker: &WorkerReport) -> Self {
        let counters = worker.counters.iter().cloned();
        let progress = v1::Progress {
            fraction: worker.progress,
            status: worker.status.clone(),
            counters: counters.map(|(group, name, value)| v1::Counter { group, name, value }).collect(),
            figures: Some(worker.figures.clone().into()),
            activity: worker.activity.clone(),
            worker_pid: worker.worker_pid.unwrap_or_default(),
            ..v1::Progress::default()
        };
        Self { number: worker.attempt, agent_pid: worker.agent_pid, progress, ..Self::default() }
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

#[cfg(test)]
mod tests {
    use super::*;

    const fn attempt(index: u32, number: u32) -> Attempt {
        Attempt { index, number }
    }

    fn fed(bytes: u64) -> v1::Progress {
        let figures = Some(v1::Figures { bytes, ..v1::Figures::default() });
        v1::Progress { figures, activity: "staging".into(), worker_pid: 7, ..v1::Progress::default() }
    }

    fn view(attempt: Attempt, state: WorkerState) -> WorkerView {
        WorkerView {
            attempt,
            state,
            restarts: 0,
            free_restarts: 0,
            memory_steps: 0,
            max_restarts: 3,
            leased: 0,
            fed: 0,
            done: 0,
            end_of_input: true,
            ack: None,
            failure: None,
        }
    }

    /// What the application master that has seen this writes down.
    fn state(all: &AllSeen, workers: &[(Attempt, WorkerState)]) -> JobState {
        let mut state: JobState = serde_json::from_value(serde_json::json!({
            "version": 1, "job": "j", "name": "n", "folder": "/j", "pid": 1, "started": "", "updated": "",
            "seconds": 1.0, "phase": "running", "verdict": null, "input_mode": "stream", "worker_memory": null,
            "worker_cores": null, "files": 1, "bytes_planned": 100, "epochs": 1,
            "units": { "total": 1, "waiting": 0, "leased": 0, "fed": 0, "done": 1 }, "bytes": 0, "bytes_moved": 0,
            "gb_per_s": 0.0, "workers": [], "done_before": [], "fed_again": 0, "fed_again_first": [],
            "partly_read": 0, "partly_read_first": [], "outputs": [],
        }))
        .unwrap();
        (state.bytes, state.bytes_moved) = all.bytes();
        state.workers = workers.iter().map(|&(attempt, state)| all.report(view(attempt, state))).collect();
        state
    }

    #[test]
    fn what_an_earlier_application_master_has_seen_is_not_lost() {
        let (done, runs) = (attempt(0, 2), attempt(1, 1));
        let mut all = AllSeen::default();
        all.start(attempt(0, 1));
        all.progress(attempt(0, 1), fed(5));
        for (attempt, host, bytes) in [(done, "a", 40), (runs, "b", 20)] {
            all.start(attempt);
            all.at(attempt, host.into());
            all.progress(attempt, fed(bytes));
        }
        let workers = [(done, WorkerState::Done), (runs, WorkerState::Running)];
        let mut next = AllSeen::of(&state(&all, &workers));
        assert_eq!(next.bytes(), (60, 65));
        for attempt in [done, runs] {
            next.goes_on(attempt);
        }
        next.progress(runs, fed(30));
        assert_eq!(next.bytes(), (70, 75));
        let report = next.report(view(done, WorkerState::Done));
        assert_eq!((report.host.as_str(), report.figures.bytes, report.worker_pid), ("a", 40, Some(7)));
        // Another one has begun of which nothing was written down.
        next.goes_on(attempt(1, 2));
        assert_eq!((next.bytes(), next.host(attempt(1, 2))), ((40, 75), Some("")));
    }

    #[test]
    fn what_a_worker_that_is_done_did_last_is_not_what_it_does() {
        let mut all = AllSeen::default();
        all.start(attempt(0, 1));
        all.progress(attempt(0, 1), fed(1));
        let activity = |state| all.report(view(attempt(0, 1), state)).activity;
        assert_eq!([WorkerState::Staging, WorkerState::Done].map(activity), ["staging", ""]);
    }

    #[test]
    fn workers_beside_each_other_are_counted_by_their_last_attempts() {
        let mut all = AllSeen::default();
        let before = |all: &AllSeen| [0, 1, 2].map(|index| all.before(attempt(index, 1)));
        for (index, host) in [(0, "a"), (1, "b"), (2, "a")] {
            all.start(attempt(index, 1));
            all.says_at(attempt(index, 1), host);
        }
        assert_eq!(before(&all), [0, 0, 1]);
        // What the cluster says counts more.
        all.at(attempt(1, 1), "a".into());
        all.says_at(attempt(1, 1), "b");
        assert_eq!(before(&all), [0, 1, 2]);
        // The first is started again, and is nowhere yet.
        all.start(attempt(0, 2));
        assert_eq!(before(&all), [0, 0, 1]);
    }
}
