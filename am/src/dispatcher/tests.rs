//! What agents are answered: a dispatcher whose containers are never started.

use std::fs;
use std::path::Path;

use forebay_protocol::Token;
use forebay_protocol::v1::lease_reply::Reply;
use tokio::sync::oneshot;

use super::*;
use crate::checkpoint::LocalCheckpoint;
use crate::engine::{Address, LocalEngine};
use crate::socket::Socket;

const A: Attempt = Attempt { index: 0, number: 1 };

/// Of a job whose one worker has registered. There are ten splits.
fn dispatcher(room: &Path) -> Dispatcher {
    let input = room.join("input");
    fs::write(&input, "nine of 10\n".repeat(10)).unwrap();
    let text = format!("command = ['true']\ninput = ['{}']\nsplit-size = 11\n", input.display());
    let mut job = Job::from_toml(&text).unwrap();
    let plan = JobPlan::new("job_20200101_000000_abcd", &mut job).unwrap();
    let path = room.join("job");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("job.toml"), text).unwrap();
    let folder = JobFolder::open(&path).unwrap();
    let mut scheduler = Scheduler::new(crate::job::config(&job, &plan)).unwrap();
    scheduler.handle(Duration::ZERO, Event::Start);
    scheduler.handle(Duration::ZERO, Event::Registered(A));
    let mut seen = AllSeen::default();
    seen.start(A);
    let address = Address {
        folder: folder.clone(),
        job: plan.job_id().to_owned(),
        socket: Socket::new(&folder).unwrap(),
        token: Token::new([7; 32]),
    };
    Dispatcher {
        job,
        plan,
        scheduler,
        checkpoint: Checkpoint::Local(LocalCheckpoint::open(&folder).unwrap()),
        teller: Teller::new(&folder, std::sync::mpsc::channel().0).unwrap(),
        folder,
        engine: Engine::Local(Box::new(LocalEngine::new(address).unwrap())),
        calls: mpsc::channel(1).1,
        tasks: mpsc::unbounded_channel().0,
        done: mpsc::unbounded_channel().1,
        outputs: Vec::new(),
        stop: Arc::new(Stop::new().unwrap()),
        clock: Clock::start(),
        seen,
        started: id::now(),
        status: 1,
        events: VecDeque::new(),
        effects: VecDeque::new(),
        verdict: None,
        pending: 0,
        manner: Manner::local(),
        waiting: Vec::new(),
    }
}

type Asked = oneshot::Receiver<Result<v1::LeaseReply, Status>>;

fn asks(dispatcher: &mut Dispatcher, have: u64) -> Asked {
    let (answer, asked) = oneshot::channel();
    let attempt = Some(v1::Attempt { index: A.index, number: A.number });
    dispatcher.call(Call::Lease(v1::LeaseRequest { attempt, max: 2, have, ahead: 0 }, answer)).unwrap();
    asked
}

/// The units granted, or why there are none.
async fn answer(dispatcher: &mut Dispatcher, have: u64) -> Result<Vec<u64>, String> {
    let asked = asks(dispatcher, have);
    dispatcher.settle().await.unwrap();
    match asked.await.unwrap().unwrap().reply.unwrap() {
        Reply::Leases(leases) => Ok(leases.splits.iter().map(|split| split.unit).collect()),
        Reply::Stop(stop) => Err(stop.reason),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_that_was_not_heard_is_given_again() {
    let room = tempfile::tempdir().unwrap();
    let mut dispatcher = dispatcher(room.path());
    for have in [0, 2, 4] {
        // Who asked is gone before there is an answer, and once there is one.
        drop(asks(&mut dispatcher, have));
        dispatcher.settle().await.unwrap();
        let asked = asks(&mut dispatcher, have);
        dispatcher.settle().await.unwrap();
        drop(asked);
        // It does not get through.
        let lost = answer(&mut dispatcher, have).await;
        assert_eq!(lost, Ok(vec![have, have + 1]));
        assert_eq!(answer(&mut dispatcher, have).await, lost);
    }
    let refused = answer(&mut dispatcher, 3).await.unwrap_err();
    assert_eq!(refused, "this attempt says that it was granted 3 splits so far, and it was granted 6");
    assert_eq!(answer(&mut dispatcher, 6).await, Ok(vec![6, 7]));
}
