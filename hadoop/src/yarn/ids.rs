//! Names of applications, attempts and containers, as Hadoop writes and reads them.

use std::fmt;
use std::str::FromStr;

use super::proto::common::{ApplicationAttemptIdProto, ApplicationIdProto, ContainerIdProto};

/// A container's sequence number has 40 bits; above them stands how often the ResourceManager had been started.
const SEQUENCE_BITS: u32 = 40;

/// A text that is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {kind}, which looks like {like}")]
pub struct IdError {
    /// The text.
    pub text: String,
    /// What it should be.
    pub kind: &'static str,
    /// An example.
    pub like: &'static str,
}

/// An application: `application_1700000000000_0001`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApplicationId {
    cluster_timestamp: i64,
    id: i32,
}

impl ApplicationId {
    /// When the ResourceManager that gave the id was started, in milliseconds since 1970.
    pub fn cluster_timestamp(self) -> u64 {
        self.cluster_timestamp.unsigned_abs()
    }

    /// Its number since then.
    pub fn number(self) -> u32 {
        self.id.unsigned_abs()
    }

    /// An attempt of it; the first has number 1.
    pub fn attempt(self, number: u16) -> ApplicationAttemptId {
        ApplicationAttemptId { application: self, attempt: number.into() }
    }

    pub(super) fn from_wire(proto: Option<ApplicationIdProto>) -> Option<Self> {
        let proto = proto?;
        let (cluster_timestamp, id) = (proto.cluster_timestamp?, proto.id?);
        (cluster_timestamp >= 0 && id >= 0).then_some(Self { cluster_timestamp, id })
    }

    pub(super) fn to_wire(self) -> ApplicationIdProto {
        ApplicationIdProto { id: Some(self.id), cluster_timestamp: Some(self.cluster_timestamp) }
    }
}

impl fmt::Display for ApplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "application_{}_{:04}", self.cluster_timestamp, self.id)
    }
}

impl FromStr for ApplicationId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let parts = text.strip_prefix("application_").map(|rest| rest.split('_').collect::<Vec<_>>());
        match parts.as_deref() {
            Some([timestamp, id]) => application(timestamp, id),
            _ => None,
        }
        .ok_or_else(|| IdError {
            text: text.to_owned(),
            kind: "application id",
            like: "application_1700000000000_0001",
        })
    }
}

/// An attempt of an application: `appattempt_1700000000000_0001_000001`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApplicationAttemptId {
    application: ApplicationId,
    attempt: i32,
}

impl ApplicationAttemptId {
    /// Its application.
    pub fn application(self) -> ApplicationId {
        self.application
    }

    /// Its number, from 1.
    pub fn number(self) -> u32 {
        self.attempt.unsigned_abs()
    }

    pub(super) fn from_wire(proto: Option<ApplicationAttemptIdProto>) -> Option<Self> {
        let proto = proto?;
        let application = ApplicationId::from_wire(proto.application_id)?;
        let attempt = proto.attempt_id.filter(|attempt| *attempt >= 0)?;
        Some(Self { application, attempt })
    }

    pub(super) fn to_wire(self) -> ApplicationAttemptIdProto {
        ApplicationAttemptIdProto {
            application_id: Some(self.application.to_wire()),
            attempt_id: Some(self.attempt),
        }
    }
}

impl fmt::Display for ApplicationAttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ApplicationId { cluster_timestamp, id } = self.application;
        write!(f, "appattempt_{cluster_timestamp}_{id:04}_{:06}", self.attempt)
    }
}

impl FromStr for ApplicationAttemptId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let parts = text.strip_prefix("appattempt_").map(|rest| rest.split('_').collect::<Vec<_>>());
        match parts.as_deref() {
            Some([timestamp, id, number]) => attempt(timestamp, id, number),
            _ => None,
        }
        .ok_or_else(|| IdError {
            text: text.to_owned(),
            kind: "application attempt id",
            like: "appattempt_1700000000000_0001_000001",
        })
    }
}

/// A container: `container_1700000000000_0001_01_000001`, or `container_e17_…` of a ResourceManager that has been
/// restarted 17 times with its state kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId {
    attempt: ApplicationAttemptId,
    id: i64,
}

impl ContainerId {
    /// The attempt that it was given to.
    pub fn attempt(self) -> ApplicationAttemptId {
        self.attempt
    }

    /// Its application.
    pub fn application(self) -> ApplicationId {
        self.attempt.application
    }

    /// How often the ResourceManager had been restarted, its state kept, when it gave the container.
    pub fn epoch(self) -> u32 {
        // 23 bits are left above the sequence of a number that is not negative.
        u32::try_from(self.id >> SEQUENCE_BITS).unwrap_or(u32::MAX)
    }

    /// Its number among the attempt's containers; the application master's own is usually 1.
    pub fn sequence(self) -> u64 {
        self.id.unsigned_abs() & ((1 << SEQUENCE_BITS) - 1)
    }

