//! A file on HDFS that is written once, from a source that cannot be read again.
//!
//! After an error, what HDFS has of the file is asked for, and the rest is appended. For that, what may not have arrived is
//! kept in memory: at most [`KEPT`] bytes, then it is made durable (`hsync`).

use bytes::{Bytes, BytesMut};
use forebay_store::{HdfsError, Patience};
use hdfs_native::HdfsError as NativeError;
use hdfs_native::file::FileWriter;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::note::Staged;
use crate::store::Hdfs;
use crate::{Attempt, OutputDir, OutputError};

/// Bytes that are kept until they are known to be durable.
const KEPT: u64 = 16 << 20;
const CHUNK: usize = 1 << 20;
/// Less room than this is no buffer to read into.
const LEAST_ROOM: usize = 64 << 10;

/// A part that is a file on HDFS.
pub struct HdfsStream {
    output: OutputDir,
    hdfs: Hdfs,
    attempt: Attempt,
    /// Absolute.
    path: String,
    /// Nothing after an error.
    writer: Option<FileWriter>,
    /// What was sent since `durable`; copied, because a small piece would keep the whole buffer that it was read into.
    tail: Vec<u8>,
    /// Bytes that are durable.
    durable: u64,
    /// Bytes that were given to this stream.
    given: u64,
    /// Whether the file can be made durable midway (not with erasure coding); else there is no going on after an error.
    can_sync: bool,
}

impl std::fmt::Debug for HdfsStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HdfsStream")
            .field("path", &self.path)
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

impl HdfsStream {
    pub(super) async fn create(
        output: OutputDir,
        hdfs: Hdfs,
        attempt: Attempt,
        part: String,
    ) -> Result<Self, OutputError> {
        let path = hdfs.path(&part);
        let (options, mut patience) = (hdfs.write_options(), hdfs.cluster.patience("write", &path));
        let writer = loop {
            match bounded(&hdfs, hdfs.cluster.writing_client().create(&path, &options)).await {
                Ok(writer) => break writer,
                Err(Trouble::Hdfs(error)) => patience.after(error).await?,
                Err(Trouble::Silence) => return Err(patience.give_up().into()),
                Err(Trouble::Output(error)) => return Err(error),
            }
        };
        Ok(Self {
            output,
            hdfs,
            attempt,
            path,
            writer: Some(writer),
            tail: Vec::new(),
            durable: 0,
            given: 0,
            can_sync: true,
        })
    }

    fn patience(&self) -> Patience {
        self.hdfs.cluster.patience("write", &self.path)
    }

    /// Writes all that `source` gives until its end. While HDFS takes nothing, nothing is read.
    pub async fn copy_from(
        &mut self,
        source: &mut (impl AsyncRead + Unpin),
        cancel: &CancellationToken,
    ) -> Result<(), OutputError> {
        let mut buffer = BytesMut::new();
        loop {
            if buffer.capacity() < LEAST_ROOM {
                buffer.reserve(CHUNK);
            }
            let read = cancel.run_until_cancelled(source.read_buf(&mut buffer)).await;
            if read.ok_or(OutputError::Cancelled)?.map_err(OutputError::Pipe)? == 0 {
                return Ok(());
            }
            let written = cancel.run_until_cancelled(Box::pin(self.write(buffer.split().freeze()))).await;
            written.ok_or(OutputError::Cancelled)??;
        }
    }

