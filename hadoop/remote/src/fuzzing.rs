//! What a DataNode may send, for `fuzz/`.

use std::io;
use std::ops::Range;
use std::time::Duration;

use forebay_hadoop::Token;
use forebay_hadoop::namenode::Block;
use forebay_shortcircuit::{Connection, Deadline, Pipes};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, Shutdown, SocketFlags, SocketType};

use crate::{Bare, DataNodes, Fault, ReadError, Settings, Step, Stream};

/// By which way a stream is read.
#[derive(Debug)]
pub enum Way<'p> {
    /// Into memory.
    Memory,
    /// Into a pipe.
    Pipes(&'p mut Pipes),
    /// Out of the socket, where it has no checksums.
    Bare,
}

/// Asks for a part of a block and gets these bytes: how many bytes of the block they came to, and whether that was all.
/// All is there before it is read, so nothing is ever waited for.
pub fn read(bytes: &[u8], range: Range<u64>, mut way: Way<'_>) -> io::Result<(u64, bool)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (datanode, ours) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::io::write(&datanode, bytes)?;
    rustix::net::shutdown(&datanode, Shutdown::Write)?;
    let datanodes = DataNodes::new(Settings::default());
    let block = Block { pool: "BP-1".to_owned(), id: 1, generation: 1, len: range.end };
    let (named, deadline) = ((&block, &Token::default()), Deadline::after(Duration::from_secs(20)));
    let Ok(mut stream) = datanodes.ask_on(Connection::of(ours), true, "dn:1", named, &range, deadline) else {
        return Ok((0, false));
    };
    let mut all = 0;
    loop {
        let step = match &mut way {
            Way::Memory => stream.read(),
            Way::Pipes(pipes) => stream.hold(pipes),
            Way::Bare => bare(&mut stream),
        };
        match (step, &mut way) {
            (Ok(Step::Ready(len)), way) => {
                all += len as u64;
                if let Way::Pipes(pipes) = way {
                    pipes.discard(len)?;
                }
            }
            (Ok(Step::End), _) => return Ok((all, true)),
            (Ok(Step::NoRoom), Way::Pipes(pipes)) => {
                stream.go_on_in_memory(pipes).map_err(io::Error::other)?;
                way = Way::Memory;
            }
            // All is there, and then the end: there is nothing to wait for.
            (Ok(Step::Wait | Step::NoRoom), _) => {
                return Err(io::Error::other("it waits for what cannot come"));
            }
            (Err(error), way) => {
                if let Way::Pipes(pipes) = way {
                    pipes.empty();
                }
                return match error.fault {
                    Fault::Pipe(error) => Err(error),
                    _ => Ok((all, false)),
                };
            }
        }
    }
}

fn bare(stream: &mut Stream) -> Result<Step, ReadError> {
    match stream.bare(true)? {
        Bare::Bytes(len) => Ok(Step::Ready(len)),
        Bare::InSocket(most) => {
            let Some(socket) = stream.socket() else { return Ok(Step::End) };
            let mut bytes = vec![0; most];
            match rustix::net::recv(socket, &mut bytes, RecvFlags::DONTWAIT) {
                Ok((_, 0)) => Err(stream.broken(io::ErrorKind::UnexpectedEof.into())),
                Ok((_, len)) => {
                    stream.took(len);
                    Ok(Step::Ready(len))
                }
                Err(Errno::AGAIN) => Ok(Step::Wait),
                Err(error) => Err(stream.broken(error.into())),
            }
        }
        Bare::Wait => Ok(Step::Wait),
        Bare::End => Ok(Step::End),
    }
}
