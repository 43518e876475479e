//! Long lists of units in a byte or two each, as messages carry them.

use prost::encoding::{decode_varint, encode_varint};

/// Units in the order they were pushed: the step from each to the next, and from 0 to the first, as a zigzag varint.
#[derive(Debug, Clone, Default)]
pub struct Units {
    bytes: Vec<u8>,
    last: u64,
    len: u64,
}

impl Units {
    /// Puts a unit at the end.
    pub fn push(&mut self, unit: u64) {
        let step = unit.wrapping_sub(self.last).cast_signed();
        encode_varint((step.cast_unsigned() << 1) ^ (step >> 63).cast_unsigned(), &mut self.bytes);
        (self.last, self.len) = (unit, self.len + 1);
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What a message carries.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The units that a message carries. `None`: it is damaged.
    pub fn read(mut bytes: &[u8]) -> Option<Vec<u64>> {
        let (mut units, mut last) = (Vec::new(), 0u64);
        while !bytes.is_empty() {
            let coded = decode_varint(&mut bytes).ok()?;
            last = last.wrapping_add((coded >> 1) ^ (coded & 1).wrapping_neg());
            units.push(last);
        }
        Some(units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pushed_is_read() {
        let all = [7, 8, 9, 2, 2, 0, u64::MAX, 1 << 63, 5, u64::MAX - 1];
        let mut units = Units::default();
        assert!(units.is_empty());
        for unit in all {
            units.push(unit);
        }
        assert_eq!((units.len(), Units::read(units.as_bytes()).as_deref()), (10, Some(&all[..])));
        assert_eq!(units.as_bytes()[..4], [14, 2, 2, 13], "a byte each where they are neighbours");
        let mut cut = units.as_bytes().to_vec();
        cut.pop();
        cut.push(0x80);
        assert_eq!((Units::read(&cut), Units::read(&[0xff; 11])), (None, None));
    }
}
