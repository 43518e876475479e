//! A part of a block on its way from a DataNode: out of the socket, compared with its checksums, handed over.
//!
//! Between the packets' headers lies the data. It goes from the socket into memory, or into the held pipe of [`Pipes`], which
//! moves the kernel's pages and copies nothing; there it is looked at, and checked. As many whole chunks as have come are
//! handed over at once, however the sender cuts them into packets. Where there are no checksums, the caller may take the data out
//! of the socket itself.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use forebay_hadoop::transfer::Status;
use forebay_shortcircuit::{
    ChecksumType, Connection, Connections, Deadline, Fault as SocketFault, MetaHeader, Pipes,
};
use prost::Message;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::pipe::{SpliceFlags, splice};

use crate::packet::{CHECKSUM_LEN, LENGTHS, Packet, Packets, USUAL_HEADER};
use crate::wire::ClientReadStatusProto;
use crate::{Fault, ReadError};

/// Bytes that are read into memory at once, where no chunk is longer.
const PIECE: usize = 256 << 10;
/// Received at once of headers and checksums, and so the most that is made room for before it has come.
const MOST_AT_ONCE: usize = 64 << 10;
/// Data of a packet, before any has come: what DataNodes send.
const USUAL_DATA: u64 = 64 << 10;

/// Looks on.
pub trait Witness: Send + std::fmt::Debug {
    /// These bytes of the block, from offset `at` on, were compared with their checksums, which are `sums`: whole chunks, but
    /// for the last one of the block. They may be more than were asked for, up to the borders of chunks.
    fn seen(&mut self, at: u64, bytes: &[u8], sums: &[u8]);
}

/// What a stream has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many bytes, compared with their checksums.
    Ready(usize),
    /// Nothing yet; [`Stream`] as a descriptor becomes readable when that has changed.
    Wait,
    /// The pipe is full before a chunk is whole, so short are the pieces that it has come in: it is to be gone on with [in
    /// memory](Stream::go_on_in_memory).
    NoRoom,
    /// Everything was handed over.
    End,
}

/// What comes next of a stream without checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bare {
    /// So many bytes, which are in memory as [`Stream::bytes`].
    Bytes(usize),
    /// At most so many are to be taken from the [socket](Stream::socket), and [told](Stream::took).
    InSocket(usize),
    /// Nothing yet.
    Wait,
    /// Everything was handed over.
    End,
}

/// A part of a block on its way. A stream is either [read](Self::read), or [held](Self::hold) and perhaps read from then on, or,
/// where it has no checksums, [taken bare](Self::bare).
///
/// Whoever drops it before its end closes the connection.
#[derive(Debug)]
pub struct Stream {
    /// `None` at the end.
    connection: Option<Connection>,
    home: (Arc<Connections<String>>, String),
    block: String,
    wanted: Range<u64>,
    packets: Packets,
    /// Received headers and checksums, perhaps with the beginning of the data; used up to `used`.
    head: Vec<u8>,
    used: usize,
    /// Data of the last packet, in bytes: the next is probably like it.
    usual: u64,
    /// Data of the packet in hand that is still to come.
    left: usize,
    last: bool,
    /// Data that has come and was not handed over begins here in the block, and is so long; its checksums.
    from: u64,
    have: usize,
    sums: Vec<u8>,
    /// Bytes at the front of memory or pipe that are done with.
    done: usize,
    memory: Vec<u8>,
    given: Range<usize>,
    ends: Option<(u8, u8)>,
    witness: Option<Box<dyn Witness>>,
}

impl Stream {
    pub(crate) fn new(
        connection: Connection,
        home: (Arc<Connections<String>>, String),
        block: String,
        wanted: Range<u64>,
        packets: Packets,
    ) -> Self {
        Self {
            connection: Some(connection),
            home,
            block,
            from: packets.next(),
            wanted,
            packets,
            head: Vec::new(),
            used: 0,
            usual: USUAL_DATA,
            left: 0,
            last: false,
            have: 0,
            sums: Vec::new(),
            done: 0,
            memory: Vec::new(),
            given: 0..0,
            ends: None,
            witness: None,
        }
    }

    /// Has somebody look at all that is compared. Bytes without checksums are shown to nobody.
    pub fn show_to(&mut self, witness: Box<dyn Witness>) {
        self.witness = Some(witness).filter(|_| self.is_checked());
    }

