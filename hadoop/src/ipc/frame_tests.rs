//! Frames recorded from real servers, and all the ways in which frames can be wrong.

use proptest::prelude::*;

use super::*;
use crate::ipc::remote::RpcCode;
use crate::sasl::hex;

const PROTOCOL: Protocol = Protocol { name: "org.apache.hadoop.hdfs.protocol.ClientProtocol", version: 1 };

/// All that a server sent on one connection.
pub(in crate::ipc) fn recorded(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/frames/{name}.bin", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn responses(name: &str) -> Vec<Response> {
    let mut splitter = Splitter::new(1 << 20);
    splitter.buffer.extend_from_slice(&recorded(name));
    let mut all = Vec::new();
    while let Some(payload) = splitter.next().unwrap() {
        all.push(Response::decode(payload).unwrap());
    }
    assert!(splitter.buffer.is_empty());
    all
}

/// The first frames of a connection, tried by hand against a NameNode.
#[test]
fn requests_are_those_that_a_namenode_took() {
    let id = Bytes::from_static(&[0xaa; 16]);
    assert_eq!(hex(&preamble(false)), "68727063090000");
    assert_eq!(hex(&preamble(true)), "687270630900df");
    let user = UserInformationProto { effective_user: Some("root".into()), real_user: None };
    let frame = context(id.clone(), PROTOCOL, Some(user));
    let name = hex(PROTOCOL.name.as_bytes());
    let client = "aa".repeat(16);
    let wanted = format!("000000541a0802100018052210{client}2801381a2e{name}12060a04726f6f74");
    // The user's field comes first here; the order of fields means nothing.
    assert_eq!(frame.len(), 4 + 0x54);
    let fields = format!("000000541a0802100018052210{client}28013812060a04726f6f741a2e{name}");
    assert!(hex(&frame) == fields || hex(&frame) == wanted, "{}", hex(&frame));

    let path = RequestHeaderProto { method_name: "/in".into(), ..RequestHeaderProto::default() };
    let frame = call(PROTOCOL, "getFileInfo", (id, 0, 0), &path);
    let method = hex(b"getFileInfo");
    let head = format!("1a0802100018002210{client}28003f0a0b{method}122e{name}1801");
    assert!(hex(&frame[4..]).starts_with(&head), "{}", hex(&frame));

    let negotiate = sasl(&RpcSaslProto { state: 1, token: None, auths: vec![] });
    assert_eq!(hex(&negotiate[4..]), "0a08021000184122002801021001");
}

#[test]
fn recorded_answers_and_exceptions() {
    let all = responses("calls");
    assert_eq!(all.iter().map(|r| r.call_id).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(matches!(&all[0].outcome, Outcome::Success(body) if !body.is_empty()));
    assert!(matches!(&all[1].outcome, Outcome::Success(body) if body.is_empty()), "a path that is not there");
    let Outcome::Error(error) = &all[2].outcome else { panic!("{:?}", all[2]) };
    assert_eq!(error.to_string(), "FileNotFoundException: File does not exist: /gone");
    assert_eq!(error.code, RpcCode::Application);
}

#[test]
fn a_recorded_refusal() {
    let all = responses("refused");
    let [Response { outcome: Outcome::Fatal(error), .. }] = &all[..] else { panic!("{all:?}") };
    assert_eq!(error.short_class(), "RpcServerException");
    assert_eq!(error.message, "Connection context not established");
}

#[test]
fn recorded_offers() {
    let all = responses("offers");
    let Outcome::Success(body) = &all[0].outcome else { panic!("{all:?}") };
    assert_eq!(all[0].call_id, SASL_CALL_ID);
    let message = sasl_message(body.clone()).unwrap();
    let methods: Vec<_> = message.auths.iter().map(|a| a.method.as_str()).collect();
    assert_eq!(methods, ["TOKEN", "SIMPLE"]);
    assert_eq!(message.auths[0].protocol.as_deref(), Some(""));
    assert!(message.auths[0].challenge.as_ref().unwrap().starts_with(b"realm=\"default\",nonce="));
}

#[test]
fn absurd_lengths_and_other_protocols_are_named() {
    let next = |bytes: &[u8]| {
        let mut splitter = Splitter::new(1024);
        splitter.buffer.extend_from_slice(bytes);
        splitter.next()
    };
    assert_eq!(next(&[0, 0, 4]), Ok(None));
    assert_eq!(next(&[0, 0, 4, 0]), Ok(None));
    assert_eq!(next(&[0, 0, 0, 0]), Ok(Some(Bytes::new())));
    assert_eq!(next(&[0, 0, 4, 1]), Err(FrameError::TooLong { length: 1025, limit: 1024 }));
    assert!(matches!(next(&[0xff, 0xff, 0xff, 0xfe]), Err(FrameError::TooLong { .. })));
    assert_eq!(next(b"HTTP/1.1 404"), Err(FrameError::Http));
    assert_eq!(next(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1]), Err(FrameError::Version));
}

#[test]
fn an_announced_length_takes_no_memory() {
    let mut splitter = Splitter::new(128 << 20);
    splitter.buffer.extend_from_slice(&(100_u32 << 20).to_be_bytes());
    assert_eq!(splitter.next(), Ok(None));
    splitter.reserve();
    assert!(splitter.buffer.capacity() < 1 << 20);
}

#[test]
fn truncated_frames_say_where() {
    let decode = |bytes: &'static [u8]| Response::decode(Bytes::from_static(bytes)).unwrap_err().to_string();
    assert_eq!(decode(b""), "a response of 0 bytes ends within its header");
    assert_eq!(
        decode(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        "a response of 10 bytes ends within its header"
    );
    assert_eq!(decode(b"\x04\x08\x00\x10\x00"), "a response of 5 bytes ends within its message");
    assert_eq!(decode(b"\x04\x08\x00\x10\x00\x05abc"), "a response of 9 bytes ends within its message");
    assert_eq!(decode(b"\x04\x08\x00\x10\x07\x00"), "a response has the unknown status 7");
    assert!(decode(b"\x02\x0a\x00").contains("does not decode"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut splitter = Splitter::new(100);
        splitter.buffer.extend_from_slice(&bytes);
        while let Ok(Some(payload)) = splitter.next() {
            let _ = Response::decode(payload);
        }
        let _ = Response::decode(Bytes::from(bytes.clone()));
        let _ = sasl_message(bytes.into());
    }

    #[test]
    fn no_damage_to_recorded_frames_makes_it_panic(
        which in 0..3_usize, at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = recorded(["calls", "refused", "offers"][which]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len()) + 1);
        let mut splitter = Splitter::new(1 << 20);
        splitter.buffer.extend_from_slice(&bytes);
        while let Ok(Some(payload)) = splitter.next() {
            if let Ok(Response { outcome: Outcome::Success(body), .. }) = Response::decode(payload) {
                let _ = sasl_message(body);
            }
        }
    }
}
