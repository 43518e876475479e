//! Small files, of at most one block, written by ourselves: made, stored through one pipeline, and complete as soon as the
//! NameNode has heard of a replica.
//!
//! That is some milliseconds after the last acknowledgement. `hdfs-native` asks at once, and then only after half a second, which
//! whoever starts a job or waits for its end would see.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_hadoop::namenode::{
    Block, Error as NameNodeError, FileStatus, NewFile, OpenFile, Replica, ServerDefaults,
};
use forebay_hadoop::{Configuration, IpcError, NameNode};
use forebay_remote::{BlockForm, DataNodes, Settings};
use forebay_shortcircuit::{ChecksumType, MetaHeader};
use hdfs_native::{HdfsError as NativeError, WriteOptions};
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

use crate::clusters::silence;
use crate::{HdfsError, Patience, may_pass};

/// Pipelines that are tried one right after the other, each without the DataNodes that have failed.
const PIPELINES: u32 = 4;
/// Between two questions whether the NameNode has heard of the block: the first, doubled each time, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// After so long a DataNode that has acknowledged a block is taken to be gone before it could tell the NameNode.
const UNHEARD: Duration = Duration::from_secs(30);
/// Checksums of more bytes are nobody's configuration, and fewer make a packet of checksums.
const CHUNKS: std::ops::RangeInclusive<u32> = 64..=1 << 20;

/// What has become of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is there.
    Whole,
    /// It is for `hdfs-native` to write.
    NotHere,
}

/// Writes small files to one HDFS.
#[derive(Debug)]
pub(crate) struct Small {
    namenode: NameNode,
    datanodes: DataNodes,
    timeout: Duration,
    defaults: OnceCell<ServerDefaults>,
    /// Of files held so far.
    files: AtomicU64,
}

impl Small {
    /// A writer, unless the configuration protects the data on its way, or cannot be used.
    pub(crate) fn new(conf: &Configuration, authority: &str, timeout: Duration) -> Option<Self> {
        let unusable =
            |error: &dyn std::fmt::Display| tracing::info!(%error, "small files are left to hdfs-native");
        let mut settings = Settings::from_conf(conf).inspect_err(|error| unusable(error)).ok()?;
        if settings.protected {
            return None;
        }
        settings.silence = settings.silence.min(silence(timeout));
        let mut conf = conf.clone();
        // A NameNode that is away is asked again soon; how often is the patience's to say.
        conf.set("dfs.client.failover.sleep.base.millis", "50");
        conf.set("dfs.client.failover.sleep.max.millis", "1000");
        let namenode = NameNode::connect(&conf, authority).inspect_err(|error| unusable(error)).ok()?;
        Some(Self {
            // So that there is an error to be told before the time is over.
            namenode: namenode.with_deadline(timeout / 4 * 3),
            datanodes: DataNodes::new(settings),
            timeout,
            defaults: OnceCell::new(),
            files: AtomicU64::new(0),
        })
    }

    /// Writes a file. What it cannot write, or is refused before there is a block, it leaves to `hdfs-native`.
    pub(crate) async fn write(
        &self,
        path: &str,
        bytes: &Bytes,
        options: &WriteOptions,
        mut patience: Patience,
    ) -> Result<Written, HdfsError> {
        let mut course = Course::new(self, path, bytes, options);
        loop {
            match timeout(patience.left(), course.go_on()).await {
                Ok(Ok(())) => return Ok(Written::Whole),
                Ok(Err(Trouble::Leave(why))) => {
                    tracing::debug!(path, why, "left to hdfs-native");
                    course.leave().await;
                    return Ok(Written::NotHere);
                }
                Ok(Err(Trouble::Hdfs(error))) => patience.after(error).await?,
                Err(_) => return Err(patience.give_up()),
            }
        }
    }

    async fn defaults(&self) -> Result<ServerDefaults, NameNodeError> {
        self.defaults.get_or_try_init(|| self.namenode.server_defaults()).await.copied()
    }
}

/// Why a file is not there yet.
#[derive(Debug)]
enum Trouble {
    /// It may be a matter of time, or not.
    Hdfs(NativeError),
    /// It is not for us.
    Leave(String),
}

