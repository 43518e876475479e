//! A cache as its users have it: what goes by is found again, and nothing that happens to the folder reaches them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use forebay_cache::{BlockKey, Cache, Extent, Part, STRETCH};
use proptest::collection::vec;
use proptest::prelude::*;

const LIMIT: u64 = 1 << 30;
const CHUNK: usize = 512;
const HEADER: &[u8] = b"header!";
const PATIENCE: Duration = Duration::from_mins(2);

fn key(len: usize) -> BlockKey {
    BlockKey::new("BP-7-127.0.0.1-1", 12, 1003, len as u64).unwrap()
}

/// Bytes that tell every position from every other, as far as that goes.
fn block(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ i >> 8 ^ i >> 16).to_le_bytes()[0]).collect()
}

/// What stands for the checksum of each chunk: its number.
fn sums(from: usize, to: usize) -> Vec<u8> {
    (from / CHUNK..to.div_ceil(CHUNK)).flat_map(|i| u32::try_from(i).unwrap().to_be_bytes()).collect()
}

/// Shows a part of a block in pieces of so many bytes.
fn show(cache: &Cache, bytes: &[u8], from: usize, to: usize, piece: usize) {
    let Some(mut filler) = cache.filler(key(bytes.len()), HEADER.to_vec(), CHUNK as u64, to as u64) else {
        return;
    };
    let mut at = from;
    while at < to {
        let end = (at + piece).min(to);
        filler.seen(at as u64, &bytes[at..end], &sums(at, end));
        at = end;
    }
}

fn content(cache: &Cache, key: &BlockKey, extent: Extent) -> Vec<u8> {
    let entry = cache.entry(key, extent).unwrap();
    let mut bytes = vec![0; usize::try_from(entry.file.metadata().unwrap().len()).unwrap()];
    entry.file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// Checks all that is kept of a block, and gives how many of its bytes that is.
fn check(cache: &Cache, bytes: &[u8]) -> u64 {
    let key = key(bytes.len());
    let mut kept = 0;
    for part in cache.parts(&key, 0..bytes.len() as u64) {
        let Part::Kept(extent, range) = part else { continue };
        let [from, to] = [extent.from, extent.to].map(|at| usize::try_from(at).unwrap());
        let wanted = [&bytes[from..to], HEADER, &sums(from, to)].concat();
        assert!(content(cache, &key, extent) == wanted, "{extent:?}");
        kept += range.end - range.start;
    }
    kept
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(&folder.join("forebay-cache-1/blocks"), &mut found);
    found
}

#[test]
fn what_goes_by_is_found_again_by_others_and_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = block(20 << 20);
    let cache = Cache::new(folder.path(), LIMIT);
    let other = Cache::new(folder.path(), LIMIT);
    show(&cache, &bytes, 0, bytes.len(), 64 << 10);
    assert!(cache.finish(PATIENCE, || false));
    for cache in [&cache, &other, &Cache::new(folder.path(), LIMIT)] {
        assert_eq!(check(cache, &bytes), bytes.len() as u64);
        assert_eq!(cache.note(), None);
    }
    assert_eq!(cache.figures().stored_bytes, bytes.len() as u64);
    assert_eq!(other.figures().stored_bytes, 0);
    // Three stretches, the last of which is short.
    assert_eq!(entries(folder.path()).len(), 3);
    let changed = BlockKey::new("BP-7-127.0.0.1-1", 12, 1004, bytes.len() as u64).unwrap();
    assert_eq!(cache.parts(&changed, 0..10), [Part::Missing(0..10)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Parts of a block in any order and pieces, around the border of a stretch, some broken off, and bad ones dropped.
    #[test]
    fn nothing_is_found_but_what_went_by(
        shown in vec((0usize..60, 1usize..60, 1usize..5), 1..8), drop in 0usize..8, tail in 0usize..CHUNK,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path(), LIMIT);
        let start = usize::try_from(STRETCH).unwrap() - 50 * CHUNK;
        let bytes = block(start + 100 * CHUNK + tail);
        let mut went_by = [false; 120];
        for (from, count, piece) in shown {
            let to = (from + count).min(101);
            went_by[from..to].fill(true);
            let [from, to] = [from, to].map(|chunk| (start + chunk * CHUNK).min(bytes.len()));
            show(&cache, &bytes, from, to, piece * CHUNK);
        }
        prop_assert!(cache.finish(PATIENCE, || false));
        let count = went_by[..100].iter().filter(|seen| **seen).count() * CHUNK;
        let all = count + if went_by[100] { tail } else { 0 };
        prop_assert_eq!(check(&cache, &bytes), all as u64);
        let parts = cache.parts(&key(bytes.len()), 0..bytes.len() as u64);
        if let Some(Part::Kept(extent, _)) = parts.get(drop) {
            let entry = cache.entry(&key(bytes.len()), *extent).unwrap();
            cache.is_bad(&entry);
            prop_assert!(cache.finish(PATIENCE, || false));
            prop_assert!(cache.entry(&key(bytes.len()), *extent).is_none());
            prop_assert_eq!(cache.figures().bad_entries, 1);
            check(&cache, &bytes);
        }
    }
}

#[test]
fn a_chunk_in_part_and_odd_chunks_are_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path(), LIMIT);
    let bytes = block(10 * CHUNK);
    let mut filler = cache.filler(key(bytes.len()), HEADER.to_vec(), CHUNK as u64, 5 * CHUNK as u64).unwrap();
    filler.seen(0, &bytes[..=CHUNK], &sums(0, CHUNK + 1));
    drop(filler);
    assert!(cache.finish(PATIENCE, || false));
    assert_eq!(check(&cache, &bytes), 0);
    for chunk in [0, 1, 1000, STRETCH * 2] {
        assert!(cache.filler(key(bytes.len()), HEADER.to_vec(), chunk, 100).is_none(), "{chunk}");
    }
}

