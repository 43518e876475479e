//! Where data is: addresses, HDFS clients that are asked with patience, and files fetched to this machine.
//!
//! What the feed and the output of a job have in common: both are told addresses ([`Address`]), both speak with HDFS
//! through `hdfs-native` with every call bounded in time and tried again while that may help ([`Clusters`], [`Cluster`],
//! [`Patience`]); small files are written by our own hand. [`fetch()`] brings a file from an address to a local path.

mod address;
mod cluster;
mod clusters;
mod copy;
mod error;
mod fetch;
mod files;
mod native;
mod patience;
mod small;

pub use address::Address;
pub use cluster::Cluster;
pub use clusters::Clusters;
pub use copy::copy_bytes;
pub use error::{AddressError, FetchError, HdfsError};
pub use fetch::{Fetched, fetch};
pub use files::{is_missing, unless_missing};
pub use native::{may_pass, server_message};
pub use patience::Patience;
