//! The engine of this machine: a container is a child process, `forebay agent`.
//!
//! Children are started by the thread that runs the dispatcher, which lives as long as the application master does: an
//! agent asks the kernel to be ended when the *thread* that started it ends. What a killed agent leaves behind is adopted
//! here (this process is a child subreaper), gets time to end by itself, and is killed then.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::time::Duration;

use forebay_feeder::descendants;
use forebay_protocol::{Bootstrap, ChannelEnd, Token};
use forebay_scheduler::{Attempt, End};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, wait};
use tokio::signal::unix::{self, SignalKind};
use tokio::time::{Instant, sleep_until};

use super::News;
use crate::socket::Socket;
use crate::{AmError, JobFolder};

/// From asking an agent to end, over the protocol, until it is told that nobody is there any more.
const BEFORE_CLOSING: Duration = Duration::from_secs(2);
/// From then until it is killed: it may be giving its worker time to end.
const BEFORE_KILLING: Duration = Duration::from_secs(20);
/// What dead agents leave gets this long to end by itself.
const LEFTOVERS: Duration = Duration::from_secs(10);
/// How often leftovers are looked for, while there may be any.
const LOOK: Duration = Duration::from_millis(50);

/// What agents of this machine are told.
#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) folder: JobFolder,
    pub(crate) job: String,
    pub(crate) socket: Socket,
    pub(crate) token: Token,
}

/// The containers of this machine.
#[derive(Debug)]
pub(crate) struct LocalEngine {
    address: Address,
    /// Attempts of which nobody has heard yet that they are started.
    launched: VecDeque<Attempt>,
    running: HashMap<Attempt, Agent>,
    /// Dead agents of which leftovers may be there.
    leaving: Vec<(Attempt, End)>,
    /// What was there before us is not ours.
    strangers: Vec<Pid>,
    /// Adopted processes, and since when they are known.
    leftovers: HashMap<Pid, Instant>,
    looked: Option<Instant>,
    /// Comes when a child, or several, have died.
    died: unix::Signal,
}

#[derive(Debug)]
struct Agent {
    pid: Pid,
    /// Its end tells the agent that the application master has gone.
    stdin: Option<ChildStdin>,
    /// It was asked to end: when to do more about it.
    due: Option<Instant>,
}

impl LocalEngine {
    pub(crate) fn new(address: Address) -> Result<Self, AmError> {
        let failed = |source| AmError::System { action: "adopt orphaned processes", source };
        set_child_subreaper(Some(getpid())).map_err(|error| failed(error.into()))?;
        let died = unix::signal(SignalKind::child());
        let died =
            died.map_err(|source| AmError::System { action: "hear of the end of processes", source })?;
        Ok(Self {
            address,
            launched: VecDeque::new(),
            running: HashMap::new(),
            leaving: Vec::new(),
            strangers: descendants(&[]),
            leftovers: HashMap::new(),
            looked: None,
            died,
        })
    }

