//! What can go wrong, said so that the reader knows on what, why, and what to do.

use std::io;
use std::path::PathBuf;

use forebay_decode::{Codec, DecodeError};
use forebay_record::{Format, TarError, TfRecordError};
use forebay_store::{AddressError, HdfsError};

use crate::Container;

/// Planning failed: nothing was started, nothing was fed.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// An address that cannot be understood.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A job's files are named in texts.
    #[error("cannot hand {path:?} to a worker: its name is not UTF-8; rename the file")]
    NameNotUtf8 {
        /// The file.
        path: PathBuf,
    },
    /// A malformed glob.
    #[error(
        "cannot read the pattern {input}: {reason}; put a backslash before a character that is meant literally"
    )]
    Pattern {
        /// The argument.
        input: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The path does not exist, or the glob matches nothing.
    #[error(
        "nothing matches {input}; check the path (names found by a glob or in a folder that begin with _ or . are skipped)"
    )]
    NoMatch {
        /// The argument.
        input: String,
    },
    /// A folder without a file to feed.
    #[error("{input} holds no file to feed (names that begin with _ or . are skipped)")]
    NoFiles {
        /// The argument.
        input: String,
    },
    /// Looking at a local path failed.
    #[error("cannot {action} {path}: {source}")]
    Local {
        /// `list`, `read`.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A FIFO, socket or device.
    #[error(
        "cannot feed {path}: it is a {kind}; only regular files have splits. Feed it with a plain redirection instead"
    )]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// Folders that contain themselves through links.
    #[error("cannot list {path}: its links lead back to a folder above it")]
    Loop {
        /// The path.
        path: PathBuf,
    },
    /// A compressed file where it cannot be decoded.
    #[error(
        "cannot cut {path} into records: its name ends in .{suffix}, and {why}; decompress it first, or pass it on as it is with --format bytes"
    )]
    Compressed {
        /// The file.
        path: String,
        /// The suffix without the dot.
        suffix: String,
        /// Why not.
        why: &'static str,
    },
    /// A file without a byte, of a codec that writes some even for nothing.
    #[error(
        "cannot decode {path}: it is empty, and {codec} of nothing is some bytes, so it was never finished; write it again, or remove it"
    )]
    NothingToDecode {
        /// The file.
        path: String,
        /// The codec that its name stands for.
        codec: Codec,
    },
    /// A file without a byte that should be a SequenceFile, an Avro file or a tar archive.
    #[error(
        "cannot read {path} as {container}: it is empty, and even one without records has some bytes, so it was never finished; write \
         it again, or remove it"
    )]
    EmptyContainer {
        /// The file.
        path: String,
        /// What it should be.
        container: Container,
    },
    /// Files of several formats, where their names were to say which.
    #[error(
        "cannot feed {path} and {other} together: one is named like TFRecords and the other is not; give them to feeds of their own, or say with --format what both are"
    )]
    Mixed {
        /// A file with TFRecords.
        path: String,
        /// One whose name does not say so.
        other: String,
    },
    /// The file is no whole number of records.
    #[error(
        "cannot cut {path} into records of {record} bytes: its {len} bytes leave a remainder of {remainder}; check the record length"
    )]
    Remainder {
        /// The file.
        path: String,
        /// Its length in bytes.
        len: u64,
        /// The record length in bytes.
        record: u64,
        /// What is left over.
        remainder: u64,
    },
    /// HDFS said no, or nothing.
    #[error(transparent)]
    Hdfs(#[from] HdfsError),
}

impl PlanError {
    /// Whether the command line itself is wrong, whatever the state of the world.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Address(_) | Self::Pattern { .. })
    }
}

