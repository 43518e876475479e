//! One output path for one job: its staging's begin and end.

use forebay_store::{Address, Clusters};

use crate::note::{self, Claim, JobNote, Plan};
use crate::store::Store;
use crate::{Attempt, OutputError, Staged};

/// All that is in `PATH/` before a commit, besides what trash-like tools keep in `_saved`.
pub(crate) const TEMPORARY: &str = "_temporary";
const SAVED: &str = "_saved";
pub(crate) const CLAIM: &str = "_temporary/_commit";
pub(crate) const SUCCESS: &str = "_SUCCESS";
pub(crate) const PLAN: &str = "_commit.json";
const JOB: &str = "_job.json";
/// How often a folder is made that another job may be removing.
const TRIES: u32 = 8;

/// How far a job's output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No commit has begun.
    Open,
    /// A commit has begun: [`commit()`](crate::commit()) goes on, [`OutputDir::abort`] undoes it.
    Committing,
    /// All is where it belongs.
    Committed,
}

/// An output path of a job.
#[derive(Debug, Clone)]
pub struct OutputDir {
    pub(crate) store: Store,
    pub(crate) job: String,
}

impl OutputDir {
    /// The output path at `address`, for the job with this id. Touches nothing.
    pub fn open(address: &Address, job: &str, clusters: &Clusters) -> Result<Self, OutputError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !job.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric) || !job.bytes().all(fits) {
            return Err(OutputError::JobId { job: job.to_owned() });
        }
        Ok(Self { store: Store::open(address, clusters)?, job: job.to_owned() })
    }

    /// The output path, in full.
    pub fn address(&self) -> String {
        self.store.address("")
    }

    /// Relative path of something in the job's staging.
    pub(crate) fn staging(&self, name: &str) -> String {
        if name.is_empty() {
            format!("{TEMPORARY}/{}", self.job)
        } else {
            format!("{TEMPORARY}/{}/{name}", self.job)
        }
    }

    /// Looks whether output may go there and makes the job's staging. To be called when the job starts, and again when it
    /// is resumed: then a commit that has begun, or is done, is no objection.
    pub async fn begin(&self) -> Result<State, OutputError> {
        // First, for the clearer error where there is no folder.
        let made = self.store.list("").await?.is_none();
        let state = self.state().await?;
        if state != State::Open {
            return Ok(state);
        }
        if let Some(winner) = self.claimed_by().await? {
            return Err(self.claimed(winner));
        }
        self.refuse_content(&[]).await?;
        let mut tries = 0;
        loop {
            match self.make_staging().await {
                // Another job's end removes folders that it finds empty.
                Err(OutputError::Local { source, .. })
                    if source.kind() == std::io::ErrorKind::NotFound && tries < TRIES =>
                {
                    tries += 1;
                }
                done => {
                    done?;
                    break;
                }
            }
        }
        if self.note::<JobNote>(&self.staging(JOB)).await?.is_none() {
            self.set_note(&self.staging(JOB), JobNote { job: self.job.clone(), made }).await?;
        }
        Ok(State::Open)
    }

    /// Whether output may go there, as far as looking tells: [`OutputDir::begin`] decides.
    pub async fn look(&self) -> Result<(), OutputError> {
        if let Some(winner) = self.claimed_by().await? {
            return Err(self.claimed(winner));
        }
        self.refuse_content(&[]).await
    }

    async fn make_staging(&self) -> Result<(), OutputError> {
        // Apart: what is private must not make private what is above it.
        self.store.make_folder(TEMPORARY, false).await?;
        // A link to a folder somewhere else is refused here: what is staged is to be renamed, and what is linked not removed.
        if self.store.stat(TEMPORARY).await?.is_some_and(|entry| !entry.is_folder) {
            return Err(OutputError::NotAFolder { path: self.store.address(TEMPORARY) });
        }
        self.store.make_folder(&self.staging(""), true).await
    }

    /// How far this job's output is.
    pub async fn state(&self) -> Result<State, OutputError> {
        if self.committed_by().await?.as_deref() == Some(&self.job) {
            return Ok(State::Committed);
        }
        let begun = self.claimed_by().await?.as_deref() == Some(&self.job);
        Ok(if begun { State::Committing } else { State::Open })
    }

    /// What is staged of an attempt, if all of its part is.
    pub async fn staged(&self, attempt: Attempt) -> Result<Option<Staged>, OutputError> {
        self.note(&self.staging(&format!("{attempt}.staged"))).await
    }

    /// Removes what is staged of an attempt, if anything is.
    pub async fn discard(&self, attempt: Attempt) -> Result<(), OutputError> {
        self.store.remove(&self.staging(&format!("{attempt}.staged"))).await?;
        self.store.remove(&self.staging(&attempt.to_string())).await
    }

    /// An empty folder for an attempt's part.
    pub(crate) async fn make_room(&self, attempt: Attempt) -> Result<String, OutputError> {
        self.discard(attempt).await?;
        let room = self.staging(&attempt.to_string());
        self.store.make_folder(&room, false).await?;
        Ok(room)
    }

    /// Refuses a path that holds anything but staging and `allowed` names.
    pub(crate) async fn refuse_content(&self, allowed: &[&str]) -> Result<(), OutputError> {
        for entry in self.store.list("").await?.unwrap_or_default() {
            let name = entry.name.to_string_lossy();
            if name == TEMPORARY || name == SAVED || allowed.contains(&&*name) {
                continue;
            }
            let path = self.address();
            if let Some(winner) = self.committed_by().await?.filter(|job| *job != self.job) {
                return Err(OutputError::Committed { path, winner });
            }
            if let Some(winner) = self.claimed_by().await?.filter(|job| *job != self.job) {
                return Err(self.claimed(winner));
            }
            return Err(OutputError::NotEmpty { path, entry: name.into_owned() });
        }
        Ok(())
    }

    /// The job whose output is there, if it is one of ours.
    async fn committed_by(&self) -> Result<Option<String>, OutputError> {
        // Other programs leave an empty one.
        match self.store.read(SUCCESS).await? {
            Some(bytes) => Ok(note::read::<Claim>(&bytes).ok().map(|claim| claim.job)),
            None => Ok(None),
        }
    }

    /// The job that is committing.
    pub(crate) async fn claimed_by(&self) -> Result<Option<String>, OutputError> {
        Ok(self.note::<Claim>(CLAIM).await?.map(|claim| claim.job))
    }

    pub(crate) fn claimed(&self, winner: String) -> OutputError {
        OutputError::Claimed { path: self.address(), winner, claim: self.store.address(CLAIM) }
    }

    pub(crate) async fn plan(&self) -> Result<Option<Plan>, OutputError> {
        self.note(&self.staging(PLAN)).await
    }

    pub(crate) async fn note<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Option<T>, OutputError> {
        let Some(bytes) = self.store.read(path).await? else { return Ok(None) };
        note::read(&bytes).map(Some).map_err(|why| OutputError::Note { path: self.store.address(path), why })
    }

    pub(crate) async fn set_note<T: serde::Serialize>(
        &self,
        path: &str,
        content: T,
    ) -> Result<(), OutputError> {
        let bytes = note::write(content)
            .map_err(|error| OutputError::Note { path: self.store.address(path), why: error.to_string() })?;
        self.store.write(path, bytes).await
    }

    /// Removes the job's staging, and what this job alone has made of the path. A commit that has begun and not ended is
    /// undone; one that has ended is an error.
    pub async fn abort(&self) -> Result<(), OutputError> {
        if self.state().await? == State::Committed {
            return Err(OutputError::Done { path: self.address() });
        }
        self.undo_commit().await?;
        let made = self.note::<JobNote>(&self.staging(JOB)).await?.is_some_and(|note| note.made);
        self.store.remove(&self.staging("")).await?;
        self.store.remove_if_empty(TEMPORARY).await?;
        if made {
            self.store.remove_if_empty("").await?;
        }
        Ok(())
    }
}
