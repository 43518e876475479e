//! A job that is about to be submitted: planned, and all refused that can be refused before anything is changed.

use forebay_am::JobPlan;
use forebay_hadoop::yarn::Resource;
use forebay_job::{Job, JobError};
use forebay_output::OutputDir;
use forebay_store::Address;
use serde::Serialize;

use crate::ClientError;
use crate::client::Client;
use crate::sizes::{self, Node, Size};
use crate::staging::Cargo;

/// Until the ResourceManager has given one.
const NO_ID: &str = "not-submitted";
/// Hosts that are named in a dry run.
const MOST_HOSTS: usize = 50;

/// A job that can be submitted.
#[derive(Debug)]
pub struct Prepared {
    /// Its paths are full addresses, or absolute on this machine.
    pub(crate) job: Job,
    pub(crate) plan: JobPlan,
    pub(crate) cargo: Cargo,
    pub(crate) nodes: Vec<Node>,
    pub(crate) worker: Size,
    pub(crate) am: Size,
    /// The scheduler's step of memory in MiB, where it is known.
    pub(crate) step_mib: Option<u64>,
}

/// What would be done.
#[derive(Debug, Clone, Serialize)]
pub struct DryRun {
    /// The job's name.
    pub name: String,
    /// Its queue, if one is asked for.
    pub queue: Option<String>,
    /// Files of the input.
    pub files: usize,
    /// Splits of an epoch; in modes `download` and `list`, files.
    pub splits: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes of splits that have a replica on the host, the most first.
    pub hosts: Vec<HostBytes>,
    /// Hosts that are not named.
    pub more_hosts: usize,
    /// Bytes of splits that no node of the cluster has.
    pub remote_bytes: u64,
    /// The application master's container.
    pub am: Container,
    /// Each worker's container.
    pub worker: Container,
    /// How many workers.
    pub workers: u32,
    /// What is uploaded, below the staging folder.
    pub uploads: Vec<Shipped>,
    /// What containers get from HDFS.
    pub cached: Vec<String>,
    /// Where results would appear.
    pub outputs: Vec<String>,
}

/// How much lies on a host.
#[derive(Debug, Clone, Serialize)]
pub struct HostBytes {
    /// As the NameNode calls it.
    pub host: String,
    /// Bytes of splits with a replica there.
    pub bytes: u64,
    /// Whether a NodeManager runs there.
    pub has_node: bool,
}

/// A container, as asked for and as YARN rounds it.
#[derive(Debug, Clone, Serialize)]
pub struct Container {
    /// What the job asks for.
    pub asked: Size,
    /// Rounded up by the scheduler's step.
    pub rounded: Size,
}

/// Something that is uploaded.
#[derive(Debug, Clone, Serialize)]
pub struct Shipped {
    /// Below the staging folder.
    pub path: String,
    /// From where.
    pub from: String,
    /// Bytes; of a folder before it is packed.
    pub bytes: u64,
}

impl Client {
    /// Plans a job and looks whether the cluster can run it. Nothing is changed. Relative paths of what is shipped are seen from
    /// `folder`.
    pub fn prepare(&self, job: Job, folder: &str) -> Result<Prepared, ClientError> {
        let mut job = job.on_cluster(&self.site.authority, &self.site.home, folder)?;
        refuse_kept_folder(&job)?;
        let plan = JobPlan::located(NO_ID, &mut job)?;
        self.runtime.block_on(async {
            for output in &job.outputs {
                let refused = |error: &dyn std::fmt::Display| ClientError::Refused(error.to_string());
                let address = Address::parse(output.path.as_ref()).map_err(|error| refused(&error))?;
                OutputDir::open(&address, NO_ID, &self.site.clusters)?.look().await?;
            }
            let cargo = Cargo::collect(&self.site, &job).await?;
            let (worker, am) = (Size::worker(&job), Size::am(&job));
            let nodes = self.rm.nodes().await?;
            let step_mib = self.configured_step_mib();
            let prepared = Prepared { job, plan, cargo, nodes, worker, am, step_mib };
            self.check(&prepared).await?;
            Ok(prepared)
        })
    }

