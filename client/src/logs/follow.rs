//! Logs as they come, of all attempts of a job at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use forebay_am::{Attempt, JobState, Phase};
use forebay_protocol::Client as AmClient;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::{Code, Status};

use super::{Log, LogsError, Out, WAITING, Wanted, Word, living, news, print_kept, read_log};
use crate::ClientError;
use crate::client::Client;
use crate::follow::FORGOTTEN;
use crate::history::History;
use crate::link::Link;

/// How often the application and its attempts are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How often is looked whether the logs of an attempt that has ended are kept.
const KEPT: Duration = Duration::from_secs(2);
/// Who has not kept its logs so long after its end will not.
const NEVER: Duration = Duration::from_mins(2);
/// So many logs are read without an end. An application master has so many readers in all (256), and other clients.
const FOLLOWED: usize = 32;
/// More than those are read in turns, so many at once.
const IN_TURNS: usize = 32;
/// How long readers may go on when the application is over.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// What is known of a log.
#[derive(Debug, Default)]
struct Known {
    /// So much of it was printed.
    read: u64,
    /// Its agent passes it on, or did.
    has_lived: bool,
    /// When its attempt was first seen to have ended.
    ended: Option<Instant>,
    /// When was looked last whether it is kept.
    looked: Option<Instant>,
    /// It is kept on HDFS.
    is_kept: bool,
    /// Somebody reads it through the application master, and goes on when it has no more.
    reading: Option<Reading>,
    /// When that was so last.
    was_read: Option<Instant>,
    /// Why that ended.
    why: Option<String>,
    /// It is printed to its end.
    is_done: bool,
}

impl Known {
    fn lives(&self) -> bool {
        self.ended.is_none()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// To its end, whenever that comes.
    Following,
    /// As far as it is.
    Once,
}

/// What is to be looked at on HDFS.
#[derive(Debug)]
enum Ask {
    All,
    Of(Vec<Attempt>),
}

/// What was seen at a look.
#[derive(Debug)]
struct Sight {
    is_over: bool,
    /// The job, if its application master tells.
    state: Option<JobState>,
    client: Option<AmClient>,
    kept: Vec<Log>,
    /// The attempts that have kept something.
    keepers: BTreeSet<Attempt>,
}

/// Looks at the application, its master and what is kept.
struct Looker<'a> {
    client: &'a Client,
    id: &'a str,
    wanted: &'a Wanted,
    history: History,
    link: Link,
    /// There is, or was, such a job.
    is_known: bool,
    /// The ResourceManager had it when it was asked, and since when it has not.
    was_there: bool,
    gone_since: Option<Instant>,
}

impl Looker<'_> {
    async fn look(mut self, after: Duration, ask: Ask) -> (Self, Result<Sight, ClientError>) {
        sleep(after).await;
        let seen = self.see(ask).await;
        (self, seen)
    }

    async fn see(&mut self, ask: Ask) -> Result<Sight, ClientError> {
        // First: what an application that is over has not kept will not be kept.
        let is_over = match self.client.application(self.id).await {
            Ok(Some(application)) => {
                (self.was_there, self.gone_since) = (true, None);
                application.state.is_over()
            }
            // It may have been restarted, and not have read yet what it knows.
            Ok(None) if self.was_there => {
                let since = *self.gone_since.get_or_insert_with(Instant::now);
                let is_finished = |state: JobState| state.phase == Phase::Finished;
                since.elapsed() > FORGOTTEN || self.history.state().await?.is_some_and(is_finished)
            }
            Ok(None) if self.is_known || self.history.job().await?.is_some() => true,
            Ok(None) => return Err(self.client.no_job(self.id, &self.history).await),
            // It may be restarting.
            Err(ClientError::ResourceManager { .. }) if self.is_known => false,
            Err(error) => return Err(error),
        };
        self.is_known = true;
        let state = if is_over { None } else { self.link.state().await? };
        let client = if is_over { None } else { self.link.client().await? };
        let mut kept = Vec::new();
        match ask {
            Ask::Of(attempts) if !is_over => {
                for attempt in attempts {
                    kept.extend(self.history.logs_of(attempt).await?);
                }
            }
            _ => kept = self.history.logs(self.wanted.worker, self.wanted.attempt).await?,
        }
        let keepers = kept.iter().map(|log| log.attempt).collect();
        Ok(Sight { is_over, state, client, kept: self.wanted.among(kept), keepers })
    }
}

