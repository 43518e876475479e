//! How the job ends.

use core::time::Duration;

use super::worker::State;
use super::{Phase, Scheduler};
use crate::{Action, Cause, EarlyExit, LedgerRecord, Story, Verdict};

impl Scheduler {
    /// Asks the job to end; ignored when it ends already.
    pub(super) fn stop(&mut self, now: Duration, why: String, out: &mut Vec<Action>) {
        match self.phase {
            Phase::New | Phase::Running => self.end_job(now, Verdict::Stopped { why }, out),
            Phase::Committing => out.push(Action::Tell(Story::TooLateToStop { why })),
            Phase::Ending(_) | Phase::Finished(_) => {}
        }
    }

    pub(super) fn committed(&mut self, now: Duration, out: &mut Vec<Action>) {
        if self.phase == Phase::Committing {
            out.push(Action::Record(LedgerRecord::Committed {}));
            self.end_job(now, Verdict::Succeeded, out);
        }
    }

    pub(super) fn commit_refused(&mut self, now: Duration, why: &str, out: &mut Vec<Action>) {
        if self.phase == Phase::Committing {
            let why = format!("its output may not be committed: {why}");
            self.end_job(now, Verdict::Failed { why }, out);
        }
    }

    pub(super) fn commit_failed(&mut self, now: Duration, why: String, out: &mut Vec<Action>) {
        if self.phase == Phase::Committing {
            self.end_job(now, Verdict::CommitFailed { why }, out);
        }
    }

    /// The verdict stands; all containers are to go.
    pub(super) fn end_job(&mut self, now: Duration, verdict: Verdict, out: &mut Vec<Action>) {
        if matches!(verdict, Verdict::Failed { .. } | Verdict::Stopped { .. })
            && self.phase != Phase::New
            && !std::mem::replace(&mut self.is_ending_recorded, true)
        {
            out.push(Action::Record(LedgerRecord::Ending { verdict: verdict.clone() }));
        }
        if verdict != Verdict::Succeeded {
            out.push(Action::Tell(Story::JobEnds { verdict: verdict.clone() }));
        }
        self.phase = Phase::Ending(verdict);
        let deadline = now.saturating_add(self.config.end_deadline);
        for worker in &mut self.workers {
            let attempt = worker.attempt();
            let unseen = worker.state.is_unseen();
            let ask = match &mut worker.state {
                state if state.is_live() => {
                    let cause = Some(Cause::JobEnds);
                    *state = State::Ending { cause, since: now, deadline, asked: 1, unseen };
                    true
                }
                State::Ending { asked, deadline: next, .. }
                | State::Done { lingers: Some((next, asked)) } => {
                    let first = *asked == 0;
                    (*asked, *next) = (1, deadline);
                    first
                }
                State::Waiting { .. } => {
                    worker.state = State::Over;
                    false
                }
                _ => false,
            };
            if ask {
                out.push(Action::EndContainer(attempt, "the job ends".to_owned()));
            }
        }
    }

    /// Goes on where nothing more is to be waited for.
    pub(super) fn advance(&mut self, now: Duration, out: &mut Vec<Action>) {
        self.unseen = self.unseen && self.workers.iter().any(|worker| worker.state.is_unseen());
        self.gather(out);
        if self.phase == Phase::Running
            && self.workers.iter().all(|worker| matches!(worker.state, State::Done { .. }))
        {
            self.all_done(now, out);
        }
        if let Phase::Ending(verdict) = &self.phase
            && !self.workers.iter().any(|worker| worker.state.has_container())
        {
            let verdict = verdict.clone();
            self.finish(verdict, out);
        }
    }

    fn all_done(&mut self, now: Duration, out: &mut Vec<Action>) {
        let begun = match self.commit.take() {
            Some(super::resume::Commit::Over) => return self.end_job(now, Verdict::Succeeded, out),
            Some(super::resume::Commit::Begun(attempts)) => Some(attempts),
            None => None,
        };
        let unread = self.ledger.waiting();
        if let Some(&first) = unread.first.first() {
            let (count, first) = (unread.count, self.name(first));
            if begun.is_none() && self.config.early_exit == EarlyExit::Fail {
                let splits = if count == 1 { "split" } else { "splits" };
                let why = format!(
                    "all workers ended with status 0 and left {count} {splits} unread, the first is {first}; \
                     if that is meant, allow it with --early-exit ok"
                );
                return self.end_job(now, Verdict::Failed { why }, out);
            }
            out.push(Action::Tell(Story::Unread { count, first }));
        }
        let attempts = begun.unwrap_or_else(|| {
            let mut attempts = self.done_before.clone();
            attempts.extend(self.workers.iter().map(super::Worker::attempt));
            attempts.sort_unstable();
            out.push(Action::Record(LedgerRecord::CommitBegun { attempts: attempts.clone() }));
            attempts
        });
        out.push(Action::Tell(Story::CommitStarts { workers: attempts.len() as u64 }));
        out.push(Action::Commit(attempts));
        self.phase = Phase::Committing;
    }

    fn finish(&mut self, verdict: Verdict, out: &mut Vec<Action>) {
        if let Verdict::Failed { why } = &verdict {
            out.push(Action::Record(LedgerRecord::Aborted { why: why.clone() }));
            out.push(Action::Abort);
        }
        let again = self.ledger.again();
        if again.count > 0 {
            let first = again.first.iter().map(|&unit| self.name(unit)).collect();
            out.push(Action::Tell(Story::FedAgain { count: again.count, first }));
        }
        out.push(Action::Tell(Story::JobOver { verdict: verdict.clone() }));
        out.push(Action::Finish(verdict.clone()));
        self.phase = Phase::Finished(verdict);
    }
}
