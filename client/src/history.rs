//! A job's folder on HDFS: what its application master says of it there, while it runs and ever after.

use bytes::Bytes;
use forebay_am::{Attempt, JobState, Told};
use forebay_job::Job;
use forebay_protocol::AmAddress;
use serde::Deserialize;

use crate::ClientError;
use crate::remote::Remote;

/// Bytes of the story that are read at once.
const PIECE: usize = 1 << 20;

/// A log that was uploaded when its attempt had ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) attempt: Attempt,
    pub(crate) name: String,
    /// In bytes.
    pub(crate) len: u64,
}

/// A job's folder.
#[derive(Debug, Clone)]
pub(crate) struct History {
    remote: Remote,
    /// Absolute path.
    folder: String,
    /// So much of the story was read.
    read: u64,
}

impl History {
    pub(crate) fn new(remote: Remote, folder: String) -> Self {
        Self { remote, folder, read: 0 }
    }

    /// Its full address.
    pub(crate) fn address(&self) -> String {
        self.remote.address(&self.folder)
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    /// The job, if the folder is there.
    pub(crate) async fn job(&self) -> Result<Option<Job>, ClientError> {
        let path = self.path("job.toml");
        let Some(text) = self.remote.read(&path).await? else { return Ok(None) };
        let text = String::from_utf8_lossy(&text);
        let malformed = |error: forebay_job::JobError| self.malformed("job.toml", &error.to_string());
        Job::from_toml(&text).map(Some).map_err(malformed)
    }

    fn malformed(&self, name: &str, why: &str) -> ClientError {
        ClientError::Malformed { path: self.remote.address(&self.path(name)), why: why.to_owned() }
    }

    async fn json<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, ClientError> {
        let Some(text) = self.remote.read(&self.path(name)).await? else { return Ok(None) };
        serde_json::from_slice(&text).map(Some).map_err(|error| self.malformed(name, &error.to_string()))
    }

    /// How the job stood when that was last written down.
    pub(crate) async fn state(&self) -> Result<Option<JobState>, ClientError> {
        self.json("state.json").await
    }

    /// Where its application master is.
    pub(crate) async fn am(&self) -> Result<Option<AmAddress>, ClientError> {
        self.json(AmAddress::FILE).await
    }

    /// What has been told since this was asked last.
    pub(crate) async fn events(&mut self) -> Result<Vec<Told>, ClientError> {
        let path = self.path("events.jsonl");
        let mut told = Vec::new();
        loop {
            let piece = self.remote.read_at(&path, self.read, PIECE).await?;
            let (lines, used) = whole_lines(&piece);
            // A line longer than a piece is none of ours.
            let skipped = if used == 0 && piece.len() == PIECE { PIECE } else { used };
            self.read += skipped as u64;
            told.extend(lines);
            if skipped == 0 {
                return Ok(told);
            }
        }
    }

    /// The logs that are kept, by attempt and name: of all attempts, or those of one worker, or with one number.
    pub(crate) async fn logs(
        &self,
        worker: Option<u32>,
        attempt: Option<u32>,
    ) -> Result<Vec<Log>, ClientError> {
        let workers = match worker {
            Some(worker) => vec![worker],
            None => self.numbers("logs").await?,
        };
        let mut logs = Vec::new();
        for index in workers {
            let numbers = match attempt {
                Some(attempt) => vec![attempt],
                None => self.numbers(&format!("logs/{index}")).await?,
            };
            for number in numbers {
                logs.extend(self.logs_of(Attempt { index, number }).await?);
            }
        }
        Ok(logs)
    }

    /// The logs that are kept of an attempt, by name.
    pub(crate) async fn logs_of(&self, attempt: Attempt) -> Result<Vec<Log>, ClientError> {
        let Attempt { index, number } = attempt;
        let files = self.remote.list(&self.path(&format!("logs/{index}/{number}"))).await?;
        let files = files.iter().filter(|file| !file.isdir);
        let mut logs: Vec<_> = files
            .map(|file| Log {
                attempt,
                name: file.path.rsplit('/').next().unwrap_or_default().to_owned(),
                len: file.length as u64,
            })
            .collect();
        logs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(logs)
    }

    /// Folders that are called by a number, in order.
    async fn numbers(&self, folder: &str) -> Result<Vec<u32>, ClientError> {
        let found = self.remote.list(&self.path(folder)).await?;
        let folders = found.iter().filter(|file| file.isdir);
        let mut numbers: Vec<u32> =
            folders.filter_map(|file| file.path.rsplit('/').next()?.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Bytes of a log from `offset`.
    pub(crate) async fn log(
        &self,
        attempt: Attempt,
        name: &str,
        offset: u64,
        most: usize,
    ) -> Result<Bytes, ClientError> {
        let path = self.path(&format!("logs/{}/{}/{name}", attempt.index, attempt.number));
        Ok(self.remote.read_at(&path, offset, most).await?)
    }
}

/// What whole lines tell, and how many bytes they have. What is no event of ours is passed over.
fn whole_lines(piece: &[u8]) -> (Vec<Told>, usize) {
    let used = piece.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let lines = piece[..used].split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    (lines.filter_map(|line| serde_json::from_slice(line).ok()).collect(), used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_is_read_by_whole_lines() {
        let line = r#"{"time":"t","text":"something","event":"warning","warning":"something"}"#;
        let piece = format!("{line}\nno event\n{line}\n{}", &line[..9]);
        let (told, used) = whole_lines(piece.as_bytes());
        assert_eq!((told.len(), used), (2, piece.len() - 9));
        assert_eq!(told[0].text, "something");
        let (told, used) = whole_lines(b"{\"half");
        assert!(told.is_empty() && used == 0);
    }
}
