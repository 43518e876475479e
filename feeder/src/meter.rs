//! Who waits for whom: counted where a wait is known, sampled where only the pipe can tell.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::StreamPosition;

/// Counters of one feed; cheap to read from another thread while it runs.
#[derive(Debug, Default)]
pub struct Meter {
    started: OnceLock<Instant>,
    ended: OnceLock<Instant>,
    pub(crate) delivered: AtomicU64,
    pub(crate) copied: AtomicU64,
    pub(crate) splits: AtomicU64,
    /// Bytes of compressed files that went into decoders, and what came out of them and was passed on.
    pub(crate) encoded: AtomicU64,
    pub(crate) decoded: AtomicU64,
    /// Bytes handed over that compressed files decoded to.
    pub(crate) delivered_decoded: AtomicU64,
    /// Records delivered, where they are counted.
    pub(crate) records: AtomicU64,
    /// Nanoseconds in which the feed had bytes ready and the pipe had no room.
    pub(crate) pipe_full: AtomicU64,
    /// Bytes are ready: they wait for room, or have just been given some. An empty pipe is then no wait for
    /// data, but the moment between the reader's taking all of it and our hearing of it.
    ready: AtomicBool,
    samples: AtomicU64,
    empty_samples: AtomicU64,
    /// Bytes delivered from HDFS replicas of this host.
    pub(crate) local: AtomicU64,
    /// Bytes of these that were compared with their checksums, and so read.
    pub(crate) verified: AtomicU64,
    /// Bytes that were delivered from DataNodes directly, packet by packet.
    pub(crate) direct: AtomicU64,
    /// Those of them that were compared with no checksums.
    pub(crate) unchecked: AtomicU64,
    /// How often a piece went on with another stream, since the one before had failed.
    pub(crate) resumed: AtomicU64,
    /// How often a second DataNode was asked since the first one was late, and how often it was there first.
    hedges_tried: AtomicU64,
    hedges_won: AtomicU64,
    /// How often a DataNode was left since it was slow.
    slow: Mutex<BTreeMap<String, u64>>,
    /// Bytes that came, or are to come, over the network, by reason.
    remote: Mutex<BTreeMap<&'static str, u64>>,
}

/// Who limits a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The worker waited for data more than 10 % of the time.
    FeedBound,
    /// The feed waited for the worker more than 50 % of the time, the worker for data less than 2 %.
    WorkerBound,
    /// Neither.
    Balanced,
}

impl Verdict {
    /// The word users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FeedBound => "feed-bound",
            Self::WorkerBound => "worker-bound",
            Self::Balanced => "balanced",
        }
    }

    fn of(seconds: f64, feed_waited: f64, worker_waited: f64) -> Self {
        match () {
            () if worker_waited > 0.10 * seconds => Self::FeedBound,
            () if feed_waited > 0.50 * seconds && worker_waited < 0.02 * seconds => Self::WorkerBound,
            () => Self::Balanced,
        }
    }
}

/// A meter's reading.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Snapshot {
    /// Bytes handed over.
    pub bytes: u64,
    /// Bytes of these that passed through a buffer in user space.
    pub bytes_copied: u64,
    /// Bytes of compressed files that were decoded, as they are stored.
    pub encoded_bytes: u64,
    /// What they were decoded to.
    pub decoded_bytes: u64,
    /// How much of these was handed over: fewer where line ends are rewritten, or what was acknowledged before is left out.
    #[serde(skip)]
    pub decoded_bytes_delivered: u64,
    /// Splits whose last byte was handed over, in all epochs.
    pub splits_done: u64,
    /// Seconds since the first byte was asked for; stands still when the last was handed over.
    pub seconds: f64,
    /// 10⁹ bytes per second over that time.
    pub gb_per_s: f64,
    /// Seconds in which the pipe was full: the feed waited for the worker.
    pub feed_waited_s: f64,
    /// Seconds in which the pipe was empty and the next bytes were not ready: the worker, if it reads, waited.
    /// `None` where the output is no pipe or the feed was too short for a sample.
    pub worker_waited_s: Option<f64>,
    /// Half width of the 95 % interval of `worker_waited_s`, which is sampled.
    pub worker_waited_error_s: Option<f64>,
    /// Who limits the feed, where that is known.
    pub verdict: Option<Verdict>,
}

