//! Compressed files. However the bytes are cut into pieces and whatever room there is, the same comes out, never more at once
//! than there is room for. The first bytes: which codec, how long the pieces are, how much room there is.
#![no_main]

use forebay_decode::{Codec, DecodeError, Decoder};
use libfuzzer_sys::fuzz_target;

/// What a bomb may decode to here.
const MOST: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Some((&[codec, piece, room], file)) = bytes.split_first_chunk() else { return };
    let codec = Codec::ALL[usize::from(codec) % Codec::ALL.len()];
    let whole = decode(codec, file, file.len().max(1), MOST);
    let pieces = decode(codec, file, usize::from(piece) + 1, 16 * usize::from(room) + 1);
    // How much had come out of what could be decoded when the rest could not depends on the room.
    match (whole, pieces) {
        (Some(Ok(whole)), Some(Ok(pieces))) => assert_eq!(whole, pieces),
        (Some(Err(whole)), Some(Err(pieces))) => {
            assert!(whole.offset.max(pieces.offset) <= file.len() as u64)
        }
        (None, _) | (_, None) => {}
        (whole, pieces) => panic!("{whole:?} at once, and in pieces {pieces:?}"),
    }
});

/// What a file decodes to; `None` if that is more than is waited for.
fn decode(codec: Codec, file: &[u8], piece: usize, room: usize) -> Option<Result<Vec<u8>, DecodeError>> {
    let (mut decoder, mut all) = (Decoder::new(codec), Vec::new());
    let mut out = Vec::with_capacity(room);
    let room = out.capacity();
    for piece in file.chunks(piece) {
        let mut at = 0;
        loop {
            match decoder.decode(&piece[at..], &mut out) {
                Ok(n) => at += n,
                Err(error) => return Some(Err(error)),
            }
            let is_full = out.len() == room;
            assert_eq!(out.capacity(), room);
            all.append(&mut out);
            if all.len() > MOST {
                return None;
            }
            if !is_full {
                assert_eq!(at, piece.len());
                break;
            }
        }
    }
    loop {
        let done = match decoder.finish(&mut out) {
            Ok(done) => done,
            Err(error) => return Some(Err(error)),
        };
        assert!(done || out.len() == room);
        all.append(&mut out);
        match done {
            true => return Some(Ok(all)),
            false if all.len() > MOST => return None,
            false => {}
        }
    }
}
