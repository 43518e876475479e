//! Work that a signal calls off.

use std::time::Duration;

use forebay_feeder::Stop;

/// How often is looked.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until the stop event is raised, and gives the signal.
pub(crate) async fn raised(stop: &Stop) -> usize {
    loop {
        if let Some(cause) = stop.cause() {
            return cause;
        }
        tokio::time::sleep(LOOK).await;
    }
}
