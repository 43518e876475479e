//! The worker of all contestants: reads its standard input to the end in pieces of 1 MiB, and writes what it
//! took, in which time, at which cost, to the file named by its argument.

use std::fs;
use std::io::{self, Read};
use std::time::Instant;

use forebay_benches::{Taken, cpu};
use nix::sys::resource::UsageWho;

fn main() -> io::Result<()> {
    let out = std::env::args_os().nth(1).ok_or(io::ErrorKind::InvalidInput)?;
    let (mut buffer, mut bytes, mut begin) = (vec![0; 1 << 20], 0u64, None);
    let mut stdin = io::stdin().lock();
    loop {
        let n = stdin.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        begin.get_or_insert_with(Instant::now);
        bytes += n as u64;
    }
    let seconds = begin.map_or(0.0, |begin: Instant| begin.elapsed().as_secs_f64());
    let taken = Taken { bytes, seconds, cpu: cpu(UsageWho::RUSAGE_SELF)? };
    fs::write(out, serde_json::to_vec(&taken)?)
}
