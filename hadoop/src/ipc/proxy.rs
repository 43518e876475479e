//! Calls to a service: the server that last answered first, others when it will not do, all within one deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tokio::time::Instant;

use super::error::{Failure, IpcError, Reason, Tried};
use super::frame;
use super::login::{Login, TokenChoice};
use super::retry::{Verdict, judge, pause};
use super::server::{Attempt, Common, Server};
use super::settings::Settings;
use super::{Protocol, RemoteError};
use crate::conf::Address;
use crate::sasl::{SaslError, random};

/// A service: one server, or several of which one is active.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name, for messages.
    pub name: String,
    /// Its servers.
    pub servers: Vec<Address>,
    /// Which tokens it takes.
    pub tokens: TokenChoice,
}

/// A client of one protocol of one service. Clones share connections.
#[derive(Debug, Clone)]
pub struct Proxy {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    servers: Vec<Server>,
    common: Arc<Common>,
    /// The server that last answered.
    active: AtomicUsize,
    /// Ids are the client's, not a connection's: a repeated call keeps its own, so that servers may notice.
    next_id: AtomicI32,
}

/// One call with all its attempts.
struct Course {
    method: &'static str,
    deadline: Duration,
    until: Instant,
    attempts: i32,
    failovers: u32,
    rounds: u32,
    /// Servers tried since the last pause.
    in_round: usize,
    records: Vec<Option<Record>>,
}

struct Record {
    attempts: u32,
    last: Failure,
    hopeless: bool,
}

impl Proxy {
    /// A client that connects when it is first needed.
    pub fn new(
        service: Service,
        protocol: Protocol,
        login: Login,
        settings: Settings,
    ) -> Result<Self, SaslError> {
        let client_id = Bytes::copy_from_slice(&random::<16>()?);
        let count = service.servers.len();
        let first = match random::<1>()? {
            [any] if settings.any_first && count > 0 => usize::from(any) % count,
            _ => 0,
        };
        let common = Arc::new(Common { protocol, client_id, login, tokens: service.tokens, settings });
        let server = |address| Server::new(address, Arc::clone(&common));
        Ok(Self {
            inner: Arc::new(Inner {
                name: service.name,
                servers: service.servers.into_iter().map(server).collect(),
                common,
                active: AtomicUsize::new(first),
                next_id: AtomicI32::new(0),
            }),
        })
    }

    /// The service's name.
    pub fn service(&self) -> &str {
        &self.inner.name
    }

