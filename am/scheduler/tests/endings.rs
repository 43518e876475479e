//! Every way in which an attempt or a job ends, one at a time.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::single_range_in_vec_init,
    reason = "helpers of tests; records hold lists of ranges"
)]

mod job;

use core::time::Duration;

use forebay_scheduler::{
    Ack, Action, Begin, Config, EarlyExit, Event, Granted, Input, Lease, LedgerRecord, Next, OnRestart,
    Orders, Partly, Position, Refusal, Skip, Skipped, Verdict, WorkerState,
};

use job::*;

#[test]
fn a_killed_workers_splits_go_to_whoever_asks_next() {
    let mut job = Job::new(config(2, 6));
    assert_eq!((job.lease(A, 2), job.lease(B, 3)), (vec![0, 1], vec![2, 3, 4]));
    job.exited(B, 137, position(&[2, 3], 5));
    assert_eq!(
        job.told(),
        [
            "worker 1 (attempt 1) was killed by signal 9; its 3 splits go back, 1 of them already fed in part or whole"
        ]
    );
    assert_eq!(job.records(), [returned(B, vec![2..3])]);
    assert!(matches!(job.scheduler.orders(B), Orders::Stop(_)));
    assert_eq!(job.lease(A, 9), [2, 3, 4, 5]);
    // It starts again when its container is gone, and its wait is over.
    job.gone(B);
    assert_eq!(job.actions[..2], [Action::Record(ended(B)), Action::DiscardOutput(B)]);
    assert_eq!(job.told(), ["worker 1 starts again (attempt 2 of 4) in 0.5 s"]);
    job.again(B2);
    assert_eq!(job.now, Duration::from_millis(500));
    assert_eq!(job.ask(B2, 1), Lease::EndOfInput);
    job.done(A, complete(&[0, 1, 2, 3, 4, 5]));
    job.done(B2, complete(&[]));
    assert!(job.actions.contains(&Action::Commit(vec![A, B2])));
    job.gone(A);
    job.tell(Event::Committed);
    assert_eq!(job.verdict(), None);
    job.gone(B2);
    assert_eq!(job.verdict(), Some(Verdict::Succeeded));
    assert_eq!(job.told(), ["1 split fed more than once: split 2", "the job succeeded"]);
}

#[test]
fn splits_that_return_after_the_end_of_input_go_to_the_restarted_attempt() {
    let mut job = Job::new(config(2, 2));
    assert_eq!((job.lease(A, 1), job.lease(B, 1)), (vec![0], vec![1]));
    assert_eq!(job.ask(A, 1), Lease::EndOfInput);
    job.killed(B, Some(Position::of_journal(begins(&[1]), None)));
    // A worker that has seen the end and ends well is done all the same.
    job.done(A, complete(&[0]));
    assert_eq!(job.scheduler.view().workers[0].state, WorkerState::Done);
    job.again(B2);
    assert_eq!(job.lease(B2, 5), [1]);
    job.done(B2, complete(&[1]));
    assert!(job.actions.contains(&Action::Commit(vec![A, B2])));
}

#[test]
fn splits_that_return_before_a_worker_has_seen_the_end_of_input_go_to_it() {
    let mut job = Job::new(config(2, 3));
    assert_eq!((job.lease(A, 2), job.lease(B, 1)), (vec![0, 1], vec![2]));
    // It is asked ahead of need: two splits are still to be fed.
    assert_eq!(job.ask(A, 1), Lease::EndOfInput);
    assert!(job.scheduler.view().workers[0].end_of_input);
    // The other has taken nothing, and there will be no other attempt of it.
    job.done(B, Position::default());
    assert_eq!(job.lease(A, 5), [2]);
    assert!(!job.scheduler.view().workers[0].end_of_input);
    assert_eq!(job.ask(A, 1), Lease::EndOfInput);
    job.done(A, complete(&[0, 1, 2]));
    assert!(job.actions.contains(&Action::Commit(vec![A, B])));
}

