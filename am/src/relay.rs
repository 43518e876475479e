//! Logs of attempts for clients: a client's wish is turned into questions to the agent, piece by piece, as fast as the
//! client takes them. Of each log that is read there is one piece on its way.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use forebay_protocol::{LONGEST_PIECE, v1};
use forebay_scheduler::Attempt;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tonic::{Status, Streaming};

use crate::convert;

/// How long an agent may take to say whose logs it offers.
const INTRODUCTION: Duration = Duration::from_secs(10);
/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(30);
/// Between two looks whether something was written.
const LOOK: Duration = Duration::from_millis(250);
/// Readers of one attempt's logs at a time, and of all.
const READERS: (usize, usize) = (8, 256);

/// A question to an agent, or why there are no more.
pub(crate) type Wanted = Result<v1::LogWanted, Status>;

/// The agents that can be asked. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct LogRelay {
    seats: Arc<Mutex<Seats>>,
    readers: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Seats {
    open: BTreeMap<Attempt, Seat>,
    /// Names seats and questions.
    last: u64,
}

/// An agent.
#[derive(Debug)]
struct Seat {
    id: u64,
    wanted: mpsc::Sender<Wanted>,
    answers: HashMap<u64, oneshot::Sender<v1::LogData>>,
    readers: Arc<Semaphore>,
}

impl LogRelay {
    pub(crate) fn new() -> Self {
        Self { seats: Arc::default(), readers: Arc::new(Semaphore::new(READERS.1)) }
    }

    /// An agent offers its logs. Gives the questions to it.
    pub(crate) fn offered(&self, from: Streaming<v1::LogData>) -> mpsc::Receiver<Wanted> {
        let (wanted, questions) = mpsc::channel(READERS.0);
        tokio::spawn(self.clone().attend(from, wanted));
        questions
    }

    /// Takes an agent's answers until it goes away.
    async fn attend(self, mut from: Streaming<v1::LogData>, wanted: mpsc::Sender<Wanted>) {
        let first = timeout(INTRODUCTION, from.message()).await;
        let Ok(Ok(Some(v1::LogData { attempt: Some(attempt), .. }))) = first else {
            let unknown = Status::invalid_argument("an agent says first whose logs it offers");
            let _ = wanted.try_send(Err(unknown));
            return;
        };
        let attempt = convert::attempt(attempt);
        let id = self.sit(attempt, wanted);
        while let Ok(Some(data)) = from.message().await {
            let answer = {
                let mut seats = self.seats();
                let seat = seats.open.get_mut(&attempt).filter(|seat| seat.id == id);
                seat.and_then(|seat| seat.answers.remove(&data.id))
            };
            // Who has gone meanwhile needs no answer.
            if let Some(answer) = answer {
                let _ = answer.send(data);
            }
        }
        let mut seats = self.seats();
        if seats.open.get(&attempt).is_some_and(|seat| seat.id == id) {
            seats.open.remove(&attempt);
        }
    }

    /// An agent that comes again has lost its earlier connection.
    fn sit(&self, attempt: Attempt, wanted: mpsc::Sender<Wanted>) -> u64 {
        let mut seats = self.seats();
        seats.last += 1;
        let id = seats.last;
        let readers = Arc::new(Semaphore::new(READERS.0));
        seats.open.insert(attempt, Seat { id, wanted, answers: HashMap::new(), readers });
        id
    }

