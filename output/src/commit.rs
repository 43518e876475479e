//! The commit: from staging to the output paths, all or nothing, whatever is interrupted where.
//!
//! Per path, in this order, and each step for all paths of the job before the next: the plan; the claim; a look that the path
//! is still empty; renames; `_SUCCESS`; the staging goes; the claim goes. From this follows what a state that
//! is found means: without a claim of this job nothing has been renamed or everything is done; with a claim and a plan,
//! each planned rename is either done (source gone, destination as staged) or still to do.

use crate::dir::{CLAIM, OutputDir, PLAN, SUCCESS, State, TEMPORARY};
use crate::note::{Claim, Move, Plan};
use crate::store::Renamed;
use crate::{Attempt, OutputError};

/// How often a claim is tried for that others take and let go.
const TRIES: u32 = 8;

/// Makes these attempts' parts the output of the job, in all its paths. It may be called again after it was interrupted
/// or has failed, and after it succeeded.
///
/// If a path is refused (another job was quicker, something has appeared in it, a part is not as it was staged), what was
/// done is undone and the job's staging removed in all paths.
pub async fn commit(outputs: &[OutputDir], attempts: &[Attempt]) -> Result<(), OutputError> {
    let planned = make_plans(outputs, attempts).await;
    let done = match planned {
        Ok(()) => carry_out(outputs).await,
        error => error,
    };
    undo_if_refused(outputs, done).await
}

/// Goes on with a commit that was interrupted. Where none had begun in all paths, nothing is done and the state is
/// [`State::Open`]; else it is [`State::Committed`] afterwards.
pub async fn finish_commit(outputs: &[OutputDir]) -> Result<State, OutputError> {
    for output in outputs {
        if output.state().await? == State::Open && output.plan().await?.is_none() {
            return Ok(State::Open);
        }
    }
    let done = carry_out(outputs).await;
    undo_if_refused(outputs, done).await.map(|()| State::Committed)
}

/// Removes all that is staged, and undoes a commit that broke off, in all paths. If a commit has ended in one of them nothing is done:
/// [`OutputError::Done`], and [`finish_commit`] sees to the others.
pub async fn abort(outputs: &[OutputDir]) -> Result<(), OutputError> {
    for output in outputs {
        if output.state().await? == State::Committed {
            return Err(OutputError::Done { path: output.address() });
        }
    }
    let mut result = Ok(());
    for output in outputs {
        result = result.and(output.abort().await);
    }
    result
}

async fn make_plans(outputs: &[OutputDir], attempts: &[Attempt]) -> Result<(), OutputError> {
    for output in outputs {
        // What has begun goes on as it was planned.
        if output.state().await? == State::Open {
            output.make_plan(attempts).await?;
        }
    }
    Ok(())
}

async fn carry_out(outputs: &[OutputDir]) -> Result<(), OutputError> {
    let mut open = Vec::new();
    for output in outputs {
        if output.state().await? != State::Committed {
            output.claim().await?;
            open.push((output, output.expect_plan().await?));
        }
    }
    for (output, plan) in &open {
        output.check_content(plan).await?;
    }
    for (output, plan) in &open {
        output.rename_all(plan).await?;
    }
    for (output, _) in &open {
        output.declare_success().await?;
    }
    for output in outputs {
        output.clean_up().await?;
    }
    Ok(())
}

/// After a refusal the job has lost, and nothing of it stays. Other failures may pass.
async fn undo_if_refused(outputs: &[OutputDir], done: Result<(), OutputError>) -> Result<(), OutputError> {
    let Err(error) = done else { return Ok(()) };
    if !error.is_refusal() {
        return Err(error);
    }
    for output in outputs {
        match output.abort().await {
            Ok(()) | Err(OutputError::Done { .. }) => {}
            Err(undone) => tracing::warn!(path = output.address(), error = %undone, "cannot undo the commit"),
        }
    }
    Err(error)
}

impl OutputDir {
    async fn make_plan(&self, attempts: &[Attempt]) -> Result<(), OutputError> {
        let mut moves = Vec::with_capacity(attempts.len());
        for &attempt in attempts {
            let staged = self.staged(attempt).await?;
            let staged = staged.ok_or_else(|| OutputError::NotStaged { path: self.address(), attempt })?;
            let planned = Move::new(attempt, &staged);
            let from = self.staging(&planned.from);
            let found = self.store.tally(&from).await?.unwrap_or_default();
            if found != planned.tally {
                let (path, wanted) = (self.store.address(&from), planned.tally);
                return Err(OutputError::Mismatch { path, wanted, found });
            }
            moves.push(planned);
        }
        self.set_note(&self.staging(PLAN), Plan { job: self.job.clone(), moves }).await
    }