    /// What the checksums are like.
    pub fn header(&self) -> MetaHeader {
        // A chunk is no longer than what an `u32` says.
        let bytes_per_checksum = u32::try_from(self.packets.chunk()).unwrap_or(u32::MAX);
        MetaHeader { checksum: self.packets.checksum(), bytes_per_checksum }
    }

    /// The DataNode, as `HOST:PORT`.
    pub fn host(&self) -> &str {
        &self.home.1
    }

    /// Bytes per checksum: what must fit into a pipe.
    pub fn chunk(&self) -> usize {
        usize::try_from(self.packets.chunk()).unwrap_or(usize::MAX)
    }

    /// Whether there are checksums: a DataNode sends none for a block that was written without, or whose checksums it has lost.
    pub fn is_checked(&self) -> bool {
        self.packets.checksum() != ChecksumType::Null
    }

    /// Offset in the block of the next byte to be handed over.
    pub fn at(&self) -> u64 {
        self.from.clamp(self.wanted.start, self.wanted.end)
    }

    /// First and last byte of what was handed over last.
    pub fn ends(&self) -> Option<(u8, u8)> {
        self.ends
    }

    /// What [`read`](Self::read) said is ready.
    pub fn bytes(&self) -> &[u8] {
        self.memory.get(self.given.clone()).unwrap_or_default()
    }