    /// A client wants a log.
    pub(crate) fn read(
        &self,
        request: v1::LogsRequest,
    ) -> Result<impl Stream<Item = Result<v1::LogsReply, Status>> + use<>, Status> {
        let v1::LogsRequest { index, number, name, offset, follow } = request;
        if !forebay_protocol::LOGS.contains(&name.as_str()) {
            let names = forebay_protocol::LOGS.join(", ");
            return Err(Status::invalid_argument(format!("there is no such log; there are {names}")));
        }
        let many = || Status::resource_exhausted("too many read logs at the moment; try again later");
        let place = Arc::clone(&self.readers).try_acquire_owned().map_err(|_| many())?;
        let seats = self.seats();
        let of_worker = Attempt { index, number: 0 }..=Attempt { index, number: u32::MAX };
        let found = if number == 0 {
            seats.open.range(of_worker).next_back()
        } else {
            seats.open.get_key_value(&Attempt { index, number })
        };
        let (&attempt, seat) = found.ok_or_else(|| not_there(index, number))?;
        let seats_place = Arc::clone(&seat.readers).try_acquire_owned().map_err(|_| many())?;
        let reader = Reader {
            relay: self.clone(),
            attempt,
            seat: seat.id,
            name,
            offset,
            follow,
            has_begun: false,
            next: Next::Ask,
            _places: [place, seats_place],
        };
        Ok(unfold(reader, |mut reader| async { reader.next().await.map(|item| (item, reader)) }))
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A log on its way to a client.
struct Reader {
    relay: LogRelay,
    attempt: Attempt,
    seat: u64,
    name: String,
    /// Of the next piece.
    offset: i64,
    follow: bool,
    has_begun: bool,
    next: Next,
    _places: [OwnedSemaphorePermit; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Ask,
    /// All that was there is told.
    Look,
    End,
}

impl Reader {
    /// The next piece; the first may be empty, and says where the log begins.
    async fn next(&mut self) -> Option<Result<v1::LogsReply, Status>> {
        loop {
            match self.next {
                Next::End => return None,
                Next::Look => sleep(LOOK).await,
                Next::Ask => {}
            }
            match self.piece().await {
                Ok(data) if data.data.is_empty() && self.has_begun => {}
                Ok(data) => {
                    self.has_begun = true;
                    let number = self.attempt.number;
                    return Some(Ok(v1::LogsReply { number, offset: data.offset, data: data.data }));
                }
                Err(status) => {
                    self.next = Next::End;
                    return Some(Err(status));
                }
            }
        }
    }

    async fn piece(&mut self) -> Result<v1::LogData, Status> {
        let data = self.ask().await?;
        if let Some(why) = data.error {
            return Err(Status::internal(format!("the log {} cannot be read: {why}", self.name)));
        }
        let is_elsewhere = self.offset >= 0 && u64::try_from(self.offset) != Ok(data.offset);
        let end = i64::try_from(data.offset.saturating_add(data.data.len() as u64));
        let (Ok(end), true) = (end, data.data.len() <= LONGEST_PIECE && !is_elsewhere) else {
            return Err(Status::internal("the agent answers what it was not asked"));
        };
        self.offset = end;
        let is_at_end = data.data.is_empty() || u64::try_from(end).is_ok_and(|end| end >= data.len);
        self.next = match is_at_end {
            false => Next::Ask,
            true if self.follow && !data.over => Next::Look,
            true => Next::End,
        };
        Ok(data)
    }

    async fn ask(&self) -> Result<v1::LogData, Status> {
        let (id, wanted, answered) = {
            let mut seats = self.relay.seats();
            seats.last += 1;
            let id = seats.last;
            let seat = seats.open.get_mut(&self.attempt).filter(|seat| seat.id == self.seat);
            let seat = seat.ok_or_else(|| self.gone())?;
            let (answer, answered) = oneshot::channel();
            // Of readers that have gone.
            seat.answers.retain(|_, answer| !answer.is_closed());
            seat.answers.insert(id, answer);
            (id, seat.wanted.clone(), answered)
        };
        let max = u32::try_from(LONGEST_PIECE).unwrap_or(u32::MAX);
        let question = v1::LogWanted { id, name: self.name.clone(), offset: self.offset, max };
        let asked = async {
            wanted.send(Ok(question)).await.ok()?;
            drop(wanted);
            answered.await.ok()
        };
        match timeout(ANSWER, asked).await {
            Ok(answer) => answer.ok_or_else(|| self.gone()),
            Err(_) => Err(Status::deadline_exceeded(format!(
                "the agent of {} does not answer",
                named(self.attempt.index, self.attempt.number)
            ))),
        }
    }

    fn gone(&self) -> Status {
        let whose = named(self.attempt.index, self.attempt.number);
        Status::unavailable(format!("the agent of {whose} has gone; its logs are in the job's history"))
    }
}

fn not_there(index: u32, number: u32) -> Status {
    let whose = named(index, number);
    Status::not_found(format!(
        "no agent of {whose} is connected; logs of attempts that are over are in the job's history"
    ))
}

fn named(index: u32, number: u32) -> String {
    match number {
        0 => format!("worker {index}"),
        number => format!("worker {index}, attempt {number}"),
    }
}
