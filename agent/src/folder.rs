//! An attempt's folder, and what lies where in it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, mkfifoat};

/// How long the processes of an earlier attempt may take to be gone.
const EARLIER_GONE: Duration = Duration::from_secs(30);
/// How long somebody else may hold a lock alone.
const LOCK_BUSY: Duration = Duration::from_secs(10);

/// `workers/<index>/<attempt>` in a job's folder.
#[derive(Debug, Clone)]
pub struct AttemptFolder {
    path: PathBuf,
    work: PathBuf,
    /// Where the logs are, if not here.
    logs: Option<PathBuf>,
}

impl AttemptFolder {
    /// The folder of attempt `number` (from 1) of worker `index` (from 0) in the job at `job_folder`. The attempts of a
    /// worker that keeps its folder share the worker's.
    pub fn new(job_folder: &Path, index: u32, number: u32, keeps_folder: bool) -> Self {
        let worker = job_folder.join("workers").join(index.to_string());
        let path = worker.join(number.to_string());
        let work = if keeps_folder { worker.join("work") } else { path.join("work") };
        Self { path, work, logs: None }
    }

    /// A folder whose working folder is not needed.
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), work: path.join("work"), logs: None }
    }

    /// The same with its logs in another folder, which is there.
    pub(crate) fn with_logs(self, logs: PathBuf) -> Self {
        Self { logs: Some(logs), ..self }
    }

    /// The same with the working folder that all attempts of the worker share.
    pub(crate) fn with_kept_work(self) -> Self {
        let work = self.path.with_file_name("work");
        Self { work, ..self }
    }

    fn logs(&self) -> &Path {
        self.logs.as_deref().unwrap_or(&self.path)
    }

    /// Who may read the logs: their owner alone; in a folder of YARN's, also the NodeManager, which collects them and is of that
    /// folder's group.
    pub(crate) fn log_mode(&self) -> u32 {
        if self.logs.is_some() { 0o640 } else { 0o600 }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The worker's working folder.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// What the worker has written to standard output.
    pub fn stdout(&self) -> PathBuf {
        self.logs().join("stdout")
    }

    /// What the worker has written to standard error.
    pub fn stderr(&self) -> PathBuf {
        self.logs().join("stderr")
    }

    /// The agent's own log.
    pub fn log(&self) -> PathBuf {
        self.logs().join("agent.log")
    }

    /// The FIFO for acknowledgements.
    pub(crate) fn fifo(&self) -> PathBuf {
        self.path.join("ack")
    }

    /// What the agent has taken out of the FIFO.
    pub(crate) fn acks(&self) -> PathBuf {
        self.path.join("acks")
    }

    /// What the guard has taken out of the FIFO after the agent's death.
    pub(crate) fn acks_rest(&self) -> PathBuf {
        self.path.join("acks.rest")
    }

    /// Where in the stream each unit begins.
    pub(crate) fn journal(&self) -> PathBuf {
        self.path.join("feed.jsonl")
    }

    /// Locked as long as processes of the attempt are there.
    pub(crate) fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// Makes the folder, for its owner alone.
    pub(crate) fn create(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        DirBuilder::new().recursive(true).mode(0o700).create(&self.work)
    }

    /// Makes what the worker needs beside its working folder.
    pub(crate) fn furnish(&self) -> io::Result<()> {
        match mkfifoat(CWD, self.fifo(), Mode::RUSR | Mode::WUSR) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The folders of earlier attempts of the same worker that are there, the last first.
    pub(crate) fn earlier(&self, number: u32) -> impl Iterator<Item = Self> {
        let worker = self.path.parent().map(Path::to_owned).unwrap_or_default();
        (1..number).rev().map(move |n| Self::at(&worker.join(n.to_string()))).filter(|a| a.path.is_dir())
    }

    /// Waits until no process of this attempt is left.
    pub(crate) fn wait_until_left(&self) -> io::Result<()> {
        let lock = match File::open(self.lock()) {
            Ok(lock) => lock,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        retry_lock(EARLIER_GONE, || lock.try_lock())
    }
}

/// Takes part in the lock of a file, which is made if need be, until the result is dropped.
pub(crate) fn share(path: &Path) -> io::Result<File> {
    let file = new_file(OpenOptions::new().create(true)).open(path)?;
    retry_lock(LOCK_BUSY, || file.try_lock_shared())?;
    Ok(file)
}

fn retry_lock(patience: Duration, try_it: impl Fn() -> Result<(), TryLockError>) -> io::Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        match try_it() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() > deadline => {
                return Err(io::Error::new(ErrorKind::TimedOut, "other processes still hold its lock"));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Options for a file of the attempt: written, and for its owner alone.
pub(crate) fn new_file(options: &mut OpenOptions) -> &mut OpenOptions {
    options.write(true).mode(0o600)
}

/// A file that the worker writes to: what several processes write does not overwrite each other's.
pub(crate) fn log_file(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(mode).open(path)
}

/// Whether a text names an entry of a folder and nothing outside it.
pub(crate) fn is_entry(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])
}

/// A folder below `work`, made if need be; refused where a link leads elsewhere.
pub(crate) fn subfolder(work: &Path, relative: &str) -> io::Result<PathBuf> {
    let mut path = work.to_owned();
    for part in relative.split('/') {
        if !is_entry(part) {
            let why = format!("'{relative}' leads out of the worker's folder");
            return Err(io::Error::new(ErrorKind::InvalidInput, why));
        }
        path.push(part);
        match fs::create_dir(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if !fs::symlink_metadata(&path)?.is_dir() {
                    let why = format!("'{part}' of the worker's folder is in the way: it is no folder");
                    return Err(io::Error::new(ErrorKind::AlreadyExists, why));
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn nothing_leads_out_of_the_worker_folder() {
        let room = tempfile::tempdir().unwrap();
        assert!(subfolder(room.path(), "a/b").unwrap().is_dir());
        assert!(subfolder(room.path(), "a/b").is_ok(), "made before");
        symlink("/tmp", room.path().join("link")).unwrap();
        fs::write(room.path().join("file"), "").unwrap();
        for bad in ["..", "a/..", "/a", "", "a//b", ".", "link", "link/x", "file", "file/x"] {
            assert!(subfolder(room.path(), bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn folders_are_private_and_shared_only_when_kept() {
        let room = tempfile::tempdir().unwrap();
        let own = AttemptFolder::new(room.path(), 3, 2, false);
        own.create().unwrap();
        own.furnish().unwrap();
        assert_eq!(fs::metadata(own.path()).unwrap().mode() & 0o777, 0o700);
        assert_eq!(own.work(), room.path().join("workers/3/2/work"));
        let kept = AttemptFolder::new(room.path(), 3, 2, true);
        assert_eq!(kept.work(), room.path().join("workers/3/work"));
        assert_eq!(kept.earlier(3).map(|a| a.path).collect::<Vec<_>>(), [own.path()]);
    }

    #[test]
    fn an_attempt_is_left_when_nobody_shares_its_lock() {
        let room = tempfile::tempdir().unwrap();
        let folder = AttemptFolder::at(room.path());
        folder.wait_until_left().unwrap();
        let lock = share(&folder.lock()).unwrap();
        let another = share(&folder.lock()).unwrap();
        let file = File::open(folder.lock()).unwrap();
        assert!(retry_lock(Duration::from_millis(50), || file.try_lock()).is_err());
        drop((lock, another));
        folder.wait_until_left().unwrap();
    }
}
