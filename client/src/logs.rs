//! What the workers of a job have written: through the application master while they run, from the job's folder after.

mod follow;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use forebay_am::{Attempt, JobState, WorkerState};
use forebay_protocol::{Client as AmClient, v1};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Status;

use crate::ClientError;
use crate::client::Client;
use crate::history::History;
use crate::link::in_time;

/// Bytes of a kept log that are read at once.
const PIECE: usize = 4 << 20;
/// Pieces on their way from all attempts.
const WAITING: usize = 16;
/// How long an attempt that was there at the last look may be silent about its log, when that is not followed.
const SILENCE: Duration = Duration::from_secs(10);
/// How long the end of a log may take that is shown beside other things.
const ASIDE: Duration = Duration::from_secs(10);

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

/// Why printing ended early, or is not whole.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// Nothing more can be learned.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// All was printed that could be had.
    #[error("not all that was written could be had: {}; {}", named(.logs), yarn(.id))]
    Cut {
        /// The application's id.
        id: String,
        /// The logs that may lack something, and why.
        logs: Vec<(Log, String)>,
    },
    /// Whoever reads has gone, or the like.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

fn named(logs: &[(Log, String)]) -> String {
    let Some((Log { attempt, name }, why)) = logs.first() else { return String::new() };
    let mut text =
        format!("{name} of worker {} (attempt {}) may lack its end: {why}", attempt.index, attempt.number);
    if logs.len() > 1 {
        // Writing to a text does not fail.
        let _ = write!(text, " (and so may {} more)", logs.len() - 1);
    }
    text
}

fn yarn(id: &str) -> String {
    format!("ask again, or look into 'yarn logs -applicationId {id}'")
}

impl Wanted {
    fn wants(&self, attempt: Attempt) -> bool {
        self.worker.is_none_or(|worker| worker == attempt.index)
            && self.attempt.is_none_or(|number| number == attempt.number)
    }

    fn name(&self, name: &str) -> Option<&'static str> {
        self.names.iter().copied().find(|wanted| *wanted == name)
    }

    /// Those of these that are wanted.
    fn among(&self, kept: Vec<crate::history::Log>) -> Vec<Log> {
        let kept = kept.into_iter().filter(|log| self.wants(log.attempt));
        kept.filter_map(|log| Some(Log { attempt: log.attempt, name: self.name(&log.name)? })).collect()
    }
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
            if follow {
                self.follow_logs(id, wanted, out).await
            } else {
                self.print_logs(id, wanted, out).await
            }
        })
    }

    /// The end of a log that is kept, so many bytes of it; nothing where that cannot be had soon.
    pub fn end_of_log(&self, id: &str, attempt: Attempt, name: &str, most: u64) -> Option<Vec<u8>> {
        let read = async {
            let history = self.history(id);
            let logs = history.logs_of(attempt).await.ok()?;
            let kept = logs.iter().find(|kept| kept.name == name)?;
            let most = usize::try_from(most).ok()?;
            let offset = kept.len.saturating_sub(most as u64);
            history.log(attempt, name, offset, most).await.ok().map(|bytes| bytes.to_vec())
        };
        self.runtime.block_on(async { timeout(ASIDE, read).await.ok().flatten() })
    }

    async fn print_logs(&self, id: &str, wanted: &Wanted, out: Out<'_>) -> Result<bool, LogsError> {
        let (history, mut link) = (self.history(id), self.link(id));
        // First: what an application that is over has not kept will not be kept.
        let application = self.application(id).await?;
        let is_over = application.as_ref().is_none_or(|application| application.state.is_over());
        if application.is_none() && history.job().await?.is_none() {
            return Err(self.no_job(id, &history).await.into());
        }
        let state = if is_over { None } else { link.state().await? };
        let mut logs = BTreeMap::new();
        for attempt in state.iter().flat_map(living).filter(|attempt| wanted.wants(*attempt)) {
            logs.extend(wanted.names.iter().map(|name| (Log { attempt, name }, false)));
        }
        let kept = history.logs(wanted.worker, wanted.attempt).await?;
        logs.extend(wanted.among(kept).into_iter().map(|log| (log, true)));
        let many = logs.len();
        let mut cut = Vec::new();
        for (&log, &is_kept) in &logs {
            let mut read = 0;
            if is_kept {
                print_kept(&history, log, many, &mut read, out).await?;
            } else {
                let broken = match link.client().await.map_err(LogsError::from)? {
                    Some(client) => print_living(client, log, many, &mut read, out).await?,
                    None => Some("its application master does not answer".to_owned()),
                };
                // It may have ended meanwhile.
                if let Some(why) = broken {
                    if history.logs_of(log.attempt).await?.is_empty() {
                        cut.push((log, why));
                    } else {
                        print_kept(&history, log, many, &mut read, out).await?;
                    }
                }
            }
            out(log, many, &[])?;
        }
        if cut.is_empty() { Ok(many > 0) } else { Err(LogsError::Cut { id: id.to_owned(), logs: cut }) }
    }
}

/// What of a piece is new, counting it as read.
fn news<'a>(read: &mut u64, offset: u64, piece: &'a [u8]) -> &'a [u8] {
    let known = usize::try_from(read.saturating_sub(offset)).unwrap_or(usize::MAX).min(piece.len());
    let piece = &piece[known..];
    *read = (*read).max(offset + (known + piece.len()) as u64);
    piece
}

/// The attempts whose agents pass their logs on.
fn living(state: &JobState) -> impl Iterator<Item = Attempt> {
    let is_there = |state: WorkerState| {
        matches!(
            state,
            WorkerState::Rejoining | WorkerState::Running | WorkerState::Staging | WorkerState::Ending
        )
    };
    let workers =
        state.workers.iter().filter(move |worker| worker.agent_pid.is_some() && is_there(worker.state));
    workers.map(|worker| Attempt { index: worker.index, number: worker.attempt })
}

/// Prints what is kept of a log, from `read` bytes on.
async fn print_kept(
    history: &History,
    log: Log,
    many: usize,
    read: &mut u64,
    out: Out<'_>,
) -> Result<(), LogsError> {
    loop {
        let piece = history.log(log.attempt, log.name, *read, PIECE).await?;
        if piece.is_empty() {
            return Ok(());
        }
        *read += piece.len() as u64;
        out(log, many, &piece)?;
    }
}

/// Prints what there is of a log whose agent is there. Gives a reason where that may not be all.
async fn print_living(
    client: AmClient,
    log: Log,
    many: usize,
    read: &mut u64,
    out: Out<'_>,
) -> Result<Option<String>, LogsError> {
    let (sender, mut words) = mpsc::channel(WAITING);
    let reader = tokio::spawn(read_log(client, log, *read, false, sender));
    let broken = loop {
        match timeout(SILENCE, words.recv()).await {
            Ok(Some(Word::Piece(_, offset, piece))) => {
                let piece = news(read, offset, &piece);
                if !piece.is_empty() {
                    out(log, many, piece)?;
                }
            }
            Ok(Some(Word::End(_, Ok(())))) => break None,
            Ok(Some(Word::End(_, Err(status)))) => break Some(status.message().to_owned()),
            Ok(None) => break Some("it is not read any more".to_owned()),
            Err(_) => break Some(format!("nothing came of it for {} s", SILENCE.as_secs())),
        }
    };
    reader.abort();
    Ok(broken)
}

/// Reads a log through the application master, and says when that has ended.
async fn read_log(mut client: AmClient, log: Log, from: u64, follow: bool, to: mpsc::Sender<Word>) {
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
