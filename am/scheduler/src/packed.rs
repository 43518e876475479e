//! A list of units in a byte or two each: differences, as variable-length integers.

/// Units in the order they were pushed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Packed {
    bytes: Vec<u8>,
    last: u64,
    len: u64,
}

impl Packed {
    pub(crate) fn push(&mut self, unit: u64) {
        let step = unit.wrapping_sub(self.last).cast_signed();
        let mut rest = (step.cast_unsigned() << 1) ^ (step >> 63).cast_unsigned();
        while rest >= 0x80 {
            self.bytes.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        self.bytes.push(rest.to_le_bytes()[0]);
        self.last = unit;
        self.len += 1;
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let (mut bytes, mut last) = (self.bytes.iter(), 0u64);
        std::iter::from_fn(move || {
            let (mut coded, mut shift) = (0u64, 0);
            loop {
                let byte = *bytes.next()?;
                coded |= u64::from(byte & 0x7f) << shift;
                if byte < 0x80 {
                    break;
                }
                shift += 7;
            }
            last = last.wrapping_add((coded >> 1) ^ (coded & 1).wrapping_neg());
            Some(last)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_pushed_comes_out(units in prop::collection::vec(prop_oneof![0u64..500, any::<u64>()], 0..50)) {
            let mut packed = Packed::default();
            for &unit in &units { packed.push(unit); }
            prop_assert_eq!(packed.len(), units.len() as u64);
            prop_assert_eq!(packed.iter().collect::<Vec<_>>(), units);
        }
    }
}
