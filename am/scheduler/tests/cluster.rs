//! Containers that a cluster gives late, takes away, or never gives.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod job;

use core::time::Duration;

use forebay_scheduler::{
    Action, ClusterEnd, Config, End, Event, Gang, Granted, Input, Lease, LedgerRecord, Orders, Refusal, Skip,
    Verdict, WorkerState,
};

use job::*;

fn ends(job: &mut Job, whose: forebay_scheduler::Attempt, what: ClusterEnd, why: &str) {
    let how = End::Cluster { what, why: why.into() };
    job.tell(Event::ContainerEnded { attempt: whose, how, position: None });
}

fn gang(workers: u32, splits: u64) -> Config {
    Config { gang: Some(Gang { deadline: 100 * SECOND }), ..config(workers, splits) }
}

#[test]
fn a_container_may_come_late_and_its_agent_may_not() {
    let mut job = Job::begun(config(1, 1));
    assert_eq!(job.scheduler.view().workers[0].state, WorkerState::Asked);
    job.tell(Event::Shortage { why: "the queue default is full".into() });
    assert_eq!(job.scheduler.view().shortage.as_deref(), Some("the queue default is full"));
    assert_eq!(job.scheduler.wake_at(), None);
    job.now = 1000 * SECOND;
    job.tell(Event::Tick);
    assert_eq!(job.actions, []);
    job.tell(Event::Launched(A));
    assert_eq!(job.scheduler.view().workers[0].state, WorkerState::Launched);
    assert_eq!(job.scheduler.view().shortage, None);
    // Said again, it gives no more time.
    job.now += 30 * SECOND;
    job.tell(Event::Launched(A));
    job.tick();
    assert_eq!(job.now, 1060 * SECOND);
    assert_eq!(job.actions, [Action::EndContainer(A, "it did not register within 60 s".into())]);
    // It was asked to end: that it is given back is no news and no excuse.
    ends(&mut job, A, ClusterEnd::Released, "");
    assert_eq!(
        job.told(),
        [
            "worker 0 (attempt 1) did not register within 60 s",
            "worker 0 starts again (attempt 2 of 4) in 0.5 s"
        ]
    );
    assert_eq!(job.records()[1], ended(A));
}

#[test]
fn what_a_cluster_does_is_told_and_does_not_count() {
    let mut job = Job::new(Config { max_restarts: 0, ..config(1, 2) });
    let mut whose = A;
    for (what, words) in [
        (ClusterEnd::Preempted, "was preempted: its place went to somebody with a better claim"),
        (ClusterEnd::NodeLost, "was lost with its node"),
        (ClusterEnd::DisksFailed, "was ended because its node's disks have failed"),
        (ClusterEnd::Released, "was given back"),
    ] {
        assert_eq!(job.lease(whose, 1), [0]);
        ends(&mut job, whose, what, "queue a took it");
        let said = format!(
            "worker 0 (attempt {}) lost its container, which {words} (queue a took it); its 1 split goes back",
            whose.number
        );
        assert_eq!(job.told()[0], said);
        assert_eq!(job.records()[1], LedgerRecord::Ended { attempt: whose, free: true, memory: false });
        whose.number += 1;
        assert_eq!(job.told()[1].split(" in ").next().unwrap(), {
            let n = whose.number;
            format!("worker 0 starts again (attempt {n} of {n})")
        });
        job.again(whose);
    }
    let view = job.scheduler.view();
    assert_eq!((view.workers[0].restarts, view.workers[0].free_restarts), (0, 4));
    ends(&mut job, whose, ClusterEnd::KilledByResourceManager, "");
    let why =
        "worker 0 lost its container, which was killed by the resource manager, and no restarts are allowed";
    assert_eq!(job.verdict(), Some(Verdict::Failed { why: why.into() }));
}

