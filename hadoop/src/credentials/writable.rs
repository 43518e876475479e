//! Hadoop's own serialisation (`WritableUtils`, `Text`): integers of variable length, and what is counted by them.

use bytes::{Buf, BufMut, Bytes};

use super::CredentialsError;

/// Writes an integer as `WritableUtils.writeVLong` does.
pub(crate) fn put_vlong(into: &mut impl BufMut, value: i64) {
    if let Ok(short) = i8::try_from(value)
        && short >= -112
    {
        into.put_i8(short);
        return;
    }
    // The first byte says sign and length; then the bytes of the value, or of its complement, big-endian.
    let (magnitude, base) = if value < 0 { (!value, -120) } else { (value, -112) };
    let bytes = magnitude.to_be_bytes();
    let skip = bytes.iter().take_while(|byte| **byte == 0).count();
    let length: i8 = bytes[skip..].iter().map(|_| 1).sum();
    into.put_i8(base - length);
    into.put_slice(&bytes[skip..]);
}

/// Reads an integer as `WritableUtils.readVLong` does; `None` when the bytes end too early.
pub(crate) fn get_vlong(from: &mut Bytes) -> Option<i64> {
    let first = from.try_get_i8().ok()?;
    let (length, negative) = match first {
        -112.. => return Some(first.into()),
        -120..=-113 => (-112 - i32::from(first), false),
        _ => (-120 - i32::from(first), true),
    };
    let mut value = 0_i64;
    for _ in 0..length {
        value = value << 8 | i64::from(from.try_get_u8().ok()?);
    }
    Some(if negative { !value } else { value })
}

/// Writes a length and the bytes.
pub(crate) fn put_counted(into: &mut impl BufMut, bytes: &[u8]) {
    // No slice is longer than i64::MAX.
    put_vlong(into, i64::try_from(bytes.len()).unwrap_or(i64::MAX));
    into.put_slice(bytes);
}

/// Reads a length that must not be negative.
pub(crate) fn get_length(from: &mut Bytes) -> Result<usize, CredentialsError> {
    let length = get_vlong(from).ok_or(CredentialsError::Damaged("it ends within a number"))?;
    // WritableUtils.readVInt refuses what is no int.
    i32::try_from(length)
        .ok()
        .and_then(|length| usize::try_from(length).ok())
        .ok_or(CredentialsError::Damaged("a length in it is absurd"))
}

/// Reads bytes with their length in front. Nothing is allocated for what is not there.
pub(crate) fn get_counted(from: &mut Bytes) -> Result<Bytes, CredentialsError> {
    let length = get_length(from)?;
    if length > from.len() {
        return Err(CredentialsError::Damaged("it ends too early"));
    }
    Ok(from.split_to(length))
}

/// Reads a text (`Text.readString`).
pub(crate) fn get_text(from: &mut Bytes) -> Result<String, CredentialsError> {
    let bytes = get_counted(from)?;
    String::from_utf8(bytes.into()).map_err(|_| CredentialsError::Damaged("a name in it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers_are_written_as_java_writes_them() {
        for (value, wanted) in [
            (0, &[0][..]),
            (127, &[0x7f]),
            (-112, &[0x90]),
            (128, &[0x8f, 0x80]),
            (255, &[0x8f, 0xff]),
            (256, &[0x8e, 1, 0]),
            (-113, &[0x87, 0x70]),
            (-129, &[0x87, 0x80]),
            (i64::MAX, &[0x88, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            (i64::MIN, &[0x80, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ] {
            let mut written = Vec::new();
            put_vlong(&mut written, value);
            assert_eq!(written, wanted, "{value}");
        }
    }

    proptest! {
        #[test]
        fn integers_come_back(value in any::<i64>(), shift in 0..64) {
            let value = value >> shift;
            let mut written = Vec::new();
            put_vlong(&mut written, value);
            let mut bytes = Bytes::from(written);
            prop_assert_eq!(get_vlong(&mut bytes), Some(value));
            prop_assert!(bytes.is_empty());
        }

        #[test]
        fn any_bytes_are_a_number_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let _ = get_vlong(&mut Bytes::from(bytes.clone()));
            let _ = get_text(&mut Bytes::from(bytes));
        }
    }
}
