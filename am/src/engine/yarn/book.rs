//! The containers of a job: what is wanted, given, started and ended. Decides, and does nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use forebay_scheduler::{Attempt, ClusterEnd, End};
use tokio::time::Instant;

use super::asks::{Asks, Unsent, Want};
use super::blacklist::{Blacklist, Sign};
use super::ends;

/// From asking an agent to end, over the protocol, until its container is stopped: it gives its worker time to end.
const BEFORE_STOPPING: Duration = Duration::from_secs(25);
/// From stopping a container at its NodeManager until it is given back, and stopped once more.
const BEFORE_RELEASING: Duration = Duration::from_secs(5);
/// A worker that fails so soon may have its node to blame.
const QUICK: Duration = Duration::from_secs(10);
/// One that ran so long proves that its node is good.
const LONG: Duration = Duration::from_mins(1);

/// What has happened to containers, and what the driver is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Do<Id> {
    /// Start an attempt's agent in a container.
    Launch(Id, Attempt),
    /// Stop a container at its NodeManager.
    Stop(Id),
    /// A container's process runs.
    Launched(Attempt, String),
    /// An attempt's container is gone, or will never be.
    Gone(Attempt, End),
    /// This host is left out from now on.
    LeftOut(String),
}

#[derive(Debug)]
struct Held {
    attempt: Attempt,
    host: String,
    stage: Stage,
    /// It is to end: when to do more about it.
    due: Option<Instant>,
    /// How often it was stopped.
    stopped: u32,
    /// It will soon end by itself.
    leaves: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Launching,
    Running {
        since: Instant,
    },
    /// An earlier application master had started it, nobody knows when.
    Adopted {
        since: Instant,
    },
}

/// All containers.
#[derive(Debug)]
pub(crate) struct Book<Id> {
    pub(crate) asks: Asks,
    held: BTreeMap<Id, Held>,
    /// How containers ended before it was known whose they are; `None`: whoever is not held is nobody's.
    early: Option<BTreeMap<Id, (i32, String)>>,
    /// Containers of earlier application masters of which nobody has said yet what is to become of them; `None`: nobody will.
    found: Option<BTreeSet<Id>>,
    /// Given back; `true`: the ResourceManager has heard of it.
    released: BTreeMap<Id, bool>,
    blacklist: Blacklist,
    /// Hosts left out of which the ResourceManager has not heard.
    left_out: BTreeSet<String>,
    out: VecDeque<Do<Id>>,
}

impl<Id: Ord + Clone> Book<Id> {
    pub(crate) fn new() -> Self {
        Self {
            asks: Asks::default(),
            held: BTreeMap::new(),
            early: Some(BTreeMap::new()),
            found: Some(BTreeSet::new()),
            released: BTreeMap::new(),
            blacklist: Blacklist::default(),
            left_out: BTreeSet::new(),
            out: VecDeque::new(),
        }
    }

    /// What is to be done next.
    pub(crate) fn next(&mut self) -> Option<Do<Id>> {
        self.out.pop_front()
    }

    /// A container is wanted for an attempt.
    pub(crate) fn start(&mut self, attempt: Attempt, want: Want) {
        self.asks.want(attempt, want);
    }

    /// A container of an earlier application master goes on; or it has ended since that one was replaced.
    pub(crate) fn adopt(&mut self, id: Id, attempt: Attempt, host: String, now: Instant) {
        let early = self.early.as_mut().and_then(|early| early.remove(&id));
        if let Some((exit, diagnostics)) = early {
            // No sign of its node's: when it was started is not known.
            self.out.push_back(Do::Gone(attempt, ends::end(exit, &diagnostics)));
            return;
        }
        let stage = Stage::Adopted { since: now };
        self.held.insert(id, Held { attempt, host, stage, due: None, stopped: 0, leaves: false });
    }

    /// The ResourceManager tells of a container that an earlier application master had: with the registration, or later, when its
    /// node has come back. Says whether somebody is to say what becomes of it; else it is known, or too late and given back.
    pub(crate) fn found(&mut self, id: &Id) -> bool {
        if self.knows(id) {
            return false;
        }
        if let Some(found) = &mut self.found {
            return found.insert(id.clone());
        }
        self.release(id.clone());
        false
    }

    /// All containers that go on are adopted.
    pub(crate) fn begin(&mut self) {
        self.early = None;
        for id in self.found.take().unwrap_or_default() {
            if !self.knows(&id) {
                self.release(id);
            }
        }
    }

    fn knows(&self, id: &Id) -> bool {
        self.held.contains_key(id) || self.released.contains_key(id)
    }

    /// A container is not wanted.
    pub(crate) fn release(&mut self, id: Id) {
        self.released.insert(id, false);
    }

