//! Streams from DataNodes, opened ahead: which replica is asked, and which one after a failure.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use forebay_hadoop::Configuration;
use forebay_hadoop::namenode::{LocatedBlock, Replica};
use forebay_remote::{DataNodes, ReadError, Settings, Stream};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::file::HdfsFile;
use super::{Waking, waking};

/// Pieces whose streams are open, or being opened, before their turn: what the kernel holds for each is bounded by
/// `net.ipv4.tcp_rmem`.
pub(super) const STREAMS: usize = 6;
/// For how long a DataNode that has failed is asked last.
const AVOIDED: Duration = Duration::from_secs(30);
/// How long a DataNode may be silent before another one is asked, at most.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

/// How long a DataNode has to answer while there are others.
const HASTE: Duration = Duration::from_secs(1);
/// How long a stream is watched before it counts as slow.
const WATCHED: Duration = Duration::from_millis(300);
/// How many times faster another DataNode must have been for a stream to be left for it.
const TIMES_FASTER: f64 = 4.0;
/// What a DataNode is expected to give that nothing is known of yet, in bytes per second.
const EXPECTED: f64 = 80e6;

/// The DataNodes of a cluster, and what was seen of them.
#[derive(Debug)]
pub(crate) struct Remotes {
    datanodes: DataNodes,
    silence: Duration,
    avoided: Mutex<HashMap<String, Instant>>,
    /// Bytes per second that came from each, while they were waited for.
    rates: Mutex<HashMap<String, f64>>,
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
        Some(Self {
            datanodes: DataNodes::new(settings),
            silence,
            avoided: Mutex::default(),
            rates: Mutex::default(),
        })
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
        let until = Instant::now() + AVOIDED;
        self.avoided.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), until);
    }

    /// What came from a DataNode: newer figures count as much as all older ones.
    fn note(&self, host: &str, rate: f64) {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.entry(host.to_owned()).and_modify(|known| *known = f64::midpoint(*known, rate)).or_insert(rate);
    }

    /// The most that may be expected from another DataNode that has the block, and is not avoided; `None` if there is none.
    fn elsewhere(&self, located: &LocatedBlock, tried: &[String], host: &str) -> Option<f64> {
        let order = self.order(located, tried);
        let avoided = self.avoided.lock().unwrap_or_else(PoisonError::into_inner);
        let rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let others = order.iter().filter(|other| *other != host && !avoided.contains_key(*other));
        // Nobody is expected to give more than the best one that was seen: the network may be what limits all of them.
        let expected =
            rates.values().copied().max_by(f64::total_cmp).map_or(EXPECTED, |most| most.min(EXPECTED));
        others.map(|other| rates.get(other).copied().unwrap_or(expected)).max_by(f64::total_cmp)
    }

    /// Who is asked for a block, in this order: as the NameNode has sorted them, the nearest first, but who has failed lately at
    /// the end, and who has failed for this very piece not at all.
    fn order(&self, located: &LocatedBlock, tried: &[String]) -> Vec<String> {
        let mut avoided = self.avoided.lock().unwrap_or_else(PoisonError::into_inner);
        avoided.retain(|_, until| *until > Instant::now());
        let mut hosts: Vec<String> = located
            .replicas
            .iter()
            .map(|replica| self.address(replica))
            .filter(|host| !tried.contains(host))
            .collect();
        hosts.sort_by_key(|host| avoided.contains_key(host));
        hosts
    }

    /// Opens a part of a block at one of its DataNodes, without checksums if it is not to be verified; who fails is added to `tried`. Blocks the thread.
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
            match open(host, patience) {
                Ok(stream) => return Asked::Opened(Box::new(stream)),
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
    pub(super) opening: mpsc::Receiver<Opened>,
    /// DataNodes that have failed for it.
    pub(super) tried: Vec<String>,
    /// Its connection was closed before anything came, once.
    pub(super) closed: bool,
    /// Held until it has been delivered.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

impl RemotePiece {
    /// Starts to open the stream of a part of a block; `wake` is rung when that has come to something. To be called within
    /// tokio, or with a handle entered.
    pub(super) fn start(
        file: &Arc<HdfsFile>,
        remotes: &Arc<Remotes>,
        (located, bytes): (LocatedBlock, Range<u64>),
        tried: Vec<String>,
        wake: &Arc<std::os::fd::OwnedFd>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let (answer, opening) = waking(1, wake);
        let (file, remotes) = (Arc::clone(file), Arc::clone(remotes));
        let task =
            open(Arc::clone(&file), Arc::clone(&remotes), located.clone(), bytes.clone(), tried, answer);
        file.cluster().handle().spawn(task);
        Self { located, bytes, file, remotes, opening, tried: Vec::new(), closed: false, permit }
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
        (rate * TIMES_FASTER < elsewhere).then_some((rate, elsewhere))
    }

    /// Its stream is over, or left: so many bytes have come of it since it was first waited for, in so long, during which it was
    /// waited for so long.
    pub(crate) fn note(&self, stream: &Stream, bytes: u64, (took, waited): (Duration, Duration)) {
        // What was seldom waited for tells how fast a socket is emptied, not how fast the DataNode fills it.
        if waited >= WATCHED && waited * 2 >= took {
            self.remotes.note(stream.host(), bytes as f64 / took.as_secs_f64());
        }
    }

    /// Its DataNode was found slow or dead after the stream was opened, and another one has the block.
    pub(super) fn is_outdated(&self, stream: &Stream) -> bool {
        let is_avoided = {
            let avoided = self.remotes.avoided.lock().unwrap_or_else(PoisonError::into_inner);
            avoided.get(stream.host()).is_some_and(|until| *until > Instant::now())
        };
        is_avoided && self.remotes.elsewhere(&self.located, &self.tried, stream.host()).is_some()
    }
}

async fn open(
    file: Arc<HdfsFile>,
    remotes: Arc<Remotes>,
    located: LocatedBlock,
    range: Range<u64>,
    mut tried: Vec<String>,
    answer: Waking<Opened>,
) {
    let stream = file.stream(&remotes, &located, range, &mut tried).await;
    // Nobody may be waiting any more.
    let _ = answer.send(Opened { stream, tried }).await;
}

#[cfg(test)]
mod tests {
    use forebay_hadoop::Token;
    use forebay_hadoop::namenode::{Block, StorageType};

    use super::*;

    #[test]
    fn who_has_failed_lately_is_asked_last_and_who_has_failed_for_the_piece_not_at_all() {
        let replica = |port| Replica {
            ip: "10.0.0.1".to_owned(),
            hostname: "one".to_owned(),
            xfer_port: port,
            info_port: 0,
            ipc_port: 0,
            uuid: String::new(),
            rack: String::new(),
            storage_id: String::new(),
            storage_type: StorageType::Disk,
            cached: false,
            index: None,
            token: None,
        };
        let located = LocatedBlock {
            block: Block { pool: String::new(), id: 1, generation: 1, len: 1 },
            offset: 0,
            replicas: [1, 2, 3].map(replica).to_vec(),
            corrupt: false,
            token: Token::default(),
        };
        let remotes = Remotes::from_conf(&Configuration::empty(), Duration::from_secs(30)).unwrap();
        let [a, b, c] = [1, 2, 3].map(|port| format!("10.0.0.1:{port}"));
        assert_eq!(remotes.order(&located, &[]), [&*a, &*b, &*c]);
        remotes.avoid(&a);
        assert_eq!(remotes.order(&located, &[]), [&*b, &*c, &*a]);
        assert_eq!(remotes.order(&located, std::slice::from_ref(&b)), [&*c, &*a]);

        // Of whom nothing is known something is expected, and nothing of who is avoided.
        let elsewhere =
            |tried: &[String], host: &str| remotes.elsewhere(&located, tried, host).map(f64::to_bits);
        assert_eq!(elsewhere(&[], &b), Some(EXPECTED.to_bits()));
        remotes.note(&b, 2000.0);
        assert_eq!(elsewhere(&[], &b), Some(2000f64.to_bits()), "the network may give no more to anybody");
        remotes.note(&c, 500.0);
        remotes.note(&c, 1500.0);
        assert_eq!(elsewhere(&[], &b), Some(1000f64.to_bits()));
        assert_eq!(elsewhere(std::slice::from_ref(&c), &b), None);
    }
}
