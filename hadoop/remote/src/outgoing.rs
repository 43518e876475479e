//! The packets of a block that is written: header, checksums, data. Pure: bytes in, bytes out.
//!
//! They are laid out as those that are read (`packet`). Behind the data comes a last packet without any, which has the DataNodes
//! write the block to their disks.

use forebay_shortcircuit::MetaHeader;
use prost::Message;

use crate::packet::{CHECKSUM_LEN, LENGTHS};
use crate::wire::PacketHeaderProto;

/// A header at its longest.
const HEADER: usize = LENGTHS + 27;
/// The most data in a packet: far less than what a DataNode takes.
const LONGEST: u64 = 1 << 20;

/// How a block is written.
#[derive(Debug, Clone, Copy)]
pub struct BlockForm {
    /// Its checksums.
    pub sums: MetaHeader,
    /// How long its packets are, in bytes (`dfs.client-write-packet-size`, 64 KiB).
    pub packet: u32,
}

impl BlockForm {
    fn chunk(&self) -> usize {
        usize::try_from(self.sums.bytes_per_checksum).unwrap_or(usize::MAX).max(1)
    }

    /// Bytes of data in a packet: whole chunks, one at least.
    fn data(&self) -> usize {
        let room = u64::from(self.packet).saturating_sub(HEADER as u64);
        let chunks = room.min(LONGEST) / (self.chunk() as u64 + CHECKSUM_LEN);
        usize::try_from(chunks).unwrap_or(1).max(1).saturating_mul(self.chunk())
    }
}

/// The packets of a block, one after the other.
#[derive(Debug)]
pub(crate) struct Outgoing<'d> {
    form: BlockForm,
    data: &'d [u8],
    at: usize,
    seqno: i64,
    is_over: bool,
}

impl<'d> Outgoing<'d> {
    pub(crate) fn new(form: BlockForm, data: &'d [u8]) -> Self {
        Self { form, data, at: 0, seqno: 0, is_over: false }
    }

    /// How many there are; they are numbered from 0.
    pub(crate) fn total(&self) -> i64 {
        let with_data = self.data.len().div_ceil(self.form.data());
        i64::try_from(with_data).unwrap_or(i64::MAX).saturating_add(1)
    }
}

impl Iterator for Outgoing<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.is_over {
            return None;
        }
        let rest = &self.data[self.at..];
        let data = &rest[..rest.len().min(self.form.data())];
        self.is_over = data.is_empty();
        let sums = self.form.sums.checksum.sums(data, self.form.chunk());
        // A packet, and a block, are shorter than what these say.
        let header = PacketHeaderProto {
            offset_in_block: i64::try_from(self.at).unwrap_or(i64::MAX),
            seqno: self.seqno,
            last: self.is_over,
            data_len: i32::try_from(data.len()).unwrap_or(i32::MAX),
            sync_block: self.is_over.then_some(true),
        }
        .encode_to_vec();
        let len = u32::try_from(4 + sums.len() + data.len()).unwrap_or(u32::MAX);
        let header_len = u16::try_from(header.len()).unwrap_or(u16::MAX);
        let packet = [&len.to_be_bytes()[..], &header_len.to_be_bytes(), &header, &sums, data].concat();
        self.at += data.len();
        self.seqno += 1;
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use forebay_hadoop::transfer::{ChecksumProto, ReadOpChecksumInfoProto};
    use forebay_shortcircuit::ChecksumType;
    use proptest::prelude::*;

    use super::*;
    use crate::packet::{Layout, Packets};

    /// Reads packets as they are read from a DataNode.
    fn read(packets: Outgoing<'_>, len: u64, checksum: ChecksumType, chunk: u32) -> Vec<u8> {
        let kind = if checksum == ChecksumType::Crc32 { 1 } else { 2 };
        let checksum_info = ChecksumProto { kind, bytes_per_checksum: chunk };
        let info = ReadOpChecksumInfoProto { checksum: checksum_info, chunk_offset: 0 };
        let Layout::Known(mut reader) = Packets::announced(&info, 0, len).unwrap() else {
            panic!("chunks of {chunk} bytes are not read");
        };
        let (mut all, mut is_over) = (Vec::new(), false);
        for bytes in packets {
            assert!(!is_over, "nothing comes behind the last packet");
            let header = Packets::header_len(&bytes).unwrap().unwrap();
            let packet = reader.read(&bytes[..header]).unwrap();
            let (sums, data) = bytes[header..].split_at(packet.sums);
            assert_eq!(data.len(), packet.data);
            assert_eq!(checksum.first_mismatch(data, sums, chunk as usize), None);
            reader.pass(packet);
            all.extend_from_slice(data);
            is_over = packet.last;
        }
        assert!(is_over);
        all
    }

    proptest! {
        #[test]
        fn what_is_sent_is_read_as_it_was(
            data in prop::collection::vec(any::<u8>(), 0..5000),
            chunk in prop_oneof![Just(512u32), 64u32..2000], packet in 0u32..3000, is_crc32: bool,
        ) {
            let checksum = if is_crc32 { ChecksumType::Crc32 } else { ChecksumType::Crc32c };
            let form = BlockForm { sums: MetaHeader { checksum, bytes_per_checksum: chunk }, packet };
            let packets = Outgoing::new(form, &data);
            let (count, longest) = (packets.total(), form.data());
            prop_assert_eq!(Outgoing::new(form, &data).map(|_| 1).sum::<i64>(), count);
            prop_assert!(longest == chunk as usize || longest + longest / chunk as usize * 4 + HEADER <= packet as usize);
            prop_assert_eq!(read(packets, data.len() as u64, checksum, chunk), data);
        }
    }

    #[test]
    fn a_packet_has_the_bytes_that_datanodes_were_seen_to_accept() {
        let sums = MetaHeader { checksum: ChecksumType::Crc32c, bytes_per_checksum: 512 };
        let mut packets = Outgoing::new(BlockForm { sums, packet: 65536 }, b"123456789");
        let mut wanted = vec![0, 0, 0, 4 + 4 + 9, 0, 25];
        // Offset 0, number 0, not the last, 9 bytes; checksum; data.
        wanted
            .extend([0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0x18, 0, 0x25, 9, 0, 0, 0]);
        wanted.extend([0xe3, 0x06, 0x92, 0x83]);
        wanted.extend(b"123456789");
        assert_eq!(packets.next().unwrap(), wanted);
        let mut wanted = vec![0, 0, 0, 4, 0, 27];
        // Offset 9, number 1, the last, no bytes, to be synced.
        wanted
            .extend([0x09, 9, 0, 0, 0, 0, 0, 0, 0, 0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0x18, 1, 0x25, 0, 0, 0, 0]);
        wanted.extend([0x28, 1]);
        assert_eq!(packets.next().unwrap(), wanted);
        assert_eq!(packets.next(), None);
    }
}
