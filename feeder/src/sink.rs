//! Delivery: into a pipe by `splice`, or by the cheapest way that the output takes.
//!
//! No wait is beyond recall: a full pipe is waited for by `poll` over the pipe, the stop event and the
//! worker's pidfd. Regular files and devices are written without waiting for them, in pieces.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, Stat, fcntl_getfl, fcntl_setfl, fstat};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use rustix::pipe::{
    PIPE_BUF, PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice,
};

use crate::{DeliveryError, Meter, Sampler, SourceError, Stop};

/// The pipe size asked for, in bytes: what the kernel allows a user without privileges.
pub const PIPE_SIZE: usize = 1 << 20;

/// Bytes moved by one system call at most, so that a stop is seen soon.
const PIECE: usize = 4 << 20;
const COPY_BUFFER: usize = 256 << 10;

/// What ends a wait besides the reader making room.
#[derive(Debug)]
pub struct Watch {
    /// The stop event.
    pub stop: Arc<Stop>,
    /// A pidfd of the reader, if it is our child.
    pub worker: Option<Arc<OwnedFd>>,
}

/// What came of moving bytes from a socket.
#[derive(Debug)]
pub(crate) enum Received {
    Bytes(usize),
    /// There are none yet.
    Nothing,
    /// The socket has failed, or `UnexpectedEof`: has come to its end.
    Broken(io::Error),
    /// The output does not take them this way.
    Refused,
}

/// Why delivery cannot go on.
#[derive(Debug)]
pub(crate) enum Halt {
    /// Nobody reads any more, or the worker has exited.
    ReaderGone,
    /// The stop event was raised.
    Stopped,
    /// The file has no more bytes at this offset.
    FileEnded(u64),
    /// Reading from a file failed at this offset.
    FileFailed(u64, io::Error),
    /// An input cannot be decoded.
    Input(SourceError),
    /// Anything else.
    Failed(DeliveryError),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pipe,
    Socket,
    Terminal,
    RegularFile,
    Device,
}

impl Kind {
    fn of(fd: BorrowedFd<'_>, stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Fifo => Self::Pipe,
            FileType::Socket => Self::Socket,
            FileType::RegularFile => Self::RegularFile,
            _ if rustix::termios::isatty(fd) => Self::Terminal,
            _ => Self::Device,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Pipe => "the pipe",
            Self::Socket => "the socket",
            Self::Terminal => "the terminal",
            Self::RegularFile => "the output file",
            Self::Device => "the device",
        }
    }

    /// Whether a writer may have to wait for a reader.
    fn has_reader(self) -> bool {
        matches!(self, Self::Pipe | Self::Socket | Self::Terminal)
    }
}

/// Where a feed's bytes go. Dropping it is what a worker sees as the end of its input; a feed that failed must
/// therefore end the worker first.
#[derive(Debug)]
pub struct Sink {
    fd: OwnedFd,
    kind: Kind,
    identity: (u64, u64),
    pipe_size: Option<usize>,
    /// Whether `write` returns instead of waiting; if not, only what is sure to fit is written.
    nonblocking: bool,
    /// Whether the kernel still takes whole ranges of a file.
    zero_copy: bool,
    notes: Vec<String>,
    buffer: Vec<u8>,
    meter: Arc<Meter>,
}

impl Sink {
    /// A new pipe: the sink, and the end that becomes a worker's standard input.
    pub fn pipe(meter: Arc<Meter>) -> Result<(Self, OwnedFd), DeliveryError> {
        let setup = |e: Errno| DeliveryError::Setup { to: Kind::Pipe.name(), source: e.into() };
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(setup)?;
        let flags = fcntl_getfl(&write).map_err(setup)?;
        // The flag is the write end's alone: the worker's end stays blocking.
        fcntl_setfl(&write, flags | OFlags::NONBLOCK).map_err(setup)?;
        let mut sink = Self::with(write, meter).map_err(setup)?;
        sink.nonblocking = true;
        Ok((sink, read))
    }