/// How blocks came over the network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RemoteReads {
    /// Bytes delivered that were read from DataNodes by our own reader; the others came through `hdfs-native`.
    pub direct_bytes: u64,
    /// Those of them that were compared with no checksums: none were asked for, or the DataNode had none (files written without,
    /// or checksums that it has lost).
    pub unverified_bytes: u64,
    /// How often a read broke off and was gone on with at the byte, from the same DataNode or another one.
    pub resumed: u64,
    /// Second reads of what was late, from another replica.
    pub hedged: Hedged,
    /// DataNodes (`HOST:PORT`) that were left for faster ones, and how often.
    pub slow: BTreeMap<String, u64>,
}

/// Second reads of what a DataNode was late with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Hedged {
    /// How often another DataNode was asked, too.
    pub tried: u64,
    /// How often that one was there first.
    pub won: u64,
}

impl Snapshot {
    /// How much of the files was passed on, of compressed ones the bytes as they are stored.
    pub fn stored_bytes(&self) -> u64 {
        self.bytes.saturating_sub(self.decoded_bytes_delivered) + self.encoded_bytes
    }
}

impl Meter {
    pub(crate) fn start(&self) {
        self.started.get_or_init(Instant::now);
    }

    pub(crate) fn end(&self) {
        self.ended.get_or_init(Instant::now);
    }

    /// Bytes are ready and the pipe is full, until `moved` is called.
    pub(crate) fn begin_wait(&self) -> Instant {
        self.ready.store(true, Relaxed);
        Instant::now()
    }

    pub(crate) fn end_wait(&self, begin: Instant) {
        let waited = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.pipe_full.fetch_add(waited, Relaxed);
    }

    /// `n` bytes were handed over.
    pub(crate) fn moved(&self, n: usize) {
        self.delivered.fetch_add(n as u64, Relaxed);
        self.ready.store(false, Relaxed);
    }

    /// `bytes` come over the network because of `reason`.
    pub(crate) fn remote(&self, reason: &'static str, bytes: u64) {
        *self.remote.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += bytes;
    }

    /// Which bytes came over the network, by reason.
    pub fn remote_bytes(&self) -> BTreeMap<&'static str, u64> {
        self.remote.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bytes delivered from HDFS replicas of this host, and those of them that were verified.
    pub fn local_bytes(&self) -> (u64, u64) {
        (self.local.load(Relaxed), self.verified.load(Relaxed))
    }

    /// A read was left for another DataNode, since this one is slow.
    pub(crate) fn left_slow(&self, host: &str) {
        *self.slow.lock().unwrap_or_else(PoisonError::into_inner).entry(host.to_owned()).or_default() += 1;
    }

    /// Another DataNode was asked for what one is late with.
    pub(crate) fn hedge_tried(&self) {
        self.hedges_tried.fetch_add(1, Relaxed);
    }

    /// It was there first, and the read goes on with it.
    pub(crate) fn hedge_won(&self, late: &str) {
        self.hedges_won.fetch_add(1, Relaxed);
        self.left_slow(late);
    }

    /// Of what came over the network: what this process itself has read from DataNodes, and what happened.
    pub fn remote_reads(&self) -> RemoteReads {
        let slow = self.slow.lock().unwrap_or_else(PoisonError::into_inner).clone();
        RemoteReads {
            direct_bytes: self.direct.load(Relaxed),
            unverified_bytes: self.unchecked.load(Relaxed),
            resumed: self.resumed.load(Relaxed),
            hedged: Hedged { tried: self.hedges_tried.load(Relaxed), won: self.hedges_won.load(Relaxed) },
            slow,
        }
    }

