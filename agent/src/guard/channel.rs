//! What an agent, its guard and the worker to be say to each other: short messages with descriptors, over a
//! Unix socket that keeps them apart. The end of the stream is the other's death.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Longest message in bytes.
const LONGEST: usize = 8 << 10;
/// Longest text of a failure in characters, so that its message is short enough however it is written.
const LONGEST_REASON: usize = 1000;
/// Most descriptors of a message.
const MOST: usize = 2;

/// From the agent to its guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// Start the worker. With two descriptors: its standard input, and what keeps that from ending.
    Start {
        /// The worker stays in the guard's process group.
        keeps_group: bool,
    },
    /// The worker may see the end of its input.
    CloseInput,
    /// End the worker and all it has started.
    End {
        /// Within a moment: somebody else is about to kill all of us.
        is_hurried: bool,
    },
}

/// From the guard to its agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum News {
    /// The worker runs. With its pidfd.
    Started {
        /// Its process id.
        pid: u32,
    },
    /// The command cannot be run.
    CannotStart(NotStarted),
    /// The worker has ended, and so has all that it had started.
    Exited {
        /// As a shell tells it.
        status: i32,
    },
    /// The worker cannot be watched or ended.
    Failed {
        /// Why.
        reason: String,
    },
}

/// From the guard to what becomes the worker. With its standard input.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Become {
    /// Stay in the guard's process group.
    pub(crate) keeps_group: bool,
}

/// Why a command cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NotStarted {
    /// As a shell tells it: 127 if it is not found, 126 otherwise.
    pub(crate) status: i32,
    pub(crate) reason: String,
}

/// A text that fits into a message.
pub(crate) fn reason(error: &impl ToString) -> String {
    error.to_string().chars().take(LONGEST_REASON).collect()
}

/// One end of the conversation.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

impl Channel {
    /// Both ends.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (one, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(one), Self(other)))
    }

    /// The end that came as standard input.
    pub(crate) fn stdin() -> io::Result<Self> {
        Ok(Self(io::stdin().as_fd().try_clone_to_owned()?))
    }

    /// As a descriptor to start a process with.
    pub(crate) fn into_fd(self) -> OwnedFd {
        self.0
    }

    pub(crate) fn send(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        loop {
            match sendmsg(&self.0, &[IoSlice::new(&text)], &mut control, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next message and its descriptors; `None` when the other end is closed.
    pub(crate) fn receive<M: DeserializeOwned>(&self) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        let mut text = vec![0; LONGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut buffers = [IoSliceMut::new(&mut text)];
            match recvmsg(&self.0, &mut buffers, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Ok(received) => break received,
                Err(Errno::INTR) => {}
                // Whoever dies with a message unread resets the connection.
                Err(Errno::CONNRESET) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        };
        if received.bytes == 0 {
            return Ok(None);
        }
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message does not fit"));
        }
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        for descriptor in &descriptors {
            fcntl_setfd(descriptor, FdFlags::CLOEXEC)?;
        }
        Ok(Some((serde_json::from_slice(&text[..received.bytes])?, descriptors)))
    }
}

impl AsFd for Channel {
    /// Readable when a message or the end can be received.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn messages_stay_apart_and_bring_their_descriptors() {
        let (one, other) = Channel::pair().unwrap();
        let (read, write) = rustix::pipe::pipe().unwrap();
        one.send(&Order::Start { keeps_group: true }, &[read.as_fd(), write.as_fd()]).unwrap();
        one.send(&Order::End { is_hurried: false }, &[]).unwrap();
        drop((read, write));
        let (order, mut descriptors) = other.receive::<Order>().unwrap().unwrap();
        assert_eq!((order, descriptors.len()), (Order::Start { keeps_group: true }, 2));
        File::from(descriptors.pop().unwrap()).write_all(b"through").unwrap();
        let mut text = String::new();
        File::from(descriptors.pop().unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        assert_eq!(other.receive::<Order>().unwrap().unwrap().0, Order::End { is_hurried: false });
        drop(one);
        assert!(other.receive::<Order>().unwrap().is_none());
        other.send(&Order::End { is_hurried: false }, &[]).unwrap_err();
    }

    #[test]
    fn the_longest_reason_fits() {
        let (one, other) = Channel::pair().unwrap();
        let reason = reason(&"\u{1}é\"".repeat(LONGEST));
        one.send(&News::Failed { reason: reason.clone() }, &[]).unwrap();
        assert_eq!(other.receive::<News>().unwrap().unwrap().0, News::Failed { reason });
    }
}
