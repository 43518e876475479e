//! Streams from DataNodes, opened ahead: which replica is asked, and which one after a failure.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use forebay_hadoop::Configuration;
use forebay_hadoop::namenode::{LocatedBlock, Replica};
use forebay_remote::{DataNodes, ReadError, Settings, Stream};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::file::HdfsFile;
use super::hedge::{Hedge, Race, Second};
use super::late::{Budget, Usual};
use super::order::{Candidate, Seen};
use super::place::OwnAddresses;
use super::{Waking, waking};
use crate::Meter;

/// Pieces whose streams are open, or being opened, before their turn: what the kernel holds for each is bounded by
/// `net.ipv4.tcp_rmem`.
pub(super) const STREAMS: usize = 6;
/// How long a DataNode may be silent before another one is asked, at most.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

/// How long a DataNode has to answer while there are others.
const HASTE: Duration = Duration::from_secs(1);
/// Waits for a stream that are shorter are not looked at.
const FELT: Duration = Duration::from_millis(1);
/// How long a stream is watched before it counts as slow.
const WATCHED: Duration = Duration::from_millis(300);
/// What sender and receiver may hold of a stream that is not read, in bytes, by what kernels grant at most.
const BUFFERED: u64 = 12 << 20;

/// The DataNodes of a cluster, and what was seen of them.
#[derive(Debug)]
pub(crate) struct Remotes {
    datanodes: DataNodes,
    silence: Duration,
    here: OwnAddresses,
    known: Mutex<Known>,
}

/// What was seen, and what follows from it.
#[derive(Debug, Default)]
struct Known {
    seen: Seen,
    /// How long DataNodes take to answer a request.
    answers: Usual,
    /// How long streams that are waited for bring nothing.
    gaps: Usual,
    budget: Budget,
}

/// What came of asking the DataNodes that have a block.
pub(super) enum Asked {
    Opened(Box<Stream>),
    /// None gives it, and one of them does not accept the token.
    Token,
    /// None gives it.
    Nobody,
}

