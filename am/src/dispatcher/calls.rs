//! Calls of agents, and the answers.

use forebay_protocol::v1;
use forebay_scheduler::{Attempt, Event, Lease, Orders, Position};
use tonic::Status;

use super::Dispatcher;
use crate::service::Call;
use crate::story::{Happening, Note};
use crate::{AmError, convert};

/// Splits in one answer, at most: more would be far ahead of any need, and not be there for others.
const MOST_SPLITS: u32 = 64;
/// Between two signs of life of an agent.
const HEARTBEAT_MS: u32 = 1000;

type Answered<T> = Result<Result<T, Status>, AmError>;

impl Dispatcher {
    /// Answers a call. An error is the application master's own.
    pub(super) fn call(&mut self, call: Call) -> Result<(), AmError> {
        // Who does not wait for the answer any more is dead.
        match call {
            Call::Register(request, answer) => drop(answer.send(self.register(request)?)),
            Call::Lease(_, answer) if answer.is_closed() => {}
            Call::Lease(request, answer) => {
                let asked = request.attempt;
                if let Err(Ok(unheard)) = answer.send(self.lease(request)) {
                    self.keep_for_later(asked, unheard);
                }
            }
            Call::Heartbeat(request, answer) => drop(answer.send(self.heartbeat(request)?)),
            Call::Exited(request, answer) => drop(answer.send(self.exited(request)?)),
            Call::Staged(request, answer) => drop(answer.send(self.staged(&request)?)),
            Call::Failed(request, answer) => drop(answer.send(self.failed(request)?)),
        }
        Ok(())
    }

    fn register(&mut self, request: v1::RegisterRequest) -> Answered<v1::RegisterReply> {
        let attempt = match attempt(request.attempt) {
            Ok(attempt) => attempt,
            Err(status) => return Ok(Err(status)),
        };
        let now = self.clock.now();
        if let Some(seen) = self.seen.hear(now, attempt) {
            seen.host = request.host;
            seen.agent_pid = Some(request.pid);
        }
        self.handle(Event::Registered(attempt))?;
        if let Orders::Stop(reason) = self.scheduler.orders(attempt) {
            return Ok(Err(Status::failed_precondition(reason)));
        }
        let files = match self.files(attempt) {
            Ok(files) => files,
            Err(status) => return Ok(Err(status)),
        };
        let job = match serde_json::to_vec(&self.job) {
            Ok(job) => job,
            Err(error) => return Ok(Err(Status::internal(format!("the job cannot be sent: {error}")))),
        };
        let view = self.scheduler.view();
        let place = view.workers.iter().position(|worker| worker.attempt == attempt).unwrap_or_default();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(Ok(v1::RegisterReply {
            job,
            world_size: count(view.workers.len() + view.done_before.len()),
            // All workers of this engine run on one host.
            local_rank: count(place),
            files,
            heartbeat_ms: HEARTBEAT_MS,
        }))
    }

    /// The files of an attempt, where whole files are given.
    fn files(&mut self, attempt: Attempt) -> Result<Vec<v1::StaticFile>, Status> {
        if !self.plan.is_by_file() {
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        let lease = self.scheduler.lease(now, attempt, usize::MAX);
        let seen =
            self.seen.hear(now, attempt).ok_or_else(|| Status::failed_precondition("the attempt is over"))?;
        match lease {
            Lease::Granted(granted) => {
                seen.files = granted;
            }
            // Asked again: as before.
            Lease::EndOfInput => {}
            Lease::Refused(refusal) => return Err(Status::failed_precondition(refusal.to_string())),
        }
        let files = seen.files.iter().map(|&granted| self.plan.file(granted));
        files.collect::<Option<_>>().ok_or_else(|| Status::internal("a file is not in the plan"))
    }

    fn lease(&mut self, request: v1::LeaseRequest) -> Result<v1::LeaseReply, Status> {
        use v1::lease_reply::Reply;
        let attempt = attempt(request.attempt)?;
        let now = self.clock.now();
        let unheard = self.seen.hear(now, attempt).map(|seen| std::mem::take(&mut seen.unheard));
        let reply = if let Some(splits) = unheard.filter(|splits| !splits.is_empty()) {
            Reply::Leases(v1::Leases { splits })
        } else if self.plan.is_by_file() {
            Reply::EndOfInput(v1::EndOfInput {})
        } else {
            let max = usize::try_from(request.max.clamp(1, MOST_SPLITS)).unwrap_or(1);
            match self.scheduler.lease(now, attempt, max) {
                Lease::Granted(granted) => {
                    let splits = granted.into_iter().map(|granted| self.plan.split(granted));
                    let splits = splits.collect::<Option<_>>();
                    Reply::Leases(v1::Leases {
                        splits: splits.ok_or_else(|| Status::internal("a split is not in the plan"))?,
                    })
                }
                Lease::EndOfInput => Reply::EndOfInput(v1::EndOfInput {}),
                Lease::Refused(refusal) => Reply::Stop(v1::Stop { reason: refusal.to_string() }),
            }
        };
        Ok(v1::LeaseReply { reply: Some(reply) })
    }

    /// The caller has hung up before it could hear what it was granted: it gets that when it asks again.
    fn keep_for_later(&mut self, asked: Option<v1::Attempt>, reply: v1::LeaseReply) {
        let now = self.clock.now();
        let seen = asked.and_then(|asked| self.seen.hear(now, convert::attempt(asked)));
        if let (Some(seen), Some(v1::lease_reply::Reply::Leases(leases))) = (seen, reply.reply) {
            seen.unheard = leases.splits;
        }
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
            Orders::Stop(reason) => stop(reason),
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
        Ok(Ok(v1::FailedReply {}))
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
            Orders::GoOn | Orders::Stage => None,
        }
    }
}

fn attempt(message: Option<v1::Attempt>) -> Result<Attempt, Status> {
    message.map(convert::attempt).ok_or_else(|| Status::invalid_argument("a call names its attempt"))
}
