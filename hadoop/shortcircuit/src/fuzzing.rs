//! What a DataNode may send over its domain socket, for `fuzz/`.

use std::fs::File;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType,
};

use crate::error::Fault;
use crate::request;
use crate::socket::{Connection, Deadline};
use crate::wire::{
    BlockOpResponseProto, ReleaseShortCircuitAccessResponseProto, ShortCircuitShmResponseProto,
};
use crate::{Block, OpenError, Token};

/// All is there before it is read, so nothing is ever waited for.
const PATIENCE: Duration = Duration::from_secs(20);

fn pair() -> io::Result<(OwnedFd, Connection)> {
    let flags = SocketFlags::CLOEXEC;
    let (datanode, ours) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    Ok((datanode, Connection::of(ours)))
}

/// Asks for descriptors of a block of this length, and gets this reply, then this byte with these files.
pub fn descriptors(reply: &[u8], byte: u8, files: &[&File], len: u64) -> io::Result<Result<(), OpenError>> {
    let (datanode, connection) = pair()?;
    rustix::io::write(&datanode, reply)?;
    let descriptors: Vec<BorrowedFd<'_>> = files.iter().map(|file| file.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    rustix::net::sendmsg(&datanode, &[IoSlice::new(&[byte])], &mut control, SendFlags::NOSIGNAL)?;
    rustix::net::shutdown(&datanode, Shutdown::Write)?;
    let block = Block { pool: "BP-1".to_owned(), id: 1, generation: 1, len };
    let (token, deadline) = (Token::default(), Deadline::after(PATIENCE));
    Ok(request::descriptors(&connection, Path::new("/s"), (&block, &token), None, deadline).map(drop))
}

/// Reads all kinds of replies out of these bytes, one after the other.
pub fn replies(bytes: &[u8]) -> io::Result<()> {
    let (datanode, connection) = pair()?;
    rustix::io::write(&datanode, bytes)?;
    rustix::net::shutdown(&datanode, Shutdown::Write)?;
    let read = || -> Result<(), Fault> {
        connection.receive::<BlockOpResponseProto>(Deadline::after(PATIENCE))?;
        connection.receive::<ShortCircuitShmResponseProto>(Deadline::after(PATIENCE))?;
        connection.receive::<ReleaseShortCircuitAccessResponseProto>(Deadline::after(PATIENCE))?;
        Ok(())
    };
    // Only a missed deadline would be wrong here, and it would be seen as a run that takes too long.
    let _ = read();
    Ok(())
}
