//! A job's folder: what lies where, and who may make or hold it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use forebay_scheduler::Attempt;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::{AmError, id};

/// Files of a job are its user's alone: they hold what workers print, and the variables that they are given.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
/// Held by the application master.
const AM_LOCK: &str = "am.lock";
/// How long somebody who only looks may hold the lock.
const LOOKING: Duration = Duration::from_secs(2);
/// How often a lock is tried again.
const RETRY: Duration = Duration::from_millis(50);

/// A job's folder.
#[derive(Debug, Clone)]
pub struct JobFolder {
    path: PathBuf,
}

/// A lock on a file, held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

/// `~/.forebay/jobs`, if there is a home.
pub fn usual_place() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
    Some(PathBuf::from(home).join(".forebay/jobs"))
}

impl JobFolder {
    /// Makes the folder of a new job: at its usual place, or `wanted`, which must be absent or empty. Also returns what a
    /// person should know about it.
    pub(crate) fn create(id: &str, wanted: Option<&Path>) -> Result<(Self, Option<String>), AmError> {
        let mut builder = DirBuilder::new();
        builder.mode(FOLDER_MODE).recursive(true);
        let make = |path: &Path| builder.create(path).map_err(AmError::io("make the folder", path));
        let Some(wanted) = wanted else {
            let jobs = usual_place().ok_or(AmError::NoHome)?;
            make(&jobs)?;
            let path = jobs.join(id);
            // Exclusive: two jobs never share an id.
            DirBuilder::new()
                .mode(FOLDER_MODE)
                .create(&path)
                .map_err(AmError::io("make the folder", &path))?;
            return Ok((Self { path }, None));
        };
        make(wanted)?;
        let path = fs::canonicalize(wanted).map_err(AmError::io("find", wanted))?;
        if fs::read_dir(&path).map_err(AmError::io("read the folder", &path))?.next().is_some() {
            return Err(AmError::FolderTaken { path });
        }
        let private = fs::Permissions::from_mode(FOLDER_MODE);
        fs::set_permissions(&path, private).map_err(AmError::io("make private", &path))?;
        let listed = match usual_place() {
            None => Err("HOME is not set".to_owned()),
            Some(jobs) => make(&jobs)
                .and_then(|()| symlink(&path, jobs.join(id)).map_err(AmError::io("link into", &jobs)))
                .map_err(|error| error.to_string()),
        };
        let note = listed.err().map(|why| {
            format!("{why}: the job is not listed by id; name its folder {} instead", path.display())
        });
        Ok((Self { path }, note))
    }

    /// The folder of an existing job.
    pub fn open(path: &Path) -> Result<Self, AmError> {
        let no_job = |why: String| AmError::NoJob { what: path.display().to_string(), why };
        let path = fs::canonicalize(path).map_err(|error| no_job(error.to_string()))?;
        if !path.join("job.toml").is_file() {
            return Err(no_job("there is no job.toml in it".to_owned()));
        }
        Ok(Self { path })
    }

