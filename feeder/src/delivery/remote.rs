//! Delivering HDFS blocks that a DataNode sends: verified on their way from its socket, left where that breaks off.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use forebay_remote::{Bare, ReadError, Step, Stream};
use forebay_shortcircuit::{Pipes, Verifier};
use rustix::event::PollFlags;

use super::{Delivery, Way};
use crate::DeliveryError;
use crate::sink::{Halt, Received, wait_for_any};
use crate::source::{Hedge, Race, RemotePiece, Second, Won};

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

/// How fast a stream is, from when it was first waited for, since until then the kernel had what the feed asked for; before
/// that, from when it was taken in hand.
struct Pace {
    since: Instant,
    /// Where in the block it was then.
    at: u64,
    was_waited_for: bool,
    /// How long it has been waited for.
    waited: Duration,
    /// When it has been waited for so long, the next look at whether it is slow is due.
    look_at: Duration,
    /// For how long nothing has come.
    silent: Duration,
}

/// What comes of a look at a stream that is waited for.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Nothing,
    IsLate,
    MayBeSlow,
}

impl Pace {
    fn of(stream: &Stream) -> Self {
        let (since, at) = (Instant::now(), stream.at());
        let (waited, silent) = (Duration::ZERO, Duration::ZERO);
        Self { since, at, was_waited_for: false, waited, look_at: LOOK, silent }
    }

    /// It is to be waited for.
    fn begin_wait(&mut self, stream: &Stream) -> Instant {
        let now = Instant::now();
        if !std::mem::replace(&mut self.was_waited_for, true) {
            (self.since, self.at) = (now, stream.at());
        }
        now
    }

    fn end_wait(&mut self, began: Instant) {
        let waited = began.elapsed();
        self.waited += waited;
        self.silent += waited;
    }

    /// What is to be done after a wait. A stream that comes in drops is never late, and may be slow all the same.
    fn look(&mut self, second: &Second, late_after: impl FnOnce() -> Duration) -> Look {
        // Nothing that is shorter than a look is late.
        if matches!(second, Second::No) && self.silent >= LOOK && self.silent >= late_after() {
            return Look::IsLate;
        }
        // Where another one is being asked, that decides.
        if matches!(second, Second::Racing(_)) || self.waited < self.look_at {
            return Look::Nothing;
        }
        self.look_at = self.waited + LOOK;
        Look::MayBeSlow
    }

    /// How many bytes have come since.
    fn bytes(&self, stream: &Stream) -> u64 {
        stream.at() - self.at
    }

    /// The stream is over, or left.
    fn end(&self, piece: &RemotePiece, stream: &Stream) {
        piece.note(stream, self.bytes(stream), (self.since.elapsed(), self.waited));
    }
}

