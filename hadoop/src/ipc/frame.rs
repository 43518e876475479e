//! Frames: what goes out for a call, what comes back, and everything that can be wrong with the latter. No I/O here.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::decode_varint;

use super::Protocol;
use super::proto::{
    IpcConnectionContextProto, RPC_KIND, RPC_OPERATION, RequestHeaderProto, RpcRequestHeaderProto,
    RpcResponseHeaderProto, RpcSaslProto, STATUS_ERROR, STATUS_FATAL, STATUS_SUCCESS, UserInformationProto,
};
use super::remote::RemoteError;

/// Call ids that are no calls' (`RpcConstants`).
pub(super) const CONTEXT_CALL_ID: i32 = -3;
pub(super) const SASL_CALL_ID: i32 = -33;
/// What a server sends where no retry counts.
const NO_RETRY: i32 = -1;
const LENGTH_LEN: usize = 4;

/// A frame from a server that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length in front is larger than any response may be, or negative.
    #[error("a response of {length} bytes is announced; at most {limit} are read")]
    TooLong {
        /// The announced length.
        length: u32,
        /// The most that is read.
        limit: usize,
    },
    /// The server answers in HTTP.
    #[error("the server speaks HTTP: this is a web port, not an RPC port")]
    Http,
    /// The server refuses this version of the protocol.
    #[error("the server does not speak version 9 of Hadoop's IPC")]
    Version,
    /// A frame ends before its content does.
    #[error("a response of {length} bytes ends within {part}")]
    Truncated {
        /// The frame's length.
        length: usize,
        /// What is cut off.
        part: &'static str,
    },
    /// A part of a frame is no message of its kind.
    #[error("{part} in a response does not decode: {message}")]
    Message {
        /// Which part.
        part: &'static str,
        /// What the decoder says.
        message: String,
    },
    /// A status that is none.
    #[error("a response has the unknown status {0}")]
    Status(i32),
    /// An answer to nothing that was asked.
    #[error("a response for call {0} came, which nobody had made")]
    UnknownCall(i32),
}

/// The version of the protocol, no service class, and whether a SASL login comes first (-33).
pub(super) fn preamble(sasl: bool) -> [u8; 7] {
    [b'h', b'r', b'p', b'c', 9, 0, if sasl { 0xdf } else { 0 }]
}

fn header(call_id: i32, client_id: Bytes, retry_count: i32) -> RpcRequestHeaderProto {
    RpcRequestHeaderProto {
        rpc_kind: Some(RPC_KIND),
        rpc_op: Some(RPC_OPERATION),
        call_id,
        client_id,
        retry_count: Some(retry_count),
    }
}

/// A length, then each part with its own length in front.
fn frame(parts: &[Vec<u8>]) -> Bytes {
    let length: usize = parts.iter().map(Vec::len).sum();
    let mut frame = BytesMut::with_capacity(LENGTH_LEN + length);
    // Requests of 4 GiB are not made here; the server would close the connection on the wrong length.
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    for part in parts {
        frame.put_slice(part);
    }
    frame.freeze()
}

/// The frame of a call.
pub(super) fn call(
    protocol: Protocol,
    method: &str,
    (client_id, call_id, retry_count): (Bytes, i32, i32),
    request: &impl Message,
) -> Bytes {
    let request_header = RequestHeaderProto {
        method_name: method.to_owned(),
        declaring_class_protocol_name: protocol.name.to_owned(),
        client_protocol_version: protocol.version,
    };
    frame(&[
        header(call_id, client_id, retry_count).encode_length_delimited_to_vec(),
        request_header.encode_length_delimited_to_vec(),
        request.encode_length_delimited_to_vec(),
    ])
}

/// The frame that says who calls which protocol. After a login by token there is no user to name.
pub(super) fn context(client_id: Bytes, protocol: Protocol, user: Option<UserInformationProto>) -> Bytes {
    let context = IpcConnectionContextProto { user_info: user, protocol: Some(protocol.name.to_owned()) };
    frame(&[
        header(CONTEXT_CALL_ID, client_id, NO_RETRY).encode_length_delimited_to_vec(),
        context.encode_length_delimited_to_vec(),
    ])
}

