//! The connection to the application master, which outlives it.
//!
//! On this machine the AM's end is the job's, and a broken connection is made anew by the next call. In a container the
//! connection is given up when a call fails; whoever notices looks for the AM, one at a time, and says first what this attempt
//! holds (`Rejoin`). Then all calls that failed are made again, to whoever is there now.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use forebay_protocol::v1::rejoin_reply::Reply;
use forebay_protocol::{Agent, Bootstrap, v1};
use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::time::{sleep, timeout};
use tonic::{Response, Status};

use super::place::{Place, Places};
use super::{ANSWER, FIRST_PAUSE, REGISTRATION, is_clear, refused};
use crate::error::Failure;
use crate::over::Cause;
use crate::standing::Standing;

/// Between two looks at where the AM is.
const LOOK: Duration = Duration::from_secs(1);
/// How long the place that is known may take, before one looks where the AM is now.
const KNOWN: Duration = Duration::from_secs(3);

/// The one connection of an attempt.
#[derive(Debug)]
pub(crate) struct Link {
    bootstrap: Bootstrap,
    places: Places,
    standing: Standing,
    patience: Duration,
    /// Where the AM was last, and the highest attempt of the application seen.
    last: Mutex<Place>,
    /// Nobody before the first connection. Counted from 1.
    now: watch::Sender<Option<(Agent, u64)>>,
    /// Held by the one who looks for the AM.
    renewing: AsyncMutex<()>,
    /// Held while splits are asked for, and while it is said which are held: what is granted must not come between.
    leasing: AsyncMutex<()>,
}

/// Why there is no connection.
enum Trouble {
    /// There may be one later.
    Passing(String),
    /// There will be none.
    Clear(Cause),
}

impl Link {
    pub(super) fn new(bootstrap: &Bootstrap, standing: &Standing, handle: &Handle) -> Self {
        let patience = bootstrap
            .container
            .as_ref()
            .map_or(REGISTRATION, |container| Duration::from_secs(container.am_patience_s));
        let places = Places::new(&bootstrap.channel, handle);
        Self {
            bootstrap: bootstrap.clone(),
            last: Mutex::new(places.first()),
            places,
            standing: standing.clone(),
            patience,
            now: watch::Sender::new(None),
            renewing: AsyncMutex::default(),
            leasing: AsyncMutex::default(),
        }
    }

    /// Whether the AM may come back in another place.
    pub(crate) fn is_remote(&self) -> bool {
        self.places.is_remote()
    }

    /// The client of now, and which one it is, counted from 1.
    pub(crate) fn client(&self) -> Option<(Agent, u64)> {
        self.now.borrow().clone()
    }

    fn generation(&self) -> u64 {
        self.now.borrow().as_ref().map_or(0, |now| now.1)
    }

    /// Waits until there is another client than the one of `generation`.
    pub(crate) async fn renewed(&self, generation: u64) {
        let is_other = |now: &Option<(Agent, u64)>| now.as_ref().is_some_and(|now| now.1 != generation);
        // Fails only when the link is gone.
        let _ = self.now.subscribe().wait_for(is_other).await;
    }

    /// An AM has answered the first call. An older one than known does not count.
    pub(super) fn registered(&self, reply: &v1::RegisterReply) -> Result<(), Status> {
        self.heard_of(reply.am_attempt).map_err(Status::unavailable)?;
        if !reply.wait {
            self.standing.registered(reply.files.iter().map(|file| file.unit));
        }
        Ok(())
    }

    /// Asks for splits, and keeps in mind which were granted. An answer that does not arrive is given again when this is called again.
    pub(super) async fn lease(
        &self,
        attempt: v1::Attempt,
        max: u32,
    ) -> Result<Response<v1::LeaseReply>, Status> {
        let _alone = self.leasing.lock().await;
        // Only now: another AM may have been told what this attempt holds, and then the one before has no say.
        let (mut client, _) = self.client().ok_or_else(|| Status::unavailable("there is no connection"))?;
        let reply = client.lease(self.standing.wants(attempt, max)).await?;
        self.standing.granted(reply.get_ref());
        Ok(reply)
    }

