//! Splits against a plain reading of the whole file from its beginning; and what becomes of damage.

use core::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::delimiter::index;

/// CRC-32C, masked, bit by bit.
fn masked(bytes: &[u8]) -> u32 {
    let crc = !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 })
    });
    crc.rotate_right(15).wrapping_add(0xA282_EAD8)
}

fn head(len: u64) -> Vec<u8> {
    [&len.to_le_bytes()[..], &masked(&len.to_le_bytes()).to_le_bytes()].concat()
}

/// A record, as TensorFlow's documentation has it.
pub(crate) fn tfrecord(payload: &[u8]) -> Vec<u8> {
    [&head(payload.len() as u64)[..], payload, &masked(payload).to_le_bytes()].concat()
}

fn file(payloads: &[Vec<u8>]) -> Vec<u8> {
    payloads.iter().flat_map(|payload| tfrecord(payload)).collect()
}

/// How a test has headers read.
#[derive(Debug, Clone, Copy)]
struct Reading {
    gap: u64,
    dense: u64,
    further: u64,
}

const USUAL: Reading = Reading { gap: 8 << 10, dense: 256 << 10, further: 1 << 20 };

/// What an extent finds in bytes in memory, and how many reads and bytes that takes.
fn extent(
    bytes: &[u8],
    (start, end, next_end): (usize, usize, usize),
    known: Option<u64>,
    reading: Reading,
) -> (Result<Range<u64>, TfRecordError>, usize, u64) {
    let place = SplitPlace {
        start: start as u64,
        end: end as u64,
        next_end: next_end as u64,
        file_len: bytes.len() as u64,
    };
    let mut extent = Extent::new(place, known, reading.gap);
    (extent.dense, extent.further) = (reading.dense.max(HEADER as u64), reading.further);
    let (mut reads, mut read) = (0, 0);
    let mut step = extent.step();
    loop {
        match step {
            ExtentStep::Found(range) => return (Ok(range), reads, read),
            ExtentStep::Read(range) => {
                assert!(range.start < range.end && range.end <= bytes.len() as u64, "{range:?}");
                (reads, read) = (reads + 1, read + range.end - range.start);
                match extent.feed(&bytes[index(range.start)..index(range.end)]) {
                    Ok(next) => step = next,
                    Err(error) => return (Err(error), reads, read),
                }
            }
        }
    }
}

/// Splits of this size: start, end, and the end of the next one.
fn splits(len: usize, size: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..len).step_by(size).map(move |at| (at, len.min(at + size), len.min(at + 2 * size)))
}

/// Where the records of an undamaged file begin, and the file's end.
fn starts(payloads: &[Vec<u8>]) -> Vec<u64> {
    let ends = payloads.iter().scan(0, |at, payload| {
        *at += payload.len() as u64 + 16;
        Some(*at)
    });
    [0].into_iter().chain(ends).collect()
}

/// The records that begin in a split.
fn wanted(starts: &[u64], (start, end, _): (usize, usize, usize)) -> Range<u64> {
    let behind = |at: usize| *starts.iter().find(|&&start| start >= at as u64).unwrap();
    behind(start)..behind(end)
}

/// Payloads that are bytes, nothing, zeros, or whole TFRecord files, with something before; these, too, in one another.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let plain = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        Just(Vec::new()),
        (0usize..60).prop_map(|n| vec![0; n]),
    ];
    plain.prop_recursive(3, 24, 5, |inner| {
        (prop::collection::vec(inner, 0..5), 0usize..3)
            .prop_map(|(payloads, pad)| [vec![0; pad], file(&payloads)].concat())
    })
}

fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(payload(), 0..8)
}

/// And such as end in a part of a record: its length may lead to the next record, or to the file's end.
fn any_payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let part = (0u64..70).prop_map(head);
    let cut = (payload(), 0usize..20).prop_map(|(payload, cut)| {
        let whole = tfrecord(&payload);
        [tfrecord(b"a"), whole[..whole.len() - cut.min(whole.len())].to_vec()].concat()
    });
    prop::collection::vec(prop_oneof![payload(), part, cut], 0..8)
}

fn reading() -> impl Strategy<Value = Reading> {
    (0u64..40, 0u64..60).prop_map(|(gap, dense)| Reading { gap, dense, further: 1 << 20 })
}

#[test]
fn headers_are_as_they_are_documented() {
    assert_eq!(masked(b"123456789"), 0xE306_9283_u32.rotate_right(15).wrapping_add(0xA282_EAD8));
    for len in [0, 1, 255, 256, 0x0123_4567_89AB_CDEF, u64::MAX] {
        assert_eq!(header(&head(len)), Some(len));
        let mut bad = head(len);
        for i in 0..bad.len() * 8 {
            bad[i / 8] ^= 1 << (i % 8);
            assert_eq!(header(&bad), None);
            bad[i / 8] ^= 1 << (i % 8);
        }
    }
    assert_eq!(header(&head(0)[..11]), None);
}