    async fn expect_plan(&self) -> Result<Plan, OutputError> {
        let missing = || OutputError::Note {
            path: self.store.address(&self.staging(PLAN)),
            why: "it is gone, although this job has claimed the path; somebody else has removed it".into(),
        };
        self.plan().await?.ok_or_else(missing)
    }

    /// Makes this job the only one that may rename into the path.
    async fn claim(&self) -> Result<(), OutputError> {
        let mut winner = self.job.clone();
        for _ in 0..TRIES {
            match self.claimed_by().await? {
                Some(job) if job == self.job => return Ok(()),
                Some(job) => return Err(self.claimed(job)),
                None => {}
            }
            let mine = self.staging("_claim");
            self.set_note(&mine, Claim { job: self.job.clone() }).await?;
            // Whatever it came to, the claim's content says whose it is: an answer may have been lost.
            if self.store.rename(&mine, CLAIM).await? == Renamed::Done {
                return self.store.sync(TEMPORARY).await;
            }
            if let Some(job) = self.claimed_by().await? {
                winner = job;
            }
        }
        if winner == self.job { self.store.sync(TEMPORARY).await } else { Err(self.claimed(winner)) }
    }

    /// Whether the path holds nothing but what this plan has put there.
    async fn check_content(&self, plan: &Plan) -> Result<(), OutputError> {
        let mut ours = Vec::new();
        for entry in self.store.list("").await?.unwrap_or_default() {
            let Some(planned) = plan.moves.iter().find(|planned| *planned.to == *entry.name) else {
                continue;
            };
            if self.is_done(planned).await? {
                ours.push(&*planned.to);
            }
        }
        self.refuse_content(&ours).await
    }

    /// Whether a rename has been done: its source is gone and its destination is what was staged.
    async fn is_done(&self, planned: &Move) -> Result<bool, OutputError> {
        Ok(self.store.stat(&self.staging(&planned.from)).await?.is_none()
            && self.store.tally(&planned.to).await? == Some(planned.tally))
    }

    async fn rename_all(&self, plan: &Plan) -> Result<(), OutputError> {
        for planned in &plan.moves {
            let from = self.staging(&planned.from);
            match self.store.rename(&from, &planned.to).await? {
                Renamed::Done => {}
                _ if self.is_done(planned).await? => {}
                Renamed::Exists => {
                    return Err(OutputError::NotEmpty { path: self.address(), entry: planned.to.clone() });
                }
                Renamed::NoSource => {
                    let (from, to) = (self.store.address(&from), self.store.address(&planned.to));
                    return Err(OutputError::Lost { path: self.address(), from, to });
                }
            }
        }
        self.store.sync("").await
    }

    async fn declare_success(&self) -> Result<(), OutputError> {
        let ready = self.staging(SUCCESS);
        self.set_note(&ready, Claim { job: self.job.clone() }).await?;
        if self.store.rename(&ready, SUCCESS).await? != Renamed::Done
            && self.state().await? != State::Committed
        {
            return Err(OutputError::NotEmpty { path: self.address(), entry: SUCCESS.into() });
        }
        self.store.sync("").await
    }

    /// Removes the staging and then the claim of a commit that is done.
    async fn clean_up(&self) -> Result<(), OutputError> {
        self.store.remove(&self.staging("")).await?;
        self.give_claim_back().await?;
        self.store.remove_if_empty(TEMPORARY).await
    }

    async fn give_claim_back(&self) -> Result<(), OutputError> {
        if self.claimed_by().await?.as_deref() == Some(&self.job) {
            self.store.remove(CLAIM).await?;
        }
        Ok(())
    }

    /// Takes back what a commit of this job has renamed, and then its claim.
    pub(crate) async fn undo_commit(&self) -> Result<(), OutputError> {
        if self.claimed_by().await?.as_deref() != Some(&self.job) {
            return Ok(());
        }
        if let Some(plan) = self.plan().await? {
            for planned in &plan.moves {
                if self.is_done(planned).await? {
                    let from = self.staging(&planned.from);
                    if self.store.rename(&planned.to, &from).await? != Renamed::Done
                        && self.is_done(planned).await?
                    {
                        let to = self.store.address(&from);
                        return Err(OutputError::Lost {
                            path: self.address(),
                            from: self.store.address(&planned.to),
                            to,
                        });
                    }
                }
            }
            self.store.sync("").await?;
            self.store.remove(&self.staging(PLAN)).await?;
        }
        self.give_claim_back().await
    }
}

impl OutputError {
    /// Whether trying again would end the same way. After such an error of a commit nothing of the job stays.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::NotEmpty { .. }
                | Self::Committed { .. }
                | Self::Claimed { .. }
                | Self::NotAFolder { .. }
                | Self::Mismatch { .. }
                | Self::NotStaged { .. }
        )
    }
}

#[cfg(test)]
mod tests;
