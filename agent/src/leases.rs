//! Keeps the feed's queue filled a little ahead of need, and closes it when there is no more.

use std::sync::Arc;
use std::time::Duration;

use forebay_feeder::{FileEntry, Lease, LeaseQueue, Skip};
use forebay_protocol::v1;
use forebay_protocol::v1::lease_reply::Reply;
use tokio::sync::Notify;

use crate::ahead::Ahead;
use crate::am::Am;
use crate::error::Failure;
use crate::over::Cause;

/// Fetches leases until there are no more, or the attempt is over. `more` is notified when the feed has taken one, or
/// waits for one.
pub(crate) async fn keep_ahead(am: Am, queue: Arc<LeaseQueue>, more: Arc<Notify>, ahead: Ahead) {
    let ended = tokio::select! {
        ended = fetch(&am, &queue, &more, ahead) => ended,
        () = am.over.wait() => return,
    };
    match ended {
        Ok(()) => queue.close(),
        Err(cause) => am.over.set(cause),
    }
}

async fn fetch(am: &Am, queue: &LeaseQueue, more: &Notify, mut ahead: Ahead) -> Result<(), Cause> {
    let mut has_fed = false;
    // After the end of input was told: nothing is asked before all that was leased is delivered. Until then, splits
    // of others may come back.
    let mut at_end = false;
    loop {
        let (waiting, is_starved) = (queue.len(), queue.is_starved());
        if has_fed && is_starved && !at_end {
            ahead.starved();
        }
        let max = ahead.wanted(waiting);
        if max == 0 || at_end && !is_starved {
            more.notified().await;
            continue;
        }
        let reply = am.lease(max).await?;
        ahead.told(reply.waiting);
        match reply.reply {
            Some(Reply::Leases(leases)) => {
                at_end = false;
                for split in leases.splits {
                    ahead.leased(split.end.saturating_sub(split.start));
                    push(queue, split)?;
                }
                has_fed = true;
            }
            Some(Reply::EndOfInput(_)) if is_starved => return Ok(()),
            Some(Reply::EndOfInput(_)) => at_end = true,
            Some(Reply::Wait(wait)) => {
                let pause = tokio::time::sleep(Duration::from_millis(u64::from(wait.ms).clamp(1, 60_000)));
                tokio::select! {
                    () = pause => {}
                    () = more.notified() => {}
                }
            }
            Some(Reply::Stop(stop)) => return Err(Cause::Told(stop.reason)),
            None => return Err(Failure::new("the application master gives an empty answer").into()),
        }
    }
}

fn push(queue: &LeaseQueue, split: v1::Split) -> Result<(), Cause> {
    let lease = lease(split).ok_or_else(|| Failure::new("the application master leases no whole split"))?;
    queue.push(lease).map_err(|error| Failure::new(error).into())
}

fn lease(split: v1::Split) -> Option<Lease> {
    let v1::Split { unit: id, file, start, end, skip } = split;
    let skip = match skip.and_then(|skip| skip.behind) {
        None => Skip::None,
        Some(v1::skip::Behind::Records(n)) => Skip::Records(n),
        Some(v1::skip::Behind::Bytes(n)) => Skip::Bytes(n),
    };
    Some(Lease { id, file: entry(file?)?, start, end, skip })
}

fn entry(file: v1::File) -> Option<FileEntry> {
    let v1::File { address, len, split_size, identity } = file;
    let identity = identity.map(|identity| (identity.device, identity.inode));
    Some(FileEntry { address, len, split_size: split_size.try_into().ok()?, identity })
}
