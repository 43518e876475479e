//! The folder: room, leftovers, and what is not ours.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;

const LIMIT: u64 = 100 * 4096;

fn key() -> BlockKey {
    BlockKey::new("BP-1", 1, 1001, 1 << 30).unwrap()
}

fn extent(index: u64) -> Extent {
    Extent { from: index * 8192, to: index * 8192 + 5000 }
}

struct Room {
    folder: Folder,
    dir: tempfile::TempDir,
}

impl Room {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { folder: Folder::open(dir.path()).unwrap(), dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(OURS).join(name)
    }

    fn store(&self, index: u64) -> bool {
        let (reserved, _) = self.folder.reserve(&key(), extent(index), 5000, LIMIT).unwrap();
        reserved.is_some_and(|reserved| {
            (&reserved.file).write_all(&[7; 5000]).unwrap();
            self.folder.publish(&reserved, &key(), extent(index)).unwrap()
        })
    }

    fn used(&self) -> Option<u64> {
        self.folder.lock().unwrap().used
    }

    fn kept(&self) -> Vec<u64> {
        let mut kept: Vec<_> =
            self.folder.extents(&key()).unwrap().iter().map(|extent| extent.from / 8192).collect();
        kept.sort_unstable();
        kept
    }

    /// As if an entry had been used last at this time.
    fn age(&self, index: u64, seconds: i64) {
        let file = File::open(self.path(&entry_path(&key(), extent(index)))).unwrap();
        let at = Timespec { tv_sec: seconds, tv_nsec: 0 };
        futimens(&file, &Timestamps { last_access: at, last_modification: at }).unwrap();
    }
}

#[test]
fn entries_take_no_more_than_the_limit_and_the_least_recently_used_go_first() {
    let room = Room::new();
    for index in 0..50 {
        assert!(room.store(index));
        room.age(index, 1000 + i64::try_from(index).unwrap());
    }
    assert_eq!(room.used(), Some(LIMIT));
    assert!(!room.store(3), "it is there");
    // Used again, and so not the next to go.
    assert!(room.folder.entry(&key(), extent(0)).unwrap().is_some());
    assert!(room.store(50));
    let kept = room.kept();
    assert!(kept.contains(&0) && kept.contains(&50) && kept.contains(&49), "{kept:?}");
    assert!(!kept.contains(&1) && !kept.contains(&2), "{kept:?}");
    assert_eq!(room.used(), Some(kept.len() as u64 * 8192));
    for index in 51..300 {
        assert!(room.store(index));
        assert!(room.kept().len() as u64 * 8192 <= LIMIT);
    }
}

#[test]
fn what_does_not_fit_at_all_is_not_kept() {
    let room = Room::new();
    let (reserved, evicted) = room.folder.reserve(&key(), extent(0), LIMIT + 1, LIMIT).unwrap();
    assert!(reserved.is_none() && evicted == 0);
}

#[test]
fn an_open_entry_is_readable_after_it_was_evicted() {
    let room = Room::new();
    room.store(0);
    let file = room.folder.entry(&key(), extent(0)).unwrap().unwrap();
    let of = |file: &File| file.metadata().map(|meta| (meta.dev(), meta.ino())).unwrap();
    // Somebody has replaced it: what is there now is not the one that was meant.
    room.folder.remove(&key(), extent(0), (of(&file).0, of(&file).1 + 1)).unwrap();
    assert_eq!((room.kept().len(), room.used()), (1, Some(8192)));
    room.folder.remove(&key(), extent(0), of(&file)).unwrap();
    assert_eq!((room.kept(), room.used()), (vec![], Some(0)));
    let mut bytes = [0; 5000];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(bytes, [7; 5000]);
    assert!(room.folder.entry(&key(), extent(0)).unwrap().is_none());
}

