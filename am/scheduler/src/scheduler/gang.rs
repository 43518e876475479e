//! Workers that begin together.

use core::time::Duration;

use super::worker::State;
use super::{Phase, Scheduler};
use crate::{Action, LedgerRecord, Story, Verdict};

impl Scheduler {
    /// Lets the workers begin once all are there.
    pub(super) fn gather(&mut self, out: &mut Vec<Action>) {
        let is_there = |state: &State| {
            matches!(state, State::Running { .. } | State::Staging { .. } | State::Done { .. })
        };
        if self.phase == Phase::Running
            && self.gathering.is_some()
            && self.workers.iter().all(|worker| is_there(&worker.state))
        {
            self.gathering = None;
            let workers = self.workers.len() as u64;
            out.push(Action::Record(LedgerRecord::Gathered {}));
            out.push(Action::Tell(Story::AllThere { workers }));
            out.push(Action::GangReady);
        }
    }

    /// Not all workers were there in time.
    pub(super) fn not_gathered(&mut self, now: Duration, out: &mut Vec<Action>) {
        let count = |is: fn(&State) -> bool| self.workers.iter().filter(|worker| is(&worker.state)).count();
        let all = self.workers.len();
        let there = count(|state| matches!(state, State::Running { .. }));
        let launched =
            there + count(|state| matches!(state, State::Launched { .. } | State::Rejoining { .. }));
        let seconds = self.config.gang.map_or(0.0, |gang| gang.deadline.as_secs_f64());
        let mut why = format!(
            "not all of its {all} workers were there within {seconds} s (--wait-timeout): \
             {launched} had a container, {there} of them had registered"
        );
        if let Some(shortage) = self.shortage.as_ref().filter(|_| launched < all) {
            why = format!("{why}; {shortage}");
        }
        self.end_job(now, Verdict::Failed { why }, out);
    }
}
