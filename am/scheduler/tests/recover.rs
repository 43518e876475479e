//! A job goes on under another application master while its containers live.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::single_range_in_vec_init,
    reason = "helpers of tests; records hold lists of ranges"
)]

mod job;

use forebay_scheduler::{
    Ack, Action, Attempt, Config, EarlyExit, End, Event, Gang, Granted, Input, Lease, LedgerRecord, Next,
    OnRestart, Orders, Position, Refusal, Scheduler, Skip, Verdict, WorkerState,
};

use job::*;

/// A job with all that its application master has recorded, until it dies.
struct Begun {
    job: Job,
    config: Config,
    records: Vec<LedgerRecord>,
}

impl Begun {
    fn new(config: Config) -> Self {
        let mut begun = Self { job: Job::begun(config.clone()), config, records: Vec::new() };
        begun.keep();
        for index in 0..begun.config.workers {
            begun.tell(Event::Registered(attempt(index, 1)));
        }
        begun
    }

    fn keep(&mut self) {
        self.records.extend(self.job.records());
    }

    fn tell(&mut self, event: Event) {
        self.job.tell(event);
        self.keep();
    }

    fn replaced(self) -> Job {
        Job::of(Scheduler::recover(self.config, self.records).unwrap())
    }
}

fn whole(units: &[u64]) -> Vec<Granted> {
    units.iter().map(|&unit| Granted { unit, skip: Skip::None }).collect()
}

fn rejoin(job: &mut Job, whose: Attempt, units: &[u64], position: Position, exited: Option<i32>) {
    job.tell(Event::Rejoined { attempt: whose, fed: Vec::new(), held: whole(units), position, exited });
}

fn lost(job: &mut Job, whose: Attempt) {
    let how = End::Lost("no such container".into());
    job.tell(Event::ContainerEnded { attempt: whose, how, position: None });
}

#[test]
fn nothing_is_given_before_all_are_back_or_gone() {
    let mut begun = Begun::new(config(3, 9));
    assert_eq!((begun.job.lease(A, 2), begun.job.lease(B, 2)), (vec![0, 1], vec![2, 3]));
    begun.job.lease(attempt(2, 1), 2);
    let mut job = begun.replaced();
    assert_eq!(
        job.told(),
        [
            "the job goes on under another application master: 0 of 9 splits are done, 3 workers are expected back"
        ]
    );
    assert!(job.scheduler.view().workers.iter().all(|worker| worker.state == WorkerState::Rejoining));
    // Whoever has not said what it holds is asked to.
    assert_eq!((job.scheduler.orders(A), job.ask(A, 1)), (Orders::Rejoin, Lease::Wait));
    job.tell(Event::Heartbeat(A, position(&[0], 3)));
    job.exited(A, 0, complete(&[0, 1]));
    job.tell(Event::Staged { attempt: A });
    assert_eq!((&job.actions[..], job.scheduler.orders(A)), (&[][..], Orders::Rejoin));
    rejoin(&mut job, A, &[0, 1], position(&[0], 3), None);
    assert_eq!(job.told(), ["worker 0 (attempt 1) is back and holds 2 splits"]);
    assert_eq!((job.scheduler.orders(A), job.ask(A, 1)), (Orders::GoOn, Lease::Wait));
    rejoin(&mut job, B, &[2, 3], position(&[], 0), None);
    assert_eq!(job.ask(B, 1), Lease::Wait);
    // Nobody knows what the third was fed: its splits go to the others once it is gone.
    lost(&mut job, attempt(2, 1));
    assert_eq!(job.records()[1], LedgerRecord::Ended { attempt: attempt(2, 1), free: true, memory: false });
    assert_eq!((job.lease(A, 1), job.lease(B, 9)), (vec![4], vec![5, 6, 7, 8]));
    job.again(attempt(2, 2));
    job.done(A, complete(&[0, 1, 4]));
    job.done(B, complete(&[2, 3, 5, 6, 7, 8]));
    job.done(attempt(2, 2), complete(&[]));
    assert!(job.actions.contains(&Action::Commit(vec![A, B, attempt(2, 2)])));
}

