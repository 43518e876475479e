//! What the workers of a job have written: through the application master while they run, from the job's folder after.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_am::{Attempt, JobState};
use forebay_protocol::{Client as AmClient, v1};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tonic::Status;

use crate::ClientError;
use crate::client::Client;
use crate::history::History;
use crate::link::in_time;

/// Bytes of a kept log that are read at once.
const PIECE: usize = 4 << 20;
/// Pieces on their way from all attempts.
const WAITING: usize = 16;
/// How often is looked for more attempts.
const LOOK: Duration = Duration::from_millis(500);
/// How long an attempt that was there at the last look may be silent about its log, when that is not followed.
const SILENCE: Duration = Duration::from_secs(10);

/// Which logs are wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Of this worker only.
    pub worker: Option<u32>,
    /// Of this attempt of each worker only.
    pub attempt: Option<u32>,
    /// `stdout`, `stderr`, `agent.log`.
    pub names: &'static [&'static str],
}

/// A log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Log {
    /// Whose it is.
    pub attempt: Attempt,
    /// `stdout`, `stderr`, `agent.log`.
    pub name: &'static str,
}

/// Takes what comes of a log, of so many that are known; the end of one is an empty piece.
pub(crate) type Out<'a> = &'a mut dyn FnMut(Log, usize, &[u8]) -> io::Result<()>;

/// Why printing ended early.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// Nothing more can be learned.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Whoever reads has gone, or the like.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

impl Wanted {
    fn wants(&self, attempt: Attempt) -> bool {
        self.worker.is_none_or(|worker| worker == attempt.index)
            && self.attempt.is_none_or(|number| number == attempt.number)
    }

    fn name(&self, name: &str) -> Option<&'static str> {
        self.names.iter().copied().find(|wanted| *wanted == name)
    }
}

/// What is known of a log.
#[derive(Debug, Default)]
struct Known {
    /// So much of it was printed.
    read: u64,
    /// Its attempt may be at work.
    lives: bool,
    /// Bytes of it that are kept on HDFS, if it is there.
    kept: Option<u64>,
    /// Somebody reads it through the application master.
    is_read: bool,
    /// It is printed to its end.
    is_done: bool,
}

/// A word of who reads a log.
enum Word {
    Piece(Log, u64, Bytes),
    /// It has ended, or whoever has it is gone.
    End(Log, Result<(), Status>),
}

impl Client {
    /// Prints logs of a job: what there is, or with `follow` what comes, until the job is over. Says whether there was any.
    pub fn logs(&self, id: &str, wanted: &Wanted, follow: bool, out: Out<'_>) -> Result<bool, LogsError> {
        self.runtime.block_on(async {
            let mut logs = BTreeMap::new();
            if follow {
                self.follow_logs(id, wanted, &mut logs, out).await?;
            } else {
                self.print_logs(id, wanted, &mut logs, out).await?;
            }
            Ok(!logs.is_empty())
        })
    }

    /// The end of a log that is kept, so many bytes of it; nothing where that cannot be had.
    pub fn end_of_log(&self, id: &str, attempt: Attempt, name: &str, most: u64) -> Option<Vec<u8>> {
        self.runtime.block_on(async {
            let history = self.history(id);
            let logs = history.logs().await.ok()?;
            let kept = logs.iter().find(|kept| kept.attempt == attempt && kept.name == name)?;
            let most = usize::try_from(most).ok()?;
            let offset = kept.len.saturating_sub(most as u64);
            history.log(attempt, name, offset, most).await.ok().map(|bytes| bytes.to_vec())
        })
    }

    /// Adds what there is now. Says whether the job is over.
    async fn look(
        &self,
        id: &str,
        wanted: &Wanted,
        history: &History,
        link: &mut crate::link::Link,
        logs: &mut BTreeMap<Log, Known>,
    ) -> Result<bool, ClientError> {
        // First: what an application that is over has not kept will not be kept.
        let application = self.rm.report(id).await?;
        let is_over = application.as_ref().is_none_or(|application| application.state.is_over());
        if application.is_none() && history.job().await?.is_none() {
            return Err(self.no_job(id, history).await);
        }
        let state = if is_over { None } else { link.state().await? };
        for known in logs.values_mut() {
            known.lives = false;
        }
        for attempt in state.iter().flat_map(attempts).filter(|attempt| wanted.wants(*attempt)) {
            for name in wanted.names {
                logs.entry(Log { attempt, name }).or_default().lives = true;
            }
        }
        for kept in history.logs().await? {
            if let Some(name) = wanted.name(&kept.name).filter(|_| wanted.wants(kept.attempt)) {
                logs.entry(Log { attempt: kept.attempt, name }).or_default().kept = Some(kept.len);
            }
        }
        Ok(is_over)
    }

