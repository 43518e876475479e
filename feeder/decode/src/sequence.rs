//! Hadoop's SequenceFiles: records with a key and a value, plain, with compressed values, or compressed in blocks.
//!
//! It begins at a file's first record or at a sync marker. Nothing is held but what a table of a block's lengths and keys needs;
//! keys and values are passed on as they come.

mod field;

use core::ops::ControlFlow;

use forebay_record::{
    Compression, ESCAPE, Fields, Framing, MARKER, SequenceHeader, SequenceRecords, vint, vint_len,
};

use self::field::{Field, Kind};
use crate::Reason;
use crate::decoder::{Fault, Steps};
use crate::gather::{Block, Gather};
use crate::packed::{Packed, Step};

/// Most bytes that the keys of a block and the lengths of its keys and values may be together: a writer ends a block at
/// 1 MB unless configured otherwise.
const MOST_HELD: usize = if cfg!(fuzzing) { 1 << 20 } else { 64 << 20 };

pub(crate) struct Sequence {
    marker: [u8; MARKER],
    is_raw: bool,
    wants_keys: bool,
    key: Field,
    value: Field,
    /// `None` for plain records.
    packed: Option<Packed>,
    in_blocks: bool,
    gather: Gather,
    /// What goes out before anything else.
    ahead: Block,
    part: Part,
    block: Held,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A record's length, or the escape before a marker.
    Length,
    Marker,
    /// The length of the key of a record of so many bytes.
    KeyLength(u32),
    /// So many bytes of a key, and as many of the value behind it.
    Key(u32, u32),
    /// So many bytes of a value.
    Value(u32),
    PackedValue,
    /// The number of records of a block.
    Count,
    /// The length of a part of a block.
    PieceLength(Piece),
    /// So many bytes of a part that is not looked at.
    Skipped(Piece, u64),
    /// A part that is held.
    Table(Piece),
    /// The values of a block.
    Values(Item),
}

/// The parts of a block, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    KeyLengths,
    Keys,
    ValueLengths,
    Values,
}

/// Where in a block's records it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Between,
    /// So many bytes of a key.
    Key(u64),
    /// So many bytes of a value.
    Value(u64),
}

/// What is held of a block.
#[derive(Debug, Default)]
struct Held {
    /// Records that are still to come.
    records: u64,
    key_lengths: Table,
    keys: Table,
    value_lengths: Table,
}

#[derive(Debug, Default)]
struct Table {
    bytes: Vec<u8>,
    used: usize,
}

impl Table {
    fn clear(&mut self) {
        self.bytes.clear();
        self.used = 0;
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    /// The next of the lengths that it is.
    fn length(&mut self) -> Result<u64, Reason> {
        let rest = &self.bytes[self.used..];
        let len = rest.first().map_or(usize::MAX, |&first| vint_len(first));
        let Some(number) = rest.get(..len) else {
            return Err(Reason::damaged("a block with fewer lengths than records"));
        };
        self.used += len;
        u64::try_from(vint(number)).map_err(|_| Reason::damaged("a key or value of a negative length"))
    }
}

impl Held {
    fn table(&mut self, piece: Piece) -> &mut Table {
        match piece {
            Piece::KeyLengths => &mut self.key_lengths,
            Piece::Keys => &mut self.keys,
            Piece::ValueLengths | Piece::Values => &mut self.value_lengths,
        }
    }

    fn len(&self) -> usize {
        self.key_lengths.bytes.len() + self.keys.bytes.len() + self.value_lengths.bytes.len()
    }
}

impl Sequence {
    pub(crate) fn new(header: &SequenceHeader, records: SequenceRecords) -> Result<Self, Reason> {
        let wants_keys = records.fields == Fields::KeyValue;
        let (key, value) = (Kind::of_class(&header.key_class), Kind::of_class(&header.value_class));
        if records.framing == Framing::Raw {
            let parts =
                [("values", &header.value_class, value, true), ("keys", &header.key_class, key, wants_keys)];
            for (what, class, kind, is_wanted) in parts {
                if is_wanted && !kind.is_text() {
                    return Err(Reason::NotText { what, class: class.clone() });
                }
            }
        }
        let packed = header.codec_class.as_deref().map(Packed::of_class).transpose()?;
        Ok(Self {
            marker: header.marker,
            is_raw: records.framing == Framing::Raw,
            wants_keys,
            key: Field::new(key, records.framing),
            value: Field::new(value, records.framing),
            packed,
            in_blocks: header.compression == Compression::Block,
            gather: Gather::default(),
            ahead: Block::default(),
            part: Part::Length,
            block: Held::default(),
        })
    }

