//! `--line-ending lf`: every terminator becomes one `\n`.

use memchr::memchr;

use crate::Terminator;

/// Rewrites record terminators to `\n` in a stream that arrives in pieces.
///
/// Keeps a `\r` or the beginning of a delimiter back until the next piece tells what it is; call
/// [`LfRewriter::finish`] at the end of every delivered range.
#[derive(Debug)]
pub struct LfRewriter {
    terminator: Terminator,
    /// Bytes that may be the beginning of a terminator.
    held: Vec<u8>,
}

impl LfRewriter {
    /// A rewriter for one kind of terminator.
    pub fn new(terminator: Terminator) -> Self {
        Self { terminator, held: Vec::new() }
    }

    /// Rewrites `input`, appending to `out`.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        match &self.terminator {
            Terminator::Any => Self::push_any(&mut self.held, input, out),
            Terminator::Delimiter(delimiter) => {
                let joined;
                let mut rest = input;
                if !self.held.is_empty() {
                    self.held.extend_from_slice(input);
                    joined = std::mem::take(&mut self.held);
                    rest = &joined;
                }
                while let Some(i) = delimiter.find(rest) {
                    out.extend_from_slice(&rest[..i]);
                    out.push(b'\n');
                    rest = &rest[i + delimiter.len()..];
                }
                let longest = rest.len().min(delimiter.len() - 1);
                let open =
                    (1..=longest).rev().find(|&n| rest.ends_with(&delimiter.bytes()[..n])).unwrap_or(0);
                out.extend_from_slice(&rest[..rest.len() - open]);
                self.held = rest[rest.len() - open..].to_vec();
            }
        }
    }

    fn push_any(held: &mut Vec<u8>, input: &[u8], out: &mut Vec<u8>) {
        let mut rest = input;
        if !held.is_empty() && !rest.is_empty() {
            held.clear();
            out.push(b'\n');
            if rest[0] == b'\n' {
                rest = &rest[1..];
            }
        }
        while let Some(i) = memchr(b'\r', rest) {
            out.extend_from_slice(&rest[..i]);
            rest = &rest[i + 1..];
            match rest.first() {
                None => held.push(b'\r'),
                Some(b'\n') => {
                    out.push(b'\n');
                    rest = &rest[1..];
                }
                Some(_) => out.push(b'\n'),
            }
        }
        out.extend_from_slice(rest);
    }

    /// Ends a range: what is held back turns out to be a lone `\r`, or data.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match self.terminator {
            Terminator::Any if !self.held.is_empty() => out.push(b'\n'),
            _ => out.extend_from_slice(&self.held),
        }
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Delimiter;
    use proptest::prelude::*;

    fn rewrite(terminator: &Terminator, input: &[u8], cuts: &[usize]) -> Vec<u8> {
        let (mut rewriter, mut out, mut from) = (LfRewriter::new(terminator.clone()), Vec::new(), 0);
        for &cut in cuts.iter().filter(|&&c| c <= input.len()) {
            rewriter.push(&input[from..cut.max(from)], &mut out);
            from = cut.max(from);
        }
        rewriter.push(&input[from..], &mut out);
        rewriter.finish(&mut out);
        out
    }

    #[test]
    fn each_terminator_becomes_one_newline() {
        assert_eq!(rewrite(&Terminator::Any, b"a\rb\r\nc\n\r\r\n", &[]), b"a\nb\nc\n\n\n");
        let bars = Terminator::Delimiter(Delimiter::new(b"||").unwrap());
        assert_eq!(rewrite(&bars, b"a||b|c|||d|", &[2, 3]), b"a\nb|c\n|d|");
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(input in "[ab\r\n|]{0,40}", mut cuts in prop::collection::vec(0usize..40, 0..6)) {
            cuts.sort_unstable();
            for terminator in [Terminator::Any, Terminator::Delimiter(Delimiter::new(b"\n\n").unwrap())] {
                prop_assert_eq!(
                    rewrite(&terminator, input.as_bytes(), &cuts),
                    rewrite(&terminator, input.as_bytes(), &[])
                );
            }
        }
    }
}
