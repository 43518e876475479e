//! Tells the application master now and then that the agent lives, and how far it is.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use forebay_protocol::v1;
use tokio::time::{Instant, sleep_until};

use crate::am::Am;
use crate::over::Cause;
use crate::standing::Standing;

/// How long a container that is being killed takes to say how far it is.
const IN_PASSING: Duration = Duration::from_millis(100);

/// Until the attempt is over, in whatever part of it.
pub(crate) async fn beat(am: Am, every: Duration, standing: Standing) {
    let (mut answered, mut next) = (0, Instant::now());
    loop {
        next = (next + every).max(Instant::now());
        tokio::select! {
            () = sleep_until(next) => {}
            () = am.over.wait() => return last(&am, answered, &standing).await,
        }
        let (begins, notes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let reply = am.ask(|mut client| {
            // Anew for each try: the AM may have changed, and knows a later position than that of the first.
            let request = request(&am, answered, &standing);
            begins.store(request.position.as_ref().map_or(0, |position| position.begins.len()), Relaxed);
            notes.store(request.progress.as_ref().map_or(0, |progress| progress.notes.len()), Relaxed);
            async move { client.heartbeat(request).await }
        });
        match reply.await {
            Ok(v1::HeartbeatReply { stop: None }) => {
                answered += begins.into_inner();
                standing.heard(answered);
                standing.told.noted(notes.into_inner());
            }
            Ok(v1::HeartbeatReply { stop: Some(stop) }) => am.over.set(Cause::Told(stop.reason)),
            Err(cause) => am.over.set(cause),
        }
    }
}

fn request(am: &Am, answered: usize, standing: &Standing) -> v1::HeartbeatRequest {
    v1::HeartbeatRequest {
        attempt: Some(am.attempt),
        position: Some(standing.position(answered)),
        progress: Some(standing.progress()),
    }
}

/// A NodeManager that ends a container soon kills what is left. Whether or not there is time for a last word, the AM hears how far the
/// worker was.
async fn last(am: &Am, answered: usize, standing: &Standing) {
    if am.link.is_remote() && matches!(am.over.cause(), Some(Cause::Signal(_))) {
        let request = request(am, answered, standing);
        am.mention(IN_PASSING, async |mut client| client.heartbeat(request).await).await;
    }
}
