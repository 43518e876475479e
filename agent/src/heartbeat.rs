//! Tells the application master now and then that the agent lives, and how far it is.

use std::time::Duration;

use forebay_protocol::v1;
use tokio::time::{Instant, sleep_until};

use crate::am::Am;
use crate::over::Cause;
use crate::stream::Stream;
use crate::told::Told;

/// Until the attempt is over, in whatever part of it.
pub(crate) async fn beat(am: Am, every: Duration, stream: Stream, told: Told) {
    let (mut answered, mut next) = (0, Instant::now());
    loop {
        next = (next + every).max(Instant::now());
        tokio::select! {
            () = sleep_until(next) => {}
            () = am.over.wait() => return,
        }
        let position = stream.position(answered, told.ack());
        let (begins, progress) = (position.begins.len(), told.progress(stream.figures()));
        let notes = progress.notes.len();
        let request = v1::HeartbeatRequest {
            attempt: Some(am.attempt),
            position: Some(position),
            progress: Some(progress),
        };
        let reply = am
            .ask(|mut client| {
                let request = request.clone();
                async move { client.heartbeat(request).await }
            })
            .await;
        match reply {
            Ok(v1::HeartbeatReply { stop: None }) => {
                answered += begins;
                told.noted(notes);
            }
            Ok(v1::HeartbeatReply { stop: Some(stop) }) => return am.over.set(Cause::Told(stop.reason)),
            Err(cause) => return am.over.set(cause),
        }
    }
}