/// One file on its way: what is done is not done again when a call has failed.
struct Course<'a> {
    small: &'a Small,
    path: &'a str,
    bytes: &'a Bytes,
    options: &'a WriteOptions,
    holder: String,
    /// The identity of the file that was made.
    file: Option<u64>,
    /// The block that all its DataNodes have, and the first of these.
    stored: Option<(Block, Replica)>,
    /// A block was allocated at some time.
    has_begun: bool,
    excluded: Vec<Replica>,
}

impl<'a> Course<'a> {
    fn new(small: &'a Small, path: &'a str, bytes: &'a Bytes, options: &'a WriteOptions) -> Self {
        let number = small.files.fetch_add(1, Ordering::Relaxed);
        // Leases go by this name: a file that was given up must not be kept by those that come later.
        let holder = format!("{}_{number}", small.namenode.client_name());
        let (file, stored, has_begun, excluded) = (None, None, false, Vec::new());
        Self { small, path, bytes, options, holder, file, stored, has_begun, excluded }
    }

    /// Does all that is still to be done.
    async fn go_on(&mut self) -> Result<(), Trouble> {
        let gone_on = self.try_go_on().await;
        if let Err(Trouble::Hdfs(NativeError::RPCError(class, _))) = &gone_on
            && class.ends_with("LeaseExpiredException")
        {
            // Somebody has taken or removed the file. It is begun anew.
            (self.file, self.stored) = (None, None);
        }
        gone_on
    }

    async fn try_go_on(&mut self) -> Result<(), Trouble> {
        let defaults = self.small.defaults().await.map_err(|error| self.trouble(&error))?;
        let id = if let Some(id) = self.file {
            id
        } else {
            let made = self.create(&defaults).await?;
            self.file = Some(made.id);
            if made.erasure_coding.is_some() || made.encryption.is_some() {
                return Err(Trouble::Leave("its blocks are no plain bytes".to_owned()));
            }
            made.id
        };
        if self.stored.is_none() && !self.bytes.is_empty() {
            self.stored = Some(self.store(id, &form(&defaults)).await?);
        }
        self.complete(id).await
    }

    /// Makes room for another writer.
    async fn leave(&self) {
        // In place of what is there it makes its own.
        if self.file.is_none() || self.options.overwrite {
            return;
        }
        if let Err(error) = self.small.namenode.delete(self.path).await {
            tracing::warn!(path = self.path, %error, "what was begun could not be removed");
        }
    }

    async fn create(&self, defaults: &ServerDefaults) -> Result<FileStatus, Trouble> {
        let options = self.options;
        let block_size = options.block_size.unwrap_or(defaults.block_size);
        if self.bytes.len() as u64 > block_size {
            return Err(Trouble::Leave(format!("it is longer than a block of {block_size} bytes")));
        }
        if defaults.encrypt_data_transfer {
            return Err(Trouble::Leave("data is encrypted on its way".to_owned()));
        }
        if !CHUNKS.contains(&defaults.bytes_per_checksum) {
            let chunk = defaults.bytes_per_checksum;
            return Err(Trouble::Leave(format!("each checksum is to cover {chunk} bytes")));
        }
        let file = NewFile {
            path: self.path,
            holder: &self.holder,
            permission: options.permission,
            overwrite: options.overwrite,
            create_parent: options.create_parent,
            replication: options.replication.unwrap_or(defaults.replication),
            block_size,
        };
        self.small.namenode.create(&file).await.map_err(|error| self.trouble(&error))
    }

