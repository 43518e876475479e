//! Units to attempts.

use core::time::Duration;

use super::worker::State;
use super::{Phase, Scheduler};
use crate::{Attempt, ConfigError, Input, Lease, Places, Refusal};

/// So many units are not too many to have ahead: one being fed, one being opened.
const ALWAYS_AHEAD: u64 = 2;

impl Scheduler {
    /// Says where the splits lie. To be said before [`crate::Event::Start`]. Costs what [`Places`] does, four bytes more a replica, and
    /// some a host.
    pub fn set_places(&mut self, places: Places) -> Result<(), ConfigError> {
        let (known, splits) = (places.splits() as u64, self.config.splits_per_epoch);
        if known != splits {
            return Err(ConfigError::Places { known, splits });
        }
        self.ledger.set_places(places);
        Ok(())
    }

    /// Gives up to `max` units to an attempt, a little ahead of its need. With static input: all of its units, once.
    /// `at`: the host that the attempt is on, by its id in the [`Places`]; splits that lie there come first, then those of its rack, then
    /// others, and last those of hosts on which other workers feed. Counts as a sign of life.
    pub fn lease(&mut self, now: Duration, attempt: Attempt, max: usize, at: Option<u32>) -> Lease {
        let Some(place) = self.current(attempt) else { return Lease::Refused(Refusal::Stale) };
        if self.phase != Phase::Running {
            return Lease::Refused(Refusal::JobEnds);
        }
        match &mut self.workers[place].state {
            State::Running { heard } => *heard = now.max(*heard),
            State::Rejoining { .. } => return Lease::Wait,
            State::Asked | State::Launched { .. } => return Lease::Refused(Refusal::NotRegistered),
            _ => return Lease::Refused(Refusal::Stale),
        }
        if self.gathering.is_some() || self.unseen {
            return Lease::Wait;
        }
        let granted = if let Input::Static { .. } = self.config.input {
            if std::mem::replace(&mut self.workers[place].end_given, true) {
                return Lease::EndOfInput;
            }
            self.ledger.take(attempt, self.shares.get(place).map_or(&[], Vec::as_slice))
        } else {
            self.feeds_at(place, at);
            // Who asks has not shown its worker the end yet: what has come back since is for it, too.
            let is_end = !self.ledger.is_waiting();
            self.workers[place].end_given = is_end;
            let max = self.fair(attempt, max);
            if max == 0 && !is_end {
                return Lease::Wait;
            }
            self.ledger.lease(attempt, max, at)
        };
        let worker = &self.workers[place];
        if worker.end_given && granted.is_empty() { Lease::EndOfInput } else { Lease::Granted(granted) }
    }

    /// How many of `max` units an attempt may have beside those that it has ahead.
    fn fair(&self, attempt: Attempt, max: usize) -> usize {
        if !self.config.fair {
            return max;
        }
        let (ahead, waiting) = (self.ledger.ahead(attempt), self.ledger.counts_waiting());
        let part = |workers: usize| waiting.div_ceil(2 * workers.max(1) as u64).max(ALWAYS_AHEAD);
        let mut may = part(self.workers.len()).saturating_sub(ahead);
        if may < max as u64 {
            // Near the end it matters how many there are to share what is left.
            let over =
                |state: &State| matches!(state, State::Done { .. } | State::Over | State::Staging { .. });
            may =
                part(self.workers.iter().filter(|worker| !over(&worker.state)).count()).saturating_sub(ahead);
        }
        max.min(usize::try_from(may).unwrap_or(usize::MAX))
    }

    /// The current attempt of a worker feeds on this host.
    fn feeds_at(&mut self, place: usize, at: Option<u32>) {
        let worker = &mut self.workers[place];
        if worker.at != at {
            if let Some(old) = worker.at {
                self.ledger.feeds_at(old, false);
            }
            if let Some(new) = at {
                self.ledger.feeds_at(new, true);
            }
            worker.at = at;
        }
    }

    /// Splits of hosts on which no attempt feeds any more are for all.
    pub(super) fn forget_place(&mut self, place: usize) {
        self.feeds_at(place, None);
    }
}
