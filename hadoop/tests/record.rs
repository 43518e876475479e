//! Records what real servers send into `tests/frames/`, which unit tests decode. Run with
//! `FOREBAY_RECORD=1 cargo test -p forebay-hadoop --test record`; without the variable it only looks that all is there.
#![expect(clippy::unwrap_used, reason = "a helper of tests")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use forebay_fixtures::{Hdfs, HdfsOptions};

const PROTOCOL: &str = "org.apache.hadoop.hdfs.protocol.ClientProtocol";
const FILES: [&str; 4] = ["calls", "refused", "offers", "locations"];

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/frames/{name}.bin"))
}

/// A length-delimited piece shorter than 128 bytes.
fn piece(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()][..], bytes].concat()
}

fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[tag][..], &piece(bytes)].concat()
}

fn frame(parts: &[Vec<u8>]) -> Vec<u8> {
    let body: Vec<u8> = parts.iter().flat_map(|part| piece(part)).collect();
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
}

/// A request header with this zigzag call id and retry count.
fn header(call_id: u8, retry: u8) -> Vec<u8> {
    [&[8, 2, 0x10, 0, 0x18, call_id][..], &field(0x22, &[7; 16]), &[0x28, retry]].concat()
}

fn call(id: u8, method: &str, request: &[u8]) -> Vec<u8> {
    let request_header =
        [field(0x0a, method.as_bytes()), field(0x12, PROTOCOL.as_bytes()), vec![0x18, 1]].concat();
    frame(&[header(id * 2, 0), request_header, request.to_vec()])
}

fn context() -> Vec<u8> {
    frame(&[header(5, 1), [field(0x1a, PROTOCOL.as_bytes()), field(0x12, &field(0x0a, b"root"))].concat()])
}

fn connect(hdfs: &Hdfs, auth: u8) -> TcpStream {
    let mut stream = TcpStream::connect(hdfs.uri().strip_prefix("hdfs://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(&[b"hrpc\x09\x00", &[auth][..]].concat()).unwrap();
    stream
}

/// One whole frame, its length in front.
fn answer(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut body = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut body).unwrap();
    [&length[..], &body].concat()
}

#[test]
fn frames_of_real_servers() {
    if std::env::var_os("FOREBAY_RECORD").is_some() {
        record();
    }
    for name in FILES {
        assert!(path(name).is_file(), "{name} was not recorded");
    }
}

fn record() {
    let properties = ["dfs.block.access.token.enable", "dfs.namenode.delegation.token.always-use"];
    let hdfs = Hdfs::start(&HdfsOptions {
        datanodes: 2,
        hdfs_properties: properties.map(|key| (key.to_owned(), "true".to_owned())).to_vec(),
        ..HdfsOptions::default()
    })
    .unwrap();
    hdfs.write("/d/file", vec![b'x'; 2500], Some(1024)).unwrap();

    let mut stream = connect(&hdfs, 0);
    stream.write_all(&context()).unwrap();
    let mut calls = Vec::new();
    let range = |path: &[u8]| [field(0x0a, path), vec![0x10, 0, 0x18, 0xff, 0x7f]].concat();
    for (id, method, request) in [
        (0, "getFileInfo", field(0x0a, b"/d/file")),
        (1, "getFileInfo", field(0x0a, b"/gone")),
        (2, "getBlockLocations", range(b"/gone")),
    ] {
        stream.write_all(&call(id, method, &request)).unwrap();
        calls.extend(answer(&mut stream));
    }
    std::fs::write(path("calls"), calls).unwrap();

    stream.write_all(&call(3, "getBlockLocations", &range(b"/d/file"))).unwrap();
    let frame = answer(&mut stream);
    let header_len = usize::from(frame[4]);
    let message = &frame[5 + header_len..];
    // The message's own length is two bytes long here.
    assert!(message.len() > 128 + 2 && message.len() < 16_384);
    std::fs::write(path("locations"), &message[2..]).unwrap();

    let mut stream = connect(&hdfs, 0);
    stream.write_all(&call(0, "getFileInfo", &field(0x0a, b"/"))).unwrap();
    std::fs::write(path("refused"), answer(&mut stream)).unwrap();

    let mut stream = connect(&hdfs, 0xdf);
    let negotiate = [&[8, 2, 0x10, 0, 0x18, 0x41, 0x22, 0, 0x28, 1][..]].concat();
    stream.write_all(&frame_of(&negotiate)).unwrap();
    std::fs::write(path("offers"), answer(&mut stream)).unwrap();
}

fn frame_of(header: &[u8]) -> Vec<u8> {
    frame(&[header.to_vec(), vec![0x10, 1]])
}
