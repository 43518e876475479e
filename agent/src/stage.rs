//! What a worker has made, to its place in the outputs' staging.

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::mpsc;

use forebay_job::{Job, OutputMode};
use forebay_output::{Attempt, HdfsStream, LocalStream, OutputDir, OutputError, Staged, StreamTarget};
use forebay_protocol::{Bootstrap, v1};
use forebay_store::{Address, Clusters};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::net::unix::pipe::Receiver;
use tokio_util::sync::CancellationToken;

use crate::am::{Am, wait};
use crate::error::Failure;
use crate::folder::{AttemptFolder, log_file};
use crate::over::Cause;
use crate::relay::{Relayed, relay};

/// The job's outputs, for one attempt.
pub(crate) struct Outputs {
    am: Am,
    attempt: Attempt,
    mode: OutputMode,
    /// Each with the worker's folder that goes there.
    dirs: Vec<(OutputDir, String)>,
    cancel: CancellationToken,
}

/// Where a worker's standard output goes.
pub(crate) enum Stdout {
    /// To a file of the attempt's, for people.
    Log,
    /// To the output's own file, which this waits for.
    Local(LocalStream, Relayed),
    /// To HDFS, which this waits for.
    Hdfs(Copied),
}

/// Tells when all that was written into a pipe has gone on.
type Copied = mpsc::Receiver<Result<Box<HdfsStream>, OutputError>>;

impl Outputs {
    pub(crate) fn open(
        am: &Am,
        bootstrap: &Bootstrap,
        job: &Job,
        clusters: &Clusters,
    ) -> Result<Self, Failure> {
        let open = |output: &forebay_job::Output| {
            let address = Address::parse(output.path.as_ref()).map_err(Failure::fatal)?;
            let dir = OutputDir::open(&address, &bootstrap.job_id, clusters).map_err(Failure::fatal)?;
            Ok((dir, output.dir.clone()))
        };
        let dirs = job.outputs.iter().map(open).collect::<Result<_, Failure>>()?;
        let attempt = Attempt { index: bootstrap.index, number: bootstrap.number };
        let cancel = cancelled_with(am);
        Ok(Self { am: am.clone(), attempt, mode: job.output_mode, dirs, cancel })
    }

    /// What becomes the worker's standard output, and what is to be done with it afterwards.
    pub(crate) fn stdout(&self, folder: &AttemptFolder) -> Result<(OwnedFd, Stdout), Cause> {
        let (OutputMode::Stream, Some((dir, _))) = (self.mode, self.dirs.first()) else {
            let file = log_file(&folder.stdout(), folder.log_mode()).map_err(|error| {
                Failure::new(format!("cannot write {}: {error}", folder.stdout().display()))
            })?;
            return Ok((file.into(), Stdout::Log));
        };
        let (dir, attempt) = (dir.clone(), self.attempt);
        let no_pipe =
            |error| Failure::new(format!("cannot make a pipe for the worker's standard output: {error}"));
        match self.recallable(async move { dir.stream(attempt).await })? {
            StreamTarget::Local(stream) => {
                let file: File = stream.open().map_err(Failure::new)?;
                let (write, relayed) =
                    relay(file, stream.path().to_owned(), self.am.over.clone()).map_err(no_pipe)?;
                Ok((write, Stdout::Local(stream, relayed)))
            }
            StreamTarget::Hdfs(stream) => {
                let (write, receiver) = self.copy(stream).map_err(no_pipe)?;
                Ok((write, Stdout::Hdfs(receiver)))
            }
        }
    }

    /// Copies what is written into a pipe; ends when nobody writes any more.
    fn copy(&self, mut stream: Box<HdfsStream>) -> std::io::Result<(OwnedFd, Copied)> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        let flags = rustix::fs::fcntl_getfl(&read)?;
        // The reader's alone: the worker's end stays blocking.
        rustix::fs::fcntl_setfl(&read, flags | rustix::fs::OFlags::NONBLOCK)?;
        let (sender, receiver) = mpsc::channel();
        let (cancel, over) = (self.cancel.clone(), self.am.over.clone());
        let _context = self.am.handle.enter();
        let mut source = Receiver::from_owned_fd(read)?;
        self.am.handle.spawn(async move {
            let copied = stream.copy_from(&mut source, &cancel).await;
            if let Err(error) = &copied {
                over.set(Failure::new(error).into());
            }
            // Nobody waits for it only when it is over.
            let _ = sender.send(copied.map(|()| stream));
        });
        Ok((write, receiver))
    }

    /// Stages all, when the worker has ended well.
    pub(crate) fn stage(&self, stdout: Stdout, work: &Path) -> Result<Vec<v1::Manifest>, Cause> {
        let broke_off = || Failure::new("the upload of the worker's standard output broke off");
        match stdout {
            Stdout::Log if self.mode == OutputMode::Upload => {
                let upload = |(dir, folder): &(OutputDir, String)| {
                    let (dir, attempt, cancel) = (dir.clone(), self.attempt, self.cancel.clone());
                    let (work, folder) = (work.to_owned(), folder.clone());
                    self.recallable(
                        async move { dir.upload(attempt, &work, Path::new(&folder), &cancel).await },
                    )
                };
                let staged = self.dirs.iter().map(upload);
                staged.zip(0..).map(|(staged, output)| manifest(output, staged?)).collect()
            }
            Stdout::Log => Ok(Vec::new()),
            Stdout::Local(stream, relayed) => {
                // All that the worker had started is gone, but whoever it has given its output to may still write.
                self.recallable(async move { relayed.await.unwrap_or_else(|_| Err(broke_off())) })?;
                Ok(vec![manifest(0, self.recallable(stream.finish())?)?])
            }
            Stdout::Hdfs(copied) => {
                let stream = copied.recv().map_err(|_| broke_off())?.map_err(Failure::new)?;
                Ok(vec![manifest(0, self.recallable(stream.finish())?)?])
            }
        }
    }

    /// Has the runtime do it, until it is done or the attempt is over.
    fn recallable<T: Send + 'static, E: fmt::Display>(
        &self,
        task: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, Cause> {
        let over = self.am.over.clone();
        wait(&self.am.handle, async move {
            tokio::select! {
                done = task => done.map_err(|error| Failure::new(error).into()),
                () = over.wait() => Err(over.cause().cloned().unwrap_or(Cause::AmGone)),
            }
        })?
    }
}

/// A token that is cancelled when the attempt is over.
pub(crate) fn cancelled_with(am: &Am) -> CancellationToken {
    let cancel = CancellationToken::new();
    let (over, theirs) = (am.over.clone(), cancel.clone());
    am.handle.spawn(async move {
        over.wait().await;
        theirs.cancel();
    });
    cancel
}

fn manifest(output: u32, staged: Staged) -> Result<v1::Manifest, Cause> {
    let manifest = serde_json::to_vec(&staged).map_err(Failure::new)?;
    Ok(v1::Manifest { output, manifest })
}
