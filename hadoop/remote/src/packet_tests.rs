//! Packet headers, right ones and others.

use forebay_hadoop::transfer::ChecksumProto;
use proptest::prelude::*;

use super::*;

fn info(kind: i32, bytes_per_checksum: u32, chunk_offset: u64) -> ReadOpChecksumInfoProto {
    ReadOpChecksumInfoProto { checksum: ChecksumProto { kind, bytes_per_checksum }, chunk_offset }
}

fn packets(start: u64, end: u64) -> Packets {
    match Packets::announced(&info(2, 512, start - start % 512), start, end).unwrap() {
        Layout::Known(packets) => packets,
        Layout::Unsupported(why) => panic!("{why}"),
    }
}

fn header(len: i32, offset: i64, seqno: i64, last: bool, data_len: i32) -> Vec<u8> {
    let message = PacketHeaderProto { offset_in_block: offset, seqno, last, data_len, sync_block: None }
        .encode_to_vec();
    assert_eq!(message.len(), USUAL_HEADER);
    [&len.to_be_bytes()[..], &u16::try_from(message.len()).unwrap().to_be_bytes(), &message].concat()
}

#[test]
fn a_read_from_within_a_chunk_into_another_is_followed_to_its_end() {
    let mut packets = packets(700, 2000);
    assert_eq!((packets.next(), packets.left()), (512, 2048 - 512));
    let first = packets.read(&header(4 + 8 + 1024, 512, 0, false, 1024)).unwrap();
    assert_eq!(first, Packet { sums: 8, data: 1024, last: false });
    packets.pass(first);
    // The block may end before the chunk does.
    for data in [2000 - 1536, 512] {
        let second = packets.read(&header(4 + 4 + data, 1536, 1, false, data)).unwrap();
        let mut packets = packets.clone();
        packets.pass(second);
        let end = i64::from(1536 + data);
        let last = packets.read(&header(4, end, 2, true, 0)).unwrap();
        assert_eq!(last, Packet { sums: 0, data: 0, last: true });
    }
}

#[test]
fn each_fault_has_its_error() {
    let packets = packets(700, 2000);
    let read = |header: &[u8]| packets.read(header).unwrap_err();
    assert_eq!(read(&header(3, 512, 0, false, 0)), PacketFault::Length(3));
    assert_eq!(read(&header(i32::MAX, 512, 0, false, 0)), PacketFault::Length(i32::MAX));
    assert_eq!(read(&header(4 + 516, 512, 1, false, 512)), PacketFault::Sequence(1, 0));
    assert_eq!(read(&header(4 + 516, 0, 0, false, 512)), PacketFault::Offset(0, 512));
    assert_eq!(read(&header(4 + 516, -512, 0, false, 512)), PacketFault::Offset(-512, 512));
    assert_eq!(read(&header(4, 512, 0, false, 0)), PacketFault::Last(0, false));
    assert_eq!(read(&header(4 + 516, 512, 0, true, 512)), PacketFault::Last(512, true));
    assert_eq!(read(&header(4, 512, 0, false, -1)), PacketFault::Last(-1, false));
    assert_eq!(
        read(&header(4 + 512, 512, 0, false, 512)),
        PacketFault::Parts { have: 512, data: 512, want: 516 }
    );
    assert_eq!(read(&header(4, 512, 0, true, 0)), PacketFault::Early(512, 2000));
    assert_eq!(read(&header(4 + 16 + 2048, 512, 0, false, 2048)), PacketFault::Beyond(2560, 2048));
    assert_eq!(read(&header(4 + 4 + 100, 512, 0, false, 100)), PacketFault::Cut(612));
    assert_eq!(read(&header(4, 512, 0, true, 0)[..20]), PacketFault::Header);
    assert_eq!(Packets::header_len(&[0, 0, 0, 4, 0xff, 0xff]), Err(PacketFault::HeaderLength(0xffff)));
    assert_eq!(Packets::header_len(&[0, 0, 0, 4, 0]), Ok(None));
}

#[test]
fn an_answer_announces_where_the_first_packet_begins() {
    let wrong = [(512, 512 + 512), (512, 100), (512, 0), (0, 512), (u32::MAX, 0)];
    for (chunk, from) in wrong {
        let layout = Packets::announced(&info(2, chunk, from), 700, 2000);
        assert!(matches!(layout, Err(PacketFault::Layout { wanted: 700, .. })), "{chunk} {from}: {layout:?}");
    }
    for (kind, chunk) in
        [(2, LONGEST_CHUNK + 1), (2, SHORTEST_CHUNK - 1), (1, 1), (0, LONGEST_CHUNK + 1), (3, 512), (-1, 512)]
    {
        let layout = Packets::announced(&info(kind, chunk, 0), 0, 2000).unwrap();
        assert!(matches!(layout, Layout::Unsupported(_)), "{kind} {chunk}");
    }
    // Where nothing is checked, the number means nothing.
    assert!(matches!(Packets::announced(&info(0, 1, 0), 0, 2000), Ok(Layout::Known(_))));
}

#[test]
fn the_checksums_of_no_packet_take_more_than_a_mebibyte() {
    for chunk in [SHORTEST_CHUNK, 512, LONGEST_CHUNK] {
        let Layout::Known(packets) = Packets::announced(&info(2, chunk, 0), 0, 1 << 40).unwrap() else {
            panic!("chunks of {chunk} bytes are not read");
        };
        let most = (0..=16 << 20).rev().find(|data| packets.sums(*data) + data + 4 <= 16 << 20).unwrap();
        assert!(packets.sums(most) <= 1 << 20, "{chunk}: {} bytes of checksums", packets.sums(most));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_packet_within_bounds_or_an_error(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..64),
        start in 0u64..100_000,
        len in 1u64..100_000,
        whole: bool,
        fields in any::<(i32, i64, i64, bool, i32)>(),
        near in any::<[bool; 3]>(),
    ) {
        let packets = packets(start, start + len);
        if whole {
            // Mostly right, so that more than the first look is reached.
            let (length, offset, seqno, last, data) = fields;
            let data = if near[0] { data.rem_euclid(200_000) } else { data };
            let offset = if near[1] { packets.next().cast_signed() } else { offset };
            let seqno = if near[1] { 0 } else { seqno };
            let sums = packets.sums(u64::from(data.unsigned_abs()));
            let right = i32::try_from(sums).unwrap_or(0).wrapping_add(data).wrapping_add(4);
            bytes = header(if near[2] { right } else { length }, offset, seqno, last, data);
        }
        let Ok(Some(end)) = Packets::header_len(&bytes) else { return Ok(()) };
        prop_assert!(end <= LENGTHS + usize::from(LONGEST_HEADER));
        let Some(header) = bytes.get(..end) else { return Ok(()) };
        if let Ok(packet) = packets.read(header) {
            prop_assert!(packet.sums + packet.data <= 16 << 20);
            prop_assert!(packet.data as u64 <= packets.left());
            prop_assert_eq!(packet.sums as u64, packets.sums(packet.data as u64));
            let mut behind = packets.clone();
            behind.pass(packet);
            prop_assert!(packet.last || behind.next() > packets.next());
            prop_assert!(behind.next() >= start + len || behind.next().is_multiple_of(512));
        }
    }
}
