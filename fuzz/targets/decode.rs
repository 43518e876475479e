//! Compressed files. However the bytes are cut into pieces and whatever room there is, the same comes out, never more at once
//! than there is room for. The first bytes: which codec, how long the pieces are, how much room there is.
#![no_main]

mod pieces;

use forebay_decode::{Codec, Decoder};
use libfuzzer_sys::fuzz_target;
use pieces::{MOST, decoded};

fuzz_target!(|bytes: &[u8]| {
    let Some((&[codec, piece, room], file)) = bytes.split_first_chunk() else { return };
    let codec = Codec::ALL[usize::from(codec) % Codec::ALL.len()];
    let whole = decoded(Decoder::new(codec), file, file.len().max(1), MOST);
    let pieces = decoded(Decoder::new(codec), file, usize::from(piece) + 1, 16 * usize::from(room) + 1);
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
