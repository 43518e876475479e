//! `forebay kill`: ends a job, wherever it runs.

use std::thread;
use std::time::{Duration, Instant};

use forebay_am::{Condition, JobFolder, JobState};
use forebay_client::{Client, Killed, is_application_id};
use forebay_feeder::DEFAULT_HDFS_TIMEOUT;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::args::KillArgs;
use crate::attach::stop;
use crate::exit::Exit;
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
    Ok(match client.kill(id, &why, &*stop()?)? {
        Killed::WasOver => ("was-over", format!("{id} was over already (forebay status {id})")),
        Killed::Stopped => {
            ("stopped", format!("{id} was ended by its application master; its output is untouched"))
        }
        Killed::Forced => ("forced", format!("{id} was ended by YARN; its output is untouched")),
    })
}

fn here(job: &str) -> Result<(&'static str, String), Failure> {
    let folder = JobFolder::find(job)?;
    let shown = folder.path().display();
    let (Condition::Running, state) = JobState::read(&folder)? else {
        return Ok(("was-over", format!("the job in {shown} does not run")));
    };
    let pid = state.and_then(|state| Pid::from_raw(i32::try_from(state.pid).ok()?));
    let pid = pid
        .ok_or_else(|| Failure::failed(format!("the job in {shown} is starting; ask again when it runs")))?;
    kill_process(pid, Signal::TERM).map_err(|error| {
        Failure::failed(format!("cannot stop the job in {shown}, process {}: {error}", pid.as_raw_nonzero()))
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
