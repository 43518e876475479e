//! Following a job from its submission to its end, from whichever side tells of it.

use std::time::{Duration, Instant};

use forebay_am::{JobState, Phase, Told, Verdict};
use forebay_feeder::Stop;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::ClientError;
use crate::application::{Application, ApplicationState};
use crate::clean::Found;
use crate::client::Client;
use crate::history::History;
use crate::link::Link;
use crate::stop::raised;
use crate::submit::Submitted;

/// How often the application master is asked.
const OFTEN: Duration = Duration::from_millis(200);
/// How often the ResourceManager is asked while nothing is expected of it.
const SELDOM: Duration = Duration::from_secs(1);
/// How often is looked at what is on HDFS.
const KEPT: Duration = Duration::from_secs(2);
/// How often the place in the queue is looked at.
const QUEUE: Duration = Duration::from_secs(5);
/// After so long without a word it is said that there is none.
const SILENCE: Duration = Duration::from_secs(10);
/// How long a ResourceManager may not know a job that it has known.
pub(crate) const FORGOTTEN: Duration = Duration::from_mins(1);
/// How long a job that says it is over may take until the ResourceManager says so, too.
const LEAVING: Duration = Duration::from_mins(1);

/// What somebody who follows a job sees.
#[derive(Debug)]
pub enum Seen {
    /// Its application has changed. `ahead`: so many of its queue come before it, where that is known.
    Application {
        /// As it is now.
        application: Box<Application>,
        /// How many applications of its queue wait before it.
        ahead: Option<u32>,
    },
    /// As it stands.
    State(Box<JobState>),
    /// Something happened.
    Told(Told),
    /// Something about the following itself.
    Note(String),
}

/// How a job ended, or why it is not followed any more.
#[derive(Debug)]
pub enum Followed {
    /// It is over.
    Ended(Box<Ended>),
    /// A signal came; the job goes on.
    Left {
        /// Its number.
        signal: usize,
    },
}

/// A job that is over.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub verdict: Verdict,
    /// The exit status for whoever has waited for it.
    pub exit: i32,
    /// As it stood, if its application master has said so.
    pub state: Option<JobState>,
    /// As YARN has it, if it still knows.
    pub application: Option<Application>,
    /// The job's folder, in full.
    pub folder: String,
}

/// What is known while following.
struct Watch<'a> {
    client: &'a Client,
    id: &'a str,
    link: Link,
    history: History,
    application: Option<Application>,
    ahead: Option<u32>,
    state: Option<JobState>,
    /// Since when the application master does not answer.
    lost: Option<Instant>,
    asked_rm: Option<Instant>,
    asked_queue: Option<Instant>,
    read_history: Option<Instant>,
    heard: Instant,
    is_silent: bool,
    /// YARN has, or had, the job.
    is_known: bool,
    unknown_since: Option<Instant>,
    is_forgotten: bool,
    /// A question to the ResourceManager on its way.
    asking: JoinSet<Result<Option<Application>, ClientError>>,
}

impl Client {
    /// Follows a job that was just submitted, until it has ended or `stop` is raised. `see` is called with all that is seen.
    pub fn follow(
        &self,
        submitted: &Submitted,
        stop: &Stop,
        see: &mut dyn FnMut(Seen),
    ) -> Result<Followed, ClientError> {
        let link = self.link(&submitted.id).with_secrets(Some(submitted.secrets.clone()));
        self.runtime.block_on(self.follow_by(link, &submitted.id, true, stop, see))
    }

    /// Follows a job that somebody has submitted.
    pub fn attach(&self, id: &str, stop: &Stop, see: &mut dyn FnMut(Seen)) -> Result<Followed, ClientError> {
        self.runtime.block_on(self.follow_by(self.link(id), id, false, stop, see))
    }

    async fn follow_by(
        &self,
        link: Link,
        id: &str,
        is_known: bool,
        stop: &Stop,
        see: &mut dyn FnMut(Seen),
    ) -> Result<Followed, ClientError> {
        let mut watch = Watch {
            client: self,
            id,
            link,
            history: self.history(id),
            application: None,
            ahead: None,
            state: None,
            lost: None,
            asked_rm: None,
            asked_queue: None,
            read_history: None,
            heard: Instant::now(),
            is_silent: false,
            is_known,
            unknown_since: None,
            is_forgotten: false,
            asking: JoinSet::new(),
        };
        tokio::select! {
            biased;
            over = watch.until_the_end(see) => over?,
            signal = raised(stop) => return Ok(Followed::Left { signal }),
        }
        Ok(Followed::Ended(Box::new(watch.end(stop, see).await)))
    }
}

