//! Bounds of splits of TFRecord files, against the records that the file was made of; undamaged, and with a bit flipped or the end
//! cut off.
//!
//! The first bytes: the size of splits, how far chains are followed, how headers are read, what is damaged. Each of the others
//! adds a record, a byte or a header to a payload in hand, or opens a payload within it, or closes one.
#![no_main]

use std::ops::Range;

use forebay_record::{Counter, Extent, ExtentStep, Format, SplitPlace, TfRecordError, TfRecordStream};
use libfuzzer_sys::fuzz_target;

const LONGEST: usize = 20_000;

fn masked_crc(bytes: &[u8]) -> u32 {
    let crc = !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 })
    });
    crc.rotate_right(15).wrapping_add(0xA282_EAD8)
}

fn header(len: u64) -> Vec<u8> {
    [&len.to_le_bytes()[..], &masked_crc(&len.to_le_bytes()).to_le_bytes()].concat()
}

/// The checksums of payloads are nothing to anybody.
fn record(payload: &[u8]) -> Vec<u8> {
    [&header(payload.len() as u64)[..], payload, b"\x01\x02\x03\x04"].concat()
}

/// The records of a file.
fn records(program: &[u8]) -> Vec<Vec<u8>> {
    let (mut records, mut payloads, mut len) = (Vec::new(), Vec::<Vec<u8>>::new(), 0);
    for &byte in program {
        if len > LONGEST {
            break;
        }
        let made = match byte {
            0..100 => record(&vec![byte % 3; usize::from(byte)]),
            100..140 => {
                payloads.push(Vec::new());
                continue;
            }
            140..200 => match payloads.pop() {
                Some(payload) => record(&payload),
                None => continue,
            },
            200..230 => vec![byte; usize::from(byte - 199)],
            _ => header(1 << (2 * (byte - 230))),
        };
        len += made.len();
        match payloads.last_mut() {
            Some(payload) => payload.extend(made),
            None if byte < 200 => records.push(made),
            None => {}
        }
    }
    records.extend(payloads.iter().map(|payload| record(payload)));
    records
}

fn extent(
    file: &[u8],
    (start, end, next_end): (usize, usize, usize),
    known: Option<u64>,
    gap: u64,
    further: u64,
) -> Result<Range<u64>, TfRecordError> {
    let (start, end, next_end) = (start as u64, end as u64, next_end as u64);
    let place = SplitPlace { start, end, next_end, file_len: file.len() as u64 };
    let mut extent = Extent::new(place, known, gap).with_further(further);
    let (mut step, mut read) = (extent.step(), 0);
    loop {
        match step {
            ExtentStep::Found(range) => return Ok(range),
            ExtentStep::Read(range) => {
                assert!(range.start < range.end && range.end <= file.len() as u64, "{range:?}");
                read += range.end - range.start;
                assert!(read < 1000 * (file.len() as u64 + 4096), "{read} bytes read of {}", file.len());
                step = extent.feed(&file[range.start as usize..range.end as usize])?;
            }
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&[size0, size1, further, gap, damage0, damage1], program)) = bytes.split_first_chunk() else {
        return;
    };
    let records = records(program);
    let mut file = records.concat();
    let starts: Vec<u64> = records
        .iter()
        .scan(0, |end, record| {
            *end += record.len() as u64;
            Some(*end - record.len() as u64)
        })
        .collect();
    let whole = file.len() as u64;
    let size = (usize::from(u16::from_le_bytes([size0, size1])) + 1).max(file.len() / 20);
    // From some value on as far as the feeder does, and so to the end.
    let (further, gap) = (if further < 200 { u64::from(further) } else { 1 << 20 }, u64::from(gap));
    let damage = usize::from(u16::from_le_bytes([damage0, damage1]));
    // Even: none.
    let (at, cuts) = (damage / 18, damage / 2 % 9 == 8);
    let is_damaged = damage % 2 == 1 && at < file.len();
    if is_damaged {
        if cuts { file.truncate(at) } else { file[at] ^= 1 << (damage / 2 % 9) }
    }

    let splits = || {
        (0..file.len()).step_by(size).map(|at| (at, file.len().min(at + size), file.len().min(at + 2 * size)))
    };
    let wanted = |(start, end, _): (usize, usize, usize)| {
        let behind = |at: usize| starts.iter().copied().find(|&start| start >= at as u64).unwrap_or(whole);
        let len = file.len() as u64;
        behind(start).min(len)..behind(end).min(len)
    };
    let found: Vec<_> = splits().map(|split| extent(&file, split, None, gap, further)).collect();
    let are_right = splits().zip(&found).all(|(split, found)| found.as_ref() == Ok(&wanted(split)));
    let lost_none = !is_damaged
        || if cuts {
            starts.contains(&(at as u64)) || at as u64 == whole
        } else {
            !starts.iter().any(|&start| (start..start + 12).contains(&(at as u64)))
        };
    assert!(
        are_right || found.iter().any(Result::is_err),
        "no split of {size} knows: {found:?} of {starts:?}"
    );
    // A header in a payload may say that its record ends where one of the file's does, or the file; then one split fails.
    if lost_none && (!is_damaged || cuts) && further == 1 << 20 && program.iter().all(|&byte| byte < 230) {
        assert!(are_right, "{found:?} of {starts:?}");
    }
    if !lost_none {
        assert!(found.iter().any(Result::is_err), "damage at {at} is not found: {found:?}");
    }
    let mut known = None;
    for (split, found) in splits().zip(&found) {
        if known.is_some()
            && are_right
            && let Ok(found) = found
        {
            assert_eq!(extent(&file, split, known, gap, further).as_ref(), Ok(found), "known {known:?}");
        }
        known = found.as_ref().ok().map(|found| found.end);
    }

    let mut stream = TfRecordStream::default();
    let followed = file.chunks(gap as usize + 1).try_for_each(|piece| stream.advance(piece));
    assert_eq!(followed.and_then(|()| stream.finish()).is_ok(), lost_none);
    if !is_damaged && let Some(mut counter) = Counter::new(&Format::TfRecord) {
        file.chunks(gap as usize + 1).for_each(|piece| {
            counter.advance(piece, u64::MAX);
        });
        assert_eq!((counter.records(), counter.boundary()), (records.len() as u64, whole));
    }
});