/// Reading an input failed while feeding.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file cannot be opened any more.
    #[error("cannot open {path}, which was there when the feed was planned: {source}")]
    Open {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// What stands at the path now is another file, or no regular file.
    #[error("cannot read {path}: another file has taken its place since the feed was planned; feed it again")]
    Replaced {
        /// The file.
        path: String,
    },
    /// A read failed.
    #[error("cannot read {path} at byte {offset}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Where.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The file has become shorter.
    #[error(
        "{path} shrank while it was read: {planned} bytes when planned, it now ends at byte {end}; feed it again when it is complete"
    )]
    Shrank {
        /// The file.
        path: String,
        /// Its length when planned.
        planned: u64,
        /// Where it ends now.
        end: u64,
    },
    /// Its last block was not finished in time.
    #[error(
        "{path} is being written: it had {planned} bytes when planned, of which only the first {end} are in finished blocks; feed it again when it is closed"
    )]
    BeingWritten {
        /// The file.
        path: String,
        /// Its length when planned.
        planned: u64,
        /// Where its finished blocks end.
        end: u64,
    },
    /// A file in an encryption zone.
    #[error(
        "cannot read {path}: it is in an encryption zone, and Forebay does not decrypt; copy it out of the zone (hdfs dfs -cp) and feed the copy"
    )]
    Encrypted {
        /// The file.
        path: String,
    },
    /// A compressed file is damaged, or none.
    #[error(
        "cannot decode {path} as {codec}: {source}. Restore the file; a name that lies is mended by another name, and --format bytes passes files on as they are"
    )]
    Undecodable {
        /// The file.
        path: String,
        /// What its name, or its first bytes, said it was.
        codec: Codec,
        /// What is wrong, and where.
        source: DecodeError,
    },
    /// A SequenceFile or an Avro file is damaged, none, or not what was asked for.
    #[error("cannot read {path} as {container}: {}", told(source))]
    Container {
        /// The file.
        path: String,
        /// What it should be.
        container: Container,
        /// What is wrong, and where.
        source: DecodeError,
    },
    /// A SequenceFile or an Avro file among text files.
    #[error(
        "{path} is {container}, as its first bytes say, and has no lines; give --format {} to feed its records, or --format bytes to pass \
         it on as it is",
        container.format()
    )]
    IsContainer {
        /// The file.
        path: String,
        /// What it is.
        container: Container,
    },
    /// Avro files of several schemas for one reader.
    #[error(
        "cannot feed {path} together with {other}: their schemas differ, and whoever reads records of both could not tell which has which; \
         give them to feeds, or jobs, of their own, or write one of them again with the schema of the other"
    )]
    Schemas {
        /// A file.
        path: String,
        /// One that was fed before.
        other: String,
    },
    /// A tar archive is damaged, or none.
    #[error(
        "{path} cannot be read as a tar archive: {source}. Write the file again or restore it; --format bytes passes files on as they are"
    )]
    Tar {
        /// The file.
        path: String,
        /// What is wrong, and where.
        source: TarError,
    },
    /// A sample of one archive goes on in the next.
    #[error(
        "cannot feed {path} behind {other}: the last sample of that one and the first of this one have the same key, {key}, and whoever reads \
         both would take them for one; feed them in another order, or apart, or name their files differently"
    )]
    Samples {
        /// The file.
        path: String,
        /// The one before.
        other: String,
        /// The key.
        key: String,
    },
    /// A TFRecord file is damaged, or none.
    #[error(
        "{path} cannot be read as TFRecords {source}. Write the file again or restore it; one that is compressed needs a name that says so (.gz), and --format bytes passes files on as they are"
    )]
    NoTfRecords {
        /// The file.
        path: String,
        /// What is wrong, and where.
        source: TfRecordError,
    },
    /// What a compressed file decodes to is no TFRecords, or not whole.
    #[error(
        "{path} does not decode to TFRecords: {source}, counted in what it decodes to. Write the file again or restore it"
    )]
    DecodesToNoTfRecords {
        /// The file.
        path: String,
        /// What is wrong, and where in what it decodes to.
        source: TfRecordError,
    },
    /// Splits of a TFRecord file do not meet.
    #[error("{path} cannot be split as TFRecords {source}. Feed it with a larger --split-size")]
    SplitsApart {
        /// The file.
        path: String,
        /// Where.
        source: TfRecordError,
    },
    /// No thread, or no descriptor, for decoding.
    #[error("cannot start a decoder for {path}: {source}")]
    NoDecoder {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The decoder broke off without a word: a bug.
    #[error("the decoder of {path} broke off; please report this with the file")]
    DecoderGone {
        /// The file.
        path: String,
    },
    /// A replica does not match its checksums, and no other one could be read.
    #[error(
        "{path} is corrupt at byte {at}: block {block} on {host} does not match its checksum there, and no other replica could be read: {others}. Run hdfs fsck on the file and restore it"
    )]
    Corrupt {
        /// The file.
        path: String,
        /// The block, as Hadoop's logs have it.
        block: String,
        /// The DataNode of the replica.
        host: String,
        /// Offset in the file of the first bad chunk.
        at: u64,
        /// What came of the other replicas.
        others: String,
    },
    /// HDFS said no, or nothing.
    #[error(transparent)]
    Hdfs(#[from] HdfsError),
}

impl SourceError {
    /// Why a file of this format has no records.
    pub(crate) fn of_container(path: String, format: &Format, source: DecodeError) -> Self {
        let container = Container::of_format(format).unwrap_or(Container::Sequence);
        Self::Container { path, container, source }
    }

    /// A TFRecord file has no bounds.
    pub(crate) fn of_tfrecords(path: String, source: TfRecordError) -> Self {
        if source.is_of_splits() {
            Self::SplitsApart { path, source }
        } else {
            Self::NoTfRecords { path, source }
        }
    }
}

/// What is wrong with a SequenceFile or an Avro file, and what to do where the reason does not say it.
fn told(error: &DecodeError) -> String {
    if error.is_refusal() {
        return error.reason.to_string();
    }
    format!("{error}. Restore the file, or pass it on as it is with --format bytes")
}

/// Handing bytes over failed for a reason other than the reader having gone.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// A write to the output failed.
    #[error("cannot write to {to} after {after} bytes: {source}")]
    Write {
        /// What the output is.
        to: &'static str,
        /// Bytes delivered before.
        after: u64,
        /// Why.
        source: io::Error,
    },
    /// The output could not be set up.
    #[error("cannot use {to} as output: {source}")]
    Setup {
        /// What the output is.
        to: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The output is one of the inputs.
    #[error("{path} is both an input and the output; write to another file")]
    OutputIsInput {
        /// The file.
        path: PathBuf,
    },
    /// Waiting for the reader failed.
    #[error("cannot wait for the reader: {0}")]
    Wait(io::Error),
    /// Whoever follows the feed's leases failed.
    #[error("cannot note where the next split begins: {0}")]
    Observer(io::Error),
    /// A split cannot go on where its former reader's acknowledgement ends.
    #[error("cannot go on inside a split of {path}: {reason}")]
    Skip {
        /// The file.
        path: String,
        /// Why.
        reason: &'static str,
    },
}

/// A feed failed: what was delivered is not all.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// On the reading side.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// On the delivering side.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
}
