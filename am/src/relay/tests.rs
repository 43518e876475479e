//! Logs from an agent to clients.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_protocol::{Agent, Client, LONGEST_PIECE, v1};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tonic::{Code, Streaming};

use super::READERS;
use crate::service::played::{Served, heartbeat, in_time, offer, reading, wanted};

/// An agent that has these files, by name, and answers from them.
struct Logs {
    files: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    is_over: Arc<Mutex<bool>>,
    task: JoinHandle<()>,
}

async fn logs(agent: &mut Agent, number: u32, files: &[(&str, &[u8])]) -> Logs {
    let files = files.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec()));
    let files = Arc::new(Mutex::new(files.collect::<HashMap<_, _>>()));
    let is_over = Arc::new(Mutex::new(false));
    let (answers, questions) = offer(agent, 0, number).await;
    let (theirs, over) = (Arc::clone(&files), Arc::clone(&is_over));
    let task = tokio::spawn(answer(answers, questions, move |question| {
        let over = *over.lock().unwrap();
        let file = theirs.lock().unwrap().get(&question.name).cloned().unwrap_or_default();
        let len = i64::try_from(file.len()).unwrap();
        let offset = question.offset;
        let from = usize::try_from(if offset < 0 { len + offset } else { offset }.max(0)).unwrap();
        let to = (from + usize::try_from(question.max).unwrap()).min(file.len());
        let data = file.get(from..to).unwrap_or_default().to_vec();
        let (offset, len) = (u64::try_from(from).unwrap(), u64::try_from(len).unwrap());
        v1::LogData { offset, data, len, over, ..Default::default() }
    }));
    Logs { files, is_over, task }
}

/// Answers all questions.
async fn answer(
    answers: mpsc::Sender<v1::LogData>,
    mut questions: Streaming<v1::LogWanted>,
    with: impl Fn(&v1::LogWanted) -> v1::LogData,
) {
    while let Ok(Some(question)) = questions.message().await {
        let data = v1::LogData { id: question.id, ..with(&question) };
        if answers.send(data).await.is_err() {
            return;
        }
    }
}

/// Reads until there is so much of a log, or its end.
async fn take(log: &mut Streaming<v1::LogsReply>, most: usize) -> Vec<u8> {
    let mut taken = Vec::new();
    while taken.len() < most
        && let Some(reply) = in_time(log.message()).await.unwrap()
    {
        taken.extend(reply.data);
    }
    taken
}

async fn code(client: &mut Client, request: v1::LogsRequest) -> Code {
    match in_time(client.logs(request)).await {
        Ok(log) => in_time(log.into_inner().message()).await.unwrap_err().code(),
        Err(status) => status.code(),
    }
}

fn text(len: usize) -> Vec<u8> {
    (0..).flat_map(|n: usize| format!("line {n}\n").into_bytes()).take(len).collect()
}

