//! The job's time: it stands still while this process does.

use std::time::Duration;

use tokio::time::Instant;

/// A longer time between two looks means that this process did not run (stopped at the terminal, a sleeping machine): its
/// agents did not either, and are not to be blamed for silence.
const LONGEST_STEP: Duration = Duration::from_secs(5);

/// Time since the job's start, as far as this process ran.
#[derive(Debug)]
pub(crate) struct Clock {
    looked: Instant,
    passed: Duration,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { looked: Instant::now(), passed: Duration::ZERO }
    }

    /// The clock of a job that began so long ago.
    pub(crate) fn after(passed: Duration) -> Self {
        Self { passed, ..Self::start() }
    }

    /// The time now. To be looked at at least every [`LONGEST_STEP`].
    pub(crate) fn now(&mut self) -> Duration {
        let now = Instant::now();
        self.passed += (now - self.looked).min(LONGEST_STEP);
        self.looked = now;
        self.passed
    }

    /// When `time` is reached, if this process runs on.
    pub(crate) fn when(&self, time: Duration) -> Instant {
        self.looked + time.saturating_sub(self.passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_in_which_the_process_did_not_run_does_not_count() {
        let mut clock = Clock::start();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(clock.now(), Duration::from_secs(3));
        assert_eq!(clock.when(Duration::from_secs(4)) - Instant::now(), Duration::from_secs(1));
        // Stopped for an hour.
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(clock.now(), Duration::from_secs(3) + LONGEST_STEP);
    }
}
