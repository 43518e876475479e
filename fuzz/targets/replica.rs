//! A replica's two files as a broken disk may have them: what is delivered is the block's own bytes, and has the checksums
//! that the meta file says. The first bytes: the block's length, and which part of it is wanted; then the meta file, and the
//! block's content, of which the right checksums can be asked for.
#![no_main]

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;

use forebay_shortcircuit::{ChecksumType, HEADER_LEN, MetaHeader, ReplicaFiles, Verifier, read_verified};
use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, memfd_create};

thread_local! {
    static TOOLS: RefCell<(File, File, Verifier)> = RefCell::new({
        let file = |name| File::from(memfd_create(name, MemfdFlags::CLOEXEC).expect("a file"));
        (file("block"), file("meta"), Verifier::new().expect("pipes"))
    });
}

/// A CRC bit by bit, with the reversed polynomial.
fn crc(kind: ChecksumType, bytes: &[u8]) -> u32 {
    let polynomial = if kind == ChecksumType::Crc32 { 0xedb8_8320 } else { 0x82f6_3b78 };
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { polynomial } else { 0 })
    })
}

fn right(header: MetaHeader, block: &[u8], meta: &[u8], (from, to): (usize, usize)) -> bool {
    let chunk = header.bytes_per_checksum as usize;
    header.checksum == ChecksumType::Null
        || (from / chunk..to.div_ceil(chunk)).all(|i| {
            let bytes = &block[i * chunk..block.len().min((i + 1) * chunk)];
            meta[HEADER_LEN as usize + 4 * i..].starts_with(&crc(header.checksum, bytes).to_be_bytes())
        })
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&[len, at, want, mend], rest)) = bytes.split_first_chunk() else { return };
    let (content, meta) = rest.split_at(rest.len() / 2);
    let (mut meta, block) = (meta.to_vec(), content.repeat(usize::from(mend >> 4) + 1));
    let len = block.len().min(usize::from(len) * 16);
    if let (Ok(header), 1) = (MetaHeader::parse(&meta), mend & 1) {
        if header.checksum != ChecksumType::Null {
            meta.truncate(HEADER_LEN as usize);
            let chunks = block[..len].chunks(header.bytes_per_checksum as usize);
            meta.extend(chunks.flat_map(|chunk| crc(header.checksum, chunk).to_be_bytes()));
        }
    }
    TOOLS.with_borrow_mut(|(block_file, meta_file, verifier)| {
        for (file, content) in [(&*block_file, &block[..]), (&*meta_file, &meta[..])] {
            file.set_len(0).expect("a file in memory can be cut");
            file.write_all_at(content, 0).expect("a file in memory can be written");
        }
        let Ok(header) = MetaHeader::read(meta_file, len as u64) else { return };
        let files = ReplicaFiles { block: block_file, meta: meta_file, meta_at: 0, header, len: len as u64 };
        let (at, end) = (len * usize::from(at) / 256, len * usize::from(at.max(want)) / 256);
        let mut out = vec![0; end - at];
        let read = read_verified(files, at as u64, &mut out, true);
        if read.is_ok() {
            assert_eq!(out, block[at..end]);
        }
        if end > at {
            assert_eq!(read.is_ok(), right(header, &block[..len], &meta, (at, end)), "{read:?}");
        }
        if !verifier.can_check(header.bytes_per_checksum as usize) {
            return;
        }
        verifier.forget();
        let mut from = at;
        while from < end {
            let Ok(n) = verifier.hold(files, from as u64, end as u64, true) else {
                assert!(!right(header, &block[..len], &meta, (from, end)), "good bytes were refused");
                return;
            };
            assert!(n > 0 && n <= end - from, "{n} of {} bytes are held", end - from);
            let mut held = vec![0; n];
            let mut got = 0;
            while got < n {
                got += rustix::io::read(verifier.held(), &mut held[got..]).expect("the held pipe has them");
            }
            assert_eq!(held, block[from..from + n]);
            assert!(right(header, &block[..len], &meta, (from, from + n)), "bad bytes were held");
            from += n;
        }
    });
});
