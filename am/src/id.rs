//! Ids of jobs: `job_YYYYMMDD_HHMMSS_xxxx`, in UTC, with four random digits.

use chrono::{DateTime, SecondsFormat, Utc};

/// A new id.
pub(crate) fn new() -> Result<String, getrandom::Error> {
    let mut random = [0; 2];
    getrandom::fill(&mut random)?;
    Ok(format!("job_{}_{:04x}", Utc::now().format("%Y%m%d_%H%M%S"), u16::from_be_bytes(random)))
}

/// Whether this has the form of an id: it may then be a name in a folder of jobs.
pub fn is_id(text: &str) -> bool {
    let parts: Vec<_> = text.split('_').collect();
    let digits = |text: &str, len: usize| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
    match parts[..] {
        ["job", day, time, random] => {
            let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            digits(day, 8) && digits(time, 6) && random.len() == 4 && random.bytes().all(hex)
        }
        _ => false,
    }
}

/// The time now, as in `2026-01-02T03:04:05.678Z`.
pub(crate) fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Seconds since a time in RFC 3339; `None` if it is none.
pub fn seconds_since(time: &str) -> Option<f64> {
    let time = DateTime::parse_from_rfc3339(time).ok()?;
    let passed = Utc::now().signed_duration_since(time);
    Some(passed.num_milliseconds() as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_its_form_and_nothing_else_has() {
        assert!(is_id(&new().unwrap()));
        for bad in [
            "",
            "job_",
            "../x",
            "job_20260102_030405_ABCD",
            "job_20260102_030405_abcde",
            "job_2026010_030405_abcd",
        ] {
            assert!(!is_id(bad), "{bad}");
        }
        assert!(seconds_since(&now()).is_some_and(|seconds| (0.0..60.0).contains(&seconds)));
    }
}