#[tokio::test]
async fn a_log_arrives_from_where_it_was_asked_for() {
    let am = Served::new().await;
    let (mut agent, mut client) = (am.agent().await, am.client().await);
    // Over several pieces.
    let (out, err) = (text(3 * LONGEST_PIECE + 17), b"oh".as_slice());
    let _logs = logs(&mut agent, 1, &[("stdout", &out), ("stderr", err)]).await;
    assert!(take(&mut reading(&mut client, "stdout", 0, false).await, usize::MAX).await == out);
    let mut tail = reading(&mut client, "stdout", -10, false).await;
    let first = in_time(tail.message()).await.unwrap().unwrap();
    assert_eq!((first.number, first.offset), (1, out.len() as u64 - 10));
    assert_eq!(first.data, out[out.len() - 10..]);
    assert!(in_time(tail.message()).await.unwrap().is_none());
    assert_eq!(take(&mut reading(&mut client, "stderr", -10, false).await, usize::MAX).await, err);
    assert_eq!(take(&mut reading(&mut client, "stderr", 1, false).await, usize::MAX).await, b"h");
    // A file that is not there yet, and a place behind the end: an empty piece, that says so much.
    for (name, offset) in [("agent.log", 0), ("stderr", 7)] {
        let mut log = reading(&mut client, name, offset, false).await;
        let first = in_time(log.message()).await.unwrap().unwrap();
        assert_eq!((first.offset, first.data.len()), (u64::try_from(offset).unwrap(), 0));
        assert!(in_time(log.message()).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn several_follow_a_log_until_it_is_over() {
    let am = Served::new().await;
    let mut agent = am.agent().await;
    let (mut one, mut other) = (am.client().await, am.client().await);
    let logs = logs(&mut agent, 1, &[("stdout", b"one ")]).await;
    let mut from_start = reading(&mut one, "stdout", 0, true).await;
    let mut from_end = reading(&mut other, "stdout", -2, true).await;
    assert_eq!(take(&mut from_start, 4).await, b"one ");
    assert_eq!(take(&mut from_end, 2).await, b"e ");
    logs.files.lock().unwrap().get_mut("stdout").unwrap().extend(b"two ");
    assert_eq!(take(&mut from_start, 4).await, b"two ");
    logs.files.lock().unwrap().get_mut("stdout").unwrap().extend(b"three");
    *logs.is_over.lock().unwrap() = true;
    assert_eq!(take(&mut from_start, usize::MAX).await, b"three");
    assert_eq!(take(&mut from_end, usize::MAX).await, b"two three");
}

#[tokio::test]
async fn what_is_no_log_is_refused() {
    let am = Served::new().await;
    let (mut agent, mut client) = (am.agent().await, am.client().await);
    let content = b"secret".as_slice();
    let names = ["../stdout", "/etc/passwd", "stdout/", "", "acks", "STDOUT", "agent.log\0"];
    let mut files: Vec<_> = names.map(|name| (name, content)).into();
    files.push(("stdout", content));
    let _logs = logs(&mut agent, 1, &files).await;
    assert_eq!(take(&mut reading(&mut client, "stdout", 0, false).await, usize::MAX).await, content);
    for name in names {
        assert_eq!(code(&mut client, wanted(name, 0, false)).await, Code::InvalidArgument, "{name:?}");
    }
    for (index, number) in [(0, 2), (1, 0), (1, 1), (u32::MAX, u32::MAX)] {
        let request = v1::LogsRequest { index, number, ..wanted("stdout", 0, true) };
        assert_eq!(code(&mut client, request).await, Code::NotFound, "{index} {number}");
    }
}

#[tokio::test]
async fn an_agent_that_goes_away_is_told_and_its_successor_is_found() {
    let am = Served::new().await;
    let (mut first, mut second) = (am.agent().await, am.agent().await);
    let mut client = am.client().await;
    let gone = logs(&mut first, 1, &[("stdout", b"first")]).await;
    let mut log = reading(&mut client, "stdout", 0, true).await;
    assert_eq!(take(&mut log, 5).await, b"first");
    // The next attempt comes while the earlier one is still there.
    let next = logs(&mut second, 2, &[("stdout", b"second")]).await;
    let mut of_next = Vec::new();
    while of_next != b"second" {
        of_next = take(&mut reading(&mut client, "stdout", 0, false).await, usize::MAX).await;
    }
    let earlier = v1::LogsRequest { number: 1, ..wanted("stdout", 0, false) };
    let mut earlier_log = client.logs(earlier.clone()).await.unwrap().into_inner();
    assert_eq!(take(&mut earlier_log, usize::MAX).await, b"first");
    gone.task.abort();
    let status = in_time(log.message()).await.unwrap_err();
    assert_eq!((status.code(), status.message().contains("worker 0, attempt 1")), (Code::Unavailable, true));
    assert_eq!(code(&mut client, earlier).await, Code::NotFound);
    // Another connection of the same attempt takes the place of the one that is lost.
    let mut log = reading(&mut client, "stdout", 0, true).await;
    assert_eq!(take(&mut log, 6).await, b"second");
    let _again = logs(&mut first, 2, &[("stdout", b"again")]).await;
    assert_eq!(in_time(log.message()).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(take(&mut reading(&mut client, "stdout", 0, false).await, usize::MAX).await, b"again");
    in_time(next.task).await.unwrap();
}

#[tokio::test]
async fn an_agent_that_answers_what_it_was_not_asked_is_not_believed() {
    let am = Served::new().await;
    let (mut agent, mut client) = (am.agent().await, am.client().await);
    let (answers, questions) = offer(&mut agent, 0, 1).await;
    tokio::spawn(answer(answers, questions, |question| match question.name.as_str() {
        "stdout" => v1::LogData { offset: 5, data: b"elsewhere".to_vec(), len: 100, ..Default::default() },
        "stderr" => v1::LogData { data: vec![0; LONGEST_PIECE + 1], len: 1 << 30, ..Default::default() },
        _ => v1::LogData { error: Some("Permission denied".into()), ..Default::default() },
    }));
    for name in ["stdout", "stderr"] {
        let status = in_time(reading(&mut client, name, 0, true).await.message()).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal, "{status}");
    }
    let status = in_time(reading(&mut client, "agent.log", 0, true).await.message()).await.unwrap_err();
    assert!(status.message().contains("agent.log cannot be read: Permission denied"), "{status}");
    // One that does not say who it is.
    let mut questions =
        agent.logs(futures_util::stream::iter([v1::LogData::default()])).await.unwrap().into_inner();
    assert_eq!(in_time(questions.message()).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn readers_are_so_many_and_give_their_places_back() {
    let am = Served::new().await;
    let (mut agent, mut client) = (am.agent().await, am.client().await);
    let _logs = logs(&mut agent, 1, &[("stdout", b"x")]).await;
    let mut readers = Vec::new();
    for _ in 0..READERS.0 {
        let mut log = reading(&mut client, "stdout", 0, true).await;
        assert_eq!(take(&mut log, 1).await, b"x");
        readers.push(log);
    }
    assert_eq!(code(&mut client, wanted("stdout", 0, true)).await, Code::ResourceExhausted);
    readers.pop();
    in_time(async {
        while let Err(status) = client.logs(wanted("stdout", 0, true)).await {
            assert_eq!(status.code(), Code::ResourceExhausted);
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// A log far longer than what may be in memory, read by one who takes his time.
#[tokio::test]
async fn a_slow_reader_keeps_nobody_and_no_memory() {
    const LEN: usize = 100 << 20;
    let byte = |at: usize| u8::try_from(at % 251).unwrap();
    let am = Served::new().await;
    let (mut agent, mut client) = (am.agent().await, am.client().await);
    let (answers, questions) = offer(&mut agent, 0, 1).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(answer(answers, questions, move |question| {
        count.fetch_add(1, Ordering::SeqCst);
        let from = usize::try_from(question.offset).unwrap();
        let data = (from..LEN.min(from + LONGEST_PIECE)).map(byte).collect();
        v1::LogData { offset: from as u64, data, len: LEN as u64, ..Default::default() }
    }));
    let mut log = reading(&mut client, "stdout", 0, false).await;
    let (mut at, mut most) = (0, 0);
    let mut check = |reply: &v1::LogsReply| {
        assert_eq!(reply.offset, at as u64);
        assert!(reply.data.iter().enumerate().all(|(n, &b)| b == byte(at + n)), "at {at}");
        at += reply.data.len();
        // Asked for and not yet taken.
        most = most.max(asked.load(Ordering::SeqCst) * LONGEST_PIECE - at);
        at
    };
    check(&in_time(log.message()).await.unwrap().unwrap());
    // He stops. The agent goes on speaking with the application master, in the connection that the log takes too.
    for _ in 0..200 {
        in_time(agent.heartbeat(heartbeat())).await.unwrap();
        sleep(Duration::from_millis(5)).await;
    }
    while let Some(reply) = in_time(log.message()).await.unwrap() {
        check(&reply);
    }
    assert_eq!(at, LEN);
    assert!(most < 8 << 20, "{most} bytes were on their way");
}