#[test]
fn who_does_not_come_back_in_time_is_ended_before_its_splits_are_given() {
    let mut begun = Begun::new(config(2, 4));
    begun.job.lease(A, 2);
    let mut job = begun.replaced();
    rejoin(&mut job, B, &[], Position::default(), None);
    // It tells of itself all the time.
    for _ in 0..6 {
        job.now += 19 * SECOND;
        job.tell(Event::Heartbeat(B, Position::default()));
    }
    job.tick();
    assert_eq!(job.now, 120 * SECOND);
    let why = "it did not come back within 120 s after the application master had started again";
    assert_eq!(job.actions, [Action::EndContainer(A, why.into())]);
    // Late, it is refused; it may still be fed.
    rejoin(&mut job, A, &[0, 1], position(&[0, 1], 5), None);
    assert!(matches!(job.scheduler.orders(A), Orders::Stop(_)));
    assert_eq!(job.ask(B, 9), Lease::Wait);
    // Its worker is gone, what was fed is known.
    job.exited(A, 143, position(&[0, 1], 5));
    assert_eq!(job.records(), [returned(A, vec![0..1])]);
    assert_eq!(job.lease(B, 9), [0, 1, 2, 3]);
    job.gone(A);
    assert_eq!(job.records(), [ended(A)]);
    job.again(A2);
}

#[test]
fn what_cannot_be_is_refused() {
    let held = |units: &[u64], exited| {
        let mut begun = Begun::new(config(2, 4));
        begun.job.lease(A, 2);
        let mut job = begun.replaced();
        rejoin(&mut job, B, &[2, 3], position(&[2], 1), None);
        rejoin(&mut job, A, units, position(&[0, 1], 20), exited);
        job
    };
    assert_eq!(held(&[0, 1], None).scheduler.orders(A), Orders::GoOn);
    for (units, why) in [
        (&[0, 1, 2][..], "says that it holds split 2, which is done or held by another attempt"),
        (&[0, 1, 1], "says that it holds split 1, which is done or held by another attempt"),
        (&[0, 4], "says that it holds unit 4, and the job has no such unit"),
    ] {
        let mut job = held(units, None);
        let cause = format!("came back after the application master had started again, and {why}");
        assert_eq!(job.actions, [Action::EndContainer(A, format!("it {cause}"))]);
        assert_eq!(job.scheduler.orders(A), Orders::Stop(format!("the attempt {cause}")));
        assert_eq!(job.ask(B, 9), Lease::Wait);
        job.gone(A);
        assert_eq!(job.told()[0], format!("worker 0 (attempt 1) {cause}"));
        assert_eq!(job.lease(B, 9), [0, 1]);
    }
    // Of a worker that ended well only what it has read counts: the rest went back, and may be another's.
    let job = held(&[0, 1, 2], Some(0));
    assert_eq!((job.scheduler.orders(A), job.scheduler.view().units.waiting), (Orders::Stage, 0));
}

#[test]
fn what_was_said_before_is_said_again_and_counts_once() {
    let mut begun = Begun::new(config(2, 4));
    begun.job.lease(A, 2);
    begun.job.lease(B, 2);
    begun.tell(Event::Exited { attempt: A, status: 0, position: complete(&[0, 1]) });
    begun.tell(Event::Exited { attempt: B, status: 0, position: complete(&[2, 3]) });
    begun.tell(Event::Staged { attempt: B });
    let mut job = begun.replaced();
    assert_eq!(job.scheduler.view().workers[1].done, 2);
    // The one whose staging is recorded.
    rejoin(&mut job, B, &[2, 3], complete(&[2, 3]), Some(0));
    job.tell(Event::Staged { attempt: B });
    job.exited(B, 0, complete(&[2, 3]));
    assert_eq!((&job.actions[..], job.scheduler.orders(B)), (&[][..], Orders::GoOn));
    // The one that is staging.
    for _ in 0..2 {
        rejoin(&mut job, A, &[0, 1], complete(&[0, 1]), Some(0));
        assert_eq!(job.scheduler.orders(A), Orders::Stage);
    }
    assert_eq!(job.actions, []);
    job.exited(A, 0, complete(&[0, 1]));
    assert_eq!((&job.actions[..], job.scheduler.orders(A)), (&[][..], Orders::Stage));
    job.tell(Event::Staged { attempt: A });
    assert_eq!(job.records()[0], LedgerRecord::Done { attempt: A, units: vec![0..2], partly: None });
    assert!(job.actions.contains(&Action::Commit(vec![A, B])));
}