    /// Writes bytes behind those before.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), OutputError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.given += bytes.len() as u64;
        self.tail.extend_from_slice(&bytes);
        let mut patience = self.patience();
        let mut tried = match self.writer.as_mut() {
            Some(writer) => bounded(&self.hdfs, Box::pin(writer.write_bytes(bytes))).await.map(drop),
            None => Err(Trouble::Silence),
        };
        if tried.is_ok() && self.given - self.durable >= KEPT && self.can_sync {
            tried = self.make_durable().await;
        }
        while let Err(trouble) = tried {
            self.after(trouble, &mut patience).await?;
            tried = Box::pin(self.go_on()).await;
        }
        if !self.can_sync {
            self.forget();
        }
        Ok(())
    }

    /// All was written: closes the file and says that the part is whole.
    pub async fn finish(mut self: Box<Self>) -> Result<Staged, OutputError> {
        let mut patience = self.patience();
        let mut tried = self.close().await;
        while let Err(trouble) = tried {
            self.after(trouble, &mut patience).await?;
            tried = match Box::pin(self.go_on()).await {
                Ok(()) => self.close().await,
                trouble => trouble,
            };
        }
        self.output.set_streamed(self.attempt, self.given).await
    }

    async fn close(&mut self) -> Result<(), Trouble> {
        match self.writer.as_mut() {
            Some(writer) => bounded(&self.hdfs, Box::pin(writer.close())).await,
            None => Err(Trouble::Silence),
        }
    }

    async fn make_durable(&mut self) -> Result<(), Trouble> {
        let Some(writer) = self.writer.as_mut() else { return Err(Trouble::Silence) };
        match bounded(&self.hdfs, Box::pin(writer.hsync())).await {
            Err(Trouble::Hdfs(NativeError::UnsupportedFeature(why))) => {
                tracing::info!(path = self.path, why, "an error while writing it will not be mended");
                self.can_sync = false;
                Ok(())
            }
            Ok(()) => {
                self.forget();
                Ok(())
            }
            trouble => trouble,
        }
    }

    fn forget(&mut self) {
        self.tail.clear();
        self.durable = self.given;
    }

    /// Pauses, or gives up.
    async fn after(&mut self, trouble: Trouble, patience: &mut Patience) -> Result<(), OutputError> {
        self.writer = None;
        match trouble {
            Trouble::Output(error) => Err(error),
            Trouble::Silence => Err(patience.give_up().into()),
            // What the server thinks of this writer does not matter: the next one begins with asking it.
            Trouble::Hdfs(NativeError::RPCError(class, message)) if !self.can_sync => {
                let source = NativeError::RPCError(class, message);
                let path = self.hdfs.cluster.address(&self.path);
                Err(HdfsError::Refused { action: "write", path, source }.into())
            }
            Trouble::Hdfs(error) => Ok(patience.after(error).await?),
        }
    }

    /// Opens the file again, at the end that HDFS knows, and sends what is behind it.
    async fn go_on(&mut self) -> Result<(), Trouble> {
        let (hdfs, path) = (self.hdfs.clone(), self.path.clone());
        let client = hdfs.cluster.client();
        if !bounded(&hdfs, client.recover_lease(&path)).await? {
            let text = "its last block is being recovered".to_owned();
            return Err(Trouble::Hdfs(NativeError::OperationFailed(text)));
        }
        let found = bounded(&hdfs, client.get_file_info(&path)).await?.length as u64;
        if found < self.durable || found > self.given {
            let path = hdfs.cluster.address(&path);
            let (from, to) = (self.durable, self.given);
            return Err(Trouble::Output(OutputError::StreamBroken { path, found, from, to }));
        }
        let known = usize::try_from(found - self.durable).unwrap_or(usize::MAX);
        let mut writer = bounded(&hdfs, hdfs.cluster.writing_client().append(&path)).await?;
        for rest in self.tail.get(known..).unwrap_or_default().chunks(CHUNK) {
            bounded(&hdfs, Box::pin(writer.write_bytes(Bytes::copy_from_slice(rest)))).await?;
        }
        self.writer = Some(writer);
        Ok(())
    }
}

enum Trouble {
    Hdfs(NativeError),
    Silence,
    Output(OutputError),
}

async fn bounded<T>(hdfs: &Hdfs, call: impl Future<Output = Result<T, NativeError>>) -> Result<T, Trouble> {
    match timeout(hdfs.cluster.timeout(), call).await {
        Ok(answer) => answer.map_err(Trouble::Hdfs),
        Err(_) => Err(Trouble::Silence),
    }
}