    /// What servers know this client by.
    pub fn client_id(&self) -> &[u8] {
        &self.inner.common.client_id
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Settings {
        &self.inner.common.settings
    }

    /// The address that last answered, or would be asked first.
    pub fn active(&self) -> Option<&Address> {
        self.inner.servers.get(self.inner.active.load(Ordering::Relaxed)).map(|server| &server.address)
    }

    /// The socket address that [`active`](Self::active) stands for, looked up now.
    pub async fn peer(&self) -> Option<std::net::SocketAddr> {
        self.inner.servers.get(self.inner.active.load(Ordering::Relaxed))?.resolve().await
    }

    /// Makes a call that may be repeated when its answer is lost, as all of `ClientProtocol`'s calls here may.
    pub async fn call<A: Message + Default>(
        &self,
        method: &'static str,
        request: &impl Message,
        deadline: Duration,
    ) -> Result<A, IpcError> {
        self.run(method, request, deadline, true).await
    }

    /// Makes a call that is repeated only while it cannot have reached a server.
    pub async fn call_once<A: Message + Default>(
        &self,
        method: &'static str,
        request: &impl Message,
        deadline: Duration,
    ) -> Result<A, IpcError> {
        self.run(method, request, deadline, false).await
    }

    async fn run<A: Message + Default>(
        &self,
        method: &'static str,
        request: &impl Message,
        deadline: Duration,
        repeatable: bool,
    ) -> Result<A, IpcError> {
        let Inner { servers, common, active, next_id, .. } = &*self.inner;
        let id = next_id.fetch_add(1, Ordering::Relaxed) & i32::MAX;
        let mut course = Course::new(method, deadline, servers.len());
        let mut index = active.load(Ordering::Relaxed);
        loop {
            let Some(server) = servers.get(index) else {
                return Err(self.give_up(&course, Reason::Hopeless));
            };
            let retry_count = course.attempts;
            course.attempts = retry_count.saturating_add(1);
            let frame =
                frame::call(common.protocol, method, (common.client_id.clone(), id, retry_count), request);
            let until = course.attempt_until(&common.settings);
            let answer = server.call(id, frame, until).await.and_then(|body| {
                frame::message(body, "the answer")
                    .map_err(|e| Attempt { failure: Failure::Response(e), sent: false })
            });
            let attempt = match answer {
                Ok(answer) => {
                    active.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(attempt) => attempt,
            };
            tracing::debug!(method, server = %server.address, failure = %attempt.failure, "an attempt failed");
            index = match (judge(&attempt.failure), attempt.failure) {
                (Verdict::Answer, Failure::Remote(error)) => {
                    active.store(index, Ordering::Relaxed);
                    return Err(remote(method, server, error));
                }
                (verdict, failure) => {
                    course.record(index, failure, verdict);
                    if attempt.sent && !repeatable {
                        return Err(self.give_up(&course, Reason::MayBeDone));
                    }
                    self.next(&mut course, index, verdict).await?
                }
            };
        }
    }

    /// Chooses the next server, and pauses where that is due.
    async fn next(&self, course: &mut Course, index: usize, verdict: Verdict) -> Result<usize, IpcError> {
        let settings = &self.inner.common.settings;
        let next = if verdict == Verdict::Again { Some(index) } else { course.after(index) };
        let Some(next) = next else { return Err(self.give_up(course, Reason::Hopeless)) };
        if next != index {
            course.failovers += 1;
            if course.failovers > settings.max_failovers {
                return Err(self.give_up(course, Reason::Attempts(settings.max_failovers)));
            }
        }
        course.in_round += 1;
        if verdict == Verdict::Again || course.in_round >= course.hopeful() {
            let [random] = random::<1>().unwrap_or([127]);
            let pause = pause(course.rounds, settings.first_pause, settings.longest_pause, random);
            if Instant::now() + pause >= course.until {
                return Err(self.give_up(course, Reason::Deadline(course.deadline)));
            }
            course.rounds += 1;
            course.in_round = 0;
            tokio::time::sleep(pause).await;
        }
        if Instant::now() >= course.until {
            return Err(self.give_up(course, Reason::Deadline(course.deadline)));
        }
        Ok(next)
    }

    fn give_up(&self, course: &Course, reason: Reason) -> IpcError {
        let tried = self.inner.servers.iter().zip(&course.records).filter_map(|(server, record)| {
            let Record { attempts, last, .. } = record.as_ref()?;
            Some(Tried { server: server.address.to_string(), attempts: *attempts, last: last.clone() })
        });
        let (method, service) = (course.method, self.inner.name.clone());
        IpcError::GaveUp { method, service, reason, tried: tried.collect() }
    }
}

fn remote(method: &'static str, server: &Server, error: RemoteError) -> IpcError {
    IpcError::Remote { method, server: server.address.to_string(), error }
}

impl Course {
    fn new(method: &'static str, deadline: Duration, servers: usize) -> Self {
        // A deadline beyond what a clock can say is none; some decades are.
        const FAR: Duration = Duration::from_secs(1 << 30);
        let until = Instant::now() + deadline.min(FAR);
        let records = std::iter::repeat_with(|| None).take(servers).collect();
        Self { method, deadline, until, attempts: 0, failovers: 0, rounds: 0, in_round: 0, records }
    }

    /// Until when one attempt may take. Where there is another server, a silent one gets half of the time that is left.
    fn attempt_until(&self, settings: &Settings) -> Instant {
        let now = Instant::now();
        let left = self.until.saturating_duration_since(now);
        let share = if self.hopeful() > 1 { left / 2 } else { left };
        now + settings.attempt_timeout.map_or(share, |limit| limit.min(share))
    }

    fn record(&mut self, index: usize, failure: Failure, verdict: Verdict) {
        let Some(slot) = self.records.get_mut(index) else { return };
        let attempts = slot.as_ref().map_or(0, |record| record.attempts) + 1;
        *slot = Some(Record { attempts, last: failure, hopeless: verdict == Verdict::Hopeless });
    }

    fn is_hopeful(&self, index: usize) -> bool {
        self.records.get(index).is_some_and(|record| record.as_ref().is_none_or(|record| !record.hopeless))
    }

    /// How many servers are worth asking.
    fn hopeful(&self) -> usize {
        (0..self.records.len()).filter(|index| self.is_hopeful(*index)).count()
    }

    /// The next server worth asking, this one last.
    fn after(&self, index: usize) -> Option<usize> {
        let count = self.records.len();
        (1..=count).map(|step| (index + step) % count).find(|next| self.is_hopeful(*next))
    }
}
