//! The folder: what lies where in it, and who may change what when.
//!
//! In `forebay-cache-1` of the folder that the user names, `blocks/POOL/BLOCK/FROM-TO` are entries, `tmp/` has those that are
//! being written, `lock` is locked by whoever changes anything and holds how many bytes all of them take. That number is raised
//! before anything is written to a file and lowered after the file has gone, so a process that dies in between leaves it too high and never too low; looking through the folder sets it right.
//! Files are opened relative to the folder's descriptor, so it stays the one that was checked.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT,
    flock, fstat, futimens, mkdirat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use crate::error::CacheError;
use crate::key::{BlockKey, Extent};
use crate::lru;

/// All that is ours; another layout would have another number.
const OURS: &str = "forebay-cache-1";
const BLOCKS: &str = "blocks";
const TMP: &str = "tmp";
const LOCK: &str = "lock";
const FOLDER: Mode = Mode::RWXU;
const FILE: Mode = Mode::RUSR.union(Mode::WUSR);
/// Digits of the number in the lock file, and a line end.
const DIGITS: usize = 20;

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder {
    root: OwnedFd,
    path: PathBuf,
}

/// Room for an entry that is being written. Locked while it is, so that others can tell it from what a dead process left.
#[derive(Debug)]
pub(crate) struct Reserved {
    pub(crate) file: File,
    tmp: String,
    cost: u64,
}

/// The lock, held, and the file's number as long as it makes sense.
struct Locked {
    file: File,
    used: Option<u64>,
}

/// An entry, as looking through the folder finds it.
struct Found {
    used_at: (i64, i64),
    cost: u64,
    folder: String,
    name: String,
}