#[test]
fn an_agent_that_had_not_registered_registers() {
    let config = config(2, 2);
    let mut begun = Begun { job: Job::begun(config.clone()), config, records: Vec::new() };
    begun.keep();
    // Of the second nothing but the intent was recorded.
    let mut job = begun.replaced();
    job.tell(Event::Registered(A));
    assert_eq!(job.scheduler.orders(A), Orders::GoOn);
    lost(&mut job, B);
    job.again(B2);
    assert_eq!((job.lease(A, 1), job.lease(B2, 1)), (vec![0], vec![1]));
}

#[test]
fn workers_that_were_never_started_are_started() {
    let config = config(3, 2);
    let header = LedgerRecord::Header { version: 1, job: config.job.clone(), splits: 2, epochs: 1 };
    let records = vec![header, LedgerRecord::Started { attempt: A }];
    let job = Job::of(Scheduler::recover(config.clone(), records).unwrap());
    assert!(job.actions.contains(&Action::StartContainer(B)));
    assert!(job.actions.contains(&Action::StartContainer(attempt(2, 1))));
    assert!(!job.actions.contains(&Action::StartContainer(A)));
    // Before there was a ledger there was nothing.
    let job = Job::of(Scheduler::recover(config, []).unwrap());
    assert!(matches!(job.records()[0], LedgerRecord::Header { .. }));
    assert!(job.actions.contains(&Action::StartContainer(A)));
}

#[test]
fn restarts_and_steps_of_memory_are_counted_on() {
    let mut begun = Begun::new(Config { max_restarts: 2, ..config(1, 1) });
    let what = forebay_scheduler::ClusterEnd::OutOfMemory;
    let how = End::Cluster { what, why: String::new() };
    begun.tell(Event::ContainerEnded { attempt: A, how, position: None });
    // The next one fails just when its application master dies.
    begun.job.tick();
    begun.keep();
    begun.tell(Event::ContainerEnded { attempt: A2, how: End::Signal(9), position: None });
    let mut job = begun.replaced();
    assert_eq!(job.scheduler.memory_steps(0), 1);
    assert_eq!(job.actions[..2], [A, A2].map(Action::DiscardOutput));
    assert_eq!(job.told()[1], "worker 0 starts again (attempt 3 of 3) in 1 s");
    let third = attempt(0, 3);
    job.again(third);
    assert_eq!((job.scheduler.view().workers[0].restarts, job.lease(third, 9)), (2, vec![0]));
    job.killed(third, None);
    assert!(matches!(job.verdict(), Some(Verdict::Failed { .. })));
}

#[test]
fn a_worker_whose_last_restart_failed_fails_the_job_under_another_master_too() {
    let mut begun = Begun::new(Config { max_restarts: 0, ..config(1, 1) });
    begun.tell(Event::ContainerEnded { attempt: A, how: End::Signal(9), position: None });
    // It dies before it could say so.
    let ending =
        begun.records.iter().position(|record| matches!(record, LedgerRecord::Ending { .. })).unwrap();
    begun.records.truncate(ending);
    let job = begun.replaced();
    assert!(matches!(job.verdict(), Some(Verdict::Failed { .. })));
}

