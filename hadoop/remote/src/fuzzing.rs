//! What a DataNode may send, for `fuzz/`.

use std::io;
use std::ops::Range;
use std::time::Duration;

use forebay_hadoop::Token;
use forebay_hadoop::namenode::Block;
use forebay_shortcircuit::{Connection, Deadline, Pipes};
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType};

use crate::{DataNodes, Settings, Step};

/// Asks for a part of a block and gets these bytes: how many bytes of the block they came to, and whether that was all.
/// All is there before it is read, so nothing is ever waited for.
pub fn read(bytes: &[u8], range: Range<u64>, pipes: Option<&mut Pipes>) -> io::Result<(u64, bool)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (datanode, ours) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::io::write(&datanode, bytes)?;
    rustix::net::shutdown(&datanode, Shutdown::Write)?;
    let datanodes = DataNodes::new(Settings::default());
    let block = Block { pool: "BP-1".to_owned(), id: 1, generation: 1, len: range.end };
    let (named, deadline) = ((&block, &Token::default()), Deadline::after(Duration::from_secs(20)));
    let Ok(mut stream) = datanodes.ask_on(Connection::of(ours), "dn:1", named, &range, deadline) else {
        return Ok((0, false));
    };
    let mut pipes = pipes;
    let mut all = 0;
    loop {
        let step = match &mut pipes {
            Some(pipes) => stream.hold(pipes),
            None => stream.read(),
        };
        match step {
            Ok(Step::Ready(len)) => {
                all += len as u64;
                if let Some(pipes) = &mut pipes {
                    pipes.discard(len)?;
                }
            }
            Ok(Step::End) => return Ok((all, true)),
            // All is there, and then the end: there is nothing to wait for.
            Ok(Step::Wait) => return Err(io::Error::other("it waits for what cannot come")),
            Err(_) => {
                if let Some(pipes) = pipes {
                    pipes.empty();
                }
                return Ok((all, false));
            }
        }
    }
}
