//! A connection to a DataNode, on which no wait outlives a deadline.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use prost::Message;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags,
    SocketAddrUnix, SocketFlags, SocketType,
};

use crate::error::Fault;
use crate::wire::LONGEST_REPLY;
use crate::{OpenError, Settings};

/// `sun_path` without its terminator (unix(7)).
const LONGEST_PATH: usize = 107;

/// How many descriptors one message may bring before the kernel drops the rest; more than two are an error anyway.
const ROOM: usize = 8;

/// The socket of the DataNode that serves data on this port: `_PORT` in the configured path stands for it
/// (Hadoop's `DomainSocket.getEffectivePath`).
pub(crate) fn socket_path(settings: &Settings, port: u16) -> Result<PathBuf, OpenError> {
    let configured = settings.socket_path.as_deref().filter(|path| !path.is_empty()).ok_or(OpenError::Off)?;
    let path = PathBuf::from(configured.replace("_PORT", &port.to_string()));
    if path.as_os_str().len() > LONGEST_PATH { Err(OpenError::PathTooLong { path }) } else { Ok(path) }
}

/// The end of all waits of one request.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: Instant,
    whole: Duration,
}

impl Deadline {
    /// So long from now on.
    pub fn after(whole: Duration) -> Self {
        Self { at: Instant::now() + whole, whole }
    }

    /// How long is left, or an error when nothing is.
    pub fn left(self) -> Result<Duration, Fault> {
        let left = self.at.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(self.missed()) } else { Ok(left) }
    }

    fn missed(self) -> Fault {
        Fault::TimedOut(self.whole)
    }
}

/// One connection. Dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
}

impl Connection {
    pub(crate) fn open(path: &Path, deadline: Deadline) -> Result<Self, OpenError> {
        let refused = |source: io::Error| OpenError::Connect { path: path.to_owned(), source };
        let late = |_| refused(io::Error::new(io::ErrorKind::TimedOut, "it does not accept connections"));
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(|e| refused(e.into()))?;
        let address = SocketAddrUnix::new(path).map_err(|e| refused(e.into()))?;
        loop {
            // A connect waits while the other side's backlog is full, at most as long as a send may take (unix(7)).
            let left = deadline.left().map_err(late)?.max(Duration::from_millis(1));
            set_socket_timeout(&socket, Timeout::Send, Some(left)).map_err(|e| refused(e.into()))?;
            match rustix::net::connect(&socket, &address) {
                Ok(()) => return Ok(Self { socket }),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(e) => return Err(refused(e.into())),
            }
        }
    }

    /// A connection that is open already.
    pub fn of(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Whether the other side still holds the connection. Costs one `poll` that does not wait.
    pub fn is_open(&self) -> bool {
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN | PollFlags::RDHUP)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        loop {
            match poll(&mut fds, Some(&now)) {
                Ok(0) => return true,
                Err(Errno::INTR) => {}
                // Nothing is ever sent on a connection that is only held, so whatever comes is its end.
                Ok(_) | Err(_) => return false,
            }
        }
    }

    /// Sends all of it.
    pub fn send(&self, mut bytes: &[u8], deadline: Deadline) -> Result<(), Fault> {
        while !bytes.is_empty() {
            // A peer that is gone is an error to return and no signal to die of.
            match rustix::net::send(&self.socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(n) => bytes = &bytes[n..],
                Err(Errno::AGAIN) => self.wait(PollFlags::OUT, deadline)?,
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(Fault::Closed),
                Err(e) => return Err(Fault::Io(e.into())),
            }
        }
        Ok(())
    }

    /// Fills the buffer. Never reads beyond it: the byte after a reply carries descriptors, which a plain read would drop.
    fn fill(&self, buffer: &mut [u8], deadline: Deadline) -> Result<(), Fault> {
        let mut have = 0;
        while have < buffer.len() {
            match rustix::net::recv(&self.socket, &mut buffer[have..], RecvFlags::DONTWAIT) {
                Ok((_, 0)) | Err(Errno::CONNRESET) => return Err(Fault::Closed),
                Ok((_, n)) => have += n,
                Err(Errno::AGAIN) => self.wait(PollFlags::IN, deadline)?,
                Err(Errno::INTR) => {}
                Err(e) => return Err(Fault::Io(e.into())),
            }
        }
        Ok(())
    }