    /// The socket, to be waited for; `None` at the end.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.connection.as_ref().map(AsFd::as_fd)
    }

    /// Whether something has come that was not taken yet; an error when nothing ever will. Never waits.
    pub fn has_come(&self) -> Result<bool, ReadError> {
        let Some(connection) = &self.connection else { return Ok(true) };
        match rustix::net::recv(connection, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((_, 0)) | Err(Errno::CONNRESET) => Err(self.failed(SocketFault::Closed.into())),
            Ok(_) => Ok(true),
            Err(Errno::AGAIN | Errno::INTR) => Ok(self.used < self.head.len()),
            Err(error) => Err(self.failed(SocketFault::Io(error.into()).into())),
        }
    }

    /// The error of a stream on which nothing came for so long.
    pub fn silent(&self, waited: Duration) -> ReadError {
        self.failed(Fault::Silent(waited))
    }

    /// The error of a stream that is left for another DataNode, since it gives so many bytes per second, and that one more.
    pub fn slow(&self, rate: f64, elsewhere: f64) -> ReadError {
        self.failed(Fault::Slow { rate, elsewhere })
    }

    /// The error of a stream whose socket has failed whoever took bytes from it; `UnexpectedEof` where that was its end.
    pub fn broken(&self, error: io::Error) -> ReadError {
        self.failed(match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => SocketFault::Closed.into(),
            _ => SocketFault::Io(error).into(),
        })
    }

    /// Reads what has come into memory, where it is as [`bytes`](Self::bytes) until the next call. Never waits.
    pub fn read(&mut self) -> Result<Step, ReadError> {
        let chunk = self.chunk();
        let room = (PIECE / chunk).max(1) * chunk;
        let done = std::mem::take(&mut self.done);
        self.memory.copy_within(done..done + self.have, 0);
        // Allocated once, for as much as is read at once and not for what anybody announces.
        self.memory.resize(room, 0);
        (self.given, self.ends) = (0..0, None);
        loop {
            if self.is_over() {
                return Ok(Step::End);
            }
            let mut memory = std::mem::take(&mut self.memory);
            let filled = self.fill(room, &mut memory);
            self.memory = memory;
            filled.map_err(|fault| self.failed(fault))?;
            let whole = self.whole();
            if whole == 0 && !self.last {
                return Ok(Step::Wait);
            }
            let mismatch = self.packets.checksum().first_mismatch(&self.memory[..whole], &self.sums, chunk);
            self.compared(mismatch)?;
            if let Some(witness) = &mut self.witness {
                witness.seen(self.from, &self.memory[..whole], &self.sums);
            }
            let (skip, len) = self.hand_over(whole);
            if len > 0 {
                self.given = skip..skip + len;
                self.ends = self.bytes().first().copied().zip(self.bytes().last().copied());
                self.done = whole;
                return Ok(Step::Ready(len));
            }
            self.memory.copy_within(whole..whole + self.have, 0);
        }
    }

    /// Takes what has come into the held pipe, where it is to be taken from before the next call. Never waits.
    ///
    /// After an error the pipes are to be [emptied](Pipes::empty).
    pub fn hold(&mut self, pipes: &mut Pipes) -> Result<Step, ReadError> {
        let chunk = self.chunk();
        let room = pipes.capacity() - pipes.capacity() % chunk;
        let discard = |pipes: &mut Pipes, len| pipes.discard(len).map_err(pipe_failed);
        let done = std::mem::take(&mut self.done);
        discard(pipes, done).map_err(|fault| self.failed(fault))?;
        self.ends = None;
        let mut again = false;
        loop {
            if self.is_over() {
                return Ok(Step::End);
            }
            let before = self.have;
            self.fill(room, &mut InPipe(pipes)).map_err(|fault| self.failed(fault))?;
            let whole = self.whole();
            if whole == 0 && !self.last {
                // A pipe holds so many pieces of a page, however short they are: it may be full before a chunk is whole.
                let full = self.have > 0 && self.connection.as_ref().is_some_and(|c| !c.is_open());
                if !full || self.have > before {
                    again = false;
                }
                match (full, again) {
                    (false, _) => return Ok(Step::Wait),
                    (true, false) => again = true,
                    (true, true) => return Ok(Step::NoRoom),
                }
                continue;
            }
            self.look(pipes, whole)?;
            let (skip, len) = self.hand_over(whole);
            let trimmed = if len > 0 { skip } else { whole };
            discard(pipes, trimmed).map_err(|fault| {
                // Nobody has got it.
                self.from -= whole as u64;
                self.failed(fault)
            })?;
            if len > 0 {
                self.done = whole - skip - len;
                return Ok(Step::Ready(len));
            }
        }
    }

    /// Takes what is held, and is not a whole chunk, out of the pipe into memory. From then on the stream is to be
    /// [read](Self::read).
    pub fn go_on_in_memory(&mut self, pipes: &mut Pipes) -> Result<(), ReadError> {
        // What is done with is no longer there: it was taken out when there was found to be no room.
        self.memory.resize(self.have, 0);
        pipes.take(&mut self.memory).map_err(|error| self.failed(pipe_failed(error)))
    }

    /// What comes next, where nothing is to be compared; for [streams without checksums](Self::is_checked) only. With `see_ends`
    /// the first and the last byte of what was asked for come in memory. Never waits.
    pub fn bare(&mut self, see_ends: bool) -> Result<Bare, ReadError> {
        if self.is_checked() {
            let why = "its bytes are to be compared with its checksums".to_owned();
            return Err(self.failed(Fault::Unsupported(why)));
        }
        (self.given, self.ends) = (0..0, None);
        loop {
            if self.is_over() {
                return Ok(Bare::End);
            }
            if self.left == 0 {
                let packet = self.next_packet().map_err(|fault| self.failed(fault))?;
                let Some(packet) = packet else { return Ok(Bare::Wait) };
                (self.left, self.last) = (packet.data, packet.last);
                continue;
            }
            let Range { start, end } = self.wanted;
            let is_wanted = self.wanted.contains(&self.from);
            // Up to the next of the two borders.
            let border = if self.from < start { start } else { end };
            let most = usize::try_from(border.saturating_sub(self.from)).unwrap_or(usize::MAX);
            let most = if self.from < end { most.min(self.left) } else { self.left };
            let surplus = self.head.len() - self.used;
            let in_memory = match surplus {
                _ if !is_wanted => most.min(PIECE),
                0 if see_ends && (self.from == start || self.from + 1 == end) => 1,
                surplus => surplus.min(most),
            };
            if in_memory == 0 {
                let ends_here = self.from + most as u64 == end;
                return Ok(Bare::InSocket(most - usize::from(see_ends && ends_here)));
            }
            let mut memory = std::mem::take(&mut self.memory);
            memory.resize(in_memory, 0);
            let drawn = self.draw(in_memory, &mut memory);
            self.memory = memory;
            let Some(n) = drawn.map_err(|fault| self.failed(fault))? else { return Ok(Bare::Wait) };
            self.from += n as u64;
            if is_wanted {
                self.given = 0..n;
                return Ok(Bare::Bytes(n));
            }
        }
    }

    /// So many of the bytes that were [in the socket](Bare::InSocket) were taken from there.
    pub fn took(&mut self, len: usize) {
        self.from += len as u64;
        self.left = self.left.saturating_sub(len);
    }

    /// Reads all of it, for at most `patience`.
    pub fn read_to_end(&mut self, patience: Duration) -> Result<Vec<u8>, ReadError> {
        let deadline = Deadline::after(patience);
        let mut all = Vec::new();
        loop {
            match self.read()? {
                Step::Ready(_) => all.extend_from_slice(self.bytes()),
                Step::End => return Ok(all),
                Step::Wait | Step::NoRoom => {
                    let Some(connection) = &self.connection else { return Ok(all) };
                    connection.wait_readable(deadline).map_err(|fault| self.failed(fault.into()))?;
                }
            }
        }
    }

    /// Compares what is held, up to `whole`, with its checksums.
    fn look(&mut self, pipes: &mut Pipes, whole: usize) -> Result<(), ReadError> {
        let (chunk, checksum) = (self.chunk(), self.packets.checksum());
        pipes.show(whole).map_err(|error| self.failed(pipe_failed(error)))?;
        let wanted = self.wanted.start.max(self.from)..self.wanted.end.min(self.from + whole as u64);
        let per_look = Pipes::per_look(chunk);
        let mut at = 0;
        while at < whole {
            let len = per_look.min(whole - at);
            let bytes = match pipes.look(len) {
                Ok(bytes) => bytes,
                Err(error) => return Err(self.failed(pipe_failed(error))),
            };
            let sums = at / chunk * sum_len(checksum);
            let mismatch = checksum.first_mismatch(bytes, self.sums.get(sums..).unwrap_or_default(), chunk);
            let byte = |offset: u64| {
                let index = usize::try_from(offset.checked_sub(self.from + at as u64)?).ok()?;
                bytes.get(index).copied()
            };
            let (first, last) = (byte(wanted.start), byte(wanted.end.saturating_sub(1)));
            if let Some(first) = first {
                self.ends = Some((first, first));
            }
            if let (Some((_, end)), Some(last)) = (&mut self.ends, last) {
                *end = last;
            }
            self.compared(mismatch.map(|index| at / chunk + index))?;
            if let Some(witness) = &mut self.witness {
                witness.seen(self.from + at as u64, bytes, self.sums.get(sums..).unwrap_or_default());
            }
            at += len;
        }
        Ok(())
    }

    /// An error if a chunk, counted from the first byte in hand, did not match.
    fn compared(&self, mismatch: Option<usize>) -> Result<(), ReadError> {
        let Some(index) = mismatch else { return Ok(()) };
        let at = self.from + index as u64 * self.packets.chunk();
        Err(ReadError { at, ..self.failed(Fault::Mismatch) })
    }

    /// How much of what has come can be checked.
    fn whole(&self) -> usize {
        if self.left == 0 { self.have } else { self.have - self.have % self.chunk() }
    }

    /// So much was checked: how much of it comes before what was asked for, and how much was asked for.
    fn hand_over(&mut self, whole: usize) -> (usize, usize) {
        let end = self.from + whole as u64;
        let skip = self.wanted.start.clamp(self.from, end) - self.from;
        let len = self.wanted.end.min(end).saturating_sub(self.from + skip);
        let sums = whole.div_ceil(self.chunk()) * sum_len(self.packets.checksum());
        self.sums.drain(..sums.min(self.sums.len()));
        self.from = end;
        self.have -= whole;
        // Neither is longer than what came.
        let [skip, len] = [skip, len].map(|len| usize::try_from(len).unwrap_or(whole));
        (skip, len)
    }

    /// Whether all was handed over. Then the DataNode is told, and the connection is kept for others.
    fn is_over(&mut self) -> bool {
        if !self.last || self.have > 0 {
            return false;
        }
        if let Some(connection) = self.connection.take() {
            let status = if self.is_checked() { Status::ChecksumOk } else { Status::Success };
            let message = ClientReadStatusProto { status: status.number() }.encode_length_delimited_to_vec();
            // A few bytes into an empty buffer: what cannot be sent at once is not sent.
            let told = connection.send(&message, Deadline::after(Duration::ZERO)).is_ok();
            if told && self.used == self.head.len() {
                let (connections, address) = &self.home;
                connections.put(address.as_str(), connection);
            }
        }
        true
    }

    /// Takes what has come, until `room` bytes are in hand or nothing more is there.
    fn fill(&mut self, room: usize, tank: &mut impl Tank) -> Result<(), Fault> {
        while self.have < room && !self.last {
            if self.left == 0 {
                let Some(packet) = self.next_packet()? else { return Ok(()) };
                (self.left, self.last) = (packet.data, packet.last);
                continue;
            }
            match self.draw(self.left.min(room - self.have), tank)? {
                Some(n) => self.have += n,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Takes at most so many bytes of the packet in hand; `None` while there are none, or no room.
    fn draw(&mut self, most: usize, tank: &mut impl Tank) -> Result<Option<usize>, Fault> {
        let Some(connection) = &self.connection else { return Ok(None) };
        let surplus = &self.head[self.used..];
        loop {
            let taken = if surplus.is_empty() {
                tank.draw(connection, self.have, most)
            } else {
                let taken = tank.put(self.have, &surplus[..most.min(surplus.len())]);
                self.used += taken.unwrap_or(0);
                taken
            };
            match taken {
                Ok(0) | Err(Errno::CONNRESET) => return Err(SocketFault::Closed.into()),
                Ok(n) => {
                    self.left -= n;
                    return Ok(Some(n));
                }
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(error) => return Err(SocketFault::Io(error.into()).into()),
            }
        }
    }

    /// The next packet's header and checksums; `None` while they have not come.
    fn next_packet(&mut self) -> Result<Option<Packet>, Fault> {
        loop {
            let bytes = &self.head[self.used..];
            let need = match Packets::header_len(bytes)? {
                None => LENGTHS,
                Some(header) if bytes.len() < header => header,
                Some(header) => {
                    let packet = self.packets.read(&bytes[..header])?;
                    let all = header + packet.sums;
                    if let Some(sums) = bytes.get(header..all) {
                        self.sums.extend_from_slice(sums);
                        self.used += all;
                        self.packets.pass(packet);
                        self.usual = packet.data as u64;
                        return Ok(Some(packet));
                    }
                    all
                }
            };
            self.head.drain(..self.used);
            self.used = 0;
            // As much as the next header and its checksums probably take: mostly one call gets both, and no data.
            let sums = self.packets.sums(self.usual.min(self.packets.left()));
            let probable = LENGTHS + USUAL_HEADER + usize::try_from(sums).unwrap_or(MOST_AT_ONCE);
            let have = self.head.len();
            let want = need.max(probable).min(have + MOST_AT_ONCE);
            let Some(connection) = &self.connection else { return Ok(None) };
            self.head.resize(want, 0);
            let received = rustix::net::recv(connection, &mut self.head[have..], RecvFlags::DONTWAIT);
            self.head.truncate(have + received.as_ref().map_or(0, |(_, n)| *n));
            match received {
                Ok((_, 0)) | Err(Errno::CONNRESET) => return Err(SocketFault::Closed.into()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(error) => return Err(SocketFault::Io(error.into()).into()),
            }
        }
    }

    fn failed(&self, fault: Fault) -> ReadError {
        ReadError { block: self.block.clone(), host: self.home.1.clone(), at: self.at(), fault }
    }
}

fn pipe_failed(error: Errno) -> Fault {
    Fault::Pipe(error.into())
}

/// Bytes of checksum per chunk.
fn sum_len(checksum: ChecksumType) -> usize {
    if checksum == ChecksumType::Null { 0 } else { usize::try_from(CHECKSUM_LEN).unwrap_or(4) }
}

/// Where data goes to.
trait Tank {
    /// From the socket, at most so much, behind the `have` bytes that are there.
    fn draw(&mut self, socket: &Connection, have: usize, most: usize) -> Result<usize, Errno>;
    /// Of what was received with a header.
    fn put(&mut self, have: usize, bytes: &[u8]) -> Result<usize, Errno>;
}

impl Tank for Vec<u8> {
    fn draw(&mut self, socket: &Connection, have: usize, most: usize) -> Result<usize, Errno> {
        let room = self.get_mut(have..have + most).ok_or(Errno::NOBUFS)?;
        rustix::net::recv(socket, room, RecvFlags::DONTWAIT).map(|(_, n)| n)
    }

    fn put(&mut self, have: usize, bytes: &[u8]) -> Result<usize, Errno> {
        let room = self.get_mut(have..have + bytes.len()).ok_or(Errno::NOBUFS)?;
        room.copy_from_slice(bytes);
        Ok(bytes.len())
    }
}

struct InPipe<'p>(&'p Pipes);

impl Tank for InPipe<'_> {
    fn draw(&mut self, socket: &Connection, _: usize, most: usize) -> Result<usize, Errno> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        splice(socket, None, self.0.inlet(), None, most, flags)
    }

    fn put(&mut self, _: usize, bytes: &[u8]) -> Result<usize, Errno> {
        rustix::io::write(self.0.inlet(), bytes)
    }
}