/// The frame of a SASL message, which has no client id.
pub(super) fn sasl(message: &RpcSaslProto) -> Bytes {
    frame(&[
        header(SASL_CALL_ID, Bytes::new(), NO_RETRY).encode_length_delimited_to_vec(),
        message.encode_length_delimited_to_vec(),
    ])
}

/// Cuts a stream of bytes into frames.
#[derive(Debug)]
pub(super) struct Splitter {
    pub(super) buffer: BytesMut,
    limit: usize,
}

impl Splitter {
    pub(super) fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit }
    }

    /// The next whole frame's payload; `None` until more bytes came.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(first) = self.buffer.first_chunk::<LENGTH_LEN>() else { return Ok(None) };
        let length = u32::from_be_bytes(*first);
        match first {
            b"HTTP" => return Err(FrameError::Http),
            // Servers answer in the framing of older versions when they refuse this one.
            [0xff, 0xff, 0xff, 0xff] => return Err(FrameError::Version),
            _ => {}
        }
        let whole = usize::try_from(length).unwrap_or(usize::MAX);
        if whole > self.limit {
            return Err(FrameError::TooLong { length, limit: self.limit });
        }
        if self.buffer.len() - LENGTH_LEN < whole {
            return Ok(None);
        }
        self.buffer.advance(LENGTH_LEN);
        Ok(Some(self.buffer.split_to(whole).freeze()))
    }

    /// Makes room for the next bytes: no more than a step at once, whatever length was announced.
    pub(super) fn reserve(&mut self) {
        const STEP: usize = 64 * 1024;
        if self.buffer.capacity() - self.buffer.len() < STEP / 4 {
            // Doubling keeps the copying in check for long responses, of which each byte so far did come.
            self.buffer.reserve(STEP.max(self.buffer.len()));
        }
    }
}

/// A response, its body not yet decoded.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Response {
    pub(super) call_id: i32,
    pub(super) outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// The message that answers.
    Success(Bytes),
    /// The call failed; the connection lives.
    Error(RemoteError),
    /// The server closes the connection.
    Fatal(RemoteError),
}

impl Response {
    pub(super) fn decode(mut payload: Bytes) -> Result<Self, FrameError> {
        let length = payload.len();
        let header = take_delimited(&mut payload, length, "its header")?;
        let header: RpcResponseHeaderProto = message(header, "the header")?;
        // Negative ids come as unsigned numbers.
        let call_id = header.call_id.cast_signed();
        let error = || {
            let (class, text) = (header.exception_class_name.clone(), header.error_msg.clone());
            RemoteError::from_wire(class, text, header.error_detail)
        };
        let outcome = match header.status {
            STATUS_SUCCESS => Outcome::Success(take_delimited(&mut payload, length, "its message")?),
            STATUS_ERROR => Outcome::Error(error()),
            STATUS_FATAL => Outcome::Fatal(error()),
            other => return Err(FrameError::Status(other)),
        };
        Ok(Self { call_id, outcome })
    }
}

/// Decodes a SASL message.
pub(super) fn sasl_message(body: Bytes) -> Result<RpcSaslProto, FrameError> {
    message(body, "the SASL message")
}

/// Decodes a message.
pub(super) fn message<M: Message + Default>(body: Bytes, part: &'static str) -> Result<M, FrameError> {
    M::decode(body).map_err(|e| FrameError::Message { part, message: e.to_string() })
}

fn take_delimited(payload: &mut Bytes, length: usize, part: &'static str) -> Result<Bytes, FrameError> {
    let truncated = FrameError::Truncated { length, part };
    let announced = decode_varint(payload).map_err(|_| truncated.clone())?;
    match usize::try_from(announced) {
        Ok(announced) if announced <= payload.len() => Ok(payload.split_to(announced)),
        _ => Err(truncated),
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
pub(super) mod tests;