    /// This process's standard output, whatever it is.
    pub fn stdout(meter: Arc<Meter>) -> Result<Self, DeliveryError> {
        let setup = |source| DeliveryError::Setup { to: "standard output", source };
        let fd = io::stdout().as_fd().try_clone_to_owned().map_err(setup)?;
        let mut sink = Self::with(fd, meter).map_err(|e| setup(e.into()))?;
        if matches!(sink.kind, Kind::Pipe | Kind::Terminal) {
            // A description of our own: O_NONBLOCK on the inherited one would reach everybody who shares it.
            let own = File::options()
                .write(true)
                .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed())
                .open("/proc/self/fd/1");
            if let Ok(own) = own {
                (sink.fd, sink.nonblocking) = (own.into(), true);
            }
        }
        Ok(sink)
    }

    fn with(fd: OwnedFd, meter: Arc<Meter>) -> Result<Self, Errno> {
        let stat = fstat(&fd)?;
        let kind = Kind::of(fd.as_fd(), &stat);
        let mut sink = Self {
            fd,
            kind,
            identity: (stat.st_dev, stat.st_ino),
            pipe_size: None,
            nonblocking: false,
            zero_copy: !matches!(kind, Kind::Socket | Kind::Terminal),
            notes: Vec::new(),
            buffer: Vec::new(),
            meter,
        };
        if kind == Kind::Pipe {
            sink.enlarge();
        }
        Ok(sink)
    }

    /// Asks for a larger pipe: its size decides how often two processes wake each other.
    fn enlarge(&mut self) {
        let mut size = PIPE_SIZE;
        let old = fcntl_getpipe_size(&self.fd).unwrap_or(0);
        while size > old {
            match fcntl_setpipe_size(&self.fd, size) {
                Ok(_) => break,
                Err(error) => {
                    if size == PIPE_SIZE {
                        self.notes.push(format!("the kernel refused a pipe of {PIPE_SIZE} bytes: {error}"));
                    }
                    size /= 2;
                }
            }
        }
        self.pipe_size = fcntl_getpipe_size(&self.fd).ok();
    }

    /// The pipe's size in bytes, if the output is a pipe.
    pub fn pipe_size(&self) -> Option<usize> {
        self.pipe_size
    }

    /// Has the report say something, once.
    pub(crate) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// What was done in another way than intended, and why.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Starts measuring how often the reader finds the pipe empty; `None` where the output is no pipe.
    pub fn sampler(&self) -> io::Result<Option<Sampler>> {
        if self.kind != Kind::Pipe {
            return Ok(None);
        }
        Sampler::start(self.fd.try_clone()?, Arc::clone(&self.meter)).map(Some)
    }

    /// Another descriptor of the output: as long as anybody has one, a pipe's reader sees no end of input.
    pub fn hold(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }

    /// Tells another thread what the reader has not taken yet; `None` where the output is no pipe.
    pub fn gauge(&self) -> io::Result<Option<Gauge>> {
        if self.kind != Kind::Pipe {
            return Ok(None);
        }
        Ok(Some(Gauge { pipe: self.fd.try_clone()?, meter: Arc::clone(&self.meter) }))
    }

    /// Bytes that the reader has not taken out of the pipe.
    pub(crate) fn unread(&self) -> u64 {
        if self.kind == Kind::Pipe { rustix::io::ioctl_fionread(&self.fd).unwrap_or(0) } else { 0 }
    }

    /// Waits until the reader has taken all bytes out of the pipe. Nothing announces that, so it is looked for,
    /// at first very often.
    pub(crate) fn drain(&self, watch: &Watch) -> Result<(), Halt> {
        const LONGEST_PAUSE: Duration = Duration::from_millis(5);
        let mut pause = Duration::from_micros(20);
        while self.unread() > 0 {
            // Asking for nothing, one hears only that the last reader has gone.
            match wait_for(watch, &self.fd, PollFlags::empty(), Some(pause)) {
                Ok(false) => {}
                // Whoever took the last byte before going has read it all.
                Ok(true) | Err(Halt::ReaderGone) if self.unread() == 0 => {}
                Ok(true) => return Err(Halt::ReaderGone),
                Err(halt) => return Err(halt),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }

    /// Refuses a file that is the output itself: feeding it would chase its own end.
    pub(crate) fn refuse_input(&self, path: &str, file: &File) -> Result<(), DeliveryError> {
        let same = self.kind == Kind::RegularFile
            && fstat(file).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.identity);
        if same { Err(DeliveryError::OutputIsInput { path: path.into() }) } else { Ok(()) }
    }

    /// Delivers `len` bytes of `file` from `offset`, without a copy in user space where the kernel lets us.
    pub(crate) fn deliver_file(
        &mut self,
        watch: &Watch,
        file: &File,
        offset: u64,
        len: u64,
    ) -> Result<(), Halt> {
        let (mut at, end) = (offset, offset + len);
        while at < end && self.zero_copy {
            stopped(watch)?;
            let piece = usize::try_from(end - at).map_or(PIECE, |left| left.min(PIECE));
            match self.move_piece(file, at, piece) {
                Ok(0) => return Err(Halt::FileEnded(at)),
                Ok(n) => {
                    at += n as u64;
                    self.meter.moved(n);
                }
                Err(Errno::AGAIN) => self.wait(watch)?,
                Err(Errno::INTR) => {}
                Err(Errno::PIPE) => return Err(Halt::ReaderGone),
                Err(error @ (Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)) => {
                    self.zero_copy = false;
                    self.notes
                        .push(format!("the kernel moves no file ranges into {}: {error}", self.kind.name()));
                }
                Err(error) if file.read_at(&mut [0], at).is_err() => {
                    return Err(Halt::FileFailed(at, error.into()));
                }
                Err(error) => return Err(self.failed(error)),
            }
        }
        self.copy_file(watch, file, at, end)
    }

    fn move_piece(&self, file: &File, mut at: u64, piece: usize) -> Result<usize, Errno> {
        if self.kind == Kind::Pipe {
            let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE | SpliceFlags::MORE;
            splice(file, Some(&mut at), &self.fd, None, piece, flags)
        } else {
            rustix::fs::sendfile(&self.fd, file, Some(&mut at), piece)
        }
    }

    fn copy_file(&mut self, watch: &Watch, file: &File, mut at: u64, end: u64) -> Result<(), Halt> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(if at < end { COPY_BUFFER } else { 0 }, 0);
        while at < end {
            let want = usize::try_from(end - at).map_or(COPY_BUFFER, |n| n.min(COPY_BUFFER));
            match file.read_at(&mut buffer[..want], at) {
                Ok(0) => return Err(Halt::FileEnded(at)),
                Ok(n) => {
                    self.deliver_bytes(watch, &buffer[..n])?;
                    at += n as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Halt::FileFailed(at, error)),
            }
        }
        self.buffer = buffer;
        Ok(())
    }

    /// Delivers `len` bytes that a pipe of ours holds.
    pub(crate) fn deliver_held(
        &mut self,
        watch: &Watch,
        held: BorrowedFd<'_>,
        len: usize,
    ) -> Result<(), Halt> {
        let mut left = len;
        while left > 0 && self.kind == Kind::Pipe && self.zero_copy {
            stopped(watch)?;
            let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE | SpliceFlags::MORE;
            match splice(held, None, &self.fd, None, left, flags) {
                Ok(n) => {
                    left -= n;
                    self.meter.moved(n);
                }
                Err(Errno::AGAIN) => self.wait(watch)?,
                Err(Errno::INTR) => {}
                Err(Errno::PIPE) => return Err(Halt::ReaderGone),
                Err(error) => return Err(self.failed(error)),
            }
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(if left > 0 { COPY_BUFFER } else { 0 }, 0);
        while left > 0 {
            let want = left.min(COPY_BUFFER);
            let n = rustix::io::read(held, &mut buffer[..want]).map_err(|e| self.failed(e))?;
            self.deliver_bytes(watch, &buffer[..n])?;
            left -= n;
        }
        self.buffer = buffer;
        Ok(())
    }

    /// Whether bytes can be moved from a socket, as far as is known.
    pub(crate) fn takes_received(&self) -> bool {
        self.kind == Kind::Pipe && self.zero_copy
    }

    /// Moves at most so many bytes from a socket into the pipe. Waits for room in it, and not for bytes.
    pub(crate) fn deliver_received(
        &mut self,
        watch: &Watch,
        socket: BorrowedFd<'_>,
        most: usize,
    ) -> Result<Received, Halt> {
        while self.takes_received() {
            stopped(watch)?;
            let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE | SpliceFlags::MORE;
            match splice(socket, None, &self.fd, None, most.min(PIECE), flags) {
                Ok(0) => return Ok(Received::Broken(ErrorKind::UnexpectedEof.into())),
                Ok(n) => {
                    self.meter.moved(n);
                    return Ok(Received::Bytes(n));
                }
                // Either there is nothing, or no room for it.
                Err(Errno::AGAIN) => match is_ready(&socket, PollFlags::IN) {
                    Ok(true) => self.wait(watch)?,
                    Ok(false) => return Ok(Received::Nothing),
                    Err(Errno::INTR) => {}
                    Err(error) => return Ok(Received::Broken(error.into())),
                },
                Err(Errno::INTR) => {}
                Err(Errno::PIPE) => return Err(Halt::ReaderGone),
                Err(error @ (Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)) => {
                    self.zero_copy = false;
                    self.note(format!(
                        "the kernel moves no bytes from sockets into {}: {error}",
                        self.kind.name()
                    ));
                }
                Err(error) => return Ok(Received::Broken(error.into())),
            }
        }
        Ok(Received::Refused)
    }

    /// Delivers bytes from memory.
    pub(crate) fn deliver_bytes(&mut self, watch: &Watch, mut bytes: &[u8]) -> Result<(), Halt> {
        while !bytes.is_empty() {
            stopped(watch)?;
            match self.write(bytes) {
                Ok(n) => {
                    bytes = &bytes[n..];
                    self.meter.moved(n);
                    self.meter.copied.fetch_add(n as u64, Relaxed);
                }
                Err(Errno::AGAIN) => self.wait(watch)?,
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(Halt::ReaderGone),
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(())
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        match self.kind {
            Kind::Socket => send(&self.fd, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
            kind if kind.has_reader() && !self.nonblocking => {
                // What `poll` promises room for is taken without waiting.
                if is_ready(&self.fd, PollFlags::OUT)? {
                    rustix::io::write(&self.fd, &bytes[..bytes.len().min(PIPE_BUF)])
                } else {
                    Err(Errno::AGAIN)
                }
            }
            _ => rustix::io::write(&self.fd, &bytes[..bytes.len().min(PIECE)]),
        }
    }

    /// Waits for room, counting the time.
    fn wait(&self, watch: &Watch) -> Result<(), Halt> {
        let begin = self.meter.begin_wait();
        let result = wait_for(watch, &self.fd, PollFlags::OUT, None);
        self.meter.end_wait(begin);
        result.map(drop)
    }

    fn failed(&self, error: Errno) -> Halt {
        let after = self.meter.delivered.load(Relaxed);
        Halt::Failed(DeliveryError::Write { to: self.kind.name(), after, source: error.into() })
    }
}

/// How far a pipe's reader is. Until it is dropped, the reader sees no end of input.
#[derive(Debug)]
pub struct Gauge {
    pipe: OwnedFd,
    meter: Arc<Meter>,
}

impl Gauge {
    /// Bytes that have left the pipe, of those that the meter knew of when it was asked: never too many.
    pub fn consumed(&self) -> u64 {
        let delivered = self.meter.delivered.load(Relaxed);
        delivered.saturating_sub(rustix::io::ioctl_fionread(&self.pipe).unwrap_or(delivered))
    }
}

fn stopped(watch: &Watch) -> Result<(), Halt> {
    if watch.stop.cause().is_some() { Err(Halt::Stopped) } else { Ok(()) }
}

/// Fails once the feed is to stop, or the worker has exited.
pub(crate) fn is_wanted(watch: &Watch) -> Result<(), Halt> {
    stopped(watch)?;
    match watch.worker.as_ref().map(|pidfd| is_ready(&**pidfd, PollFlags::IN)) {
        Some(Ok(true)) => Err(Halt::ReaderGone),
        _ => Ok(()),
    }
}

fn is_ready(fd: &impl AsFd, flags: PollFlags) -> Result<bool, Errno> {
    let mut fds = [PollFd::new(fd, flags)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).map(|n| n > 0)
}

/// Waits until `fd` has one of `flags`, something ends the wait, or the time is over, which `false` tells. An
/// error on `fd` wakes too: the next operation on it says which.
pub(crate) fn wait_for(
    watch: &Watch,
    fd: &impl AsFd,
    flags: PollFlags,
    time: Option<Duration>,
) -> Result<bool, Halt> {
    wait_for_any(watch, &[fd.as_fd()], flags, time)
}

/// The same, for any of several.
pub(crate) fn wait_for_any(
    watch: &Watch,
    wanted: &[BorrowedFd<'_>],
    flags: PollFlags,
    time: Option<Duration>,
) -> Result<bool, Halt> {
    let time = time.map(|time| Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    });
    loop {
        let mut fds = vec![PollFd::new(&*watch.stop, PollFlags::IN)];
        fds.extend(watch.worker.as_ref().map(|pidfd| PollFd::new(&**pidfd, PollFlags::IN)));
        let own = fds.len();
        fds.extend(wanted.iter().map(|fd| PollFd::new(fd, flags)));
        match poll(&mut fds, time.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Halt::Failed(DeliveryError::Wait(error.into()))),
        }
        stopped(watch)?;
        let (own, wanted) = fds.split_at(own);
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        if own.get(1).is_some_and(is_ready) {
            return Err(Halt::ReaderGone);
        }
        if wanted.iter().any(is_ready) {
            return Ok(true);
        }
        if time.is_some() {
            return Ok(false);
        }
    }
}
