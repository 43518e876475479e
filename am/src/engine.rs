//! Where containers come from: the seam between the dispatcher and a cluster.

mod local;

pub(crate) use local::LocalEngine;