    /// The job with this id, or in this folder.
    pub fn find(job: &str) -> Result<Self, AmError> {
        if !id::is_id(job) {
            return Self::open(Path::new(job));
        }
        let listed = usual_place().map(|jobs| jobs.join(job)).filter(|path| path.exists());
        match listed {
            Some(path) => Self::open(&path),
            None if Path::new(job).exists() => Self::open(Path::new(job)),
            None => Err(AmError::NoJob {
                what: job.to_owned(),
                why: "there is no such job below ~/.forebay/jobs; if it has its folder elsewhere, name that"
                    .to_owned(),
            }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The job as it is run.
    pub fn job_file(&self) -> PathBuf {
        self.path.join("job.toml")
    }

    /// The files of the input.
    pub fn plan_file(&self) -> PathBuf {
        self.path.join("plan.json")
    }

    /// The ledger's checkpoint.
    pub fn ledger_file(&self) -> PathBuf {
        self.path.join("ledger.jsonl")
    }

    /// What is shown of the job.
    pub fn state_file(&self) -> PathBuf {
        self.path.join("state.json")
    }

    /// What has happened.
    pub fn events_file(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// The folder of an attempt.
    pub fn attempt(&self, attempt: Attempt) -> PathBuf {
        self.path.join("workers").join(attempt.index.to_string()).join(attempt.number.to_string())
    }

    /// Makes the folder of an attempt.
    pub(crate) fn make_attempt(&self, attempt: Attempt) -> Result<PathBuf, AmError> {
        let path = self.attempt(attempt);
        let made = DirBuilder::new().mode(FOLDER_MODE).recursive(true).create(&path);
        made.map_err(AmError::io("make the folder", &path)).map(|()| path)
    }

    /// The attempts of which there are folders, in order.
    pub fn attempts(&self) -> Vec<Attempt> {
        let numbers = |path: &Path| -> Vec<u32> {
            let names = fs::read_dir(path).into_iter().flatten().flatten();
            let mut numbers: Vec<_> =
                names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
            numbers.sort_unstable();
            numbers
        };
        let workers = self.path.join("workers");
        let of = |index: u32| {
            let numbers = numbers(&workers.join(index.to_string()));
            numbers.into_iter().map(move |number| Attempt { index, number })
        };
        numbers(&workers).into_iter().flat_map(of).collect()
    }

    /// Takes the application master's lock, and says there whose it is.
    pub(crate) fn lock(&self) -> Result<Lock, AmError> {
        let lock = self.exclusively(AM_LOCK, LOOKING, || ())?;
        let lock = lock.ok_or_else(|| AmError::StillRunning { path: self.path.clone() })?;
        let pid = std::process::id().to_string();
        if let Err(error) = lock.file.set_len(0).and_then(|()| lock.file.write_all_at(pid.as_bytes(), 0)) {
            // The job runs without it, and cannot be ended by its folder's name.
            tracing::warn!("cannot say in {}/{AM_LOCK} who runs the job: {error}", self.path.display());
        }
        Ok(lock)
    }

    /// The process that has the application master's lock, if it can be seen from here: its id, and a handle that stands for
    /// no other process.
    pub fn master(&self) -> Result<Option<(u32, OwnedFd)>, AmError> {
        let path = self.path.join(AM_LOCK);
        let said = fs::read_to_string(&path).map_err(AmError::io("read", &path))?;
        let Ok(id) = said.trim().parse::<u32>() else { return Ok(None) };
        let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) else { return Ok(None) };
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(None) };
        // The id may be another process's by now. Who has the lock has the file open.
        let lock = fs::metadata(&path).map_err(AmError::io("read", &path))?;
        let open = fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten();
        let is_lock = |file: fs::Metadata| (file.dev(), file.ino()) == (lock.dev(), lock.ino());
        let has_it = open.map(|entry| fs::metadata(entry.path())).any(|file| file.is_ok_and(is_lock));
        Ok((has_it && self.is_running()).then_some((id, process)))
    }

    /// Waits until no process of an earlier run holds the workers' lock. Calls `waiting` if that is not at once so.
    pub(crate) fn wait_for_workers(&self, patience: Duration, waiting: impl FnMut()) -> Result<(), AmError> {
        let free = self.exclusively("workers.lock", patience, waiting)?;
        let left = || AmError::Leftovers { path: self.path.clone(), seconds: patience.as_secs() };
        free.map(drop).ok_or_else(left)
    }

    fn exclusively(
        &self,
        name: &str,
        patience: Duration,
        mut waiting: impl FnMut(),
    ) -> Result<Option<Lock>, AmError> {
        let path = self.path.join(name);
        let file = open_lock(&path).map_err(AmError::io("open", &path))?;
        let deadline = Instant::now() + patience;
        let mut told = false;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(Lock { file })),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() >= deadline => return Ok(None),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(AmError::io("lock", &path)(error.into())),
            }
            if !std::mem::replace(&mut told, true) {
                waiting();
            }
            thread::sleep(RETRY);
        }
    }

    /// Whether an application master runs the job.
    pub fn is_running(&self) -> bool {
        let Ok(file) = File::open(self.path.join(AM_LOCK)) else { return false };
        flock(&file, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
    }

    /// Replaces a file as a whole.
    pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), AmError> {
        let next = path.with_extension("new");
        let write = || -> io::Result<()> {
            let mut file = private().write(true).create(true).truncate(true).open(&next)?;
            file.write_all(content)?;
            fs::rename(&next, path)
        };
        write().map_err(AmError::io("write", path))
    }

    /// Makes sure that what was written is there after a crash of the machine too.
    pub(crate) fn sync(&self, path: &Path) -> Result<(), AmError> {
        let sync = || File::open(path)?.sync_all().and_then(|()| File::open(&self.path)?.sync_all());
        sync().map_err(AmError::io("write", path))
    }

    /// Opens a file to be appended to.
    pub(crate) fn append(path: &Path) -> Result<File, AmError> {
        private().append(true).create(true).open(path).map_err(AmError::io("open", path))
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    match private().write(true).create(true).truncate(false).open(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => File::open(path),
        other => other,
    }
}

/// Options for files that are this user's alone.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(FILE_MODE);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_its_holders_and_no_other_process_is_taken_for_that() {
        let room = tempfile::tempdir().unwrap();
        fs::write(room.path().join("job.toml"), "").unwrap();
        let folder = JobFolder::open(room.path()).unwrap();
        let lock = folder.lock().unwrap();
        let (pid, _process) = folder.master().unwrap().unwrap();
        assert_eq!(pid, std::process::id());
        // Another process has that id by now.
        let mut other = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        fs::write(room.path().join(AM_LOCK), other.id().to_string()).unwrap();
        assert!(folder.master().unwrap().is_none());
        fs::write(room.path().join(AM_LOCK), "").unwrap();
        assert!(folder.master().unwrap().is_none(), "nobody has said who it is");
        other.kill().unwrap();
        other.wait().unwrap();
        drop(lock);
        let _lock = folder.lock().unwrap();
        assert!(folder.master().unwrap().is_some(), "the next one says so, too");
    }
}
