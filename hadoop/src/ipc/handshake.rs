//! The beginning of a connection: preamble, login, context.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::Protocol;
use super::connection::{LAST_WORDS, Lost};
use super::error::Failure;
use super::frame::{self, FrameError, Outcome, SASL_CALL_ID};
use super::login::{Login, TokenChoice};
use super::proto::{RpcSaslProto, SaslAuthProto, sasl_state};
use super::stream::Framing;
use crate::sasl::{Authenticator, Mechanism, Offer, SaslError};

const SIMPLE: &str = "SIMPLE";
/// No mechanism takes more steps; GSSAPI takes three.
const MAX_STEPS: usize = 16;

/// Who connects to what.
pub(super) struct Introduction<'a> {
    pub(super) protocol: Protocol,
    pub(super) client_id: Bytes,
    pub(super) login: &'a Login,
    pub(super) choice: &'a TokenChoice,
    /// What the client can show to this very server.
    pub(super) authenticators: Vec<Arc<dyn Authenticator>>,
}

/// Introduces the client on a fresh stream. What the server may have sent behind its last answer stays in the framing.
pub(super) async fn introduce<S>(
    stream: &mut S,
    framing: &mut Framing,
    who: &Introduction<'_>,
) -> Result<(), Failure>
where
    S: AsyncReadExt + AsyncWriteExt + Unpin,
{
    let result = try_introduce(stream, framing, who).await;
    match result {
        // A server that refuses closes the connection with words first, which a failed write must not hide.
        Err(Failure::Lost(Lost::Io(broken))) => {
            let words = timeout(LAST_WORDS, receive(stream, framing)).await;
            Err(match words {
                Ok(Err(words @ (Lost::Refused(_) | Lost::Frame(_)))) => words.into(),
                _ => Lost::Io(broken).into(),
            })
        }
        other => other,
    }
}

async fn try_introduce<S>(
    stream: &mut S,
    framing: &mut Framing,
    who: &Introduction<'_>,
) -> Result<(), Failure>
where
    S: AsyncReadExt + AsyncWriteExt + Unpin,
{
    let sasl = who.login.is_secure() || !who.authenticators.is_empty();
    send(stream, &frame::preamble(sasl)).await?;
    let proven = sasl && log_in(stream, framing, who).await?;
    // With a token the server knows the user, and takes another name for a lie.
    let user = (!proven).then(|| who.login.user_info());
    let context = frame::context(who.client_id.clone(), who.protocol, user);
    let context = framing.seal(context)?;
    Ok(send(stream, &context).await?)
}

/// Logs in by SASL; says whether the user is proven.
async fn log_in<S>(stream: &mut S, framing: &mut Framing, who: &Introduction<'_>) -> Result<bool, Failure>
where
    S: AsyncReadExt + AsyncWriteExt + Unpin,
{
    send(stream, &frame::sasl(&message(sasl_state::NEGOTIATE, None, None))).await?;
    let answer = receive(stream, framing).await?;
    let offers = match answer.state {
        sasl_state::NEGOTIATE => answer.auths,
        // A server that knows nothing but SIMPLE says yes at once.
        sasl_state::SUCCESS if who.login.allows_simple() => return Ok(false),
        sasl_state::SUCCESS => return Err(none_common(&[SIMPLE.to_owned()], who).into()),
        _ => return Err(SaslError::Order("neither offers nor success").into()),
    };
    for auth in &offers {
        let offer = Offer::from(auth);
        if let Some(authenticator) = who.authenticators.iter().find(|known| known.takes(&offer)) {
            tracing::debug!(method = offer.method, mechanism = offer.mechanism, "logging in");
            let mechanism = authenticator.start(&offer, who.login.protections())?;
            converse(stream, framing, auth, mechanism).await?;
            return Ok(true);
        }
    }
    let simple = offers.iter().find(|auth| auth.method == SIMPLE).filter(|_| who.login.allows_simple());
    let Some(simple) = simple else {
        let offered: Vec<_> = offers.into_iter().map(|auth| auth.method).collect();
        return Err(none_common(&offered, who).into());
    };
    // To this no answer comes.
    send(stream, &frame::sasl(&message(sasl_state::INITIATE, None, Some(simple)))).await?;
    Ok(false)
}

fn none_common(offered: &[String], who: &Introduction<'_>) -> SaslError {
    SaslError::NoCommonMethod { offered: offered.to_vec(), able: who.login.able(who.choice) }
}

/// The mechanism's messages to and fro, until the server is content.
async fn converse<S>(
    stream: &mut S,
    framing: &mut Framing,
    offer: &SaslAuthProto,
    mut mechanism: Box<dyn Mechanism>,
) -> Result<(), Failure>
where
    S: AsyncReadExt + AsyncWriteExt + Unpin,
{
    let token = mechanism.initiate(offer.challenge.as_deref())?;
    let mut next = message(sasl_state::INITIATE, Some(token.into()), Some(offer));
    for _ in 0..MAX_STEPS {
        send(stream, &frame::sasl(&next)).await?;
        let answer = receive(stream, framing).await?;
        match answer.state {
            sasl_state::CHALLENGE => {
                let token = mechanism.respond(&answer.token.unwrap_or_default())?;
                next = message(sasl_state::RESPONSE, Some(token.into()), None);
            }
            sasl_state::SUCCESS => {
                if let Some(layer) = mechanism.finish(answer.token.as_deref())? {
                    framing.protect(layer);
                }
                return Ok(());
            }
            _ => return Err(SaslError::Order("neither a challenge nor success").into()),
        }
    }
    Err(SaslError::Order("challenges without end").into())
}

impl From<&SaslAuthProto> for Offer {
    fn from(proto: &SaslAuthProto) -> Self {
        Self {
            method: proto.method.clone(),
            mechanism: proto.mechanism.clone(),
            protocol: proto.protocol.clone().unwrap_or_default(),
            server_id: proto.server_id.clone().unwrap_or_default(),
            challenge: proto.challenge.clone(),
        }
    }
}

/// A SASL message. The chosen offer goes back just as it came, without its challenge: servers compare it, and tell an
/// empty field from one that is not there.
fn message(state: i32, token: Option<Bytes>, chosen: Option<&SaslAuthProto>) -> RpcSaslProto {
    let auth = |offer: &SaslAuthProto| SaslAuthProto { challenge: None, ..offer.clone() };
    RpcSaslProto { state, token, auths: chosen.map(auth).into_iter().collect() }
}

async fn send(stream: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) -> Result<(), Lost> {
    stream.write_all(bytes).await.map_err(|e| Lost::Io(e.to_string()))
}

/// The next SASL message of the server's.
async fn receive(
    stream: &mut (impl AsyncReadExt + Unpin),
    framing: &mut Framing,
) -> Result<RpcSaslProto, Lost> {
    loop {
        if let Some(response) = framing.next()? {
            return match response.outcome {
                Outcome::Success(body) if response.call_id == SASL_CALL_ID => Ok(frame::sasl_message(body)?),
                Outcome::Success(_) => Err(FrameError::UnknownCall(response.call_id).into()),
                Outcome::Error(error) | Outcome::Fatal(error) => Err(Lost::Refused(error)),
            };
        }
        framing.outer.reserve();
        match stream.read_buf(&mut framing.outer.buffer).await {
            Ok(0) => return Err(Lost::Closed),
            Ok(_) => {}
            Err(e) => return Err(Lost::Io(e.to_string())),
        }
    }
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;
