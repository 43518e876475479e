//! Properties of fed records: whatever a file holds and however it is cut and shared, the shares hold its records,
//! each once, and each split delivers what a plain reference says is its own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::io::Read;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use forebay_feeder::{
    Delivered, Ended, Hdfs, Input, LineEnding, Meter, Plan, PlanOptions, Settings, Sink, Stop, Watch, feed,
};
use forebay_fixtures::model::{self, Multiset};
use forebay_record::{Delimiter, Format, Terminator};
use forebay_split::Shard;
use proptest::prelude::*;
use support::{Room, arg, code, run, sh, text};

/// What a feed of `file` hands over.
fn fed(file: &Path, format: &Format, split_size: u64, shard: Shard, line_ending: LineEnding) -> Vec<u8> {
    let options = PlanOptions {
        format: format.clone(),
        by_name: false,
        split_size: NonZeroU64::new(split_size),
        shard,
    };
    let inputs = [Input::Local(file.to_owned())];
    let plan = Plan::new(&inputs, options, Hdfs::new(std::time::Duration::from_secs(1))).unwrap();
    let meter = Arc::new(Meter::default());
    let (mut sink, pipe) = Sink::pipe(Arc::clone(&meter)).unwrap();
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        fs::File::from(pipe).read_to_end(&mut bytes).map(|_| bytes)
    });
    let watch = Watch { stop: Arc::new(Stop::new().unwrap()), worker: None };
    let settings = Settings { line_ending, ..Settings::default() };
    let ended = feed(&plan, &settings, &mut sink, &watch, &meter, &mut Delivered::default()).unwrap();
    assert_eq!(ended, Ended::Complete);
    drop(sink);
    reader.join().unwrap().unwrap()
}

fn lines(delimiter: Option<&[u8]>) -> Format {
    Format::Lines(delimiter.map_or(Terminator::Any, |d| Terminator::Delimiter(Delimiter::new(d).unwrap())))
}

/// Records as a reader of the delivered bytes would cut them. A terminator is put before them: what looks like a byte
/// order mark at their beginning is data there.
fn read_back(delivered: &[u8], delimiter: Option<&[u8]>) -> Vec<Vec<u8>> {
    let stream = [delimiter.unwrap_or(b"\n"), delivered].concat();
    let records = match delimiter {
        None => model::lines(&stream),
        Some(delimiter) => model::delimited(&stream, delimiter),
    };
    records[1..].iter().map(|r| r.text(&stream).to_vec()).collect()
}

/// What ends a last record that has no end of its own: the first of all beginnings cut off the terminator, shortest
/// first, with which the record is cut at its end and nowhere before.
fn last_end<'d>(record: &[u8], delimiter: Option<&'d [u8]>) -> &'d [u8] {
    let Some(delimiter) = delimiter else { return b"\n" };
    let ends = |rest: &&[u8]| {
        let ended = [record, rest].concat();
        model::delimited(&ended, delimiter).iter().map(|r| r.end_without_terminator).collect::<Vec<_>>()
            == [ended.len() - delimiter.len()]
    };
    (0..delimiter.len()).map(|cut| &delimiter[cut..]).find(ends).unwrap()
}

/// The bytes that one split must deliver: its records as they are stored, and an end for a last one without.
fn stored(file: &[u8], delimiter: Option<&[u8]>, start: usize, end: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in model::split_records(file, delimiter, start, end) {
        bytes.extend_from_slice(&file[record.begin..record.end_with_terminator]);
        if record.end_with_terminator == record.end_without_terminator {
            bytes.extend_from_slice(last_end(record.text(file), delimiter));
        }
    }
    bytes
}

/// All records of a file, the last one as it reads once it is ended.
fn records(file: &[u8], delimiter: Option<&[u8]>) -> Vec<Vec<u8>> {
    read_back(&stored(file, delimiter, 0, file.len()), delimiter)
}