    /// Reads a message with its length before it.
    pub fn receive<M: Message + Default>(&self, deadline: Deadline) -> Result<M, Fault> {
        let mut len = 0u64;
        let mut shift = 0;
        loop {
            let mut byte = [0];
            self.fill(&mut byte, deadline)?;
            len |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                break;
            }
            shift += 7;
            // Four bytes hold every length that is allowed.
            if shift > 21 {
                return Err(Fault::TooLong(len));
            }
        }
        if len > LONGEST_REPLY {
            return Err(Fault::TooLong(len));
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| Fault::TooLong(len))?];
        self.fill(&mut bytes, deadline)?;
        M::decode(&bytes[..]).map_err(|e| Fault::Malformed(e.to_string()))
    }

    /// Reads one byte and the `N` descriptors that come with it; any other number of them is an error.
    pub(crate) fn receive_descriptors<const N: usize>(
        &self,
        deadline: Deadline,
    ) -> Result<(u8, [OwnedFd; N]), Fault> {
        let mut byte = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(ROOM))];
        loop {
            let mut control = RecvAncillaryBuffer::new(&mut space);
            // Close-on-exec from the start: a worker started meanwhile must not inherit a replica.
            let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
            match rustix::net::recvmsg(&self.socket, &mut [IoSliceMut::new(&mut byte)], &mut control, flags) {
                Ok(received) if received.bytes == 0 => return Err(Fault::Closed),
                Ok(received) => {
                    let descriptors = rights(&mut control);
                    // Cut off means that there were even more than there was room for.
                    let cut = usize::from(received.flags.contains(ReturnFlags::CTRUNC));
                    let got = descriptors.len() + cut;
                    return match descriptors.try_into() {
                        Ok(exactly) if cut == 0 => Ok((byte[0], exactly)),
                        // Dropped here, and so closed.
                        _ => Err(Fault::Descriptors { got, wanted: N }),
                    };
                }
                Err(Errno::AGAIN) => self.wait(PollFlags::IN, deadline)?,
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => return Err(Fault::Closed),
                Err(e) => return Err(Fault::Io(e.into())),
            }
        }
    }

    /// Waits until something can be read, or the other side has closed.
    pub fn wait_readable(&self, deadline: Deadline) -> Result<(), Fault> {
        self.wait(PollFlags::IN, deadline)
    }

    fn wait(&self, what: PollFlags, deadline: Deadline) -> Result<(), Fault> {
        loop {
            let left = Timespec::try_from(deadline.left()?).map_err(|_| deadline.missed())?;
            match poll(&mut [PollFd::new(&self.socket, what)], Some(&left)) {
                Ok(0) => return Err(deadline.missed()),
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(e) => return Err(Fault::Io(e.into())),
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// All descriptors of a received message.
fn rights(control: &mut RecvAncillaryBuffer<'_>) -> Vec<OwnedFd> {
    control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(configured: &str, port: u16) -> Result<PathBuf, OpenError> {
        socket_path(&Settings::new(configured), port)
    }

    #[test]
    fn the_port_takes_its_place_in_the_path() {
        assert_eq!(path("/run/dn._PORT", 9866).unwrap(), Path::new("/run/dn.9866"));
        assert_eq!(path("/run/dn", 9866).unwrap(), Path::new("/run/dn"));
        assert_eq!(path("/_PORT/_PORT", 1).unwrap(), Path::new("/1/1"));
    }

    #[test]
    fn a_path_is_as_long_as_the_system_allows() {
        let longest = format!("/{}", "x".repeat(LONGEST_PATH - 1));
        assert!(path(&longest, 1).is_ok());
        let error = path(&format!("{longest}x"), 1).unwrap_err();
        assert!(matches!(error, OpenError::PathTooLong { .. }), "{error}");
        // It is the path with the port that counts.
        let configured = format!("/{}_PORT", "x".repeat(LONGEST_PATH - 2));
        assert!(path(&configured, 1).is_ok());
        assert!(path(&configured, 10).is_err());
    }

    #[test]
    fn no_path_is_off() {
        assert!(matches!(path("", 1), Err(OpenError::Off)));
    }
}
