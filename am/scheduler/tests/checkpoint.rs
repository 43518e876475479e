//! The ledger's records as they stand in a file, and jobs that go on from them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::single_range_in_vec_init,
    reason = "helpers of tests; records hold lists of ranges"
)]

use core::time::Duration;

use forebay_scheduler::{
    Ack, Action, Ask, Attempt, Begin, Config, Event, Granted, Lease, LedgerRecord, OnRestart, Position,
    ResumeError, Scheduler, Skip, Skipped, Verdict,
};

const PAGE: &str = include_str!("../../../docs/formats/ledger.md");

/// The records that the page shows, by block.
fn examples() -> Vec<Vec<LedgerRecord>> {
    let blocks = PAGE.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(|block| block.lines().map(|line| serde_json::from_str(line).unwrap()).collect()).collect()
}

fn config() -> Config {
    Config::new("job_20260314_092653_5a3c", 2, 6, 1)
}

fn resume(config: Config, records: &[LedgerRecord]) -> Result<Scheduler, ResumeError> {
    Scheduler::resume(config, records.to_vec(), [])
}

fn start(scheduler: &mut Scheduler) -> Vec<Action> {
    scheduler.handle(Duration::ZERO, Event::Start)
}

fn started(actions: &[Action]) -> Vec<Attempt> {
    let attempts = actions.iter().filter_map(|action| match action {
        Action::StartContainer(attempt) => Some(*attempt),
        _ => None,
    });
    attempts.collect()
}

fn lease(scheduler: &mut Scheduler, attempt: Attempt) -> Vec<Granted> {
    scheduler.handle(Duration::ZERO, Event::Registered(attempt));
    match scheduler.lease(Duration::ZERO, attempt, Ask { max: 100, have: 0, ahead: 0, at: None }) {
        Lease::Granted(granted) => granted,
        other => panic!("{other:?}"),
    }
}

const fn attempt(index: u32, number: u32) -> Attempt {
    Attempt { index, number }
}

#[test]
fn the_page_shows_every_record_as_it_is_written() {
    let lines = PAGE.lines().filter(|line| line.starts_with("{\"record\""));
    let mut seen = std::collections::BTreeSet::new();
    for line in lines {
        let record: LedgerRecord = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), line);
        seen.insert(line.split('"').nth(3).unwrap().to_owned());
    }
    let kinds =
        PAGE.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|rest| rest.split('`').next());
    let kinds: std::collections::BTreeSet<_> =
        kinds.filter(|&kind| kind != "record").map(str::to_owned).collect();
    assert_eq!(kinds.difference(&seen).collect::<Vec<_>>(), ["aborted"]);
}

#[test]
fn a_resumed_job_takes_up_what_is_not_done_on_indexes_that_are_free() {
    let records = &examples()[0];
    // Behind: worker 0 is done, worker 1 runs its second attempt.
    let mut scheduler = resume(Config { workers: 3, ..config() }, &records[..7]).unwrap();
    let actions = start(&mut scheduler);
    assert_eq!(started(&actions), [attempt(1, 3), attempt(2, 1), attempt(3, 1)]);
    assert_eq!(actions[..2], [1, 2].map(|number| Action::DiscardOutput(attempt(1, number))));
    assert_eq!(lease(&mut scheduler, attempt(2, 1)), [Granted { unit: 5, skip: Skip::None }]);
    let view = scheduler.view();
    assert_eq!((view.done_before, view.units.done, view.again.first), (vec![attempt(0, 1)], 5, vec![2]));
}

#[test]
fn a_resumed_job_finishes_a_commit_and_does_no_more() {
    let records = &examples()[0];
    let commit = Action::Commit(vec![attempt(0, 1), attempt(1, 2)]);
    for (upto, record_first) in [(8, true), (9, false)] {
        let mut scheduler = resume(config(), &records[..upto]).unwrap();
        let actions = start(&mut scheduler);
        assert_eq!((started(&actions), actions.contains(&commit)), (vec![], true));
        let begun = |action: &Action| matches!(action, Action::Record(LedgerRecord::CommitBegun { .. }));
        assert_eq!(actions.iter().any(begun), record_first);
        let actions = scheduler.handle(Duration::ZERO, Event::Committed);
        assert_eq!(actions[0], Action::Record(LedgerRecord::Committed {}));
        assert_eq!(actions.last(), Some(&Action::Finish(Verdict::Succeeded)));
    }
    let actions = start(&mut resume(config(), records).unwrap());
    assert_eq!(actions.last(), Some(&Action::Finish(Verdict::Succeeded)));
    assert!(!actions.contains(&commit));
}

