//! How many splits an attempt holds ahead of the one being fed.
//!
//! At least two, and more while the feed is faster than the AM's answers. Besides, where the AM may be away for a while, so many that
//! they last for a given time at the rate of the last seconds. But where there are several workers, those are no more than the fair share of
//! what waits, half of an equal part: towards the end of the input, what one worker holds others are idle for. So the share falls with what
//! is left, and the last splits go to whoever needs one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_feeder::Meter;

/// Splits ahead, at first.
const AHEAD: usize = 2;
/// The same at most, when splits are so small that the feed is faster than the AM's answers.
const MOST_IN_NEED: usize = 64;
/// The same at most, to last for a while.
const MOST: usize = 4096;
/// Splits asked for at once, at most.
const MOST_AT_ONCE: usize = 1024;
/// A rate is that of the last one to two such times.
const WINDOW: Duration = Duration::from_secs(10);
/// A feed that began less than this ago has no rate: a pipe is filled at once.
const YOUNG: Duration = Duration::from_secs(1);

/// What is known of a feed.
#[derive(Debug)]
pub(crate) struct Ahead {
    meter: Arc<Meter>,
    /// What the splits ahead are to last for.
    last: Duration,
    world_size: u64,
    in_need: usize,
    /// Splits that wait, as the AM said last.
    waiting: u64,
    leased_splits: u64,
    leased_bytes: u64,
    /// When so many bytes, as they are stored, were delivered: the window's beginning, and the next one's.
    marks: [(Instant, u64); 2],
}

impl Ahead {
    /// For a feed whose splits ahead are to last for so long, if that is fair to the other workers.
    pub(crate) fn new(meter: &Arc<Meter>, last: Duration, world_size: u32) -> Self {
        let mark = (Instant::now(), meter.snapshot().stored_bytes());
        Self {
            meter: Arc::clone(meter),
            last,
            world_size: world_size.max(1).into(),
            in_need: AHEAD,
            waiting: 0,
            leased_splits: 0,
            leased_bytes: 0,
            marks: [mark; 2],
        }
    }

    /// The feed had to wait for a split.
    pub(crate) fn starved(&mut self) {
        self.in_need = (self.in_need * 2).min(MOST_IN_NEED);
    }

    /// A split of so many bytes was leased.
    pub(crate) fn leased(&mut self, bytes: u64) {
        self.leased_splits += 1;
        self.leased_bytes += bytes;
    }

    /// So many splits wait with the AM.
    pub(crate) fn told(&mut self, waiting: u64) {
        self.waiting = waiting;
    }

    /// How many splits to ask for when so many are there.
    pub(crate) fn wanted(&mut self, there: usize) -> u32 {
        self.wanted_at(there, Instant::now(), self.meter.snapshot().stored_bytes())
    }

    fn wanted_at(&mut self, there: usize, now: Instant, delivered: u64) -> u32 {
        let ahead = self.in_need.max(self.lasting(now, delivered));
        // Not for every single one: an answer may cost the AM a write.
        let is_enough = there >= ahead || there > self.in_need && there > ahead - ahead / 4;
        if is_enough { 0 } else { u32::try_from((ahead + 1 - there).min(MOST_AT_ONCE)).unwrap_or(1) }
    }

    /// So many that they last, and no more than is fair.
    fn lasting(&mut self, now: Instant, delivered: u64) -> usize {
        let share = if self.world_size == 1 { u64::MAX } else { self.waiting / (2 * self.world_size) };
        let bytes = self.rate(now, delivered) * self.last.as_secs_f64();
        let mean = self.leased_bytes.max(1) as f64 / self.leased_splits.max(1) as f64;
        let splits = (bytes / mean).ceil().clamp(0.0, MOST as f64);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is between 0 and 4096"
        )]
        let splits = splits as usize;
        splits.min(usize::try_from(share).unwrap_or(MOST))
    }

    /// Bytes per second.
    fn rate(&mut self, now: Instant, delivered: u64) -> f64 {
        let [begin, next] = self.marks;
        if delivered == 0 {
            self.marks = [(now, 0); 2];
        } else if now.duration_since(next.0) >= WINDOW {
            self.marks = [next, (now, delivered)];
        }
        let seconds = now.duration_since(begin.0);
        if seconds < YOUNG { 0.0 } else { delivered.saturating_sub(begin.1) as f64 / seconds.as_secs_f64() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A feed of splits of 100 bytes.
    fn ahead(last: u64, world_size: u32) -> Ahead {
        let mut ahead = Ahead::new(&Arc::default(), Duration::from_secs(last), world_size);
        ahead.leased(100);
        ahead
    }

    /// What it asks for when nothing is there and it has gone on for so many seconds at this rate.
    fn asks(ahead: &mut Ahead, seconds: u64, rate: u64) -> u32 {
        let begin = ahead.marks[0].0;
        (0..=seconds).map(|n| ahead.wanted_at(0, begin + Duration::from_secs(n), rate * n)).last().unwrap()
    }

    #[test]
    fn without_a_time_to_last_for_need_alone_counts() {
        let mut ahead = ahead(0, 1);
        ahead.told(1_000_000);
        assert_eq!(asks(&mut ahead, 60, 1_000_000), 3);
        assert_eq!([0, 1, 2, 3].map(|there| ahead.wanted(there)), [3, 2, 0, 0]);
        for _ in 0..10 {
            ahead.starved();
        }
        assert_eq!([0, 63, 64].map(|there| ahead.wanted(there)), [65, 2, 0]);
    }

    #[test]
    fn splits_last_for_the_time_at_the_rate_of_now() {
        let mut ahead = ahead(60, 1);
        ahead.told(1_000_000);
        assert_eq!(asks(&mut ahead, 0, 500), 3, "a pipe is filled at once");
        // 500 bytes a second for 60 seconds are 300 splits.
        assert_eq!(asks(&mut ahead, 60, 500), 301);
        let (now, bytes) = (ahead.marks[0].0 + Duration::from_secs(15), ahead.marks[0].1 + 7500);
        assert_eq!([200, 226, 300].map(|there| ahead.wanted_at(there, now, bytes)), [101, 0, 0]);
        // The worker has become slower.
        let slow: Vec<_> =
            (1..=30).map(|n| ahead.wanted_at(0, now + Duration::from_secs(n), bytes + 10 * n)).collect();
        assert!(slow[29] <= 8, "{slow:?}");
    }

    #[test]
    fn nobody_holds_more_than_a_fair_share_or_than_fits() {
        let mut ahead = ahead(60, 10);
        for (waiting, asked) in [(1_000_000, 1024), (2000, 101), (100, 6), (41, 3), (0, 3)] {
            ahead.told(waiting);
            assert_eq!(asks(&mut ahead, 60, 1_000_000), asked, "{waiting} wait");
        }
    }
}
