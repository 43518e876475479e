//! One connection: a task that owns the socket, writes calls as they come and hands each response to who waits for it.

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use super::frame::{FrameError, Outcome};
use super::remote::RemoteError;
use super::stream::Framing;
use crate::sasl::SaslError;

/// Calls that wait for the task.
const QUEUE: usize = 64;
/// Above this many unsent bytes the task takes no more calls until the server has read.
const MAX_UNSENT: usize = 1 << 20;
/// How long a server that no longer reads may take to say why.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(1);

/// How a connection ended.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    /// The server closed it.
    #[error("the server closed the connection")]
    Closed,
    /// The socket failed.
    #[error("the connection broke: {0}")]
    Io(String),
    /// The server closed it and said why.
    #[error("the server refused the connection: {0}")]
    Refused(RemoteError),
    /// The server sent what makes no sense.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// The protection of frames failed.
    #[error("{0}")]
    Layer(#[from] SaslError),
}

/// Why a call on a connection has no answer.
#[derive(Debug, Clone)]
pub(super) enum Unanswered {
    Remote(RemoteError),
    /// The connection ended; whether the call may have reached the server.
    Lost(Lost, bool),
}

struct Call {
    id: i32,
    frame: Bytes,
    reply: Reply,
}

type Reply = oneshot::Sender<Result<Bytes, Unanswered>>;

/// A handle on a connection. When the last one is gone, nobody waits, and the task ends.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    calls: mpsc::Sender<Call>,
}

impl Connection {
    /// Starts the task on a stream where all introductions are done.
    pub(super) fn start<S>(stream: S, framing: Framing, max_idle: Duration) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (sender, calls) = mpsc::channel(QUEUE);
        let task = Task {
            framing,
            calls,
            pending: HashMap::new(),
            unsent: BytesMut::new(),
            may_call: true,
            broken: None,
            max_idle: max_idle.max(LAST_WORDS),
        };
        tokio::spawn(task.run(stream));
        Self { calls: sender }
    }

    /// Whether it takes calls.
    pub(super) fn is_open(&self) -> bool {
        !self.calls.is_closed()
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.calls.same_channel(&other.calls)
    }

    /// Makes a call. Many may be under way.
    pub(super) async fn call(&self, id: i32, frame: Bytes) -> Result<Bytes, Unanswered> {
        let (reply, answer) = oneshot::channel();
        if self.calls.send(Call { id, frame, reply }).await.is_err() {
            return Err(Unanswered::Lost(Lost::Closed, false));
        }
        answer.await.unwrap_or(Err(Unanswered::Lost(Lost::Closed, true)))
    }
}

struct Task {
    framing: Framing,
    calls: mpsc::Receiver<Call>,
    pending: HashMap<i32, Reply>,
    unsent: BytesMut,
    may_call: bool,
    /// Why writing failed; the server's own words, if it has any, are better.
    broken: Option<Lost>,
    max_idle: Duration,
}

impl Task {
    async fn run<S: AsyncRead + AsyncWrite>(mut self, stream: S) {
        let (mut read, mut write) = tokio::io::split(stream);
        if let Err(lost) = self.serve(&mut read, &mut write).await {
            tracing::debug!(%lost, waiting = self.pending.len(), "connection ended");
            self.end(&lost);
        }
    }

    /// Until nobody waits any more (`Ok`) or the connection ends. Every branch may be dropped without loss.
    async fn serve(
        &mut self,
        read: &mut (impl AsyncRead + Unpin),
        write: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), Lost> {
        loop {
            while let Some(response) = self.framing.next()? {
                self.deliver(response.call_id, response.outcome)?;
            }
            if !self.may_call && self.nobody_waits() {
                return Ok(());
            }
            let patience = if self.broken.is_some() { LAST_WORDS } else { self.max_idle };
            self.framing.outer.reserve();
            tokio::select! {
                call = self.calls.recv(), if self.may_call && self.unsent.len() < MAX_UNSENT => match call {
                    Some(call) => self.take(call)?,
                    None => self.may_call = false,
                },
                got = read.read_buf(&mut self.framing.outer.buffer) => match got {
                    Ok(0) => return Err(self.broken.take().unwrap_or(Lost::Closed)),
                    Ok(_) => {}
                    Err(e) => return Err(self.broken.take().unwrap_or(Lost::Io(e.to_string()))),
                },
                put = write.write(&self.unsent), if !self.unsent.is_empty() => match put {
                    Ok(sent @ 1..) => self.unsent.advance(sent),
                    Ok(0) => self.stop_writing(Lost::Closed),
                    Err(e) => self.stop_writing(Lost::Io(e.to_string())),
                },
                () = tokio::time::sleep(patience) => {
                    if let Some(lost) = self.broken.take() {
                        return Err(lost);
                    }
                    // From now on callers open another connection; those already queued are still served.
                    if self.nobody_waits() {
                        self.calls.close();
                    }
                }
            }
        }
    }

    fn nobody_waits(&self) -> bool {
        // Who gave up stays listed, so that a late answer is no surprise.
        self.pending.values().all(Reply::is_closed)
    }

    fn take(&mut self, call: Call) -> Result<(), Lost> {
        self.pending.insert(call.id, call.reply);
        let frame = self.framing.seal(call.frame)?;
        self.unsent.extend_from_slice(&frame);
        Ok(())
    }

    fn stop_writing(&mut self, why: Lost) {
        self.broken = Some(why);
        self.unsent.clear();
        self.calls.close();
        self.may_call = false;
    }

    fn deliver(&mut self, call_id: i32, outcome: Outcome) -> Result<(), Lost> {
        let result = match outcome {
            Outcome::Fatal(error) => return Err(Lost::Refused(error)),
            Outcome::Success(body) => Ok(body),
            Outcome::Error(error) => Err(Unanswered::Remote(error)),
        };
        let reply = self.pending.remove(&call_id).ok_or(FrameError::UnknownCall(call_id))?;
        // Nobody there: the caller gave up.
        let _ = reply.send(result);
        Ok(())
    }

    fn end(&mut self, lost: &Lost) {
        self.calls.close();
        for (_, reply) in self.pending.drain() {
            let _ = reply.send(Err(Unanswered::Lost(lost.clone(), true)));
        }
        while let Ok(call) = self.calls.try_recv() {
            let _ = call.reply.send(Err(Unanswered::Lost(lost.clone(), false)));
        }
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
