//! How containers end.

use std::fmt;

/// A container's exit status: its process's own from 0 up, or one of YARN's (`ContainerExitStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContainerExitStatus(pub i32);

impl ContainerExitStatus {
    /// It ended well.
    pub const SUCCESS: Self = Self(0);
    /// It has not ended, or could not be started, for example because a file was not to be had.
    pub const INVALID: Self = Self(-1000);
    /// Released or never started by the application master, or lost with its node.
    pub const ABORTED: Self = Self(-100);
    /// Too many of the node's disks have failed.
    pub const DISKS_FAILED: Self = Self(-101);
    /// Its room was wanted for others.
    pub const PREEMPTED: Self = Self(-102);
    /// It had more virtual memory than it may.
    pub const KILLED_EXCEEDED_VMEM: Self = Self(-103);
    /// It had more memory than it may.
    pub const KILLED_EXCEEDED_PMEM: Self = Self(-104);
    /// The application master stopped it.
    pub const KILLED_BY_APPMASTER: Self = Self(-105);
    /// The ResourceManager stopped it.
    pub const KILLED_BY_RESOURCEMANAGER: Self = Self(-106);
    /// Its application was over.
    pub const KILLED_AFTER_APP_COMPLETION: Self = Self(-107);
    /// The node made room for guaranteed containers.
    pub const KILLED_BY_CONTAINER_SCHEDULER: Self = Self(-108);
    /// It wrote too much to its logs.
    pub const KILLED_FOR_EXCESS_LOGS: Self = Self(-109);

    /// Hadoop's name of a status that YARN itself gives.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::INVALID => "INVALID",
            Self::ABORTED => "ABORTED",
            Self::DISKS_FAILED => "DISKS_FAILED",
            Self::PREEMPTED => "PREEMPTED",
            Self::KILLED_EXCEEDED_VMEM => "KILLED_EXCEEDED_VMEM",
            Self::KILLED_EXCEEDED_PMEM => "KILLED_EXCEEDED_PMEM",
            Self::KILLED_BY_APPMASTER => "KILLED_BY_APPMASTER",
            Self::KILLED_BY_RESOURCEMANAGER => "KILLED_BY_RESOURCEMANAGER",
            Self::KILLED_AFTER_APP_COMPLETION => "KILLED_AFTER_APP_COMPLETION",
            Self::KILLED_BY_CONTAINER_SCHEDULER => "KILLED_BY_CONTAINER_SCHEDULER",
            Self::KILLED_FOR_EXCESS_LOGS => "KILLED_FOR_EXCESS_LOGS",
            _ => return None,
        })
    }

    /// The signal that ended the process, as a shell says it: 128 + the signal's number.
    pub fn signal(self) -> Option<i32> {
        (129..=192).contains(&self.0).then(|| self.0 - 128)
    }
}

impl fmt::Display for ContainerExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} ({name})", self.0),
            None => self.0.fmt(f),
        }
    }
}