impl Remotes {
    /// `None` where data is protected on its way, or the configuration is not understood.
    pub(crate) fn from_conf(conf: &Configuration, timeout: Duration) -> Option<Self> {
        let settings = Settings::from_conf(conf)
            .inspect_err(|error| tracing::warn!(%error, "reading over the network by hdfs-native"))
            .ok()?;
        if settings.protected {
            tracing::info!("data is protected on its way: reading over the network by hdfs-native");
            return None;
        }
        let silence = (timeout / 3).min(LONGEST_SILENCE).min(settings.silence).max(Duration::from_millis(1));
        let (here, known) = (OwnAddresses::default(), Mutex::default());
        Some(Self { datanodes: DataNodes::new(settings), silence, here, known })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a DataNode may be silent.
    pub(super) fn silence(&self) -> Duration {
        self.silence
    }

    /// Where a replica's DataNode is reached.
    pub(super) fn address(&self, replica: &Replica) -> String {
        self.datanodes.address(replica)
    }

    /// A DataNode has failed: it is asked last for a while.
    pub(super) fn avoid(&self, host: &str) {
        self.known().seen.avoid(host, Instant::now());
    }

    /// The most that may be expected from another DataNode that has the block, and is not avoided; `None` if there is none.
    fn elsewhere(&self, located: &LocatedBlock, tried: &[String], host: &str) -> Option<f64> {
        let candidates = self.candidates(located, tried);
        self.known().seen.elsewhere(&candidates, host, Instant::now())
    }

    /// Who is asked for a block, in this order; who has failed for this very piece is not.
    fn order(&self, located: &LocatedBlock, tried: &[String]) -> Vec<String> {
        let candidates = self.candidates(located, tried);
        self.known().seen.order(&candidates, Instant::now())
    }

    /// Those who have a block, and have not failed for this very piece, as the NameNode has sorted them.
    fn candidates(&self, located: &LocatedBlock, tried: &[String]) -> Vec<Candidate> {
        let candidates = located.replicas.iter().map(|replica| Candidate {
            address: self.address(replica),
            is_here: self.here.is(&replica.ip),
            rack: replica.rack.clone(),
        });
        candidates.filter(|candidate| !tried.contains(&candidate.address)).collect()
    }

    /// Whether somebody else may be asked for a block that `late` is late with. If so, that is then under way, until
    /// [`hedge_is_over`](Self::hedge_is_over).
    pub(super) fn may_hedge(&self, located: &LocatedBlock, tried: &[String], late: &str) -> bool {
        self.elsewhere(located, tried, late).is_some() && self.known().budget.begin()
    }

    pub(super) fn hedge_is_over(&self) {
        self.known().budget.end();
    }

    /// A DataNode was late, and another one was there first.
    pub(super) fn overtaken(&self, host: &str) {
        self.known().seen.overtaken(host, Instant::now());
    }

    /// Opens a part of a block at one of its DataNodes, without checksums if it is not to be verified; who fails is added to
    /// `tried`. Blocks the thread.
    pub(super) fn open(
        &self,
        located: &LocatedBlock,
        range: Range<u64>,
        verify: bool,
        tried: &mut Vec<String>,
    ) -> Asked {
        let (datanodes, named) = (&self.datanodes, (&located.block, &located.token));
        let open = |host: &str, patience| {
            if verify {
                datanodes.open(host, named, range.clone(), patience)
            } else {
                datanodes.open_unchecked(host, named, range.clone(), patience)
            }
        };
        let hosts = self.order(located, tried);
        // Who refuses a token may lack a key that others have.
        let (mut late, mut refused) = (Vec::new(), false);
        for (i, host) in hosts.iter().enumerate() {
            let is_last = i + 1 == hosts.len();
            let patience = if is_last { self.silence } else { self.silence.min(HASTE) };
            let asked = Instant::now();
            match open(host, patience) {
                Ok(stream) => {
                    let mut known = self.known();
                    known.answers.note(asked.elapsed());
                    known.budget.read();
                    return Asked::Opened(Box::new(stream));
                }
                Err(error) if error.is_token() => refused = true,
                Err(error) if error.is_late() && !is_last => {
                    self.avoid(host);
                    late.push(host);
                }
                Err(error) => self.failed(&error, tried),
            }
        }
        // Nobody else has it: then they are waited for.
        for host in late {
            match open(host, self.silence) {
                Ok(stream) => return Asked::Opened(Box::new(stream)),
                Err(error) if error.is_token() => refused = true,
                Err(error) => self.failed(&error, tried),
            }
        }
        if refused { Asked::Token } else { Asked::Nobody }
    }

    /// Remembers who has failed, and for what.
    pub(super) fn failed(&self, error: &ReadError, tried: &mut Vec<String>) {
        tracing::info!(%error, "asking another DataNode");
        if error.is_of_the_datanode() {
            self.avoid(&error.host);
        }
        tried.push(error.host.clone());
    }
}

/// What opening a piece's stream came to: the stream, if there is one, and who has failed.
pub(super) struct Opened {
    pub(super) stream: Option<Box<Stream>>,
    pub(super) tried: Vec<String>,
}

/// Part of a block that comes from a DataNode.
pub(crate) struct RemotePiece {
    pub(super) located: LocatedBlock,
    /// Offsets in the block.
    pub(super) bytes: Range<u64>,
    pub(super) file: Arc<HdfsFile>,
    pub(super) remotes: Arc<Remotes>,
    opening: mpsc::Receiver<Opened>,
    /// Since when its stream is waited for, and whether another one is asked for, too.
    since: Option<Instant>,
    second: Second,
    /// DataNodes that have failed for it.
    pub(super) tried: Vec<String>,
    /// Its connection was closed before anything came, once.
    pub(super) closed: bool,
    /// Held until it has been delivered.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

/// What has come of a piece whose turn it is.
pub(super) enum Turn {
    /// Its stream.
    Open(Box<Stream>),
    /// No DataNode gives it.
    Nobody,
    /// Nothing yet. If that is still so after this time, it is worth another look.
    Pending(Option<Duration>),
    /// Whoever was to open it is gone.
    Broken,
}

impl RemotePiece {
    /// Starts to open the stream of a part of a block; `wake` is rung when that has come to something.
    pub(super) fn start(
        file: &Arc<HdfsFile>,
        remotes: &Arc<Remotes>,
        (located, bytes): (LocatedBlock, Range<u64>),
        tried: Vec<String>,
        wake: &Arc<OwnedFd>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Box<Self> {
        let (answer, opening) = waking(1, wake);
        let (file, remotes) = (Arc::clone(file), Arc::clone(remotes));
        let part = (located.clone(), bytes.clone());
        let task = open(Arc::clone(&file), Arc::clone(&remotes), part, tried.clone(), answer);
        file.cluster().handle().spawn(task);
        let (since, second) = (None, Second::No);
        let piece =
            Self { located, bytes, file, remotes, opening, since, second, tried, closed: false, permit };
        Box::new(piece)
    }

    /// Looks at what has come of opening its stream, when its turn has come. One that is late is opened elsewhere, too.
    pub(super) fn turn(&mut self, wake: &Arc<OwnedFd>, meter: &Meter) -> Turn {
        match self.opening.try_recv() {
            Ok(Opened { stream, tried }) => {
                self.tried = tried;
                self.second = Second::Over;
                return stream.map_or(Turn::Nobody, Turn::Open);
            }
            Err(TryRecvError::Disconnected) => return Turn::Broken,
            Err(TryRecvError::Empty) => {}
        }
        match self.second.as_racing().map(Hedge::poll_opened) {
            Some(Race::Won(won)) => {
                meter.hedge_won(&won.late);
                // What comes too late is dropped, and its connection closed.
                self.opening.close();
                drop(self.opening.try_recv());
                return Turn::Open(self.overtaken(won));
            }
            Some(Race::Lost) => self.second = Second::Over,
            Some(Race::Pending) | None => {}
        }
        if !matches!(self.second, Second::No) {
            return Turn::Pending(None);
        }
        let waited = self.since.get_or_insert_with(Instant::now).elapsed();
        let late_after = self.remotes.known().answers.late_after();
        let left = late_after.saturating_sub(waited);
        if !left.is_zero() {
            return Turn::Pending(Some(left));
        }
        // Whoever comes first is the one that is being asked.
        let first = self.remotes.order(&self.located, &self.tried).into_iter().next();
        let hedge = first.and_then(|late| Hedge::start(self, &late, self.bytes.start, wake));
        self.second = hedge.map_or(Second::Over, |hedge| {
            meter.hedge_tried();
            Second::Racing(hedge)
        });
        Turn::Pending(None)
    }

    /// After how long a stream that brings nothing is late.
    pub(crate) fn late_after(&self) -> Duration {
        self.remotes.known().gaps.late_after()
    }

    /// Its stream goes on after it was waited for so long.
    pub(crate) fn goes_on_after(&self, gap: Duration) {
        // What nobody feels says nothing of what is late, and would be looked at thousands of times in a second.
        if gap >= FELT {
            self.remotes.known().gaps.note(gap);
        }
    }

    /// Asks another DataNode for what its stream is late with, if that is worth it.
    pub(crate) fn hedge(&self, stream: &Stream, meter: &Meter) -> Second {
        match Hedge::start_alone(self, stream.host(), stream.at()) {
            None => Second::Over,
            Some(hedge) => {
                meter.hedge_tried();
                Second::Racing(hedge)
            }
        }
    }

    /// Where in the block it ends.
    pub(crate) fn end(&self) -> u64 {
        self.bytes.end
    }

    /// How long its DataNode may be silent.
    pub(crate) fn silence(&self) -> Duration {
        self.remotes.silence()
    }

    /// Whether its stream is worth leaving for another DataNode, of which so many bytes have come while the feed has waited for
    /// it for so long: what it gives, and what can be had elsewhere, in bytes per second.
    pub(crate) fn is_slow(&self, stream: &Stream, bytes: u64, waited: Duration) -> Option<(f64, f64)> {
        // The first byte may have to be waited for: a disk has to find it.
        if waited < if bytes == 0 { HASTE } else { WATCHED } {
            return None;
        }
        let rate = bytes as f64 / waited.as_secs_f64();
        let elsewhere = self.remotes.elsewhere(&self.located, &self.tried, stream.host())?;
        Seen::are_slow(rate, elsewhere).then_some((rate, elsewhere))
    }

    /// Its stream is over, or left: so many bytes have come of it in `took`, during which it was waited for so long. The time
    /// begins with the first wait, or, if there was none, when it was taken in hand.
    pub(crate) fn note(&self, stream: &Stream, bytes: u64, (took, waited): (Duration, Duration)) {
        let now = Instant::now();
        if waited >= WATCHED && waited * 2 >= took {
            self.remotes.known().seen.note(stream.host(), bytes as f64 / took.as_secs_f64(), now);
        } else if bytes >= 2 * BUFFERED && !took.is_zero() {
            // What was seldom waited for tells how fast a socket is emptied. The DataNode fills it at least as fast.
            let rate = (bytes - BUFFERED) as f64 / took.as_secs_f64();
            self.remotes.known().seen.note_at_least(stream.host(), rate, now);
        }
    }

    /// Its DataNode was found slow or dead after the stream was opened, and another one has the block.
    pub(super) fn is_outdated(&self, stream: &Stream) -> bool {
        let is_avoided = self.remotes.known().seen.is_avoided(stream.host(), Instant::now());
        is_avoided && self.remotes.elsewhere(&self.located, &self.tried, stream.host()).is_some()
    }
}

/// Opens a part of a block at one of its DataNodes, and answers with the stream.
pub(super) async fn open(
    file: Arc<HdfsFile>,
    remotes: Arc<Remotes>,
    (located, range): (LocatedBlock, Range<u64>),
    mut tried: Vec<String>,
    answer: Waking<Opened>,
) {
    let stream = file.stream(&remotes, &located, range, &mut tried).await;
    // Nobody may be waiting any more.
    let _ = answer.send(Opened { stream, tried }).await;
}