#[test]
fn an_attempt_that_had_failed_ends_and_its_splits_are_free() {
    let mut begun = Begun::new(config(2, 4));
    begun.job.lease(A, 2);
    begun.tell(Event::Exited { attempt: A, status: 1, position: position(&[0], 4) });
    let mut job = begun.replaced();
    assert_eq!(job.scheduler.view().workers[0].state, WorkerState::Ending);
    rejoin(&mut job, B, &[2], position(&[2], 4), None);
    // Its worker is gone: nobody is fed these.
    assert_eq!(job.lease(B, 9), [0, 1, 3]);
    rejoin(&mut job, A, &[0, 1], position(&[0], 4), Some(1));
    assert!(matches!(job.scheduler.orders(A), Orders::Stop(_)));
    assert_eq!(job.actions, []);
    job.gone(A);
    assert_eq!(job.records(), [ended(A)]);
    job.again(A2);
}

#[test]
fn acknowledgements_count_on_and_once() {
    let mut begun = Begun::new(from_ack(2, 4));
    assert_eq!((begun.job.lease(A, 3), begun.job.lease(B, 1)), (vec![0, 1, 2], vec![3]));
    let acked = |n, read: Position| Position { ack: Some(Ack::Records(n)), ..read };
    begun.tell(Event::Heartbeat(A, acked(5, position(&[0, 1], 20))));
    assert_eq!(
        begun.records.last(),
        Some(&LedgerRecord::Acked { attempt: A, units: vec![0..1], next: None })
    );
    let mut job = begun.replaced();
    // It still names what it acknowledged; and has acknowledged more meanwhile.
    rejoin(&mut job, A, &[0, 1, 2], acked(11, position(&[0, 1, 2], 30)), None);
    assert_eq!(job.records(), [LedgerRecord::Acked { attempt: A, units: vec![1..2], next: None }]);
    rejoin(&mut job, A, &[0, 1, 2], acked(11, position(&[0, 1, 2], 30)), None);
    assert_eq!(job.actions, []);
    // Another cannot hold what is done, and nobody holds anything twice.
    rejoin(&mut job, B, &[3, 0], position(&[3], 10), None);
    assert!(matches!(job.scheduler.orders(B), Orders::Stop(_)));
    job.gone(B);
    job.killed(A, Some(Position::of_journal(begins(&[0, 1, 2]), Some(Ack::Records(13)))));
    let next = Some(Next { unit: 2, skip: Skip::Records(3) });
    assert_eq!(job.records()[0], LedgerRecord::Acked { attempt: A, units: vec![], next });
    job.again(A2);
    assert_eq!(
        job.granted(A2, 9),
        [Granted { unit: 2, skip: Skip::Records(3) }, Granted { unit: 3, skip: Skip::None }]
    );
}

#[test]
fn what_was_acknowledged_is_named_once() {
    let mut begun = Begun::new(from_ack(2, 4));
    begun.job.lease(A, 2);
    let read = Position { ack: Some(Ack::Records(5)), ..position(&[0, 1], 20) };
    begun.tell(Event::Heartbeat(A, read.clone()));
    let mut job = begun.replaced();
    rejoin(&mut job, A, &[0, 1, 0], read, None);
    let Orders::Stop(why) = job.scheduler.orders(A) else { panic!("it goes on") };
    assert!(why.ends_with("says that it holds split 0, which is done or held by another attempt"), "{why}");
}

#[test]
fn what_was_acknowledged_counts_though_its_output_could_not_be_staged_as_the_job_ended() {
    let mut begun = Begun::new(from_ack(2, 4));
    begun.job.lease(A, 1);
    begun.tell(Event::Stop { why: "asked for by user".into() });
    let mut job = begun.replaced();
    // Said before this application master knows what it holds.
    job.tell(Event::StageFailed { attempt: A, why: "no space".into() });
    job.killed(A, Some(Position::of_journal(begins(&[0]), Some(Ack::Records(5)))));
    let next = Some(Next { unit: 0, skip: Skip::Records(5) });
    assert_eq!(job.records().first(), Some(&LedgerRecord::Acked { attempt: A, units: vec![], next }));
}

