//! A second read of what is late, from another replica: the first that sends something goes on, the other one is dropped.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use forebay_remote::Stream;
use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::mpsc::{self, error::TryRecvError};

use super::streams::{Opened, RemotePiece, Remotes, open};
use super::waking;

/// Whether a piece that is waited for is asked for a second time.
pub(crate) enum Second {
    /// Not yet.
    No,
    Racing(Hedge),
    /// It was, in vain, or it may not be.
    Over,
}

impl Second {
    pub(crate) fn as_racing(&mut self) -> Option<&mut Hedge> {
        if let Self::Racing(hedge) = self { Some(hedge) } else { None }
    }
}

/// A second read.
pub(crate) struct Hedge {
    /// Who is late.
    late: String,
    state: State,
    /// Rung when the opening has come to something.
    bell: Arc<OwnedFd>,
}

enum State {
    Opening(mpsc::Receiver<Opened>),
    Open(Opened),
    Failed,
}

/// How a second read stands.
pub(crate) enum Race {
    Pending,
    /// Something has come, at least the head of a packet, and still nothing of the first one.
    Won(Won),
    /// It has failed.
    Lost,
}

/// The stream that goes on in place of another one.
pub(crate) struct Won {
    pub(crate) stream: Box<Stream>,
    /// The DataNode that was late.
    pub(crate) late: String,
    /// Who has failed for the piece, the late one aside.
    tried: Vec<String>,
}

/// That a second read is under way, as long as it exists.
pub(super) struct UnderWay(Arc<Remotes>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.hedge_is_over();
    }
}

impl Hedge {
    /// Asks another DataNode for a piece, from `at` in its block on, if there is one and it may be asked; `bell` is rung when it has
    /// answered.
    pub(super) fn start(piece: &RemotePiece, late: &str, at: u64, bell: &Arc<OwnedFd>) -> Option<Self> {
        let remotes = &piece.remotes;
        if !remotes.may_hedge(&piece.located, &piece.tried, late) {
            return None;
        }
        let under_way = UnderWay(Arc::clone(remotes));
        let mut tried = piece.tried.clone();
        tried.push(late.to_owned());
        let (answer, opening) = waking(1, bell);
        let part = (piece.located.clone(), at..piece.bytes.end);
        let file = Arc::clone(&piece.file);
        let (cluster, remotes) = (Arc::clone(file.cluster()), Arc::clone(remotes));
        cluster.handle().spawn(async move {
            open(file, remotes, part, tried, answer).await;
            drop(under_way);
        });
        tracing::info!(host = late, block = %piece.located.block, at, "late, asking another DataNode, too");
        Some(Self { late: late.to_owned(), state: State::Opening(opening), bell: Arc::clone(bell) })
    }

    /// Like [`start`](Self::start), with a bell of its own.
    pub(super) fn start_alone(piece: &RemotePiece, late: &str, at: u64) -> Option<Self> {
        // Without a descriptor there is no second read.
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok()?;
        Self::start(piece, late, at, &Arc::new(bell))
    }

    /// What becomes readable when [`poll`](Self::poll) is worth a call.
    pub(crate) fn wakes(&self) -> BorrowedFd<'_> {
        match &self.state {
            State::Open(Opened { stream: Some(stream), .. }) => {
                stream.socket().unwrap_or_else(|| self.bell.as_fd())
            }
            State::Open(_) | State::Opening(_) | State::Failed => self.bell.as_fd(),
        }
    }

    /// Whether the DataNode has answered; it wins with that, also if no byte has come yet.
    pub(super) fn poll_opened(&mut self) -> Race {
        if let State::Opening(opening) = &mut self.state {
            self.state = match opening.try_recv() {
                Ok(opened @ Opened { stream: Some(_), .. }) => State::Open(opened),
                Ok(_) | Err(TryRecvError::Disconnected) => State::Failed,
                Err(TryRecvError::Empty) => return Race::Pending,
            };
        }
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Open(Opened { stream: Some(stream), tried }) => {
                let late = self.late.clone();
                let tried = tried.into_iter().filter(|host| *host != late).collect();
                Race::Won(Won { stream, late, tried })
            }
            _ => Race::Lost,
        }
    }

    /// Whether something of what was asked for has come.
    pub(crate) fn poll(&mut self) -> Race {
        let won = match self.poll_opened() {
            Race::Won(won) => won,
            other => return other,
        };
        match won.stream.has_come() {
            Ok(true) => Race::Won(won),
            Ok(false) => {
                self.state = State::Open(Opened { stream: Some(won.stream), tried: won.tried });
                Race::Pending
            }
            Err(error) => {
                tracing::info!(%error, "a second read broke off");
                Race::Lost
            }
        }
    }
}

impl RemotePiece {
    /// The stream of a second read is there first and takes the place of the first one's.
    pub(crate) fn overtaken(&mut self, won: Won) -> Box<Stream> {
        tracing::info!(late = won.late, by = won.stream.host(), "another DataNode was there first");
        self.remotes.overtaken(&won.late);
        self.tried = won.tried;
        won.stream
    }
}
