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
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(status) => write!(f, "ended with status {status}"),
            Self::Signal(signal) => write!(f, "was killed by signal {signal}"),
            Self::Lost(why) => write!(f, "was lost: {why}"),
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
            Self::Agent { how } => write!(f, "lost its agent, which {how}"),
            Self::Failed { why } => write!(f, "failed: {why}"),
            Self::Staging { why } => write!(f, "ended well, but its output could not be staged: {why}"),
            Self::NeverRegistered { seconds } => write!(f, "did not register within {seconds} s"),
            Self::Silent { seconds } => write!(f, "was not heard of for {seconds} s"),
            Self::JobEnds => write!(f, "was ended with the job"),
        }
    }
}