impl Folder {
    /// Opens a folder, which is made if it is missing. It must be the user's own, and nobody else may write to it.
    pub(crate) fn open(path: &Path) -> Result<Self, CacheError> {
        let outer = open_checked(CWD, path, path)?;
        let root = open_checked(outer.as_fd(), Path::new(OURS), &path.join(OURS))?;
        Ok(Self { root, path: path.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The entries of a block.
    pub(crate) fn extents(&self, key: &BlockKey) -> io::Result<Vec<Extent>> {
        let names = self.names(&format!("{BLOCKS}/{}/{}", key.pool(), key.folder()))?;
        Ok(names.iter().filter_map(|name| Extent::parse(name)).collect())
    }

    /// Opens an entry, and notes that it is used; `None` if it has gone.
    pub(crate) fn entry(&self, key: &BlockKey, extent: Extent) -> io::Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.root, entry_path(key, extent), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // On a file system that is read-only nothing has to go either.
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        };
        let _ = futimens(&file, &times);
        Ok(Some(file))
    }

    /// Makes room for an entry whose file has so many bytes, and gives the file to write to and how many bytes had to go.
    /// `None` if the entry is there, or does not fit at all.
    pub(crate) fn reserve(
        &self,
        key: &BlockKey,
        extent: Extent,
        len: u64,
        limit: u64,
    ) -> io::Result<(Option<Reserved>, u64)> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let cost = lru::cost(len);
        if cost > limit {
            return Ok((None, 0));
        }
        let mut locked = self.lock()?;
        match statat(&self.root, entry_path(key, extent), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => return Ok((None, 0)),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let has_room = |used: &u64| used.saturating_add(cost) <= limit;
        let (used, evicted) = if let Some(used) = locked.used.filter(has_room) {
            (used, 0)
        } else {
            self.sweep();
            self.make_room(cost, limit)?
        };
        if !has_room(&used) {
            // Others are writing as much as there is room for.
            locked.set(used)?;
            return Ok((None, evicted));
        }
        self.make_folder(TMP)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            let tmp = format!("{TMP}/{}-{}-{cost}", std::process::id(), COUNT.fetch_add(1, Relaxed));
            match openat(&self.root, &tmp, flags, FILE) {
                Ok(file) => {
                    let file = File::from(file);
                    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
                    locked.set(used + cost)?;
                    return Ok((Some(Reserved { file, tmp, cost }), evicted));
                }
                // Of a process that had the same number once, or has it elsewhere.
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives a file that was written its name. `false` if another process was there first.
    pub(crate) fn publish(&self, reserved: &Reserved, key: &BlockKey, extent: Extent) -> io::Result<bool> {
        let mut locked = self.lock()?;
        let path = entry_path(key, extent);
        if statat(&self.root, &path, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            self.drop_reserved(&mut locked, reserved);
            return Ok(false);
        }
        self.make_folder(BLOCKS)?;
        self.make_folder(&format!("{BLOCKS}/{}", key.pool()))?;
        self.make_folder(&format!("{BLOCKS}/{}/{}", key.pool(), key.folder()))?;
        renameat(&self.root, &reserved.tmp, &self.root, path)?;
        Ok(true)
    }

    /// Removes a file that could not be written, and gives its room back.
    pub(crate) fn cancel(&self, reserved: &Reserved) -> io::Result<()> {
        let mut locked = self.lock()?;
        self.drop_reserved(&mut locked, reserved);
        Ok(())
    }

    fn drop_reserved(&self, locked: &mut Locked, reserved: &Reserved) {
        // What stays is swept away later, and until then counted: nothing is lost but room.
        if unlinkat(&self.root, &reserved.tmp, AtFlags::empty()).is_ok() {
            locked.lower(reserved.cost);
        }
    }

    /// Removes an entry if it still is this file, by device and number. Who has it open reads on.
    pub(crate) fn remove(&self, key: &BlockKey, extent: Extent, of: (u64, u64)) -> io::Result<()> {
        let mut locked = self.lock()?;
        let path = entry_path(key, extent);
        let Ok(stat) = statat(&self.root, &path, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(()) };
        if (stat.st_dev, stat.st_ino) != of {
            return Ok(());
        }
        unlinkat(&self.root, &path, AtFlags::empty())?;
        locked.lower(lru::cost(stat.st_size.try_into().unwrap_or(0)));
        Ok(())
    }

    /// Removes what processes that are dead now have not finished. To be called while nobody else reserves anything.
    fn sweep(&self) {
        let names = self.names(TMP).unwrap_or_default();
        for name in names.iter().filter(|name| reserved_cost(name).is_some()) {
            let path = format!("{TMP}/{name}");
            let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let Ok(file) = openat(&self.root, &path, flags, Mode::empty()) else { continue };
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                let _ = unlinkat(&self.root, &path, AtFlags::empty());
            }
        }
    }

    /// Removes the leftovers of dead processes, and counts anew what is there.
    pub(crate) fn set_right(&self) -> io::Result<()> {
        let mut locked = self.lock()?;
        if self.names(TMP)?.is_empty() && locked.used.is_some() {
            return Ok(());
        }
        self.sweep();
        let used = self.look_through()?.iter().map(|entry| entry.cost).sum::<u64>() + self.being_written()?;
        locked.set(used)
    }

    /// What the files will take that are being written.
    fn being_written(&self) -> io::Result<u64> {
        Ok(self.names(TMP)?.iter().filter_map(|name| reserved_cost(name)).sum())
    }

    /// Removes the entries used least recently until there is room; gives how much is used then, and how much had to go.
    fn make_room(&self, need: u64, limit: u64) -> io::Result<(u64, u64)> {
        let mut entries = self.look_through()?;
        entries.sort_by(|a, b| (a.used_at, &a.name).cmp(&(b.used_at, &b.name)));
        let mut used = entries.iter().map(|entry| entry.cost).sum::<u64>() + self.being_written()?;
        let count = lru::to_evict(entries.iter().map(|entry| entry.cost), used, need, limit);
        let mut gone = 0;
        for entry in &entries[..count] {
            let folder = format!("{BLOCKS}/{}", entry.folder);
            match unlinkat(&self.root, format!("{folder}/{}", entry.name), AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {
                    used -= entry.cost;
                    gone += entry.cost;
                }
                Err(error) => return Err(error.into()),
            }
            // Stays as long as there are others in it.
            let _ = unlinkat(&self.root, folder, AtFlags::REMOVEDIR);
        }
        Ok((used, gone))
    }

    /// All entries.
    fn look_through(&self) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for pool in self.names(BLOCKS)? {
            for block in self.names(&format!("{BLOCKS}/{pool}")).unwrap_or_default() {
                let folder = format!("{pool}/{block}");
                for name in self.names(&format!("{BLOCKS}/{folder}")).unwrap_or_default() {
                    let stat =
                        statat(&self.root, format!("{BLOCKS}/{folder}/{name}"), AtFlags::SYMLINK_NOFOLLOW);
                    if let (Ok(stat), Some(_)) = (stat, Extent::parse(&name)) {
                        found.push(Found {
                            used_at: (stat.st_mtime, stat.st_mtime_nsec.try_into().unwrap_or(0)),
                            cost: lru::cost(stat.st_size.try_into().unwrap_or(0)),
                            folder: folder.clone(),
                            name,
                        });
                    }
                }
            }
        }
        Ok(found)
    }

    /// The names in a folder below this one; none if it is not there.
    fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match openat(&self.root, folder, flags, Mode::empty()) {
            Ok(opened) => opened,
            Err(Errno::NOENT) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut names = Vec::new();
        for entry in Dir::read_from(&opened)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().to_str()
                && !matches!(name, "." | "..")
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn make_folder(&self, path: &str) -> io::Result<()> {
        match mkdirat(&self.root, path, FOLDER) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until nobody else changes anything.
    fn lock(&self) -> io::Result<Locked> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&self.root, LOCK, flags, FILE)?);
        if FileType::from_raw_mode(fstat(file.as_fd())?.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("its lock is no regular file"));
        }
        loop {
            match flock(&file, FlockOperation::LockExclusive) {
                Err(Errno::INTR) => {}
                locked => break locked?,
            }
        }
        let mut text = String::new();
        let read = (&file).take(DIGITS as u64 + 2).read_to_string(&mut text);
        let digits = text.strip_suffix('\n').filter(|digits| read.is_ok() && digits.len() == DIGITS);
        let used = digits.and_then(|digits| digits.parse().ok());
        Ok(Locked { file, used })
    }
}

