//! What keeps a job from being run.

use std::io;
use std::path::{Path, PathBuf};

use forebay_feeder::PlanError;
use forebay_output::OutputError;
use forebay_scheduler::{ConfigError, ResumeError};
use forebay_store::{AddressError, HdfsError};

/// Why a job could not be begun, resumed, or looked at; or why its application master had to give up.
#[derive(Debug, thiserror::Error)]
pub enum AmError {
    /// The input cannot be fed.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Something with a file or folder of the job.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something of the system's.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The folder asked for is in use.
    #[error("{} is not empty; name a new folder for the job (--job-dir), or resume the job that is there (--resume)", path.display())]
    FolderTaken {
        /// The folder.
        path: PathBuf,
    },
    /// There is no place for the job's folder.
    #[error("HOME is not set, so there is no usual place for the job's folder; name one with --job-dir")]
    NoHome,
    /// A folder without a job in it, or a job that does not exist.
    #[error("{what} is no job: {why}")]
    NoJob {
        /// As asked for.
        what: String,
        /// What is missing.
        why: String,
    },
    /// Another application master has it.
    #[error("the job in {} is still running; stop it first (forebay status shows its process)", path.display())]
    StillRunning {
        /// The job's folder.
        path: PathBuf,
    },
    /// Processes of the job's earlier run are still there.
    #[error("processes of the job's earlier run in {} did not end within {seconds} s; end them, then resume", path.display())]
    Leftovers {
        /// The job's folder.
        path: PathBuf,
        /// How long they were waited for.
        seconds: u64,
    },
    /// A file of the job is not what this program wrote.
    #[error("{} cannot be understood: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The job can be carried out by nobody.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Agents cannot be served.
    #[error(transparent)]
    Channel(#[from] forebay_protocol::TlsError),
    /// The job's ledger does not allow to go on.
    #[error("cannot resume: {0}")]
    Resume(#[from] ResumeError),
    /// A signal came before the job had begun.
    #[error("signal {signal} came before the job had begun; nothing was started")]
    Interrupted {
        /// Its number.
        signal: usize,
    },
    /// The address of an output cannot be understood.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The outputs cannot be used.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Something with HDFS.
    #[error(transparent)]
    Hdfs(#[from] HdfsError),
    /// Something with YARN.
    #[error(transparent)]
    Yarn(Box<forebay_hadoop::yarn::Error>),
    /// The program was not started as YARN starts an application master.
    #[error("this is no application master's container: {why}")]
    NoContainer {
        /// What is missing.
        why: String,
    },
    /// This process is to end, and what it does is to be gone on with by another.
    #[error("{why}")]
    Left {
        /// Why.
        why: String,
    },
    /// YARN has started another attempt of this application master: everything is its by now.
    #[error("attempt {by} of the application master has taken over")]
    Superseded {
        /// Which, from 1.
        by: u32,
    },
}

impl From<forebay_hadoop::yarn::Error> for AmError {
    fn from(error: forebay_hadoop::yarn::Error) -> Self {
        Self::Yarn(Box::new(error))
    }
}

impl AmError {
    /// Makes an error of what went wrong with `path`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether the user asked for something that does not exist.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Plan(error) => error.is_usage(),
            Self::FolderTaken { .. } | Self::NoHome | Self::NoJob { .. } => true,
            _ => false,
        }
    }
}