    /// Stores the bytes as the file's block.
    async fn store(&mut self, id: u64, form: &BlockForm) -> Result<(Block, Replica), Trouble> {
        let Self { small, path, ref holder, .. } = *self;
        let holder = holder.clone();
        let file = OpenFile { path, holder: &holder, id };
        let mut failed = None;
        for _ in 0..PIPELINES {
            let added = small.namenode.add_first_block(&file, &self.excluded).await;
            let located = match added {
                Ok(located) => located,
                Err(error) => {
                    // Perhaps there are no others. Those that have failed may do next time, and what was wrong with them says more.
                    let had_others = std::mem::take(&mut self.excluded).is_empty();
                    let trouble = self.trouble(&error);
                    return Err(match failed {
                        Some(failed) if !had_others => failed,
                        _ => trouble,
                    });
                }
            };
            self.has_begun = true;
            let Err(error) = small.datanodes.write(&located, &holder, form, self.bytes).await else {
                let block = Block { len: self.bytes.len() as u64, ..located.block };
                // A block has DataNodes, or it would have been refused.
                let first = located.replicas.into_iter().next();
                return first
                    .map(|first| (block, first))
                    .ok_or_else(|| Trouble::Leave("no DataNodes".to_owned()));
            };
            tracing::info!(path, %error, "a pipeline has failed");
            // Another token may do; the DataNode is not to blame.
            if !error.is_token() {
                self.excluded.extend(located.replicas.get(error.replica).cloned());
            }
            failed = Some(Trouble::Hdfs(NativeError::DataTransferError(error.to_string())));
            small
                .namenode
                .abandon_block(&file, &located.block)
                .await
                .map_err(|error| self.trouble(&error))?;
        }
        Err(failed.unwrap_or_else(|| Trouble::Leave("no pipeline was tried".to_owned())))
    }

    /// Closes the file once the NameNode has heard of its block.
    async fn complete(&mut self, id: u64) -> Result<(), Trouble> {
        let namenode = &self.small.namenode;
        let file = OpenFile { path: self.path, holder: &self.holder, id };
        let block = self.stored.as_ref().map(|(block, _)| block);
        let (since, mut pause) = (Instant::now(), FIRST_PAUSE);
        let longest = UNHEARD.min(self.small.timeout / 2);
        while !namenode.complete(&file, block).await.map_err(|error| self.trouble(&error))? {
            if since.elapsed() >= longest {
                return self.unheard(id, longest).await;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }

    /// Gives up a block that the NameNode does not hear of.
    async fn unheard(&mut self, id: u64, waited: Duration) -> Result<(), Trouble> {
        let Some((block, first)) = self.stored.take() else {
            return Err(Trouble::Leave("a file without a block is not complete".to_owned()));
        };
        let file = OpenFile { path: self.path, holder: &self.holder, id };
        let abandoned = self.small.namenode.abandon_block(&file, &block).await;
        abandoned.map_err(|error| self.trouble(&error))?;
        let why = format!(
            "the NameNode has not heard within {} s from any DataNode that it has {block}, first written to {}",
            waited.as_secs(),
            self.small.datanodes.address(&first)
        );
        self.excluded.push(first);
        Err(Trouble::Hdfs(NativeError::DataTransferError(why)))
    }

    /// What an error of the NameNode's means.
    fn trouble(&self, error: &NameNodeError) -> Trouble {
        let native = match (error.remote(), error) {
            (Some(remote), _) => NativeError::RPCError(remote.class.clone(), remote.message.clone()),
            // Nobody could be asked, or nobody has answered.
            (None, NameNodeError::Ipc(IpcError::GaveUp { reason, .. })) if !reason.is_hopeless() => {
                NativeError::OperationFailed(error.to_string())
            }
            (None, _) if self.has_begun => NativeError::OperationFailed(error.to_string()),
            (None, _) => return Trouble::Leave(error.to_string()),
        };
        // What cannot be is for `hdfs-native` to find out, as long as nothing has begun.
        if self.has_begun || may_pass(&native) {
            Trouble::Hdfs(native)
        } else {
            Trouble::Leave(error.to_string())
        }
    }
}

/// How blocks are written where the NameNode says so. Where it wants no checksums, they have some nevertheless.
fn form(defaults: &ServerDefaults) -> BlockForm {
    let checksum = if defaults.checksum_type == 1 { ChecksumType::Crc32 } else { ChecksumType::Crc32c };
    let sums = MetaHeader { checksum, bytes_per_checksum: defaults.bytes_per_checksum };
    BlockForm { sums, packet: defaults.write_packet_size }
}
