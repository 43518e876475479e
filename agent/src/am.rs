//! The application master, asked with patience: a call that fails is made again, until it is answered or the attempt
//! is over.

use std::future::Future;
use std::sync::mpsc;
use std::time::Duration;

use forebay_protocol::{Agent, Bootstrap, v1};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tonic::{Code, Response, Status};

use crate::error::Failure;
use crate::over::{Cause, Over};

/// How long the AM may take to answer a first call.
const REGISTRATION: Duration = Duration::from_secs(30);
/// How long it may take to answer once.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a last word may take.
const LAST_WORD: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The AM, as one attempt sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Am {
    client: Agent,
    pub(crate) attempt: v1::Attempt,
    pub(crate) over: Over,
    pub(crate) handle: Handle,
}

impl Am {
    /// Connects, with patience.
    pub(crate) fn connect(bootstrap: &Bootstrap, over: &Over, handle: &Handle) -> Result<Self, Cause> {
        let (theirs, recalled) = (bootstrap.clone(), over.clone());
        let client = wait(handle, async move {
            let connected = timeout(REGISTRATION, connected(&theirs));
            tokio::select! {
                client = connected => client.map_err(|_| cannot_reach(&theirs)),
                () = recalled.wait() => Err(cause_of(&recalled)),
            }
        })??;
        let attempt = v1::Attempt { index: bootstrap.index, number: bootstrap.number };
        Ok(Self { client, attempt, over: over.clone(), handle: handle.clone() })
    }

    /// The first call, for which there is less time.
    pub(crate) fn register(&self) -> Result<v1::RegisterReply, Cause> {
        let request = v1::RegisterRequest {
            attempt: Some(self.attempt),
            pid: std::process::id(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        };
        let am = self.clone();
        wait(&self.handle, async move {
            let registered = am.ask(|mut client| {
                let request = request.clone();
                async move { client.register(request).await }
            });
            match timeout(REGISTRATION, registered).await {
                Ok(reply) => reply,
                Err(_) => Err(Cause::Failed(Failure::new("the application master does not answer"))),
            }
        })?
    }

    /// Calls until there is an answer.
    pub(crate) async fn ask<R, F>(&self, call: impl Fn(Agent) -> F) -> Result<R, Cause>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(cause) = self.over.cause() {
                return Err(cause.clone());
            }
            let answer = tokio::select! {
                answer = timeout(ANSWER, call(self.client.clone())) => answer,
                () = self.over.wait() => continue,
            };
            let status = match answer {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("no answer"),
            };
            if is_clear(status.code()) {
                let refused =
                    Failure::new(format!("the application master refuses a call: {}", status.message()));
                return Err(Cause::Failed(refused));
            }
            tracing::warn!(%status, "a call failed");
            tokio::select! {
                () = sleep(pause) => {}
                () = self.over.wait() => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The same, waited for by a thread of ours.
    pub(crate) fn ask_and_wait<R, F, C>(&self, call: C) -> Result<R, Cause>
    where
        R: Send + 'static,
        F: Future<Output = Result<Response<R>, Status>> + Send,
        C: Fn(Agent) -> F + Send + Sync + 'static,
    {
        let am = self.clone();
        wait(&self.handle, async move { am.ask(call).await })?
    }

    /// Gives the attempt up. Best effort, in bounded time: the AM also sees the agent's end.
    pub(crate) fn give_up(&self, failure: &Failure, position: Option<v1::Position>) {
        let request = v1::FailedRequest {
            attempt: Some(self.attempt),
            reason: failure.reason.clone(),
            fatal: failure.fatal,
            status: failure.status,
            position,
        };
        let mut client = self.client.clone();
        let told = wait(&self.handle, async move {
            match timeout(LAST_WORD, client.failed(request)).await {
                Ok(answer) => answer.map(drop).map_err(|status| status.to_string()),
                Err(_) => Err("no answer".into()),
            }
        });
        if let Err(error) = told.unwrap_or_else(|failure| Err(failure.reason)) {
            tracing::warn!(error, "the application master does not hear that the attempt failed");
        }
    }
}

async fn connected(bootstrap: &Bootstrap) -> Agent {
    loop {
        match bootstrap.connect().await {
            Ok(client) => return client,
            Err(error) => tracing::warn!(%error, "not yet"),
        }
        sleep(FIRST_PAUSE * 2).await;
    }
}

fn cannot_reach(bootstrap: &Bootstrap) -> Cause {
    let socket = bootstrap.socket.display();
    Cause::Failed(Failure::new(format!("cannot reach the application master at {socket}")))
}

fn cause_of(over: &Over) -> Cause {
    over.cause().cloned().unwrap_or(Cause::AmGone)
}

/// Whether asking again would bring the same answer.
fn is_clear(code: Code) -> bool {
    matches!(
        code,
        Code::Unauthenticated
            | Code::PermissionDenied
            | Code::InvalidArgument
            | Code::NotFound
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::DataLoss
    )
}

/// Has the runtime do it, and waits. The task has to end by itself when it is recalled.
pub(crate) fn wait<T: Send + 'static>(
    handle: &Handle,
    task: impl Future<Output = T> + Send + 'static,
) -> Result<T, Failure> {
    let (sender, receiver) = mpsc::channel();
    handle.spawn(async move { sender.send(task.await) });
    receiver
        .recv()
        .map_err(|_| Failure::new("a task of the agent broke off; please report this with agent.log"))
}

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
