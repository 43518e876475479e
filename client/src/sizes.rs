//! Sizes of containers: what is asked for, what YARN makes of it, and what nodes have.

use std::collections::BTreeMap;
use std::fmt;

use forebay_am::container_mib;
use forebay_job::Job;
use serde::Serialize;

const MIB: u64 = 1 << 20;

/// The size of a container, or what a node has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    /// In MiB.
    pub memory_mib: u64,
    /// Virtual cores.
    pub cores: u32,
    /// `yarn.io/gpu`
    pub gpus: u32,
}

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// As its NodeManager is called.
    pub(crate) host: String,
    /// `/rack`
    pub(crate) rack: String,
    /// Labels of it.
    pub(crate) labels: Vec<String>,
    /// What it has in all.
    pub(crate) total: Size,
}

/// What a node or the cluster lacks for a container.
fn lacks(size: &Size, of: &Size) -> bool {
    size.memory_mib > of.memory_mib || size.cores > of.cores || size.gpus > of.gpus
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores = if self.cores == 1 { "core" } else { "cores" };
        write!(f, "{} MiB of memory and {} {cores}", self.memory_mib, self.cores)?;
        match self.gpus {
            0 => Ok(()),
            1 => f.write_str(" and 1 GPU"),
            gpus => write!(f, " and {gpus} GPUs"),
        }
    }
}

impl Size {
    /// Of a worker's container, with what feeds it.
    pub(crate) fn worker(job: &Job) -> Self {
        Self {
            memory_mib: container_mib(job.worker_memory),
            cores: job.worker_cores.unwrap_or(1),
            gpus: job.worker_gpus,
        }
    }

    /// Of the application master's.
    pub(crate) fn am(job: &Job) -> Self {
        Self { memory_mib: job.am_memory.div_ceil(MIB), cores: job.am_cores, gpus: 0 }
    }

    /// As YARN rounds it: memory up to a multiple of the step.
    pub(crate) fn rounded(&self, step_mib: u64) -> Self {
        let step = step_mib.max(1);
        Self { memory_mib: self.memory_mib.div_ceil(step).saturating_mul(step), ..self.clone() }
    }
}

/// Whether a container of this size can be had at all. `step_mib`: YARN rounds memory up to a multiple of it. `most` is the
/// largest that the ResourceManager gives.
pub(crate) fn fits(
    what: &str,
    size: &Size,
    step_mib: u64,
    most: Option<&Size>,
    nodes: &[Node],
    label: Option<&str>,
) -> Result<(), String> {
    if let Some(most) = most.filter(|most| lacks(size, most)) {
        return Err(format!(
            "{what} needs {size}, and the ResourceManager gives no container more than {most}{}; ask for less",
            largest(nodes).map_or(String::new(), |node| format!(
                " (the largest node, {}, has {})",
                node.host, node.total
            ))
        ));
    }
    let wanted: Vec<_> = match label {
        Some(label) => {
            nodes.iter().filter(|node| node.labels.iter().any(|other| other == label)).cloned().collect()
        }
        None => nodes.to_vec(),
    };
    let labelled = label.map_or(String::new(), |label| format!(" with label {label}"));
    let Some(largest) = largest(&wanted) else {
        return Err(format!("there is no running node{labelled}; ask again when NodeManagers are up"));
    };
    // The ResourceManager rounds up, but to no more than it gives.
    let mut rounded = size.rounded(step_mib);
    if let Some(most) = most {
        rounded.memory_mib = rounded.memory_mib.min(most.memory_mib.max(size.memory_mib));
    }
    if wanted.iter().all(|node| lacks(&rounded, &node.total)) {
        let more = if largest.total.gpus < size.gpus {
            let most = wanted.iter().map(|node| node.total.gpus).max().unwrap_or(0);
            format!(", and none more GPUs than {most}")
        } else {
            String::new()
        };
        let rounds = if rounded.memory_mib > size.memory_mib {
            format!(", which YARN rounds up to {} MiB", rounded.memory_mib)
        } else {
            String::new()
        };
        return Err(format!(
            "{what} needs {size}{rounds}, and no node{labelled} has that: the largest of {}, {}, has {}{more}; ask for less",
            wanted.len(),
            largest.host,
            largest.total
        ));
    }
    Ok(())
}