#[test]
fn a_job_without_input_resumes_the_workers_that_are_not_done() {
    let mut records = vec![examples()[0][0].clone()];
    records[0] = LedgerRecord::Header { version: 1, job: config().job, splits: 0, epochs: 1 };
    records.push(LedgerRecord::Started { attempt: attempt(0, 1) });
    records.push(LedgerRecord::Done { attempt: attempt(0, 1), units: vec![], partly: None });
    let mut scheduler = resume(Config { splits_per_epoch: 0, ..config() }, &records).unwrap();
    assert_eq!(started(&start(&mut scheduler)), [attempt(1, 1)]);
}

#[test]
fn what_was_acknowledged_before_the_master_died_is_not_fed_again() {
    let config = Config { on_restart: OnRestart::FromAck, ..config() };
    let examples = examples();
    let mut records = examples[0][..2].to_vec();
    records.extend(examples[1].clone());
    // The next attempt went on behind record 7 of unit 1, and had acknowledged three records more.
    records.push(LedgerRecord::Started { attempt: attempt(0, 2) });
    let begin = |unit, records, skipped| Begin { unit, bytes: records, records, skipped };
    let begins = vec![begin(1, 0, Skipped { bytes: 70, records: 7 }), begin(2, 9, Skipped::default())];
    let journal = Position::of_journal(begins, Some(Ack::Records(3)));
    let left = [(attempt(0, 2), journal.clone()), (attempt(0, 1), journal)];
    let mut scheduler = Scheduler::resume(config, records, left).unwrap();
    let actions = start(&mut scheduler);
    let Action::Record(record) = &actions[0] else { panic!("{actions:?}") };
    let json = r#"{"record":"acked","attempt":{"index":0,"number":2},"units":[],"next":{"unit":1,"skip":{"records":10}}}"#;
    assert_eq!(serde_json::to_string(record).unwrap(), json);
    let granted = lease(&mut scheduler, started(&actions)[0]);
    assert_eq!(granted[0], Granted { unit: 1, skip: Skip::Records(10) });
    assert_eq!(granted[1..], [2, 3, 4, 5].map(|unit| Granted { unit, skip: Skip::None }));
}

#[test]
fn a_ledger_that_cannot_be_trusted_is_refused() {
    let whole = examples().swap_remove(0);
    let refused = |records: &[LedgerRecord]| resume(config(), records).unwrap_err();
    assert_eq!(refused(&[]), ResumeError::Header { at: 1 });
    assert_eq!(refused(&whole[1..]), ResumeError::Header { at: 1 });
    let with = |record: LedgerRecord| [&whole[..7], &[record]].concat();
    assert_eq!(refused(&with(whole[0].clone())), ResumeError::Header { at: 8 });
    assert_eq!(refused(&with(whole[6].clone())), ResumeError::Attempt { at: 8, attempt: attempt(0, 1) });
    assert_eq!(refused(&with(whole[5].clone())), ResumeError::Attempt { at: 8, attempt: attempt(1, 2) });
    let done =
        |start, end| LedgerRecord::Done { attempt: attempt(1, 2), units: vec![start..end], partly: None };
    assert_eq!(refused(&with(done(4, 6))), ResumeError::Unit { at: 8, unit: 4 });
    assert_eq!(refused(&with(done(5, u64::MAX))), ResumeError::Unit { at: 8, unit: 6 });
    let aborted = LedgerRecord::Aborted { why: "restarts".into() };
    assert_eq!(refused(&with(aborted)), ResumeError::Aborted { why: "restarts".into() });
    let header =
        |version, job: &str, splits| LedgerRecord::Header { version, job: job.into(), splits, epochs: 1 };
    let job = config().job;
    assert_eq!(refused(&[header(2, &job, 6)]), ResumeError::Version { version: 2 });
    assert!(matches!(refused(&[header(1, "job_2", 6)]), ResumeError::Job { .. }));
    assert!(matches!(refused(&[header(1, &job, 7)]), ResumeError::Plan { splits: 7, .. }));
    let unknown = [r#"{"record":"committed","by":"me"}"#, r#"{"record":"paused"}"#];
    assert!(unknown.iter().all(|line| serde_json::from_str::<LedgerRecord>(line).is_err()));
}