#[test]
fn a_part_that_is_due_is_the_part_that_is_held() {
    let begun = || {
        let mut begun = Begun::new(from_ack(1, 1));
        begun.job.lease(A, 1);
        let journal = Position::of_journal(begins(&[0]), Some(Ack::Records(2)));
        begun.tell(Event::ContainerEnded { attempt: A, how: End::Signal(9), position: Some(journal) });
        begun.job.tick();
        begun.keep();
        begun.tell(Event::Registered(A2));
        let granted = begun.job.granted(A2, 1);
        assert_eq!(granted, [Granted { unit: 0, skip: Skip::Records(2) }]);
        (begun.replaced(), granted)
    };
    let (mut job, held) = begun();
    job.tell(Event::Rejoined {
        attempt: A2,
        fed: Vec::new(),
        held,
        position: Position::default(),
        exited: None,
    });
    assert_eq!(job.scheduler.orders(A2), Orders::GoOn);
    let (mut job, _) = begun();
    rejoin(&mut job, A2, &[0], Position::default(), None);
    assert!(matches!(job.scheduler.orders(A2), Orders::Stop(why) if why.contains("another part of split 0")));
}

#[test]
fn a_worker_that_gave_back_all_it_had_not_acknowledged_may_still_stage() {
    let begun = || {
        let mut begun = Begun::new(from_ack(2, 3));
        begun.job.lease(A, 3);
        let read = Position { ack: Some(Ack::Records(5)), ..position(&[0, 1, 2], 30) };
        begun.tell(Event::Exited { attempt: A, status: 0, position: read.clone() });
        let mut job = begun.replaced();
        // What it gave back is another's by now.
        rejoin(&mut job, B, &[1], position(&[1], 3), None);
        assert_eq!(job.lease(B, 9), [2]);
        (job, read)
    };
    let (mut job, read) = begun();
    rejoin(&mut job, A, &[0, 1, 2], read.clone(), Some(0));
    assert_eq!(job.scheduler.orders(A), Orders::Stage);
    job.tell(Event::Staged { attempt: A });
    job.done(B, complete(&[1, 2]));
    assert!(job.actions.contains(&Action::Commit(vec![A, B])));
    // It cannot run, though.
    let (mut job, read) = begun();
    rejoin(&mut job, A, &[0, 1, 2], read, None);
    assert!(matches!(job.scheduler.orders(A), Orders::Stop(_)));
    assert_eq!(job.ask(B, 9), Lease::EndOfInput);
}

#[test]
fn a_rejoined_attempt_holds_the_files_dealt_out_to_it() {
    let input = Input::Static { bytes: vec![10, 1, 5, 5] };
    let begun = || {
        let mut begun = Begun::new(Config { input: input.clone(), ..config(2, 4) });
        assert_eq!((begun.job.lease(A, 9), begun.job.lease(B, 9)), (vec![0, 1], vec![2, 3]));
        begun
    };
    let mut first = begun();
    first.tell(Event::Exited { attempt: B, status: 0, position: Position::default() });
    first.tell(Event::Staged { attempt: B });
    let mut job = first.replaced();
    rejoin(&mut job, A, &[0, 1], Position::default(), None);
    assert_eq!(job.ask(A, 9), Lease::EndOfInput);
    job.exited(A, 0, Position::default());
    job.tell(Event::Staged { attempt: A });
    assert!(job.actions.contains(&Action::Commit(vec![A, B])));
    // Lost, its files are the next attempt's, though another worker is done with its own.
    let mut second = begun();
    second.tell(Event::Exited { attempt: B, status: 0, position: Position::default() });
    second.tell(Event::Staged { attempt: B });
    let mut job = second.replaced();
    lost(&mut job, A);
    job.again(A2);
    assert_eq!(job.lease(A2, 9), [0, 1]);
    // Staged under the first application master, and never heard of.
    let mut third = begun();
    third.tell(Event::Exited { attempt: A, status: 0, position: Position::default() });
    let mut job = third.replaced();
    rejoin(&mut job, A, &[0, 1], Position::default(), Some(0));
    assert_eq!(job.scheduler.orders(A), Orders::Stage);
    // Other files are not its own, and neither are none.
    for units in [&[0, 2][..], &[0], &[]] {
        let mut job = begun().replaced();
        rejoin(&mut job, A, units, Position::default(), None);
        assert!(matches!(job.scheduler.orders(A), Orders::Stop(why) if why.contains("other files")));
    }
}

