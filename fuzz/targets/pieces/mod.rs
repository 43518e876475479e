//! What several targets do with a decoder: feed it in pieces, with little room.

use forebay_decode::{DecodeError, Decoder};

/// What a bomb may decode to here.
pub const MOST: usize = 1 << 20;

/// What bytes decode to that come in pieces, with so much room at once; `None` if that is more than is waited for.
pub fn decoded(
    mut decoder: Decoder,
    bytes: &[u8],
    piece: usize,
    room: usize,
) -> Option<Result<Vec<u8>, DecodeError>> {
    let (mut all, mut out) = (Vec::new(), Vec::with_capacity(room));
    let room = out.capacity();
    for piece in bytes.chunks(piece) {
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
