//! Ending jobs from any machine that has the configuration.

use std::cell::Cell;
use std::time::{Duration, Instant};

use forebay_am::{JobState, Phase, Verdict};
use forebay_feeder::Stop;
use tokio::time::{sleep, timeout};

use crate::ClientError;
use crate::application::{Application, ApplicationState};
use crate::clean::Found;
use crate::client::Client;
use crate::follow::verdict;
use crate::history::History;
use crate::link::Link;
use crate::stop::raised;

/// How long an application master may take to end its job well.
const GRACE: Duration = Duration::from_secs(15);
/// How long it may take when it says that it is about to: what it renames then is not to be left half-way.
const COMMITTING: Duration = Duration::from_mins(5);
/// How long YARN may take to end an application.
const FORCE: Duration = Duration::from_mins(1);
/// How long clearing away may take.
const CLEARING: Duration = Duration::from_mins(1);
/// How long nobody answers for a job before it is taken for dead: an application master that dies has its successor by then.
const SUCCESSION: Duration = Duration::from_secs(20);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(200);

/// What came of ending a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Killed {
    /// What has ended it.
    pub by: EndedBy,
    /// How it ended.
    pub verdict: Verdict,
}

/// What has ended a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// It was over already.
    WasOver,
    /// It came to its own end before it was ended.
    Itself,
    /// Its application master, as told.
    Master,
    /// YARN.
    Yarn,
}

/// How far the killing is.
#[derive(Debug, Clone, Copy)]
enum Step {
    Looking,
    Told,
    Over,
}