    /// Gathers so many bytes; how many were taken, and whether all are there.
    fn gather(&mut self, len: usize, input: &[u8]) -> (usize, bool) {
        let n = self.gather.take(len, input);
        (n, self.gather.len() == len)
    }

    /// Gathers a number of variable length.
    fn number(&mut self, input: &[u8]) -> (usize, Option<i64>) {
        let n = self.gather.take(1, input);
        let len = self.gather.bytes().first().map_or(1, |&first| vint_len(first));
        let n = n + self.gather.take(len, &input[n..]);
        let number = (self.gather.len() == len).then(|| vint(self.gather.bytes()));
        if number.is_some() {
            self.gather.clear();
        }
        (n, number)
    }

    /// A length, or an escape, is there.
    fn length(&mut self) -> Result<Part, Reason> {
        let is_escape = self.gather.bytes() == ESCAPE;
        let length = self.gather.be32();
        self.gather.clear();
        match length {
            _ if is_escape => Ok(Part::Marker),
            _ if self.in_blocks => Err(Reason::damaged("no sync marker stands before a block")),
            length if i32::try_from(length).is_ok() => Ok(Part::KeyLength(length)),
            _ => Err(Reason::damaged("a record of a negative length")),
        }
    }

    fn key_length(&mut self, record: u32) -> Result<Part, Reason> {
        let len = self.gather.be32();
        self.gather.clear();
        let Some(value) = record.checked_sub(len) else {
            return Err(Reason::damaged("a key that is longer than its record, or of a negative length"));
        };
        if self.wants_keys {
            self.key.begin(Some(len.into()), &mut self.ahead.bytes)?;
        }
        Ok(Part::Key(len, value))
    }

    /// A record's key was passed on, if it is wanted: its value begins.
    fn begin_value(&mut self, len: u32) -> Result<Part, Reason> {
        if let Some(packed) = &mut self.packed {
            packed.begin(len.into())?;
            self.value.begin(None, &mut self.ahead.bytes)?;
            return Ok(Part::PackedValue);
        }
        self.value.begin(Some(len.into()), &mut self.ahead.bytes)?;
        Ok(Part::Value(len))
    }

    fn end_key(&mut self) -> Result<(), Reason> {
        self.key.end(&mut self.ahead.bytes)?;
        if self.is_raw {
            self.ahead.bytes.push(b'\t');
        }
        Ok(())
    }

    fn end_value(&mut self) -> Result<(), Reason> {
        self.value.end(&mut self.ahead.bytes)?;
        if self.is_raw {
            self.ahead.bytes.push(b'\n');
        }
        Ok(())
    }

    /// Bytes of a part that is compressed: decodes some, or has decoded ones used. What was taken, and whether it has ended.
    fn unpack(
        &mut self,
        input: &[u8],
        mut using: impl FnMut(&mut Self, &[u8]) -> Result<usize, Reason>,
    ) -> Result<Option<(usize, bool)>, Fault> {
        let Some(mut packed) = self.packed.take() else { return Err(Reason::damaged("no codec").into()) };
        let result = if packed.unused().is_empty() {
            packed.step(input).map(|step| match step {
                Step::Took(n) => Some((n, false)),
                Step::Wants => None,
                Step::Ended => Some((0, true)),
            })
        } else {
            let used = using(self, packed.unused());
            used.map_err(Fault::from).map(|used| {
                packed.advance(used);
                Some((0, false))
            })
        };
        self.packed = Some(packed);
        result
    }

