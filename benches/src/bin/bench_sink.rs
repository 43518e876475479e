//! The worker of all contestants: reads its standard input to the end in pieces of 1 MiB, and writes what it
//! took, when, at which cost, to the file named by its argument.

use std::fs;
use std::io::{self, Read};

use forebay_benches::{Taken, cpu, now};
use nix::sys::resource::UsageWho;

fn main() -> io::Result<()> {
    let out = std::env::args_os().nth(1).ok_or(io::ErrorKind::InvalidInput)?;
    let (mut buffer, mut bytes, mut first, mut last) = (vec![0; 1 << 20], 0u64, None, 0.0);
    let mut stdin = io::stdin().lock();
    loop {
        let n = stdin.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        last = now();
        first.get_or_insert(last);
        bytes += n as u64;
    }
    let taken = Taken { bytes, first: first.unwrap_or(last), last, cpu: cpu(UsageWho::RUSAGE_SELF)? };
    fs::write(out, serde_json::to_vec(&taken)?)
}
