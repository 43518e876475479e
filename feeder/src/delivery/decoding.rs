//! A thread that decodes ahead of delivery.
//!
//! The delivering thread puts stored bytes into one bounded queue and takes decoded ones out of another. It never waits for
//! the decoder alone: an eventfd tells of room and of bytes, and is waited for together with the stop event and the worker.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use forebay_decode::{DecodeError, Decoder};
use rustix::event::{EventfdFlags, PollFlags, eventfd};

use crate::sink::{Halt, Watch, wait_for};

/// Pieces of stored bytes that wait to be decoded, at most.
const PIECES_AHEAD: usize = 8;
/// Bytes of such a piece, at most.
const PIECE: usize = 256 << 10;
/// Buffers of decoded bytes that wait to be delivered, at most.
const BUFFERS_AHEAD: usize = 16;
/// Bytes of such a buffer.
const BUFFER: usize = 256 << 10;

/// Why decoding goes no further.
pub(super) enum Broken {
    Halted(Halt),
    Failed(DecodeError),
    /// The thread has ended without a word.
    Gone,
}

impl From<Halt> for Broken {
    fn from(halt: Halt) -> Self {
        Self::Halted(halt)
    }
}

enum Order {
    Begin(Decoder),
    Bytes(Vec<u8>),
    End,
}

enum Answer {
    Bytes(Vec<u8>),
    /// All of the file was given.
    End,
    Failed(DecodeError),
}

/// The delivering thread's end.
pub(super) struct Decoding {
    /// `None` only when it is dropped; so is `answers`.
    orders: Option<SyncSender<Order>>,
    answers: Option<Receiver<Answer>>,
    /// Buffers to be used again.
    spare: SyncSender<Vec<u8>>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

/// The decoding thread's end. Dropped in this order: who is woken at last sees that nothing more comes.
struct Bench {
    orders: Receiver<Order>,
    answers: SyncSender<Answer>,
    spare: Receiver<Vec<u8>>,
    bell: Bell,
}

/// Wakes the delivering thread.
struct Bell(Arc<OwnedFd>);

impl Bell {
    fn ring(&self) {
        // Fails only when the counter is full, and then it is readable.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.ring();
    }
}

impl Decoding {
    pub(super) fn start() -> io::Result<Self> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (orders, taken) = sync_channel(PIECES_AHEAD);
        let (given, answers) = sync_channel(BUFFERS_AHEAD);
        let (spare, unused) = sync_channel(BUFFERS_AHEAD);
        let bell = Bell(Arc::clone(&wake));
        let bench = Bench { orders: taken, answers: given, spare: unused, bell };
        let thread = thread::Builder::new().name("forebay-decode".into()).spawn(move || bench.run())?;
        Ok(Self { orders: Some(orders), answers: Some(answers), spare, wake, thread: Some(thread) })
    }

    /// The next bytes are for this decoder. Called when nothing is under way.
    pub(super) fn begin(&mut self, decoder: Decoder) -> Result<(), Broken> {
        let sent = self.orders.as_ref().map(|orders| orders.try_send(Order::Begin(decoder)));
        if let Some(Ok(())) = sent { Ok(()) } else { Err(Broken::Gone) }
    }

    /// Has bytes decoded, and passes on what has come of earlier ones.
    pub(super) fn decode(
        &mut self,
        bytes: &[u8],
        watch: &Watch,
        mut take: impl FnMut(&[u8]) -> Result<(), Halt>,
    ) -> Result<(), Broken> {
        for piece in bytes.chunks(PIECE) {
            self.order(Order::Bytes(piece.to_vec()), watch, &mut take)?;
            while let Some(answer) = self.answer()? {
                self.pass(answer, &mut take)?;
            }
        }
        Ok(())
    }

    /// The file has ended: passes on all that is still to come.
    pub(super) fn finish(
        &mut self,
        watch: &Watch,
        mut take: impl FnMut(&[u8]) -> Result<(), Halt>,
    ) -> Result<(), Broken> {
        self.order(Order::End, watch, &mut take)?;
        loop {
            match self.answer()? {
                Some(Answer::End) => return Ok(()),
                Some(answer) => self.pass(answer, &mut take)?,
                None => self.wait(watch)?,
            }
        }
    }

