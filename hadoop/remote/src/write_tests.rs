//! What DataNodes may answer, played to the writer.

use forebay_hadoop::Token;
use forebay_hadoop::namenode::{Block, Replica, StorageType};
use forebay_shortcircuit::MetaHeader;
use proptest::prelude::*;
use tokio::io::duplex;

use super::*;

fn replica(ip: &str) -> Replica {
    Replica {
        ip: ip.to_owned(),
        hostname: format!("host-{ip}"),
        xfer_port: 9866,
        info_port: 0,
        ipc_port: 0,
        uuid: String::new(),
        rack: String::new(),
        storage_id: String::new(),
        storage_type: StorageType::Disk,
        cached: false,
        index: None,
        token: None,
    }
}

/// Writes a block of three packets through three DataNodes, the first of which says this, whatever it hears.
fn write(said: &[u8]) -> Result<(), Blame> {
    let located = LocatedBlock {
        block: Block { pool: "BP-1".to_owned(), id: 1, generation: 1, len: 0 },
        offset: 0,
        replicas: ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(replica).into(),
        corrupt: false,
        token: Token::default(),
    };
    let pipeline = ["10.0.0.1:9866", "10.0.0.2:9866", "10.0.0.3:9866"].map(str::to_owned);
    let sums = MetaHeader { checksum: ChecksumType::Crc32c, bytes_per_checksum: 512 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (ours, mut theirs) = duplex(1 << 20);
        theirs.write_all(said).await.unwrap();
        theirs.shutdown().await.unwrap();
        let form = BlockForm { sums, packet: 600 };
        exchange(ours, b"please", &located, &pipeline, form, &[7; 1000], Duration::from_mins(1)).await
    })
}

fn granted() -> Vec<u8> {
    reply(Status::Success, None)
}

fn reply(status: Status, first_bad_link: Option<&str>) -> Vec<u8> {
    let first_bad_link = first_bad_link.map(str::to_owned);
    let message = Some("why".to_owned());
    let reply =
        BlockOpResponseProto { status: status.number(), first_bad_link, message, ..Default::default() };
    reply.encode_length_delimited_to_vec()
}

fn ack(seqno: i64, statuses: [i32; 3]) -> Vec<u8> {
    PipelineAckProto { seqno, reply: statuses.into() }.encode_length_delimited_to_vec()
}

#[test]
fn who_is_to_blame_is_told() {
    let good = |seqno| ack(seqno, [0; 3]);
    write(&[granted(), good(0), good(1), good(2)].concat()).unwrap();
    write(&[reply(Status::Success, Some("")), good(0), good(1), good(2)].concat()).unwrap();
    let refusal = |said: &[Vec<u8>]| match write(&said.concat()).unwrap_err() {
        (blamed, Fault::Refused { status, message }) => (blamed, status, message),
        other => panic!("{other:?}"),
    };
    for (link, blamed) in [("10.0.0.2:9866", 1), ("host-10.0.0.3:9866", 2), ("elsewhere:1", 0)] {
        let told = (blamed, Status::Error, "why".to_owned());
        assert_eq!(refusal(&[reply(Status::Error, Some(link))]), told);
    }
    assert_eq!(refusal(&[reply(Status::Success, Some("10.0.0.2:9866"))]).0, 1);
    let error = write(&reply(Status::AccessToken, None)).unwrap_err();
    assert!(matches!(error, (0, Fault::Token(_))), "{error:?}");
    let told = (2, Status::Error, "packet 1 was not stored".to_owned());
    assert_eq!(refusal(&[granted(), good(0), ack(1, [0, 0, 1])]), told);
    // A DataNode that is about to restart says so without being asked.
    let restart = PipelineAckProto { seqno: -2, reply: vec![8] }.encode_length_delimited_to_vec();
    assert_eq!(refusal(&[granted(), good(0), restart]).1, Status::Other(8));
}

#[test]
fn what_was_not_acknowledged_is_not_written() {
    let good = |seqno| ack(seqno, [0; 3]);
    for said in [vec![], granted(), [granted(), good(0), good(1)].concat()] {
        let error = write(&said).unwrap_err();
        assert!(matches!(error, (0, Fault::Exchange(SocketFault::Closed))), "{error:?}");
    }
    let two = PipelineAckProto { seqno: 2, reply: vec![0, 0] }.encode_length_delimited_to_vec();
    for wrong in [vec![good(1)], vec![good(0), good(0)], vec![good(-1)], vec![good(0), good(1), two]] {
        let error = write(&[granted(), wrong.concat()].concat()).unwrap_err();
        assert!(matches!(error, (0, Fault::Exchange(SocketFault::Malformed(_)))), "{error:?}");
    }
    for long in [&[0xff, 0xff, 0x7f][..], &[0xff, 0xff, 0xff, 0xff]] {
        let error = write(long).unwrap_err();
        assert!(matches!(error, (0, Fault::Exchange(SocketFault::TooLong(_)))), "{error:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_are_an_acknowledgement_by_chance(
        bytes in prop::collection::vec(any::<u8>(), 0..100), is_granted: bool,
    ) {
        let said = if is_granted { [granted(), bytes].concat() } else { bytes };
        let (blamed, _) = write(&said).unwrap_err();
        prop_assert!(blamed < 3);
    }
}