    /// Where the feed's stream is: what was delivered since its beginning.
    pub fn position(&self) -> StreamPosition {
        StreamPosition { bytes: self.delivered.load(Relaxed), records: self.records.load(Relaxed) }
    }

    /// Reads all counters.
    pub fn snapshot(&self) -> Snapshot {
        let until = self.ended.get().copied().unwrap_or_else(Instant::now);
        let seconds = self.started.get().map_or(0.0, |start| until.duration_since(*start).as_secs_f64());
        let bytes = self.delivered.load(Relaxed);
        let feed_waited_s = Duration::from_nanos(self.pipe_full.load(Relaxed)).as_secs_f64();
        let waited = share_of(self.empty_samples.load(Relaxed), self.samples.load(Relaxed));
        Snapshot {
            bytes,
            bytes_copied: self.copied.load(Relaxed),
            encoded_bytes: self.encoded.load(Relaxed),
            decoded_bytes: self.decoded.load(Relaxed),
            decoded_bytes_delivered: self.delivered_decoded.load(Relaxed),
            splits_done: self.splits.load(Relaxed),
            seconds,
            gb_per_s: if seconds > 0.0 { bytes as f64 / seconds / 1e9 } else { 0.0 },
            feed_waited_s,
            worker_waited_s: waited.map(|(share, _)| share * seconds),
            worker_waited_error_s: waited.map(|(_, error)| error * seconds),
            verdict: waited.map(|(share, _)| Verdict::of(seconds, feed_waited_s, share * seconds)),
        }
    }
}

/// A share and the half width of its 95 % Wilson interval, from how many samples showed it.
fn share_of(hits: u64, samples: u64) -> Option<(f64, f64)> {
    const Z: f64 = 1.96;
    let n = samples as f64;
    (samples > 0).then(|| {
        let p = hits as f64 / n;
        (p, Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt())
    })
}

/// Looks at the pipe every few milliseconds until dropped.
#[derive(Debug)]
pub struct Sampler {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    const PERIOD: Duration = Duration::from_millis(2);

    /// Samples the fill of `pipe` into `meter`. The descriptor is closed when the sampler is dropped: until
    /// then the pipe's reader sees no end of input.
    pub(crate) fn start(pipe: OwnedFd, meter: Arc<Meter>) -> std::io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let thread = thread::Builder::new().name("forebay-meter".into()).spawn(move || {
            while !stop.load(Relaxed) {
                thread::park_timeout(Self::PERIOD);
                if meter.started.get().is_none() || meter.ended.get().is_some() || stop.load(Relaxed) {
                    continue;
                }
                if let Ok(fill) = rustix::io::ioctl_fionread(&pipe) {
                    meter.samples.fetch_add(1, Relaxed);
                    let waits = fill == 0 && !meter.ready.load(Relaxed);
                    meter.empty_samples.fetch_add(u64::from(waits), Relaxed);
                }
            }
        })?;
        Ok(Self { over, thread: Some(thread) })
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        assert_eq!(Verdict::of(10.0, 0.0, 1.1), Verdict::FeedBound);
        assert_eq!(Verdict::of(10.0, 6.0, 0.1), Verdict::WorkerBound);
        assert_eq!(Verdict::of(10.0, 6.0, 0.3), Verdict::Balanced);
        assert_eq!(Verdict::of(10.0, 4.0, 0.0), Verdict::Balanced);
    }

    #[test]
    fn the_error_shrinks_with_samples_and_is_never_zero() {
        assert_eq!(share_of(0, 0), None);
        let (few, many) = (share_of(5, 10).unwrap(), share_of(500, 1000).unwrap());
        assert!(few.1 > 0.2 && many.1 < 0.04, "{few:?} {many:?}");
        assert!(share_of(0, 100).unwrap().1 > 0.0);
    }
}
