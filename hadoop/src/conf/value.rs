//! Values of a kind: flags, numbers, times, sizes. A value that is none is an error that names key, value and file.

use std::time::Duration;

use super::{ConfError, Configuration};

const TIME_UNITS: [(&str, u64); 7] = [
    // `ns`, `us` and `ms` before `s`, which also ends them.
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// The unit of a time that has none of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
}

impl Configuration {
    /// `true` or `false`. Hadoop takes anything else for the default; here it is an error.
    pub fn flag(&self, key: &str) -> Result<bool, ConfError> {
        let Some(text) = self.trimmed(key)? else { return Ok(false) };
        match text.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.unlike(key, text, "true or false")),
        }
    }

    /// A whole number, decimal or `0x…` (`Configuration.getLong`).
    pub fn integer(&self, key: &str) -> Result<Option<i64>, ConfError> {
        let Some(text) = self.trimmed(key)? else { return Ok(None) };
        let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
        let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
        let parsed = match hex {
            Some(hex) => i64::from_str_radix(&format!("{sign}{hex}"), 16),
            None => text.parse(),
        };
        parsed.map(Some).map_err(|_| self.unlike(key, text, "a whole number"))
    }

    /// A whole number that is not negative.
    pub fn count(&self, key: &str) -> Result<Option<u64>, ConfError> {
        self.integer(key)?
            .map(|n| u64::try_from(n).map_err(|_| self.unlike(key, n.to_string(), "a number from 0 up")))
            .transpose()
    }

    /// A time such as `10s`, `500ms` or a bare number in `unit` (`Configuration.getTimeDuration`).
    pub fn duration(&self, key: &str, unit: Unit) -> Result<Option<Duration>, ConfError> {
        let Some(text) = self.trimmed(key)? else { return Ok(None) };
        let lower = text.to_ascii_lowercase();
        let named = TIME_UNITS.iter().find_map(|(suffix, ns)| Some((lower.strip_suffix(suffix)?, *ns)));
        let bare = if unit == Unit::Seconds { 1_000_000_000 } else { 1_000_000 };
        let (number, nanoseconds) = named.unwrap_or((&lower, bare));
        let time = number.trim().parse::<u64>().ok().and_then(|n| n.checked_mul(nanoseconds));
        let wanted = "a time such as 10s or 500ms";
        time.map(|n| Some(Duration::from_nanos(n))).ok_or_else(|| self.unlike(key, text, wanted))
    }

    /// A number of bytes, with `k`, `m`, `g`, `t`, `p` or `e` for powers of 1024 (`Configuration.getLongBytes`).
    pub fn bytes(&self, key: &str) -> Result<Option<u64>, ConfError> {
        let Some(text) = self.trimmed(key)? else { return Ok(None) };
        let power = text.chars().last().and_then(|c| "kmgtpe".find(c.to_ascii_lowercase()));
        let size = match power {
            Some(i) => text[..text.len() - 1]
                .trim()
                .parse::<u64>()
                .ok()
                .and_then(|n| n.checked_mul(1 << (10 * (i + 1)))),
            None => text.parse().ok(),
        };
        size.map(Some).ok_or_else(|| self.unlike(key, text, "a number of bytes such as 64m"))
    }

    pub(super) fn unlike(&self, key: &str, value: impl Into<String>, wanted: &'static str) -> ConfError {
        ConfError::Value { key: key.to_owned(), value: value.into(), origin: self.origin(key), wanted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(value: &str) -> Configuration {
        let mut conf = Configuration::empty();
        conf.set("k", value);
        conf
    }

    #[test]
    fn flags() {
        assert!(with(" TRUE ").flag("k").unwrap());
        assert!(!with("false").flag("k").unwrap());
        assert!(!with("").flag("k").unwrap());
        let error = with("yes").flag("k").unwrap_err().to_string();
        assert_eq!(error, "k is \"yes\" (from the program), which is not true or false");
    }

    #[test]
    fn numbers() {
        assert_eq!(with(" 12 ").integer("k").unwrap(), Some(12));
        assert_eq!(with("-0x10").integer("k").unwrap(), Some(-16));
        assert!(with("1.5").integer("k").is_err());
        assert!(with("-1").count("k").is_err());
        assert_eq!(with("").count("k").unwrap(), None);
    }

    #[test]
    fn times() {
        let ms = |text| with(text).duration("k", Unit::Milliseconds).ok().flatten().map(|d| d.as_millis());
        for (text, wanted) in [
            ("10s", 10_000),
            ("500ms", 500),
            ("7", 7),
            ("2 m", 120_000),
            ("1H", 3_600_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(ms(text), Some(wanted), "{text}");
        }
        for wrong in ["s", "-1s", "1w", "99999999999999999999d", "99999999999d"] {
            assert_eq!(ms(wrong), None, "{wrong}");
        }
        assert_eq!(with("3").duration("k", Unit::Seconds).unwrap(), Some(Duration::from_secs(3)));
    }

    #[test]
    fn sizes() {
        assert_eq!(with("64m").bytes("k").unwrap(), Some(64 << 20));
        assert_eq!(with("1E").bytes("k").unwrap(), Some(1 << 60));
        assert_eq!(with("512").bytes("k").unwrap(), Some(512));
        for wrong in ["m", "-1", "99e", "1kb", "é"] {
            assert!(with(wrong).bytes("k").is_err(), "{wrong}");
        }
    }
}