#[test]
fn a_worker_killed_while_starting_or_staging_starts_again() {
    let mut job = Job::new(config(1, 3));
    job.killed(A, None);
    job.tick();
    assert_eq!(job.ask(A2, 1), Lease::Refused(Refusal::NotRegistered));
    job.killed(A2, None);
    assert_eq!(job.told()[0], "worker 0 (attempt 2) lost its agent, which was killed by signal 9");
    let third = attempt(0, 3);
    job.again(third);
    assert_eq!(job.lease(third, 3), [0, 1, 2]);
    job.exited(third, 0, complete(&[0, 1, 2]));
    assert_eq!(job.scheduler.orders(third), Orders::Stage);
    // Said twice, it is no news.
    job.exited(third, 0, complete(&[0, 1, 2]));
    assert_eq!((&job.actions[..], job.scheduler.orders(third)), (&[][..], Orders::Stage));
    job.killed(third, None);
    assert!(job.actions.contains(&Action::DiscardOutput(third)));
    assert_eq!(job.records(), [returned(third, vec![0..3]), ended(third)]);
    job.again(attempt(0, 4));
    assert_eq!(job.lease(attempt(0, 4), 5), [0, 1, 2]);
    // The restarts are used up.
    job.killed(attempt(0, 4), None);
    let why = "worker 0 lost its agent, which was killed by signal 9, after 3 restarts".to_owned();
    assert_eq!(job.verdict(), Some(Verdict::Failed { why: why.clone() }));
    assert!(job.actions.ends_with(&[
        Action::Tell(forebay_scheduler::Story::JobOver { verdict: Verdict::Failed { why: why.clone() } }),
        Action::Finish(Verdict::Failed { why })
    ]));
    assert!(job.actions.contains(&Action::Abort));
}

#[test]
fn a_failed_staging_counts_as_a_failure_of_the_attempt() {
    let mut job = Job::new(config(1, 2));
    job.lease(A, 2);
    job.exited(A, 0, complete(&[0, 1]));
    job.tell(Event::StageFailed { attempt: A, why: "no space left".into() });
    assert_eq!(
        job.told(),
        ["worker 0 (attempt 1) ended well, but its output could not be staged: no space left; \
          its 2 splits go back, 2 of them already fed in part or whole"]
    );
    job.tell(Event::Staged { attempt: A });
    assert_eq!(job.actions, []);
    job.gone(A);
    job.again(A2);
    assert_eq!(job.lease(A2, 5), [0, 1]);
}

#[test]
fn a_hanging_agent_is_ended_and_its_worker_starts_again() {
    let mut job = Job::new(config(1, 2));
    assert_eq!(job.lease(A, 1), [0]);
    job.now = 10 * SECOND;
    job.tell(Event::Heartbeat(A, position(&[0], 0)));
    job.tick();
    assert_eq!(job.now, 40 * SECOND);
    assert_eq!(job.actions, [Action::EndContainer(A, "it was not heard of for 30 s".into())]);
    assert_eq!(job.ask(A, 1), Lease::Refused(Refusal::Stale));
    // A late word changes nothing.
    job.tell(Event::Heartbeat(A, position(&[0], 10)));
    assert_eq!((&job.actions[..], job.scheduler.view().units.leased), (&[][..], 1));
    assert_eq!(job.scheduler.orders(A), Orders::Stop("the attempt was not heard of for 30 s".into()));
    job.killed(A, Some(Position::of_journal(begins(&[0]), None)));
    assert_eq!(job.told()[0].split(';').next(), Some("worker 0 (attempt 1) was not heard of for 30 s"));
    job.again(A2);
    assert_eq!(job.lease(A2, 5), [0, 1]);
}

#[test]
fn agents_are_not_blamed_for_a_silence_of_the_master() {
    let mut job = Job::new(config(1, 1));
    // It was stopped for an hour; what the agent said meanwhile lies in a queue.
    job.now = 3600 * SECOND;
    job.tell(Event::Tick);
    assert_eq!(job.actions, []);
    job.tick();
    assert_eq!(job.now, 3615 * SECOND);
    assert_eq!(job.actions, [Action::EndContainer(A, "it was not heard of for 30 s".into())]);
}