#[test]
fn headers_are_found_between_zeros() {
    for before in 0..70 {
        for len in [0, 5, 300] {
            let bytes = [vec![0; before], tfrecord(&vec![0; len]), vec![0; 50]].concat();
            let end = (before + len + 16) as u64;
            assert_eq!(find(&bytes, 7, u64::MAX), Some((before, end + 7)));
            assert_eq!(find(&bytes, 0, end - 1), None, "its record does not fit");
            assert_eq!(find_ending_at(&bytes, 7, end + 7), Some(before));
            assert_eq!(find_ending_at(&bytes, 7, end + 8), None);
        }
    }
}

#[test]
fn lengths_of_any_size_are_no_reason_to_break() {
    for len in [1, 1 << 20, 1 << 31, 1 << 40, 1 << 63, u64::MAX - 16, u64::MAX] {
        let bytes = [tfrecord(b"abc"), head(len), vec![1; 4]].concat();
        let end = bytes.len() as u64;
        for split in splits(bytes.len(), 10) {
            let (found, ..) = extent(&bytes, split, None, USUAL);
            let cut = Err(TfRecordError::CutRecord { at: 19, len, end });
            let lost = Err(TfRecordError::LostEnd { at: split.0 as u64, end });
            assert!(found == cut || split.0 > 0 && found == lost, "{len}: {split:?} {found:?}");
        }
    }
}

#[test]
fn large_records_take_a_short_read_each() {
    let payloads: Vec<_> = (0..20).map(|i| vec![i; 400_000]).collect();
    let bytes = file(&payloads);
    let all = (0, bytes.len(), bytes.len());
    let (found, reads, read) = extent(&bytes, all, None, USUAL);
    assert_eq!((found, reads, read), (Ok(0..bytes.len() as u64), 20, 240));
    let small = file(&vec![vec![7; 100]; 20_000]);
    let all = (0, small.len(), small.len());
    let (found, reads, read) = extent(&small, all, None, USUAL);
    assert_eq!(found, Ok(0..small.len() as u64));
    assert!(
        reads <= 2 + small.len() / index(USUAL.dense) && read < small.len() as u64 + 3000,
        "{reads} {read}"
    );
}

#[test]
fn a_long_chain_in_a_payload_is_followed_once() {
    // 20 000 records that lead to nowhere: followed anew from each of them, that would be 200 million headers.
    let inner = file(&vec![vec![7; 20]; 20_000]);
    let payloads = vec![inner, vec![1; 30]];
    let bytes = file(&payloads);
    let split = (3, 40, 80);
    let (found, reads, read) = extent(&bytes, split, None, USUAL);
    assert_eq!(found, Ok(wanted(&starts(&payloads), split)));
    assert!(reads < 40 && read < 4 * bytes.len() as u64, "{reads} reads, {read} bytes of {}", bytes.len());
}

#[test]
fn a_payload_with_more_tfrecords_than_splits_are_long_lets_no_split_lie() {
    let further = 100;
    let payloads = vec![vec![1; 50], file(&vec![vec![7; 9]; 40]), vec![2; 50]];
    let bytes = file(&payloads);
    for size in [50, 100, 300, 1000] {
        let all: Vec<_> = splits(bytes.len(), size)
            .map(|split| extent(&bytes, split, None, Reading { further, ..USUAL }).0)
            .collect();
        let apart = |found: &Result<_, TfRecordError>| matches!(found, Err(error @ TfRecordError::Apart { .. }) if error.is_of_splits());
        let all_true = splits(bytes.len(), size)
            .zip(&all)
            .all(|(split, found)| *found == Ok(wanted(&starts(&payloads), split)));
        assert!(all_true || all.iter().any(apart), "{size}: {all:?}");
        assert_eq!(all_true, size == 1000, "{size}: longer than the payload, or found out");
    }
}

#[test]
fn payloads_of_eight_bytes_are_no_headers() {
    // 20: such a header would lead to the record behind the next one; 8: it would look like the one before it.
    for values in [[20_u64; 40], [8; 40], [44; 40], [0; 40], core::array::from_fn(|i| i as u64)] {
        let payloads: Vec<_> = values.iter().map(|value| value.to_le_bytes().to_vec()).collect();
        let (bytes, starts) = (file(&payloads), starts(&payloads));
        for (size, further) in (1..100).zip([1 << 20, 3, 40].into_iter().cycle()) {
            for split in splits(bytes.len(), size) {
                let (found, ..) = extent(&bytes, split, None, Reading { further, ..USUAL });
                assert_eq!(found, Ok(wanted(&starts, split)), "{split:?} of {values:?}");
            }
        }
    }
}

