//! The feed: from files to a worker's standard input, with who waits for whom measured on the way.
//!
//! A byte's way through this crate is the order of its modules: [`Plan`] (inputs to files to splits to one
//! share), a `source` that bounds each range and opens it (local files and HDFS replicas of this host as
//! descriptors, the rest of HDFS as buffers fetched ahead), a decoder for what is compressed, [`Sink`] (splice or write into a pipe without ever
//! blocking beyond recall), and [`Meter`]. It knows nothing of jobs, schedulers or networks other than HDFS, and runs inside any program: see
//! [`feed()`].

mod checksum;
mod codec;
mod container;
mod delivered;
mod delivery;
mod error;
mod feed;
mod hdfs;
mod lease;
mod listing;
mod locations;
mod meter;
mod names;
mod plan;
mod report;
mod sink;
mod skip;
mod source;
mod stop;
mod worker;

pub use container::Container;
pub use delivered::Delivered;
pub use error::{DeliveryError, FeedError, PlanError, SourceError};
pub use feed::{Ended, Leases, LineEnding, Settings, feed, feed_leases};
/// What this host keeps of blocks that came over the network.
pub use forebay_cache::{Cache, CacheFigures};
/// An input is named by its address.
pub use forebay_store::Address as Input;
pub use forebay_store::{AddressError, HdfsError};
pub use hdfs::{DEFAULT_HDFS_TIMEOUT, Hdfs};
pub use lease::{FileEntry, Lease, LeaseObserver, LeaseQueue, Skip, StreamPosition};
pub use locations::Locations;
pub use meter::{Hedged, Meter, RemoteReads, Sampler, Snapshot, Verdict};
pub use plan::{LOCAL_SPLIT_SIZE, Plan, PlanOptions};
pub use report::{Outcome, Report, SplitReport};
pub use sink::{Gauge, PIPE_SIZE, Sink, Watch};
pub use stop::Stop;
pub use worker::{Worker, WorkerError, descendants};
