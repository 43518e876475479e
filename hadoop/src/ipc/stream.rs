//! From bytes to responses and from calls to bytes, through the protection that a login may have agreed on. No I/O here.

use bytes::Bytes;

use super::connection::Lost;
use super::frame::{self, FrameError, Outcome, Response, SASL_CALL_ID, Splitter};
use super::proto::{RpcSaslProto, sasl_state};
use crate::sasl::{Layer, SaslError};

/// Both directions of a connection.
pub(super) struct Framing {
    pub(super) outer: Splitter,
    secure: Option<Secure>,
    limit: usize,
}

/// What is in use when each frame travels inside a SASL message.
struct Secure {
    layer: Box<dyn Layer>,
    inner: Splitter,
}

impl Framing {
    pub(super) fn new(limit: usize) -> Self {
        Self { outer: Splitter::new(limit), secure: None, limit }
    }

    /// From now on every frame is protected.
    pub(super) fn protect(&mut self, layer: Box<dyn Layer>) {
        self.secure = Some(Secure { layer, inner: Splitter::new(self.limit) });
    }

    /// A frame as it goes to the socket.
    pub(super) fn seal(&mut self, frame: Bytes) -> Result<Bytes, SaslError> {
        let Some(secure) = &mut self.secure else { return Ok(frame) };
        let token = Some(secure.layer.wrap(&frame)?.into());
        Ok(frame::sasl(&RpcSaslProto { state: sasl_state::WRAP, token, auths: Vec::new() }))
    }

    /// The next response among the bytes that came; `None` until more came.
    pub(super) fn next(&mut self) -> Result<Option<Response>, Lost> {
        loop {
            if let Some(secure) = &mut self.secure
                && let Some(payload) = secure.inner.next()?
            {
                return Ok(Some(Response::decode(payload)?));
            }
            let Some(payload) = self.outer.next()? else { return Ok(None) };
            let response = Response::decode(payload)?;
            let Some(secure) = &mut self.secure else { return Ok(Some(response)) };
            let body = match response.outcome {
                Outcome::Success(body) if response.call_id == SASL_CALL_ID => body,
                Outcome::Success(_) => return Err(FrameError::UnknownCall(response.call_id).into()),
                Outcome::Error(error) | Outcome::Fatal(error) => return Err(Lost::Refused(error)),
            };
            let message = frame::sasl_message(body)?;
            let (sasl_state::WRAP, Some(token)) = (message.state, message.token) else {
                return Err(SaslError::Order("an unprotected message on a protected connection").into());
            };
            secure.inner.buffer.extend_from_slice(&secure.layer.unwrap(&token)?);
        }
    }
}