impl Client {
    /// Ends a job: its application master is asked first, then YARN. What it has staged is removed. `why` is for the job's
    /// story; raising `stop` ends the waiting, not the killing.
    pub fn kill(&self, id: &str, why: &str, stop: &Stop) -> Result<Killed, ClientError> {
        let reached = Cell::new(Step::Looking);
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                signal = raised(stop) => Err(ClientError::Refused(match reached.get() {
                    Step::Looking => format!("signal {signal} came before {id} was told to end; it goes on"),
                    Step::Told => format!(
                        "signal {signal} came when {id} had been told to end and was not over; look with 'forebay status {id}', \
                         or ask again"
                    ),
                    Step::Over => format!(
                        "signal {signal} came when {id} was over, and what it has left was not all removed; 'forebay kill {id}' \
                         removes it"
                    ),
                })),
                killed = self.end(id, why, &reached) => killed,
            }
        })
    }

    async fn end(&self, id: &str, why: &str, reached: &Cell<Step>) -> Result<Killed, ClientError> {
        let Some(application) = self.application(id).await? else {
            return self.end_forgotten(id, reached).await;
        };
        if application.state.is_over() {
            return self.over(EndedBy::WasOver, application, reached).await;
        }
        if let Some(application) = self.ask(id, why, reached).await? {
            return self.over(EndedBy::Master, application, reached).await;
        }
        reached.set(Step::Told);
        self.rm.kill(id, why).await?;
        let deadline = Instant::now() + FORCE;
        loop {
            match self.rm.report(id).await? {
                Some(application) if application.state.is_over() => {
                    return self.over(EndedBy::Yarn, application, reached).await;
                }
                None => {
                    let killed = Application { state: ApplicationState::Killed, ..application };
                    return self.over(EndedBy::Yarn, killed, reached).await;
                }
                Some(_) if Instant::now() < deadline => sleep(LOOK).await,
                Some(_) => {
                    return Err(ClientError::ResourceManager {
                        action: format!("end {id}"),
                        why: format!(
                            "it was told to, and the application is not over after {} s",
                            FORCE.as_secs()
                        ),
                    });
                }
            }
        }
    }

    /// Has the application master end its job. Gives the application when it is over, and nothing where YARN is to be asked.
    async fn ask(
        &self,
        id: &str,
        why: &str,
        reached: &Cell<Step>,
    ) -> Result<Option<Application>, ClientError> {
        let mut link = self.link(id);
        let mut is_asked = false;
        let mut deadline = Instant::now() + GRACE;
        let last = Instant::now() + COMMITTING;
        loop {
            match self.rm.report(id).await? {
                Some(application) if application.state.is_over() => return Ok(Some(application)),
                Some(application) if application.state == ApplicationState::Running => {}
                // There is none at present.
                _ => return Ok(None),
            }
            // HDFS knows where it is, and may be away.
            let told = match timeout(GRACE, speak(&mut link, why, &mut is_asked, reached)).await {
                Ok(Ok(None)) if Instant::now() < last => Ok(Ok(self.kept_as_ending(id).await)),
                told => told,
            };
            match told {
                Ok(Ok(Some(state))) if is_ending(&state) && Instant::now() < last => {
                    deadline = deadline.max(Instant::now() + GRACE);
                }
                Ok(Ok(Some(state))) if state.phase == Phase::Committing => {
                    return Err(ClientError::Refused(format!(
                        "{id} has been committing its output for {} s, and is not ended in the middle of that; look with \
                         'forebay status {id}', or ask again",
                        COMMITTING.as_secs()
                    )));
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    tracing::warn!("the application master cannot be asked, so YARN is: {error}");
                    return Ok(None);
                }
                Err(_) => {
                    tracing::warn!("the application master cannot be found in time, so YARN is asked");
                    return Ok(None);
                }
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            sleep(LOOK).await;
        }
    }

    /// What an application master that does not answer has kept of a job that is about to be over: it may be at that still.
    async fn kept_as_ending(&self, id: &str) -> Option<JobState> {
        let kept = timeout(GRACE, self.history(id).state()).await.ok()?.ok()??;
        is_ending(&kept).then_some(kept)
    }

    /// The application is over: looks how it ended, and clears away.
    async fn over(
        &self,
        by: EndedBy,
        application: Application,
        reached: &Cell<Step>,
    ) -> Result<Killed, ClientError> {
        reached.set(Step::Over);
        let id = &application.id;
        let clear = async {
            let state = self.history(id).state().await?;
            let (verdict, _) = verdict(state.as_ref(), Some(&application));
            let found = self.clean(id, &verdict).await?;
            Ok(if found == Found::Committed { Verdict::Succeeded } else { verdict })
        };
        let verdict = self.in_time(id, clear).await?;
        let is_stopped = matches!(verdict, Verdict::Stopped { .. });
        let by = match by {
            EndedBy::Master | EndedBy::Yarn if !is_stopped => EndedBy::Itself,
            by => by,
        };
        Ok(Killed { by, verdict })
    }

    /// The ResourceManager does not know it, or no longer.
    async fn end_forgotten(&self, id: &str, reached: &Cell<Step>) -> Result<Killed, ClientError> {
        let history = self.history(id);
        let Some(state) = history.state().await? else { return Err(self.no_job(id, &history).await) };
        if state.phase != Phase::Finished {
            self.refuse_living(id, &history).await?;
        }
        reached.set(Step::Over);
        let (verdict, _) = verdict(Some(&state), None);
        let clear = async {
            let found = self.clean(id, &verdict).await?;
            Ok(if found == Found::Committed { Verdict::Succeeded } else { verdict })
        };
        let verdict = self.in_time(id, clear).await?;
        Ok(Killed { by: EndedBy::WasOver, verdict })
    }

    /// Another cluster's ResourceManager may know a job that this one does not.
    async fn refuse_living(&self, id: &str, history: &History) -> Result<(), ClientError> {
        let mut link = self.link(id);
        let since = Instant::now();
        loop {
            match link.state().await? {
                Some(state) if state.phase == Phase::Finished => return Ok(()),
                Some(_) => break,
                None if since.elapsed() > SUCCESSION => return Ok(()),
                None => sleep(LOOK).await,
            }
        }
        let folder = history.address();
        let why = format!(
            "the ResourceManager of this configuration does not know it, and its application master answers (see {folder}/am.json); \
             use the configuration of the cluster that it runs on"
        );
        Err(ClientError::NoJob { id: id.to_owned(), why })
    }

    async fn in_time<T>(
        &self,
        id: &str,
        clear: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let left = |why: String| ClientError::Left { id: id.to_owned(), why };
        match timeout(CLEARING, clear).await {
            Ok(cleared) => cleared.map_err(|error| left(error.to_string())),
            Err(_) => Err(left(format!("HDFS took more than {} s", CLEARING.as_secs()))),
        }
    }
}

/// Asks the application master to end its job, once, and how that stands.
async fn speak(
    link: &mut Link,
    why: &str,
    is_asked: &mut bool,
    reached: &Cell<Step>,
) -> Result<Option<JobState>, ClientError> {
    if !*is_asked {
        *is_asked = link.kill(why).await?;
        if !*is_asked {
            return Ok(None);
        }
        reached.set(Step::Told);
    }
    link.state().await
}

/// Whether a job is about to be over, so that nothing is won by force, and something may be lost.
fn is_ending(state: &JobState) -> bool {
    state.verdict.is_some() || state.phase == Phase::Committing
}