    /// The ResourceManager refuses what it was asked for, all of it.
    pub(crate) fn refused(&mut self, asked: &Unsent, why: &str) {
        for attempt in self.asks.refused(asked) {
            self.out.push_back(Do::Gone(attempt, ends::not_started(why)));
        }
    }

    /// An attempt is to end. Who lives hears of it by itself, and gets time; who `hangs` does not.
    pub(crate) fn end(&mut self, attempt: Attempt, hangs: bool, now: Instant) {
        if self.asks.drop(attempt) {
            let why = "it is not wanted any more".to_owned();
            self.out.push_back(Do::Gone(attempt, End::Cluster { what: ClusterEnd::Released, why }));
        }
        for held in self.held.values_mut().filter(|held| held.attempt == attempt) {
            if hangs {
                held.due = Some(held.due.map_or(now, |due| due.min(now)));
            } else {
                held.due.get_or_insert(now + BEFORE_STOPPING);
            }
        }
        self.press(now);
    }

    /// An attempt's container will soon end by itself.
    pub(crate) fn leaves(&mut self, attempt: Attempt) {
        for held in self.held.values_mut().filter(|held| held.attempt == attempt) {
            held.leaves = true;
        }
    }

    /// How many containers are given and not gone.
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Everything is to end at once.
    pub(crate) fn end_all(&mut self, now: Instant) {
        let attempts: Vec<_> = self.held.values().map(|held| held.attempt).collect();
        for attempt in attempts {
            self.end(attempt, true, now);
        }
    }

    /// The ResourceManager gives a container, by an allocation request of this attempt.
    pub(crate) fn given(&mut self, id: Id, attempt: Option<Attempt>, host: String) {
        let Some(attempt) = attempt.filter(|&attempt| self.asks.drop(attempt)) else {
            self.release(id);
            return;
        };
        self.out.push_back(Do::Launch(id.clone(), attempt));
        let stage = Stage::Launching;
        self.held.insert(id, Held { attempt, host, stage, due: None, stopped: 0, leaves: false });
    }

    /// A launch has come to this. `nodes`: how many there are.
    pub(crate) fn launched(&mut self, id: &Id, launched: Result<(), String>, nodes: usize, now: Instant) {
        let Some(held) = self.held.get_mut(id) else { return };
        match launched {
            Ok(()) => {
                held.stage = Stage::Running { since: now };
                self.out.push_back(Do::Launched(held.attempt, held.host.clone()));
                self.press(now);
            }
            Err(why) => {
                let Some(held) = self.held.remove(id) else { return };
                // It may run all the same: a lost answer.
                self.release(id.clone());
                self.sign(&held.host, Sign::Own, nodes);
                let how = ends::not_started(&format!("on {}: {why}", held.host));
                self.out.push_back(Do::Gone(held.attempt, how));
            }
        }
    }

    /// The ResourceManager says that a container is complete.
    pub(crate) fn completed(&mut self, id: &Id, exit: i32, diagnostics: &str, nodes: usize, now: Instant) {
        self.released.remove(id);
        if let Some(found) = &mut self.found {
            found.remove(id);
        }
        let Some(held) = self.held.remove(id) else {
            if let Some(early) = &mut self.early {
                early.insert(id.clone(), (exit, diagnostics.to_owned()));
            }
            return;
        };
        let how = ends::end(exit, diagnostics);
        let lived = match held.stage {
            Stage::Running { since } | Stage::Adopted { since } => now.saturating_duration_since(since),
            Stage::Launching => Duration::ZERO,
        };
        let is_ours = !matches!(held.stage, Stage::Adopted { .. });
        let sign = match &how {
            End::Cluster { what: ClusterEnd::NotStarted | ClusterEnd::DisksFailed, .. } => Some(Sign::Own),
            End::Exit(0) => Some(Sign::Good),
            _ if lived >= LONG => Some(Sign::Good),
            End::Exit(_) | End::Signal(_) if is_ours && lived < QUICK && held.due.is_none() => {
                Some(Sign::Quick(held.attempt.index))
            }
            _ => None,
        };
        if let Some(sign) = sign {
            self.sign(&held.host, sign, nodes);
        }
        self.out.push_back(Do::Gone(held.attempt, how));
    }

    fn sign(&mut self, host: &str, sign: Sign, nodes: usize) {
        if self.blacklist.note(host, sign, nodes) {
            self.left_out.insert(host.to_owned());
            self.out.push_back(Do::LeftOut(host.to_owned()));
        }
    }

