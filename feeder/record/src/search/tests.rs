//! Searches against a reference that cuts the whole file from its beginning.

use proptest::prelude::*;

use super::*;

/// Runs a search against bytes in memory; also gives how many bytes it asked for.
fn run(format: &Format, at: u64, file: &[u8]) -> (Bound, u64) {
    let mut search = Search::new(format, at, file.len() as u64);
    let mut read = 0;
    loop {
        match search.step() {
            Step::Found(bound) => return (bound, read),
            Step::Failed(error) => panic!("{error}"),
            Step::Read(range) => {
                assert!(range.start < range.end && range.end <= file.len() as u64, "{range:?}");
                read += range.end - range.start;
                search.feed(&file[index(range.start)..index(range.end)]);
            }
        }
    }
}

/// Runs searches at all offsets, each with what an earlier one has found.
fn run_in_a_row(format: &Format, file: &[u8], step: usize) -> u64 {
    let (mut known, mut read) = (0, 0);
    for at in (0..=file.len()).step_by(step) {
        let mut search = Search::behind(format, at as u64, file.len() as u64, known);
        let bound = loop {
            match search.step() {
                Step::Found(bound) => break bound,
                Step::Failed(error) => panic!("{error}"),
                Step::Read(range) => {
                    read += range.end - range.start;
                    search.feed(&file[index(range.start)..index(range.end)]);
                }
            }
        };
        if file.len() < 100 {
            assert_eq!(
                bound.offset,
                run(format, at as u64, file).0.offset,
                "{format:?} at {at}, known {known}"
            );
        }
        known = bound.offset;
    }
    read
}

/// Starts and ends of all terminators, from the file's beginning.
fn terminators(terminator: &Terminator, file: &[u8]) -> Vec<(u64, u64)> {
    let (mut i, mut all) = (0, Vec::new());
    while i < file.len() {
        let len = match terminator {
            Terminator::Any if file[i..].starts_with(b"\r\n") => 2,
            Terminator::Any => usize::from(matches!(file[i], b'\r' | b'\n')),
            Terminator::Delimiter(d) if file[i..].starts_with(d.bytes()) => d.len(),
            Terminator::Delimiter(_) => 0,
        };
        if len > 0 {
            all.push((i as u64, (i + len) as u64));
        }
        i += len.max(1);
    }
    all
}

/// The first record start that the split at `at` owns.
fn reference(terminator: &Terminator, at: u64, file: &[u8]) -> u64 {
    if at == 0 {
        return if file.starts_with(BOM) { 3 } else { 0 };
    }
    let owned = |&&(begin, end): &&(u64, u64)| match terminator {
        // A line belongs to the split at `at` when it begins behind `at`.
        Terminator::Any => end > at,
        Terminator::Delimiter(_) => begin >= at,
    };
    terminators(terminator, file).iter().find(owned).map_or(file.len() as u64, |t| t.1)
}

fn delimited(bytes: &[u8]) -> Format {
    Format::Lines(Terminator::Delimiter(Delimiter::new(bytes).unwrap()))
}

fn check(format: &Format, file: &[u8]) {
    let Format::Lines(terminator) = format else { unreachable!() };
    let bounds: Vec<_> = (0..=file.len() as u64).map(|at| run(format, at, file).0).collect();
    for (at, bound) in bounds.iter().enumerate() {
        assert_eq!(bound.offset, reference(terminator, at as u64, file), "{format:?} at {at} of {file:?}");
        let same = index(bound.same_until.min(file.len() as u64));
        for other in &bounds[at..=same.max(at)] {
            assert_eq!(
                other.offset, bound.offset,
                "{format:?} at {at} of {file:?}: not the same until {same}"
            );
        }
    }
}

#[test]
fn fixed_and_bytes_need_no_read() {
    let fixed = Format::Fixed(7.try_into().unwrap());
    for (at, offset) in [(0, 0), (1, 7), (7, 7), (8, 14), (20, 21), (21, 21)] {
        let (bound, read) = run(&fixed, at, &[0; 21]);
        assert_eq!((bound.offset, read), (offset, 0));
    }
    assert_eq!(run(&Format::Bytes, 5, &[0; 21]).0.offset, 5);
    assert_eq!(run(&Format::Bytes, 50, &[0; 21]).0.offset, 21);
}

#[test]
fn a_mark_is_no_record() {
    let lines = Format::Lines(Terminator::Any);
    for file in
        [&b"\xEF\xBB\xBF"[..], b"\xEF\xBB\xBF\n", b"\xEF\xBB", b"\xEF\xBB\xBFa\nb", b"a\xEF\xBB\xBF\n"]
    {
        check(&lines, file);
    }
}

#[test]
fn a_carriage_return_at_the_end_of_a_chunk_waits_for_the_next_byte() {
    for follow in [&b"\nb\n"[..], b"b\n", b"", b"\rb", b"\n"] {
        for pad in 4090..4100 {
            let mut file = vec![b'a'; pad];
            file.push(b'\r');
            file.extend_from_slice(follow);
            let (bound, _) = run(&Format::Lines(Terminator::Any), 1, &file);
            assert_eq!(bound.offset, reference(&Terminator::Any, 1, &file), "pad {pad}, then {follow:?}");
        }
    }
}

#[test]
fn a_delimiter_across_chunks_is_found() {
    for pad in 4080..4100 {
        let mut file = vec![b'a'; pad];
        file.extend_from_slice(b"<end>tail<end>");
        assert_eq!(run(&delimited(b"<end>"), 1, &file).0.offset, pad as u64 + 5);
    }
}

#[test]
fn a_long_chain_of_overlaps_is_followed_to_its_beginning() {
    for run_of in [9_000, 9_001, 300_000, 300_001] {
        let mut file = vec![b'x'];
        file.extend(std::iter::repeat_n(b'\n', run_of));
        file.extend_from_slice(b"y\n\nz");
        for at in [run_of as u64 - 1, run_of as u64, run_of as u64 + 1] {
            let Format::Lines(terminator) = delimited(b"\n\n") else { unreachable!() };
            assert_eq!(run(&delimited(b"\n\n"), at, &file).0.offset, reference(&terminator, at, &file));
        }
    }
}

#[test]
fn a_chain_is_followed_back_to_what_is_known() {
    let file = vec![b'|'; 4 << 20];
    let read = run_in_a_row(&delimited(b"||"), &file, 64 << 10);
    assert!(read < 6 * file.len() as u64, "{read} bytes read for bounds in a file of {}", file.len());
}

#[test]
fn a_search_reads_little_beyond_the_line() {
    let mut file = vec![b'a'; 10 << 20];
    file[5 << 20] = b'\n';
    let (bound, read) = run(&Format::Lines(Terminator::Any), 1, &file);
    assert_eq!(bound.offset, (5 << 20) + 1);
    assert!(read < 8 << 20, "{read} bytes read to cross a line of 5 MiB");
    assert!(run(&Format::Lines(Terminator::Any), 5 << 20, &file).1 <= 4096);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..Default::default() })]

    #[test]
    fn lines_equal_the_reference(file in "[ab\r\n]{0,30}") {
        check(&Format::Lines(Terminator::Any), file.as_bytes());
    }

    #[test]
    fn delimited_equal_the_reference(file in "[ab]{0,30}", delimiter in "[ab]{1,4}") {
        check(&delimited(delimiter.as_bytes()), file.as_bytes());
        for step in 1..8 {
            run_in_a_row(&delimited(delimiter.as_bytes()), file.as_bytes(), step);
        }
    }
}
