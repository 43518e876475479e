//! What is shown of a job.

use super::worker::{State, Worker};
use super::{Phase, Scheduler};
use crate::{View, WorkerView};

impl Scheduler {
    /// Units that wait for somebody.
    pub fn waiting(&self) -> u64 {
        self.ledger.counts_waiting()
    }

    /// What people and programs may see of the job now.
    pub fn view(&self) -> View {
        let worker = |worker: &Worker| {
            let attempt = worker.attempt();
            let (leased, fed, ack) = self.ledger.held(attempt);
            WorkerView {
                attempt,
                state: worker.state.shown(),
                restarts: worker.restarts,
                free_restarts: worker.free_restarts,
                memory_steps: worker.memory_steps,
                max_restarts: self.config.max_restarts,
                leased,
                fed,
                done: worker.done,
                end_of_input: worker.end_given,
                ack,
                failure: worker.failure.clone(),
            }
        };
        let (partly, partly_count) = self.ledger.partly();
        View {
            job: self.config.job.clone(),
            splits_per_epoch: self.config.splits_per_epoch,
            epochs: self.config.epochs,
            units: self.ledger.counts(),
            workers: self.workers.iter().map(worker).collect(),
            done_before: self.done_before.clone(),
            again: self.ledger.again(),
            partly: partly.to_vec(),
            partly_count,
            gathering: self.gathering.is_some(),
            shortage: self
                .shortage
                .clone()
                .filter(|_| self.workers.iter().any(|worker| worker.state == State::Asked)),
            committing: self.phase == Phase::Committing,
            verdict: match &self.phase {
                Phase::Ending(verdict) | Phase::Finished(verdict) => Some(verdict.clone()),
                _ => None,
            },
            finished: matches!(self.phase, Phase::Finished(_)),
        }
    }
}