    /// The length of a part of a block is there.
    fn begin_part(&mut self, piece: Piece, len: i64) -> Result<Part, Reason> {
        let len = i32::try_from(len).ok().and_then(|len| u64::try_from(len).ok());
        let len = len.ok_or_else(|| Reason::damaged("a part of a block of an impossible length"))?;
        let is_of_keys = matches!(piece, Piece::KeyLengths | Piece::Keys);
        if is_of_keys && !self.wants_keys {
            return Ok(Part::Skipped(piece, len));
        }
        if let Some(packed) = &mut self.packed {
            packed.begin(len)?;
        }
        if piece == Piece::Values {
            return Ok(Part::Values(Item::Between));
        }
        self.block.table(piece).clear();
        Ok(Part::Table(piece))
    }

    fn after(piece: Piece) -> Part {
        Part::PieceLength(match piece {
            Piece::KeyLengths => Piece::Keys,
            Piece::Keys => Piece::ValueLengths,
            Piece::ValueLengths | Piece::Values => Piece::Values,
        })
    }

    fn hold(&mut self, piece: Piece, bytes: &[u8]) -> Result<usize, Reason> {
        let len = self.block.len() + bytes.len();
        if len > MOST_HELD {
            let what = "the keys and lengths of a block";
            return Err(Reason::TooLong { what, len: len as u64, most: MOST_HELD as u64 });
        }
        self.block.table(piece).bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// The next record of a block begins; `None`: there was no other.
    fn begin_record(&mut self) -> Result<Option<Item>, Reason> {
        if self.block.records == 0 {
            let tables = [&self.block.key_lengths, &self.block.keys, &self.block.value_lengths];
            if tables.iter().any(|table| !table.rest().is_empty()) {
                return Err(Reason::damaged("a block with more keys or lengths than records"));
            }
            return Ok(None);
        }
        self.block.records -= 1;
        if !self.wants_keys {
            return self.begin_block_value().map(Some);
        }
        let len = self.block.key_lengths.length()?;
        if len > self.block.keys.rest().len() as u64 {
            return Err(Reason::damaged("a block with fewer keys than lengths of keys"));
        }
        self.key.begin(Some(len), &mut self.ahead.bytes)?;
        Ok(Some(Item::Key(len)))
    }

    fn begin_block_value(&mut self) -> Result<Item, Reason> {
        let len = self.block.value_lengths.length()?;
        self.value.begin(Some(len), &mut self.ahead.bytes)?;
        Ok(Item::Value(len))
    }

    /// A step among the values of a block. `None`: it needs more input.
    fn values(&mut self, item: Item, input: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, Fault> {
        let next = match item {
            Item::Between => {
                if let Some(next) = self.begin_record()? {
                    next
                } else {
                    let more = "a block with more values than records";
                    let step = self.unpack(input, |_, _| Err(Reason::damaged(more)))?;
                    let Some((n, ended)) = step else { return Ok(None) };
                    if ended {
                        self.part = Part::Length;
                    }
                    return Ok(Some(n));
                }
            }
            Item::Key(0) => {
                self.end_key()?;
                self.begin_block_value()?
            }
            Item::Key(left) => {
                let keys = &mut self.block.keys;
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(keys.rest().len());
                let n = self.key.take(&keys.rest()[..most], out, &mut self.ahead.bytes)?;
                keys.used += n;
                Item::Key(left - n as u64)
            }
            Item::Value(0) => {
                self.end_value()?;
                Item::Between
            }
            Item::Value(left) => {
                let mut used = 0;
                let step = self.unpack(input, |sequence, bytes| {
                    let most = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    used = sequence.value.take(&bytes[..most], out, &mut sequence.ahead.bytes)?;
                    Ok(used)
                })?;
                match step {
                    None => return Ok(None),
                    Some((_, true)) => {
                        return Err(Reason::damaged("a block with fewer values than records").into());
                    }
                    Some((n, false)) => {
                        self.part = Part::Values(Item::Value(left - used as u64));
                        return Ok(Some(n));
                    }
                }
            }
        };
        self.part = Part::Values(next);
        Ok(Some(0))
    }
}

impl Steps for Sequence {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, Fault> {
        // Decoded bytes may wait, and so it goes on where there is no input, too.
        if let ControlFlow::Break(Some(n)) = self.ahead.comes_first(input, out) {
            return Ok(Some(n));
        }
        let (n, next) = match self.part {
            Part::Length | Part::Marker | Part::KeyLength(_) | Part::Count | Part::PieceLength(_)
                if input.is_empty() =>
            {
                return Ok(None);
            }
            Part::Length => match self.gather(ESCAPE.len(), input) {
                (n, true) => (n, self.length()?),
                (n, false) => (n, Part::Length),
            },
            Part::Marker => match self.gather(MARKER, input) {
                (_, true) if self.gather.bytes() != self.marker => {
                    return Err(Reason::Mismatch("sync marker").into());
                }
                (n, true) => {
                    self.gather.clear();
                    (n, if self.in_blocks { Part::Count } else { Part::Length })
                }
                (n, false) => (n, Part::Marker),
            },
            Part::KeyLength(record) => match self.gather(4, input) {
                (n, true) => (n, self.key_length(record)?),
                (n, false) => (n, Part::KeyLength(record)),
            },
            Part::Key(0, value) => {
                if self.wants_keys {
                    self.end_key()?;
                }
                (0, self.begin_value(value)?)
            }
            Part::Value(0) => {
                self.end_value()?;
                (0, Part::Length)
            }
            Part::Key(..) | Part::Value(_) if input.is_empty() => return Ok(None),
            Part::Key(left, value) => {
                let most = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                let n = if self.wants_keys {
                    self.key.take(&input[..most], out, &mut self.ahead.bytes)?
                } else {
                    most
                };
                (n, Part::Key(left - u32::try_from(n).unwrap_or(left), value))
            }
            Part::Value(left) => {
                let most = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                let n = self.value.take(&input[..most], out, &mut self.ahead.bytes)?;
                (n, Part::Value(left - u32::try_from(n).unwrap_or(left)))
            }
            Part::PackedValue => {
                let step = self.unpack(input, |sequence, bytes| {
                    sequence.value.take(bytes, out, &mut sequence.ahead.bytes)
                })?;
                match step {
                    None => return Ok(None),
                    Some((n, false)) => (n, Part::PackedValue),
                    Some((n, true)) => {
                        self.end_value()?;
                        (n, Part::Length)
                    }
                }
            }
            Part::Count => match self.number(input) {
                (n, None) => (n, Part::Count),
                (n, Some(number)) => {
                    let records = i32::try_from(number).ok().and_then(|number| u64::try_from(number).ok());
                    let Some(records) = records else {
                        return Err(Reason::damaged("a block of an impossible number of records").into());
                    };
                    self.block.records = records;
                    (n, Part::PieceLength(Piece::KeyLengths))
                }
            },
            Part::PieceLength(piece) => match self.number(input) {
                (n, None) => (n, Part::PieceLength(piece)),
                (n, Some(len)) => (n, self.begin_part(piece, len)?),
            },
            Part::Skipped(piece, 0) => (0, Self::after(piece)),
            Part::Skipped(..) if input.is_empty() => return Ok(None),
            Part::Skipped(piece, left) => {
                let n = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                (n, Part::Skipped(piece, left - n as u64))
            }
            Part::Table(piece) => match self.unpack(input, |sequence, bytes| sequence.hold(piece, bytes))? {
                None => return Ok(None),
                Some((n, false)) => (n, Part::Table(piece)),
                Some((n, true)) => (n, Self::after(piece)),
            },
            Part::Values(item) => return self.values(item, input, out),
        };
        self.part = next;
        Ok(Some(n))
    }

    fn open(&self) -> Option<&'static str> {
        match self.part {
            Part::Length if self.gather.len() == 0 => None,
            Part::Length if self.in_blocks => Some("a sync marker"),
            Part::Marker => Some("a sync marker"),
            Part::Length | Part::KeyLength(_) | Part::Key(..) | Part::Value(_) | Part::PackedValue => {
                Some("a record")
            }
            _ => Some("a block"),
        }
    }
}
