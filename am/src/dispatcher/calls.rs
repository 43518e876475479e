//! Calls of agents, and the answers.

use std::time::Duration;

use forebay_protocol::{Units, v1};
use forebay_scheduler::{Ask, Attempt, Event, Lease, Orders, Position};
use tokio::time::Instant;
use tonic::Status;

use super::{Dispatcher, Waiting};
use crate::service::{Answer, Call};
use crate::state::Phase;
use crate::story::{Happening, Note};
use crate::{AmError, convert};

/// Splits in one answer, at most: more would be far ahead of any need, and not be there for others.
const MOST_SPLITS: u32 = 64;
/// How long an agent waits that can be given nothing now.
const WAIT_MS: u32 = 100;
/// The same for one that has enough, and asks when a split begins anyway: others that end leave more to it.
const ENOUGH_MS: u32 = 1000;
/// Longest reason of a client's that is told.
const LONGEST_WHY: usize = 500;
/// The same where agents hold splits far ahead, to outlive an application master.
const MOST_AHEAD: u32 = 4096;
/// How long an agent may wait for the answer to its registration, until it is told to ask again.
const HOLD: Duration = Duration::from_secs(5);
/// Between two signs of life of an agent.
const HEARTBEAT_MS: u32 = 1000;

type Answered<T> = Result<Result<T, Status>, AmError>;

impl Dispatcher {
    /// Answers a call. An error is the application master's own.
    pub(super) fn call(&mut self, call: Call) -> Result<(), AmError> {
        match call {
            Call::Register(request, answer) => self.register(request, answer, Instant::now() + HOLD)?,
            Call::Lease(request, answer) => {
                let reply = self.lease(&request);
                self.answer(answer, reply);
            }
            Call::Heartbeat(request, answer) => {
                let reply = self.heartbeat(request)?;
                self.answer(answer, reply);
            }
            Call::Exited(request, answer) => {
                let reply = self.exited(request)?;
                self.answer(answer, reply);
            }
            Call::Staged(request, answer) => {
                let reply = self.staged(&request)?;
                self.answer(answer, reply);
            }
            Call::Failed(request, answer) => {
                let reply = self.failed(request)?;
                self.answer(answer, reply);
            }
            Call::Rejoin(request, answer) => {
                let reply = self.rejoin(request)?;
                self.answer(answer, reply);
            }
            Call::State(answer) => {
                let reply = self.tell_state();
                self.answer(answer, reply);
            }
            Call::Kill(request, answer) => {
                self.handle(Event::Stop { why: reason(&request.why) })?;
                self.answer(answer, Ok(v1::KillReply {}));
            }
        }
        Ok(())
    }

    /// Answers a registration, or keeps it until all workers are there.
    fn register(
        &mut self,
        request: v1::RegisterRequest,
        answer: Answer<v1::RegisterReply>,
        until: Instant,
    ) -> Result<(), AmError> {
        let reply = match attempt(request.attempt) {
            Err(status) => Err(status),
            Ok(attempt) => {
                let now = self.clock.now();
                if let Some(seen) = self.seen.hear(now, attempt) {
                    seen.agent_pid = Some(request.pid);
                }
                self.seen.says_at(attempt, &request.host);
                self.handle(Event::Registered(attempt))?;
                match self.scheduler.orders(attempt) {
                    Orders::Stop(reason) => Err(Status::failed_precondition(reason)),
                    Orders::WaitForOthers if until > Instant::now() => {
                        self.waiting.push(Waiting { request, answer, until });
                        return Ok(());
                    }
                    Orders::WaitForOthers => Ok(v1::RegisterReply { wait: true, ..self.hello(attempt) }),
                    _ => self.welcome(attempt),
                }
            }
        };
        self.answer(answer, reply);
        Ok(())
    }

    /// Answers registrations that have waited: all of them if all workers `are_there`, else those that have waited long.
    pub(super) fn go_on_registering(&mut self, are_there: bool) -> Result<(), AmError> {
        let now = Instant::now();
        for Waiting { request, answer, until } in std::mem::take(&mut self.waiting) {
            if answer.is_closed() {
                continue;
            }
            if are_there || until <= now {
                self.register(request, answer, until)?;
            } else {
                self.waiting.push(Waiting { request, answer, until });
            }
        }
        Ok(())
    }

    /// What every registered agent is told.
    fn hello(&self, attempt: Attempt) -> v1::RegisterReply {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        v1::RegisterReply {
            world_size: count(self.scheduler.world_size()),
            local_rank: count(self.seen.before(attempt)),
            heartbeat_ms: HEARTBEAT_MS,
            lease_ahead_ms: self.manner.lease_ahead_ms,
            am_attempt: self.manner.am_attempt,
            ..v1::RegisterReply::default()
        }
    }