fn largest(nodes: &[Node]) -> Option<&Node> {
    nodes.iter().max_by_key(|node| (node.total.memory_mib, node.total.cores))
}

/// The racks of nodes that are not in the default one.
pub(crate) fn racks(nodes: &[Node]) -> BTreeMap<String, String> {
    let placed = nodes.iter().filter(|node| !node.rack.is_empty() && node.rack != "/default-rack");
    placed.map(|node| (node.host.clone(), node.rack.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(memory_mib: u64, cores: u32, gpus: u32) -> Size {
        Size { memory_mib, cores, gpus }
    }

    fn node(host: &str, label: &str, total: Size) -> Node {
        Node { host: host.into(), rack: "/default-rack".into(), labels: vec![label.into()], total }
    }

    #[test]
    fn a_worker_gets_what_it_was_promised_and_its_agent_more() {
        let job = Job::from_toml("input = ['a']\ncommand = ['c']\nworker-memory = '1.5G'\nworker-gpus = 2")
            .unwrap();
        assert_eq!(Size::worker(&job), size(1536 + 128, 1, 2));
        assert_eq!(Size::am(&job), size(256, 1, 0));
        assert_eq!(Size::worker(&job).rounded(1024), size(2048, 1, 2));
        assert_eq!(size(1024, 1, 0).rounded(1024).memory_mib, 1024);
    }

    #[test]
    fn what_no_node_has_is_refused_with_what_the_largest_has() {
        let nodes = [node("small", "", size(2048, 2, 0)), node("large", "gpu", size(8192, 4, 1))];
        let fits = |asked: Size, most: Option<&Size>, label| {
            fits("a worker's container", &asked, 1, most, &nodes, label)
        };
        assert_eq!(fits(size(8192, 4, 1), None, None), Ok(()));
        assert_eq!(fits(size(8192, 4, 1), None, Some("gpu")), Ok(()));
        for (asked, label, words) in [
            (size(8193, 1, 0), None, ["large", "8192 MiB of memory and 4 cores"]),
            (size(1, 5, 0), None, ["1 MiB of memory and 5 cores", "large"]),
            (size(1, 1, 2), None, ["2 GPUs", "8192 MiB"]),
            (size(1, 1, 0), Some("none"), ["no running node", "label none"]),
        ] {
            let why = fits(asked, None, label).unwrap_err();
            assert!(words.iter().all(|word| why.contains(word)), "{why}");
        }
        let why = fits(size(4096, 1, 0), Some(&size(2048, 8, 8)), None).unwrap_err();
        assert!(why.contains("no container more than 2048 MiB") && why.contains("large"), "{why}");
    }

    #[test]
    fn what_fits_only_before_yarn_rounds_it_up_is_refused() {
        let nodes = [node("small", "", size(4000, 8, 0))];
        let fits = |step, most: Option<&Size>| {
            fits("a worker's container", &size(3900, 1, 0), step, most, &nodes, None)
        };
        assert_eq!(fits(1, None), Ok(()));
        let why = fits(1024, None).unwrap_err();
        assert!(why.contains("3900 MiB") && why.contains("rounds up to 4096 MiB"), "{why}");
        // No container becomes larger than the largest that is given.
        assert_eq!(fits(1024, Some(&size(4000, 8, 0))), Ok(()));
    }

    #[test]
    fn only_racks_that_tell_something_are_kept() {
        let mut nodes = [node("a", "", size(1, 1, 0)), node("b", "", size(1, 1, 0))];
        nodes[1].rack = "/r2".into();
        assert_eq!(racks(&nodes), BTreeMap::from([("b".to_owned(), "/r2".to_owned())]));
    }
}
