//! What a file's last record lacks: the bytes to append so that it cannot join what is delivered next.

use std::ops::Range;

use crate::delimiter::LookBack;
use crate::{Delimiter, Terminator};

/// What an [`Ending`] needs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndingStep {
    /// Read exactly this range of the file and feed it.
    Read(Range<u64>),
    /// Append these bytes behind the file's last byte; empty when its last record is terminated.
    Append(Vec<u8>),
}

/// Looks at a file's end. Only for files with at least one byte to deliver.
#[derive(Debug)]
pub struct Ending<'t> {
    terminator: &'t Terminator,
    begin: u64,
    file_len: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    LookBack(LookBack),
    TailFrom(u64),
    Done(Vec<u8>),
}

impl<'t> Ending<'t> {
    /// Begins with a file that has `file_len` bytes of which the first record begins at `begin` (behind a BOM).
    pub fn new(terminator: &'t Terminator, begin: u64, file_len: u64) -> Self {
        let tail = |n: usize| file_len.saturating_sub(n as u64).max(begin);
        let state = match terminator {
            _ if begin >= file_len => State::Done(Vec::new()),
            Terminator::Any => State::TailFrom(tail(1)),
            // What is still open at the end is shorter than the delimiter.
            Terminator::Delimiter(d) if d.overlaps_itself() => {
                State::LookBack(LookBack::new(tail(d.len() - 1), 0))
            }
            Terminator::Delimiter(d) => State::TailFrom(tail(d.len())),
        };
        Self { terminator, begin, file_len, state }
    }

    /// What it needs now.
    pub fn step(&self) -> EndingStep {
        match (&self.state, self.terminator) {
            (State::Done(append), _) => EndingStep::Append(append.clone()),
            (State::LookBack(back), Terminator::Delimiter(d)) => {
                EndingStep::Read(back.wants(d, self.file_len))
            }
            (State::TailFrom(from), _) => EndingStep::Read(*from..self.file_len),
            (State::LookBack(_), Terminator::Any) => unreachable!("looking back is for delimiters"),
        }
    }

    /// Takes the bytes asked for, and gives the next step.
    pub fn feed(&mut self, bytes: &[u8]) -> EndingStep {
        if let EndingStep::Read(range) = self.step() {
            match (&mut self.state, self.terminator) {
                (State::LookBack(back), Terminator::Delimiter(d)) => {
                    if let Some(safe) = back.feed(d, range.start, bytes) {
                        self.state = State::TailFrom(safe.max(self.begin));
                    }
                }
                (_, Terminator::Any) => {
                    let open = !matches!(bytes.last(), Some(b'\n' | b'\r'));
                    self.state = State::Done(if open { b"\n".to_vec() } else { Vec::new() });
                }
                (_, Terminator::Delimiter(d)) => self.state = State::Done(missing(d, bytes)),
            }
        }
        self.step()
    }
}

/// What ends `tail`, the bytes from an offset that no occurrence straddles to the file's end.
///
/// The whole delimiter, unless the record's own last bytes and the delimiter together would read as an earlier
/// occurrence (`"x\n"` ended by `"\n\n"`); then only what completes that occurrence.
pub(crate) fn missing(delimiter: &Delimiter, tail: &[u8]) -> Vec<u8> {
    let mut open = tail;
    while let Some(i) = delimiter.find(open) {
        open = &open[i + delimiter.len()..];
        if open.is_empty() {
            return Vec::new();
        }
    }
    let open = &open[open.len().saturating_sub(delimiter.len() - 1)..];
    let d = delimiter.bytes();
    (0..d.len())
        .map(|known| &d[known..])
        .find(|append| {
            let whole = [open, append].concat();
            delimiter.find(&whole) == Some(whole.len().wrapping_sub(d.len()))
        })
        .unwrap_or(d)
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delimiter::index;

    fn append(delimiter: &[u8], file: &[u8]) -> Vec<u8> {
        let terminator = Terminator::Delimiter(Delimiter::new(delimiter).unwrap());
        let mut ending = Ending::new(&terminator, 0, file.len() as u64);
        loop {
            match ending.step() {
                EndingStep::Read(r) => ending.feed(&file[index(r.start)..index(r.end)]),
                EndingStep::Append(bytes) => return bytes,
            };
        }
    }

    #[test]
    fn lines_get_a_newline_only_when_open() {
        for (file, wanted) in
            [(&b"a"[..], &b"\n"[..]), (b"a\n", b""), (b"a\r", b""), (b"a\r\n", b""), (b"\n", b"")]
        {
            let mut ending = Ending::new(&Terminator::Any, 0, file.len() as u64);
            assert_eq!(ending.feed(&file[file.len() - 1..]), EndingStep::Append(wanted.to_vec()));
        }
        assert_eq!(Ending::new(&Terminator::Any, 3, 3).step(), EndingStep::Append(Vec::new()));
    }

    #[test]
    fn a_plain_delimiter_is_appended_whole() {
        assert_eq!(append(b"ab", b"xab"), b"");
        assert_eq!(append(b"ab", b"xa"), b"ab");
        assert_eq!(append(b"ab", b"x"), b"ab");
        assert_eq!(append(b"ab", b"b"), b"ab");
    }

    #[test]
    fn an_open_occurrence_is_completed() {
        assert_eq!(append(b"\n\n", b"a\n"), b"\n");
        assert_eq!(append(b"\n\n", b"a\n\n"), b"");
        assert_eq!(append(b"\n\n", b"a\n\n\n"), b"\n");
        assert_eq!(append(b"\n\n", &[b'\n'; 9001]), b"\n");
        assert_eq!(append(b"\n\n", &[b'\n'; 9000]), b"");
        assert_eq!(append(b"aba", b"xab"), b"a", "xab + aba would be cut too early");
        assert_eq!(append(b"aba", b"xaba"), b"");
        assert_eq!(append(b"aba", b"xa"), b"aba", "xa + aba is cut at its end only");
    }
}