    pub(super) fn from_wire(proto: Option<ContainerIdProto>) -> Option<Self> {
        let proto = proto?;
        let attempt = ApplicationAttemptId::from_wire(proto.app_attempt_id)?;
        let id = proto.id.filter(|id| *id >= 0)?;
        Some(Self { attempt, id })
    }

    pub(super) fn to_wire(self) -> ContainerIdProto {
        ContainerIdProto { app_attempt_id: Some(self.attempt.to_wire()), id: Some(self.id) }
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ApplicationId { cluster_timestamp, id } = self.attempt.application;
        f.write_str("container_")?;
        if self.epoch() > 0 {
            write!(f, "e{:02}_", self.epoch())?;
        }
        write!(f, "{cluster_timestamp}_{id:04}_{:02}_{:06}", self.attempt.attempt, self.sequence())
    }
}

impl FromStr for ContainerId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        container(text).ok_or_else(|| IdError {
            text: text.to_owned(),
            kind: "container id",
            like: "container_1700000000000_0001_01_000001",
        })
    }
}

fn application(timestamp: &str, id: &str) -> Option<ApplicationId> {
    Some(ApplicationId { cluster_timestamp: number(timestamp)?, id: number(id)?.try_into().ok()? })
}

fn attempt(timestamp: &str, id: &str, attempt: &str) -> Option<ApplicationAttemptId> {
    let application = application(timestamp, id)?;
    Some(ApplicationAttemptId { application, attempt: number(attempt)?.try_into().ok()? })
}

fn container(text: &str) -> Option<ContainerId> {
    let rest = text.strip_prefix("container_")?;
    let (epoch, rest) = match rest.strip_prefix('e') {
        Some(rest) => {
            let (epoch, rest) = rest.split_once('_')?;
            (number(epoch)?, rest)
        }
        None => (0, rest),
    };
    let [timestamp, id, number_of_attempt, sequence] = rest.split('_').collect::<Vec<_>>().try_into().ok()?;
    let sequence = number(sequence)?;
    if epoch >> (i64::BITS - 1 - SEQUENCE_BITS) != 0 || sequence >> SEQUENCE_BITS != 0 {
        return None;
    }
    let attempt = attempt(timestamp, id, number_of_attempt)?;
    Some(ContainerId { attempt, id: epoch << SEQUENCE_BITS | sequence })
}

/// Digits alone: no sign, nothing else that `parse` would take.
fn number(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_as_hadoop_writes_them() {
        let application: ApplicationId = "application_1700000000000_0007".parse().unwrap();
        assert_eq!((application.cluster_timestamp(), application.number()), (1_700_000_000_000, 7));
        assert_eq!(application.attempt(2).to_string(), "appattempt_1700000000000_0007_000002");
        let plain: ContainerId = "container_1700000000000_0007_02_000003".parse().unwrap();
        assert_eq!((plain.attempt(), plain.epoch(), plain.sequence()), (application.attempt(2), 0, 3));
        let later: ContainerId = "container_e17_1410901177871_12345_01_1000000".parse().unwrap();
        assert_eq!((later.epoch(), later.sequence(), later.application().number()), (17, 1_000_000, 12_345));
        assert_eq!(later.to_wire().id, Some((17 << 40) + 1_000_000));
        assert_eq!(later.to_string(), "container_e17_1410901177871_12345_01_1000000");
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in [
            "",
            "application_",
            "application_1",
            "application_1_",
            "application_1_2_3",
            "application_-1_2",
            "application_+1_2",
            "application_1_99999999999",
            "application_99999999999999999999_1",
            "job_1_2",
            " application_1_2",
        ] {
            let error = text.parse::<ApplicationId>().unwrap_err().to_string();
            assert!(error.contains("application_1700000000000_0001"), "{error}");
        }
        for text in [
            "container_1_2_3",
            "container_e_1_2_3_4",
            "container_e8388608_1_2_3_4",
            "container_1_2_3_1099511627776",
            "container_e1_2_3_4",
        ] {
            assert!(text.parse::<ContainerId>().is_err(), "{text}");
        }
        assert!("appattempt_1_2".parse::<ApplicationAttemptId>().is_err());
    }

    proptest! {
        #[test]
        fn ids_come_back(timestamp in 0..=i64::MAX, id in 0..=i32::MAX, attempt in 0..=i32::MAX, container in 0..=i64::MAX, shift in 0..63) {
            let application = ApplicationId { cluster_timestamp: timestamp, id };
            prop_assert_eq!(application.to_string().parse(), Ok(application));
            let attempt = ApplicationAttemptId { application, attempt };
            prop_assert_eq!(attempt.to_string().parse(), Ok(attempt));
            let container = ContainerId { attempt, id: container >> shift };
            prop_assert_eq!(container.to_string().parse(), Ok(container));
            prop_assert_eq!(ContainerId::from_wire(Some(container.to_wire())), Some(container));
        }

        #[test]
        fn no_text_makes_it_panic(text in "(container|application|appattempt)?(_e?[-0-9a-zé_]{0,30}){0,6}") {
            let _ = text.parse::<ApplicationId>();
            let _ = text.parse::<ApplicationAttemptId>();
            let _ = text.parse::<ContainerId>();
        }
    }
}
