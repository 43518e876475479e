//! What to do after an attempt has failed. Pure: no clock, no sockets.

use std::time::Duration;

use super::connection::Lost;
use super::error::Failure;
use super::frame::FrameError;
use super::remote::RemoteError;

/// What an attempt's failure means for the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The server has answered: no.
    Answer,
    /// The same server, after a pause.
    Again,
    /// Another server if there is one.
    Other,
    /// This server will not do, however often it is asked.
    Hopeless,
}

/// Judges a failure.
pub(super) fn judge(failure: &Failure) -> Verdict {
    match failure {
        Failure::Remote(error) => of_exception(error).unwrap_or(Verdict::Answer),
        Failure::Lost(Lost::Refused(error)) => of_exception(error).unwrap_or(Verdict::Hopeless),
        Failure::Lost(Lost::Frame(FrameError::Http | FrameError::Version))
        | Failure::Login(_)
        | Failure::Response(_) => Verdict::Hopeless,
        Failure::Lost(_)
        | Failure::Resolve(_)
        | Failure::Connect(_)
        | Failure::ConnectTimeout(_)
        | Failure::Timeout(_) => Verdict::Other,
    }
}

/// Exceptions that say that another server, or the same one later, would do.
fn of_exception(error: &RemoteError) -> Option<Verdict> {
    if error.is_standby() {
        Some(Verdict::Other)
    } else if error.is_retriable() || error.is_safe_mode() {
        Some(Verdict::Again)
    } else {
        None
    }
}

/// The pause before the next round: doubled each time, up to the longest, and spread from half to one and a half so that
/// many clients do not come back together (`RetryPolicies.calculateExponentialTime`). `random` is from 0 to 255.
pub(super) fn pause(round: u32, first: Duration, longest: Duration, random: u8) -> Duration {
    let doubled = first.saturating_mul(1_u32.checked_shl(round).unwrap_or(u32::MAX)).min(longest);
    doubled / 2 + doubled.saturating_mul(u32::from(random)) / 255
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sasl::SaslError;

    fn remote(class: &str) -> RemoteError {
        RemoteError::from_wire(Some(class.into()), Some("m".into()), Some(1))
    }

    #[test]
    fn verdicts() {
        for (class, answered, refused) in [
            ("org.apache.hadoop.ipc.StandbyException", Verdict::Other, Verdict::Other),
            ("org.apache.hadoop.ipc.RetriableException", Verdict::Again, Verdict::Again),
            ("org.apache.hadoop.hdfs.server.namenode.SafeModeException", Verdict::Again, Verdict::Again),
            ("java.io.FileNotFoundException", Verdict::Answer, Verdict::Hopeless),
        ] {
            assert_eq!(judge(&Failure::Remote(remote(class))), answered, "{class}");
            assert_eq!(judge(&Failure::Lost(Lost::Refused(remote(class)))), refused, "{class}");
        }
        assert_eq!(judge(&Failure::Lost(Lost::Closed)), Verdict::Other);
        assert_eq!(judge(&Failure::Lost(FrameError::Http.into())), Verdict::Hopeless);
        assert_eq!(judge(&Failure::Login(SaslError::ServerNotProven)), Verdict::Hopeless);
    }

    #[test]
    fn pauses_double_and_end() {
        let ms = Duration::from_millis;
        let at = |round, random| pause(round, ms(500), ms(15_000), random);
        assert_eq!(at(0, 0), ms(250));
        assert_eq!(at(0, 255), ms(750));
        assert_eq!(at(2, 0), ms(1000));
        assert_eq!(at(40, 255), ms(22_500));
        assert_eq!(at(u32::MAX, 0), ms(7_500));
        assert_eq!(pause(3, Duration::ZERO, ms(1), 9), Duration::ZERO);
    }
}
