//! The thread that follows the worker: what it writes to standard error, what it acknowledges, how its guard says it
//! fares.
//!
//! Standard error is the file itself, so that nothing is lost whoever dies; it is followed by looking at it now and
//! then, in blocks, whatever its size.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use forebay_feeder::Stop;
use forebay_job::{Channel as Lines, ReportScanner};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::acks::{AckFifo, AckFile};
use crate::folder::AttemptFolder;
use crate::guard::{Channel, News};
use crate::told::Told;
use crate::worker::Event;

/// How often one looks.
const PERIOD: Duration = Duration::from_millis(50);
/// Bytes read at once.
pub(crate) const BLOCK: usize = 256 << 10;
/// What people are told when standard error is shorter than it was.
const EMPTIED: &str = "the worker has emptied its standard error, and what it reported there may be lost: a program that \
    opens /dev/stderr by name does that, one that writes to descriptor 2 (>&2) does not";
/// Most blocks of standard error between two looks at the rest.
const BLOCKS: usize = 64;

/// The running thread.
#[derive(Debug)]
pub(crate) struct Watcher {
    enough: Arc<Stop>,
    thread: JoinHandle<()>,
}

impl Watcher {
    /// Follows a worker that is about to start.
    pub(crate) fn start(
        folder: &AttemptFolder,
        stderr: File,
        guard: Arc<Channel>,
        told: Told,
        events: Sender<Event>,
    ) -> io::Result<Self> {
        let enough = Arc::new(Stop::new()?);
        let follow = Follow {
            stderr: Tail::new(stderr),
            fifo: AckFifo::open(folder)?,
            acks: AckFile::create(folder)?,
            lines: ReportScanner::new(Lines::Ack),
            told,
            is_failing: false,
        };
        let until = Arc::clone(&enough);
        let thread = thread::Builder::new()
            .name("forebay-watch".into())
            .spawn(move || follow.run(&guard, &events, &until))?;
        Ok(Self { enough, thread })
    }

    /// When nobody writes any more: takes the rest of all, and ends.
    pub(crate) fn finish(self) {
        self.enough.raise(1);
        if self.thread.join().is_err() {
            tracing::error!("the thread that follows the worker broke off");
        }
    }
}

struct Follow {
    stderr: Tail,
    fifo: AckFifo,
    acks: AckFile,
    lines: ReportScanner,
    told: Told,
    is_failing: bool,
}

impl Follow {
    fn run(mut self, guard: &Channel, events: &Sender<Event>, enough: &Stop) {
        let mut guard_talks = true;
        loop {
            // Before looking: nothing is written after it.
            let is_last = enough.cause().is_some();
            let more = self.look(is_last);
            if is_last && !more {
                return self.end();
            }
            let pause = if more { Duration::ZERO } else { PERIOD };
            let pause = Timespec { tv_sec: 0, tv_nsec: pause.subsec_nanos().into() };
            // A full disk is waited out, and not asked again at once.
            let fifo = if self.is_failing { PollFlags::empty() } else { PollFlags::IN };
            let mut fds = vec![PollFd::new(enough, PollFlags::IN), PollFd::new(self.fifo.file(), fifo)];
            if guard_talks {
                fds.push(PollFd::new(guard, PollFlags::IN));
            }
            let _ = poll(&mut fds, Some(&pause));
            if fds.get(2).is_some_and(|fd| !fd.revents().is_empty()) {
                let news = match guard.receive::<News>() {
                    Ok(Some((news, mut descriptors))) => Event::Guard(news, descriptors.pop()),
                    Ok(None) => Event::GuardGone("it was killed".into()),
                    Err(error) => Event::GuardGone(error.to_string()),
                };
                guard_talks = !matches!(news, Event::GuardGone(_));
                // Nobody listens when the attempt has come to its end.
                let _ = events.send(news);
            }
        }
    }

    /// Takes what is there; whether there may be more at once.
    fn look(&mut self, is_last: bool) -> bool {
        let told = &self.told;
        let (lines, fifo) = (&mut self.lines, &self.fifo);
        let taken = self.acks.take(fifo, |bytes| lines.push(bytes, |ack| told.take(ack)));
        let taken = taken.and_then(|()| self.acks.shorten(|| told.ack_line()));
        self.is_failing = taken.is_err();
        if let Err(error) = taken {
            told.note(format!("acknowledgements cannot be read: {error}"));
        }
        let looked = self.stderr.look(|report| told.take(report));
        if self.stderr.was_emptied {
            told.note(EMPTIED.to_owned());
        }
        match looked {
            Ok(more) => more,
            Err(error) => {
                told.note(format!("the worker's standard error cannot be read: {error}"));
                !is_last
            }
        }
    }

    /// What is there is all: the last lines count, ended or not.
    fn end(mut self) {
        let told = &self.told;
        self.lines.finish(|ack| told.take(ack));
        self.stderr.scanner.finish(|report| told.take(report));
    }
}

/// A growing file, read for reports.
#[derive(Debug)]
struct Tail {
    file: File,
    at: u64,
    buffer: Vec<u8>,
    scanner: ReportScanner,
    was_emptied: bool,
}

impl Tail {
    fn new(file: File) -> Self {
        let scanner = ReportScanner::new(Lines::Stderr);
        Self { file, at: 0, buffer: vec![0; BLOCK], scanner, was_emptied: false }
    }

    /// Reads on; whether there is more.
    fn look(
        &mut self,
        mut each: impl FnMut(Result<forebay_job::Report, forebay_job::ReportError>),
    ) -> io::Result<bool> {
        for _ in 0..BLOCKS {
            let read = match self.file.read_at(&mut self.buffer, self.at) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if read == 0 {
                if self.file.metadata()?.len() >= self.at {
                    return Ok(false);
                }
                self.scanner = ReportScanner::new(Lines::Stderr);
                (self.at, self.was_emptied) = (0, true);
            }
            self.at += read as u64;
            self.scanner.push(&self.buffer[..read], &mut each);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use forebay_job::{Ack, Report};

    use super::*;

    #[test]
    fn what_is_written_into_an_emptied_file_is_read() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("stderr");
        fs::write(&path, "a long line before\nreporter ack:records=1\nhalf a li").unwrap();
        let mut tail = Tail::new(File::open(&path).unwrap());
        let mut found = Vec::new();
        assert!(!tail.look(|report| found.push(report)).unwrap() && !tail.was_emptied);
        fs::write(&path, "reporter ack:records=2\n").unwrap();
        assert!(!tail.look(|report| found.push(report)).unwrap() && tail.was_emptied);
        assert_eq!(found, [1, 2].map(|n| Ok(Report::Ack(Ack::Records(n)))));
    }
}