    /// Gives an order, and passes on what comes until there is room for it.
    fn order(
        &mut self,
        mut order: Order,
        watch: &Watch,
        take: &mut impl FnMut(&[u8]) -> Result<(), Halt>,
    ) -> Result<(), Broken> {
        loop {
            let orders = self.orders.as_ref().ok_or(Broken::Gone)?;
            match orders.try_send(order) {
                Ok(()) => return Ok(()),
                // Why it has gone is among the answers.
                Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => order = back,
            }
            match self.answer()? {
                Some(answer) => self.pass(answer, take)?,
                None => self.wait(watch)?,
            }
        }
    }

    /// The next answer, if it is there.
    fn answer(&self) -> Result<Option<Answer>, Broken> {
        match self.answers.as_ref().map(Receiver::try_recv) {
            Some(Ok(answer)) => Ok(Some(answer)),
            Some(Err(TryRecvError::Empty)) => Ok(None),
            Some(Err(TryRecvError::Disconnected)) | None => Err(Broken::Gone),
        }
    }

    fn pass(&self, answer: Answer, take: &mut impl FnMut(&[u8]) -> Result<(), Halt>) -> Result<(), Broken> {
        match answer {
            Answer::Bytes(bytes) => {
                take(&bytes)?;
                // Where there are enough, one more is of no use.
                let _ = self.spare.try_send(bytes);
                Ok(())
            }
            Answer::Failed(error) => Err(Broken::Failed(error)),
            Answer::End => Err(Broken::Gone),
        }
    }

    /// Waits for room or for bytes.
    fn wait(&self, watch: &Watch) -> Result<(), Halt> {
        wait_for(watch, &*self.wake, PollFlags::IN, None)?;
        let _ = rustix::io::read(&*self.wake, &mut [0; 8]);
        Ok(())
    }
}

impl Drop for Decoding {
    /// Whatever the thread is about to take or to give, it finds nobody there and ends.
    fn drop(&mut self) {
        (self.orders, self.answers) = (None, None);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Nobody takes answers any more.
struct Over;

impl Bench {
    fn run(self) {
        let mut decoder = None;
        while let Ok(order) = self.orders.recv() {
            // There is room for another one.
            self.bell.ring();
            let result = match (order, &mut decoder) {
                (Order::Begin(next), decoder) => {
                    *decoder = Some(next);
                    Ok(Ok(()))
                }
                (Order::Bytes(bytes), Some(decoder)) => self.decode(decoder, &bytes),
                (Order::End, Some(decoder)) => self.finish(decoder),
                (Order::Bytes(_) | Order::End, None) => return,
            };
            match result {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    let _ = self.give(Answer::Failed(error));
                    return;
                }
                Err(Over) => return,
            }
        }
    }

    fn decode(&self, decoder: &mut Decoder, bytes: &[u8]) -> Result<Result<(), DecodeError>, Over> {
        let mut at = 0;
        loop {
            let mut buffer = self.buffer();
            let result = decoder.decode(&bytes[at..], &mut buffer);
            let is_full = buffer.len() == buffer.capacity();
            self.give_bytes(buffer)?;
            match result {
                Ok(n) => at += n,
                Err(error) => return Ok(Err(error)),
            }
            if !is_full {
                return Ok(Ok(()));
            }
        }
    }

    fn finish(&self, decoder: &mut Decoder) -> Result<Result<(), DecodeError>, Over> {
        loop {
            let mut buffer = self.buffer();
            let result = decoder.finish(&mut buffer);
            self.give_bytes(buffer)?;
            match result {
                Ok(false) => {}
                Ok(true) => return self.give(Answer::End).map(Ok),
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// An empty buffer.
    fn buffer(&self) -> Vec<u8> {
        match self.spare.try_recv() {
            Ok(mut buffer) => {
                buffer.clear();
                buffer
            }
            Err(_) => Vec::with_capacity(BUFFER),
        }
    }

    fn give_bytes(&self, bytes: Vec<u8>) -> Result<(), Over> {
        if bytes.is_empty() { Ok(()) } else { self.give(Answer::Bytes(bytes)) }
    }

    fn give(&self, answer: Answer) -> Result<(), Over> {
        self.answers.send(answer).map_err(|_| Over)?;
        self.bell.ring();
        Ok(())
    }
}
