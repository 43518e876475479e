//! The NameNode's answers: block locations, which must lie one behind the other and can be reported back, and statuses.
#![no_main]

use forebay_hadoop::fuzzing::{located_blocks, reported, statuses};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = statuses(bytes);
    let Some(found) = located_blocks(bytes) else { return };
    for pair in found.blocks.windows(2) {
        assert_eq!(pair[0].offset + pair[0].block.len, pair[1].offset);
    }
    for block in &found.blocks {
        assert_eq!(block.end(), block.offset.checked_add(block.block.len));
        let again = reported(block).expect("what was read can be reported");
        assert_eq!((&again.block, again.offset, &again.token), (&block.block, block.offset, &block.token));
        assert_eq!(again.replicas.len(), block.replicas.len());
        for (again, replica) in again.replicas.iter().zip(&block.replicas) {
            assert_eq!((&again.uuid, again.xfer_port), (&replica.uuid, replica.xfer_port));
            assert_eq!((&again.storage_id, again.storage_type), (&replica.storage_id, replica.storage_type));
        }
    }
});
