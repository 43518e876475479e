//! Whatever a server says: the right bytes or an error, no panic, and nothing that did not match its checksum.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use forebay_hadoop::Token;
use forebay_hadoop::namenode::Block;
use forebay_remote::{Bare, DataNodes, Fault, PacketFault, ReadError, Settings, Step, Stream};
use forebay_shortcircuit::{Fault as SocketFault, Pipes};
use proptest::prelude::*;
use rustix::io::Errno;
use rustix::net::RecvFlags;

/// Ends a hang; nothing here takes long.
const PATIENCE: Duration = Duration::from_mins(2);
const CHUNK: usize = 512;

fn data(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251).to_le_bytes()[0]).collect()
}

/// `BlockOpResponseProto` with `ReadOpChecksumInfoProto`, its length before it.
fn granted(chunk_offset: u64) -> Vec<u8> {
    let mut info = vec![0x0a, 5, 0x08, 2, 0x10, 0x80, 0x04, 0x10];
    let mut offset = chunk_offset;
    while offset >= 0x80 {
        info.push(u8::try_from(offset & 0x7f).unwrap() | 0x80);
        offset >>= 7;
    }
    info.push(u8::try_from(offset).unwrap());
    let mut message = vec![0x08, 0, 0x22, u8::try_from(info.len()).unwrap()];
    message.extend(info);
    [vec![u8::try_from(message.len()).unwrap()], message].concat()
}

fn packet(offset: usize, seqno: i64, data: &[u8]) -> Vec<u8> {
    let sums = data.chunks(CHUNK).flat_map(|chunk| crc_fast::crc32_iscsi(chunk).to_be_bytes()).collect();
    packet_with(sums, offset, seqno, data)
}

fn packet_with(sums: Vec<u8>, offset: usize, seqno: i64, data: &[u8]) -> Vec<u8> {
    let mut header = vec![0x09];
    header.extend((offset as u64).to_le_bytes());
    header.push(0x11);
    header.extend(seqno.to_le_bytes());
    header.extend([0x18, u8::from(data.is_empty()), 0x25]);
    header.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    let len = u32::try_from(4 + sums.len() + data.len()).unwrap();
    let lens = [&len.to_be_bytes()[..], &u16::try_from(header.len()).unwrap().to_be_bytes()].concat();
    [lens, header, sums, data.to_vec()].concat()
}

/// What a DataNode sends for a range of a block, in packets of so much data.
fn honest(block: &[u8], range: &Range<usize>, per_packet: usize) -> Vec<u8> {
    let from = range.start - range.start % CHUNK;
    let to = range.end.next_multiple_of(CHUNK).min(block.len());
    let mut bytes = granted(from as u64);
    let (mut at, mut seqno) = (from, 0);
    while at < to {
        let end = to.min(at + per_packet);
        bytes.extend(packet(at, seqno, &block[at..end]));
        (at, seqno) = (end, seqno + 1);
    }
    bytes.extend(packet(at, seqno, &[]));
    bytes
}

/// The same, if it was asked for no checksums.
fn unchecked(block: &[u8], range: &Range<usize>, per_packet: usize) -> Vec<u8> {
    let from = range.start - range.start % CHUNK;
    let to = range.end.next_multiple_of(CHUNK).min(block.len());
    let mut bytes = granted(from as u64);
    // ChecksumProto { NULL, 512 }
    bytes[8] = 0;
    let (mut at, mut seqno) = (from, 0);
    while at < to {
        let end = to.min(at + per_packet);
        bytes.extend(packet_with(Vec::new(), at, seqno, &block[at..end]));
        (at, seqno) = (end, seqno + 1);
    }
    bytes.extend(packet(at, seqno, &[]));
    bytes
}

/// By which way a client takes what comes.
enum Way<'p> {
    Memory,
    Pipes(&'p mut Pipes),
    Bare,
}

impl<'p> From<Option<&'p mut Pipes>> for Way<'p> {
    fn from(pipes: Option<&'p mut Pipes>) -> Self {
        pipes.map_or(Self::Memory, Self::Pipes)
    }
}

