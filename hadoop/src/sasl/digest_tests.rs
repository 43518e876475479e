//! DIGEST-MD5 against RFC 2831's own examples, and against a server written here in the plainest way.

use proptest::prelude::*;

use super::*;

fn offer() -> Offer {
    Offer {
        method: "TOKEN".into(),
        mechanism: "DIGEST-MD5".into(),
        protocol: String::new(),
        server_id: "default".into(),
        challenge: None,
    }
}

fn start(wanted: &[Protection]) -> Box<dyn Mechanism> {
    let token = Token::new("identifier", "password", "K", "");
    TokenAuthenticator::new(token).start(&offer(), wanted).unwrap()
}

fn challenge(rest: &str) -> Vec<u8> {
    format!("realm=\"default\",nonce=\"abc\",charset=utf-8,algorithm=md5-sess{rest}").into_bytes()
}

/// RFC 2831, section 4: an IMAP and an ACAP login of "chris" with the password "secret".
#[test]
fn the_examples_of_the_rfc() {
    for (nonce, cnonce, uri, response, rspauth) in [
        (
            "OA6MG9tEQGm2hh",
            "OA6MHXh6VqTrRk",
            "imap/elwood.innosoft.com",
            "d388dad90d4bbd760a152321f2143af7",
            "ea40f60335c427b5527b84dbabcdfffd",
        ),
        (
            "OA9BSXrbuRhWay",
            "OA9BSuZWMSpW8m",
            "acap/elwood.innosoft.com",
            "6084c6db3fede7352c551284490fd0fc",
            "2f0b3d7c3c2e486600ef710726aa2eae",
        ),
    ] {
        let key = session_key(["chris", "elwood.innosoft.com", "secret"], nonce, cnonce);
        let value = |prefix: &str| response_value(&key, [nonce, cnonce, "auth"], &format!("{prefix}:{uri}"));
        assert_eq!(value("AUTHENTICATE"), response);
        assert_eq!(value(""), rspauth);
    }
}

#[test]
fn the_answer_has_the_form_that_hadoop_accepts() {
    let mut mechanism = start(&[Protection::Authentication]);
    let answer = mechanism.initiate(Some(&challenge(",qop=\"auth\""))).unwrap();
    let found = parse(&answer).unwrap();
    let get = |name: &str| found.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str()).unwrap();
    assert_eq!(get("username"), "aWRlbnRpZmllcg==");
    assert_eq!(get("digest-uri"), "/default");
    assert_eq!((get("qop"), get("nc"), get("realm"), get("nonce")), ("auth", "00000001", "default", "abc"));
    let key = session_key([get("username"), "default", "cGFzc3dvcmQ="], "abc", get("cnonce"));
    assert_eq!(
        get("response"),
        response_value(&key, ["abc", get("cnonce"), "auth"], "AUTHENTICATE:/default")
    );

    let proof = format!("rspauth={}", response_value(&key, ["abc", get("cnonce"), "auth"], ":/default"));
    assert!(mechanism.finish(Some(proof.as_bytes())).unwrap().is_none());
}

#[test]
fn a_server_that_proves_nothing_is_refused() {
    for token in [Some(&b"rspauth=00000000000000000000000000000000"[..]), Some(b"x=y"), None] {
        let mut mechanism = start(&[Protection::Authentication]);
        mechanism.initiate(Some(&challenge(""))).unwrap();
        assert!(matches!(mechanism.finish(token), Err(SaslError::ServerNotProven)));
    }
    assert!(matches!(start(&[]).finish(None), Err(SaslError::ServerNotProven)));
}

#[test]
fn protections_must_meet() {
    let all = [Protection::Privacy, Protection::Integrity, Protection::Authentication];
    let ask = |rest: &str, wanted: &[Protection]| start(wanted).initiate(Some(&challenge(rest)));
    assert!(ask(",qop=\"auth-int\"", &all).is_ok());
    let error = ask(",qop=\"auth-int\"", &all[2..]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the server wants qop auth-int, hadoop.rpc.protection here allows only auth"
    );
    let des = ask(",qop=\"auth-conf\",cipher=\"3des,des\"", &all);
    assert!(matches!(des, Err(SaslError::Cipher { .. })));
    let sealed = ask(",qop=\"auth-conf\",cipher=\"3des,rc4\"", &all).unwrap();
    assert!(String::from_utf8(sealed).unwrap().ends_with("qop=auth-conf,cipher=\"rc4\""));
}

#[test]
fn wrong_challenges_say_why() {
    for text in [
        "",
        "x",
        "realm=\"r\",algorithm=md5-sess",
        "nonce=\"a\",nonce=\"b\",algorithm=md5-sess",
        "nonce=\"a\"",
    ] {
        let result = start(&[Protection::Authentication]).initiate(Some(text.as_bytes()));
        assert!(matches!(result, Err(SaslError::Challenge { .. })), "{text}");
    }
}

proptest! {
    #[test]
    fn no_messages_make_it_panic(
        first in "(realm=\"|nonce=\"a\"|qop=\"|algorithm=md5-sess|rspauth=|cipher=|[,\"\\\\=]|\\PC){0,12}",
        second in "(rspauth=[0-9a-f]{32}|\\PC){0,3}",
    ) {
        let mut mechanism = start(&[Protection::Privacy, Protection::Authentication]);
        let _ = mechanism.initiate(Some(first.as_bytes()));
        let _ = mechanism.respond(second.as_bytes());
        let _ = mechanism.finish(Some(second.as_bytes()));
    }
}
