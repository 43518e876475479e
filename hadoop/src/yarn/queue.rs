//! A queue: its share, what of it is used, who waits.

use super::proto::client::{QueueConfigurationsMapProto, QueueInfoProto};
use super::resource::Resource;

/// What a queue does with new applications (`QueueStateProto`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueState {
    /// 1: it takes none.
    Stopped,
    /// 2.
    Running,
    /// 3: it takes none and waits for those it has.
    Draining,
    /// Another number, or none.
    Other(i32),
}

/// A queue (`QueueInfoProto`).
#[derive(Debug, Clone, PartialEq)]
pub struct QueueInfo {
    /// Its name.
    pub name: String,
    /// Its name from the root, such as `root.default`, where the ResourceManager says it.
    pub path: String,
    /// Whether it takes applications.
    pub state: QueueState,
    /// Its share of its parent's, from 0 to 1.
    pub capacity: f32,
    /// The most it may have of its parent's, from 0 to 1.
    pub maximum_capacity: f32,
    /// What of its own share it has given out: 1 is all of it, more is lent.
    pub current_capacity: f32,
    /// The labels it may use; `*` stands for all.
    pub accessible_labels: Vec<String>,
    /// The label of what asks for none.
    pub default_label: String,
    /// For nodes without label and for each label: what the queue may have of them.
    pub partitions: Vec<QueuePartition>,
    /// How many applications and containers it has.
    pub statistics: QueueStatistics,
    /// Its children's names.
    pub children: Vec<String>,
}

/// A queue's part of the nodes with one label.
#[derive(Debug, Clone, PartialEq)]
pub struct QueuePartition {
    /// The label; empty for nodes without.
    pub label: String,
    /// Its share of the cluster, from 0 to 1.
    pub absolute_capacity: f32,
    /// The most it may have of the cluster, from 0 to 1.
    pub absolute_maximum_capacity: f32,
    /// What its share comes to now.
    pub guaranteed: Resource,
    /// What the most comes to now.
    pub maximum: Resource,
}

/// A queue's numbers. Memory is in MiB. What a ResourceManager says below zero is read as it is, for below zero
/// is how a queue looks that has been sent malformed asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueStatistics {
    /// Applications that run.
    pub running: i64,
    /// Applications that wait for their application master.
    pub pending: i64,
    /// Memory that is left.
    pub available_mib: i64,
    /// Memory given out.
    pub allocated_mib: i64,
    /// Memory asked for and not yet given.
    pub pending_mib: i64,
    /// Cores that are left.
    pub available_vcores: i64,
    /// Cores given out.
    pub allocated_vcores: i64,
    /// Cores asked for and not yet given.
    pub pending_vcores: i64,
    /// Containers given out.
    pub allocated_containers: i64,
    /// Containers asked for and not yet given.
    pub pending_containers: i64,
}

impl QueueInfo {
    pub(super) fn from_wire(proto: QueueInfoProto) -> Self {
        let state = match proto.state {
            Some(1) => QueueState::Stopped,
            Some(2) => QueueState::Running,
            Some(3) => QueueState::Draining,
            other => QueueState::Other(other.unwrap_or(0)),
        };
        let statistics = proto.queue_statistics.map(|said| QueueStatistics {
            running: said.num_apps_running.unwrap_or(0),
            pending: said.num_apps_pending.unwrap_or(0),
            available_mib: said.available_memory_mb.unwrap_or(0),
            allocated_mib: said.allocated_memory_mb.unwrap_or(0),
            pending_mib: said.pending_memory_mb.unwrap_or(0),
            available_vcores: said.available_vcores.unwrap_or(0),
            allocated_vcores: said.allocated_vcores.unwrap_or(0),
            pending_vcores: said.pending_vcores.unwrap_or(0),
            allocated_containers: said.allocated_containers.unwrap_or(0),
            pending_containers: said.pending_containers.unwrap_or(0),
        });
        Self {
            name: proto.queue_name.unwrap_or_default(),
            path: proto.queue_path.unwrap_or_default(),
            state,
            capacity: proto.capacity.unwrap_or(0.0),
            maximum_capacity: proto.maximum_capacity.unwrap_or(0.0),
            current_capacity: proto.current_capacity.unwrap_or(0.0),
            accessible_labels: proto.accessible_node_labels,
            default_label: proto.default_node_label_expression.unwrap_or_default(),
            partitions: proto.queue_configurations_map.into_iter().map(QueuePartition::from_wire).collect(),
            statistics: statistics.unwrap_or_default(),
            children: proto.child_queues.into_iter().filter_map(|child| child.queue_name).collect(),
        }
    }
}

impl QueuePartition {
    fn from_wire(proto: QueueConfigurationsMapProto) -> Self {
        let said = proto.queue_configurations.unwrap_or_default();
        Self {
            label: proto.partition_name,
            absolute_capacity: said.absolute_capacity.unwrap_or(0.0),
            absolute_maximum_capacity: said.absolute_max_capacity.unwrap_or(0.0),
            guaranteed: Resource::from_wire(said.effective_min_capacity),
            maximum: Resource::from_wire(said.effective_max_capacity),
        }
    }
}