#[test]
fn a_stream_is_followed_to_its_end() {
    let bytes = file(&[b"abc".to_vec(), Vec::new()]);
    let follow = |bytes: &[u8], piece| {
        let mut stream = TfRecordStream::default();
        bytes.chunks(piece).try_for_each(|piece| stream.advance(piece)).and_then(|()| stream.finish())
    };
    for piece in 1..40 {
        for cut in 0..=bytes.len() {
            let end = cut as u64;
            let wanted = match cut {
                0 | 19 | 35 => Ok(()),
                1..12 => Err(TfRecordError::CutHeader { at: 0, end }),
                12..19 => Err(TfRecordError::CutRecord { at: 0, len: 3, end }),
                20..31 => Err(TfRecordError::CutHeader { at: 19, end }),
                _ => Err(TfRecordError::CutRecord { at: 19, len: 0, end }),
            };
            assert_eq!(follow(&bytes[..cut], piece), wanted, "cut at {cut}");
        }
        assert_eq!(follow(b"this is not one", piece), Err(TfRecordError::Header { at: 0 }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..Default::default() })]

    #[test]
    fn every_split_has_the_records_that_begin_in_it(
        payloads in payloads(), size in 1usize..200, reading in reading(), known: bool,
    ) {
        let (bytes, starts) = (file(&payloads), starts(&payloads));
        let mut before = None;
        for split in splits(bytes.len(), size) {
            let (found, _, read) = extent(&bytes, split, before.filter(|_| known), reading);
            prop_assert_eq!(found, Ok(wanted(&starts, split)), "{:?} of {:?}", split, starts);
            prop_assert!(read <= 100 * (bytes.len() as u64 + 4096), "{} bytes of {}", read, bytes.len());
            before = Some(wanted(&starts, split).end);
        }
    }

    #[test]
    fn whatever_payloads_hold_splits_are_right_or_one_of_them_fails(
        payloads in any_payloads(), size in 1usize..200, further in prop_oneof![0u64..100, Just(1 << 20)],
    ) {
        let (bytes, starts) = (file(&payloads), starts(&payloads));
        let reading = Reading { further, ..USUAL };
        let all: Vec<_> = splits(bytes.len(), size).map(|split| extent(&bytes, split, None, reading).0).collect();
        let are_true = splits(bytes.len(), size).zip(&all).all(|(split, found)| *found == Ok(wanted(&starts, split)));
        prop_assert!(are_true || all.iter().any(Result::is_err), "{:?}", all);
    }

    #[test]
    fn damage_is_found_or_leaves_a_true_prefix(
        payloads in payloads(), size in 1usize..200, at in 0usize..1000, bit in 0u8..9, reading in reading(),
    ) {
        let (mut bytes, starts) = (file(&payloads), starts(&payloads));
        prop_assume!(!bytes.is_empty());
        let at = at % bytes.len();
        let is_cut = bit == 8;
        if is_cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        let in_header = starts.iter().any(|&start| (start..start + 12).contains(&(at as u64)));
        let all: Vec<_> = splits(bytes.len(), size).map(|split| extent(&bytes, split, None, reading).0).collect();
        let whole = if is_cut { starts.contains(&(at as u64)) } else { !in_header };
        if whole {
            // A cut between two records leaves fewer of them, and damage in a payload is not looked for. Where it breaks a header
            // that the payload holds, what is behind that may look like one, and is told.
            let len = bytes.len() as u64;
            let wanted = splits(bytes.len(), size).map(|split| wanted(&starts, split));
            let wanted: Vec<_> = wanted.map(|wanted| Ok(wanted.start.min(len)..wanted.end.min(len))).collect();
            let is_apart = |found: &Result<_, TfRecordError>| found.as_ref().is_err_and(TfRecordError::is_of_splits);
            prop_assert!(all == wanted || !is_cut && all.iter().any(is_apart), "{:?}", all);
        } else {
            prop_assert!(all.iter().any(Result::is_err), "{:?}", all);
        }
    }

    #[test]
    fn without_tfrecords_in_payloads_a_split_that_lacks_a_record_knows_it_by_itself(
        lens in prop::collection::vec(0usize..60, 1..12), size in 1usize..200, which in 0usize..12, bit in 0usize..96,
        further in 0u64..100,
    ) {
        let payloads: Vec<_> = lens.iter().map(|&len| vec![0xA5; len]).collect();
        let (mut bytes, starts) = (file(&payloads), starts(&payloads));
        let at = index(starts[which % payloads.len()]) + bit / 8;
        bytes[at] ^= 1 << (bit % 8);
        for split in splits(bytes.len(), size) {
            if let Ok(found) = extent(&bytes, split, None, Reading { further, ..USUAL }).0 {
                prop_assert_eq!(found, wanted(&starts, split), "{:?}", split);
            }
        }
    }

    #[test]
    fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200), size in 1usize..60, reading in reading()) {
        for split in splits(bytes.len(), size) {
            if let Ok(found) = extent(&bytes, split, None, reading).0 {
                prop_assert!(found.start <= found.end && found.end <= bytes.len() as u64);
            }
        }
    }
}
