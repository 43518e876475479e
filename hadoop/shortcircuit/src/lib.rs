//! Local HDFS replicas as file descriptors, passed by the DataNode over its domain socket (short-circuit reads).
//!
//! [`ShortCircuit::open`] asks the DataNode on this host for a block's two files, block and meta, and keeps them in a bounded
//! cache. A slot of memory shared with the DataNode says whether a replica may still be used ([`Replica::is_valid`]). Whatever
//! fails is an [`OpenError`] within a deadline, and the block can then be read over the network; this crate never does.
//!
//! All calls block, for at most [`Settings::timeout`], and may be made from several threads.

mod cache;
mod checksum;
mod connections;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod meta;
mod pipes;
mod replica;
mod request;
mod rest;
mod settings;
mod short_circuit;
mod slots;
mod socket;
mod verified;
mod wire;

pub use connections::Connections;
pub use error::{Fault, OpenError, Reason, ReplicaError};
pub use forebay_hadoop::Token;
pub use forebay_hadoop::namenode::Block;
pub use forebay_hadoop::transfer::Status;
pub use meta::{ChecksumType, HEADER_LEN, MetaError, MetaHeader};
pub use pipes::Pipes;
pub use replica::{Anchor, Replica};
pub use settings::Settings;
pub use short_circuit::ShortCircuit;
pub use socket::{Connection, Deadline};
pub use verified::{ReplicaFiles, Verifier, VerifyError, read_verified};