    async fn print_logs(
        &self,
        id: &str,
        wanted: &Wanted,
        logs: &mut BTreeMap<Log, Known>,
        out: Out<'_>,
    ) -> Result<(), LogsError> {
        let (history, mut link) = (self.history(id), self.link(id));
        self.look(id, wanted, &history, &mut link, logs).await?;
        let many = logs.len();
        for (&log, known) in &mut *logs {
            if known.kept.is_none()
                && let Some(client) = link.client().await?
            {
                let (sender, mut words) = mpsc::channel(WAITING);
                tokio::spawn(read(client, log, known.read, false, sender));
                while let Ok(Some(Word::Piece(_, _, piece))) = timeout(SILENCE, words.recv()).await {
                    out(log, many, &piece)?;
                }
            } else {
                print_kept(&history, log, many, known, out).await?;
            }
            out(log, many, &[])?;
        }
        Ok(())
    }

    async fn follow_logs(
        &self,
        id: &str,
        wanted: &Wanted,
        logs: &mut BTreeMap<Log, Known>,
        out: Out<'_>,
    ) -> Result<(), LogsError> {
        let (history, mut link) = (self.history(id), self.link(id));
        let (sender, mut words) = mpsc::channel(WAITING);
        loop {
            let is_over = self.look(id, wanted, &history, &mut link, logs).await?;
            let many = logs.len();
            for (&log, known) in &mut *logs {
                if known.is_done || known.is_read {
                    continue;
                }
                if known.kept.is_some() && !known.lives {
                    print_kept(&history, log, many, known, out).await?;
                    known.is_done = true;
                    out(log, many, &[])?;
                } else if known.lives
                    && let Some(client) = link.client().await?
                {
                    known.is_read = true;
                    tokio::spawn(read(client, log, known.read, true, sender.clone()));
                }
            }
            if is_over && logs.values().all(|known| !known.is_read) {
                return Ok(());
            }
            let next = Instant::now() + LOOK;
            loop {
                let left = next.saturating_duration_since(Instant::now());
                let word = tokio::select! {
                    biased;
                    word = words.recv() => word,
                    () = sleep(left) => None,
                };
                match word {
                    None => break,
                    Some(Word::Piece(log, offset, piece)) => {
                        let known = logs.entry(log).or_default();
                        let piece = news(&mut known.read, offset, &piece);
                        if !piece.is_empty() {
                            out(log, many, piece)?;
                        }
                    }
                    Some(Word::End(log, ended)) => {
                        let known = logs.entry(log).or_default();
                        known.is_read = false;
                        match ended {
                            Ok(()) => {
                                known.is_done = true;
                                out(log, many, &[])?;
                            }
                            Err(status) => tracing::debug!(?log, %status, "a log is read anew"),
                        }
                    }
                }
            }
        }
    }
}

/// What of a piece is new, counting it as read.
fn news<'a>(read: &mut u64, offset: u64, piece: &'a [u8]) -> &'a [u8] {
    let known = usize::try_from(read.saturating_sub(offset)).unwrap_or(usize::MAX).min(piece.len());
    let piece = &piece[known..];
    *read = (*read).max(offset + (known + piece.len()) as u64);
    piece
}

/// The attempts that may be at work.
fn attempts(state: &JobState) -> impl Iterator<Item = Attempt> {
    let workers = state.workers.iter().filter(|worker| worker.agent_pid.is_some());
    workers.map(|worker| Attempt { index: worker.index, number: worker.attempt })
}

async fn print_kept(
    history: &History,
    log: Log,
    many: usize,
    known: &mut Known,
    out: Out<'_>,
) -> Result<(), LogsError> {
    loop {
        let piece = history.log(log.attempt, log.name, known.read, PIECE).await?;
        if piece.is_empty() {
            return Ok(());
        }
        known.read += piece.len() as u64;
        out(log, many, &piece)?;
    }
}

/// Reads a log through the application master, and says when that has ended.
async fn read(mut client: AmClient, log: Log, from: u64, follow: bool, to: mpsc::Sender<Word>) {
    let request = v1::LogsRequest {
        index: log.attempt.index,
        number: log.attempt.number,
        name: log.name.to_owned(),
        offset: i64::try_from(from).unwrap_or(i64::MAX),
        follow,
    };
    let ended = async {
        let mut pieces = in_time(client.logs(request)).await?.into_inner();
        while let Some(reply) = pieces.message().await? {
            if to.send(Word::Piece(log, reply.offset, reply.data.into())).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    let ended = ended.await;
    let _ = to.send(Word::End(log, ended)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_read_anew_is_not_printed_twice() {
        let mut read = 5;
        assert_eq!(news(&mut read, 3, b"abcd"), b"cd");
        assert_eq!(read, 7);
        assert_eq!(news(&mut read, 0, b"abc"), b"");
        assert_eq!(read, 7);
        assert_eq!(news(&mut read, 9, b"x"), b"x");
        assert_eq!(read, 10);
    }
}
