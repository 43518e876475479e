//! What time alone does: restarts, missed deadlines, the job's time limit.

use core::time::Duration;

use super::worker::State;
use super::{Phase, Scheduler};
use crate::{Action, Cause, Story, Verdict};

/// So often a container is asked to end before it is given up.
const ASKS: u32 = 4;

impl Scheduler {
    /// When [`crate::Event::Tick`] is due next; `None`: only an event can bring the job on.
    pub fn wake_at(&self) -> Option<Duration> {
        match self.phase {
            Phase::New | Phase::Finished(_) => return None,
            Phase::Running | Phase::Committing | Phase::Ending(_) => {}
        }
        let is_running = self.phase == Phase::Running;
        let timeout = self.config.job_timeout.into_iter().chain(self.gathering).filter(|_| is_running);
        self.workers.iter().filter_map(|worker| self.due(&worker.state)).chain(timeout).min()
    }

    fn due(&self, state: &State) -> Option<Duration> {
        match state {
            State::Waiting { until } => Some(*until),
            State::Launched { deadline }
            | State::Rejoining { deadline, .. }
            | State::Ending { deadline, .. } => Some(*deadline),
            State::Running { heard } | State::Staging { heard } => {
                Some(heard.saturating_add(self.config.heartbeat_deadline))
            }
            State::Done { lingers } => lingers.map(|(deadline, _)| deadline),
            State::Asked | State::Over => None,
        }
    }

    pub(super) fn tick(&mut self, now: Duration, out: &mut Vec<Action>) {
        let Some(late) = self.wake_at().and_then(|due| now.checked_sub(due)) else { return };
        if late > self.config.heartbeat_deadline / 2 {
            self.was_away(now);
        }
        if self.phase == Phase::Running && self.config.job_timeout.is_some_and(|timeout| now >= timeout) {
            let seconds = self.config.job_timeout.unwrap_or_default().as_secs_f64();
            let why = format!("it was not done within its time limit of {seconds} s (--job-timeout)");
            self.end_job(now, Verdict::Failed { why }, out);
        }
        if self.phase == Phase::Running && self.gathering.is_some_and(|deadline| now >= deadline) {
            self.not_gathered(now, out);
        }
        for place in 0..self.workers.len() {
            if self.due(&self.workers[place].state).is_some_and(|due| now >= due) {
                self.overdue(now, place, out);
            }
        }
    }

    /// The caller itself was away, stopped or starved: what agents said meanwhile is yet to be heard, so none is blamed for
    /// silence before it had half of its time again.
    fn was_away(&mut self, now: Duration) {
        let half = self.config.heartbeat_deadline / 2;
        for worker in &mut self.workers {
            match &mut worker.state {
                State::Running { heard } | State::Staging { heard } => {
                    *heard = (*heard).max(now.saturating_sub(half));
                }
                State::Launched { deadline } | State::Rejoining { deadline, .. } => {
                    *deadline = (*deadline).max(now.saturating_add(half));
                }
                _ => {}
            }
        }
        self.gathering = self.gathering.map(|deadline| deadline.max(now.saturating_add(half)));
    }

    fn overdue(&mut self, now: Duration, place: usize, out: &mut Vec<Action>) {
        let deadline = now.saturating_add(self.config.end_deadline);
        let attempt = self.workers[place].attempt();
        let unseen = self.workers[place].state.is_unseen();
        let mut silent = |cause: Cause| {
            out.push(Action::EndContainer(attempt, format!("it {cause}")));
            State::Ending { cause: Some(cause), since: now, deadline, asked: 1, unseen }
        };
        match &mut self.workers[place].state {
            State::Waiting { .. } => self.start_attempt(place, out),
            State::Launched { .. } => {
                let seconds = self.config.register_deadline.as_secs();
                self.workers[place].state = silent(Cause::NeverRegistered { seconds });
            }
            State::Rejoining { .. } => {
                let seconds = self.config.rejoin_deadline.as_secs();
                self.workers[place].state = silent(Cause::NeverRejoined { seconds });
            }
            State::Running { .. } | State::Staging { .. } => {
                let seconds = self.config.heartbeat_deadline.as_secs();
                self.workers[place].state = silent(Cause::Silent { seconds });
            }
            State::Ending { asked, since, deadline: next, .. } => {
                if *asked >= ASKS {
                    self.give_up(now, place, out);
                } else {
                    if *asked > 0 {
                        let seconds = now.saturating_sub(*since).as_secs();
                        out.push(Action::Tell(Story::Lingers { attempt, seconds }));
                    }
                    (*asked, *next) = (*asked + 1, deadline);
                    out.push(Action::EndContainer(attempt, "its attempt is over".to_owned()));
                }
            }
            State::Done { lingers } => match lingers {
                Some((_, ASKS..)) => {
                    *lingers = None;
                    out.push(Action::Tell(Story::LeftBehind { attempt }));
                }
                Some((next, asked)) => {
                    (*asked, *next) = (*asked + 1, deadline);
                    out.push(Action::EndContainer(attempt, "its output is staged".to_owned()));
                }
                None => {}
            },
            State::Asked | State::Over => {}
        }
    }

    /// A container does not end. Its worker cannot be started again beside it, so the job fails; a job that ends waits no longer.
    fn give_up(&mut self, now: Duration, place: usize, out: &mut Vec<Action>) {
        let attempt = self.workers[place].attempt();
        if self.phase == Phase::Running {
            let why = format!(
                "worker {} (attempt {}) does not end though it was asked to {ASKS} times; see what keeps its processes",
                attempt.index, attempt.number
            );
            self.end_job(now, Verdict::Failed { why }, out);
        } else {
            out.push(Action::Tell(Story::LeftBehind { attempt }));
            self.workers[place].state = State::Over;
        }
    }
}