impl Locked {
    fn set(&mut self, used: u64) -> io::Result<()> {
        self.used = Some(used);
        let text = format!("{used:0DIGITS$}\n");
        self.file.write_all_at(text.as_bytes(), 0)?;
        // Whatever was behind it made no sense.
        self.file.set_len(text.len() as u64)
    }

    fn lower(&mut self, by: u64) {
        if let Some(used) = self.used {
            // Too high a number only makes somebody look.
            let _ = self.set(used.saturating_sub(by));
        }
    }
}

fn open_checked(at: BorrowedFd<'_>, name: &Path, path: &Path) -> Result<OwnedFd, CacheError> {
    let failed = |error: Errno| CacheError::Open { path: path.to_owned(), source: error.into() };
    let open = || openat(at, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let opened = match open() {
        Err(Errno::NOENT) => match mkdirat(at, name, FOLDER) {
            Ok(()) | Err(Errno::EXIST) => open(),
            Err(error) => Err(error),
        },
        opened => opened,
    };
    let folder = opened.map_err(failed)?;
    let stat = fstat(&folder).map_err(failed)?;
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(CacheError::Foreign { path: path.to_owned(), owner: stat.st_uid });
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(CacheError::Writable { path: path.to_owned(), mode: stat.st_mode & 0o7777 });
    }
    Ok(folder)
}

/// What a file that is being written will take, as its name says.
fn reserved_cost(name: &str) -> Option<u64> {
    let mut numbers = name.split('-').map(str::parse);
    match [numbers.next()?, numbers.next()?, numbers.next()?] {
        [Ok::<u64, _>(_), Ok::<u64, _>(_), Ok(cost)] if numbers.next().is_none() => Some(cost),
        _ => None,
    }
}

fn entry_path(key: &BlockKey, extent: Extent) -> String {
    format!("{BLOCKS}/{}/{}/{}", key.pool(), key.folder(), extent.name())
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