    /// What an agent is told when it may begin.
    fn welcome(&mut self, attempt: Attempt) -> Result<v1::RegisterReply, Status> {
        let files = self.files(attempt)?;
        let job = serde_json::to_vec(&self.job);
        let job = job.map_err(|error| Status::internal(format!("the job cannot be sent: {error}")))?;
        Ok(v1::RegisterReply { job, files, ..self.hello(attempt) })
    }

    /// The files of an attempt, where whole files are given.
    fn files(&mut self, attempt: Attempt) -> Result<Vec<v1::StaticFile>, Status> {
        if !self.plan.is_by_file() {
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        let ask = Ask { max: usize::MAX, have: 0, ahead: 0, at: None };
        let lease = self.scheduler.lease(now, attempt, ask);
        let seen =
            self.seen.hear(now, attempt).ok_or_else(|| Status::failed_precondition("the attempt is over"))?;
        match lease {
            Lease::Granted(granted) => {
                seen.files = granted;
            }
            // Asked again: as before.
            Lease::EndOfInput => {}
            Lease::Wait | Lease::Enough => {
                return Err(Status::unavailable("not all workers are there yet; ask again"));
            }
            Lease::Refused(refusal) => return Err(Status::failed_precondition(refusal.to_string())),
        }
        let files = seen.files.iter().map(|&granted| self.plan.file(granted));
        files.collect::<Option<_>>().ok_or_else(|| Status::internal("a file is not in the plan"))
    }

    fn lease(&mut self, request: &v1::LeaseRequest) -> Result<v1::LeaseReply, Status> {
        use v1::lease_reply::Reply;
        let attempt = attempt(request.attempt)?;
        let now = self.clock.now();
        self.seen.hear(now, attempt);
        let wait = |ms| Reply::Wait(v1::Wait { ms });
        let reply = if self.plan.is_by_file() {
            Reply::EndOfInput(v1::EndOfInput {})
        } else {
            let most = if self.manner.lease_ahead_ms > 0 { MOST_AHEAD } else { MOST_SPLITS };
            let max = usize::try_from(request.max.clamp(1, most)).unwrap_or(1);
            let at = self.seen.host(attempt).and_then(|host| self.manner.host_ids.get(host)).copied();
            let ask = Ask { max, have: request.have, ahead: request.ahead, at };
            match self.scheduler.lease(now, attempt, ask) {
                Lease::Granted(granted) => {
                    let splits = granted.into_iter().map(|granted| self.plan.split(granted));
                    let splits = splits.collect::<Option<_>>();
                    Reply::Leases(v1::Leases {
                        splits: splits.ok_or_else(|| Status::internal("a split is not in the plan"))?,
                    })
                }
                Lease::EndOfInput => Reply::EndOfInput(v1::EndOfInput {}),
                Lease::Wait => wait(WAIT_MS),
                Lease::Enough => wait(ENOUGH_MS),
                Lease::Refused(refusal) => Reply::Stop(v1::Stop { reason: refusal.to_string() }),
            }
        };
        Ok(v1::LeaseReply { reply: Some(reply), waiting: self.scheduler.waiting() })
    }

    fn heartbeat(&mut self, request: v1::HeartbeatRequest) -> Answered<v1::HeartbeatReply> {
        let attempt = match attempt(request.attempt) {
            Ok(attempt) => attempt,
            Err(status) => return Ok(Err(status)),
        };
        self.progress(attempt, request.progress);
        let position = request.position.map(convert::position).unwrap_or_default();
        self.handle(Event::Heartbeat(attempt, position))?;
        Ok(Ok(v1::HeartbeatReply { stop: self.stop_order(attempt) }))
    }

    fn exited(&mut self, request: v1::ExitedRequest) -> Answered<v1::ExitedReply> {
        use v1::exited_reply::Next;
        let attempt = match attempt(request.attempt) {
            Ok(attempt) => attempt,
            Err(status) => return Ok(Err(status)),
        };
        self.progress(attempt, request.progress);
        let position = request.position.map(convert::position).unwrap_or_default();
        self.handle(Event::Exited { attempt, status: request.status, position })?;
        let stop = |reason: String| Next::Stop(v1::Stop { reason });
        let next = match self.scheduler.orders(attempt) {
            Orders::Stage => Next::Stage(v1::Stage {}),
            Orders::GoOn => stop("its output is staged already".to_owned()),
            Orders::Stop(reason) => {
                self.engine.leaves(attempt);
                stop(reason)
            }
            Orders::WaitForOthers | Orders::Rejoin => {
                return Ok(Err(Status::unavailable("this attempt has not begun here; ask again")));
            }
        };
        Ok(Ok(v1::ExitedReply { next: Some(next) }))
    }

    fn staged(&mut self, request: &v1::StagedRequest) -> Answered<v1::StagedReply> {
        let attempt = match attempt(request.attempt) {
            Ok(attempt) => attempt,
            Err(status) => return Ok(Err(status)),
        };
        let now = self.clock.now();
        self.seen.hear(now, attempt);
        self.handle(Event::Staged { attempt })?;
        self.engine.leaves(attempt);
        Ok(Ok(v1::StagedReply { stop: self.stop_order(attempt) }))
    }

    fn failed(&mut self, request: v1::FailedRequest) -> Answered<v1::FailedReply> {
        let attempt = match attempt(request.attempt) {
            Ok(attempt) => attempt,
            Err(status) => return Ok(Err(status)),
        };
        let now = self.clock.now();
        self.seen.hear(now, attempt);
        let why = request.reason;
        let event = if !request.fatal && self.scheduler.orders(attempt) == Orders::Stage {
            Event::StageFailed { attempt, why }
        } else {
            let position = request.position.map_or_else(Position::default, convert::position);
            if request.fatal && self.scheduler.orders(attempt) == Orders::GoOn {
                self.status = request.status;
            }
            Event::Failed { attempt, why, position, fatal: request.fatal }
        };
        self.handle(event)?;
        self.engine.leaves(attempt);
        Ok(Ok(v1::FailedReply {}))
    }

    /// An agent that was registered with another application master.
    fn rejoin(&mut self, request: v1::RejoinRequest) -> Answered<v1::RejoinReply> {
        use v1::rejoin_reply::Reply;
        let attempt = match attempt(request.attempt) {
            Ok(attempt) => attempt,
            Err(status) => return Ok(Err(status)),
        };
        let Some(fed) = Units::read(&request.fed) else {
            return Ok(Err(Status::invalid_argument("the list of what was fed is damaged")));
        };
        let held: Vec<_> = request.held.into_iter().map(convert::held).collect();
        let now = self.clock.now();
        let by_file = self.plan.is_by_file();
        if let Some(seen) = self.seen.hear(now, attempt) {
            seen.agent_pid = Some(request.pid);
            if by_file {
                seen.files.clone_from(&held);
            }
        }
        self.seen.says_at(attempt, &request.host);
        self.progress(attempt, request.progress);
        let position = request.position.map(convert::position).unwrap_or_default();
        self.handle(Event::Rejoined { attempt, fed, held, position, exited: request.exited })?;
        let reply = match self.scheduler.orders(attempt) {
            Orders::GoOn | Orders::WaitForOthers => Reply::GoOn(v1::GoOn {}),
            Orders::Stage => Reply::Stage(v1::Stage {}),
            Orders::Stop(reason) => Reply::Stop(v1::Stop { reason }),
            Orders::Rejoin => {
                return Ok(Err(Status::unavailable("the application master has not begun; ask again")));
            }
        };
        Ok(Ok(v1::RejoinReply { reply: Some(reply), am_attempt: self.manner.am_attempt }))
    }

    /// The job as it stands, for its owner.
    fn tell_state(&mut self) -> Result<v1::StateReply, Status> {
        let json = serde_json::to_vec(&self.state(Phase::Running));
        let json =
            json.map_err(|error| Status::internal(format!("the job's state cannot be sent: {error}")))?;
        Ok(v1::StateReply { json })
    }

    fn progress(&mut self, attempt: Attempt, progress: Option<v1::Progress>) {
        let now = self.clock.now();
        self.seen.hear(now, attempt);
        for note in self.seen.progress(attempt, progress.unwrap_or_default()) {
            self.teller.tell(Happening::Other(Note::Note { attempt, note }));
        }
    }

    fn stop_order(&self, attempt: Attempt) -> Option<v1::Stop> {
        match self.scheduler.orders(attempt) {
            Orders::Stop(reason) => Some(v1::Stop { reason }),
            Orders::GoOn | Orders::Stage | Orders::WaitForOthers | Orders::Rejoin => None,
        }
    }
}

fn attempt(message: Option<v1::Attempt>) -> Result<Attempt, Status> {
    message.map(convert::attempt).ok_or_else(|| Status::invalid_argument("a call names its attempt"))
}

/// What is told of a client's reason: it goes to terminals.
fn reason(why: &str) -> String {
    let why: String = why.chars().filter(|c| !c.is_control()).take(LONGEST_WHY).collect();
    if why.is_empty() { "its owner killed it".to_owned() } else { why }
}
