//! Units to attempts.

use core::time::Duration;

use super::worker::State;
use super::{Phase, Scheduler};
use crate::{Ask, Attempt, ConfigError, Granted, Input, Lease, Places, Refusal};

/// So many units that have not begun are not too many to have ahead: the next, and one more until an answer is there.
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

    /// Gives units to an attempt, a little ahead of its need. With static input: all of its units, once.
    /// Splits that lie on its host come first, then those of its rack, then others, and last those of hosts on which other workers feed.
    /// Whoever has not heard of the last grant is given that one again. Counts as a sign of life.
    pub fn lease(&mut self, now: Duration, attempt: Attempt, ask: Ask) -> Lease {
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
            match self.unheard(place, ask.have) {
                Ok(None) => {}
                Ok(Some(again)) => return Lease::Granted(again),
                Err(refusal) => return Lease::Refused(refusal),
            }
            self.feeds_at(place, ask.at);
            // Who asks has not shown its worker the end yet: what has come back since is for it, too.
            let is_end = !self.ledger.is_waiting();
            self.workers[place].end_given = is_end;
            let max = self.fair(ask);
            if max == 0 && !is_end {
                return Lease::Enough;
            }
            let granted = self.ledger.lease(attempt, max, ask.at);
            if !granted.is_empty() {
                self.workers[place].granted(granted.len());
            }
            granted
        };
        let worker = &self.workers[place];
        if worker.end_given && granted.is_empty() { Lease::EndOfInput } else { Lease::Granted(granted) }
    }

    /// The last grant, if the attempt does not know of it. What it knows of has to be all that it was granted, with or without that one.
    fn unheard(&self, place: usize, have: u64) -> Result<Option<Vec<Granted>>, Refusal> {
        let worker = &self.workers[place];
        let (granted, last) = (worker.granted, worker.granted_last);
        if have == granted {
            return Ok(None);
        }
        let again = if have == granted - last { self.ledger.not_begun(worker.attempt(), last) } else { None };
        again.map(Some).ok_or(Refusal::Miscounts { have, granted })
    }

    /// How many of the units that it asks for an attempt may have.
    fn fair(&self, ask: Ask) -> usize {
        if !self.config.fair {
            return ask.max;
        }
        let waiting = self.ledger.counts_waiting();
        let may = |sharing: usize| match sharing {
            // There is nobody to leave anything to.
            0 | 1 => ask.max,
            n => {
                let part = waiting.div_ceil(2 * n as u64).max(ALWAYS_AHEAD);
                ask.max.min(usize::try_from(part.saturating_sub(ask.ahead)).unwrap_or(usize::MAX))
            }
        };
        let of_all = may(self.workers.len());
        if of_all == ask.max {
            return of_all;
        }
        // Near the end it matters how many there are to share what is left.
        let is_over =
            |state: &State| matches!(state, State::Done { .. } | State::Over | State::Staging { .. });
        may(self.workers.iter().filter(|worker| !is_over(&worker.state)).count())
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
