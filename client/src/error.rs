//! What can keep a client from doing what it is asked.

use std::path::PathBuf;

use forebay_am::AmError;
use forebay_hadoop::ConfError;
use forebay_job::JobError;
use forebay_output::OutputError;
use forebay_store::HdfsError;

use crate::pack::PackError;

/// Why a job could not be submitted, looked at or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There is no configuration.
    #[error(
        "HADOOP_CONF_DIR is not set, so there is no cluster to speak with; set it to the folder of the cluster's core-site.xml, hdfs-site.xml and yarn-site.xml"
    )]
    NoConfiguration,
    /// The configuration cannot be used.
    #[error("cannot use the Hadoop configuration: {0}")]
    Configuration(#[from] ConfError),
    /// HDFS said no, or nothing.
    #[error(transparent)]
    Hdfs(#[from] HdfsError),
    /// The ResourceManager said no, or nothing.
    #[error("cannot {action}: {why}")]
    ResourceManager {
        /// What was asked for, and of what.
        action: String,
        /// What it said.
        why: String,
    },
    /// The job makes no sense on a cluster.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The input cannot be planned, or a file of a job is not what it should be.
    #[error(transparent)]
    Am(#[from] AmError),
    /// The outputs cannot be used.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Something of the user's cannot be shipped.
    #[error("cannot ship what the job needs: {0}")]
    Pack(#[from] PackError),
    /// The cluster cannot run the job as it is.
    #[error("{0}")]
    Refused(String),
    /// A folder of ours belongs to somebody else.
    #[error(
        "{path} belongs to {owner} and not to {user}, so nothing of a job's is put there; have it removed or given to {user}"
    )]
    NotOurs {
        /// The folder.
        path: String,
        /// Whose it is.
        owner: String,
        /// Whose it should be.
        user: String,
    },
    /// No such job.
    #[error("there is no job {id}: {why}")]
    NoJob {
        /// As asked for.
        id: String,
        /// What was looked at.
        why: String,
    },
    /// Not one of ours.
    #[error(
        "{id} is an application of type {kind} and no job of Forebay's; 'yarn application -status {id}' tells of it"
    )]
    NotAJob {
        /// As asked for.
        id: String,
        /// What it is.
        kind: String,
    },
    /// Somebody else's job.
    #[error(
        "{id} is a job of {owner}, who alone may look into its folder and end it; the user here is {user}"
    )]
    NotYours {
        /// As asked for.
        id: String,
        /// Whose it is.
        owner: String,
        /// Who asks.
        user: String,
    },
    /// A job is over, and not all of it is cleared away.
    #[error(
        "{id} is over, and what it has left could not be removed: {why}; 'forebay kill {id}' tries that again"
    )]
    Left {
        /// The application's id.
        id: String,
        /// Why.
        why: String,
    },
    /// A job was not submitted whole, and may run nevertheless.
    #[error(
        "{error}; YARN may have {id} all the same, which could not be ended ({why}), so all of it is left as it is; \
         'forebay kill {id}' ends it"
    )]
    MayRun {
        /// The application's id.
        id: String,
        /// What went wrong.
        error: String,
        /// Why it could not be ended.
        why: String,
    },
    /// The secrets of the job's channel.
    #[error("cannot make the job's secrets: {0}")]
    Secrets(#[from] forebay_protocol::SecretsError),
    /// A file on HDFS that is not what its name says.
    #[error("{path} cannot be understood: {why}")]
    Malformed {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
    /// This program's own file.
    #[error("cannot find this program's own file to ship it: {0}")]
    Program(std::io::Error),
    /// A file of the configuration.
    #[error("cannot read {}: {source}", path.display())]
    SiteFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A signal came before the job was submitted.
    #[error("signal {signal} came before the job was submitted; nothing of it is left on the cluster{}", but_for(.left.as_ref()))]
    Interrupted {
        /// Its number.
        signal: usize,
        /// What could not be removed, if so.
        left: Option<String>,
    },
    /// The threads of the client cannot be started.
    #[error("cannot start threads: {0}")]
    Runtime(std::io::Error),
}

fn but_for(left: Option<&String>) -> String {
    left.map_or_else(String::new, |what| format!(", but for {what}"))
}

impl ClientError {
    /// Whether the user asked for something that cannot be.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::NoConfiguration
            | Self::Job(_)
            | Self::NoJob { .. }
            | Self::NotAJob { .. }
            | Self::NotYours { .. } => true,
            Self::Am(error) => error.is_usage(),
            _ => false,
        }
    }
}