#[test]
fn an_agent_that_never_registers_is_ended() {
    let mut job = Job::begun(config(1, 1));
    // A cluster may take any time to give a container.
    assert_eq!(job.scheduler.wake_at(), None);
    job.tell(Event::Launched(A));
    job.tick();
    assert_eq!(job.actions, [Action::EndContainer(A, "it did not register within 60 s".into())]);
    // It does not end at once: it is asked again.
    job.tick();
    assert_eq!(job.told(), ["worker 0 (attempt 1) was asked to end 30 s ago and is still there"]);
    job.tell(Event::Registered(A));
    assert_eq!(job.actions, []);
    job.killed(A, None);
    job.again(A2);
}

#[test]
fn a_container_that_never_ends_fails_the_job_which_ends_all_the_same() {
    let mut job = Job::new(config(2, 1));
    let mut ticks = 0;
    while job.verdict().is_none() {
        job.tick();
        ticks += 1;
        assert!(ticks < 20);
    }
    assert!(
        job.told().contains(&"worker 1 (attempt 1) does not end and is not waited for any longer".to_owned())
    );
    assert!(matches!(job.verdict(), Some(Verdict::Failed { .. })));
}

#[test]
fn a_worker_that_ends_well_gives_back_what_it_did_not_touch() {
    let mut job = Job::new(config(2, 5));
    assert_eq!(job.lease(A, 4), [0, 1, 2, 3]);
    // Two units read, the third written and untouched, the fourth not begun.
    job.exited(A, 0, position(&[0, 1, 2], 20));
    assert_eq!(
        job.told(),
        ["worker 0 (attempt 1) ended well before all was read; 2 splits go back, its output is being staged"]
    );
    assert_eq!(job.lease(B, 9), [2, 3, 4]);
    job.tell(Event::Staged { attempt: A });
    assert_eq!(job.records(), [LedgerRecord::Done { attempt: A, units: vec![0..2], partly: None }]);
}

#[test]
fn a_unit_that_never_began_goes_back_though_all_seems_taken() {
    let mut job = Job::new(config(1, 2));
    job.lease(A, 2);
    job.exited(A, 0, complete(&[0]));
    job.tell(Event::Staged { attempt: A });
    assert_eq!(job.records()[0], LedgerRecord::Done { attempt: A, units: vec![0..1], partly: None });
    assert!(
        job.told().last().unwrap().contains("left 1 split unread, the first is split 1"),
        "{:?}",
        job.told()
    );
}

#[test]
fn an_unfinished_last_unit_is_not_fed_though_all_written_was_read() {
    let mut job = Job::new(config(1, 2));
    job.lease(A, 2);
    job.exited(A, 0, Position { whole: false, ..position(&[0, 1], 20) });
    assert!(job.told()[0].contains("in the middle of split 1, at byte 10"), "{:?}", job.told());
}

#[test]
fn ending_well_in_the_middle_of_a_split_fails_the_job() {
    let mut job = Job::new(config(2, 3));
    job.lease(A, 2);
    job.exited(A, 0, position(&[0, 1], 13));
    assert_eq!(
        job.told(),
        ["the job fails: worker 0 (attempt 1) ended with status 0 in the middle of split 1, at byte 3; \
          if that is meant, allow it with --early-exit ok"]
    );
    assert_eq!(job.ask(B, 1), Lease::Refused(Refusal::JobEnds));
    job.gone(A);
    assert_eq!(job.verdict(), None);
    job.gone(B);
    assert!(matches!(job.verdict(), Some(Verdict::Failed { .. })));
}

#[test]
fn ending_well_in_the_middle_of_a_split_may_be_allowed() {
    let mut job = Job::new(Config { early_exit: EarlyExit::Ok, ..config(1, 3) });
    job.lease(A, 2);
    job.exited(A, 0, position(&[0, 1], 13));
    assert_eq!(job.told()[0], "worker 0 (attempt 1) read split 1 up to byte 3 only");
    job.tell(Event::Staged { attempt: A });
    let partly = Some(Partly { unit: 1, byte: 3 });
    assert_eq!(job.records()[0], LedgerRecord::Done { attempt: A, units: vec![0..2], partly });
    assert!(
        job.told()
            .contains(&"all workers ended well and left 1 split unread, the first is split 2".to_owned())
    );
    assert!(job.actions.contains(&Action::Commit(vec![A])));
    assert_eq!(job.scheduler.view().partly, [Partly { unit: 1, byte: 3 }]);
}

