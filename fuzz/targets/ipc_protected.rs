//! What a server sends on a protected connection: the same is heard as without protection, and nothing behind damage.
//! The first bytes: which protection, how the bytes are cut, where and how they are damaged.
#![no_main]

use forebay_hadoop::fuzzing::{hear, hear_protected, layers, wrapped_frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&[how, cut, at0, at1, flip], plain)) = bytes.split_first_chunk() else { return };
    let Ok([client, mut server]) = layers(how & 1 == 1) else { return };
    let mut wire = Vec::new();
    let mut tokens = Vec::new();
    for part in plain.chunks((usize::from(cut) + 1).max(plain.len() / 16)) {
        let token = server.wrap(part).expect("a server can wrap");
        wire.extend(wrapped_frame(&token));
        tokens.push(wire.len() - token.len()..wire.len());
    }
    let clear = hear(plain, plain.len());
    if flip == 0 || wire.is_empty() {
        assert_eq!(hear_protected(client, &wire, usize::from(how >> 1) + 1), clear);
        return;
    }
    let at = usize::from(u16::from_be_bytes([at0, at1])) % wire.len();
    wire[at] ^= flip;
    let heard = hear_protected(client, &wire, wire.len());
    assert!(heard.begins(&clear), "{heard:?} is not how {clear:?} begins");
    if tokens.iter().any(|token| token.contains(&at)) && clear.end.is_none() {
        assert!(heard.end.is_some(), "damage at {at} went unseen");
    }
});
