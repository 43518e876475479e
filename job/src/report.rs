//! What a worker reports, a line of text each.
//!
//! On standard error, among anything else:
//!
//! - `reporter progress:0.42`: its own progress, from 0 to 1 (as in `XLearning`; `report:progress:0.42`, which its FAQ
//!   names, does too);
//! - `reporter:counter:GROUP,COUNTER,AMOUNT` and `reporter:status:TEXT`, as in Hadoop Streaming;
//! - `reporter ack:records=N` and `reporter ack:bytes=N`: so much is dealt with since the attempt's start.
//!
//! A report ends its line, and may stand behind other text, because a progress bar often leaves its line open. On the
//! channel for acknowledgements, lines are `ack:records=N` or `ack:bytes=N`.

use memchr::memmem;

/// What a worker says.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// From 0 to 1.
    Progress(f64),
    /// So much is to be added to a counter.
    Counter {
        /// The counter's group.
        group: String,
        /// The counter's name.
        counter: String,
        /// May be negative.
        amount: i64,
    },
    /// A word for people.
    Status(String),
    /// What it needs not be fed again.
    Ack(Ack),
}

/// How much of its input a worker has dealt with, counted from its attempt's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// Records.
    Records(u64),
    /// Bytes of what was delivered.
    Bytes(u64),
}

/// A line that looks like a report and cannot be read. The texts are cut to some 100 characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Progress.
    #[error(
        "progress log format error in '{0}': a number from 0 to 1 must follow, as 'reporter progress:0.42'"
    )]
    Progress(String),
    /// A counter.
    #[error(
        "counter format error in '{0}': 'reporter:counter:GROUP,COUNTER,AMOUNT' is understood, with a whole amount"
    )]
    Counter(String),
    /// An acknowledgement. The lines before it count.
    #[error("acknowledgement format error in '{0}': 'ack:records=N' or 'ack:bytes=N' is understood")]
    Ack(String),
    /// Something else behind `reporter:`.
    #[error("there is no such report: '{0}'; after 'reporter:' counter: and status: are understood")]
    Unknown(String),
}

/// Reads what follows a marker; the line from the marker on is for the error.
type Read = fn(rest: &[u8], line: &[u8]) -> Result<Report, ReportError>;

/// How reports begin.
const MARKERS: [(&[u8], Read); 5] = [
    (b"reporter progress", progress),
    (b"report:progress", progress),
    (b"reporter ack:", |rest, line| ack(rest, line).map(Report::Ack)),
    (b"reporter:counter:", counter),
    (b"reporter:status:", |rest, _| Ok(Report::Status(text(rest)))),
];

/// Reads a line of standard error, with or without its line end; `None` if it holds no report.
pub fn parse_report_line(line: &[u8]) -> Option<Result<Report, ReportError>> {
    let line = line.trim_ascii();
    // The last one, so that a line which lost its end does not hide the next.
    let last = MARKERS.iter().filter_map(|(marker, read)| {
        let at = memmem::rfind(line, marker)?;
        Some((at, marker.len(), read))
    });
    if let Some((at, len, read)) = last.max_by_key(|(at, _, _)| *at) {
        let rest = &line[at + len..];
        // Behind other text, words alone are no attempt at a report.
        let meant = at == 0 || line[..at + len].ends_with(b":") || rest.starts_with(b":");
        return meant.then(|| read(rest, &line[at..]));
    }
    let unknown = line.starts_with(b"reporter:");
    unknown.then(|| Err(ReportError::Unknown(cut(line))))
}

/// Reads a line of the channel for acknowledgements; `None` if it is empty.
pub fn parse_ack_line(line: &[u8]) -> Option<Result<Ack, ReportError>> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return None;
    }
    let report = line.strip_prefix(b"reporter ").unwrap_or(line);
    Some(match report.strip_prefix(b"ack:") {
        Some(rest) => ack(rest, line),
        None => Err(ReportError::Ack(cut(line))),
    })
}

fn progress(rest: &[u8], line: &[u8]) -> Result<Report, ReportError> {
    let number = rest.strip_prefix(b":").and_then(|number| str::from_utf8(number).ok());
    let number = number.and_then(|number| number.trim().parse::<f64>().ok());
    let progress = number.filter(|number| (0.0..=1.0).contains(number));
    progress.map(Report::Progress).ok_or_else(|| ReportError::Progress(cut(line)))
}