fn is_due(last: Option<Instant>, every: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= every)
}

impl Watch<'_> {
    async fn until_the_end(&mut self, see: &mut dyn FnMut(Seen)) -> Result<(), ClientError> {
        let mut finished: Option<Instant> = None;
        loop {
            self.look_at_application(see).await?;
            let is_over = self.application.as_ref().is_some_and(|application| application.state.is_over());
            if is_over || self.is_forgotten || finished.is_some_and(|at| at.elapsed() > LEAVING) {
                return Ok(());
            }
            if self.application.as_ref().is_some_and(|found| found.state == ApplicationState::Running) {
                self.look_at_job(see).await?;
            }
            if finished.is_none() && self.state.as_ref().is_some_and(|state| state.phase == Phase::Finished) {
                finished = Some(Instant::now());
            }
            sleep(OFTEN).await;
        }
    }

    /// While nothing runs, and when the job is about to be over, the ResourceManager knows first: its application master answers nobody
    /// any more. (One that cannot be reached from here never does: then it is asked seldom again.)
    async fn look_at_application(&mut self, see: &mut dyn FnMut(Seen)) -> Result<(), ClientError> {
        let may_be_over = self.lost.is_some_and(|lost| lost.elapsed() < LEAVING);
        let runs = !may_be_over && self.state.as_ref().is_some_and(|state| state.phase == Phase::Running);
        if self.asking.is_empty() {
            if !is_due(self.asked_rm, if runs { SELDOM } else { OFTEN }) {
                return Ok(());
            }
            self.asked_rm = Some(Instant::now());
            let (rm, id) = (self.client.rm.clone(), self.id.to_owned());
            self.asking.spawn(async move { rm.report(&id).await });
        }
        // A ResourceManager that is away takes long to say nothing; the job is looked at meanwhile.
        let Ok(Some(answer)) = timeout(OFTEN, self.asking.join_next()).await else {
            self.silence(see, "the ResourceManager does not answer");
            return Ok(());
        };
        let answer = answer.unwrap_or_else(|error| {
            let action = "ask for an application".to_owned();
            Err(ClientError::ResourceManager { action, why: error.to_string() })
        });
        match answer {
            Ok(Some(application)) => {
                let application = application.of(&self.client.site.user)?;
                self.has_word(see);
                self.is_known = true;
                self.unknown_since = None;
                let waits = application.state == ApplicationState::Accepted;
                let ahead = if !waits {
                    None
                } else if is_due(self.asked_queue, QUEUE) {
                    self.asked_queue = Some(Instant::now());
                    self.client.rm.ahead_of(&application).await.unwrap_or(None)
                } else {
                    self.ahead
                };
                let is_new = self.application.as_ref() != Some(&application) || ahead != self.ahead;
                self.ahead = ahead;
                self.application = Some(application.clone());
                if is_new {
                    see(Seen::Application { application: Box::new(application), ahead });
                }
                Ok(())
            }
            Ok(None) => {
                let since = *self.unknown_since.get_or_insert_with(Instant::now);
                let state = self.history.state().await.unwrap_or_default();
                let is_over = state.is_some_and(|state| state.phase == Phase::Finished);
                if is_over || (self.is_known && since.elapsed() > FORGOTTEN) {
                    // One that keeps few, or one that was started anew and has kept nothing.
                    self.is_forgotten = true;
                    self.application = None;
                } else if self.is_known {
                    self.silence(see, "the ResourceManager does not know the job any more");
                } else {
                    return Err(self.client.no_job(self.id, &self.history).await);
                }
                Ok(())
            }
            // It may be restarting: the job goes on without it, and so do we.
            Err(error) if self.is_known => {
                self.silence(see, &error.to_string());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn look_at_job(&mut self, see: &mut dyn FnMut(Seen)) -> Result<(), ClientError> {
        if let Ok(Some(state)) = self.link.state().await {
            self.state = Some(state.clone());
            see(Seen::State(Box::new(state)));
        }
        self.lost = self.link.is_lost().then(|| self.lost.unwrap_or_else(Instant::now));
        if !is_due(self.read_history, KEPT) {
            return Ok(());
        }
        self.read_history = Some(Instant::now());
        // What cannot be read now is read later.
        for told in self.history.events().await.unwrap_or_default() {
            see(Seen::Told(told));
        }
        if self.link.is_lost()
            && let Ok(Some(state)) = self.history.state().await
            && self.state.as_ref().is_none_or(|known| is_newer(&state, known))
        {
            self.state = Some(state.clone());
            see(Seen::State(Box::new(state)));
        }
        Ok(())
    }

    /// The application is over: what is left is read, and what its application master could not remove is removed. Raising
    /// `stop` ends that.
    async fn end(&mut self, stop: &Stop, see: &mut dyn FnMut(Seen)) -> Ended {
        let found = tokio::select! {
            biased;
            found = self.clear_away(see) => Ok(found),
            signal = raised(stop) => Err(signal),
        };
        let (mut verdict, mut exit) = verdict(self.state.as_ref(), self.application.as_ref());
        match found {
            // Its application master was ended before it could say so.
            Ok(Found::Committed) => (verdict, exit) = (Verdict::Succeeded, 0),
            Ok(Found::Nothing | Found::Staged) => {}
            Err(signal) => see(Seen::Note(format!(
                "signal {signal} came when the job was over, and what it has left may not be removed; 'forebay kill {}' removes it",
                self.id
            ))),
        }
        Ended {
            verdict,
            exit,
            state: self.state.take(),
            application: self.application.take(),
            folder: self.history.address(),
        }
    }

    async fn clear_away(&mut self, see: &mut dyn FnMut(Seen)) -> Found {
        for told in self.history.events().await.unwrap_or_default() {
            see(Seen::Told(told));
        }
        if let Ok(Some(kept)) = self.history.state().await
            && self.state.as_ref().is_none_or(|known| is_newer(&kept, known))
        {
            self.state = Some(kept.clone());
            see(Seen::State(Box::new(kept)));
        }
        let is_over = self.application.as_ref().is_some_and(|application| application.state.is_over());
        if !is_over && !self.is_forgotten {
            return Found::Nothing;
        }
        let (verdict, _) = verdict(self.state.as_ref(), self.application.as_ref());
        self.client.clean(self.id, &verdict).await.unwrap_or_else(|error| {
            see(Seen::Note(format!(
                "what the job left behind could not be removed: {error}; 'forebay kill {}' tries that again",
                self.id
            )));
            Found::Nothing
        })
    }

    fn has_word(&mut self, see: &mut dyn FnMut(Seen)) {
        self.heard = Instant::now();
        if std::mem::take(&mut self.is_silent) {
            see(Seen::Note("the ResourceManager is there again".to_owned()));
        }
    }

    fn silence(&mut self, see: &mut dyn FnMut(Seen), why: &str) {
        if !self.is_silent && self.heard.elapsed() >= SILENCE {
            self.is_silent = true;
            see(Seen::Note(format!("{why}; the job may go on, and is waited for")));
        }
    }
}

/// Whether a state is another one's successor. The end comes last, whatever clocks say.
fn is_newer(state: &JobState, than: &JobState) -> bool {
    let order = |state: &JobState| (state.phase == Phase::Finished, state.updated.clone());
    order(state) > order(than)
}

/// How a job ended: by its own word, else by YARN's.
pub(crate) fn verdict(state: Option<&JobState>, application: Option<&Application>) -> (Verdict, i32) {
    let over = state.filter(|state| state.phase == Phase::Finished);
    if let Some((verdict, state)) = over.and_then(|state| Some((state.verdict.clone()?, state))) {
        let exit =
            if verdict == Verdict::Succeeded { 0 } else { state.exit.filter(|&exit| exit != 0).unwrap_or(1) };
        return (verdict, exit);
    }
    match application {
        Some(Application { state: ApplicationState::Finished, succeeded: Some(true), .. }) => {
            (Verdict::Succeeded, 0)
        }
        Some(application @ Application { state: ApplicationState::Killed, .. }) => {
            (Verdict::Stopped { why: format!("it was killed: {}", application.why()) }, 1)
        }
        Some(application) => {
            let why = application.why();
            // The application master's own words.
            let why = why.strip_prefix("The job failed: ").unwrap_or(&why).to_owned();
            (Verdict::Failed { why }, 1)
        }
        None => {
            (Verdict::Failed { why: "its end is not known: neither YARN nor its folder tells".into() }, 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_state_does_not_replace_a_newer_one_and_the_end_is_the_newest() {
        let order = [(Phase::Running, "10"), (Phase::Committing, "11"), (Phase::Finished, "09")];
        let states = order.map(|(phase, updated)| crate::tests::state(phase, updated));
        for (at, state) in states.iter().enumerate() {
            for (other, than) in states.iter().enumerate() {
                assert_eq!(is_newer(state, than), at > other, "{at} {other}");
            }
        }
    }
}
