//! Bytes gathered over pieces: headers, blocks. And decoded bytes that wait for room.

use core::ops::ControlFlow;

/// Gathers a number of bytes. Memory grows with what has come, not with what was announced.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    bytes: Vec<u8>,
}

impl Gather {
    /// Takes what is missing to `len` bytes, and says how much that was.
    pub(crate) fn take(&mut self, len: usize, input: &[u8]) -> usize {
        let n = len.saturating_sub(self.bytes.len()).min(input.len());
        self.bytes.extend_from_slice(&input[..n]);
        n
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The number that four gathered bytes are, the highest first.
    pub(crate) fn be32(&self) -> u32 {
        self.bytes.iter().take(4).fold(0, |number, &byte| number << 8 | u32::from(byte))
    }

    /// The number that the gathered bytes from `at` are, the lowest first.
    pub(crate) fn le32(&self, at: usize) -> u32 {
        self.bytes.iter().skip(at).take(4).rev().fold(0, |number, &byte| number << 8 | u32::from(byte))
    }
}

/// A decoded block on its way out.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) bytes: Vec<u8>,
    given: usize,
}

impl Block {
    /// Hands over what fits into `out`'s capacity; whether that was anything.
    pub(crate) fn give(&mut self, out: &mut Vec<u8>) -> bool {
        let n = (self.bytes.len() - self.given).min(out.capacity() - out.len());
        out.extend_from_slice(&self.bytes[self.given..self.given + n]);
        self.given += n;
        if self.given == self.bytes.len() {
            self.bytes.clear();
            self.given = 0;
        }
        n > 0
    }

    /// A decoder's step before it looks at its input: what waits is handed over, and where there is neither that nor input,
    /// nothing can be done. It goes on where there is input to look at.
    pub(crate) fn comes_first(&mut self, input: &[u8], out: &mut Vec<u8>) -> ControlFlow<Option<usize>> {
        if !self.bytes.is_empty() {
            self.give(out);
            return ControlFlow::Break(Some(0));
        }
        if input.is_empty() { ControlFlow::Break(None) } else { ControlFlow::Continue(()) }
    }
}