fn ack(rest: &[u8], line: &[u8]) -> Result<Ack, ReportError> {
    let read = || {
        let (unit, number) = str::from_utf8(rest).ok()?.split_once('=')?;
        let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        let number = if digits { number.parse().ok()? } else { return None };
        match unit {
            "records" => Some(Ack::Records(number)),
            "bytes" => Some(Ack::Bytes(number)),
            _ => None,
        }
    };
    read().ok_or_else(|| ReportError::Ack(cut(line)))
}

fn counter(rest: &[u8], line: &[u8]) -> Result<Report, ReportError> {
    let read = || {
        let columns: Vec<_> = rest.split(|&b| b == b',').collect();
        let [group, counter, amount] = columns[..] else { return None };
        let amount = str::from_utf8(amount).ok()?.trim().parse().ok()?;
        Some(Report::Counter { group: text(group), counter: text(counter), amount })
    };
    read().ok_or_else(|| ReportError::Counter(cut(line)))
}

/// What a terminal may show: it is not to be told by a worker what to do.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.trim_ascii());
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn cut(line: &[u8]) -> String {
    text(&line[..line.len().min(100)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Option<Result<Report, ReportError>> {
        parse_report_line(line.as_bytes())
    }

    #[test]
    fn what_is_understood() {
        for (line, report) in [
            ("reporter progress:0.42\n", Report::Progress(0.42)),
            ("reporter progress: 1 \r\n", Report::Progress(1.0)),
            ("report:progress:0", Report::Progress(0.0)),
            ("INFO train reporter progress:0.5", Report::Progress(0.5)),
            (" 45%|███   | 9/20 reporter ack:records=9", Report::Ack(Ack::Records(9))),
            ("reporter ack:bytes=18446744073709551615", Report::Ack(Ack::Bytes(u64::MAX))),
            ("reporter ack:records=1reporter ack:records=10", Report::Ack(Ack::Records(10))),
            ("reporter:status:loading é: 3, 4", Report::Status("loading é: 3, 4".into())),
            ("reporter:status:\u{1b}[2J\u{7}x\u{9b}", Report::Status("?[2J?x?".into())),
            (
                "reporter:counter:g 1,c,-2",
                Report::Counter { group: "g 1".into(), counter: "c".into(), amount: -2 },
            ),
        ] {
            assert_eq!(parsed(line), Some(Ok(report)), "{line}");
        }
    }

    #[test]
    fn what_is_nearly_a_report_is_told() {
        for line in [
            "reporter progress:x",
            "reporter progress:1.1",
            "reporter progress:-0.1",
            "reporter progress:NaN",
            "reporter progress:0.1:2",
            "reporter progress:",
            "reporter progress",
            "x report:progress:inf",
        ] {
            let error = parsed(line).unwrap().unwrap_err();
            assert!(error.to_string().starts_with("progress log format error"), "{line}: {error}");
        }
        for line in ["reporter:counter:a,b", "reporter:counter:a,b,c", "reporter:counter:a,b,1,2"] {
            assert!(matches!(parsed(line), Some(Err(ReportError::Counter(_)))), "{line}");
        }
        for line in [
            "reporter ack:records=",
            "reporter ack:records=-1",
            "reporter ack:records=+1",
            "reporter ack:rows=1",
            "reporter ack:records=18446744073709551616",
            "reporter ack:records=1 2",
            "reporter ack:",
        ] {
            assert!(matches!(parsed(line), Some(Err(ReportError::Ack(_)))), "{line}");
        }
        assert!(matches!(parsed("reporter:cuonter:a,b,1"), Some(Err(ReportError::Unknown(_)))));
    }

    #[test]
    fn other_text_is_none_of_it() {
        for line in [
            "",
            "\n",
            "a report",
            "the reporter progress is good",
            "x reporter:foo:1",
            "reporter ackfoo",
            "reporter",
        ] {
            assert_eq!(parsed(line), None, "{line}");
        }
        assert_eq!(parse_report_line(b"\xff\xfe"), None);
        assert!(matches!(parse_report_line(b"reporter:status:\xff"), Some(Ok(Report::Status(_)))));
    }

    #[test]
    fn lines_of_the_channel() {
        assert_eq!(parse_ack_line(b"ack:records=5\n"), Some(Ok(Ack::Records(5))));
        assert_eq!(parse_ack_line(b"reporter ack:bytes=0"), Some(Ok(Ack::Bytes(0))));
        assert_eq!(parse_ack_line(b" \n"), None);
        for bad in [&b"records=5"[..], b"ack:records=5x", b"ack:5", b"\xff", b"xack:records=1"] {
            assert!(matches!(parse_ack_line(bad), Some(Err(ReportError::Ack(_)))), "{bad:?}");
        }
    }
}
