//! `forebay attach`, and what follows a submission: a job on the cluster is followed until it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_am::{Attempt, JobState, Verdict};
use forebay_client::{
    Application, ApplicationState, Client, ClientError, Ended, Followed, Seen, is_application_id,
};
use forebay_feeder::{DEFAULT_HDFS_TIMEOUT, Stop};
use serde_json::json;

use crate::args::AttachArgs;
use crate::exit::Exit;
use crate::run::{LAST_BYTES, Shown, say_what_happened};
use crate::signals;
use crate::talk::{Failure, Talk};
use crate::words::count;

/// What YARN says of an application that waits is said again when it has changed, but not more often.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Runs the command; everything that goes wrong has been told when it returns.
pub(crate) fn run(args: &AttachArgs) -> Exit {
    let talk = Talk::of(args.quiet, args.json);
    let attached = || {
        if !is_application_id(&args.job) {
            return Err(Failure::usage(format!(
                "{} is no application's id, as application_1700000000000_0007; of a job of this machine 'forebay logs --follow' \
                 and 'forebay status' tell",
                args.job
            )));
        }
        let client = Client::open(DEFAULT_HDFS_TIMEOUT)?;
        let stop = stop()?;
        follow(&client, talk, &args.job, &stop, |see| client.attach(&args.job, &stop, see))
    };
    attached().unwrap_or_else(|failure: Failure| {
        talk.fail(&failure);
        failure.exit
    })
}

/// From now on signals raise it.
pub(crate) fn stop() -> Result<Arc<Stop>, Failure> {
    let stop = Stop::new().and_then(|stop| signals::stop_on_signals(&stop).map(|()| stop));
    stop.map(Arc::new).map_err(|error| Failure::failed(format!("cannot listen to signals: {error}")))
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        if error.is_usage() { Self::usage(error.to_string()) } else { Self::failed(error.to_string()) }
    }
}

/// Shows what is seen of a job until it ends, or a signal comes.
pub(crate) fn follow(
    client: &Client,
    talk: Talk,
    id: &str,
    stop: &Stop,
    follow: impl FnOnce(&mut dyn FnMut(Seen)) -> Result<Followed, ClientError>,
) -> Result<Exit, Failure> {
    let mut view = View { talk, shown: Shown::new(talk), said: None, waited: None };
    let followed = follow(&mut |seen| view.see(seen));
    let told = view.shown.end();
    let ended = match followed? {
        Followed::Ended(ended) => ended,
        Followed::Left { signal } => {
            talk.event("left", &json!({ "application": id, "signal": signal }));
            talk.say(&format!(
                "the job goes on; 'forebay attach {id}' follows it again, 'forebay kill {id}' ends it"
            ));
            return Ok(signals::cause(stop).map_or(Exit::FAILURE, Exit::signal));
        }
    };
    let Ended { verdict, exit, state, application, .. } = &*ended;
    talk.event(
        "finished",
        &json!({ "exit": exit, "verdict": verdict, "state": state, "application": application }),
    );
    match verdict {
        Verdict::Succeeded => {}
        Verdict::Failed { why } => talk.fail(&Failure::failed(format!("the job failed: {why}"))),
        Verdict::Stopped { why } => talk.fail(&Failure::failed(format!("the job was ended: {why}"))),
        Verdict::CommitFailed { why } => {
            talk.fail(&Failure::failed(format!("the job's output could not be committed: {why}")));
        }
    }
    if talk == Talk::Plain {
        let tail = |attempt: Attempt| client.end_of_log(id, attempt, "stderr", LAST_BYTES);
        say_what_happened(talk, verdict, state.as_ref(), &told, &tail, places(id, &ended));
    }
    Ok(Exit(*exit))
}

fn places(id: &str, ended: &Ended) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(state) = &ended.state {
        let outputs = state.outputs.join(", ");
        let (local, remote) = state.workers.iter().fold((0, 0), |(local, remote), worker| {
            (local + worker.figures.local_bytes, remote + worker.figures.remote_bytes)
        });
        if local + remote > 0 {
            let share = local as f64 * 100.0 / (local + remote) as f64;
            lines.push(format!("{share:.0}% of the bytes came from the workers' own hosts"));
        }
        if !outputs.is_empty() {
            lines.push(match &ended.verdict {
                Verdict::Succeeded => format!("output: {outputs}"),
                Verdict::Failed { .. } | Verdict::Stopped { .. } => format!("nothing was put into {outputs}"),
                Verdict::CommitFailed { .. } => format!("look at {outputs}: a commit was begun there"),
            });
        }
    }
    lines.push(format!("job folder: {} (forebay logs {id} shows what the workers wrote)", ended.folder));
    lines
}