/// Says the same to everybody who asks, so many bytes at a time.
struct Server {
    address: String,
    said: Arc<Mutex<(Vec<u8>, usize)>>,
    /// Requests.
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
    /// What clients said at the end.
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let said = Arc::new(Mutex::new((Vec::new(), 1)));
        let (asked, heard) = (Arc::default(), Arc::default());
        let (say, ask, hear) = (Arc::clone(&said), Arc::clone(&asked), Arc::clone(&heard));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (bytes, step) = say.lock().unwrap().clone();
                let (ask, hear) = (Arc::clone(&ask), Arc::clone(&hear));
                thread::spawn(move || play(stream.unwrap(), &bytes, step, (&ask, &hear)));
            }
        });
        Self { address, said, asked, heard }
    }

    /// Asks for a range, and takes what comes until the end or an error.
    fn read<'p>(
        &self,
        said: &[u8],
        step: usize,
        range: &Range<usize>,
        way: impl Into<Way<'p>>,
    ) -> (Vec<u8>, Result<(), ReadError>) {
        *self.said.lock().unwrap() = (said.to_vec(), step);
        let mut all = Vec::new();
        let outcome = self.take(range, way.into(), &mut all);
        (all, outcome)
    }

    fn take(&self, range: &Range<usize>, mut way: Way<'_>, all: &mut Vec<u8>) -> Result<(), ReadError> {
        // A client of its own, so that no connection is used again.
        let datanodes = DataNodes::new(Settings::default());
        let block = Block { pool: "BP-1".to_owned(), id: 5, generation: 6, len: 1 << 20 };
        let named = (&block, &Token::default());
        let wanted = range.start as u64..range.end as u64;
        let mut stream = match way {
            Way::Bare => datanodes.open_unchecked(&self.address, named, wanted, PATIENCE)?,
            _ => datanodes.open(&self.address, named, wanted, PATIENCE)?,
        };
        loop {
            let step = match &mut way {
                Way::Pipes(pipes) => stream.hold(pipes).inspect_err(|_| pipes.empty())?,
                Way::Memory => stream.read()?,
                Way::Bare => bare(&mut stream, all)?,
            };
            match step {
                Step::End => return Ok(()),
                Step::Wait => {
                    let socket = stream.socket().unwrap();
                    let mut fds = [rustix::event::PollFd::new(&socket, rustix::event::PollFlags::IN)];
                    rustix::event::poll(&mut fds, None).unwrap();
                }
                Step::NoRoom => {
                    if let Way::Pipes(pipes) = way {
                        stream.go_on_in_memory(pipes)?;
                    }
                    way = Way::Memory;
                }
                Step::Ready(len) => {
                    let begin = match &way {
                        Way::Memory => {
                            all.extend_from_slice(stream.bytes());
                            all.len() - len
                        }
                        Way::Pipes(pipes) => {
                            let begin = all.len();
                            all.resize(begin + len, 0);
                            let held = pipes.held().try_clone_to_owned().unwrap();
                            File::from(held).read_exact(&mut all[begin..]).unwrap();
                            begin
                        }
                        Way::Bare => all.len() - len,
                    };
                    if !matches!(way, Way::Bare) {
                        assert_eq!(stream.ends(), Some((all[begin], all[all.len() - 1])));
                    }
                    assert_eq!(stream.at(), (range.start + all.len()) as u64);
                }
            }
        }
    }
}