impl Client {
    pub(super) async fn follow_logs(
        &self,
        id: &str,
        wanted: &Wanted,
        out: Out<'_>,
    ) -> Result<bool, LogsError> {
        let looker = Looker {
            client: self,
            id,
            wanted,
            history: self.history(id),
            link: self.link(id),
            is_known: false,
            was_there: false,
            gone_since: None,
        };
        let history = self.history(id);
        let (sender, mut words) = mpsc::channel(WAITING);
        let mut all = All::new(wanted, sender);
        let mut over: Option<Instant> = None;
        let mut client = None;
        let mut looking = Box::pin(looker.look(Duration::ZERO, Ask::All));
        loop {
            tokio::select! {
                (looker, seen) = &mut looking => {
                    let sight = seen?;
                    if sight.is_over {
                        over.get_or_insert_with(Instant::now);
                    }
                    client.clone_from(&sight.client);
                    all.see(sight);
                    all.print_kept(&history, out).await?;
                    all.start_readers(client.as_ref());
                    let is_late = over.is_some_and(|over| over.elapsed() >= LAST_WORDS);
                    if over.is_some() && (is_late || !all.is_read()) {
                        return all.end(id);
                    }
                    looking = Box::pin(looker.look(LOOK, all.next_ask()));
                }
                Some(word) = words.recv() => {
                    all.hear(word, out)?;
                    all.start_readers(client.as_ref());
                }
            }
        }
    }
}

/// All logs that are followed.
struct All<'a> {
    wanted: &'a Wanted,
    logs: BTreeMap<Log, Known>,
    /// The attempts that have kept something; what is not kept of theirs was never written.
    keepers: BTreeSet<Attempt>,
    readers: JoinSet<()>,
    sender: mpsc::Sender<Word>,
    has_warned: bool,
}

impl<'a> All<'a> {
    fn new(wanted: &'a Wanted, sender: mpsc::Sender<Word>) -> Self {
        let (logs, keepers) = (BTreeMap::new(), BTreeSet::new());
        Self { wanted, logs, keepers, readers: JoinSet::new(), sender, has_warned: false }
    }

    fn is_read(&self) -> bool {
        self.logs.values().any(|known| known.reading.is_some())
    }

    fn see(&mut self, sight: Sight) {
        let is_told = sight.is_over || sight.state.is_some();
        let all = sight.state.iter().flat_map(all_of).filter(|attempt| self.wanted.wants(*attempt));
        for attempt in all {
            for name in self.wanted.names {
                self.logs.entry(Log { attempt, name }).or_default();
            }
        }
        for log in sight.kept {
            self.logs.entry(log).or_default().is_kept = true;
        }
        self.keepers.extend(sight.keepers);
        let living: BTreeSet<_> = sight.state.iter().flat_map(living).collect();
        for (log, known) in &mut self.logs {
            if living.contains(&log.attempt) {
                (known.has_lived, known.ended) = (true, None);
            } else if is_told || !known.has_lived {
                known.ended.get_or_insert_with(Instant::now);
            }
        }
    }

    /// Prints those that are kept to their end.
    async fn print_kept(&mut self, history: &History, out: Out<'_>) -> Result<(), LogsError> {
        let many = self.logs.len();
        let ready =
            |known: &Known| known.is_kept && !known.lives() && !known.is_done && known.reading.is_none();
        for (&log, known) in self.logs.iter_mut().filter(|(_, known)| ready(known)) {
            print_kept(history, log, many, &mut known.read, out).await?;
            known.is_done = true;
            out(log, many, &[])?;
        }
        Ok(())
    }

    /// The attempts that have ended, and of which something may be kept soon.
    fn next_ask(&mut self) -> Ask {
        let mut attempts = Vec::new();
        for (log, known) in &mut self.logs {
            let is_open = !known.lives() && !known.is_done && !known.is_kept;
            let may_come = known.ended.is_some_and(|ended| ended.elapsed() < NEVER);
            let is_due = known.looked.is_none_or(|looked| looked.elapsed() >= KEPT);
            if is_open && may_come && is_due {
                known.looked = Some(Instant::now());
                attempts.push(log.attempt);
            }
        }
        attempts.dedup();
        Ask::Of(attempts)
    }

    /// Those that were not read for the longest time come first.
    fn start_readers(&mut self, client: Option<&AmClient>) {
        while self.readers.try_join_next().is_some() {}
        let Some(client) = client else { return };
        let count =
            |reading: Reading| self.logs.values().filter(|known| known.reading == Some(reading)).count();
        let mut follow = FOLLOWED.saturating_sub(count(Reading::Following));
        let mut once = IN_TURNS.saturating_sub(count(Reading::Once));
        let is_due = |known: &Known| known.was_read.is_none_or(|read| read.elapsed() >= LOOK);
        let waits =
            |known: &Known| known.lives() && !known.is_done && known.reading.is_none() && is_due(known);
        let mut waiting: Vec<_> = self.logs.iter_mut().filter(|(_, known)| waits(known)).collect();
        waiting.sort_by_key(|(_, known)| known.was_read);
        for (&log, known) in waiting {
            let reading = if follow > 0 { Reading::Following } else { Reading::Once };
            let left = if follow > 0 { &mut follow } else { &mut once };
            if *left == 0 {
                return;
            }
            *left -= 1;
            known.reading = Some(reading);
            let is_following = reading == Reading::Following;
            self.readers.spawn(read_log(client.clone(), log, known.read, is_following, self.sender.clone()));
        }
    }

