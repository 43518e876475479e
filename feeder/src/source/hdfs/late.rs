//! When a DataNode is late, and how often that may cost a second read. No I/O, and no clock of its own.

use std::time::Duration;

/// Nobody is late before this.
const FLOOR: Duration = Duration::from_millis(100);
/// The same, while little was seen yet.
const UNKNOWN: Duration = Duration::from_millis(250);
/// How often something must have been seen for that to say what is usual.
const ENOUGH: u32 = 8;
/// How many times longer than what it usually takes at most something must take to be late.
const TIMES: f64 = 2.0;

/// Second reads that are free.
const FREE: u64 = 2;
/// So many reads pay for one more.
const READS_PER_HEDGE: u64 = 20;

/// How long something usually takes: mean and deviation, of which newer figures count more, as TCP has them for its timeouts.
#[derive(Debug, Default)]
pub(super) struct Usual {
    seen: u32,
    /// Both in seconds.
    mean: f64,
    deviation: f64,
}

impl Usual {
    pub(super) fn note(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        if self.seen == 0 {
            (self.mean, self.deviation) = (took, took / 2.0);
        } else {
            let error = took - self.mean;
            self.mean += error / 8.0;
            self.deviation += (error.abs() - self.deviation) / 4.0;
        }
        self.seen = self.seen.saturating_add(1);
    }

    /// After how long it is late.
    pub(super) fn late_after(&self) -> Duration {
        if self.seen < ENOUGH {
            return UNKNOWN;
        }
        let most = self.mean + 4.0 * self.deviation;
        Duration::try_from_secs_f64(TIMES * most).map_or(UNKNOWN, |late| late.max(FLOOR))
    }
}

/// Second reads: one at once, and few of all.
#[derive(Debug, Default)]
pub(super) struct Budget {
    reads: u64,
    hedges: u64,
    under_way: bool,
}

impl Budget {
    /// A read has begun.
    pub(super) fn read(&mut self) {
        self.reads += 1;
    }

    /// Whether a second read may begin, which is then under way.
    pub(super) fn begin(&mut self) -> bool {
        let may = !self.under_way && self.hedges < FREE + self.reads / READS_PER_HEDGE;
        if may {
            self.hedges += 1;
            self.under_way = true;
        }
        may
    }

    /// The second read has been opened, or has failed.
    pub(super) fn end(&mut self) {
        self.under_way = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn usual(took: impl IntoIterator<Item = u64>) -> Usual {
        let mut usual = Usual::default();
        took.into_iter().for_each(|took| usual.note(ms(took)));
        usual
    }

    #[test]
    fn late_is_what_takes_much_longer_than_usual() {
        assert_eq!(usual([]).late_after(), UNKNOWN);
        assert_eq!(usual([500; 7]).late_after(), UNKNOWN, "not enough");
        assert_eq!(usual([1; 100]).late_after(), FLOOR);
        let steady = usual([150; 100]).late_after();
        assert!(steady >= ms(290) && steady <= ms(310), "{steady:?}");
        let unsteady = usual((0..100).map(|i| if i % 2 == 0 { 10 } else { 290 })).late_after();
        assert!(unsteady > ms(900), "{unsteady:?}");
    }

    #[test]
    fn it_follows_what_changes() {
        let slower = usual([1; 100].into_iter().chain([400; 20])).late_after();
        assert!(slower > ms(700), "{slower:?}");
        let faster = usual([400; 100].into_iter().chain([1; 60])).late_after();
        assert_eq!(faster, FLOOR);
    }

    #[test]
    fn second_reads_are_few_and_one_at_once() {
        let mut budget = Budget::default();
        assert!(budget.begin());
        assert!(!budget.begin(), "one is under way");
        budget.end();
        assert!(budget.begin());
        budget.end();
        assert!(!budget.begin(), "none is free any more");
        (0..READS_PER_HEDGE).for_each(|_| budget.read());
        assert!(budget.begin());
        budget.end();
        let reads = 1000;
        let mut hedges = 0;
        for _ in 0..reads {
            budget.read();
            hedges += u64::from(budget.begin());
            budget.end();
        }
        assert_eq!(hedges, reads / READS_PER_HEDGE);
    }
}
