//! A server's DIGEST-MD5 messages, one a line: the challenge, further ones, the last.
#![no_main]

use forebay_hadoop::Token;
use forebay_hadoop::fuzzing::{directives, layers, quote};
use forebay_hadoop::sasl::{Authenticator, Offer, Protection, TokenAuthenticator};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut messages = bytes.split(|byte| *byte == b'\n');
    let first = messages.next().unwrap_or_default();
    if let Some(found) = directives(first) {
        let again: Vec<_> = found.iter().map(|(name, value)| format!("{name}={}", quote(value))).collect();
        assert_eq!(directives(again.join(",").as_bytes()).as_ref(), Some(&found), "quoted: {again:?}");
    }
    for privacy in [false, true] {
        let Ok([mut client, _]) = layers(privacy) else { return };
        assert!(client.unwrap(first).is_err(), "nobody but the server can sign");
    }
    let offer = Offer {
        method: "TOKEN".into(),
        mechanism: "DIGEST-MD5".into(),
        protocol: String::new(),
        server_id: "default".into(),
        challenge: None,
    };
    let wanted = [Protection::Privacy, Protection::Integrity, Protection::Authentication];
    let authenticator = TokenAuthenticator::new(Token::new("id", "pw", "K", ""));
    let Ok(mut mechanism) = authenticator.start(&offer, &wanted) else { return };
    if mechanism.initiate(Some(first)).is_err() {
        return;
    }
    let mut last = None;
    for message in messages {
        let _ = mechanism.respond(message);
        last = Some(message);
    }
    assert!(mechanism.finish(last).is_err(), "nobody here knows the password");
});
