//! Hadoop's wire protocol, native: configuration, IPC with its logins, token files, the NameNode's block locations, YARN.
//!
//! What it is for: to learn where a file's blocks lie, with the tokens to read them, and to run applications on YARN, without
//! a JVM. It is not a file system client: what DataNodes send and are sent is left to others.
//!
//! - [`conf`]: site files as Hadoop reads them; [`conf::keys`] lists every key read here;
//! - [`ipc`]: Hadoop IPC version 9 over tokio, with fail-over between servers under one deadline;
//! - [`sasl`]: logins by delegation token, and the seam for other mechanisms;
//! - [`credentials`]: token files;
//! - [`namenode`]: block locations, file status, bad blocks, delegation tokens, files of one block to be written;
//! - [`transfer`]: how requests to DataNodes begin and are answered;
//! - [`yarn`]: applications, application masters, containers.

pub mod conf;
pub mod credentials;
pub mod ipc;
pub mod namenode;
pub mod sasl;
pub mod transfer;
pub mod yarn;

pub use conf::{ConfError, Configuration};
pub use credentials::{Credentials, Token};
pub use ipc::{IpcError, RemoteError};
pub use namenode::NameNode;

/// What `fuzz/` reaches of what is private here.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::conf::fuzzing::*;
    pub use crate::ipc::fuzzing::*;
    pub use crate::namenode::fuzzing::*;
    pub use crate::sasl::fuzzing::*;
    /// Some names are those of other protocols' functions, too.
    pub mod yarn {
        pub use crate::yarn::fuzzing::*;
    }
}

/// The page's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
