//! HDFS blocks over the network, natively: `READ_BLOCK`, packet by packet, each compared with its checksums before anybody
//! sees it.
//!
//! [`DataNodes::open`] asks a DataNode for a part of a block, on a connection that was used before where there is one, and gives
//! a [`Stream`]. Its bytes come into [memory](Stream::read), or go from the socket into a [pipe](Stream::hold) and from there
//! on without having been copied in user space; where they are not to be compared ([`DataNodes::open_unchecked`]), whoever wants
//! them may take them out of the socket [directly](Stream::bare). Read-ahead is the kernel's: a stream that is open and not yet
//! read fills its socket's buffer, whose size the kernel adapts to the bandwidth and delay that it measures, and no more.
//!
//! [`DataNodes::write`] writes a block that is in memory, all of it, through the pipeline that the NameNode has chosen for it.
//!
//! Opening blocks, for as long as its deadline allows; a stream never does. Whatever a server says is an error at worst, which
//! names block, host and offset ([`ReadError`]); to go on with another replica is the caller's business.

mod datanodes;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod outgoing;
mod packet;
mod settings;
mod stream;
mod wire;
mod write;

pub use datanodes::DataNodes;
pub use error::{Fault, PacketFault, ReadError, WriteError};
pub use outgoing::BlockForm;
pub use settings::Settings;
pub use stream::{Bare, Step, Stream, Witness};
