//! Leased splits: fed in the order they come, with positions from which another feed can go on.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../../fixtures/src/sequence.rs"]
#[allow(dead_code, unreachable_pub, reason = "a part of it serves others")]
mod written;

#[path = "../../fixtures/src/avro.rs"]
#[allow(dead_code, unreachable_pub, reason = "a part of it serves others")]
mod avro;

use std::fs;
use std::io::{self, Read, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use forebay_feeder::{
    Delivered, Ended, FileEntry, Hdfs, Lease, LeaseObserver, LeaseQueue, Leases, LineEnding, Meter, Settings,
    Sink, Skip, Stop, StreamPosition, Watch, feed_leases,
};
use forebay_record::{Counter, Delimiter, Fields, Format, Framing, SequenceRecords, Terminator};
use proptest::prelude::*;

/// Where a lease began: its id, where in the stream, what was left out of its own.
type Begin = (u64, StreamPosition, StreamPosition);

#[derive(Default)]
struct Journal(Vec<Begin>);

impl LeaseObserver for Journal {
    fn begin(&mut self, lease: u64, at: StreamPosition, skipped: StreamPosition) -> io::Result<()> {
        self.0.push((lease, at, skipped));
        Ok(())
    }
}

/// Feeds leases and gives the stream, and where each lease began.
fn fed(leases: &[Lease], format: &Format, settings: &Settings) -> (Vec<u8>, Vec<Begin>) {
    let meter = Arc::new(Meter::default());
    let (mut sink, read) = Sink::pipe(Arc::clone(&meter)).unwrap();
    let reader = thread::spawn(move || {
        let mut stream = Vec::new();
        fs::File::from(read).read_to_end(&mut stream).unwrap();
        stream
    });
    let queue = LeaseQueue::new(Hdfs::new(Duration::from_secs(1))).unwrap();
    for lease in leases {
        queue.push(lease.clone()).unwrap();
    }
    queue.close();
    let watch = Watch { stop: Arc::new(Stop::new().unwrap()), worker: None };
    let (mut journal, mut delivered) = (Journal::default(), Delivered::default());
    let leases = Leases { queue: &queue, format, observer: &mut journal };
    let ended = feed_leases(leases, settings, &mut sink, &watch, &meter, &mut delivered).unwrap();
    assert_eq!(ended, Ended::Complete);
    drop(sink);
    let stream = reader.join().unwrap();
    assert_eq!(meter.position().bytes, stream.len() as u64);
    (stream, journal.0)
}

fn leases(files: &[(&Path, u64)]) -> Vec<Lease> {
    let mut leases = Vec::new();
    for &(path, split_size) in files {
        let meta = fs::metadata(path).unwrap();
        let file = FileEntry {
            address: path.to_str().unwrap().to_owned(),
            len: meta.len(),
            split_size: NonZeroU64::new(split_size).unwrap(),
            identity: Some((meta.dev(), meta.ino())),
        };
        for start in (0..meta.len()).step_by(usize::try_from(split_size).unwrap()) {
            let end = start.saturating_add(split_size).min(meta.len());
            let id = leases.len() as u64;
            leases.push(Lease { id, file: file.clone(), start, end, skip: Skip::None });
        }
    }
    leases
}

fn records(format: &Format, stream: &[u8]) -> Vec<Vec<u8>> {
    let (mut counter, mut records, mut at) = (Counter::new(format).unwrap(), Vec::new(), 0);
    while at < stream.len() {
        let n = counter.advance(&stream[at..], records.len() as u64 + 1);
        records.push(stream[at..at + n].to_vec());
        at += n;
    }
    records
}

/// Length of the stream's first `n` records.
fn length_of(format: &Format, stream: &[u8], n: u64) -> usize {
    Counter::new(format).unwrap().advance(stream, n)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 2, ..Default::default() })]
    #[test]
    fn another_feed_goes_on_behind_what_was_acknowledged(
        first in "[ab\r\n|]{0,60}",
        second in "[ab\r\n|]{0,30}",
        split_size in 1u64..20,
        order in any::<prop::sample::Index>(),
        (kind, rewritten, by_records, compressed) in (0usize..4, any::<bool>(), any::<bool>(), any::<bool>()),
        share in 0.0f64..=1.0,
    ) {
        let format = format_of(kind);
        let dir = tempfile::tempdir().unwrap();
        let paths = [dir.path().join(if compressed { "first.gz" } else { "first" }), dir.path().join("second")];
        fs::write(&paths[0], if compressed { gzip(first.as_bytes()) } else { first.into() }).unwrap();
        fs::write(&paths[1], second).unwrap();
        // A compressed file is one split.
        let first_split = if compressed { u64::MAX } else { split_size };
        let mut leases = leases(&[(&paths[0], first_split), (&paths[1], split_size)]);
        if !leases.is_empty() {
            let n = leases.len();
            leases.rotate_left(order.index(n));
        }
        let line_ending = if rewritten { LineEnding::Lf } else { LineEnding::Keep };
        let settings = Settings { line_ending, count_records: true, ..Settings::default() };
        let (stream, begins) = fed(&leases, &format, &settings);
        let plain = Settings { line_ending, ..Settings::default() };
        prop_assert_eq!(&fed(&leases, &format, &plain).0, &stream, "counting changes nothing");
        prop_assert_eq!(begins.iter().map(|b| b.0).collect::<Vec<_>>(), leases.iter().map(|l| l.id).collect::<Vec<_>>());

        // Rewritten lines may hold a `\n` of a record's own.
        let shown = if rewritten { delimited(b"\n") } else { format.clone() };
        let all = records(&shown, &stream);
        let counted = |at: usize| records(&shown, &stream[..at]).len() as u64;
        for (_, at, _) in &begins {
            let bytes = usize::try_from(at.bytes).unwrap();
            prop_assert_eq!(at.records, counted(bytes));
            // A lease without a byte begins before what keeps the last line and the next one apart.
            let end = length_of(&shown, &stream, at.records) as u64;
            prop_assert!(at.bytes == end || at.bytes + 1 == end);
        }

        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
        let acknowledged = (share * all.len() as f64) as u64;
        let taken = length_of(&shown, &stream, acknowledged) as u64;
        let position = |begin: &Begin| if by_records { begin.1.records } else { begin.1.bytes };
        let ack = if by_records { acknowledged } else { taken };
        let Some(last) = begins.iter().rposition(|begin| position(begin) <= ack) else { return Ok(()) };
        let inside = ack - position(&begins[last]);
        let mut rest = leases[last..].to_vec();
        rest[0].skip = if by_records { Skip::Records(inside) } else { Skip::Bytes(inside) };
        let (again, resumed) = fed(&rest, &format, &settings);
        let joined = [&all[..usize::try_from(acknowledged).unwrap()], &records(&shown, &again)].concat();
        prop_assert_eq!(joined, all);
        let skipped = resumed[0].2;
        prop_assert_eq!(if by_records { skipped.records } else { skipped.bytes }, inside);
    }
}

