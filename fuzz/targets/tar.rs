//! Tar archives: however they are read, the same is found, nothing is read twice too often, and what is delivered of one that is taken is
//! whole: it ends in zeros, and with other zeros behind it it is taken, too.
//!
//! The first byte: from how many bytes on headers are read by themselves.
#![no_main]

use forebay_record::{Archive, TarError, TarScan, TarStep};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&gap, file)) = bytes.split_first() else { return };
    let found = scan(file, 16 * u64::from(gap));
    assert_eq!(found, scan(file, 1 << 20));
    match found {
        Ok(Archive { end, samples }) => {
            let (entries, zeros) = file.split_at(end as usize);
            assert!(end % 512 == 0 && zeros.len() >= 1024 && zeros.iter().all(|&byte| byte == 0));
            let twice = [entries, entries, &[0; 2048]].concat();
            let twice = scan(&twice, 0).expect("what is fed one behind the other is one");
            assert_eq!((twice.end, twice.samples), (2 * end, samples));
        }
        Err(error) => assert!(error.offset <= file.len() as u64),
    }
});

fn scan(file: &[u8], gap: u64) -> Result<Archive, TarError> {
    let mut scan = TarScan::new(file.len() as u64, gap);
    let (mut read, mut step) = (0, scan.step()?);
    loop {
        match step {
            TarStep::Found(archive) => return Ok(archive),
            TarStep::Read(range) => {
                assert!(range.start < range.end && range.end <= file.len() as u64, "{range:?}");
                read += range.end - range.start;
                assert!(read <= 4 * file.len() as u64 + 16_384, "{read} bytes read of {}", file.len());
                step = scan.feed(&file[range.start as usize..range.end as usize])?;
            }
        }
    }
}
