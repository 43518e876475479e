//! YARN's messages that this crate speaks, one file for each protocol and one for what they share.

#![expect(clippy::struct_field_names, reason = "Hadoop's own names")]

pub(crate) mod client;
pub(crate) mod common;
pub(crate) mod master;
pub(crate) mod node;

/// Requests and answers that say nothing.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Empty {}
