//! A job's folder on HDFS: what the client has written there, and what is kept there for those who ask.
//!
//! The state and the events are written by a task of their own, a few seconds behind: a job must not wait for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use forebay_protocol::AmAddress;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::checkpoint::Successor;
use crate::folder::private;
use crate::launch::{self, Launch};
use crate::remote::Remote;
use crate::{AmError, JobFolder};

/// Between two writes of the state.
const EVERY: Duration = Duration::from_secs(5);
/// Between two looks for new events: whoever follows the job is to see soon why a worker is started again.
const LOOK: Duration = Duration::from_secs(1);
/// Writing takes the whole of the events each time: for each piece of so many bytes they wait as long again.
const PIECE: u64 = 256 << 10;
/// How long the last writes may take.
const LAST: Duration = Duration::from_secs(20);

/// Names in the folder.
const STATE: &str = "state.json";
const EVENTS_FILE: &str = "events.jsonl";
/// What the client has written and a [`JobFolder`] has, too.
const KEPT: [&str; 2] = ["plan.json", "job.toml"];

/// A job's folder on HDFS.
#[derive(Debug, Clone)]
pub(crate) struct History {
    remote: Remote,
}

/// What the state and the events are given to.
#[derive(Debug)]
pub(crate) struct Keeper {
    states: watch::Sender<Bytes>,
    finish: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl History {
    pub(crate) fn new(remote: Remote) -> Self {
        Self { remote }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> String {
        self.remote.address("")
    }

    /// The file that says where the application master is.
    pub(crate) fn am_file(&self) -> String {
        self.remote.address(AmAddress::FILE)
    }

    /// The ledger's folder.
    pub(crate) fn ledger(&self) -> Remote {
        self.remote.folder("ledger")
    }

    /// What the client says about starting containers.
    pub(crate) async fn launch(&self) -> Result<Launch, AmError> {
        let text = self.must_read(launch::NAME).await?;
        let malformed =
            |why: String| AmError::Malformed { path: PathBuf::from(self.remote.address(launch::NAME)), why };
        let launch: Launch = serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
        if launch.version != launch::VERSION {
            return Err(malformed(format!(
                "it has version {}, this program reads version {}",
                launch.version,
                launch::VERSION
            )));
        }
        Ok(launch)
    }

    /// Brings what is in it into a folder of this machine, which is made.
    pub(crate) async fn fetch(&self, into: &Path) -> Result<JobFolder, AmError> {
        use std::os::unix::fs::DirBuilderExt;
        let made = fs::DirBuilder::new().mode(0o700).recursive(true).create(into);
        made.map_err(AmError::io("make the folder", into))?;
        if let Some(events) = self.remote.read(EVENTS_FILE).await? {
            put(&into.join(EVENTS_FILE), &events)?;
        }
        if let Some(state) = self.remote.read(STATE).await? {
            put(&into.join(STATE), &state)?;
        }
        for name in KEPT {
            put(&into.join(name), &self.must_read(name).await?)?;
        }
        JobFolder::open(into)
    }

    async fn must_read(&self, name: &str) -> Result<Bytes, AmError> {
        let missing = || AmError::NoJob {
            what: self.remote.address(""),
            why: format!("there is no {name} in it; it was removed, or the job was not submitted whole"),
        };
        self.remote.read(name).await?.ok_or_else(missing)
    }

    /// Says where the application master is.
    pub(crate) async fn set_am(&self, am: &AmAddress) -> Result<(), AmError> {
        let text = serde_json::to_vec(am)
            .map_err(|error| AmError::System { action: "write its address", source: error.into() })?;
        self.remote.replace(AmAddress::FILE, text.into()).await
    }

    /// Begins to keep the state and the events of `folder`, as long as this application master has no `successor`.
    pub(crate) fn keep(&self, folder: &JobFolder, successor: Successor) -> Keeper {
        let (states, mut changed) = watch::channel(Bytes::new());
        let (finish, mut finished) = oneshot::channel();
        let (remote, events) = (self.remote.clone(), folder.events_file());
        let task = tokio::spawn(async move {
            let mut is_over = false;
            let (mut state_at, mut events_at) = (Instant::now(), Instant::now());
            let mut kept = 0;
            while !is_over {
                tokio::select! {
                    () = sleep(LOOK) => {}
                    // Who ends without finishing the job leaves the last word to the next application master.
                    finished = &mut finished => match finished {
                        Ok(()) => is_over = true,
                        Err(_) => return,
                    },
                }
                let size = fs::metadata(&events).map_or(0, |meta| meta.len());
                let has_state = is_over || state_at.elapsed() >= EVERY;
                let has_events = size != kept && (is_over || events_at.elapsed() >= pause(size));
                if !has_state && !has_events {
                    continue;
                }
                let looked = loop {
                    match successor.look().await {
                        Err(AmError::Superseded { .. }) => return,
                        // There is no other time to say what is said last.
                        failed @ Err(_) if is_over => tell(failed),
                        looked => break looked,
                    }
                    sleep(LOOK).await;
                };
                match looked {
                    Ok(()) => {}
                    failed => {
                        tell(failed);
                        continue;
                    }
                }
                let state = has_state.then(|| {
                    state_at = Instant::now();
                    changed.borrow_and_update().clone()
                });
                let keep_state = async {
                    if let Some(state) = state.filter(|state| !state.is_empty()) {
                        tell(remote.replace(STATE, state).await);
                    }
                };
                let keep_events = async {
                    if !has_events {
                        return;
                    }
                    events_at = Instant::now();
                    match keep_events(&remote, &events).await {
                        Ok(()) => kept = size,
                        failed => tell(failed),
                    }
                };
                // To close a file may take half a second: both do so at once.
                tokio::join!(keep_state, keep_events);
            }
        });
        Keeper { states, finish, task }
    }
}

impl Keeper {
    /// Where the state is told when it has changed.
    pub(crate) fn states(&self) -> watch::Sender<Bytes> {
        self.states.clone()
    }

    /// The job is over. Writes what is not written yet, if that can be done in some time: the `last` state, or the one told last.
    pub(crate) async fn finish(self, last: Option<Bytes>) {
        let Self { states, finish, task } = self;
        if let Some(last) = last {
            states.send_replace(last);
        }
        let _ = finish.send(());
        if timeout(LAST, task).await.is_err() {
            tracing::warn!("the job's last state could not be written to its history in time");
        }
    }
}

/// Between two writes of so many bytes of events.
fn pause(size: u64) -> Duration {
    LOOK * u32::try_from(1 + size / PIECE).unwrap_or(u32::MAX)
}

async fn keep_events(remote: &Remote, events: &Path) -> Result<(), AmError> {
    let text = fs::read(events).map_err(AmError::io("read", events))?;
    remote.replace(EVENTS_FILE, text.into()).await
}

fn tell(kept: Result<(), AmError>) {
    if let Err(error) = kept {
        tracing::warn!("the job's history lags behind: {error}");
    }
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), AmError> {
    use std::io::Write;
    let write = || private().write(true).create(true).truncate(true).open(path)?.write_all(bytes);
    write().map_err(AmError::io("write", path))
}

#[cfg(test)]
mod tests;
