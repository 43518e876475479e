//! The machine's limit for blocks over the network: files sent by `sendfile` over loopback TCP, `splice`d from the socket into
//! the pipe in a loop, nothing else. The sender is a thread of this process, so its CPU time counts, too.
//! `bare-socket FILE... -- WORKER ARG...`

use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::thread;

use forebay_benches::{PIPE_SIZE, start_worker};
use rustix::pipe::{SpliceFlags, splice};

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let end = args.iter().position(|arg| arg == "--").ok_or(io::ErrorKind::InvalidInput)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let files = args[..end].to_vec();
    let sender = thread::spawn(move || -> io::Result<()> {
        let (socket, _) = listener.accept()?;
        for file in &files {
            let (file, mut at) = (File::open(file)?, 0);
            while rustix::fs::sendfile(&socket, &file, Some(&mut at), PIPE_SIZE)? > 0 {}
        }
        Ok(())
    });
    let (mut worker, pipe) = start_worker(&args[end + 1..])?;
    let socket = TcpStream::connect(address)?;
    while splice(&socket, None, &pipe, None, PIPE_SIZE, SpliceFlags::MOVE | SpliceFlags::MORE)? > 0 {}
    drop(pipe);
    worker.wait()?;
    sender.join().map_err(|_| io::Error::other("the sender died"))?
}