/// The next bytes of a stream without checksums: the first one and the last one come in memory.
fn bare(stream: &mut Stream, all: &mut Vec<u8>) -> Result<Step, ReadError> {
    match stream.bare(true)? {
        Bare::Bytes(len) => {
            assert_eq!(stream.bytes().len(), len);
            all.extend_from_slice(stream.bytes());
            Ok(Step::Ready(len))
        }
        Bare::InSocket(most) => {
            assert!(most > 0 && !all.is_empty(), "the first byte is not in memory");
            let mut bytes = vec![0; most];
            match rustix::net::recv(stream.socket().unwrap(), &mut bytes, RecvFlags::DONTWAIT) {
                Ok((_, 0)) => Err(stream.broken(ErrorKind::UnexpectedEof.into())),
                Ok((_, len)) => {
                    stream.took(len);
                    all.extend_from_slice(&bytes[..len]);
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

type Words = Mutex<Vec<Vec<u8>>>;

fn play(mut stream: TcpStream, bytes: &[u8], step: usize, (asked, heard): (&Words, &Words)) {
    stream.set_nodelay(true).unwrap();
    let mut request = vec![0; 1000];
    let len = stream.read(&mut request).unwrap_or(0);
    request.truncate(len);
    asked.lock().unwrap().push(request);
    for part in bytes.chunks(step.max(1)) {
        if stream.write_all(part).is_err() {
            return;
        }
    }
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    heard.lock().unwrap().push(rest);
}

#[test]
fn the_range_comes_however_it_is_cut_into_packets_and_segments() {
    let server = Server::start();
    let block = data(200_000);
    let mut pipes = Pipes::new().unwrap();
    for range in [0..200_000, 1..199_999, 700..701, 511..513, 512..1024, 150_000..200_000] {
        for (per_packet, step) in [(65_536, 1 << 20), (512, 4096), (131_072, 1448), (1024, 700)] {
            let said = honest(&block, &range, per_packet);
            let (got, outcome) = server.read(&said, step, &range, None);
            outcome.unwrap();
            assert!(got == block[range.clone()], "{range:?} {per_packet} {step}: other bytes");
            let (got, outcome) = server.read(&said, step, &range, Some(&mut pipes));
            outcome.unwrap();
            assert!(got == block[range.clone()], "{range:?} {per_packet} {step}: other bytes by pipe");
        }
    }
    // Who has compared all of it says so: ClientReadStatusProto { CHECKSUM_OK }.
    let deadline = std::time::Instant::now() + PATIENCE;
    while server.heard.lock().unwrap().len() < 48 {
        assert!(std::time::Instant::now() < deadline, "connections stay open");
        thread::sleep(Duration::from_millis(5));
    }
    assert!(server.heard.lock().unwrap().iter().all(|heard| heard == &[2, 0x08, 6]));
}

#[test]
fn what_comes_without_checksums_can_be_taken_from_the_socket() {
    let server = Server::start();
    let block = data(200_000);
    for range in [0..200_000, 1..199_999, 700..701, 511..513, 512..514, 150_000..200_000] {
        for (per_packet, step) in [(65_536, 1 << 20), (512, 4096), (131_072, 1448), (1024, 700), (2048, 1)] {
            let said = unchecked(&block, &range, per_packet);
            if step == 1 && said.len() > 10_000 {
                continue;
            }
            let (got, outcome) = server.read(&said, step, &range, Way::Bare);
            outcome.unwrap();
            assert!(got == block[range.clone()], "{range:?} {per_packet} {step}: other bytes");
        }
    }
    for end in (20..1200).step_by(37) {
        let said = unchecked(&block, &(100..2000), 1024);
        let (got, outcome) = server.read(&said[..end], 1 << 20, &(100..2000), Way::Bare);
        let error = outcome.unwrap_err();
        assert!(error.is_closed() && block[100..].starts_with(&got), "{end}: {error}");
        assert_eq!(error.at, 100 + got.len() as u64, "{error}");
    }
    // What comes with checksums is not to be taken so.
    let (got, outcome) = server.read(&honest(&block, &(0..2000), 1024), 1 << 20, &(0..2000), Way::Bare);
    let error = outcome.unwrap_err();
    assert!(matches!(error.fault, Fault::Unsupported(_)) && got.is_empty(), "{error}");
}

/// A pipe holds so many pieces of pages, however short they are.
#[test]
fn a_chunk_for_which_the_pipe_has_no_room_comes_through_memory() {
    const FIRST: usize = 100;
    let block = data(2000);
    let said = honest(&block, &(0..2000), 4096);
    let before_data = said.len() - packet(2000, 1, &[]).len() - 2000;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (go_on, rest) = std::sync::mpsc::channel::<()>();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1000]);
        stream.write_all(&said[..before_data + FIRST]).unwrap();
        let _ = rest.recv();
        stream.write_all(&said[before_data + FIRST..]).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut pipes = Pipes::new().unwrap();
    // One piece.
    rustix::pipe::fcntl_setpipe_size(pipes.inlet(), 4096).unwrap();
    let datanodes = DataNodes::new(Settings::default());
    let named = Block { pool: "BP-1".to_owned(), id: 5, generation: 6, len: 2000 };
    let mut stream = datanodes.open(&address, (&named, &Token::default()), 0..2000, PATIENCE).unwrap();
    let wait = |stream: &Stream| {
        let socket = stream.socket().unwrap();
        let mut fds = [rustix::event::PollFd::new(&socket, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, None).unwrap();
    };
    while rustix::io::ioctl_fionread(pipes.held()).unwrap() < FIRST as u64 {
        wait(&stream);
        assert_eq!(stream.hold(&mut pipes).unwrap(), Step::Wait);
    }
    go_on.send(()).unwrap();
    wait(&stream);
    assert_eq!(stream.hold(&mut pipes).unwrap(), Step::NoRoom);
    assert_eq!(stream.at(), 0);
    stream.go_on_in_memory(&mut pipes).unwrap();
    assert_eq!(rustix::io::ioctl_fionread(pipes.held()).unwrap(), 0);
    assert!(stream.read_to_end(PATIENCE).unwrap() == block, "other bytes");
    drop((stream, datanodes));
    server.join().unwrap();
}

#[test]
fn requests_say_what_is_wanted() {
    let server = Server::start();
    let asked = |settings: Settings, checksums: bool| {
        server.asked.lock().unwrap().clear();
        let block = Block { pool: "BP-1".to_owned(), id: 5, generation: 6, len: 10 };
        let (datanodes, named) = (DataNodes::new(settings), (&block, &Token::default()));
        *server.said.lock().unwrap() = (Vec::new(), 1);
        let opened = if checksums {
            datanodes.open(&server.address, named, 0..10, PATIENCE)
        } else {
            datanodes.open_unchecked(&server.address, named, 0..10, PATIENCE)
        };
        assert!(opened.unwrap_err().is_closed());
        server.asked.lock().unwrap().remove(0)
    };
    // OpReadBlockProto { offset: 0, len: 10, sendChecksums, cachingStrategy }
    let plain = asked(Settings::default(), true);
    assert!(plain.ends_with(&[0x10, 0, 0x18, 10, 0x20, 1, 0x2a, 0]), "{plain:x?}");
    let bare = asked(Settings::default(), false);
    assert!(bare.ends_with(&[0x10, 0, 0x18, 10, 0x20, 0, 0x2a, 0]), "{bare:x?}");
    let mut conf = forebay_hadoop::Configuration::empty();
    conf.set("dfs.client.cache.drop.behind.reads", "true");
    conf.set("dfs.client.cache.readahead", "300");
    let hinted = asked(Settings::from_conf(&conf).unwrap(), true);
    assert!(hinted.ends_with(&[0x20, 1, 0x2a, 5, 0x08, 1, 0x10, 0xac, 0x02]), "{hinted:x?}");
}

#[test]
fn what_ends_early_is_an_error_behind_the_chunks_that_came_whole() {
    let server = Server::start();
    let block = data(3000);
    let mut pipes = Pipes::new().unwrap();
    let said = honest(&block, &(100..3000), 1024);
    for end in (0..said.len()).step_by(37) {
        for by_pipe in [false, true] {
            let (got, outcome) =
                server.read(&said[..end], 1 << 20, &(100..3000), by_pipe.then_some(&mut pipes));
            let error = outcome.unwrap_err();
            assert!(error.is_closed(), "{end}: {error}");
            assert!(block[100..].starts_with(&got), "{end}: other bytes");
            assert_eq!(error.at, 100 + got.len() as u64, "{error}");
            assert!(error.to_string().contains("BP-1:blk_5_6"), "{error}");
            assert!(error.to_string().contains(&server.address), "{error}");
        }
    }
}

#[test]
fn nothing_behind_a_flipped_bit_is_handed_over() {
    let server = Server::start();
    let block = data(100_000);
    let mut pipes = Pipes::new().unwrap();
    let mut bad = block.clone();
    bad[70_000] ^= 4;
    let mut said = honest(&bad, &(0..100_000), 65_536);
    let right = honest(&block, &(0..100_000), 65_536);
    // The data of the one, the checksums of the other.
    let (place, _) = said.iter().zip(&right).enumerate().rfind(|(_, (a, b))| a != b).unwrap();
    let flipped = said[place];
    said = right;
    said[place] = flipped;
    for by_pipe in [false, true] {
        let (got, outcome) = server.read(&said, 1 << 20, &(0..100_000), by_pipe.then_some(&mut pipes));
        let error = outcome.unwrap_err();
        assert!(error.is_corrupt(), "{error}");
        assert_eq!(error.at, (70_000 - 70_000 % CHUNK) as u64);
        assert!(got.len() <= 70_000 && block.starts_with(&got));
    }
}

#[test]
fn absurd_packets_are_named() {
    let server = Server::start();
    let range = 0..2000;
    let fault = |said: &[u8]| match server.read(said, 1 << 20, &range, None).1.unwrap_err().fault {
        Fault::Packet(fault) => fault,
        other => panic!("{other}"),
    };
    let with = |packet: Vec<u8>| [granted(0), packet].concat();
    let mut long = packet(0, 0, &data(512));
    long[..4].copy_from_slice(&i32::MAX.to_be_bytes());
    assert_eq!(fault(&with(long)), PacketFault::Length(i32::MAX));
    assert_eq!(fault(&with(packet(0, 7, &data(512)))), PacketFault::Sequence(7, 0));
    assert_eq!(fault(&with(packet(512, 0, &data(512)))), PacketFault::Offset(512, 0));
    assert_eq!(fault(&with(packet(0, 0, &[]))), PacketFault::Early(0, 2000));
    assert_eq!(fault(&with(packet(0, 0, &data(4096)))), PacketFault::Beyond(4096, 2048));
    assert!(matches!(fault(&granted(512)), PacketFault::Layout { from: 512, .. }));
    // An answer that is none, one of absurd length, and refusals.
    let other = |said: &[u8]| server.read(said, 1 << 20, &range, None).1.unwrap_err();
    let error = other(&[0xff; 64]);
    assert!(matches!(error.fault, Fault::Exchange(SocketFault::TooLong(_))), "{error}");
    let error = other(&[2, 0x08, 0]);
    assert!(matches!(error.fault, Fault::Exchange(SocketFault::Malformed(_))), "{error}");
    let error = other(&[7, 0x08, 5, 0x2a, 3, b'o', b'l', b'd']);
    assert!(error.is_token() && error.to_string().contains("old"), "{error}");
    let error = other(&[7, 0x08, 1, 0x2a, 3, b'w', b'h', b'y']);
    assert!(matches!(error.fault, Fault::Refused { .. }) && error.to_string().contains("why"), "{error}");
}

#[test]
fn who_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let datanodes = DataNodes::new(Settings::default());
    let block = Block { pool: "BP-1".to_owned(), id: 5, generation: 6, len: 10 };
    let named = (&block, &Token::default());
    let error = datanodes.open(&address, named, 0..10, Duration::from_millis(200)).unwrap_err();
    assert!(matches!(error.fault, Fault::Exchange(SocketFault::TimedOut(_))), "{error}");
    drop(listener);
    let error = datanodes.open(&address, named, 0..10, PATIENCE).unwrap_err();
    assert!(error.is_of_the_datanode(), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_hand_over_what_is_not_in_the_block(
        start in 0usize..3000,
        len in 1usize..3000,
        per_packet in 1usize..4,
        step in 1usize..5000,
        noise in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in proptest::option::weighted(0.3, any::<prop::sample::Index>()),
        by_pipe: bool,
    ) {
        thread_local!(static SERVER: Server = Server::start());
        let block = data(6000);
        let range = start..start + len;
        let mut said = honest(&block, &range, per_packet * CHUNK);
        let honest = said.clone();
        for (at, byte) in noise {
            let at = at.index(said.len());
            said[at] ^= byte;
        }
        if let Some(cut) = cut {
            said.truncate(cut.index(said.len()));
        }
        let mut pipes = Pipes::new().unwrap();
        let (got, outcome) =
            SERVER.with(|server| server.read(&said, step, &range, by_pipe.then_some(&mut pipes)));
        prop_assert!(block[range.clone()].starts_with(&got), "other bytes");
        match outcome {
            Ok(()) => prop_assert_eq!(got.len(), len),
            Err(error) => prop_assert!(said != honest, "{}", error),
        }
    }

    /// What `fuzz/targets/packets.rs` begins with, and has found: where the range begins, how long it is, and by which way it is
    /// read; then what the DataNode says.
    #[test]
    fn nothing_like_what_the_fuzzer_has_found_breaks_it(
        which in any::<[prop::sample::Index; 2]>(),
        noise in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        joint in proptest::option::weighted(0.3, any::<[prop::sample::Index; 2]>()),
        step in 1usize..5000,
    ) {
        thread_local!(static SERVER: (Server, Vec<Vec<u8>>) = (Server::start(), corpus()));
        SERVER.with(|(server, corpus)| {
            let mut bytes = which[0].get(corpus).clone();
            if let Some([head, tail]) = joint {
                let other = which[1].get(corpus);
                bytes.truncate(head.index(bytes.len()));
                bytes.extend_from_slice(&other[tail.index(other.len())..]);
            }
            for (at, byte) in noise {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] ^= byte;
                }
            }
            as_the_fuzzer_does(server, &bytes, step)
        })?;
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packets");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn as_the_fuzzer_does(server: &Server, bytes: &[u8], step: usize) -> Result<(), TestCaseError> {
    let Some((&[start, len, way], said)) = bytes.split_first_chunk() else { return Ok(()) };
    let (start, len) = (usize::from(start) * 7, usize::from(len) + 1);
    let mut pipes = Pipes::new().unwrap();
    let way = match way % 3 {
        0 => Way::Memory,
        1 => Way::Pipes(&mut pipes),
        _ => Way::Bare,
    };
    let (got, outcome) = server.read(said, step, &(start..start + len), way);
    prop_assert!(got.len() <= len, "{} bytes of {}", got.len(), len);
    prop_assert!(outcome.is_err() || got.len() == len, "the end came with {} bytes of {}", got.len(), len);
    Ok(())
}

#[test]
fn what_the_fuzzer_has_found_breaks_nothing() {
    let (server, corpus) = (Server::start(), corpus());
    assert!(!corpus.is_empty());
    for bytes in corpus {
        as_the_fuzzer_does(&server, &bytes, 1 << 20).unwrap();
    }
}
