//! Delivering HDFS blocks that a DataNode sends: verified on their way from its socket, left where that breaks off.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use forebay_remote::{Bare, ReadError, Step, Stream};
use forebay_shortcircuit::{Pipes, Verifier};
use rustix::event::PollFlags;

use super::{Delivery, Way};
use crate::DeliveryError;
use crate::sink::{Halt, Received, wait_for};
use crate::source::RemotePiece;

/// Why a remote piece is not delivered to its end.
pub(super) enum Broken {
    Halted(Halt),
    /// From where the stream is.
    Lost(ReadError),
}

impl From<Halt> for Broken {
    fn from(halt: Halt) -> Self {
        Self::Halted(halt)
    }
}

impl From<ReadError> for Broken {
    fn from(error: ReadError) -> Self {
        Self::Lost(error)
    }
}

/// Between two looks at whether a DataNode is silent or slow, at most.
const LOOK: Duration = Duration::from_millis(100);

/// How fast a stream is, from when it was first waited for: until then the kernel had what the feed asked for.
struct Pace {
    began: Instant,
    /// Where in the block it was then.
    at: u64,
    /// How long it has been waited for.
    waited: Duration,
    /// When it has been waited for so long, the next look at whether it is slow is due.
    look_at: Duration,
}

impl Pace {
    /// How many bytes have come since.
    fn bytes(&self, stream: &Stream) -> u64 {
        stream.at() - self.at
    }
}

impl Delivery<'_> {
    /// What a DataNode sends: moved without a copy unless its bytes have to be seen.
    pub(super) fn remote(&mut self, piece: &RemotePiece, stream: &mut Stream) -> Result<(), Broken> {
        let in_memory = self.through_memory();
        let bare = !in_memory && !stream.is_checked() && self.sink.takes_received();
        let mut verifier =
            if in_memory || !stream.is_checked() { None } else { self.take_verifier(stream.chunk()) };
        let way = match &mut verifier {
            Some(verifier) => Way::Held(verifier),
            None if bare => Way::Straight,
            None => Way::Memory,
        };
        let mut pace = None;
        let mut result = self.follow(piece, stream, way, &mut pace);
        if let Some(pace) = pace {
            piece.note(stream, pace.bytes(stream), (pace.began.elapsed(), pace.waited));
        }
        if let Some(mut verifier) = verifier {
            if result.is_err() {
                // A chunk may have come in part.
                match pipes(&mut verifier) {
                    Ok(pipes) => pipes.empty(),
                    Err(halt) => result = Err(halt.into()),
                }
            }
            self.verifier = Some(verifier);
        }
        result
    }

    fn follow(
        &mut self,
        piece: &RemotePiece,
        stream: &mut Stream,
        mut way: Way<'_>,
        pace: &mut Option<Pace>,
    ) -> Result<(), Broken> {
        let mut silent = Duration::ZERO;
        loop {
            let step = match &mut way {
                Way::Memory => stream.read()?,
                Way::Straight => self.straight(stream)?,
                Way::Held(verifier) => stream.hold(pipes(verifier)?)?,
            };
            match step {
                Step::Ready(len) => {
                    silent = Duration::ZERO;
                    match &way {
                        Way::Memory => self.bytes(stream.bytes())?,
                        Way::Straight => {}
                        Way::Held(verifier) => self.held(stream.ends(), verifier, len)?,
                    }
                    self.meter.direct.fetch_add(len as u64, Relaxed);
                    if !stream.is_checked() {
                        self.meter.unchecked.fetch_add(len as u64, Relaxed);
                    }
                }
                Step::NoRoom => {
                    if let Way::Held(verifier) = &mut way {
                        stream.go_on_in_memory(pipes(verifier)?)?;
                        self.note_no_room(stream.chunk());
                    }
                    way = Way::Memory;
                }
                Step::Wait => {
                    let Some(socket) = stream.socket() else { return Ok(()) };
                    let began = Instant::now();
                    let pace = pace.get_or_insert_with(|| Pace {
                        began,
                        at: stream.at(),
                        waited: Duration::ZERO,
                        look_at: LOOK,
                    });
                    wait_for(self.watch, &socket, PollFlags::IN, Some(piece.silence().min(LOOK)))?;
                    let waited = began.elapsed();
                    silent += waited;
                    if silent >= piece.silence() {
                        return Err(stream.silent(silent).into());
                    }
                    pace.waited += waited;
                    if pace.waited >= pace.look_at {
                        pace.look_at = pace.waited + LOOK;
                        if let Some((rate, elsewhere)) =
                            piece.is_slow(stream, pace.bytes(stream), pace.waited)
                        {
                            return Err(stream.slow(rate, elsewhere).into());
                        }
                    }
                }
                Step::End => return Ok(()),
            }
        }
    }

    /// Moves bytes of which none is to be checked from the socket to the reader. The first one comes in memory where it has to be
    /// known, and the last one, too.
    fn straight(&mut self, stream: &mut Stream) -> Result<Step, Broken> {
        match stream.bare(self.terminator.is_some() || self.to_begin.is_some())? {
            Bare::Bytes(len) => {
                self.bytes(stream.bytes())?;
                Ok(Step::Ready(len))
            }
            Bare::InSocket(most) => {
                let Some(socket) = stream.socket() else { return Ok(Step::End) };
                match self.sink.deliver_received(self.watch, socket, most)? {
                    Received::Bytes(len) => {
                        stream.took(len);
                        Ok(Step::Ready(len))
                    }
                    Received::Nothing => Ok(Step::Wait),
                    Received::Broken(error) => Err(stream.broken(error).into()),
                    Received::Refused => Ok(Step::NoRoom),
                }
            }
            Bare::Wait => Ok(Step::Wait),
            Bare::End => Ok(Step::End),
        }
    }
}

fn pipes(verifier: &mut Verifier) -> Result<&mut Pipes, Halt> {
    verifier.pipes().map_err(|error| Halt::Failed(DeliveryError::Wait(io::Error::other(error))))
}
