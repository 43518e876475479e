//! Finds reports in a stream of text of any size: text without one costs a search, lines too long to hold one are
//! passed over, and no more than a line is kept.

use memchr::memmem::Finder;
use memchr::{memchr2, memrchr2};

use crate::report::{self, Report, ReportError};

/// Which text is scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Standard error: reports among other text.
    Stderr,
    /// The channel for acknowledgements, where every line should be one.
    Ack,
}

/// Takes chunks as they come and hands out the reports in them, in order.
///
/// A line ends with `\n` or, because progress bars do, with `\r`.
#[derive(Debug)]
pub struct ReportScanner {
    channel: Channel,
    finder: Finder<'static>,
    /// A line that has not ended yet, at most [`Self::MAX_LINE`] bytes.
    open: Vec<u8>,
    /// The open line is too long, and its rest is passed over.
    passing: bool,
}

/// Where reports go.
type Each<'a> = &'a mut dyn FnMut(Result<Report, ReportError>);

impl ReportScanner {
    /// Longer lines, in bytes, are no reports.
    pub const MAX_LINE: usize = 64 << 10;

    /// A scanner at the beginning of a text.
    pub fn new(channel: Channel) -> Self {
        Self { channel, finder: Finder::new(b"report"), open: Vec::new(), passing: false }
    }

    /// Takes a chunk; calls `each` for every report of a line that ends in it.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(Result<Report, ReportError>)) {
        let mut rest = chunk;
        if self.passing || !self.open.is_empty() {
            let Some(end) = memchr2(b'\n', b'\r', rest) else { return self.keep(rest) };
            self.keep(&rest[..end]);
            self.end_line(&mut each);
            rest = &rest[end + 1..];
        }
        let whole = memrchr2(b'\n', b'\r', rest).map_or(0, |last| last + 1);
        self.lines(&rest[..whole], &mut each);
        self.keep(&rest[whole..]);
    }

    /// Takes the end of the text, which also ends its last line: what a worker wrote before it died counts, and the
    /// head of a number is not above it.
    pub fn finish(&mut self, mut each: impl FnMut(Result<Report, ReportError>)) {
        self.end_line(&mut each);
    }

    /// Whole lines.
    fn lines(&self, mut lines: &[u8], each: Each<'_>) {
        loop {
            let hit = match self.channel {
                Channel::Stderr => self.finder.find(lines),
                Channel::Ack => (!lines.is_empty()).then_some(0),
            };
            let Some(hit) = hit else { return };
            let begin = memrchr2(b'\n', b'\r', &lines[..hit]).map_or(0, |last| last + 1);
            let end = memchr2(b'\n', b'\r', &lines[hit..]).map_or(lines.len(), |end| hit + end);
            self.line(&lines[begin..end], each);
            lines = lines.get(end + 1..).unwrap_or_default();
        }
    }

    fn line(&self, line: &[u8], each: Each<'_>) {
        if line.len() > Self::MAX_LINE {
            return;
        }
        let report = match self.channel {
            Channel::Stderr => report::parse_report_line(line),
            Channel::Ack => report::parse_ack_line(line).map(|ack| ack.map(Report::Ack)),
        };
        if let Some(report) = report {
            each(report);
        }
    }

    /// Adds to the open line.
    fn keep(&mut self, part: &[u8]) {
        if self.passing || self.open.len() + part.len() > Self::MAX_LINE {
            self.passing = true;
            self.open.clear();
        } else {
            self.open.extend_from_slice(part);
        }
    }

    fn end_line(&mut self, each: Each<'_>) {
        let mut open = std::mem::take(&mut self.open);
        if !self.passing {
            self.line(&open, each);
        }
        self.passing = false;
        // Its memory is used again.
        open.clear();
        self.open = open;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ack;

    fn scan(channel: Channel, chunks: &[&[u8]]) -> Vec<Result<Report, ReportError>> {
        let (mut scanner, mut found) = (ReportScanner::new(channel), Vec::new());
        for chunk in chunks {
            scanner.push(chunk, |report| found.push(report));
            assert!(scanner.open.len() <= ReportScanner::MAX_LINE);
        }
        scanner.finish(|report| found.push(report));
        found
    }

    #[test]
    fn reports_across_chunks() {
        let progress = |x| Ok(Report::Progress(x));
        let chunks: &[&[u8]] = &[
            b"x\nrepor",
            b"ter prog",
            b"ress:0.5\nreporter progress:0.6\r\nnoise\nreporter p",
            b"rogress:0.75",
        ];
        assert_eq!(scan(Channel::Stderr, chunks), [progress(0.5), progress(0.6), progress(0.75)]);
        assert_eq!(scan(Channel::Stderr, &[]), []);
        let words = b"the reporter progress is good\nreporter progress:0.5\n";
        assert_eq!(scan(Channel::Stderr, &[words]), [progress(0.5)], "a line is read from its beginning");
    }

    #[test]
    fn long_lines_are_passed_over_and_what_follows_is_found() {
        let long = vec![b'x'; ReportScanner::MAX_LINE + 1];
        let report = b"reporter progress:1\n";
        let found = [Ok(Report::Progress(1.0))];
        assert_eq!(
            scan(Channel::Stderr, &[&long, report, report]),
            found,
            "of a long line, its end is no report"
        );
        assert_eq!(scan(Channel::Stderr, &[&[&long[..], b"\n", report].concat()]), found);
        assert_eq!(scan(Channel::Stderr, &[&[&long[..], report, report].concat()]), found);
        let bar = b"\r 45%".repeat(20_000);
        assert_eq!(scan(Channel::Stderr, &[&bar, report]), found, "a bar is no long line");
    }

    #[test]
    fn every_line_of_the_ack_channel_counts() {
        let found = scan(Channel::Ack, &[b"ack:records=1\n\nwhat\nack:re", b"cords=23"]);
        let ack = |n| Ok(Report::Ack(Ack::Records(n)));
        assert_eq!(found, [ack(1), Err(ReportError::Ack("what".into())), ack(23)]);
    }
}