    /// Sees to another connection than that of `generation`.
    pub(crate) async fn renew(&self, generation: u64) -> Result<(), Cause> {
        let _one = self.renewing.lock().await;
        if self.generation() != generation {
            return Ok(());
        }
        let (since, mut looks_around, mut told) = (Instant::now(), false, String::new());
        loop {
            let why = match self.try_renew(looks_around).await {
                Ok(()) => return Ok(()),
                Err(Trouble::Clear(cause)) => return Err(cause),
                Err(Trouble::Passing(why)) => why,
            };
            if why != told {
                tracing::warn!(why, "no application master");
                told.clone_from(&why);
            }
            let pause = if looks_around { LOOK } else { FIRST_PAUSE * 2 };
            looks_around = self.is_remote();
            if since.elapsed() + pause > self.patience {
                return Err(self.gone(&why));
            }
            sleep(pause).await;
        }
    }

    fn gone(&self, why: &str) -> Cause {
        if self.is_remote() {
            return Cause::AmGone;
        }
        Cause::Failed(Failure::new(format!(
            "cannot reach the application master at {}: {why}",
            self.bootstrap.channel
        )))
    }

    async fn try_renew(&self, looks_around: bool) -> Result<(), Trouble> {
        let (known, mut place) = (self.last().clone(), None);
        if looks_around {
            match self.places.look().await {
                Ok(found) if found.attempt >= known.attempt => place = Some(found),
                Ok(found) => tracing::info!(found.attempt, "the address of an older one is left alone"),
                Err(why) => tracing::warn!(why, "it is not known where the application master is"),
            }
        }
        let (place, limit) = match place {
            Some(found) if found != known => (found, ANSWER),
            _ => (known, KNOWN),
        };
        let failed = |why: String| Trouble::Passing(why);
        let connected = timeout(limit, self.bootstrap.connect_to(&place.address)).await;
        let connected = connected.map_err(|_| failed(format!("{} does not answer", place.address)))?;
        let client = connected.map_err(|error| failed(error.to_string()))?;
        // Until it is the one that is asked, no splits are asked for: they would be the other one's.
        let _alone = self.leasing.lock().await;
        if self.standing.has_registered() {
            self.rejoin(client.clone()).await?;
        }
        let mut last = self.last();
        last.attempt = last.attempt.max(place.attempt);
        last.address = place.address;
        drop(last);
        self.now.send_replace(Some((client, self.generation() + 1)));
        Ok(())
    }

    /// Tells a new AM what this attempt holds.
    async fn rejoin(&self, mut client: Agent) -> Result<(), Trouble> {
        let (pid, host) = who();
        let attempt = v1::Attempt { index: self.bootstrap.index, number: self.bootstrap.number };
        let request = self.standing.rejoin(attempt, pid, host);
        let reply = match timeout(ANSWER, client.rejoin(request)).await {
            Ok(Ok(reply)) => reply.into_inner(),
            Ok(Err(status)) if is_clear(status.code()) => return Err(Trouble::Clear(refused(&status))),
            Ok(Err(status)) => return Err(Trouble::Passing(status.to_string())),
            Err(_) => return Err(Trouble::Passing("no answer to what this attempt holds".into())),
        };
        self.heard_of(reply.am_attempt).map_err(Trouble::Passing)?;
        match reply.reply {
            // What is to be staged is said again by the answer to the call that is made again.
            Some(Reply::GoOn(_) | Reply::Stage(_)) => {
                tracing::info!(
                    reply.am_attempt,
                    "an application master has been told what this attempt holds"
                );
                Ok(())
            }
            Some(Reply::Stop(stop)) => Err(Trouble::Clear(Cause::Told(stop.reason))),
            None => Err(Trouble::Passing("the application master gives an empty answer".into())),
        }
    }

    /// The AM of this attempt of the application has answered.
    fn heard_of(&self, attempt: u32) -> Result<(), String> {
        let mut last = self.last();
        if attempt < last.attempt {
            let newer = last.attempt;
            return Err(format!(
                "it is that of the application's attempt {attempt}; there is one of attempt {newer}"
            ));
        }
        last.attempt = attempt;
        Ok(())
    }

    fn last(&self) -> MutexGuard<'_, Place> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For people: our process id, and the host.
pub(super) fn who() -> (u32, String) {
    (std::process::id(), rustix::system::uname().nodename().to_string_lossy().into_owned())
}
