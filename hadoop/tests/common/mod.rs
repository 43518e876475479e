//! What tests on real clusters share.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod yarn;

use std::future::Future;

use forebay_fixtures::Hdfs;
use forebay_hadoop::{Configuration, NameNode};

/// Runs a future to its end on a runtime of its own.
pub(crate) fn blocking<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

/// The cluster's configuration for clients.
pub(crate) fn conf_of(hdfs: &Hdfs) -> Configuration {
    Configuration::from_folder(hdfs.conf_dir()).unwrap()
}

/// A client of the cluster's NameNode.
pub(crate) fn namenode(hdfs: &Hdfs) -> NameNode {
    NameNode::connect(&conf_of(hdfs), "").unwrap()
}