    /// Does more about containers that do not end.
    pub(crate) fn press(&mut self, now: Instant) {
        let mut late = Vec::new();
        for (id, held) in &mut self.held {
            // Stopped before it has started, it would be started after that.
            if held.stage == Stage::Launching || held.due.is_none_or(|due| due > now) {
                continue;
            }
            held.due = Some(now + BEFORE_RELEASING);
            held.stopped += 1;
            self.out.push_back(Do::Stop(id.clone()));
            if held.stopped > 1 {
                late.push(id.clone());
            }
        }
        for id in late {
            self.released.entry(id).or_insert(false);
        }
    }

    /// When to [`press`](Self::press).
    pub(crate) fn due(&self) -> Option<Instant> {
        let waiting = self.held.values().filter(|held| held.stage != Stage::Launching);
        waiting.filter_map(|held| held.due).min()
    }

    /// Whether something is expected from the ResourceManager soon.
    pub(crate) fn is_busy(&self) -> bool {
        self.asks.len() > 0
            || self
                .held
                .values()
                .any(|held| held.due.is_some() || held.leaves || held.stage == Stage::Launching)
            || self.released.values().any(|told| !told)
    }

    /// What the ResourceManager has not heard of: containers to be given back, hosts to be left out.
    pub(crate) fn unsaid(&self) -> (Vec<Id>, Vec<String>) {
        let released = self.released.iter().filter(|(_, told)| !**told).map(|(id, _)| id.clone());
        (released.collect(), self.left_out.iter().cloned().collect())
    }

    /// It has heard of these, and of the rows.
    pub(crate) fn said(&mut self, asks: &Unsent, released: &[Id], left_out: &[String]) {
        for id in released {
            if let Some(told) = self.released.get_mut(id) {
                *told = true;
            }
        }
        for host in left_out {
            self.left_out.remove(host);
        }
        self.asks.has(asks);
    }

    /// The ResourceManager was restarted: it is told everything again.
    pub(crate) fn forgotten(&mut self) {
        self.asks.forgotten();
        for told in self.released.values_mut() {
            *told = false;
        }
        self.left_out.extend(self.blacklist.left_out().map(str::to_owned));
    }
}

#[cfg(test)]
mod tests {
    use forebay_hadoop::yarn::Resource;

    use super::*;

    const A: Attempt = Attempt { index: 0, number: 1 };
    const NODES: usize = 6;

    fn want() -> Want {
        Want { size: Resource::new(1, 1), hosts: Vec::new(), racks: Vec::new(), label: None }
    }

    fn book() -> Book<u32> {
        let mut book = Book::new();
        book.start(A, want());
        book
    }

    fn all(book: &mut Book<u32>) -> Vec<Do<u32>> {
        std::iter::from_fn(|| book.next()).collect()
    }

    fn running(now: Instant) -> Book<u32> {
        let mut book = book();
        book.given(7, Some(A), "h".into());
        assert_eq!(all(&mut book), [Do::Launch(7, A)]);
        book.launched(&7, Ok(()), NODES, now);
        assert_eq!(all(&mut book), [Do::Launched(A, "h".into())]);
        book
    }

    #[test]
    fn a_container_is_started_once_and_what_comes_beside_it_goes_back() {
        let now = Instant::now();
        let mut book = book();
        assert!(book.is_busy());
        book.given(7, Some(A), "h".into());
        book.given(8, Some(A), "h".into());
        book.given(9, None, "h".into());
        assert_eq!(all(&mut book), [Do::Launch(7, A)]);
        assert_eq!(book.unsaid().0, [8, 9]);
        book.said(&Unsent::default(), &[8, 9], &[]);
        assert!(book.unsaid().0.is_empty());
        book.launched(&7, Ok(()), NODES, now);
        book.completed(&7, 0, "", NODES, now);
        assert_eq!(all(&mut book), [Do::Launched(A, "h".into()), Do::Gone(A, End::Exit(0))]);
        // Told twice.
        book.completed(&7, 0, "", NODES, now);
        assert_eq!(all(&mut book), []);
        assert!(!book.is_busy());
    }

    #[test]
    fn a_container_that_ends_before_it_is_adopted_is_gone() {
        let now = Instant::now();
        let mut book = Book::new();
        book.completed(&7, 3, "", NODES, now);
        book.adopt(7, A, "h".into(), now);
        book.adopt(8, Attempt { index: 1, number: 1 }, "h".into(), now);
        assert_eq!(all(&mut book), [Do::Gone(A, End::Exit(3))]);
        book.begin();
        book.completed(&9, 0, "", NODES, now);
        assert_eq!((book.len(), all(&mut book)), (1, vec![]));
        assert_eq!(book.early, None);
    }

