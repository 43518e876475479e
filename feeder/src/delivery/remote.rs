//! Delivering HDFS blocks that a DataNode sends: verified on their way from its socket, left where that breaks off.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use forebay_remote::{ReadError, Step, Stream};
use forebay_shortcircuit::Verifier;
use rustix::event::PollFlags;

use super::Delivery;
use crate::DeliveryError;
use crate::sink::{Halt, wait_for};
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
        let mut verifier = match self.verifier.take() {
            Some(verifier) => verifier,
            None => Verifier::new().map_err(failed)?,
        };
        let mut result = self.remote_through(piece, stream, &mut verifier);
        if result.is_err() {
            // A chunk may have come in part.
            match verifier.pipes() {
                Ok(pipes) => pipes.empty(),
                Err(error) => result = Err(failed(io::Error::other(error)).into()),
            }
        }
        self.verifier = Some(verifier);
        result
    }

    fn remote_through(
        &mut self,
        piece: &RemotePiece,
        stream: &mut Stream,
        verifier: &mut Verifier,
    ) -> Result<(), Broken> {
        let fits = verifier.can_check(stream.chunk());
        if !fits {
            self.sink.note(format!(
                "the kernel granted no pipe for more than {} bytes: blocks with checksum chunks of {} bytes are checked in memory",
                verifier.capacity(),
                stream.chunk(),
            ));
        }
        let through_memory = self.through_memory() || !fits;
        let mut pace = None;
        let result = self.follow(piece, stream, verifier, through_memory, &mut pace);
        if let Some(pace) = pace {
            piece.note(stream, pace.bytes(stream), (pace.began.elapsed(), pace.waited));
        }
        result
    }

    fn follow(
        &mut self,
        piece: &RemotePiece,
        stream: &mut Stream,
        verifier: &mut Verifier,
        through_memory: bool,
        pace: &mut Option<Pace>,
    ) -> Result<(), Broken> {
        let mut silent = Duration::ZERO;
        loop {
            let step = if through_memory {
                stream.read()?
            } else {
                stream.hold(verifier.pipes().map_err(|error| failed(io::Error::other(error)))?)?
            };
            match step {
                Step::Ready(len) => {
                    silent = Duration::ZERO;
                    if through_memory {
                        self.bytes(stream.bytes())?;
                    } else {
                        self.held(stream.ends(), verifier, len)?;
                    }
                    self.meter.direct.fetch_add(len as u64, Relaxed);
                    if !stream.is_checked() {
                        self.meter.unchecked.fetch_add(len as u64, Relaxed);
                    }
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

    /// Verified bytes in the held pipe, of which these are the first and the last.
    fn held(&mut self, ends: Option<(u8, u8)>, verifier: &Verifier, len: usize) -> Result<(), Halt> {
        if let (Some((first, last)), true) = (ends, self.terminator.is_some()) {
            self.before(first)?;
            self.last = last;
        }
        self.begin()?;
        self.sink.deliver_held(self.watch, verifier.held(), len)
    }
}

fn failed(error: io::Error) -> Halt {
    Halt::Failed(DeliveryError::Wait(error))
}