#[test]
fn what_a_dead_process_left_is_swept_and_what_a_live_one_writes_is_not() {
    let room = Room::new();
    room.store(0);
    let (live, _) = room.folder.reserve(&key(), extent(1), 5000, LIMIT).unwrap();
    let (dead, _) = room.folder.reserve(&key(), extent(2), 5000, LIMIT).unwrap();
    // Closing the file is what a death does.
    drop(dead);
    fs::write(room.path("tmp/not-ours"), "x").unwrap();
    assert_eq!(room.used(), Some(3 * 8192));
    room.folder.set_right().unwrap();
    let live = live.unwrap();
    let mut left: Vec<_> = room.folder.names(TMP).unwrap();
    left.sort();
    assert_eq!(left, [live.tmp.strip_prefix("tmp/").unwrap(), "not-ours"]);
    assert_eq!(room.used(), Some(2 * 8192));
    assert!(room.folder.publish(&live, &key(), extent(1)).unwrap());
    assert_eq!((room.kept(), room.used()), (vec![0, 1], Some(2 * 8192)));
}

#[test]
fn a_number_that_makes_no_sense_is_counted_anew() {
    for nonsense in [
        "",
        "7\n",
        "99999999999999999999\n",
        "-0000000000000000001\n",
        "\0\0\0\0",
        "00000000000000008192\nmore",
    ] {
        let room = Room::new();
        room.store(0);
        room.store(1);
        fs::write(room.path(LOCK), nonsense).unwrap();
        assert_eq!(room.used(), None, "{nonsense:?}");
        assert!(room.store(2));
        assert_eq!(room.used(), Some(3 * 8192));
    }
}

#[test]
fn who_comes_second_with_an_entry_changes_nothing() {
    let room = Room::new();
    let other = Folder::open(room.dir.path()).unwrap();
    let (first, _) = room.folder.reserve(&key(), extent(0), 5000, LIMIT).unwrap();
    let (second, _) = other.reserve(&key(), extent(0), 5000, LIMIT).unwrap();
    assert!(room.folder.publish(&first.unwrap(), &key(), extent(0)).unwrap());
    assert!(!other.publish(&second.unwrap(), &key(), extent(0)).unwrap());
    assert_eq!((room.used(), room.folder.names(TMP).unwrap()), (Some(8192), vec![]));
}

#[test]
fn a_write_that_failed_gives_its_room_back() {
    let room = Room::new();
    let (reserved, _) = room.folder.reserve(&key(), extent(0), 5000, LIMIT).unwrap();
    assert_eq!(room.used(), Some(8192));
    room.folder.cancel(&reserved.unwrap()).unwrap();
    assert_eq!((room.used(), room.folder.names(TMP).unwrap()), (Some(0), vec![]));
}

#[test]
fn a_folder_is_made_for_its_user_alone() {
    let outer = tempfile::tempdir().unwrap();
    let path = outer.path().join("cache");
    let room = Room { folder: Folder::open(&path).unwrap(), dir: outer };
    let (reserved, _) = room.folder.reserve(&key(), extent(0), 5000, LIMIT).unwrap();
    room.folder.publish(&reserved.unwrap(), &key(), extent(0)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let ours = path.join(OURS);
    for folder in [path.clone(), ours.clone(), ours.join("tmp"), ours.join("blocks/BP-1")] {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
    }
    assert_eq!(mode(&ours.join(entry_path(&key(), extent(0)))), 0o600);
    assert_eq!(mode(&ours.join(LOCK)), 0o600);
}

#[test]
fn a_folder_that_others_may_write_to_is_refused() {
    for mode in [0o777, 0o1777, 0o720, 0o702] {
        let outer = tempfile::tempdir().unwrap();
        fs::set_permissions(outer.path(), fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(Folder::open(outer.path()), Err(CacheError::Writable { .. })), "{mode:o}");
    }
}

#[test]
fn a_folder_of_another_user_is_refused() {
    let outer = tempfile::tempdir().unwrap();
    let foreign = if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(outer.path(), Some(65534), None).unwrap();
        outer.path()
    } else {
        Path::new("/")
    };
    assert!(matches!(Folder::open(foreign), Err(CacheError::Foreign { .. })));
}

#[test]
fn an_entry_that_is_a_link_leads_nowhere() {
    let (room, elsewhere) = (Room::new(), tempfile::tempdir().unwrap());
    room.store(0);
    let block = room.path(&format!("{BLOCKS}/BP-1/{}", key().folder()));
    fs::write(elsewhere.path().join("secret"), "x").unwrap();
    std::os::unix::fs::symlink(elsewhere.path().join("secret"), block.join(extent(1).name())).unwrap();
    assert!(room.folder.entry(&key(), extent(1)).is_err());
}
