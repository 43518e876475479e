//! Walks over a record's bytes by its schema, to find where it ends.

use std::sync::Arc;

use forebay_record::zigzag;

use super::schema::{AvroSchema, Id, Node};
use crate::Reason;

/// How deep records, arrays and maps may lie in each other.
const DEEPEST: usize = 4096;

/// One record after the other, each fed in pieces.
#[derive(Debug)]
pub(super) struct Walk {
    schema: Arc<AvroSchema>,
    /// What the value in hand lies in.
    around: Vec<Around>,
    next: Next,
    /// Bytes walked over in all.
    at: u64,
}

#[derive(Debug)]
enum Around {
    /// A record, with the place of its next field.
    Record(Id, usize),
    Items(Items),
}

#[derive(Debug)]
struct Items {
    of: Id,
    is_map: bool,
    /// Values that are left of the block in hand; of a map each key counts, too.
    left: u64,
    /// Where that block ends, if it says so.
    end: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
enum Next {
    /// The record has ended, or the first one begins.
    Record,
    /// A value begins.
    Value(Id),
    /// A value has ended.
    Ended,
    /// So many bytes of a value.
    Bytes(u64),
    /// A number: for what, its bits so far, and how many.
    Number(Number, u64, u32),
}

#[derive(Debug, Clone, Copy)]
enum Number {
    Boolean,
    Int,
    Long,
    /// Of bytes.
    Length,
    Symbol(u64),
    /// Of a branch of this union.
    Branch(Id),
    /// Of the items in a block of the array or map around.
    Count,
    /// Of that block's bytes.
    Size,
}

impl Number {
    /// Most bytes that it takes.
    fn most(self) -> u32 {
        match self {
            Self::Boolean => 1,
            Self::Int | Self::Symbol(_) | Self::Branch(_) => 5,
            Self::Long | Self::Length | Self::Count | Self::Size => 10,
        }
    }
}

fn number(what: Number) -> Next {
    Next::Number(what, 0, 0)
}

impl Walk {
    pub(super) fn new(schema: Arc<AvroSchema>) -> Self {
        Self { schema, around: Vec::new(), next: Next::Record, at: 0 }
    }

    /// Whether a record has begun and not ended.
    pub(super) fn is_inside(&self) -> bool {
        !matches!(self.next, Next::Record)
    }

    /// Takes bytes of one record, and says how many there were and whether it ends behind them. All are taken if it does not.
    pub(super) fn over(&mut self, bytes: &[u8]) -> Result<(usize, bool), Reason> {
        let mut used = 0;
        if !self.is_inside() {
            self.next = Next::Value(self.schema.root);
        }
        loop {
            self.next = match self.next {
                Next::Record => return Ok((used, true)),
                Next::Value(id) => self.value(id)?,
                Next::Ended => self.ended()?,
                Next::Bytes(0) => Next::Ended,
                Next::Bytes(left) => {
                    let rest = bytes.len() - used;
                    let n = usize::try_from(left).map_or(rest, |left| left.min(rest));
                    if n == 0 {
                        return Ok((used, false));
                    }
                    used += n;
                    self.at += n as u64;
                    Next::Bytes(left - n as u64)
                }
                Next::Number(what, bits, seen) => {
                    let Some(&byte) = bytes.get(used) else { return Ok((used, false)) };
                    used += 1;
                    self.at += 1;
                    let bits = bits | u64::from(byte & 0x7f) << (7 * seen);
                    if byte < 0x80 {
                        self.number(what, bits)?
                    } else if seen + 1 < what.most() {
                        Next::Number(what, bits, seen + 1)
                    } else {
                        return Err(Reason::damaged("a number of too many bytes"));
                    }
                }
            };
        }
    }

    fn value(&mut self, id: Id) -> Result<Next, Reason> {
        let place = usize::try_from(id).unwrap_or(usize::MAX);
        let around = match self.schema.nodes.get(place) {
            None | Some(Node::Nothing) => return Ok(Next::Ended),
            Some(Node::Boolean) => return Ok(number(Number::Boolean)),
            Some(Node::Int) => return Ok(number(Number::Int)),
            Some(Node::Long) => return Ok(number(Number::Long)),
            Some(Node::Fixed(len)) => return Ok(Next::Bytes(*len)),
            Some(Node::Bytes) => return Ok(number(Number::Length)),
            Some(Node::Enum(symbols)) => return Ok(number(Number::Symbol(*symbols))),
            Some(Node::Union(_)) => return Ok(number(Number::Branch(id))),
            Some(Node::Record(_)) => (Around::Record(id, 0), Next::Ended),
            Some(Node::Array(of)) => {
                let items = Items { of: *of, is_map: false, left: 0, end: None };
                (Around::Items(items), number(Number::Count))
            }
            Some(Node::Map(of)) => {
                let items = Items { of: *of, is_map: true, left: 0, end: None };
                (Around::Items(items), number(Number::Count))
            }
        };
        if self.around.len() == DEEPEST {
            let what = format!("records, arrays and maps in each other, more than {DEEPEST} deep");
            return Err(Reason::Damaged(what));
        }
        self.around.push(around.0);
        Ok(around.1)
    }

