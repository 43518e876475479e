//! `forebay submit`: makes the job out of file and flags, and runs it on the cluster.

use std::fmt::Write as _;

use forebay_am::FEED_MIB;
use forebay_client::{Client, ClientError, DryRun};
use indicatif::{BinaryBytes, DecimalBytes};
use serde_json::json;

use crate::args::SubmitArgs;
use crate::attach::{follow, stop};
use crate::exit::Exit;
use crate::job::{here, print};
use crate::kernel;
use crate::signals;
use crate::talk::{Failure, Talk};
use crate::words::count;

/// A setting of `forebay run` alone.
const JOB_DIR: &str = "job-dir";

/// Runs the command; everything that goes wrong has been told when it returns.
pub(crate) fn run(args: &SubmitArgs) -> Exit {
    let talk = args.job.talk();
    submit(args, talk).unwrap_or_else(|failure| {
        talk.fail(&failure);
        failure.exit
    })
}

fn submit(args: &SubmitArgs, talk: Talk) -> Result<Exit, Failure> {
    let draft = args.job.draft()?;
    let job = draft.build().map_err(|error| args.job.failure(&error))?;
    if args.job.print_job {
        print(&job.to_toml())?;
        return Ok(Exit::SUCCESS);
    }
    kernel::check()?;
    if draft.names().any(|name| name == JOB_DIR) {
        talk.say("without a meaning on a cluster: job-dir (the job's folder is on HDFS)");
    }
    let client = Client::open(job.hdfs_timeout)?;
    let prepared = client.prepare(job, &here()?).map_err(|error| match &error {
        ClientError::Job(job) => args.job.failure(job),
        _ => error.into(),
    })?;
    if args.dry_run {
        let dry = prepared.dry_run(client.step_mib());
        let text = if args.job.json { format!("{}\n", json!(dry)) } else { page(&dry) };
        print(&text)?;
        return Ok(Exit::SUCCESS);
    }
    let planned = json!({ "files": prepared.files(), "splits": prepared.units(), "bytes": prepared.bytes() });
    talk.event("planned", &planned);
    // Only now: while planning, nothing needs cleaning up, and a signal may simply end us.
    let stop = stop()?;
    let submitted =
        client.submit(prepared, &stop, &mut |line| talk.say(line)).map_err(|error| match error {
            ClientError::Interrupted { .. } | ClientError::MayRun { .. } => {
                let exit = signals::cause(&stop).map_or(Exit::FAILURE, Exit::signal);
                Failure::exiting(error.to_string(), exit)
            }
            error => error.into(),
        })?;
    let id = &submitted.id;
    talk.event("submitted", &json!({ "application": id }));
    if args.detach {
        print(&format!("{id}\n"))?;
        return Ok(Exit::SUCCESS);
    }
    follow(&client, talk, id, &stop, |see| client.follow(&submitted, &stop, see))
}

/// What would be done, for people.
fn page(dry: &DryRun) -> String {
    let mut page = String::new();
    let mut line = |text: &str| {
        // Writing to a text does not fail.
        let _ = writeln!(page, "{text}");
    };
    let queue = dry.queue.as_deref().unwrap_or("default");
    line(&format!("{} would be submitted to queue {queue}; nothing was changed", dry.name));
    line(&format!(
        "input: {} in {}, {}",
        DecimalBytes(dry.bytes),
        count(dry.files as u64, "file"),
        count(dry.splits, "split")
    ));
    let share = |bytes: u64| bytes as f64 * 100.0 / dry.bytes.max(1) as f64;
    for host in &dry.hosts {
        let node = if host.has_node { "" } else { ", where no NodeManager runs" };
        line(&format!("  {} ({:.0}%) on {}{node}", DecimalBytes(host.bytes), share(host.bytes), host.host));
    }
    if dry.more_hosts > 0 {
        line(&format!("  and more on {}", count(dry.more_hosts as u64, "other host")));
    }
    if dry.remote_bytes > 0 {
        line(&format!(
            "  {} lie on no node of the cluster, and come over the network",
            DecimalBytes(dry.remote_bytes)
        ));
    }
    line("containers:");
    let container = |what: &str, asked: &forebay_client::Container| {
        format!("  {what}: {}, which YARN may round up to {}", asked.asked, asked.rounded)
    };
    line(&container("application master", &dry.am));
    line(&container(
        &match dry.workers {
            1 => format!("the worker, {FEED_MIB} MiB for its feed included"),
            workers => format!("each of {workers} workers, {FEED_MIB} MiB for its feed included"),
        },
        &dry.worker,
    ));
    line("uploads:");
    for upload in &dry.uploads {
        line(&format!("  {} ({}) from {}", upload.path, BinaryBytes(upload.bytes), upload.from));
    }
    for cached in &dry.cached {
        line(&format!("  {cached} is fetched by the nodes"));
    }
    for output in &dry.outputs {
        line(&format!("output: {output}"));
    }
    page
}