/// What is seen so far.
struct View {
    talk: Talk,
    shown: Shown,
    /// What was said last of the application, and when.
    said: Option<(ApplicationState, String, Instant)>,
    /// When was said last what is waited for.
    waited: Option<Instant>,
}

impl View {
    fn see(&mut self, seen: Seen) {
        match seen {
            Seen::Application { application, ahead } => self.application(&application, ahead),
            Seen::State(state) => self.state(&state),
            Seen::Told(told) => self.shown.tell(told),
            Seen::Note(note) => {
                self.talk.event("note", &json!({ "note": note }));
                self.shown.say(&note);
            }
        }
    }

    fn state(&mut self, state: &JobState) {
        self.shown.state(state);
        let waits = state.cluster.as_ref().filter(|cluster| cluster.wanted > 0);
        let Some((cluster, why)) = waits.and_then(|cluster| Some((cluster, cluster.waiting_for.as_ref()?)))
        else {
            return;
        };
        let is_due = self.waited.is_none_or(|at| at.elapsed() >= SAY_EVERY);
        if is_due {
            self.waited = Some(Instant::now());
            let are = if cluster.wanted == 1 { "is" } else { "are" };
            let wanted = count(cluster.wanted.into(), "container");
            self.shown.say(&format!("{wanted} {are} waited for: {why}"));
        }
    }

    fn application(&mut self, application: &Application, ahead: Option<u32>) {
        self.talk.event("application", &json!({ "application": application, "ahead": ahead }));
        let Some(line) = line(application, ahead) else { return };
        let is_new = self.said.as_ref().is_none_or(|(state, said, at)| {
            *state != application.state || (*said != line && at.elapsed() >= SAY_EVERY)
        });
        if is_new {
            self.shown.waits(&line);
            self.said = Some((application.state, line, Instant::now()));
        }
    }
}

/// What a person wants to hear of an application; its end is told otherwise.
fn line(application: &Application, ahead: Option<u32>) -> Option<String> {
    let Application { id, queue, state, attempt, containers, memory_mib, cores, .. } = application;
    match state {
        ApplicationState::Submitted => Some(format!("{id} is being taken by YARN")),
        ApplicationState::Accepted => {
            let why = if application.diagnostics.is_empty() {
                String::new()
            } else {
                format!(": {}", application.why())
            };
            if let Some(attempt) = attempt.filter(|&attempt| attempt > 1) {
                return Some(format!("{id} gets attempt {attempt} of its application master{why}"));
            }
            let before = match ahead {
                None | Some(0) => String::new(),
                Some(1) => ", 1 application waits before it".to_owned(),
                Some(n) => format!(", {n} applications wait before it"),
            };
            Some(format!("{id} waits in queue {queue}{before}{why}"))
        }
        ApplicationState::Running => Some(format!(
            "{id} runs in queue {queue} ({} with {memory_mib} MiB and {} so far); {}",
            count((*containers).into(), "container"),
            count((*cores).into(), "core"),
            application.tracking_url
        )),
        ApplicationState::Finished | ApplicationState::Failed | ApplicationState::Killed => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application(state: ApplicationState, attempt: u32) -> Application {
        Application {
            id: "application_1_0001".into(),
            kind: "FOREBAY".into(),
            name: String::new(),
            user: String::new(),
            queue: "root.q".into(),
            priority: 0,
            state,
            succeeded: None,
            diagnostics: String::new(),
            attempt: Some(attempt),
            tracking_url: "http://page".into(),
            started_ms: 0,
            finished_ms: 0,
            containers: 1,
            memory_mib: 512,
            cores: 1,
            tags: Vec::new(),
        }
    }

    #[test]
    fn a_job_waits_in_its_queue_before_its_first_application_master_only() {
        let first = line(&application(ApplicationState::Accepted, 1), Some(2)).unwrap();
        assert_eq!(first, "application_1_0001 waits in queue root.q, 2 applications wait before it");
        let next = line(&application(ApplicationState::Accepted, 2), Some(2)).unwrap();
        assert_eq!(next, "application_1_0001 gets attempt 2 of its application master");
    }

    #[test]
    fn one_container_is_one() {
        let runs = line(&application(ApplicationState::Running, 1), None).unwrap();
        assert!(runs.contains("(1 container with 512 MiB and 1 core so far)"), "{runs}");
    }
}
