//! Who: an attempt of a worker, and how it came to its end.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One run of one worker, shown as `index.number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// The worker, from 0.
    pub index: u32,
    /// The attempt, from 1; never used twice for an index, also not by a resumed job.
    pub number: u32,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.number)
    }
}

/// How a container (the agent's process) ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// With this exit status.
    Exit(i32),
    /// Killed by this signal.
    Signal(i32),
    /// It could not be started, or nobody knows: why.
    Lost(String),
    /// The cluster ended it.
    Cluster {
        /// For what.
        what: ClusterEnd,
        /// In the cluster's own words; may be empty.
        why: String,
    },
}

/// What a cluster ended a container for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClusterEnd {
    /// Its place was given to somebody with a better claim.
    Preempted,
    /// Its node is lost.
    NodeLost,
    /// Its node's disks have failed.
    DisksFailed,
    /// It was given back, or asked for and never given.
    Released,
    /// The cluster gave it, and it could not be started.
    NotStarted,
    /// It used more memory than it was given.
    OutOfMemory,
    /// It used more virtual memory than it was given.
    OutOfVirtualMemory,
    /// The resource manager killed it.
    KilledByResourceManager,
    /// With this exit status of the cluster's.
    Other(i32),
}

impl ClusterEnd {
    /// What it is is not the worker's doing: a restart that follows is not counted.
    pub fn is_free(self) -> bool {
        matches!(self, Self::Preempted | Self::NodeLost | Self::DisksFailed | Self::Released)
    }

    /// More memory may help.
    pub fn is_memory(self) -> bool {
        self == Self::OutOfMemory
    }
}

impl fmt::Display for ClusterEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preempted => f.write_str("was preempted: its place went to somebody with a better claim"),
            Self::NodeLost => f.write_str("was lost with its node"),
            Self::DisksFailed => f.write_str("was ended because its node's disks have failed"),
            Self::Released => f.write_str("was given back"),
            Self::NotStarted => f.write_str("could not be started"),
            Self::OutOfMemory => f.write_str("was killed because it used more memory than it had"),
            Self::OutOfVirtualMemory => {
                f.write_str("was killed because it used more virtual memory than it had")
            }
            Self::KilledByResourceManager => f.write_str("was killed by the resource manager"),
            Self::Other(status) => write!(f, "was ended by the cluster with status {status}"),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(status) => write!(f, "ended with status {status}"),
            Self::Signal(signal) => write!(f, "was killed by signal {signal}"),
            Self::Lost(why) => write!(f, "was lost: {why}"),
            Self::Cluster { what, why } if why.is_empty() => what.fmt(f),
            Self::Cluster { what, why } => write!(f, "{what} ({why})"),
        }
    }
}

/// Why an attempt counts as failed. As text: a verb phrase that fits behind "worker 1 (attempt 1)".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum Cause {
    /// The worker ended with a shell status other than 0 (128 + n: signal n).
    Exited {
        /// The shell status.
        status: i32,
    },
    /// The agent ended before the attempt was over.
    Agent {
        /// How.
        how: End,
    },
    /// The agent gave up: the feed failed, the worker could not be started.
    Failed {
        /// What the agent says.
        why: String,
    },
    /// The worker ended well, its output could not be staged.
    Staging {
        /// What the agent says.
        why: String,
    },
    /// The agent did not register in time.
    NeverRegistered {
        /// The deadline in seconds.
        seconds: u64,
    },
    /// The agent was not heard of for too long.
    Silent {
        /// The deadline in seconds.
        seconds: u64,
    },
    /// It lived before the application master began, and did not come back to it in time.
    NeverRejoined {
        /// The deadline in seconds.
        seconds: u64,
    },
    /// It came back to the application master with what cannot be its own.
    Contradicts {
        /// What.
        why: String,
    },
    /// It was ended because the job ends.
    JobEnds,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { status } if (129..=192).contains(status) => {
                write!(f, "was killed by signal {}", status - 128)
            }
            Self::Exited { status } => write!(f, "ended with status {status}"),
            Self::Agent { how: how @ End::Cluster { .. } } => write!(f, "lost its container, which {how}"),
            Self::Agent { how } => write!(f, "lost its agent, which {how}"),
            Self::Failed { why } => write!(f, "failed: {why}"),
            Self::Staging { why } => write!(f, "ended well, but its output could not be staged: {why}"),
            Self::NeverRegistered { seconds } => write!(f, "did not register within {seconds} s"),
            Self::Silent { seconds } => write!(f, "was not heard of for {seconds} s"),
            Self::NeverRejoined { seconds } => {
                write!(
                    f,
                    "did not come back within {seconds} s after the application master had started again"
                )
            }
            Self::Contradicts { why } => {
                write!(f, "came back after the application master had started again, and {why}")
            }
            Self::JobEnds => write!(f, "was ended with the job"),
        }
    }
}
