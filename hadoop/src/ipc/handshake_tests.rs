//! Introductions to servers that behave badly, over a pipe in memory.

use proptest::prelude::*;
use tokio::io::duplex;

use super::*;
use crate::conf::Configuration;
use crate::credentials::Token;
use crate::ipc::frame::tests::recorded;
use crate::sasl::TokenAuthenticator;

/// Introduces a client, which has a token or not, to a server that says all this and closes.
fn meet(words: &[u8], token: bool, secure: bool) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut client, mut server) = duplex(1 << 16);
        server.write_all(words).await.unwrap();
        server.shutdown().await.unwrap();
        let mut conf = Configuration::empty();
        if secure {
            conf.set("hadoop.security.authentication", "kerberos");
        }
        let login = Login::from_conf(&conf).unwrap();
        let token = token.then(|| Token::new("id", "pw", "K", ""));
        let authenticators = token.map(|t| Arc::new(TokenAuthenticator::new(t)) as Arc<dyn Authenticator>);
        let introduction = Introduction {
            protocol: Protocol { name: "p", version: 1 },
            client_id: Bytes::from_static(&[1; 16]),
            login: &login,
            choice: &TokenChoice { kind: "K".into(), logical: None, any_service: false },
            authenticators: authenticators.into_iter().collect(),
        };
        let mut framing = Framing::new(1 << 20);
        timeout(std::time::Duration::from_secs(10), introduce(&mut client, &mut framing, &introduction))
            .await
            .expect("it hangs")
    })
}

/// A server's frame with a SASL message.
fn sasl_frame(message: &RpcSaslProto) -> Vec<u8> {
    use prost::Message;
    let header = b"\x08\x08\xdf\xff\xff\xff\x0f\x10\x00";
    let payload = [&header[..], &message.encode_length_delimited_to_vec()].concat();
    [&u32::try_from(payload.len()).unwrap().to_be_bytes()[..], &payload].concat()
}

fn offers(methods: &[&str]) -> RpcSaslProto {
    let mut message = message(sasl_state::NEGOTIATE, None, None);
    message.auths = methods
        .iter()
        .map(|method| SaslAuthProto {
            method: (*method).into(),
            mechanism: "GSSAPI".into(),
            ..SaslAuthProto::default()
        })
        .collect();
    message
}

#[test]
fn without_sasl_nothing_is_awaited() {
    meet(b"", false, false).unwrap();
}

#[test]
fn kerberos_alone_is_refused_by_name() {
    let error = meet(&sasl_frame(&offers(&["KERBEROS", "TOKEN"])), false, true).unwrap_err();
    assert_eq!(
        error.to_string(),
        "login failed: the server offers KERBEROS, TOKEN; this client holds no K and has no Kerberos; its configuration forbids SIMPLE"
    );
}

#[test]
fn simple_is_taken_only_where_it_is_allowed() {
    assert!(meet(&sasl_frame(&offers(&["SIMPLE"])), true, false).is_ok());
    assert!(meet(&sasl_frame(&message(sasl_state::SUCCESS, None, None)), true, false).is_ok());
    for words in [offers(&["SIMPLE"]), message(sasl_state::SUCCESS, None, None)] {
        let error = meet(&sasl_frame(&words), false, true).unwrap_err();
        assert!(matches!(error, Failure::Login(SaslError::NoCommonMethod { .. })), "{error}");
    }
}

#[test]
fn a_login_that_is_not_proven_or_out_of_order_is_refused() {
    let first = recorded("offers");
    let after = |message: &RpcSaslProto| [first.clone(), sasl_frame(message)].concat();
    let unproven = meet(&after(&message(sasl_state::SUCCESS, None, None)), true, false).unwrap_err();
    assert!(matches!(unproven, Failure::Login(SaslError::ServerNotProven)), "{unproven}");
    let twice = meet(&after(&offers(&[])), true, false).unwrap_err();
    assert!(matches!(twice, Failure::Login(SaslError::Order(_))), "{twice}");
    let closed = meet(&first, true, false).unwrap_err();
    assert!(matches!(closed, Failure::Lost(Lost::Closed)), "{closed}");
}

#[test]
fn a_refusal_is_heard() {
    let error = meet(&recorded("refused"), true, false).unwrap_err();
    assert_eq!(error.remote().unwrap().message, "Connection context not established");
}

proptest! {
    #[test]
    fn no_words_hang_or_panic_it(
        start in any::<bool>(), words in proptest::collection::vec(any::<u8>(), 0..100),
        state in 0..7_i32, token in proptest::collection::vec(any::<u8>(), 0..40), secure in any::<bool>(),
    ) {
        let first = if start { recorded("offers") } else { Vec::new() };
        let message = message(state, Some(token.into()), None);
        let _ = meet(&[first.clone(), sasl_frame(&message), words.clone()].concat(), true, secure);
        let _ = meet(&[first, words].concat(), true, secure);
    }
}