/// Every split alone delivers its own bytes; `count` shares together deliver every record once.
fn check_lines(content: &[u8], delimiter: Option<&[u8]>, split_size: u64, count: u32) {
    let room = Room::new();
    let file = room.file("f", content);
    let format = lines(delimiter);
    let size = usize::try_from(split_size).unwrap();
    let splits = u32::try_from(content.len().div_ceil(size)).unwrap();
    for k in 0..splits {
        let start = k as usize * size;
        let expected = stored(content, delimiter, start, (start + size).min(content.len()));
        let delivered = fed(&file, &format, split_size, Shard::new(k, splits).unwrap(), LineEnding::Keep);
        assert_eq!(delivered.escape_ascii().to_string(), expected.escape_ascii().to_string(), "split {k}");
    }
    let all: Multiset = records(content, delimiter).into_iter().collect();
    for line_ending in [LineEnding::Keep, LineEnding::Lf] {
        let shares = (0..count).flat_map(|i| {
            let share = fed(&file, &format, split_size, Shard::new(i, count).unwrap(), line_ending);
            read_back(&share, if line_ending == LineEnding::Keep { delimiter } else { Some(b"\n") })
        });
        let all = match line_ending {
            LineEnding::Keep => all.clone(),
            // Rewritten, a record that holds `\n` reads as several.
            LineEnding::Lf => records(content, delimiter)
                .iter()
                .flat_map(|record| record.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>())
                .collect(),
        };
        let difference = all.differences(&shares.collect(), 5);
        assert!(difference.is_empty(), "{line_ending:?}, reference / fed: {difference:?}");
    }
}

/// Pieces that make trouble at bounds, and sometimes a line far longer than a split.
fn adversarial() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![&b"\n"[..], b"\r", b"\r\n", b"\n\r", b"\r\r", b"\n\n"]).prop_map(<[u8]>::to_vec),
        4 => prop::sample::select(vec![&b"|"[..], b"||", b"<end>", b"<e", b"a", b"b", b"ab", b"\0"])
            .prop_map(<[u8]>::to_vec),
        2 => prop::sample::select(vec![&b"\xef\xbb\xbf"[..], b"\xef", b"\xff\xfe", b"\xc3"]).prop_map(<[u8]>::to_vec),
        4 => prop::collection::vec(any::<u8>(), 1..6),
        1 => (20usize..120).prop_map(|n| vec![b'x'; n]),
    ];
    let mark =
        prop::bool::weighted(0.2).prop_map(|with| if with { b"\xef\xbb\xbf".to_vec() } else { Vec::new() });
    (mark, prop::collection::vec(piece, 0..24)).prop_map(|(mark, pieces)| [mark, pieces.concat()].concat())
}

/// A file, a split size from 1 to a little beyond its length (small ones more often), and a number of shares.
fn cases() -> impl Strategy<Value = (Vec<u8>, u64, u32)> {
    adversarial().prop_flat_map(|content| {
        let len = content.len() as u64;
        (Just(content), prop_oneof![1..=len.clamp(1, 9), 1..=len + 5], 1u32..5)
    })
}

fn moderately() -> ProptestConfig {
    ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(moderately())]

    #[test]
    fn lines_are_fed_each_once_and_by_the_split_that_owns_them((content, size, count) in cases()) {
        check_lines(&content, None, size, count);
    }

    #[test]
    fn delimited_records_are_fed_each_once_and_by_the_split_that_owns_them(
        (content, size, count) in cases(),
        delimiter in prop::sample::select(vec![&b"||"[..], b"<end>", b"\n\n", b"ab", b"\n", b"aba", b"\r\n"]),
    ) {
        check_lines(&content, Some(delimiter), size, count);
    }

    #[test]
    fn raw_splits_are_the_bytes_between_their_bounds((content, size, count) in cases()) {
        let room = Room::new();
        let file = room.file("f", &content);
        let pieces: Vec<&[u8]> = content.chunks(usize::try_from(size).unwrap()).collect();
        for i in 0..count {
            let expected: Vec<_> = pieces.iter().skip(i as usize).step_by(count as usize).copied().collect();
            let share = fed(&file, &Format::Bytes, size, Shard::new(i, count).unwrap(), LineEnding::Keep);
            prop_assert_eq!(share, expected.concat());
        }
    }

    #[test]
    fn fixed_records_go_to_the_split_in_which_they_begin(
        record in 1usize..9, n in 0usize..40, size in 1usize..60, count in 1u32..5
    ) {
        let content: Vec<u8> = (0..=u8::MAX).cycle().take(record * n).collect();
        let room = Room::new();
        let file = room.file("f", &content);
        let format = Format::Fixed(NonZeroU64::new(record as u64).unwrap());
        for i in 0..count {
            let owned = |at: &usize| (at * record / size) % count as usize == i as usize;
            let expected: Vec<_> = (0..n).filter(owned).map(|at| &content[at * record..][..record]).collect();
            let share = fed(&file, &format, size as u64, Shard::new(i, count).unwrap(), LineEnding::Keep);
            prop_assert_eq!(share, expected.concat());
        }
    }
}

