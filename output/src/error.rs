//! What can go wrong, said so that the reader knows on what, why, and what to do.

use std::io;
use std::path::PathBuf;

use forebay_store::HdfsError;

use crate::{Attempt, Tally};

/// Output could not be staged or committed.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// A job's name that cannot be the name of a folder.
    #[error(
        "the job id {job:?} cannot name a folder; use letters, digits, - and _, and begin with a letter or digit"
    )]
    JobId {
        /// The id.
        job: String,
    },
    /// The path has content.
    #[error(
        "cannot put output to {path}: it holds {entry}; choose a path that is new or empty, or remove what is there"
    )]
    NotEmpty {
        /// The output path.
        path: String,
        /// A name in it.
        entry: String,
    },
    /// Another job has committed there.
    #[error("cannot put output to {path}: it holds the output of {winner}; choose another path")]
    Committed {
        /// The output path.
        path: String,
        /// The job that has committed.
        winner: String,
    },
    /// Another job is committing there.
    #[error(
        "cannot put output to {path}: {winner} is committing there, or was interrupted in it. Choose another path, or let that job end (forebay run --resume); if it is gone for good, remove {claim} and what it left"
    )]
    Claimed {
        /// The output path.
        path: String,
        /// The job that holds the claim.
        winner: String,
        /// The claim's file.
        claim: String,
    },
    /// The job has committed: there is nothing to take back.
    #[error("the output of this job in {path} is committed; it is not taken back")]
    Done {
        /// The output path.
        path: String,
    },
    /// The path, or a part of it, is a file.
    #[error("cannot put output to {path}: it is no folder; choose another path")]
    NotAFolder {
        /// The path.
        path: String,
    },
    /// Reading or writing on this machine failed.
    #[error("cannot {action} {}: {source}{}", path.display(), advice(source))]
    Local {
        /// `read`, `write`, `rename`, …
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// HDFS said no, or nothing.
    #[error(transparent)]
    Hdfs(#[from] HdfsError),
    /// The folder of a worker, or a part of its path, is no folder.
    #[error("cannot upload {}: it is no folder; the worker is to leave its output in a folder of its own", path.display())]
    WorkerFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A symbolic link that leads out of the worker's folder, or nowhere.
    #[error(
        "cannot upload the link {}: {why}. A link may point to what lies in the same output folder, by a relative path; let the worker leave the file itself",
        path.display()
    )]
    Link {
        /// The link.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A FIFO, socket or device.
    #[error("cannot upload {}: it is a {kind}; only files and folders are output, let the worker remove it", path.display())]
    Special {
        /// The path.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// A name that HDFS cannot have.
    #[error("cannot upload {} to HDFS: {why}; let the worker choose another name", path.display())]
    Name {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file that somebody still writes.
    #[error(
        "cannot upload {}: it changed from {before} to {after} bytes while it was read; is a process of the worker still writing?",
        path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its length in bytes when opened.
        before: u64,
        /// What was read of it.
        after: u64,
    },
    /// What the store has is not what was sent.
    #[error(
        "{path} is not what was sent: the store has {found}, and {wanted} were sent; nothing was committed"
    )]
    Mismatch {
        /// Where.
        path: String,
        /// What was sent.
        wanted: Tally,
        /// What is there.
        found: Tally,
    },
    /// An attempt's part is to be committed and is not whole.
    #[error("cannot commit {path}: the part of attempt {attempt} is not staged; nothing was committed")]
    NotStaged {
        /// The output path.
        path: String,
        /// The attempt.
        attempt: Attempt,
    },
    /// A planned rename found neither its source nor what it should have made.
    #[error(
        "cannot finish the commit to {path}: {from} is gone and {to} is not what was staged; somebody else has changed it. Remove {path} and run the job again"
    )]
    Lost {
        /// The output path.
        path: String,
        /// What was to be renamed.
        from: String,
        /// To what.
        to: String,
    },
    /// A note of the staging cannot be understood.
    #[error("cannot use {path}: {why}")]
    Note {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The caller called it off.
    #[error("the upload was called off")]
    Cancelled,
    /// What HDFS kept of a stream after an error does not fit what was sent.
    #[error(
        "cannot go on writing {path}: after an error HDFS has {found} bytes of it, and what is still known begins at byte {from} and ends at byte {to}; the worker has to run again"
    )]
    StreamBroken {
        /// The file.
        path: String,
        /// Its length.
        found: u64,
        /// From where on bytes are still in memory.
        from: u64,
        /// The end of what was sent.
        to: u64,
    },
    /// Reading a worker's standard output failed.
    #[error("cannot read the worker's standard output: {0}")]
    Pipe(io::Error),
}

/// What to do about a local error, where it can be said.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space there, or choose another output path"
        }
        io::ErrorKind::FileTooLarge => {
            "; the file system or the limit on file sizes (ulimit -f) does not allow it"
        }
        io::ErrorKind::PermissionDenied => "; check the owner and the permissions",
        io::ErrorKind::ReadOnlyFilesystem => "; choose a path that may be written",
        _ => "",
    }
}