#[test]
fn what_does_not_count_is_limited_too() {
    let mut job = Job::new(Config { max_restarts: 0, ..config(1, 1) });
    let mut whose = A;
    for _ in 0..Config::FREE_RESTARTS {
        ends(&mut job, whose, ClusterEnd::Preempted, "");
        whose.number += 1;
        job.again(whose);
    }
    ends(&mut job, whose, ClusterEnd::Preempted, "");
    let Some(Verdict::Failed { why }) = job.verdict() else { panic!("{:?}", job.actions) };
    assert!(why.ends_with("after 100 restarts that were not its own doing"), "{why}");
}

#[test]
fn a_worker_that_ran_out_of_memory_is_told_of_and_counted() {
    let mut job = Job::new(Config { max_restarts: 1, ..config(2, 2) });
    // The worker was killed first, and its agent could say so before it was, too.
    job.exited(A, 137, position(&[], 0));
    assert_eq!(job.told(), ["worker 0 (attempt 1) was killed by signal 9"]);
    ends(&mut job, A, ClusterEnd::OutOfMemory, "1.2 GB of 1 GB used");
    assert_eq!(
        job.told()[0],
        "the container of worker 0 (attempt 1) was killed because it used more memory than it had (1.2 GB of 1 GB used)"
    );
    assert_eq!(job.records(), [LedgerRecord::Ended { attempt: A, free: false, memory: true }]);
    assert_eq!((job.scheduler.memory_steps(0), job.scheduler.memory_steps(1)), (1, 0));
    job.again(A2);
    ends(&mut job, A2, ClusterEnd::OutOfMemory, "");
    assert_eq!(job.scheduler.memory_steps(0), 2);
    job.gone(B);
    let Some(Verdict::Failed { why }) = job.verdict() else { panic!("{:?}", job.actions) };
    assert!(why.contains("used more memory than it had, after 1 restart"), "{why}");
}

#[test]
fn a_lost_node_excuses_the_silence_of_its_agent() {
    let mut job = Job::new(Config { max_restarts: 0, ..config(1, 1) });
    job.tick();
    assert_eq!(job.actions, [Action::EndContainer(A, "it was not heard of for 30 s".into())]);
    ends(&mut job, A, ClusterEnd::NodeLost, "");
    assert_eq!(
        job.told()[..2],
        [
            "worker 0 (attempt 1) was not heard of for 30 s",
            "the container of worker 0 (attempt 1) was lost with its node"
        ]
    );
    job.again(A2);
}

#[test]
fn no_worker_of_a_gang_begins_before_all_are_there() {
    let mut job = Job::begun(gang(2, 2));
    job.tell(Event::Launched(A));
    job.tell(Event::Registered(A));
    assert_eq!(job.scheduler.orders(A), Orders::WaitForOthers);
    assert_eq!(job.ask(A, 1), Lease::Wait);
    assert!(job.scheduler.view().gathering);
    // Asking again is a sign of life.
    job.now = 29 * SECOND;
    job.tell(Event::Registered(A));
    job.now = 58 * SECOND;
    job.tell(Event::Tick);
    assert_eq!(job.actions, []);
    // Lost before all are there: the others wait for the next.
    ends(&mut job, A, ClusterEnd::NodeLost, "");
    job.tell(Event::Registered(B));
    assert_eq!(job.scheduler.orders(B), Orders::WaitForOthers);
    job.tick();
    assert!(job.actions.contains(&Action::StartContainer(A2)));
    job.tell(Event::Registered(A2));
    assert_eq!(
        job.actions[1..],
        [
            Action::Record(LedgerRecord::Gathered {}),
            Action::Tell(forebay_scheduler::Story::AllThere { workers: 2 }),
            Action::GangReady
        ]
    );
    assert_eq!((job.scheduler.orders(A2), job.scheduler.orders(B)), (Orders::GoOn, Orders::GoOn));
    assert_eq!(job.lease(B, 1), [0]);
    // Once is enough.
    job.killed(A2, None);
    assert_eq!(job.scheduler.orders(B), Orders::GoOn);
    job.again(attempt(0, 3));
    assert!(!job.actions.contains(&Action::GangReady));
}

