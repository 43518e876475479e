//! Where connections of agents and clients come from. A stranger costs little: there are only so many who have not yet
//! said who they are, and not for long.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use forebay_protocol::{Acceptor, Peer, Role};
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};

/// Connections at a time.
const CONNECTIONS: usize = 16_384;
/// Of those, strangers that have not yet proved who they are.
pub(crate) const STRANGERS: usize = 256;
/// How long it may take to do so.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);
/// The same while others wait for the place.
const HURRIED: Duration = Duration::from_secs(1);
/// How often those who take longer are told that others wait.
const PRESS: Duration = Duration::from_millis(50);
/// Until connections are accepted again after one could not be: there were no descriptors left, most likely.
const BREATH: Duration = Duration::from_millis(100);

/// Connections through a Unix socket. Agents are processes of this user.
pub(crate) fn local(listener: UnixListener) -> impl Stream<Item = io::Result<Peer<UnixStream>>> {
    let uid = rustix::process::geteuid().as_raw();
    unfold(listener, move |listener| async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let is_ours = stream.peer_cred().is_ok_and(|peer| peer.uid() == uid);
                    return Some((Ok(Peer::new(stream, is_ours.then_some(Role::Agent))), listener));
                }
                Err(error) => catch_breath(&error).await,
            }
        }
    })
}

/// Connections of agents and clients that have proved with a certificate who they are.
pub(crate) fn secure(
    listener: TcpListener,
    acceptor: Acceptor,
) -> impl Stream<Item = io::Result<Peer<forebay_protocol::Secure>>> {
    let (known, receiver) = mpsc::channel(1);
    tokio::spawn(Door::new(acceptor, known).open(listener));
    unfold(receiver, |mut known| async { known.recv().await.map(|peer| (Ok(peer), known)) })
}

type Known = mpsc::Sender<Peer<forebay_protocol::Secure>>;

/// Lets in whom it knows.
#[derive(Clone)]
struct Door {
    acceptor: Acceptor,
    places: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    /// Others wait for a stranger's place.
    pressed: Arc<Notify>,
    known: Known,
}

impl Door {
    fn new(acceptor: Acceptor, known: Known) -> Self {
        Self {
            acceptor,
            places: Arc::new(Semaphore::new(CONNECTIONS)),
            strangers: Arc::new(Semaphore::new(STRANGERS)),
            pressed: Arc::new(Notify::new()),
            known,
        }
    }

    async fn open(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.known.closed() => return,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    catch_breath(&error).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                tracing::warn!("there are {CONNECTIONS} connections; another one is refused");
                continue;
            };
            let Some(stranger) = self.place_of_a_stranger().await else { return };
            tokio::spawn(self.clone().examine(stream, place, stranger));
        }
    }

    /// Waits for a place, and hurries those who have one.
    async fn place_of_a_stranger(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            match timeout(PRESS, Arc::clone(&self.strangers).acquire_owned()).await {
                Ok(place) => return place.ok(),
                Err(_) => self.pressed.notify_waiters(),
            }
        }
    }

    async fn examine(self, stream: TcpStream, place: OwnedSemaphorePermit, stranger: OwnedSemaphorePermit) {
        let from = stream.peer_addr().map_or_else(|_| "somewhere".to_owned(), |from| from.to_string());
        let pressed = async {
            sleep(HURRIED).await;
            self.pressed.notified().await;
        };
        let examined = tokio::select! {
            examined = self.acceptor.accept(stream) => examined,
            () = sleep(HANDSHAKE) => Err(io::ErrorKind::TimedOut.into()),
            () = pressed => Err(io::ErrorKind::TimedOut.into()),
        };
        drop(stranger);
        match examined {
            // Fails only when nobody serves any more.
            Ok(peer) => drop(self.known.send(peer.holding(place)).await),
            Err(error) => tracing::debug!(from, %error, "a stranger was turned away"),
        }
    }
}

async fn catch_breath(error: &io::Error) {
    tracing::warn!(%error, "a connection cannot be accepted");
    sleep(BREATH).await;
}
