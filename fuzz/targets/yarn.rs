//! What the ResourceManager and NodeManagers answer: never a panic, ids that come back from their text, nothing of a token shown.
#![no_main]

use forebay_hadoop::fuzzing::yarn::{allocation, registration, reports, statuses, token_owner};
use forebay_hadoop::yarn::{ApplicationAttemptId, Container};
use libfuzzer_sys::fuzz_target;

fn look_at(container: &Container) {
    assert_eq!(container.id.to_string().parse(), Ok(container.id));
    assert!(format!("{container:?}").contains("secret bytes"));
}

fuzz_target!(|bytes: &[u8]| {
    if let Some(allocation) = allocation(bytes) {
        allocation.containers.iter().chain(&allocation.previous_containers).for_each(look_at);
        assert!(allocation.containers.len() % 2 == 0, "each answer of two");
        for status in &allocation.completed {
            assert_eq!(status.id.to_string().parse(), Ok(status.id));
            assert!(!status.exit_status.to_string().is_empty());
        }
        assert!(allocation.headroom.fits_in(&allocation.headroom));
    }
    if let Some(registration) = registration(bytes) {
        registration.previous_containers.iter().for_each(look_at);
    }
    let _ = (reports(bytes), statuses(bytes));
    if let Some(owner) = token_owner(bytes) {
        assert_eq!(owner.parse::<ApplicationAttemptId>().map(|id| id.to_string()), Ok(owner));
    }
});