#[test]
fn a_gang_that_is_not_complete_in_time_fails_and_says_what_is_missing() {
    let mut job = Job::begun(gang(4, 1));
    job.tell(Event::Registered(A));
    job.tell(Event::Launched(B));
    job.tell(Event::Shortage { why: "the queue default has 0 of 2 cores free".into() });
    for second in (0..100).step_by(20) {
        job.now = second * SECOND;
        job.tell(Event::Registered(A));
        job.tell(Event::Registered(B));
    }
    job.tick();
    assert_eq!(job.now, 100 * SECOND);
    let why = "not all of its 4 workers were there within 100 s (--wait-timeout): 2 had a container, \
               2 of them had registered; the queue default has 0 of 2 cores free";
    assert_eq!(job.told(), [format!("the job fails: {why}")]);
    // Containers that were only asked for are asked for no more.
    let all = [0, 1, 2, 3].map(|index| attempt(index, 1));
    let end = |&whose: &forebay_scheduler::Attempt| Action::EndContainer(whose, "the job ends".into());
    assert!(all.iter().all(|whose| job.actions.contains(&end(whose))), "{:?}", job.actions);
    for whose in all {
        assert!(matches!(job.scheduler.orders(whose), Orders::Stop(_)));
        assert_eq!(job.verdict(), None);
        ends(&mut job, whose, ClusterEnd::Released, "");
    }
    assert_eq!(job.verdict(), Some(Verdict::Failed { why: why.into() }));
}

#[test]
fn a_job_is_stopped_while_its_workers_wait_for_each_other() {
    let mut job = Job::begun(gang(2, 1));
    job.tell(Event::Registered(A));
    job.tell(Event::Stop { why: "asked for by user".into() });
    let verdict = Verdict::Stopped { why: "asked for by user".into() };
    assert_eq!(job.records(), [LedgerRecord::Ending { verdict: verdict.clone() }]);
    assert_eq!(job.scheduler.orders(A), Orders::Stop("the job ends".into()));
    job.tell(Event::Registered(B));
    assert_eq!(job.actions, []);
    ends(&mut job, B, ClusterEnd::Released, "");
    ends(&mut job, A, ClusterEnd::Released, "");
    assert_eq!(job.verdict(), Some(verdict));
}

#[test]
fn files_dealt_out_are_given_when_all_are_there() {
    let mut job = Job::begun(Config { input: Input::Static { bytes: vec![1, 1] }, ..gang(2, 2) });
    job.tell(Event::Registered(A));
    assert_eq!(job.ask(A, usize::MAX), Lease::Wait);
    job.tell(Event::Registered(B));
    assert_eq!((job.lease(A, 9), job.lease(B, 9)), (vec![0], vec![1]));
    assert_eq!(job.ask(A, 9), Lease::EndOfInput);
}

#[test]
fn the_master_was_away_and_blames_nobody() {
    let mut job = Job::begun(gang(2, 1));
    job.tell(Event::Registered(A));
    job.now = 3600 * SECOND;
    job.tell(Event::Tick);
    assert_eq!(job.actions, []);
    assert_eq!(job.scheduler.wake_at(), Some(3615 * SECOND));
    job.tell(Event::Registered(A));
    job.tell(Event::Registered(B));
    assert!(job.actions.contains(&Action::GangReady));
    assert_eq!(job.now, Duration::from_hours(1));
}

