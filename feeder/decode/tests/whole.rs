//! What encoders write is decoded to what they were given, whatever the pieces and the room.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use forebay_decode::Codec;
use proptest::prelude::*;
use support::{data, decode, encodings, long_data};

#[test]
fn long_files_are_decoded() {
    let data = long_data();
    for file in encodings(&data) {
        for (piece, room) in [(usize::MAX, 1 << 20), (10_007, 4099), (1 << 16, 1 << 16)] {
            let decoded = decode(file.codec, &file.bytes, piece, room).unwrap();
            assert!(decoded == data, "{} {}: {} bytes", file.codec, file.how, decoded.len());
        }
    }
}

#[test]
fn nothing_is_decoded_to_nothing() {
    for file in encodings(b"") {
        assert_eq!(decode(file.codec, &file.bytes, 3, 10).unwrap(), b"", "{} {}", file.codec, file.how);
    }
    for codec in Codec::ALL {
        assert_eq!(decode(codec, b"", 1, 10).is_ok(), codec.may_be_empty(), "{codec}: a file without a byte");
    }
}

#[test]
fn a_bomb_is_decoded_in_the_room_that_there_is() {
    let zeros = vec![0; 3 << 20];
    for file in encodings(&zeros) {
        let decoded = decode(file.codec, &file.bytes, 1 << 16, 1 << 16).unwrap();
        assert_eq!(decoded.len(), zeros.len(), "{} {}", file.codec, file.how);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..Default::default() })]
    #[test]
    fn pieces_and_room_do_not_matter(data in data(3000), piece in 1usize..600, room in 1usize..600) {
        for file in encodings(&data) {
            let decoded = decode(file.codec, &file.bytes, piece, room);
            prop_assert_eq!(decoded.as_deref(), Ok(&data[..]), "{} {}", file.codec, file.how);
        }
    }

    #[test]
    fn files_one_behind_the_other_are_decoded_as_one(a in data(400), b in data(400), piece in 1usize..50) {
        for (first, second) in encodings(&a).into_iter().zip(encodings(&b)) {
            let both = [&first.bytes[..], &second.bytes, &first.bytes].concat();
            let decoded = decode(first.codec, &both, piece, 100);
            let wanted = [&a[..], &b, &a].concat();
            prop_assert_eq!(decoded.as_deref(), Ok(&wanted[..]), "{} {}", first.codec, first.how);
        }
    }
}