    fn hear(&mut self, word: Word, out: Out<'_>) -> Result<(), LogsError> {
        let many = self.logs.len();
        match word {
            Word::Piece(log, offset, piece) => {
                let known = self.logs.entry(log).or_default();
                let piece = news(&mut known.read, offset, &piece);
                if !piece.is_empty() {
                    out(log, many, piece)?;
                }
            }
            Word::End(log, ended) => {
                let known = self.logs.entry(log).or_default();
                let reading = known.reading.take();
                known.was_read = Some(Instant::now());
                match ended {
                    Ok(()) if reading == Some(Reading::Following) => {
                        known.is_done = true;
                        out(log, many, &[])?;
                    }
                    Ok(()) => known.why = None,
                    Err(status) => {
                        known.why = Some(status.message().to_owned());
                        self.warn(log, &status);
                    }
                }
            }
        }
        Ok(())
    }

    /// Most errors pass; that others read too much may last.
    fn warn(&mut self, log: Log, status: &Status) {
        tracing::debug!(?log, %status, "a log is read anew");
        if status.code() == Code::ResourceExhausted && !std::mem::replace(&mut self.has_warned, true) {
            tracing::warn!("some logs have to wait: {}", status.message());
        }
    }

    /// The application is over, and all is printed that is kept.
    fn end(self, id: &str) -> Result<bool, LogsError> {
        let has_any = !self.logs.is_empty();
        let why = |known: Known| known.why.unwrap_or_else(|| "it was not kept".to_owned());
        let open = self
            .logs
            .into_iter()
            .filter(|(log, known)| known.has_lived && !known.is_done && !self.keepers.contains(&log.attempt));
        let cut: Vec<_> = open.map(|(log, known)| (log, why(known))).collect();
        if cut.is_empty() { Ok(has_any) } else { Err(LogsError::Cut { id: id.to_owned(), logs: cut }) }
    }
}

/// The attempts of a job's workers, up to now.
fn all_of(state: &JobState) -> impl Iterator<Item = Attempt> {
    let of = |worker: &forebay_am::WorkerReport| {
        let index = worker.index;
        (1..=worker.attempt).map(move |number| Attempt { index, number })
    };
    state.workers.iter().flat_map(of)
}

#[cfg(test)]
mod tests {
    use forebay_am::Phase;
    use serde_json::json;

    use super::*;

    const WANTED: Wanted = Wanted { worker: None, attempt: None, names: &["stderr"] };

    fn state(workers: &[(u32, &str)]) -> JobState {
        let worker = |(index, (attempt, state)): (usize, &(u32, &str))| {
            let worker = json!({
                "index": index, "attempt": attempt, "state": state, "activity": "", "restarts": 0, "max_restarts": 3,
                "leased": 0, "fed": 0, "done": 0, "agent_pid": 1, "worker_pid": null, "host": "", "progress": null,
                "status": null, "counters": [], "figures": forebay_am::Figures::default(), "failure": null,
            });
            serde_json::from_value(worker).unwrap()
        };
        let mut state = crate::tests::state(Phase::Running, "");
        state.workers = workers.iter().enumerate().map(worker).collect();
        state
    }

    fn log(index: u32, number: u32) -> Log {
        Log { attempt: Attempt { index, number }, name: "stderr" }
    }

    fn sight(state: Option<JobState>, kept: &[Log]) -> Sight {
        let keepers = kept.iter().map(|log| log.attempt).collect();
        Sight { is_over: state.is_none(), state, client: None, kept: kept.to_vec(), keepers }
    }

    #[test]
    fn the_logs_of_a_worker_that_is_done_are_looked_for_while_others_run() {
        let mut all = All::new(&WANTED, mpsc::channel(1).0);
        all.see(sight(Some(state(&[(1, "running"), (1, "running")])), &[]));
        assert!(matches!(all.next_ask(), Ask::Of(attempts) if attempts.is_empty()));
        all.see(sight(Some(state(&[(1, "done"), (3, "running")])), &[]));
        let ended = [log(0, 1), log(1, 1), log(1, 2)].map(|log| log.attempt);
        assert!(matches!(all.next_ask(), Ask::Of(attempts) if attempts == ended));
        assert!(matches!(all.next_ask(), Ask::Of(attempts) if attempts.is_empty()), "again, and at once");
    }

    #[test]
    fn what_was_not_kept_is_said_to_be_cut() {
        let mut all = All::new(&WANTED, mpsc::channel(1).0);
        all.see(sight(Some(state(&[(1, "running"), (2, "running")])), &[]));
        all.see(sight(None, &[log(1, 2)]));
        all.logs.get_mut(&log(1, 2)).unwrap().is_done = true;
        let error = all.end("application_1_0001").unwrap_err();
        let LogsError::Cut { logs, .. } = &error else { panic!("{error}") };
        assert_eq!(logs.len(), 1, "of attempts that were never seen nothing is missing: {error}");
        let said = error.to_string();
        for words in ["stderr of worker 0 (attempt 1)", "yarn logs -applicationId application_1_0001"] {
            assert!(said.contains(words), "{said}");
        }
    }
}