    /// What the ResourceManager would accept first and fail later.
    async fn check(&self, prepared: &Prepared) -> Result<(), ClientError> {
        let Prepared { job, nodes, .. } = prepared;
        let refused = |why: String| Err(ClientError::Refused(why));
        if let Some(name) = &job.queue {
            match self.rm.queue(name).await? {
                None => {
                    return refused(format!(
                        "there is no queue '{name}'; 'yarn queue -list all' shows those that are"
                    ));
                }
                Some(queue) if !queue.is_running => {
                    return refused(format!(
                        "the queue '{name}' is stopped and takes no jobs; choose another, or have it started"
                    ));
                }
                Some(queue) if !queue.children.is_empty() => {
                    let below = queue.children.join(", ");
                    return refused(format!(
                        "the queue '{name}' takes no jobs itself; choose one below it: {below}"
                    ));
                }
                Some(_) => {}
            }
        }
        if let Some(label) = &job.node_label {
            let known = self.rm.labels().await?;
            if !known.contains(label) {
                let known = if known.is_empty() {
                    "the cluster has none".into()
                } else {
                    format!("there are {}", known.join(", "))
                };
                return refused(format!("there is no node label '{label}': {known}"));
            }
        }
        if job.worker_gpus > 0 && !self.rm.resource_types().await?.iter().any(|name| name == Resource::GPU) {
            return refused(format!(
                "the cluster does not know the resource {}, so workers can have no GPUs there; leave --worker-gpus at 0, or \
                 have it set up (yarn.resource-types)",
                Resource::GPU
            ));
        }
        prepared.fits(None).or_else(refused)?;
        tracing::debug!(nodes = nodes.len(), "the cluster can run the job");
        Ok(())
    }
}

/// What a worker's container has goes with it.
fn refuse_kept_folder(job: &Job) -> Result<(), JobError> {
    if !job.keep_folder {
        return Ok(());
    }
    let otherwise = if job.outputs.is_empty() {
        "leave it out"
    } else {
        "leave it out, and restart with replay-all: from-ack and an output go together on one machine alone"
    };
    Err(JobError::Conflict(format!(
        "keep-folder cannot be had on a cluster, where each attempt of a worker has a container, and so a folder, of its own; \
         {otherwise}"
    )))
}

impl Prepared {
    /// Whether its containers can be had.
    pub(crate) fn fits(&self, most: Option<&Size>) -> Result<(), String> {
        let label = self.job.node_label.as_deref();
        let fits = |what: &str, size: &Size| {
            sizes::fits(what, size, self.step_mib.unwrap_or(1), most, &self.nodes, label)
        };
        fits("the application master's container", &self.am)?;
        let worker = if self.worker.gpus > 0 {
            "a worker's container (see --worker-gpus)"
        } else {
            "a worker's container"
        };
        fits(worker, &self.worker)
    }

    /// The job.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Files of the input.
    pub fn files(&self) -> usize {
        self.plan.files()
    }

    /// Splits of an epoch; in modes `download` and `list`, files.
    pub fn units(&self) -> u64 {
        self.plan.units()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.plan.bytes()
    }

    /// What would be done. `step_mib`: the scheduler's step of memory.
    pub fn dry_run(&self, step_mib: u64) -> DryRun {
        let has_node = |host: &str| self.nodes.iter().any(|node| node.host == host);
        let all = self.plan.host_bytes();
        let hosts = all.iter().take(MOST_HOSTS).map(|(host, bytes)| HostBytes {
            host: (*host).to_owned(),
            bytes: *bytes,
            has_node: has_node(host),
        });
        let container = |asked: &Size| Container { asked: asked.clone(), rounded: asked.rounded(step_mib) };
        let shipped = self.cargo.uploads.iter().map(|upload| Shipped {
            path: upload.path.clone(),
            from: upload.from.clone(),
            bytes: upload.size,
        });
        let near: Vec<bool> = self.plan.places().hosts().iter().map(|host| has_node(host)).collect();
        let is_near = |hosts: &[u32]| hosts.iter().any(|&host| near.get(host as usize) == Some(&true));
        let units = self.plan.places().units().zip(self.plan.unit_bytes());
        let remote = units.filter(|(hosts, _)| !is_near(hosts)).map(|(_, bytes)| bytes).sum();
        DryRun {
            name: self.job.name.clone(),
            queue: self.job.queue.clone(),
            files: self.plan.files(),
            splits: self.plan.units(),
            bytes: self.plan.bytes(),
            hosts: hosts.collect(),
            more_hosts: all.len().saturating_sub(MOST_HOSTS),
            remote_bytes: remote,
            am: container(&self.am),
            worker: container(&self.worker),
            workers: self.job.workers,
            uploads: shipped.collect(),
            cached: self.cargo.cached.iter().map(|cached| cached.address.clone()).collect(),
            outputs: self.job.outputs.iter().map(|output| output.path.clone()).collect(),
        }
    }
}