impl Delivery<'_> {
    /// What a DataNode sends: moved without a copy unless its bytes have to be seen. Where another one is there first, that is
    /// followed from there on.
    pub(super) fn remote(&mut self, piece: &mut RemotePiece, stream: &mut Stream) -> Result<(), Broken> {
        while let Some(won) = self.one_stream(piece, stream)? {
            self.meter.hedge_won(&won.late);
            *stream = *piece.overtaken(won);
        }
        Ok(())
    }

    /// Delivers what a stream brings, to its end or up to where another one was there first, which is then returned.
    fn one_stream(&mut self, piece: &RemotePiece, stream: &mut Stream) -> Result<Option<Won>, Broken> {
        let in_memory = self.through_memory();
        let bare = !in_memory && !stream.is_checked() && self.sink.takes_received();
        let mut verifier =
            if in_memory || !stream.is_checked() { None } else { self.take_verifier(stream.chunk()) };
        let way = match &mut verifier {
            Some(verifier) => Way::Held(verifier),
            None if bare => Way::Straight,
            None => Way::Memory,
        };
        let mut pace = Pace::of(stream);
        let mut result = self.follow(piece, stream, way, &mut pace);
        pace.end(piece, stream);
        if let Some(mut verifier) = verifier {
            // A chunk may have come in part, and more than was asked for.
            match pipes(&mut verifier) {
                Ok(pipes) => pipes.empty(),
                Err(halt) => result = result.and(Err(halt.into())),
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
        pace: &mut Pace,
    ) -> Result<Option<Won>, Broken> {
        let mut second = Second::No;
        loop {
            let step = match &mut way {
                Way::Memory => stream.read()?,
                Way::Straight => self.straight(stream)?,
                Way::Held(verifier) => stream.hold(pipes(verifier)?)?,
            };
            match step {
                Step::Ready(len) => {
                    piece.goes_on_after(std::mem::take(&mut pace.silent));
                    second = Second::No;
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
                    match second.as_racing().map(Hedge::poll) {
                        Some(Race::Won(won)) => return Ok(Some(won)),
                        Some(Race::Lost) => second = Second::Over,
                        Some(Race::Pending) | None => {}
                    }
                    if self.wait(piece, stream, pace, &mut second)? {
                        return Ok(None);
                    }
                }
                Step::End => return Ok(None),
            }
        }
    }

    /// Waits for a stream, and for another one that may be there first. Says whether all of the piece has come.
    fn wait(
        &mut self,
        piece: &RemotePiece,
        stream: &Stream,
        pace: &mut Pace,
        second: &mut Second,
    ) -> Result<bool, Broken> {
        let Some(socket) = stream.socket() else { return Ok(true) };
        let began = pace.begin_wait(stream);
        let time = Some(piece.silence().min(LOOK));
        match second.as_racing() {
            None => wait_for_any(self.watch, &[socket], PollFlags::IN, time)?,
            Some(hedge) => wait_for_any(self.watch, &[socket, hedge.wakes()], PollFlags::IN, time)?,
        };
        pace.end_wait(began);
        if pace.silent >= piece.silence() {
            return Err(stream.silent(pace.silent).into());
        }
        match pace.look(second, || piece.late_after()) {
            // Only the word that it is all is missing.
            Look::IsLate if stream.at() >= piece.end() => return Ok(true),
            Look::IsLate => *second = piece.hedge(stream, self.meter),
            Look::MayBeSlow => {
                if let Some((rate, elsewhere)) = piece.is_slow(stream, pace.bytes(stream), pace.waited) {
                    return Err(stream.slow(rate, elsewhere).into());
                }
            }
            Look::Nothing => {}
        }
        Ok(false)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// After each of these waits in milliseconds, of which the ones that are over bring something.
    fn looks(second: &Second, waits: &[(u64, bool)]) -> Vec<Look> {
        let (waited, silent) = (Duration::ZERO, Duration::ZERO);
        let mut pace =
            Pace { since: Instant::now(), at: 0, was_waited_for: true, waited, look_at: LOOK, silent };
        let look = |&(wait, is_over): &(u64, bool)| {
            pace.waited += Duration::from_millis(wait);
            pace.silent += Duration::from_millis(wait);
            let look = pace.look(second, || Duration::from_millis(250));
            if is_over {
                pace.silent = Duration::ZERO;
            }
            look
        };
        waits.iter().map(look).collect()
    }

    #[test]
    fn a_stream_that_comes_in_drops_is_looked_at_though_it_is_never_late() {
        use Look::{IsLate, MayBeSlow, Nothing};
        let drops = [(100, false), (50, true), (100, false), (50, true)];
        assert_eq!(looks(&Second::No, &drops), [MayBeSlow, Nothing, MayBeSlow, Nothing]);
        let stands = [(100, false), (100, false), (100, false)];
        assert_eq!(looks(&Second::No, &stands), [MayBeSlow, MayBeSlow, IsLate]);
        assert_eq!(looks(&Second::Over, &stands), [MayBeSlow, MayBeSlow, MayBeSlow]);
        assert_eq!(looks(&Second::No, &[(20, true); 4]), [Nothing, Nothing, Nothing, Nothing]);
    }
}