    /// What follows a value, in what it lies in.
    fn ended(&mut self) -> Result<Next, Reason> {
        let next = match self.around.last_mut() {
            None => return Ok(Next::Record),
            Some(Around::Record(id, field)) => {
                let place = usize::try_from(*id).unwrap_or(usize::MAX);
                let Some(Node::Record(fields)) = self.schema.nodes.get(place) else {
                    return Ok(Next::Record);
                };
                let next = fields.get(*field).copied();
                *field += 1;
                next.map(Next::Value)
            }
            Some(Around::Items(items)) if items.left == 0 => {
                if items.end.take().is_some_and(|end| end != self.at) {
                    return Err(Reason::damaged(
                        "items of an array or a map of another size than is said of them",
                    ));
                }
                Some(number(Number::Count))
            }
            Some(Around::Items(items)) => {
                let is_key = items.is_map && items.left.is_multiple_of(2);
                items.left -= 1;
                Some(if is_key { number(Number::Length) } else { Next::Value(items.of) })
            }
        };
        if next.is_none() {
            self.around.pop();
        }
        Ok(next.unwrap_or(Next::Ended))
    }

    /// A number is there.
    fn number(&mut self, what: Number, bits: u64) -> Result<Next, Reason> {
        let signed = zigzag::signed(bits);
        let damaged = |what| Err(Reason::damaged(what));
        match what {
            Number::Boolean if bits > 1 => damaged("a boolean that is neither false nor true"),
            Number::Int if i32::try_from(signed).is_err() => damaged("an int of more than 32 bits"),
            Number::Boolean | Number::Int | Number::Long => Ok(Next::Ended),
            Number::Length => match u64::try_from(signed) {
                Ok(len) => Ok(Next::Bytes(len)),
                Err(_) => damaged("a string, or bytes, of a negative length"),
            },
            Number::Symbol(symbols) => match u64::try_from(signed) {
                Ok(symbol) if symbol < symbols => Ok(Next::Ended),
                _ => damaged("a symbol that its enum does not have"),
            },
            Number::Branch(id) => {
                let place = usize::try_from(id).unwrap_or(usize::MAX);
                let Some(Node::Union(branches)) = self.schema.nodes.get(place) else {
                    return Ok(Next::Ended);
                };
                let branch = usize::try_from(signed).ok().and_then(|branch| branches.get(branch));
                branch.map_or_else(
                    || damaged("a branch that its union does not have"),
                    |id| Ok(Next::Value(*id)),
                )
            }
            Number::Count => self.count(signed),
            Number::Size => {
                let end = u64::try_from(signed).ok().and_then(|size| self.at.checked_add(size));
                let Some(end) = end else {
                    return damaged("items of an array or a map of an impossible size");
                };
                if let Some(Around::Items(items)) = self.around.last_mut() {
                    items.end = Some(end);
                }
                Ok(Next::Ended)
            }
        }
    }

    /// So many items follow; with a sign, the size of all of them comes first.
    fn count(&mut self, count: i64) -> Result<Next, Reason> {
        let Some(Around::Items(items)) = self.around.last_mut() else { return Ok(Next::Ended) };
        if count == 0 {
            self.around.pop();
            return Ok(Next::Ended);
        }
        let Some(number_of) = count.checked_abs() else {
            return Err(Reason::damaged("an array or a map of an impossible number of items"));
        };
        let of = usize::try_from(items.of).unwrap_or(usize::MAX);
        let is_nothing = matches!(self.schema.nodes.get(of), Some(Node::Nothing));
        items.left = match (items.is_map, is_nothing) {
            (true, _) => 2 * number_of.unsigned_abs(),
            // However many there are, they have no bytes.
            (false, true) => 0,
            (false, false) => number_of.unsigned_abs(),
        };
        Ok(if count < 0 { number(Number::Size) } else { Next::Ended })
    }
}
