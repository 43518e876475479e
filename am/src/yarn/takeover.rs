//! Containers of earlier application masters of the job: which of them go on, and which are gone.

use std::collections::{BTreeSet, VecDeque};

use forebay_scheduler::{Attempt, End, Event, View, WorkerState};

/// What to do about the containers that an application master finds, and about those that it does not find.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Takeover<C> {
    /// Those of attempts that are not over.
    pub(super) adopted: Vec<(C, Attempt)>,
    /// Those that nobody waits for.
    pub(super) unwanted: Vec<C>,
    /// The ends of containers that are not there, for the scheduler.
    pub(super) ends: VecDeque<Event>,
}

impl<C> Takeover<C> {
    /// Of `kept` containers, with what each was asked for, and the job as its ledger tells it.
    pub(super) fn new(view: &View, kept: impl IntoIterator<Item = (Option<Attempt>, C)>) -> Self {
        // Each of these may still have its container, as far as the ledger tells: also one whose worker has ended or whose
        // output is staged, as nothing is recorded when such a container is gone.
        let may_live = view.workers.iter().filter(|worker| {
            matches!(worker.state, WorkerState::Rejoining | WorkerState::Ending | WorkerState::Done)
        });
        let mut missing: BTreeSet<_> = may_live.map(|worker| worker.attempt).collect();
        let (mut adopted, mut unwanted) = (Vec::new(), Vec::new());
        for (attempt, container) in kept {
            match attempt.filter(|attempt| missing.remove(attempt)) {
                Some(attempt) => adopted.push((container, attempt)),
                None => unwanted.push(container),
            }
        }
        let why = "its container did not outlive the application master";
        let end = |attempt| Event::ContainerEnded { attempt, how: End::Lost(why.to_owned()), position: None };
        Self { adopted, unwanted, ends: missing.into_iter().map(end).collect() }
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "records hold lists of ranges")]
mod tests {
    use std::time::Duration;

    use forebay_scheduler::{Action, Config, LedgerRecord, Scheduler, VERSION, Verdict};

    use super::*;

    const fn attempt(index: u32, number: u32) -> Attempt {
        Attempt { index, number }
    }

    /// Three workers: one is done, one has failed and was not gone, one was being fed.
    fn scheduler() -> Scheduler {
        let header = LedgerRecord::Header { version: VERSION, job: "j".into(), splits: 3, epochs: 1 };
        let started = (0..3).map(|index| LedgerRecord::Started { attempt: attempt(index, 1) });
        let done = LedgerRecord::Done { attempt: attempt(0, 1), units: vec![0..1], partly: None };
        let failed = LedgerRecord::Returned { attempt: attempt(1, 1), again: vec![], well: false };
        let records = [header].into_iter().chain(started).chain([done, failed]);
        Scheduler::recover(Config::new("j", 3, 3, 1), records).unwrap()
    }

    fn ended(takeover: &Takeover<u32>) -> Vec<Attempt> {
        let attempt = |event: &Event| match event {
            Event::ContainerEnded { attempt, .. } => *attempt,
            other => panic!("{other:?}"),
        };
        takeover.ends.iter().map(attempt).collect()
    }

    #[test]
    fn containers_of_attempts_that_are_not_over_go_on() {
        let kept = [
            (Some(attempt(0, 1)), 10),
            (Some(attempt(1, 1)), 11),
            (Some(attempt(2, 1)), 12),
            (Some(attempt(2, 1)), 13),
            (Some(attempt(7, 1)), 14),
            (None, 15),
        ];
        let takeover = Takeover::new(&scheduler().view(), kept);
        assert_eq!(takeover.adopted, [(10, attempt(0, 1)), (11, attempt(1, 1)), (12, attempt(2, 1))]);
        assert_eq!((&takeover.unwanted[..], ended(&takeover)), (&[13, 14, 15][..], vec![]));
    }

    #[test]
    fn containers_that_are_not_there_are_gone_for_the_job() {
        let mut scheduler = scheduler();
        let takeover = Takeover::<u32>::new(&scheduler.view(), []);
        assert_eq!(ended(&takeover), [attempt(0, 1), attempt(1, 1), attempt(2, 1)]);
        let mut actions = scheduler.handle(Duration::ZERO, Event::Start);
        for end in takeover.ends {
            actions.extend(scheduler.handle(Duration::ZERO, end));
        }
        // Whose worker had failed has used up a restart, whoever was lost with the application master has not.
        for (attempt, free) in [(attempt(1, 1), false), (attempt(2, 1), true)] {
            let ended = LedgerRecord::Ended { attempt, free, memory: false };
            assert!(actions.contains(&Action::Record(ended)), "{actions:?}");
        }
        let states: Vec<_> = scheduler.view().workers.iter().map(|worker| worker.state).collect();
        assert_eq!(states, [WorkerState::Done, WorkerState::Waiting, WorkerState::Waiting]);
        // Nobody is asked to end who is gone.
        let actions = scheduler.handle(Duration::ZERO, Event::Stop { why: "enough".into() });
        assert!(matches!(actions.last(), Some(Action::Finish(Verdict::Stopped { .. }))), "{actions:?}");
    }
}