    /// Starts an agent. To be called on the dispatcher's thread.
    pub(crate) fn start(&mut self, attempt: Attempt) -> io::Result<()> {
        let Address { folder, job, socket, token } = &self.address;
        let bootstrap = Bootstrap {
            channel: ChannelEnd::Socket { path: socket.path.clone() },
            token: token.clone(),
            index: attempt.index,
            number: attempt.number,
            job_id: job.clone(),
            job_folder: folder.path().to_owned(),
            container: None,
        };
        let log = folder.make_attempt(attempt).map_err(io::Error::other)?.join("agent.log");
        let log = JobFolder::append(&log).map_err(io::Error::other)?;
        // The very program that runs, also if another one stands in its place by now.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("forebay").arg("agent").stdin(Stdio::piped());
        command.stdout(log.try_clone()?).stderr(log);
        let mut child = command.spawn()?;
        let pid = Pid::from_child(&child);
        let told = child.stdin.take().ok_or_else(|| io::Error::other("it has no standard input")).and_then(
            |mut stdin| {
                let mut line = serde_json::to_vec(&bootstrap)?;
                line.push(b'\n');
                // Far less than a pipe holds: this does not wait.
                stdin.write_all(&line)?;
                Ok(stdin)
            },
        );
        match told {
            Ok(stdin) => {
                self.running.insert(attempt, Agent { pid, stdin: Some(stdin), due: None });
                self.launched.push_back(attempt);
                Ok(())
            }
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Ends a container: an agent that lives hears of it with the answer to its next call; one that does not, or that
    /// `hangs`, is killed.
    pub(crate) fn end(&mut self, attempt: Attempt, hangs: bool) {
        let Some(agent) = self.running.get_mut(&attempt) else { return };
        if hangs {
            let _ = kill_process(agent.pid, Signal::KILL);
        } else if agent.due.is_none() {
            agent.due = Some(Instant::now() + BEFORE_CLOSING);
        }
    }

    /// Kills everything.
    pub(crate) fn kill_all(&mut self) {
        for agent in self.running.values() {
            let _ = kill_process(agent.pid, Signal::KILL);
        }
        // Whatever they leave is late already.
        for pid in descendants(&self.strangers) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// How many containers are not gone.
    pub(crate) fn len(&self) -> usize {
        self.running.len() + self.leaving.len()
    }

    /// Waits until a container is started, or gone with all its processes.
    pub(crate) async fn next(&mut self) -> News {
        loop {
            if let Some(attempt) = self.launched.pop_front() {
                return News::Launched { attempt, host: None };
            }
            self.reap();
            self.press();
            let now = Instant::now();
            if !self.leaving.is_empty() && self.looked.is_none_or(|looked| now >= looked + LOOK) {
                self.looked = Some(now);
                if self.are_leftovers_gone(now)
                    && let Some((attempt, how)) = self.leaving.pop()
                {
                    // The others are gone too, and need no wait.
                    self.looked = None;
                    return News::Gone { attempt, how };
                }
            }
            let due = self.running.values().filter_map(|agent| agent.due).min();
            let look = (!self.leaving.is_empty()).then(|| self.looked.unwrap_or(now) + LOOK);
            match due.into_iter().chain(look).min() {
                Some(at) => tokio::select! {
                    _ = self.died.recv() => {}
                    () = sleep_until(at) => {}
                },
                None => drop(self.died.recv().await),
            }
        }
    }

    /// Does more about agents that were asked to end.
    fn press(&mut self) {
        let now = Instant::now();
        for agent in self.running.values_mut().filter(|agent| agent.due.is_some_and(|due| now >= due)) {
            if agent.stdin.take().is_none() {
                let _ = kill_process(agent.pid, Signal::KILL);
            }
            agent.due = Some(now + BEFORE_KILLING);
        }
    }

    /// Buries dead children: agents, and orphans adopted from them.
    fn reap(&mut self) {
        loop {
            let (pid, status) = match wait(WaitOptions::NOHANG) {
                Ok(Some(dead)) => dead,
                Err(rustix::io::Errno::INTR) => continue,
                Ok(None) | Err(_) => return,
            };
            let attempt =
                self.running.iter().find(|(_, agent)| agent.pid == pid).map(|(&attempt, _)| attempt);
            if let Some(attempt) = attempt {
                self.running.remove(&attempt);
                let signal = status.terminating_signal().map(End::Signal);
                let how = signal.or_else(|| status.exit_status().map(End::Exit));
                self.leaving
                    .push((attempt, how.unwrap_or_else(|| End::Lost("nobody knows how it ended".into()))));
                self.looked = None;
            }
        }
    }

    /// Looks whether anything is left of dead agents, and kills what has had its time.
    fn are_leftovers_gone(&mut self, now: Instant) -> bool {
        let known: Vec<_> =
            self.strangers.iter().copied().chain(self.running.values().map(|agent| agent.pid)).collect();
        let left = descendants(&known);
        self.leftovers.retain(|pid, _| left.contains(pid));
        for &pid in &left {
            self.leftovers.entry(pid).or_insert(now);
        }
        if self.leftovers.values().any(|&since| now >= since + LEFTOVERS) {
            // With the overdue ones go those that they have started meanwhile.
            for &pid in &left {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        left.is_empty()
    }
}