#[test]
fn files_that_are_all_edge_are_fed_right() {
    for content in [
        &b""[..],
        b"x",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\r",
        b"\r\r\n\n",
        b"a\r\nb",
        b"a\r",
        b"\0",
        b"\0\n\0",
        b"\xff\xfe\n\xc3",
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf\n",
        b"\xef\xbb\xbfa\r\xef\xbb\xbf\nb",
        b"\xef\xbb",
    ] {
        for size in 1..=content.len() as u64 + 2 {
            check_lines(content, None, size, 2);
            check_lines(content, Some(b"\n"), size, 2);
            check_lines(content, Some(b"\r\n"), size, 3);
        }
    }
}

/// Bounds and seams where reads are cut: every chunk the searches read ends near a terminator.
#[test]
fn terminators_at_the_edges_of_reads_are_seen() {
    for at in [4095, 4096, 4097, 20479, 20480, 20481] {
        for end in [&b"\n"[..], b"\r", b"\r\n", b"\r\r\n"] {
            let content = [&vec![b'x'; at][..], end, b"\nlast"].concat();
            check_lines(&content, None, 1000, 2);
            check_lines(&content, Some(b"\r\n"), 1000, 2);
        }
    }
}

/// Bytes that a feed of `in` has read in user space until its worker saw the end, and bytes that the worker got.
fn read_and_fed(room: &Room, args: &[&str]) -> (u64, u64) {
    let worker = sh("wc -c > count; cat /proc/$PPID/io > io");
    let output = run(room.feed(["in"]).args(args).args(worker));
    assert_eq!(code(&output), 0, "{output:?}");
    let io = fs::read_to_string(room.path("io")).unwrap();
    let read = io.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok()).unwrap();
    (read, fs::read_to_string(room.path("count")).unwrap().trim().parse().unwrap())
}

/// A line longer than many splits is looked through once, not once per split.
#[test]
fn a_line_longer_than_many_splits_is_searched_once() {
    const LEN: u64 = 64 << 20;
    let room = Room::new();
    room.sparse("in", LEN);
    for (shard, all) in [("0/2", LEN + 1), ("1/2", 0)] {
        let (read, fed) = read_and_fed(&room, &["--split-size", "64K", "--shard", shard]);
        assert_eq!(fed, all);
        assert!(read < 2 * LEN, "{read} bytes were read to find the bounds of {LEN} bytes");
    }
}

/// Where delimiters overlap, how they are cut depends on what stands before, however far back.
#[test]
fn a_run_of_overlapping_delimiters_longer_than_many_splits_is_searched_once() {
    const LEN: u64 = 1 << 20;
    let room = Room::new();
    room.file("in", vec![b'|'; 1 << 20]);
    let (read, fed) = read_and_fed(&room, &["--split-size", "16K", "--shard", "0/2", "--delimiter", "||"]);
    // The first split also has the delimiter that begins at its end.
    assert_eq!(fed, LEN / 2 + 2);
    // Back to the last bound and forth again, in pieces larger than need be.
    assert!(read < 8 * LEN, "{read} bytes were read to find the bounds of {LEN} bytes");
}

#[test]
fn the_command_line_takes_delimiters_and_line_endings() {
    let room = Room::new();
    let file = room.file("f", b"a||b\r\nc\r||d");
    let stdout = |args: &[&str]| run(room.feed([arg(&file)]).args(args)).stdout;
    assert_eq!(stdout(&["--delimiter", "||"]), b"a||b\r\nc\r||d||");
    assert_eq!(stdout(&["--delimiter", r"\x7c|", "--line-ending", "lf"]), b"a\nb\r\nc\r\nd\n");
    assert_eq!(stdout(&["--delimiter", r"\n"]), b"a||b\r\nc\r||d\n");
    assert_eq!(stdout(&["--line-ending", "lf"]), b"a||b\nc\n||d\n");
}

/// Large enough for several reads and pipe fills, with more shares than fit evenly.
#[test]
fn shares_of_a_large_file_hold_each_line_once() {
    let room = Room::new();
    let content = text(3 << 20);
    let file = room.file("f", &content);
    let all: Multiset = model::lines(&content).iter().map(|r| r.text(&content)).collect();
    let share = |i| fed(&file, &lines(None), 100_000, Shard::new(i, 3).unwrap(), LineEnding::Keep);
    let fed: Multiset = (0..3).flat_map(|i| read_back(&share(i), None)).collect();
    assert_eq!(all.differences(&fed, 5), [""; 0]);
}
