//! Damaged files are errors, and never decoded to less or to something else in silence.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use forebay_decode::{Codec, Reason};
use proptest::prelude::*;
use support::{data, decode, encodings, hadoop, raw_snappy};

const TEXT: &[u8] = b"some lines\nsome more lines\nand the last of some lines\n";

#[test]
fn a_file_cut_anywhere_is_an_error() {
    for file in encodings(TEXT) {
        for cut in 1..file.bytes.len() {
            let decoded = decode(file.codec, &file.bytes[..cut], 7, 100);
            let at = || format!("{} {} cut at {cut} of {}", file.codec, file.how, file.bytes.len());
            match decoded {
                Err(error) => assert!(error.offset <= cut as u64, "{}: {error}", at()),
                // A form without an end: nothing tells that another block was to come.
                Ok(decoded) => assert!(!file.has_end && TEXT.starts_with(&decoded), "{}", at()),
            }
        }
    }
}

#[test]
fn a_file_cut_within_a_block_says_so() {
    for file in encodings(TEXT) {
        let error = decode(file.codec, &file.bytes[..file.bytes.len() - 3], 1000, 1000).unwrap_err();
        assert!(matches!(error.reason, Reason::Truncated(_)), "{} {}: {error}", file.codec, file.how);
    }
}

#[test]
fn what_follows_the_end_is_an_error_where_it_begins() {
    for file in encodings(TEXT) {
        for tail in [&b"trailing garbage"[..], &[0xfe; 20], &[0; 20]] {
            let error =
                decode(file.codec, &[&file.bytes[..], tail].concat(), 1000, 1000).expect_err(file.how);
            if file.has_end {
                assert!(matches!(error.reason, Reason::Trailing(_)), "{} {}: {error}", file.codec, file.how);
                assert_eq!(error.offset, file.bytes.len() as u64, "{} {}: {error}", file.codec, file.how);
            }
        }
    }
}

#[test]
fn a_file_of_another_format_is_named() {
    for file in encodings(TEXT) {
        for codec in Codec::ALL.into_iter().filter(|codec| *codec != file.codec) {
            let error = decode(codec, &file.bytes, 1000, 1000).expect_err(file.how);
            if let Some(found) = Codec::of_head(&file.bytes) {
                assert_eq!(error.reason, Reason::NotThis { found: Some(found) }, "{} as {codec}", file.how);
                assert_eq!(error.offset, 0);
            }
        }
    }
    for codec in Codec::ALL {
        for text in [TEXT, b"a\n", b"1\n2\n3\n4\n5\n6\n7\n8\n"] {
            let error = decode(codec, text, 1000, 1000).expect_err("text is not compressed");
            assert!(
                matches!(error.reason, Reason::NotThis { .. } | Reason::Truncated(_)),
                "{codec}: {error}"
            );
        }
    }
    let text = decode(Codec::Snappy, TEXT, 1000, 1000).unwrap_err();
    assert_eq!(text.reason, Reason::NotThis { found: None });
}

#[test]
fn announced_lengths_are_not_believed() {
    let files: [(Codec, &[u8]); 5] = [
        (Codec::Snappy, b"\x7f\xff\xff\xff\x7f\xff\xff\xff0123456789"),
        (Codec::Snappy, b"\xff\x06\0\0sNaPpY\x00\xff\xff\xff0123456789"),
        (Codec::Lz4, b"\0\0\0\x01\xff\xff\xff\xff0123456789"),
        // A block of 2³¹ - 1 bytes in a frame whose blocks have at most 64 KiB.
        (Codec::Lz4, b"\x04\x22\x4d\x18\x60\x40\x82\xff\xff\xff\x7f0123456789"),
        // A chunk that says that it decodes to 4 GiB.
        (Codec::Snappy, b"\x7f\xff\xff\xff\0\0\0\x06\xff\xff\xff\xff\x0f\0"),
    ];
    for (codec, file) in files {
        let error = decode(codec, file, 1000, 1000).unwrap_err();
        assert!(!matches!(error.reason, Reason::Truncated(_)), "{codec}: {error}");
    }
}

#[test]
fn a_block_that_holds_more_than_it_says_is_an_error() {
    let mut file = hadoop(TEXT, 1000, 1000, raw_snappy);
    file[3] -= 1;
    assert!(decode(Codec::Snappy, &file, 1000, 1000).is_err());
    file[3] += 2;
    let error = decode(Codec::Snappy, &file, 1000, 1000).unwrap_err();
    assert!(matches!(error.reason, Reason::Truncated(_)), "{error}");
}

#[test]
fn what_is_not_supported_is_named() {
    // A window of 256 MiB; a dictionary; snappy-java's stream; lz4 -l; a preset dictionary.
    let files: [(Codec, &[u8], &str); 5] = [
        (Codec::Zstd, b"\x28\xb5\x2f\xfd\x00\x90\x01\0\0\0\0\0\0\0\0", "window"),
        (Codec::Zstd, b"\x28\xb5\x2f\xfd\x01\x50\x07\x01\0\0\0\0\0\0\0", "dictionary"),
        (Codec::Snappy, b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01", "snappy-java"),
        (Codec::Lz4, b"\x02\x21\x4c\x18\x05\0\0\0\x50aaaaa", "lz4 -l"),
        (Codec::Deflate, b"\x78\xbb\0\0\0\0\0\0\0\0\0", "dictionary"),
    ];
    for (codec, file, word) in files {
        let error = decode(codec, file, 1000, 1000).unwrap_err();
        assert!(matches!(error.reason, Reason::Unsupported(_)), "{codec}: {error}");
        assert!(error.to_string().contains(word), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 2, ..Default::default() })]
    #[test]
    fn a_flipped_bit_never_changes_what_is_decoded(data in data(600), at: prop::sample::Index, bit in 0u8..8) {
        for mut file in encodings(&data) {
            let at = at.index(file.bytes.len());
            file.bytes[at] ^= 1 << bit;
            // Without checksums nobody can know; but it ends, and in bounded memory.
            if let Ok(decoded) = decode(file.codec, &file.bytes, 100, 100)
                && file.has_sums
            {
                // A flipped flag may make a chunk one that is passed over, in the one format that has such chunks and no end.
                // These files have a single one.
                let is_passed_over = file.how == "framed" && decoded.is_empty();
                prop_assert!(decoded == data || is_passed_over, "{} {}: byte {}", file.codec, file.how, at);
            }
        }
    }

    #[test]
    fn any_bytes_come_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1usize..300) {
        for codec in Codec::ALL {
            let _ = decode(codec, &bytes, piece, 64);
        }
        for file in encodings(TEXT) {
            let _ = decode(file.codec, &[&file.bytes[..file.bytes.len() / 2], &bytes].concat(), piece, 64);
        }
    }
}
