//! A worker's folder to its place in the staging, several files at once, and verified.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::note::{Kind, Staged};
use crate::send::Sender;
use crate::walk::{Item, Tree};
use crate::{Attempt, OutputDir, OutputError, Tally};

/// Files that are sent at the same time. Each holds one buffer.
const AT_ONCE: usize = 4;

impl OutputDir {
    /// Stages what a worker's attempt has left in `folder`, a relative path below its working folder `work`. It may be
    /// called again for the same attempt, and begins anew. A folder that is not there is taken as empty.
    ///
    /// On return the part is whole, verified and, on this machine, on the disk. What the worker has put there never makes
    /// the upload read outside of `folder` or wait: see [`OutputError::Link`] and [`OutputError::Special`].
    pub async fn upload(
        &self,
        attempt: Attempt,
        work: &Path,
        folder: &Path,
        cancel: &CancellationToken,
    ) -> Result<Staged, OutputError> {
        let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !folder.components().all(plain) {
            return Err(OutputError::WorkerFolder { path: work.join(folder) });
        }
        let room = self.make_room(attempt).await?;
        let (work, folder) = (work.to_owned(), folder.to_owned());
        let shown = work.join(&folder);
        let tree = blocking(move || Tree::open(&work, &folder)).await?;
        let absent = tree.is_none();
        let sender = Sender::new(&self.store, &room, &shown);
        let tally = match tree {
            Some(tree) => send_all(tree, &sender, cancel).await?,
            None => Tally::default(),
        };
        let found = self.store.tally(&room).await?.unwrap_or_default();
        if found != tally {
            return Err(OutputError::Mismatch { path: self.store.address(&room), wanted: tally, found });
        }
        let staged = Staged { kind: Kind::Upload, tally, absent };
        self.set_note(&self.staging(&format!("{attempt}.staged")), staged).await?;
        Ok(staged)
    }
}

async fn send_all(tree: Tree, sender: &Sender, cancel: &CancellationToken) -> Result<Tally, OutputError> {
    // Ends the walk and the other files when one fails, or when nobody waits for this any more.
    let stop = cancel.child_token();
    let _stop_on_drop = stop.clone().drop_guard();
    let (items, mut found) = mpsc::channel(AT_ONCE);
    let walk = blocking(move || {
        tree.walk(&mut |item| items.blocking_send(item).map_err(|_| OutputError::Cancelled))
    });
    let mut walk = std::pin::pin!(walk);
    let mut sent =
        Sent { sender, stop: &stop, files: JoinSet::new(), folders: Vec::new(), tally: Tally::default() };
    let sending = async {
        while let Some(item) = found.recv().await {
            sent.take(item).await?;
        }
        sent.finish().await
    };
    let mut sending = std::pin::pin!(sending);
    let done = tokio::select! {
        // The walk's own end is looked at below, after all that it found was sent.
        done = &mut sending => done,
        walked = &mut walk => match walked {
            Ok(()) => return sending.await,
            error => error.map(|()| Tally::default()),
        },
    };
    match done {
        Ok(tally) => walk.await.map(|()| tally),
        Err(error) => Err(error),
    }
}

struct Sent<'s> {
    sender: &'s Sender,
    stop: &'s CancellationToken,
    files: JoinSet<Result<(Vec<u8>, u64), OutputError>>,
    folders: Vec<PathBuf>,
    tally: Tally,
}

impl Sent<'_> {
    async fn take(&mut self, item: Item) -> Result<(), OutputError> {
        if self.stop.is_cancelled() {
            return Err(OutputError::Cancelled);
        }
        match item {
            Item::Folder(path) => {
                self.sender.make_folder(&path).await?;
                self.tally.folder(path.as_os_str().as_bytes());
                self.folders.push(path);
            }
            Item::File { path, file, executable } => {
                while self.files.len() >= AT_ONCE {
                    self.one_done().await?;
                }
                let (sender, stop) = (self.sender.clone(), self.stop.clone());
                let name = path.as_os_str().as_bytes().to_vec();
                self.files.spawn(async move {
                    let len = sender.send(&path, Arc::new(file), executable, &stop).await?;
                    Ok((name, len))
                });
            }
        }
        Ok(())
    }

    async fn one_done(&mut self) -> Result<(), OutputError> {
        match self.files.join_next().await {
            None => Ok(()),
            Some(Ok(sent)) => {
                let (name, len) = sent?;
                self.tally.file(&name, len);
                Ok(())
            }
            Some(Err(_)) => Err(OutputError::Cancelled),
        }
    }

    async fn finish(&mut self) -> Result<Tally, OutputError> {
        while !self.files.is_empty() {
            self.one_done().await?;
        }
        self.sender.make_durable(&self.folders).await?;
        Ok(self.tally)
    }
}

/// Runs a call on a thread that may block.
async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, OutputError> + Send + 'static,
) -> Result<T, OutputError> {
    tokio::task::spawn_blocking(call).await.unwrap_or(Err(OutputError::Cancelled))
}