#[test]
fn a_gang_that_was_complete_does_not_wait_again() {
    let gang = Config { gang: Some(Gang { deadline: 50 * SECOND }), ..config(2, 2) };
    let mut job = Begun::new(gang.clone()).replaced();
    rejoin(&mut job, A, &[0], Position::default(), None);
    assert_eq!((job.scheduler.orders(A), job.scheduler.view().gathering), (Orders::GoOn, false));
    lost(&mut job, B);
    assert_eq!(job.lease(A, 9), [1]);
    // One that was not does.
    let mut begun = Begun { job: Job::begun(gang.clone()), config: gang, records: Vec::new() };
    begun.keep();
    begun.tell(Event::Registered(A));
    let mut job = begun.replaced();
    rejoin(&mut job, A, &[], Position::default(), None);
    assert_eq!(
        (job.scheduler.orders(A), job.scheduler.wake_at()),
        (Orders::WaitForOthers, Some(30 * SECOND))
    );
    job.tell(Event::Registered(B));
    assert!(job.actions.contains(&Action::GangReady));
}

#[test]
fn a_job_that_was_stopped_ends_under_another_master() {
    let mut begun = Begun::new(config(2, 2));
    begun.job.lease(A, 1);
    begun.tell(Event::Stop { why: "asked for by user".into() });
    let mut job = begun.replaced();
    let verdict = Verdict::Stopped { why: "asked for by user".into() };
    assert_eq!(job.scheduler.view().verdict, Some(verdict.clone()));
    assert!(job.actions.contains(&Action::EndContainer(A, "the job ends".into())));
    assert_eq!(job.records(), []);
    rejoin(&mut job, A, &[0], position(&[0], 1), None);
    assert_eq!(job.scheduler.orders(A), Orders::Stop("the job ends".into()));
    assert_eq!(job.ask(A, 1), Lease::Refused(Refusal::JobEnds));
    job.gone(A);
    lost(&mut job, B);
    assert_eq!(job.verdict(), Some(verdict));
}

#[test]
fn a_job_is_stopped_or_out_of_time_while_its_workers_are_expected() {
    let begun = || Begun::new(Config { job_timeout: Some(40 * SECOND), ..config(2, 2) });
    let mut job = begun().replaced();
    rejoin(&mut job, A, &[0], position(&[0], 1), None);
    job.tell(Event::Stop { why: "asked for by user".into() });
    job.gone(A);
    assert_eq!(job.verdict(), None);
    lost(&mut job, B);
    assert!(matches!(job.verdict(), Some(Verdict::Stopped { .. })));
    let mut job = begun().replaced();
    job.now = 40 * SECOND;
    job.tell(Event::Tick);
    lost(&mut job, A);
    lost(&mut job, B);
    assert!(matches!(job.verdict(), Some(Verdict::Failed { .. })));
    assert!(job.actions.contains(&Action::Abort));
}

