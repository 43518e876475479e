//! Files as the codecs' own encoders write them, and a way to decode them in pieces.
#![allow(dead_code, reason = "each test binary uses its part of this")]

use std::io::Write;

use flate2::write::{GzEncoder, ZlibEncoder};
use flate2::{Compression, GzBuilder};
use forebay_decode::{Codec, DecodeError, Decoder};
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use proptest::prelude::*;
use zstd_safe::{CCtx, CParameter};

/// An encoded file.
#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    pub(crate) codec: Codec,
    pub(crate) how: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// Whether it tells where it ends.
    pub(crate) has_end: bool,
    /// Whether it has checksums of what was encoded.
    pub(crate) has_sums: bool,
}

/// Decodes `file`, which comes in pieces, with so much room at a time.
pub(crate) fn decode(codec: Codec, file: &[u8], piece: usize, room: usize) -> Result<Vec<u8>, DecodeError> {
    decode_with(Decoder::new(codec), file, piece, room)
}

/// The same with a decoder of the caller's.
pub(crate) fn decode_with(
    mut decoder: Decoder,
    file: &[u8],
    piece: usize,
    room: usize,
) -> Result<Vec<u8>, DecodeError> {
    let mut all = Vec::new();
    let mut out = Vec::with_capacity(room);
    let capacity = out.capacity();
    for piece in file.chunks(piece) {
        let mut at = 0;
        loop {
            let result = decoder.decode(&piece[at..], &mut out);
            let is_full = out.len() == capacity;
            assert_eq!(out.capacity(), capacity, "it keeps to the room that it has");
            all.append(&mut out);
            at += result?;
            if !is_full {
                assert_eq!(at, piece.len(), "it takes all that there is");
                break;
            }
        }
    }
    loop {
        let done = decoder.finish(&mut out)?;
        assert_eq!(out.capacity(), capacity, "it keeps to the room that it has");
        assert!(done || out.len() == capacity);
        all.append(&mut out);
        if done {
            return Ok(all);
        }
    }
}

