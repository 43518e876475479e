//! The application master, asked with patience: a call that fails is made again, until it is answered or the attempt
//! is over. In a container of YARN's, it may be another one that answers ([`Link`]).

mod link;
mod place;

use std::future::Future;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use forebay_protocol::{Agent, Bootstrap, v1};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tonic::{Code, Response, Status};

pub(crate) use self::link::Link;
use crate::error::Failure;
use crate::over::{Cause, Over};
use crate::standing::Standing;

/// How long the AM of this machine may take to answer a first call.
const REGISTRATION: Duration = Duration::from_secs(30);
/// How long it may take to answer once.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a last word may take.
const LAST_WORD: Duration = Duration::from_secs(5);
/// The same in a container: the AM may be one that is just being started.
const LAST_WORD_FROM_AFAR: Duration = Duration::from_mins(2);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The AM, as one attempt sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Am {
    pub(crate) link: Arc<Link>,
    pub(crate) attempt: v1::Attempt,
    pub(crate) over: Over,
    pub(crate) handle: Handle,
}

impl Am {
    /// Connects, with patience.
    pub(crate) fn connect(
        bootstrap: &Bootstrap,
        standing: &Standing,
        over: &Over,
        handle: &Handle,
    ) -> Result<Self, Cause> {
        let link = Arc::new(Link::new(bootstrap, standing, handle));
        let (theirs, recalled) = (Arc::clone(&link), over.clone());
        wait(handle, async move {
            tokio::select! {
                connected = theirs.renew(0) => connected,
                () = recalled.wait() => Err(cause_of(&recalled)),
            }
        })??;
        let attempt = v1::Attempt { index: bootstrap.index, number: bootstrap.number };
        Ok(Self { link, attempt, over: over.clone(), handle: handle.clone() })
    }

    /// The first call. On this machine there is less time for it; in a container, the others may have to be waited for.
    pub(crate) fn register(&self) -> Result<v1::RegisterReply, Cause> {
        let am = self.clone();
        wait(&self.handle, async move {
            if am.link.is_remote() {
                return am.registered().await;
            }
            match timeout(REGISTRATION, am.registered()).await {
                Ok(reply) => reply,
                Err(_) => Err(Cause::Failed(Failure::new("the application master does not answer"))),
            }
        })?
    }

    async fn registered(&self) -> Result<v1::RegisterReply, Cause> {
        loop {
            let (attempt, link) = (self.attempt, &self.link);
            let reply = self.ask(|mut client| async move {
                let (pid, host) = link::who();
                let request = v1::RegisterRequest { attempt: Some(attempt), pid, host };
                let reply = client.register(request).await?;
                // Noted before anything else is done: another one must then hear of it.
                link.registered(reply.get_ref())?;
                Ok(reply)
            });
            let reply = reply.await?;
            if !reply.wait {
                return Ok(reply);
            }
            // It is held back for a while before it is answered so.
            tokio::select! {
                () = sleep(FIRST_PAUSE) => {}
                () = self.over.wait() => return Err(cause_of(&self.over)),
            }
        }
    }

    /// Asks for up to `max` splits. What is granted is on record when this returns.
    pub(crate) async fn lease(&self, max: u32) -> Result<v1::LeaseReply, Cause> {
        self.ask(|_| self.link.lease(self.attempt, max)).await
    }

    /// Calls until there is an answer.
    pub(crate) async fn ask<R, F>(&self, call: impl Fn(Agent) -> F) -> Result<R, Cause>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        tokio::select! {
            // The cause is looked at first: nothing is begun when it is over.
            biased;
            () = self.over.wait() => Err(cause_of(&self.over)),
            answer = self.ask_on(call) => answer,
        }
    }

    /// The same whether or not the attempt is over.
    async fn ask_on<R, F>(&self, call: impl Fn(Agent) -> F) -> Result<R, Cause>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let mut pause = FIRST_PAUSE;
        loop {
            let Some((client, generation)) = self.link.client() else {
                self.link.renew(0).await?;
                continue;
            };
            let status = match timeout(ANSWER, call(client)).await {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) if is_clear(status.code()) => return Err(refused(&status)),
                Ok(Err(status)) => {
                    tracing::warn!(%status, "a call failed");
                    Some(status)
                }
                // The connection lives, or it would have been given up before: it is the AM that takes long.
                Err(_) => {
                    tracing::warn!("a call is not answered");
                    None
                }
            };
            if status.is_some() && self.link.is_remote() {
                self.link.renew(generation).await?;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The same as [`ask`](Self::ask), waited for by a thread of ours.
    pub(crate) fn ask_and_wait<R, F, C>(&self, call: C) -> Result<R, Cause>
    where
        R: Send + 'static,
        F: Future<Output = Result<Response<R>, Status>> + Send,
        C: Fn(Agent) -> F + Send + Sync + 'static,
    {
        let am = self.clone();
        wait(&self.handle, async move { am.ask(call).await })?
    }

    /// Says something once, to whoever may hear it in so short a time.
    pub(crate) async fn mention<R>(
        &self,
        limit: Duration,
        call: impl AsyncFnOnce(Agent) -> Result<Response<R>, Status>,
    ) {
        if let Some((client, _)) = self.link.client() {
            let _ = timeout(limit, call(client)).await;
        }
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
        let am = self.clone();
        let limit = if self.link.is_remote() { LAST_WORD_FROM_AFAR } else { LAST_WORD };
        let told = wait(&self.handle, async move {
            let telling = am.ask_on(|mut client| {
                let request = request.clone();
                async move { client.failed(request).await }
            });
            match timeout(limit, telling).await {
                Ok(answer) => answer.map(drop).map_err(|cause| format!("{cause:?}")),
                Err(_) => Err("no answer".into()),
            }
        });
        if let Err(error) = told.unwrap_or_else(|failure| Err(failure.reason)) {
            tracing::warn!(error, "the application master does not hear that the attempt failed");
        }
    }
}

fn cause_of(over: &Over) -> Cause {
    over.cause().cloned().unwrap_or(Cause::AmGone)
}

fn refused(status: &Status) -> Cause {
    let why = format!("the application master refuses a call: {}", status.message());
    Cause::Failed(Failure::new(why))
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
