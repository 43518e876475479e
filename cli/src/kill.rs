//! `forebay kill`: ends a job, wherever it runs.

use std::thread;
use std::time::{Duration, Instant};

use forebay_am::{Condition, JobFolder, JobState, Verdict};
use forebay_client::{Client, EndedBy, Killed, is_application_id};
use forebay_feeder::DEFAULT_HDFS_TIMEOUT;
use rustix::process::{Signal, pidfd_send_signal};
use serde_json::json;

use crate::args::KillArgs;
use crate::attach::stop;
use crate::exit::Exit;
use crate::signals;
use crate::talk::{Failure, Talk};

/// How long a job of this machine may take to end.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(50);

/// Runs the command; everything that goes wrong has been told when it returns.
pub(crate) fn run(args: &KillArgs) -> Exit {
    let talk = Talk::of(false, args.json);
    let killed = if is_application_id(&args.job) { on_cluster(&args.job) } else { here(&args.job) };
    match killed {
        Ok((how, text)) => {
            talk.event("killed", &json!({ "job": args.job, "how": how }));
            talk.say(&text);
            Exit::SUCCESS
        }
        Err(failure) => {
            talk.fail(&failure);
            failure.exit
        }
    }
}

fn on_cluster(id: &str) -> Result<(&'static str, String), Failure> {
    let client = Client::open(DEFAULT_HDFS_TIMEOUT)?;
    let why = format!("{} asked for it with forebay kill", client.user());
    let stop = stop()?;
    let killed = client.kill(id, &why, &stop).map_err(|error| {
        let failure = Failure::from(error);
        match signals::cause(&stop) {
            Some(signal) => Failure::exiting(failure.to_string(), Exit::signal(signal)),
            None => failure,
        }
    })?;
    Ok(words(id, &killed))
}

/// What ended it, for machines, and all of it for people.
fn words(id: &str, killed: &Killed) -> (&'static str, String) {
    let end = match &killed.verdict {
        Verdict::Succeeded => "it has succeeded, and its output is complete".to_owned(),
        Verdict::Failed { why } => format!("it has failed: {why}"),
        Verdict::Stopped { why } => format!("it was stopped: {why}"),
        Verdict::CommitFailed { why } => format!("its output could not be committed: {why}"),
    };
    match killed.by {
        EndedBy::WasOver => ("was-over", format!("{id} was over already: {end} (forebay status {id})")),
        EndedBy::Itself => ("ended-itself", format!("{id} came to its end before it could be ended: {end}")),
        EndedBy::Master => {
            ("stopped", format!("{id} was ended by its application master; its output is untouched"))
        }
        EndedBy::Yarn => ("forced", format!("{id} was ended by YARN; its output is untouched")),
    }
}

/// Of this machine.
fn here(job: &str) -> Result<(&'static str, String), Failure> {
    let folder = JobFolder::find(job)?;
    let shown = folder.path().display();
    let (Condition::Running, _) = JobState::read(&folder)? else {
        return Ok(("was-over", format!("the job in {shown} does not run")));
    };
    let Some((pid, process)) = folder.master()? else {
        return Err(Failure::failed(format!(
            "the job in {shown} runs, and none of the processes that are seen here has its lock {shown}/am.lock; it may run on \
             another machine or in another container, or be starting: ask again, or ask there"
        )));
    };
    pidfd_send_signal(&process, Signal::TERM).map_err(|error| {
        Failure::failed(format!("cannot stop the job in {shown}, process {pid}: {error}"))
    })?;
    let deadline = Instant::now() + PATIENCE;
    while folder.is_running() {
        if Instant::now() >= deadline {
            let seconds = PATIENCE.as_secs();
            return Err(Failure::failed(format!(
                "the job in {shown} was told to stop and has not ended within {seconds} s; 'forebay status {job}' shows what it waits for"
            )));
        }
        thread::sleep(LOOK);
    }
    Ok(("stopped", format!("the job in {shown} was stopped; 'forebay run --resume {shown}' goes on with it")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_it_is_said_as_it_is() {
        let said = |by, verdict| words("application_1_0001", &Killed { by, verdict });
        let (how, text) = said(EndedBy::Itself, Verdict::Succeeded);
        assert_eq!(how, "ended-itself");
        assert!(text.contains("its output is complete") && !text.contains("untouched"), "{text}");
        let (_, text) = said(EndedBy::Itself, Verdict::CommitFailed { why: "no space".into() });
        assert!(text.contains("could not be committed: no space"), "{text}");
        let (how, text) = said(EndedBy::Yarn, Verdict::Stopped { why: "killed".into() });
        assert!(how == "forced" && text.contains("untouched"), "{text}");
    }
}