#[test]
fn the_limit_holds_while_two_fill_and_others_read() {
    let folder = tempfile::tempdir().unwrap();
    let limit = 3 * STRETCH;
    let bytes = block(4 << 20);
    let over = AtomicBool::new(false);
    let caches = [Cache::new(folder.path(), limit), Cache::new(folder.path(), limit)];
    let fill = |cache: &Cache, ids: std::ops::Range<i64>| {
        for id in ids {
            let key = BlockKey::new("BP-1", id, 1, bytes.len() as u64).unwrap();
            let mut filler = cache.filler(key, HEADER.to_vec(), CHUNK as u64, bytes.len() as u64).unwrap();
            filler.seen(0, &bytes, &sums(0, bytes.len()));
            drop(filler);
            assert!(cache.finish(PATIENCE, || false));
        }
    };
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let cache = Cache::new(folder.path(), limit);
            let mut most = 0;
            while !over.load(Relaxed) {
                for id in 0..40 {
                    let key = BlockKey::new("BP-1", id, 1, bytes.len() as u64).unwrap();
                    for part in cache.parts(&key, 0..bytes.len() as u64) {
                        let Part::Kept(extent, _) = part else { continue };
                        let Some(entry) = cache.entry(&key, extent) else { continue };
                        let mut read = vec![0; bytes.len()];
                        entry.file.read_exact_at(&mut read, 0).unwrap();
                        assert!(read == bytes, "an entry that is not whole");
                    }
                }
                let sizes = entries(folder.path()).into_iter().filter_map(|path| fs::metadata(path).ok());
                most = most.max(sizes.map(|meta| meta.len()).sum());
            }
            most
        });
        let fillers = [scope.spawn(|| fill(&caches[0], 0..30)), scope.spawn(|| fill(&caches[1], 10..40))];
        for filler in fillers {
            filler.join().unwrap();
        }
        over.store(true, Relaxed);
        let most: u64 = reader.join().unwrap();
        // The look is not of one moment: an entry may be counted beside the one that had to go for it.
        assert!(most <= limit + STRETCH, "{most}");
    });
    assert!(caches.iter().all(|cache| cache.note().is_none()));
    let [a, b] = caches.map(|cache| cache.figures());
    assert!(a.evicted_bytes + b.evicted_bytes > 0, "{a:?} {b:?}");
}

#[test]
fn a_broken_folder_gives_nothing_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let cache = Cache::new(&file, LIMIT);
    assert!(cache.filler(key(100), HEADER.to_vec(), CHUNK as u64, 100).is_none());
    assert_eq!(cache.parts(&key(100), 5..9), [Part::Missing(5..9)]);
    assert!(cache.finish(Duration::ZERO, || false));
    let note = cache.note().unwrap();
    assert!(note.contains("no block cache") && note.contains(file.to_str().unwrap()), "{note}");
}

#[test]
fn the_first_failure_to_write_ends_the_filling_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = block(100 * CHUNK);
    let cache = Cache::new(folder.path(), LIMIT);
    // Nothing can be made below a file.
    fs::write(folder.path().join("forebay-cache-1/tmp"), "x").unwrap();
    show(&cache, &bytes, 0, bytes.len(), 1000 * CHUNK);
    assert!(cache.finish(PATIENCE, || false));
    let note = cache.note().unwrap();
    assert!(note.contains("nothing more is kept in the block cache"), "{note}");
    assert!(cache.filler(key(100), HEADER.to_vec(), CHUNK as u64, 100).is_none());
    assert_eq!((check(&cache, &bytes), cache.figures().stored_bytes), (0, 0));
}
