//! What YARN says of an application, in words that stay.

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;

use crate::ClientError;
use crate::rm::TYPE;
use crate::site::short;

/// How far an application is, by the ResourceManager's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApplicationState {
    /// The ResourceManager is writing it down.
    Submitted,
    /// It waits for its application master's container.
    Accepted,
    /// Its application master has registered.
    Running,
    /// It has ended by itself.
    Finished,
    /// YARN has given it up.
    Failed,
    /// Somebody has ended it.
    Killed,
}

impl ApplicationState {
    /// Whether it is over.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Killed)
    }

    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Accepted => "accepted",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Killed => "killed",
        }
    }
}

/// An application.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Application {
    /// `application_…`
    pub id: String,
    /// What kind of application it is: `FOREBAY`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The job's name.
    pub name: String,
    /// Whose it is.
    pub user: String,
    /// Its queue, in full.
    pub queue: String,
    /// Within the queue.
    pub priority: u32,
    /// How far it is.
    pub state: ApplicationState,
    /// What its application master said at its end: whether it has succeeded.
    pub succeeded: Option<bool>,
    /// What YARN or the application master says of it.
    pub diagnostics: String,
    /// Which attempt of its application master is the current one.
    pub attempt: Option<u32>,
    /// Where its page is.
    pub tracking_url: String,
    /// Milliseconds since 1970.
    pub started_ms: u64,
    /// Milliseconds since 1970; 0 while it is not over.
    pub finished_ms: u64,
    /// Containers that it has, its application master's included.
    pub containers: u32,
    /// MiB of these.
    pub memory_mib: u64,
    /// Virtual cores of these.
    pub cores: u32,
    /// As it was submitted.
    pub tags: Vec<String>,
}

impl Application {
    /// Refuses one that is none of this user's jobs.
    pub(crate) fn of(self, user: &str) -> Result<Self, ClientError> {
        let Self { id, kind, user: owner, .. } = &self;
        if kind != TYPE {
            return Err(ClientError::NotAJob { id: id.clone(), kind: kind.clone() });
        }
        if owner != user && owner != short(user) {
            let (id, owner, user) = (id.clone(), owner.clone(), user.to_owned());
            return Err(ClientError::NotYours { id, owner, user });
        }
        Ok(self)
    }

    /// What is said of it, in one line.
    pub fn why(&self) -> String {
        let lines = self.diagnostics.lines().map(str::trim).filter(|line| !line.is_empty());
        let why = lines.collect::<Vec<_>>().join("; ");
        if why.is_empty() { "nobody says why".to_owned() } else { why }
    }
}

/// A name that could be an application's id. Others are ids or folders of this machine's jobs.
pub fn is_application_id(text: &str) -> bool {
    let parts: Vec<_> = text.split('_').collect();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    matches!(parts[..], ["application", timestamp, number] if digits(timestamp) && digits(number) && number.len() >= 4)
}

/// A time in milliseconds since 1970, as in `2026-01-02T03:04:05.678Z`.
pub fn time(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_users_own_jobs_are_looked_at() {
        let application = |kind: &str, user: &str| Application {
            id: "application_1_0001".into(),
            kind: kind.into(),
            name: String::new(),
            user: user.into(),
            queue: String::new(),
            priority: 0,
            state: ApplicationState::Running,
            succeeded: None,
            diagnostics: String::new(),
            attempt: None,
            tracking_url: String::new(),
            started_ms: 0,
            finished_ms: 0,
            containers: 0,
            memory_mib: 0,
            cores: 0,
            tags: Vec::new(),
        };
        for me in ["ann", "ann/host@REALM"] {
            application("FOREBAY", "ann").of(me).unwrap();
        }
        let error = application("MAPREDUCE", "ann").of("ann").unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("type MAPREDUCE"), "{error}");
        let error = application("FOREBAY", "bob").of("ann").unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("a job of bob"), "{error}");
    }

    #[test]
    fn ids() {
        assert!(is_application_id("application_1700000000000_0007"));
        for other in
            ["application_1_7", "application_1_0007/", "job_20260102_030405_abcd", "application__0007", "./x"]
        {
            assert!(!is_application_id(other), "{other}");
        }
    }
}