fn gzip(data: &[u8], builder: GzBuilder) -> Vec<u8> {
    let mut encoder = builder.write(Vec::new(), Compression::new(6));
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// With a header that has all parts a header may have. Its own checksum is put in by hand.
fn gzip_with_everything(data: &[u8]) -> Vec<u8> {
    let plain = gzip(data, GzBuilder::new());
    let mut file = plain[..10].to_vec();
    file[3] = 0b1_1111;
    file.extend_from_slice(b"\x04\0AB\0\0name\0a comment\0");
    let mut crc = flate2::Crc::new();
    crc.update(&file);
    file.extend_from_slice(&crc.sum().to_le_bytes()[..2]);
    file.extend_from_slice(&plain[10..]);
    file
}

fn zstd(data: &[u8], level: i32, checksum: bool) -> Vec<u8> {
    let mut context = CCtx::create();
    context.set_parameter(CParameter::CompressionLevel(level)).unwrap();
    context.set_parameter(CParameter::ChecksumFlag(checksum)).unwrap();
    let mut out = Vec::with_capacity(zstd_safe::compress_bound(data.len()));
    context.compress2(&mut out, data).unwrap();
    out
}

fn lz4(data: &[u8], info: FrameInfo) -> Vec<u8> {
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// Hadoop's block form: blocks of so many bytes, each in chunks of so many.
pub(crate) fn hadoop(data: &[u8], block: usize, chunk: usize, encode: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut file = Vec::new();
    let number = |n: usize| u32::try_from(n).unwrap().to_be_bytes();
    for block in data.chunks(block) {
        file.extend(number(block.len()));
        for chunk in block.chunks(chunk) {
            let encoded = encode(chunk);
            file.extend(number(encoded.len()));
            file.extend(encoded);
        }
    }
    if data.is_empty() { number(0).to_vec() } else { file }
}

pub(crate) fn raw_snappy(data: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(data).unwrap()
}

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(data: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(1));
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// What Hadoop's codec of this kind makes of data.
pub(crate) fn as_hadoop(codec: Codec, data: &[u8]) -> Vec<u8> {
    match codec {
        Codec::Gzip => gzip(data, GzBuilder::new()),
        Codec::Deflate => deflate(data),
        Codec::Zstd => zstd(data, 3, true),
        Codec::Bzip2 => bzip2(data),
        Codec::Snappy => hadoop(data, 5000, 5000, raw_snappy),
        Codec::Lz4 => hadoop(data, 5000, 700, lz4_flex::block::compress),
    }
}

/// The same data as every encoder writes it.
pub(crate) fn encodings(data: &[u8]) -> Vec<Encoded> {
    let mut all = Vec::new();
    let mut add = |codec, how, bytes, has_end, has_sums| {
        all.push(Encoded { codec, how, bytes, has_end, has_sums });
    };
    add(Codec::Gzip, "plain", gzip(data, GzBuilder::new()), true, true);
    add(Codec::Gzip, "all in its header", gzip_with_everything(data), true, true);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(data).unwrap();
    add(Codec::Gzip, "stored", encoder.finish().unwrap(), true, true);
    add(Codec::Deflate, "plain", deflate(data), true, true);
    add(Codec::Bzip2, "level 1", bzip2(data), true, true);
    add(Codec::Zstd, "with checksum", zstd(data, 3, true), true, true);
    add(Codec::Zstd, "level 19, no checksum", zstd(data, 19, false), true, false);
    let skipped = [&b"\x5a\x2a\x4d\x18\x03\0\0\0abc"[..], &zstd(data, 1, true)].concat();
    add(Codec::Zstd, "behind a skippable frame", skipped, true, true);
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    encoder.write_all(data).unwrap();
    let framed = match encoder.into_inner().unwrap() {
        // The encoder writes nothing for nothing.
        empty if empty.is_empty() => b"\xff\x06\0\0sNaPpY".to_vec(),
        framed => framed,
    };
    add(Codec::Snappy, "framed", framed, false, true);
    add(Codec::Snappy, "Hadoop's", hadoop(data, 5000, 5000, raw_snappy), false, false);
    add(Codec::Snappy, "Hadoop's, in chunks", hadoop(data, 1 << 20, 700, raw_snappy), false, false);
    let raw_lz4 = lz4_flex::block::compress;
    add(Codec::Lz4, "Hadoop's", hadoop(data, 5000, 5000, raw_lz4), false, false);
    add(Codec::Lz4, "Hadoop's, a long chunk", hadoop(data, 1 << 20, 1 << 20, raw_lz4), false, false);
    for (how, mode) in [("blocks apart", BlockMode::Independent), ("blocks linked", BlockMode::Linked)] {
        let info = FrameInfo::new().block_mode(mode).block_size(BlockSize::Max64KB);
        add(Codec::Lz4, how, lz4(data, info.clone().content_checksum(true)), true, true);
        let sums = info.clone().block_checksums(true).content_size(Some(data.len() as u64));
        let skipped =
            [&b"\x50\x2a\x4d\x18\x03\0\0\0abc"[..], &lz4(data, info.clone().content_checksum(true))];
        add(Codec::Lz4, "behind a skippable frame", skipped.concat(), true, true);
        add(Codec::Lz4, "with block checksums and its length", lz4(data, sums), true, false);
    }
    all
}

/// Data that compresses, and data that does not.
pub(crate) fn data(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let words = prop::collection::vec("[a-e]{1,4}[ \n]", 0..most / 3).prop_map(|words| words.concat().into());
    prop_oneof![words, prop::collection::vec(any::<u8>(), 0..most / 4)]
}

/// More than a block or a window of any of them, with repetitions near and far.
pub(crate) fn long_data() -> Vec<u8> {
    let mut state = 1u64;
    let mut data = Vec::new();
    while data.len() < 600_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let n = usize::try_from(state >> 33).unwrap();
        if n % 3 > 0 && data.len() > 100 {
            let from = n % (data.len() - 50);
            data.extend_from_within(from..from + n % 50);
        } else {
            data.extend_from_slice(format!("{n} is a line\n").as_bytes());
        }
    }
    data
}
