//! Archives put together by hand. What tools write is read in the tests of whole feeds.

use proptest::prelude::*;

use super::*;

/// A header with a checksum.
fn header(name: &str, kind: u8, size: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[124..124 + size.len()].copy_from_slice(size);
    block[156] = kind;
    block[257..263].copy_from_slice(b"ustar\0");
    summed(block)
}

fn summed(mut block: Vec<u8>) -> Vec<u8> {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn entry(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = header(name, kind, format!("{:011o}", content.len()).as_bytes());
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    entry(name, b'0', content)
}

fn end() -> Vec<u8> {
    vec![0; 1024]
}

/// `NAME=VALUE` with its length before it.
fn attribute(name: &str, value: &str) -> Vec<u8> {
    let len =
        (1..9999).find(|len: &usize| len.to_string().len() + name.len() + value.len() + 3 == *len).unwrap();
    format!("{len} {name}={value}\n").into_bytes()
}

/// Scans an archive of which these bytes are there, and everything else up to its length is zeros. Also how much was read.
fn scan_sparse(bytes: &[u8], file_len: u64, gap: u64) -> (Result<Archive, TarError>, u64) {
    let mut scan = TarScan::new(file_len, gap);
    let mut read = 0;
    let mut step = scan.step();
    loop {
        match step {
            Ok(TarStep::Found(archive)) => return (Ok(archive), read),
            Err(error) => return (Err(error), read),
            Ok(TarStep::Read(range)) => {
                assert!(range.start < range.end && range.end <= file_len, "{range:?}");
                read += range.end - range.start;
                let piece = range
                    .map(|at| usize::try_from(at).ok().and_then(|at| bytes.get(at)).copied().unwrap_or(0));
                step = scan.feed(&piece.collect::<Vec<_>>());
            }
        }
    }
}

fn scan(bytes: &[u8]) -> Result<Archive, TarError> {
    let (small, _) = scan_sparse(bytes, bytes.len() as u64, 0);
    let (large, _) = scan_sparse(bytes, bytes.len() as u64, 1 << 20);
    assert_eq!(small, large, "how much is read at once does not matter");
    large
}

fn reason(parts: &[Vec<u8>]) -> TarReason {
    scan(&parts.concat()).unwrap_err().reason
}

fn samples(first: &str, last: &str) -> Samples {
    Samples { first: first.into(), last: last.into() }
}

#[test]
fn archives_end_where_their_zeros_begin() {
    for padding in [1024, 1536, 10_240, 3 << 20] {
        let entries =
            [file("a/b.c/000.cls", b"7"), file("a/b.c/000.jpg", &[9; 700]), file("x", b"")].concat();
        let archive = scan(&[entries.clone(), vec![0; padding]].concat()).unwrap();
        assert_eq!(archive, Archive { end: entries.len() as u64, samples: Some(samples("a/b.c/000", "x")) });
    }
    assert_eq!(scan(&end()).unwrap(), Archive { end: 0, samples: None });
}

#[test]
fn paths_come_from_wherever_they_are_told() {
    let long = "d/".repeat(90) + "key.with.dots";
    let key = "d/".repeat(90) + "key";
    let pax = |attributes: &[Vec<u8>]| entry("pax", b'x', &attributes.concat());
    let gnu = |kind, name: &str| entry("././@LongLink", kind, &[name.as_bytes(), b"\0"].concat());
    let mut posix = file("name.x", b"abc");
    posix[345..351].copy_from_slice(b"prefix");
    posix.splice(..512, summed(posix[..512].to_vec()));
    for (entry, key) in [
        (file("name.x", b"abc"), "name"),
        (posix, "prefix/name"),
        ([pax(&[attribute("mtime", "1.5"), attribute("path", &long)]), file("cut", b"abc")].concat(), &*key),
        ([gnu(b'K', "to"), gnu(b'L', &long), file("cut", b"abc")].concat(), &key),
        ([gnu(b'L', "gnus"), pax(&[attribute("path", &long)]), file("cut", b"abc")].concat(), &key),
        ([entry("g", b'g', &attribute("comment", "x")), file("name.x", b"")].concat(), "name"),
        ([pax(&[]), file("name.x", b"")].concat(), "name"),
        (
            [
                entry("folder", b'5', b""),
                file("name.x", b""),
                entry("link", b'2', b""),
                entry("l", b'V', b""),
            ]
            .concat(),
            "name",
        ),
    ] {
        let archive = scan(&[&entry[..], &end()].concat()).unwrap();
        assert_eq!(archive, Archive { end: entry.len() as u64, samples: Some(samples(key, key)) });
    }
}

#[test]
fn sizes_come_from_wherever_they_are_told_and_little_is_read() {
    const LARGE: u64 = 40 << 30;
    let pax = [entry("pax", b'x', &attribute("size", &LARGE.to_string())), file("a", b"")].concat();
    let mut base256 = [0_u8; 12];
    base256[4..].copy_from_slice(&LARGE.to_be_bytes());
    base256[0] = 0x80;
    for entry in [pax, header("a", b'0', &base256)] {
        let end = entry.len() as u64 + LARGE;
        let (archive, read) = scan_sparse(&entry, end + 1024, 8 << 10);
        assert_eq!(archive.unwrap(), Archive { end, samples: Some(samples("a", "a")) });
        assert!(read < 20_000, "{read} bytes read");
        let (cut, _) = scan_sparse(&entry, end - 1, 8 << 10);
        assert_eq!(cut.unwrap_err().reason, TarReason::Truncated("an entry"));
    }
}

#[test]
fn what_is_no_archive_is_told() {
    assert_eq!(reason(&[b"just some text".repeat(100)]), TarReason::NotThis);
    assert_eq!(reason(&[b"short".to_vec()]), TarReason::NotThis);
    assert_eq!(reason(&[]), TarReason::NoEnd);
    assert_eq!(reason(&[file("a", b"abc")]), TarReason::NoEnd);
    assert_eq!(reason(&[file("a", b"abc"), vec![0; 100]]), TarReason::Truncated("a header"));
    let half = reason(&[file("a", b"abc"), vec![0; 512]]);
    assert_eq!(half, TarReason::Truncated("the two blocks of zeros that end an archive"));
    let error = scan(&[file("a", b"abc"), end(), file("b", b"")].concat()).unwrap_err();
    assert_eq!((error.offset, error.reason), (2048, TarReason::Trailing));
    let error = scan(&[file("a", b"abc"), vec![0; 512], file("b", b""), end()].concat()).unwrap_err();
    assert_eq!((error.offset, error.reason), (1536, TarReason::Trailing));
    let mut flipped = [file("a", b"abc"), file("b", b"abc"), end()].concat();
    flipped[1024 + 30] ^= 1;
    assert_eq!(scan(&flipped).unwrap_err(), TarError { offset: 1024, reason: TarReason::Checksum });
    for (size, fits) in [
        (&b"00000000008"[..], false),
        (b"77777777777", true),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", false),
    ] {
        let wanted = if fits {
            TarReason::Truncated("an entry")
        } else {
            TarReason::Damaged("an entry of an impossible size")
        };
        assert_eq!(reason(&[header("a", b'0', size), end()]), wanted);
    }
    let most = entry("pax", b'x', &attribute("size", &u64::MAX.to_string()));
    assert_eq!(reason(&[most, file("a", b""), end()]), TarReason::Truncated("an entry"));
    let of = |parts: &[Vec<u8>]| match reason(parts) {
        TarReason::Damaged(what) | TarReason::Unsupported(what) => what,
        other => panic!("{other}"),
    };
    assert!(of(&[entry("a", b'5', b"abc"), end()]).contains("no content"));
    assert!(of(&[entry("a", b'S', b"abc"), end()]).contains("sparse"));
    assert!(
        of(&[entry("p", b'x', &attribute("GNU.sparse.major", "1")), file("a", b""), end()])
            .contains("sparse")
    );
    assert!(of(&[entry("a", b'M', b"abc"), end()]).contains("another archive"));
    assert!(
        of(&[entry("g", b'g', &attribute("path", "all")), file("a", b""), end()])
            .contains("all that follows")
    );
    assert!(of(&[entry("p", b'x', &attribute("path", "x")), end()]).contains("without an entry"));
    assert!(of(&[header("p", b'x', b"77777777777"), end()]).contains("1 MiB"));
    for damaged in
        ["x path=a\n", "9 path=a\n\n", "99 path=a\n", "5 path=a\n", "6 path\n", "12 size=many\n", "3\n"]
    {
        assert!(
            of(&[entry("p", b'x', damaged.as_bytes()), file("a", b""), end()]).contains("is none"),
            "{damaged:?}"
        );
    }
}

proptest! {
    #[test]
    fn an_archive_cut_anywhere_is_none(
        entries in prop::collection::vec(("[a-c]{1,3}[.][a-c]", 0usize..2000, any::<bool>()), 0..8),
        cut in any::<prop::sample::Index>(),
        gap in 0u64..3000,
    ) {
        let mut bytes = Vec::new();
        for (name, len, is_long) in &entries {
            if *is_long {
                bytes.extend(entry("pax", b'x', &attribute("path", name)));
            }
            bytes.extend(file(if *is_long { "cut" } else { name }, &vec![b'x'; *len]));
        }
        let end = bytes.len() as u64;
        bytes.resize(bytes.len() + 1024, 0);
        let key = |entry: Option<&(String, usize, bool)>| entry.map(|entry| sample(entry.0.as_bytes()).to_vec());
        let samples = key(entries.first()).zip(key(entries.last())).map(|(first, last)| Samples { first, last });
        let (archive, read) = scan_sparse(&bytes, bytes.len() as u64, gap);
        prop_assert_eq!(archive.unwrap(), Archive { end, samples });
        prop_assert!(read <= 3 * bytes.len() as u64);
        let cut = cut.index(bytes.len());
        prop_assert!(scan_sparse(&bytes[..cut], cut as u64, gap).0.is_err(), "cut at {}", cut);
    }
}