#[test]
fn an_attempt_has_no_more_ahead_than_its_fair_part() {
    let mut job = Job::new(Config { fair: true, ..config(2, 16) });
    assert_eq!(job.lease(A, 100), [0, 1, 2, 3]);
    assert_eq!(job.ask(A, 100), Lease::Enough);
    assert_eq!(job.lease(B, 100), [4, 5, 6]);
    // What has begun is not ahead, whether or not it is known how far it is.
    job.counts.insert(A, (4, 4));
    assert_eq!((job.lease(A, 2), job.ask(A, 100)), (vec![7, 8], Lease::Enough));
    job.counts.insert(A, (6, 6));
    assert_eq!((job.lease(A, 100), job.ask(A, 1)), (vec![9, 10], Lease::Enough));
    // Whoever is alone leaves nothing to anybody.
    job.done(B, position(&[4, 5, 6], 30));
    assert_eq!((job.lease(A, 2), job.lease(A, 100)), (vec![11, 12], vec![13, 14, 15]));
    assert_eq!(job.ask(A, 1), Lease::EndOfInput);
}

#[test]
fn a_lone_worker_may_have_all_ahead() {
    let mut job = Job::new(Config { fair: true, ..config(1, 16) });
    assert_eq!((job.lease(A, 10).len(), job.lease(A, 10).len()), (10, 6));
}

#[test]
fn a_grant_that_was_not_heard_of_is_granted_again() {
    let mut job = Job::new(config(2, 9));
    assert_eq!(job.lease(A, 1), [0]);
    let lost = job.ask_in_vain(A, 2, None);
    assert!(matches!(&lost, Lease::Granted(granted) if granted.len() == 2), "{lost:?}");
    assert_eq!(job.lease(B, 1), [3]);
    // What was begun before changes nothing.
    job.tell(Event::Heartbeat(A, position(&[0], 10)));
    assert_eq!((job.ask_in_vain(A, 1, None), job.ask(A, 4)), (lost.clone(), lost));
    assert_eq!(job.lease(A, 1), [4]);
    // The agent asks, loses the answer and its connection, and tells the same application master what it holds.
    assert_eq!(job.ask_in_vain(B, 1, None), job.ask_in_vain(B, 1, None));
    let held = vec![Granted { unit: 3, skip: Skip::None }];
    job.tell(Event::Rejoined {
        attempt: B,
        fed: Vec::new(),
        held,
        position: position(&[3], 10),
        exited: None,
    });
    assert_eq!((job.lease(B, 9), job.lease(B, 2)), (vec![5], vec![6, 7]));
    assert_eq!((job.lease(A, 9), job.ask(B, 9)), (vec![8], Lease::EndOfInput));
    job.done(A, complete(&[0, 1, 2, 4, 8]));
    job.done(B, complete(&[3, 5, 6, 7]));
    assert!(job.actions.contains(&Action::Commit(vec![A, B])));
}

#[test]
fn an_end_of_input_that_was_not_heard_of_is_said_again() {
    let mut job = Job::new(config(2, 1));
    assert_eq!(job.lease(A, 1), [0]);
    assert_eq!(
        (job.ask_in_vain(A, 1, None), job.ask_in_vain(A, 1, None)),
        (Lease::EndOfInput, Lease::EndOfInput)
    );
}

#[test]
fn an_attempt_that_miscounts_what_it_was_granted_is_refused() {
    let mut job = Job::new(config(1, 9));
    assert_eq!((job.lease(A, 2), job.lease(A, 3)), (vec![0, 1], vec![2, 3, 4]));
    for have in [0, 1, 3, 4, 6] {
        job.counts.insert(A, (have, 0));
        let refusal = Refusal::Miscounts { have, granted: 5 };
        assert_eq!(job.ask(A, 9), Lease::Refused(refusal));
        assert_eq!(
            refusal.to_string(),
            format!("this attempt says that it was granted {have} splits so far, and it was granted 5")
        );
    }
    // Nor what has begun already.
    job.tell(Event::Heartbeat(A, position(&[0, 1, 2], 30)));
    job.counts.insert(A, (2, 2));
    assert_eq!(job.ask(A, 9), Lease::Refused(Refusal::Miscounts { have: 2, granted: 5 }));
    job.counts.insert(A, (5, 3));
    assert_eq!(job.lease(A, 9), [5, 6, 7, 8]);
}
