//! A key or a value on its way out: from what its Writable has written to its natural bytes, behind their length where that is
//! asked for.

use forebay_record::{Framing, vint, vint_len};

use crate::Reason;
use crate::gather::Gather;

/// What an unknown Writable's bytes may be at most, where they say their length only by their end.
const MOST_HELD: usize = if cfg!(fuzzing) { 1 << 20 } else { 64 << 20 };

/// Bytes of a field's length.
const LENGTH: usize = 4;

/// The Writables whose natural bytes are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Bytes,
    Int,
    Long,
    Null,
    /// Any other: its bytes are what it has written.
    Other,
}

impl Kind {
    pub(crate) fn of_class(class: &str) -> Self {
        match class.strip_prefix("org.apache.hadoop.io.") {
            Some("Text") => Self::Text,
            Some("BytesWritable") => Self::Bytes,
            Some("IntWritable") => Self::Int,
            Some("LongWritable") => Self::Long,
            Some("NullWritable") => Self::Null,
            _ => Self::Other,
        }
    }

    /// Whether its natural bytes are text.
    pub(crate) fn is_text(self) -> bool {
        !matches!(self, Self::Bytes | Self::Other)
    }
}

/// One field after the other, each fed in pieces.
#[derive(Debug)]
pub(crate) struct Field {
    kind: Kind,
    framing: Framing,
    /// Bytes that its Writable has written, where that is known.
    total: Option<u64>,
    /// What stands before the content: a length, or a number that is the content.
    head: Gather,
    /// What is left of the content; `None` before its length is known.
    left: Option<u64>,
    /// The content, behind room for its length, where that is known only at its end.
    held: Vec<u8>,
}

impl Field {
    pub(crate) fn new(kind: Kind, framing: Framing) -> Self {
        Self { kind, framing, total: None, head: Gather::default(), left: None, held: Vec::new() }
    }

    /// Begins the next one. What comes before its content goes to `ahead`, here as with the others.
    pub(crate) fn begin(&mut self, total: Option<u64>, ahead: &mut Vec<u8>) -> Result<(), Reason> {
        self.total = total;
        self.head.clear();
        self.held.clear();
        self.held.extend_from_slice(&[0; LENGTH]);
        self.left = match (self.kind, total) {
            (Kind::Null, _) => Some(0),
            (Kind::Other, Some(total)) => Some(total),
            _ => None,
        };
        self.left.map_or(Ok(()), |len| self.frame(len, ahead))
    }

    /// Takes some of its bytes, of which there are some, and passes them on to `out` as far as there is room. What was put into
    /// `ahead` goes first. Gives the number of bytes taken.
    pub(crate) fn take(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        ahead: &mut Vec<u8>,
    ) -> Result<usize, Reason> {
        match (self.left, self.kind) {
            (Some(0), _) => Err(Reason::damaged("more bytes than a Writable of its class has")),
            (Some(left), _) => {
                let room = out.capacity() - out.len();
                let n = usize::try_from(left).unwrap_or(usize::MAX).min(input.len()).min(room);
                out.extend_from_slice(&input[..n]);
                self.left = Some(left - n as u64);
                Ok(n)
            }
            (None, Kind::Text) => {
                let mut n = self.head.take(1, input);
                let len = self.head.bytes().first().map_or(1, |&first| vint_len(first));
                n += self.head.take(len, &input[n..]);
                if self.head.len() == len {
                    self.content(vint(self.head.bytes()), ahead)?;
                }
                Ok(n)
            }
            (None, Kind::Bytes) => {
                let n = self.head.take(4, input);
                if let Some(&len) = self.head.bytes().first_chunk() {
                    self.content(i32::from_be_bytes(len).into(), ahead)?;
                }
                Ok(n)
            }
            (None, Kind::Int) => {
                let n = self.head.take(4, input);
                if let Some(&number) = self.head.bytes().first_chunk() {
                    self.number(i32::from_be_bytes(number).into(), ahead)?;
                }
                Ok(n)
            }
            (None, Kind::Long) => {
                let n = self.head.take(8, input);
                if let Some(&number) = self.head.bytes().first_chunk() {
                    self.number(i64::from_be_bytes(number), ahead)?;
                }
                Ok(n)
            }
            (None, Kind::Null | Kind::Other) => {
                if self.held.len() + input.len() > MOST_HELD {
                    let len = (self.held.len() + input.len()) as u64;
                    let what = "a compressed value of a class that is not known";
                    return Err(Reason::TooLong { what, len, most: MOST_HELD as u64 });
                }
                self.held.extend_from_slice(input);
                Ok(input.len())
            }
        }
    }

    /// All of its bytes were taken. Called when `ahead` is empty.
    pub(crate) fn end(&mut self, ahead: &mut Vec<u8>) -> Result<(), Reason> {
        match (self.left, self.kind) {
            (Some(0), _) => Ok(()),
            (None, Kind::Other) => {
                let mut length = Vec::new();
                self.frame((self.held.len() - LENGTH) as u64, &mut length)?;
                self.held.splice(..LENGTH, length);
                // It may be long, and is not copied.
                std::mem::swap(ahead, &mut self.held);
                Ok(())
            }
            _ => Err(Reason::damaged("fewer bytes than a Writable of its class has")),
        }
    }

    /// Its content is so long.
    fn content(&mut self, len: i64, ahead: &mut Vec<u8>) -> Result<(), Reason> {
        let Ok(len) = u64::try_from(len) else {
            return Err(Reason::damaged("a text, or bytes, of a negative length"));
        };
        if self.total.is_some_and(|total| total != self.head.len() as u64 + len) {
            return Err(Reason::damaged("a text, or bytes, of another length than its record has for it"));
        }
        self.left = Some(len);
        self.frame(len, ahead)
    }

    fn number(&mut self, number: i64, ahead: &mut Vec<u8>) -> Result<(), Reason> {
        let digits = number.to_string();
        self.left = Some(0);
        self.frame(digits.len() as u64, ahead)?;
        ahead.extend_from_slice(digits.as_bytes());
        Ok(())
    }

    fn frame(&self, len: u64, ahead: &mut Vec<u8>) -> Result<(), Reason> {
        if self.framing == Framing::Raw {
            return Ok(());
        }
        let what = "a key or value";
        let len = u32::try_from(len).map_err(|_| Reason::TooLong { what, len, most: u32::MAX.into() })?;
        ahead.extend_from_slice(&len.to_le_bytes());
        Ok(())
    }
}
