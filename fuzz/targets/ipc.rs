//! What a server sends on an unprotected connection. However the bytes are cut into pieces, the same is heard.
#![no_main]

use forebay_hadoop::fuzzing::hear;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = hear(bytes, bytes.len());
    for piece in [1, 7] {
        assert_eq!(hear(bytes, piece), whole, "in pieces of {piece}");
    }
});