#[test]
fn a_commit_cut_short_is_finished_whatever_still_runs() {
    let mut begun = Begun::new(config(2, 2));
    begun.job.lease(A, 2);
    for (whose, units) in [(A, &[0, 1][..]), (B, &[])] {
        begun.tell(Event::Exited { attempt: whose, status: 0, position: complete(units) });
        begun.tell(Event::Staged { attempt: whose });
    }
    assert!(matches!(begun.records.last(), Some(LedgerRecord::CommitBegun { .. })));
    let mut job = begun.replaced();
    assert!(job.actions.contains(&Action::Commit(vec![A, B])));
    assert_eq!(job.records(), []);
    // An agent that has not heard that its word was taken says it again.
    job.tell(Event::Staged { attempt: B });
    assert_eq!((&job.actions[..], job.scheduler.orders(B)), (&[][..], Orders::GoOn));
    job.gone(A);
    job.tell(Event::Committed);
    assert_eq!(job.records(), [LedgerRecord::Committed {}]);
    assert!(job.actions.contains(&Action::EndContainer(B, "the job ends".into())));
    lost(&mut job, B);
    assert_eq!(job.verdict(), Some(Verdict::Succeeded));
}

#[test]
fn what_was_read_before_an_early_end_is_kept_under_another_master() {
    let mut begun =
        Begun::new(Config { early_exit: EarlyExit::Ok, on_restart: OnRestart::ReplayAll, ..config(2, 4) });
    begun.job.lease(A, 3);
    // Unit 0 read, unit 1 in part, unit 2 not: that one went back and to the other.
    begun.tell(Event::Exited { attempt: A, status: 0, position: position(&[0, 1, 2], 15) });
    assert_eq!(begun.job.lease(B, 1), [2]);
    let mut job = begun.replaced();
    rejoin(&mut job, B, &[2], position(&[2], 10), None);
    rejoin(&mut job, A, &[0, 1, 2], position(&[0, 1, 2], 15), Some(0));
    assert_eq!(job.scheduler.orders(A), Orders::Stage);
    assert_eq!(job.lease(B, 9), [3]);
    job.tell(Event::Staged { attempt: A });
    let partly = Some(forebay_scheduler::Partly { unit: 1, byte: 5 });
    assert_eq!(job.records()[0], LedgerRecord::Done { attempt: A, units: vec![0..2], partly });
}

#[test]
fn what_left_the_pipe_long_ago_is_named_alone() {
    let back = |fed: &[u64]| {
        let mut begun = Begun::new(config(2, 6));
        assert_eq!((begun.job.lease(A, 4), begun.job.lease(B, 1)), (vec![0, 1, 2, 3], vec![4]));
        let mut job = begun.replaced();
        rejoin(&mut job, B, &[4], position(&[4], 1), None);
        let position = Position { begins: begins(&[0, 1, 2]).split_off(2), ..position(&[0, 1, 2], 25) };
        let (fed, held) = (fed.to_vec(), whole(&[2, 3]));
        job.tell(Event::Rejoined { attempt: A, fed, held, position, exited: None });
        job
    };
    let mut job = back(&[0, 1]);
    assert_eq!(job.told(), ["worker 0 (attempt 1) is back and holds 4 splits"]);
    let view = job.scheduler.view();
    assert_eq!((view.workers[0].fed, view.workers[0].leased), (2, 2));
    assert_eq!(job.lease(A, 9), [5]);
    let rest = Position { begins: begins(&[0, 1, 2, 3, 5]).split_off(2), ..complete(&[0, 1, 2, 3, 5]) };
    job.done(A, rest);
    let done = LedgerRecord::Done { attempt: A, units: vec![0..4, 5..6], partly: None };
    assert!(job.records().contains(&done), "{:?}", job.records());
    // Dead, it has been fed all of it.
    let mut job = back(&[0, 1]);
    job.killed(A, None);
    assert_eq!(job.records()[0], returned(A, vec![0..3]));
    // Nobody holds what another holds, or the same twice.
    for lie in [&[4][..], &[0, 0], &[2], &[6]] {
        let job = back(lie);
        assert!(matches!(job.scheduler.orders(A), Orders::Stop(_)), "{lie:?}");
    }
}
