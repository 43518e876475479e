//! Stretches of made-up replicas: any cut, any chunk length, any damage.

use std::io::{Read, Write};

use crc_fast::{crc32_iscsi, crc32_iso_hdlc};
use proptest::prelude::*;

use super::*;

/// Where the meta file begins.
const META_AT: usize = 3;

struct Made {
    block: File,
    meta: File,
    header: MetaHeader,
    bytes: Vec<u8>,
}

impl Made {
    fn new(len: usize, chunk: u32, checksum: ChecksumType) -> Self {
        let bytes: Vec<u8> = (0..len).map(|i| (i * 31 % 251).to_le_bytes()[0]).collect();
        let crc = |c: &[u8]| if checksum == ChecksumType::Crc32 { crc32_iso_hdlc(c) } else { crc32_iscsi(c) };
        let sums = bytes.chunks(chunk as usize).flat_map(|c| crc(c).to_be_bytes());
        let kind = match checksum {
            ChecksumType::Null => 0,
            ChecksumType::Crc32 => 1,
            ChecksumType::Crc32c => 2,
        };
        let mut meta_bytes = vec![0, 1, kind];
        meta_bytes.extend(chunk.to_be_bytes());
        if checksum != ChecksumType::Null {
            meta_bytes.extend(sums);
        }
        let file = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            file
        };
        let header = MetaHeader { checksum, bytes_per_checksum: chunk };
        // The meta file stands behind something else, as it does where both are one file.
        let meta = [&[0xee; META_AT][..], &meta_bytes].concat();
        Self { block: file(&bytes), meta: file(&meta), header, bytes }
    }

    fn files(&self) -> ReplicaFiles<'_> {
        ReplicaFiles {
            block: &self.block,
            meta: &self.meta,
            meta_at: META_AT as u64,
            header: self.header,
            len: self.bytes.len() as u64,
        }
    }

    fn flip(&self, at: usize) {
        self.block.write_all_at(&[self.bytes[at] ^ 1], at as u64).unwrap();
    }
}

/// Delivers `[at, end)` and gives what came.
fn delivered(made: &Made, verifier: &mut Verifier, at: usize, end: usize) -> Result<Vec<u8>, VerifyError> {
    let (mut at, end, mut got) = (at as u64, end as u64, Vec::new());
    while at < end {
        let n = verifier.hold(made.files(), at, end, true)?;
        let mut piece = vec![0; n];
        File::from(verifier.held().try_clone_to_owned().unwrap()).read_exact(&mut piece).unwrap();
        let seen = (made.header.checksum != ChecksumType::Null).then(|| (piece[0], piece[n - 1]));
        assert_eq!(verifier.ends(), seen, "the stretch's ends");
        got.extend(piece);
        at += n as u64;
    }
    Ok(got)
}

/// The same, read into memory.
fn read(made: &Made, at: usize, end: usize) -> Result<Vec<u8>, VerifyError> {
    let mut out = vec![0; end - at];
    read_verified(made.files(), at as u64, &mut out, true).map(|()| out)
}

#[test]
fn long_stretches_come_in_pieces_that_fit_the_pipe() {
    let made = Made::new(5_000_123, 512, ChecksumType::Crc32c);
    let mut verifier = Verifier::new().unwrap();
    let (mut at, end, mut got, mut pieces) = (777u64, 4_999_999u64, Vec::new(), 0);
    while at < end {
        let n = verifier.hold(made.files(), at, end, true).unwrap();
        let mut piece = vec![0; n];
        File::from(verifier.held().try_clone_to_owned().unwrap()).read_exact(&mut piece).unwrap();
        got.extend(piece);
        at += n as u64;
        pieces += 1;
    }
    assert!(got == made.bytes[777..4_999_999]);
    assert!((3..20).contains(&pieces), "{pieces} pieces");
}

#[test]
fn a_flipped_bit_is_found_in_the_stretch_and_not_behind_it() {
    let made = Made::new(100_000, 512, ChecksumType::Crc32c);
    made.flip(70_000);
    let mut verifier = Verifier::new().unwrap();
    assert!(delivered(&made, &mut verifier, 0, 69_000).unwrap() == made.bytes[..69_000]);
    let error = delivered(&made, &mut verifier, 69_000, 80_000).unwrap_err();
    assert!(matches!(error, VerifyError::Mismatch { at: 69_632, last_partial: false }), "{error:?}");
    // Nothing of the bad stretch is left in the pipes.
    assert!(delivered(&made, &mut verifier, 71_000, 100_000).unwrap() == made.bytes[71_000..]);
    made.flip(99_999);
    let error = delivered(&made, &mut verifier, 99_990, 100_000).unwrap_err();
    assert!(matches!(error, VerifyError::Mismatch { at: 99_840, last_partial: true }), "{error:?}");
}