#[test]
fn an_acknowledgement_is_void_when_all_is_replayed() {
    let mut job = Job::new(config(1, 2));
    job.lease(A, 2);
    let ack = Some(Ack::Records(8));
    job.tell(Event::Heartbeat(A, Position { ack, ..position(&[0, 1], 20) }));
    assert_eq!((&job.actions[..], job.scheduler.view().workers[0].ack), (&[][..], ack));
    job.killed(A, Some(Position::of_journal(begins(&[0, 1]), ack)));
    job.again(A2);
    let whole = [0, 1].map(|unit| Granted { unit, skip: Skip::None });
    assert_eq!(job.granted(A2, 5), whole);
}

#[test]
fn a_dead_workers_acknowledgement_is_where_its_units_go_on() {
    for (ack, skip) in [(Ack::Records(8), Skip::Records(3)), (Ack::Bytes(17), Skip::Bytes(7))] {
        let mut job = Job::new(from_ack(1, 4));
        job.lease(A, 4);
        // The agent is gone: nobody knows what was delivered.
        job.killed(A, Some(Position::of_journal(begins(&[0, 1, 2]), Some(ack))));
        let next = Some(Next { unit: 1, skip });
        assert_eq!(job.records()[0], LedgerRecord::Acked { attempt: A, units: vec![0..1], next });
        job.again(A2);
        let none = |unit| Granted { unit, skip: Skip::None };
        assert_eq!(job.granted(A2, 5), [Granted { unit: 1, skip }, none(2), none(3)]);
        assert_eq!(job.scheduler.view().units.done, 1);
    }
}

#[test]
fn a_unit_that_was_resumed_is_resumed_again_from_its_own_beginning() {
    let mut job = Job::new(Config { max_restarts: 9, ..from_ack(1, 1) });
    let mut now_at = Skip::None;
    // What the feed has left out of the unit, in both measures; the acknowledgement; where it goes on.
    let lives = [
        ((0, 0), Some(Ack::Records(1)), Skip::Records(1)),
        ((2, 1), Some(Ack::Bytes(3)), Skip::Bytes(5)),
        ((5, 2), None, Skip::Bytes(5)),
        ((5, 2), Some(Ack::Records(2)), Skip::Records(4)),
        ((8, 4), Some(Ack::Records(0)), Skip::Records(4)),
    ];
    for (number, ((bytes, records), ack, next)) in (1..).zip(lives) {
        let me = attempt(0, number);
        assert_eq!(job.granted(me, 1), [Granted { unit: 0, skip: now_at }]);
        let begin = Begin { unit: 0, bytes: 0, records: 0, skipped: Skipped { bytes, records } };
        job.killed(me, Some(Position::of_journal(vec![begin], ack)));
        job.again(attempt(0, number + 1));
        now_at = next;
    }
    assert_eq!(job.granted(attempt(0, 6), 1), [Granted { unit: 0, skip: now_at }]);
}

#[test]
fn a_worker_that_ends_well_gives_back_what_lies_behind_its_acknowledgement() {
    let mut job = Job::new(from_ack(2, 3));
    job.lease(A, 3);
    job.exited(A, 0, Position { ack: Some(Ack::Bytes(14)), ..position(&[0, 1, 2], 30) });
    let next = Some(Next { unit: 1, skip: Skip::Bytes(4) });
    assert_eq!(
        job.records(),
        [
            LedgerRecord::Acked { attempt: A, units: vec![0..1], next },
            LedgerRecord::Returned { attempt: A, again: vec![1..3], well: true }
        ]
    );
    assert_eq!(job.granted(B, 1), [Granted { unit: 1, skip: Skip::Bytes(4) }]);
    // When all was taken, ending well says it all.
    job.lease(B, 1);
    let mut all = complete(&[1, 2]);
    all.begins[0].skipped.bytes = 4;
    job.tell(Event::Staged { attempt: A });
    job.done(B, all);
    assert_eq!(job.scheduler.view().units.done, 3);
    assert!(job.actions.contains(&Action::Commit(vec![A, B])));
}