#[test]
fn another_feed_goes_on_inside_a_split_of_a_sequence_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let texts =
        (0..30_usize).map(|i| (written::text(format!("k{i}")), written::text("v".repeat(i * 11 % 70))));
    let kind = written::Kind { interval: 200, ..written::Kind::TEXT };
    fs::write(&path, written::SequenceFile::write(&kind, &texts.collect::<Vec<_>>()).bytes).unwrap();
    let leases = leases(&[(&path, 250)]);
    let settings = Settings { count_records: true, ..Settings::default() };
    for fields in [Fields::Value, Fields::KeyValue] {
        for framing in [Framing::Raw, Framing::Length] {
            let format = Format::Sequence(SequenceRecords { fields, framing });
            let (stream, begins) = fed(&leases, &format, &settings);
            let all = records(&format, &stream);
            assert_eq!(all.len(), 30);
            for acknowledged in 0..all.len() {
                let records_of = |begin: &Begin| usize::try_from(begin.1.records).unwrap();
                let last = begins.iter().rposition(|begin| records_of(begin) <= acknowledged).unwrap();
                let taken = length_of(&format, &stream, acknowledged as u64) as u64;
                let mut rest = leases[last..].to_vec();
                let before = taken - begins[last].1.bytes;
                // Bytes that end inside a record have it fed whole.
                for skip in [
                    Skip::Records((acknowledged - records_of(&begins[last])) as u64),
                    Skip::Bytes(before),
                    Skip::Bytes(before + 1),
                ] {
                    rest[0].skip = skip;
                    let (again, _) = fed(&rest, &format, &settings);
                    let one_longer = skip == Skip::Bytes(before + 1) && all[acknowledged].len() == 1;
                    let from = acknowledged + usize::from(one_longer);
                    assert!(
                        records(&format, &again) == all[from..],
                        "{fields:?} {framing:?} {acknowledged} {skip:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn another_feed_goes_on_inside_a_split_of_an_avro_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let all: Vec<_> = (0..30).map(avro::sample).collect();
    fs::write(&path, avro::AvroFile::write(&avro::Kind::SAMPLE, &all).bytes).unwrap();
    let leases = leases(&[(&path, 3000)]);
    let settings = Settings { count_records: true, ..Settings::default() };
    for framing in [Framing::Raw, Framing::Length] {
        let format = Format::Avro(framing);
        let of =
            |record: &Vec<u8>| if framing == Framing::Raw { record.clone() } else { avro::framed(record) };
        let all: Vec<_> = all.iter().map(of).collect();
        let (stream, begins) = fed(&leases, &format, &settings);
        assert!(stream == all.concat());
        assert!(begins.len() > 3 && begins[1].1.bytes > 0);
        for acknowledged in 0..all.len() {
            let taken = all[..acknowledged].concat().len() as u64;
            let last = begins.iter().rposition(|begin| begin.1.bytes <= taken).unwrap();
            let mut rest = leases[last..].to_vec();
            let mut skips = vec![Skip::Bytes(taken - begins[last].1.bytes)];
            if framing == Framing::Length {
                skips.push(Skip::Records(acknowledged as u64 - begins[last].1.records));
                // Bytes that end inside a record have it fed whole.
                skips.push(Skip::Bytes(taken - begins[last].1.bytes + 1));
            }
            for skip in skips {
                rest[0].skip = skip;
                let (again, _) = fed(&rest, &format, &settings);
                assert!(again == all[acknowledged..].concat(), "{framing:?} {acknowledged} {skip:?}");
            }
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn delimited(delimiter: &[u8]) -> Format {
    Format::Lines(Terminator::Delimiter(Delimiter::new(delimiter).unwrap()))
}

fn format_of(kind: usize) -> Format {
    match kind {
        0 => Format::Lines(Terminator::Any),
        1 => delimited(b"||"),
        2 => delimited(b"\n\n"),
        _ => delimited(b"\n"),
    }
}

#[test]
fn a_feed_waits_for_leases_and_stops_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    fs::write(&path, "one\ntwo\nsix\n").unwrap();
    let meter = Arc::new(Meter::default());
    let (mut sink, read) = Sink::pipe(Arc::clone(&meter)).unwrap();
    let queue = Arc::new(LeaseQueue::new(Hdfs::new(Duration::from_secs(1))).unwrap());
    let stop = Arc::new(Stop::new().unwrap());
    let (theirs, lease) = (Arc::clone(&queue), leases(&[(&path, 4)]));
    let raised = Arc::clone(&stop);
    let other = thread::spawn(move || {
        let mut reader = fs::File::from(read);
        // By Hadoop's rule the first split has the first two lines.
        for (lease, bytes) in lease.into_iter().zip([8, 4]) {
            theirs.push(lease).unwrap();
            reader.read_exact(&mut vec![0; bytes]).unwrap();
        }
        raised.raise(1);
        reader
    });
    let watch = Watch { stop, worker: None };
    let (mut journal, mut delivered) = (Journal::default(), Delivered::default());
    let format = Format::Lines(Terminator::Any);
    let leases = Leases { queue: &queue, format: &format, observer: &mut journal };
    let ended = feed_leases(leases, &Settings::default(), &mut sink, &watch, &meter, &mut delivered).unwrap();
    assert_eq!(ended, Ended::Stopped);
    assert_eq!(meter.position().bytes, 12);
    assert_eq!(journal.0.len(), 2);
    other.join().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..Default::default() })]
    #[test]
    fn another_feed_of_tfrecords_goes_on_behind_what_was_acknowledged(
        seed: u64, split_size in 1u64..2000, by_records: bool, compressed: bool, share in 0.0f64..=1.0,
    ) {
        let all = forebay_fixtures::corpus::tfrecords(seed, 3000, 1000);
        let stored = all.concat();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(if compressed { "a.tfrecord.gz" } else { "a.tfrecord" });
        fs::write(&path, if compressed { gzip(&stored) } else { stored.clone() }).unwrap();
        let leases = leases(&[(&path, if compressed { u64::MAX } else { split_size })]);
        let settings = Settings { count_records: true, ..Settings::default() };
        let (stream, begins) = fed(&leases, &Format::TfRecord, &settings);
        prop_assert_eq!(&stream, &stored);
        prop_assert_eq!(&fed(&leases, &Format::TfRecord, &Settings::default()).0, &stored);
        prop_assert_eq!(&records(&Format::TfRecord, &stream), &all);

        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
        let acknowledged = (share * all.len() as f64) as usize;
        let taken = all[..acknowledged].concat().len() as u64;
        let ack = if by_records { acknowledged as u64 } else { taken };
        let position = |begin: &Begin| if by_records { begin.1.records } else { begin.1.bytes };
        let last = begins.iter().rposition(|begin| position(begin) <= ack).unwrap();
        let inside = ack - position(&begins[last]);
        let mut rest = leases[last..].to_vec();
        rest[0].skip = if by_records { Skip::Records(inside) } else { Skip::Bytes(inside) };
        prop_assert_eq!(fed(&rest, &Format::TfRecord, &settings).0, all[acknowledged..].concat());
    }
}