    #[test]
    fn an_attempt_that_was_only_asked_for_is_not_asked_for_any_more() {
        let mut book = book();
        book.end(A, false, Instant::now());
        assert!(matches!(all(&mut book)[..], [Do::Gone(A, End::Cluster { what: ClusterEnd::Released, .. })]));
        book.given(7, Some(A), "h".into());
        assert_eq!(all(&mut book), []);
        assert_eq!(book.unsaid().0, [7]);
    }

    #[test]
    fn who_does_not_end_is_stopped_and_then_given_back() {
        let now = Instant::now();
        let mut book = running(now);
        book.end(A, false, now);
        assert_eq!(all(&mut book), []);
        let due = book.due().unwrap();
        assert_eq!(due, now + BEFORE_STOPPING);
        book.press(due);
        assert_eq!(all(&mut book), [Do::Stop(7)]);
        assert!(book.unsaid().0.is_empty());
        let due = book.due().unwrap();
        book.press(due);
        assert_eq!(all(&mut book), [Do::Stop(7)]);
        assert_eq!(book.unsaid().0, [7]);
    }

    #[test]
    fn who_hangs_is_stopped_at_once_but_not_before_its_start_is_over() {
        let now = Instant::now();
        let mut book = book();
        book.given(7, Some(A), "h".into());
        book.end(A, true, now);
        assert_eq!(all(&mut book), [Do::Launch(7, A)]);
        assert_eq!(book.due(), None);
        book.launched(&7, Ok(()), NODES, now);
        assert_eq!(all(&mut book), [Do::Launched(A, "h".into()), Do::Stop(7)]);
    }

    #[test]
    fn a_start_that_failed_is_told_with_its_reason_and_counts_against_the_node() {
        let now = Instant::now();
        let mut book = book();
        book.given(7, Some(A), "h".into());
        book.launched(&7, Err("no disk".into()), NODES, now);
        let done = all(&mut book);
        let [Do::Launch(..), Do::Gone(A, how)] = &done[..] else { panic!("{done:?}") };
        assert!(how.to_string().contains("no disk"), "{how}");
        assert_eq!(book.unsaid().0, [7]);
        book.start(A, want());
        book.given(8, Some(A), "h".into());
        book.completed(&8, -1000, "changed", NODES, now);
        assert!(all(&mut book).contains(&Do::LeftOut("h".into())));
        assert_eq!(book.unsaid().1, ["h"]);
        book.said(&Unsent::default(), &[], &["h".into()]);
        assert_eq!(book.unsaid().1, [""; 0]);
        // A restarted ResourceManager hears of all of it again.
        book.forgotten();
        assert_eq!(book.unsaid(), (vec![7], vec!["h".to_owned()]));
    }

    #[test]
    fn a_refusal_ends_what_is_refused() {
        let mut book = book();
        let unsent = book.asks.unsent();
        book.refused(&unsent, "too much");
        let done = all(&mut book);
        let [Do::Gone(A, how)] = &done[..] else { panic!("{done:?}") };
        assert!(how.to_string().contains("too much"), "{how}");
        assert!(book.asks.unsent().rows.is_empty());
    }

    #[test]
    fn containers_found_late_are_adopted_in_time_or_given_back() {
        let now = Instant::now();
        let mut book: Book<u32> = Book::new();
        assert!(book.found(&1) && book.found(&2) && book.found(&3) && book.found(&4));
        assert!(!book.found(&1), "it is told of again");
        book.completed(&4, 0, "", NODES, now);
        book.adopt(1, A, "h".into(), now);
        book.release(2);
        book.begin();
        assert_eq!(book.unsaid().0, [2, 3]);
        // A restarted ResourceManager tells of all that run.
        assert!(!book.found(&1) && !book.found(&2));
        assert!(!book.found(&5));
        assert_eq!((book.unsaid().0, book.len()), (vec![2, 3, 5], 1));
    }

    #[test]
    fn a_container_that_was_taken_over_is_no_sign_of_a_bad_node() {
        let now = Instant::now();
        let mut book: Book<u32> = Book::new();
        for index in 0..9 {
            book.adopt(index, Attempt { index, number: 1 }, "h".into(), now);
        }
        for id in 0..9 {
            book.completed(&id, 1, "", NODES, now);
        }
        assert!(all(&mut book).iter().all(|action| matches!(action, Do::Gone(..))));
        // One that this application master starts is.
        for index in 0..3 {
            let attempt = Attempt { index, number: 2 };
            book.start(attempt, want());
            book.given(10 + index, Some(attempt), "h".into());
            book.launched(&(10 + index), Ok(()), NODES, now);
            book.completed(&(10 + index), 1, "", NODES, now);
        }
        assert!(all(&mut book).contains(&Do::LeftOut("h".into())));
    }
}
