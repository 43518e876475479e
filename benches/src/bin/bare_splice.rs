//! The machine's limit for files of this host: `splice` from file to pipe in a loop, nothing else.
//! `bare-splice FILE... -- WORKER ARG...`

use std::fs::File;
use std::io;

use forebay_benches::{PIPE_SIZE, start_worker};
use rustix::pipe::{SpliceFlags, splice};

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let end = args.iter().position(|arg| arg == "--").ok_or(io::ErrorKind::InvalidInput)?;
    let (mut worker, pipe) = start_worker(&args[end + 1..])?;
    for file in &args[..end] {
        let (file, mut at) = (File::open(file)?, 0);
        while splice(&file, Some(&mut at), &pipe, None, PIPE_SIZE, SpliceFlags::MOVE | SpliceFlags::MORE)? > 0
        {
        }
    }
    drop(pipe);
    worker.wait()?;
    Ok(())
}
