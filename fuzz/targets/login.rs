//! A server during the introduction: offers, challenges, refusals. The first byte says what the client has.
#![no_main]

use forebay_hadoop::fuzzing::introduction;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((how, server)) = bytes.split_first() else { return };
    let (token, secure) = (how & 1 == 1, how & 2 == 2);
    let met = introduction(server, token, secure).expect("a login can be made");
    if secure {
        // Nobody here can prove to know the token, so a client that wants proof never takes this for a login.
        assert!(met.is_err());
    }
});
