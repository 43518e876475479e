//! Reports of ends that wait for the cluster's reason.
//!
//! When YARN ends a container, its processes are told by signals, and an agent reports that before YARN tells why. Such an
//! agent is answered at once, so that it ends; what it reports is put off until its container is gone: a person is to read the
//! reason, and a restart may depend on it. No restart comes later by that, as it waits for the container anyway.

use std::time::Duration;

use forebay_protocol::v1;
use forebay_scheduler::{Attempt, Position};
use tokio::time::Instant;

use super::Dispatcher;
use crate::service::Call;
use crate::{AmError, convert};

/// How long a reason is waited for. Less than an agent may be silent.
const REASON: Duration = Duration::from_secs(20);

/// A report that waits.
#[derive(Debug)]
pub(crate) struct Late {
    attempt: Attempt,
    report: Report,
    until: Instant,
}

#[derive(Debug)]
enum Report {
    Exited(Box<v1::ExitedRequest>),
    Failed(v1::FailedRequest),
}

impl Dispatcher {
    /// Puts a report off if it tells of an end that the cluster may have the reason of; else returns it.
    pub(super) fn put_off(&mut self, call: Call) -> Option<Call> {
        if self.engine.is_local() {
            return Some(call);
        }
        let (attempt, report) = match call {
            Call::Exited(request, answer) if (129..=192).contains(&request.status) => {
                let stop = v1::Stop { reason: "its worker was killed".to_owned() };
                let next = Some(v1::exited_reply::Next::Stop(stop));
                self.answer(answer, Ok(v1::ExitedReply { next }));
                (request.attempt, Report::Exited(Box::new(request)))
            }
            Call::Failed(request, answer) if !request.fatal => {
                self.answer(answer, Ok(v1::FailedReply {}));
                (request.attempt, Report::Failed(request))
            }
            call => return Some(call),
        };
        if let Some(attempt) = attempt.map(convert::attempt) {
            let now = self.clock.now();
            self.seen.hear(now, attempt);
            self.engine.leaves(attempt);
            self.late.push(Late { attempt, report, until: Instant::now() + REASON });
        }
        None
    }

    /// The container of an attempt is gone: how far it had come, if a report of that waits.
    pub(super) fn reported(&self, attempt: Attempt) -> Option<Position> {
        let late = self.late.iter().find(|late| late.attempt == attempt)?;
        let position = match &late.report {
            Report::Exited(request) => request.position.clone(),
            Report::Failed(request) => request.position.clone(),
        };
        position.map(convert::position)
    }

    /// Takes up the reports that have waited long enough, and those of an attempt that is gone.
    pub(super) fn take_up(&mut self, gone: Option<Attempt>) -> Result<(), AmError> {
        let now = Instant::now();
        for late in std::mem::take(&mut self.late) {
            if late.until > now && Some(late.attempt) != gone {
                self.late.push(late);
                continue;
            }
            match late.report {
                Report::Exited(request) => drop(self.exited(*request)?),
                Report::Failed(request) => drop(self.failed(request)?),
            }
        }
        Ok(())
    }
}
