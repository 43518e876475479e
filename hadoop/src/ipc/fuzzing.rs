//! What a server may send on a connection, for `fuzz/`.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use prost::Message;
use tokio::runtime::{Builder, Runtime};

use super::Protocol;
use super::frame::{Response, SASL_CALL_ID};
use super::handshake::{Introduction, introduce};
use super::login::{Login, TokenChoice};
use super::proto::{RpcResponseHeaderProto, RpcSaslProto, STATUS_SUCCESS, sasl_state};
use super::stream::Framing;
use crate::sasl::{Authenticator, Layer, TokenAuthenticator};
use crate::{Configuration, Token};

/// The longest response that is read here.
const LIMIT: usize = 1 << 16;

/// What came of a server's bytes: the responses, and in words what ended them.
#[derive(Debug, PartialEq)]
pub struct Heard {
    responses: Vec<Response>,
    /// Why no more responses can come.
    pub end: Option<String>,
}

impl Heard {
    /// How many responses there are.
    pub fn len(&self) -> usize {
        self.responses.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.responses.is_empty()
    }

    /// Whether this is how `whole` begins.
    pub fn begins(&self, whole: &Self) -> bool {
        whole.responses.starts_with(&self.responses)
    }
}

/// Hears a server's bytes in pieces of this length.
pub fn hear(bytes: &[u8], piece: usize) -> Heard {
    drain(Framing::new(LIMIT), bytes, piece)
}

/// Hears bytes on a connection with this protection.
pub fn hear_protected(layer: Box<dyn Layer>, bytes: &[u8], piece: usize) -> Heard {
    let mut framing = Framing::new(LIMIT);
    framing.protect(layer);
    drain(framing, bytes, piece)
}

fn drain(mut framing: Framing, bytes: &[u8], piece: usize) -> Heard {
    let mut responses = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        framing.outer.reserve();
        framing.outer.buffer.extend_from_slice(piece);
        loop {
            match framing.next() {
                Ok(Some(response)) => responses.push(response),
                Ok(None) => break,
                Err(lost) => return Heard { responses, end: Some(lost.to_string()) },
            }
        }
    }
    Heard { responses, end: None }
}

/// A server's frame around protected bytes.
pub fn wrapped_frame(wrapped: &[u8]) -> Vec<u8> {
    let header = RpcResponseHeaderProto {
        call_id: SASL_CALL_ID.cast_unsigned(),
        status: STATUS_SUCCESS,
        ..RpcResponseHeaderProto::default()
    };
    let token = Some(Bytes::copy_from_slice(wrapped));
    let message = RpcSaslProto { state: sasl_state::WRAP, token, auths: Vec::new() };
    let payload =
        [header.encode_length_delimited_to_vec(), message.encode_length_delimited_to_vec()].concat();
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &payload].concat()
}

/// Introduces a client to a server that says all this and closes. Says what came of it; fails only where no login can be
/// made.
pub fn introduction(server: &[u8], token: bool, secure: bool) -> Option<Result<(), String>> {
    static RUNTIME: LazyLock<Option<Runtime>> =
        LazyLock::new(|| Builder::new_current_thread().enable_all().build().ok());
    static LOGINS: LazyLock<[Option<Login>; 2]> = LazyLock::new(|| [false, true].map(login));
    let runtime = RUNTIME.as_ref()?;
    let token = token.then(|| Token::new("id", "pw", "K", ""));
    let authenticators =
        token.map(|token| Arc::new(TokenAuthenticator::new(token)) as Arc<dyn Authenticator>);
    let introduction = Introduction {
        protocol: Protocol { name: "p", version: 1 },
        client_id: Bytes::from_static(&[1; 16]),
        login: LOGINS[usize::from(secure)].as_ref()?,
        choice: &TokenChoice { kind: "K".into(), logical: None, any_service: false },
        authenticators: authenticators.into_iter().collect(),
    };
    let mut stream = tokio::io::join(server, tokio::io::sink());
    let met = runtime.block_on(introduce(&mut stream, &mut Framing::new(LIMIT), &introduction));
    Some(met.map_err(|failure| failure.to_string()))
}

fn login(secure: bool) -> Option<Login> {
    let mut conf = Configuration::with_environment(|_| None);
    conf.set("hadoop.security.authentication", if secure { "kerberos" } else { "simple" });
    conf.set("hadoop.rpc.protection", "privacy,integrity,authentication");
    Login::from_conf(&conf).ok()
}
