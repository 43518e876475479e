//! The machine's limit for a local file: `splice` from file to pipe in a loop, nothing else.
//! `bare-splice FILE WORKER ARG...`

use std::fs::File;
use std::io;

use forebay_benches::{PIPE_SIZE, start_worker};
use rustix::pipe::{SpliceFlags, splice};

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (file, worker) = args.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let file = File::open(file)?;
    let (mut worker, pipe) = start_worker(worker)?;
    let mut at = 0;
    while splice(&file, Some(&mut at), &pipe, None, PIPE_SIZE, SpliceFlags::MOVE | SpliceFlags::MORE)? > 0 {}
    drop(pipe);
    worker.wait()?;
    Ok(())
}
