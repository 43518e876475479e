//! Where a plan's splits lie, for whoever hands splits out by locality. Asked for only when wanted: feeding finds its own
//! replicas.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use forebay_hadoop::namenode::{LocatedBlocks, StorageType};
use forebay_split::{HostShare, Replica, Split, Stretch, hosts};
use futures_util::{StreamExt, stream};

use crate::plan::Place;
use crate::{Plan, PlanError};

/// Calls to the NameNode at once.
const AT_ONCE: usize = 16;

/// Where the blocks of a plan's files lie, as the NameNode had it when asked.
#[derive(Debug, Default)]
pub struct Locations {
    files: HashMap<usize, Vec<Stretch>>,
}

impl Plan {
    /// Asks the NameNode where the blocks of the share's files on HDFS lie: one call for each file, several at once. Fails when
    /// it cannot be asked or refuses a file. Blocks the thread, and must not be called from async code.
    pub fn locations(&self) -> Result<Locations, PlanError> {
        let mut asked = HashSet::new();
        let files: Vec<_> = self
            .share()
            .filter(|split| asked.insert(split.file))
            .filter_map(|split| match &self.files[split.file].place {
                Place::Hdfs(cluster, path) => Some((split.file, Arc::clone(cluster), path.clone())),
                Place::Local(_) => None,
            })
            .collect();
        let Some((_, cluster, _)) = files.first() else { return Ok(Locations::default()) };
        let handle = cluster.handle().clone();
        let answers = stream::iter(files)
            .map(|(file, cluster, path)| async move { (file, cluster.blocks(&path).await) })
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>();
        let mut names = Names::default();
        let mut locations = Locations::default();
        for (file, located) in handle.block_on(answers) {
            locations.files.insert(file, names.stretches(located?));
        }
        Ok(locations)
    }
}

impl Locations {
    /// The stretches of a file, by its index in the plan; none for a local file and for one that the share does not read.
    pub fn stretches(&self, file: usize) -> &[Stretch] {
        self.files.get(&file).map_or(&[], Vec::as_slice)
    }

    /// The hosts that have parts of a split, the one with most of it first.
    pub fn hosts(&self, split: &Split) -> Vec<HostShare> {
        hosts(self.stretches(split.file), split)
    }
}

/// Each name once, however many blocks a host has.
#[derive(Default)]
struct Names(HashSet<Arc<str>>);

impl Names {
    fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.0.insert(Arc::clone(&name));
        name
    }

    fn stretches(&mut self, located: LocatedBlocks) -> Vec<Stretch> {
        let mut stretches = Vec::with_capacity(located.blocks.len());
        for block in located.blocks {
            let replica = |replica: &forebay_hadoop::namenode::Replica| Replica {
                host: self.get(&replica.hostname),
                address: self.get(&format!("{}:{}", replica.ip, replica.xfer_port)),
                storage: self.get(&storage(replica.storage_type)),
            };
            // What is known to be corrupt is of use to nobody.
            let replicas =
                if block.corrupt { Vec::new() } else { block.replicas.iter().map(replica).collect() };
            let end = block.offset.saturating_add(block.block.len);
            stretches.push(Stretch { start: block.offset, end, replicas });
        }
        stretches
    }
}

/// Hadoop's name of a storage type.
fn storage(kind: StorageType) -> String {
    match kind {
        StorageType::Disk => "DISK".into(),
        StorageType::Ssd => "SSD".into(),
        StorageType::Archive => "ARCHIVE".into(),
        StorageType::RamDisk => "RAM_DISK".into(),
        StorageType::Provided => "PROVIDED".into(),
        StorageType::Nvdimm => "NVDIMM".into(),
        other => format!("{other:?}"),
    }
}