#[test]
fn what_is_held_does_not_change_when_the_file_is_cut() {
    let made = Made::new(100_000, 512, ChecksumType::Crc32c);
    let mut verifier = Verifier::new().unwrap();
    made.block.set_len(50_000).unwrap();
    let error = delivered(&made, &mut verifier, 40_000, 90_000).unwrap_err();
    assert!(matches!(error, VerifyError::Short { file: "block", end: 50_000 }), "{error:?}");
    made.meta.set_len(20).unwrap();
    let error = delivered(&made, &mut verifier, 10_000, 20_000).unwrap_err();
    assert!(matches!(error, VerifyError::Short { file: "meta", .. }), "{error:?}");
}

#[test]
fn without_checksums_or_without_wish_nothing_is_compared() {
    let mut verifier = Verifier::new().unwrap();
    let made = Made::new(10_000, 512, ChecksumType::Null);
    assert!(delivered(&made, &mut verifier, 100, 9_000).unwrap() == made.bytes[100..9_000]);
    let made = Made::new(10_000, 512, ChecksumType::Crc32c);
    made.flip(5_000);
    let n = verifier.hold(made.files(), 0, 10_000, false).unwrap();
    assert_eq!((n, verifier.ends()), (10_000, None));
    let mut out = vec![0; 10_000];
    read_verified(made.files(), 0, &mut out, false).unwrap();
    assert_ne!(out, made.bytes);
}

#[test]
fn a_chunk_longer_than_the_pipe_cannot_be_checked() {
    let verifier = Verifier::new().unwrap();
    assert!(verifier.can_check(4096) && !verifier.can_check(16 << 20));
}

/// A pipe holds so many pieces of pages, however short they are.
#[test]
fn what_the_pipe_has_no_room_for_is_no_fault_of_the_replica() {
    for (chunk, fits) in [(512, true), (4096, true), (5000, false), (3000, false)] {
        let made = Made::new(20_000, chunk, ChecksumType::Crc32c);
        let mut verifier = Verifier::new().unwrap();
        // One piece.
        rustix::pipe::fcntl_setpipe_size(verifier.pipes.inlet(), 4096).unwrap();
        for at in [0, 700] {
            match delivered(&made, &mut verifier, at, 20_000) {
                Ok(got) => assert!(fits && got == made.bytes[at..], "{chunk} {at}"),
                Err(VerifyError::NoRoom { .. }) => assert!(!fits, "{chunk} {at}"),
                Err(error) => panic!("{error}"),
            }
            let pipes = verifier.pipes().unwrap();
            assert_eq!(rustix::io::ioctl_fionread(pipes.held()).unwrap(), 0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..Default::default() })]

    #[test]
    fn any_cut_of_any_replica_arrives(
        len in 1usize..40_000,
        chunk in prop::sample::select(vec![1u32, 7, 512, 1000, 4096, 65_536]),
        crc32 in any::<bool>(),
        cuts in prop::collection::vec((0.0..1.0f64, 0.0..1.0f64), 1..4),
    ) {
        let made = Made::new(len, chunk, if crc32 { ChecksumType::Crc32 } else { ChecksumType::Crc32c });
        let mut verifier = Verifier::new().unwrap();
        for (a, b) in cuts {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a small length")]
            let (a, b) = ((a * len as f64) as usize, (b * len as f64) as usize);
            let got = delivered(&made, &mut verifier, a.min(b), a.max(b)).unwrap();
            prop_assert!(got == made.bytes[a.min(b)..a.max(b)]);
            prop_assert!(read(&made, a.min(b), a.max(b)).unwrap() == got);
        }
    }

    #[test]
    fn any_damage_is_found(len in 1usize..20_000, chunk in 1u32..3000, at in 0.0..1.0f64) {
        let made = Made::new(len, chunk, ChecksumType::Crc32c);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a small length")]
        let at = ((at * len as f64) as usize).min(len - 1);
        made.flip(at);
        let error = delivered(&made, &mut Verifier::new().unwrap(), 0, len).unwrap_err();
        let first = at - at % chunk as usize;
        prop_assert!(matches!(error, VerifyError::Mismatch { at, .. } if at == first as u64), "{:?}", error);
        let error = read(&made, first, at + 1).unwrap_err();
        prop_assert!(matches!(error, VerifyError::Mismatch { at, .. } if at == first as u64), "{:?}", error);
    }
}