#[test]
fn an_acknowledgement_of_more_than_was_delivered_counts_as_what_was() {
    let mut job = Job::new(from_ack(1, 3));
    job.lease(A, 3);
    let ack = Some(Ack::Records(99));
    let unfinished = Position { whole: false, delivered: 17, delivered_records: 8, ..position(&[0, 1], 17) };
    // On the way it may be ahead of what the agent has counted.
    job.tell(Event::Heartbeat(A, Position { ack, ..unfinished.clone() }));
    assert_eq!(job.told(), [""; 0]);
    job.exited(A, 1, Position { ack, ..unfinished });
    assert_eq!(job.told()[0], "worker 0 (attempt 1) acknowledged 99 records, though it was fed 8: 8 count");
    job.gone(A);
    job.again(A2);
    assert_eq!(job.granted(A2, 1), [Granted { unit: 1, skip: Skip::Records(3) }]);
}

#[test]
fn units_of_an_epoch_go_out_before_those_of_the_next() {
    let mut job = Job::new(Config { epochs: 2, ..config(2, 3) });
    assert_eq!((job.lease(A, 2), job.lease(B, 2)), (vec![0, 1], vec![2, 3]));
    job.exited(A, 1, position(&[0], 10));
    assert_eq!(job.lease(B, 3), [0, 1, 4]);
    job.gone(A);
    job.tell(Event::Stop { why: "enough".into() });
    assert_eq!(job.scheduler.view().again.first, [0]);
}

#[test]
fn a_stopped_job_keeps_what_is_done_and_can_be_resumed() {
    let mut job = Job::new(config(3, 3));
    job.lease(A, 1);
    job.lease(B, 1);
    job.done(A, position(&[0], 10));
    job.tell(Event::Stop { why: "signal 15".into() });
    let ended = job.actions.iter().filter(|action| matches!(action, Action::EndContainer(..))).count();
    assert_eq!(ended, 3);
    job.gone(A);
    assert_eq!(job.actions, []);
    job.exited(B, 143, position(&[1], 3));
    job.gone(B);
    assert!(job.actions.contains(&Action::DiscardOutput(B)));
    job.gone(attempt(2, 1));
    assert_eq!(job.verdict(), Some(Verdict::Stopped { why: "signal 15".into() }));
    assert!(!job.actions.contains(&Action::Abort) && !job.actions.contains(&Action::DiscardOutput(A)));
}

#[test]
fn a_job_that_is_not_done_in_time_fails() {
    let mut job = Job::new(Config { job_timeout: Some(20 * SECOND), ..config(1, 1) });
    job.tick();
    assert_eq!(job.told(), ["the job fails: it was not done within its time limit of 20 s (--job-timeout)"]);
    job.gone(A);
    assert!(matches!(job.verdict(), Some(Verdict::Failed { .. })));
}

#[test]
fn a_failed_commit_is_neither_undone_nor_the_end() {
    let mut job = Job::new(config(1, 0));
    assert_eq!(job.ask(A, 1), Lease::EndOfInput);
    job.done(A, complete(&[]));
    job.gone(A);
    job.tell(Event::Stop { why: "too late".into() });
    assert_eq!(job.told(), ["the job is not stopped (too late): its output is being committed"]);
    job.tell(Event::CommitFailed { why: "connection refused".into() });
    assert_eq!(job.verdict(), Some(Verdict::CommitFailed { why: "connection refused".into() }));
    assert!(!job.actions.contains(&Action::Abort));
}

#[test]
fn files_dealt_out_beforehand_come_at_once_and_again_to_the_restarted_worker() {
    let input = Input::Static { bytes: vec![10, 1, 5, 5] };
    let mut job = Job::new(Config { input, on_restart: OnRestart::FromAck, ..config(2, 4) });
    assert_eq!((job.lease(A, 1), job.lease(B, 1)), (vec![0, 1], vec![2, 3]));
    assert_eq!(job.ask(A, 1), Lease::EndOfInput);
    job.exited(A, 1, Position { ack: Some(Ack::Bytes(9)), ..Position::default() });
    job.gone(A);
    job.again(A2);
    assert_eq!(job.lease(A2, 1), [0, 1]);
    // There is no stream to be taken: ending well is enough.
    job.done(A2, Position::default());
    job.done(B, Position::default());
    assert!(job.actions.contains(&Action::Commit(vec![A2, B])));
}
