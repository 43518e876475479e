//! Whatever a socket says: an error in time, no panic, no descriptor left behind.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod support;

use std::fs::{File, OpenOptions};
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use forebay_shortcircuit::{
    Block, Fault, OpenError, Reason, Replica, ReplicaError, Settings, ShortCircuit, Token,
};
use proptest::prelude::*;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use support::descriptors_on;
use tempfile::TempDir;

/// `BlockOpResponseProto { status: SUCCESS, shortCircuitAccessVersion: 1 }` with its length.
const SUCCESS: [u8; 5] = [4, 0x08, 0, 0x30, 1];
const TIMEOUT: Duration = Duration::from_millis(300);
const META: [u8; 11] = [0, 1, 2, 0, 0, 2, 0, 1, 2, 3, 4];

/// What the other side of the socket does once it has been asked.
#[derive(Debug, Clone)]
struct Script {
    reply: Vec<u8>,
    /// The byte after the reply, and the files that go with it.
    passed: Option<(u8, Vec<PathBuf>)>,
    /// Whether the connection stays open in silence.
    hold: bool,
}

struct Peer {
    folder: TempDir,
    script: Arc<Mutex<Script>>,
    /// What clients sent after the descriptors.
    receipts: Arc<Mutex<Vec<u8>>>,
}

impl Peer {
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("peer").tempdir().unwrap();
        std::fs::write(folder.path().join("block"), [7; 100]).unwrap();
        std::fs::write(folder.path().join("meta"), META).unwrap();
        let listener = UnixListener::bind(folder.path().join("dn.1")).unwrap();
        let script = Arc::new(Mutex::new(Script { reply: Vec::new(), passed: None, hold: false }));
        let receipts = Arc::new(Mutex::new(Vec::new()));
        let (script_too, receipts_too) = (Arc::clone(&script), Arc::clone(&receipts));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, receipts) = (script_too.lock().unwrap().clone(), Arc::clone(&receipts_too));
                thread::spawn(move || play(stream.unwrap(), script, &receipts));
            }
        });
        Self { folder, script, receipts }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn replica(&self) -> Vec<PathBuf> {
        vec![self.file("block"), self.file("meta")]
    }

    fn ask(&self, script: Script, slots: bool) -> Result<Arc<Replica>, OpenError> {
        *self.script.lock().unwrap() = script;
        let mut settings = Settings::new(self.file("dn._PORT").display().to_string());
        settings.timeout = TIMEOUT;
        settings.slots = slots;
        let block = Block { pool: "BP-1".to_owned(), id: 5, generation: 6, len: 100 };
        let begin = Instant::now();
        let outcome = ShortCircuit::new(settings).open(&block, &Token::default(), 1);
        assert!(begin.elapsed() < TIMEOUT + Duration::from_secs(2), "{:?}: {outcome:?}", begin.elapsed());
        outcome
    }

    fn leaves_nothing_open(&self) {
        let part = self.folder.path().display().to_string();
        support::within(Duration::from_secs(5), "all descriptors are closed", || descriptors_on(&part) == 0);
    }
}

fn play(mut stream: UnixStream, script: Script, receipts: &Mutex<Vec<u8>>) {
    let mut request = [0; 1000];
    let _ = stream.read(&mut request);
    let _ = stream.write_all(&script.reply);
    if let Some((byte, paths)) = script.passed {
        let files: Vec<_> = paths.iter().map(|path| open_as_named(path)).collect();
        let fds: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(32))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        }
        let _ = sendmsg(&stream, &[IoSlice::new(&[byte])], &mut control, SendFlags::NOSIGNAL);
    }
    if script.hold {
        let mut receipt = Vec::new();
        let _ = stream.read_to_end(&mut receipt);
        receipts.lock().unwrap().extend(receipt);
    }
}

/// A name that ends in `+` is opened for writing, too.
fn open_as_named(path: &std::path::Path) -> File {
    let name = path.to_str().unwrap();
    let writable = name.ends_with('+');
    OpenOptions::new().read(true).write(writable).open(name.trim_end_matches('+')).unwrap()
}

#[test]
fn a_whole_answer_is_a_replica_and_the_receipt_is_sent_when_wanted() {
    let peer = Peer::start();
    for (byte, receipt) in [(0, &[][..]), (1, &[0][..])] {
        peer.receipts.lock().unwrap().clear();
        let passed = Some((byte, peer.replica()));
        let replica = peer.ask(Script { reply: SUCCESS.to_vec(), passed, hold: true }, false).unwrap();
        assert_eq!(replica.header().bytes_per_checksum, 512);
        drop(replica);
        support::within(Duration::from_secs(2), "the receipt", || *peer.receipts.lock().unwrap() == receipt);
    }
    peer.leaves_nothing_open();
}

#[test]
fn only_two_descriptors_of_two_readable_files_will_do() {
    let peer = Peer::start();
    let (block, meta) = (peer.file("block"), peer.file("meta"));
    let ask = |paths: Vec<PathBuf>| {
        peer.ask(Script { reply: SUCCESS.to_vec(), passed: Some((0, paths)), hold: true }, false).unwrap_err()
    };
    for count in [0, 1, 3, 8, 9, 30] {
        let error = ask(vec![block.clone(); count]);
        let OpenError::Exchange { source: Fault::Descriptors { got, wanted: 2 }, .. } = error else {
            panic!("{error}")
        };
        // Beyond the room for them the kernel keeps the rest to itself; that there was more is known.
        assert!(got == count || (9..count).contains(&got), "{got} of {count}");
        peer.leaves_nothing_open();
    }
    let unusable = |paths| match ask(paths) {
        OpenError::Replica { source, .. } => source,
        other => panic!("{other}"),
    };
    assert!(matches!(unusable(vec![block.clone(), block.clone()]), ReplicaError::SameFile));
    let folder = peer.folder.path().to_owned();
    let error = unusable(vec![folder.clone(), meta.clone()]);
    assert!(matches!(error, ReplicaError::NotRegular { file: "block" }), "{error}");
    let error = unusable(vec![block.clone(), folder]);
    assert!(matches!(error, ReplicaError::NotRegular { file: "meta" }), "{error}");
    let error = unusable(vec![peer.file("block+"), meta.clone()]);
    assert!(matches!(error, ReplicaError::NotReadOnly { file: "block" }), "{error}");
    // The wrong way round: the meta file is too short for the block.
    let error = unusable(vec![meta, block]);
    assert!(matches!(error, ReplicaError::Short { have: 11, want: 100 }), "{error}");
    peer.leaves_nothing_open();
}

#[test]
fn half_an_answer_is_an_error() {
    let peer = Peer::start();
    let ask = |reply: &[u8], passed: Option<(u8, Vec<PathBuf>)>, hold| {
        peer.ask(Script { reply: reply.to_vec(), passed, hold }, false).unwrap_err()
    };
    for end in 0..=SUCCESS.len() {
        let error = ask(&SUCCESS[..end], None, false);
        assert!(matches!(error, OpenError::Exchange { source: Fault::Closed, .. }), "{error}");
        let error = ask(&SUCCESS[..end], None, true);
        assert_eq!(error.reason(), Reason::TimedOut, "{error}");
    }
    let endless = ask(&[0xff; 64], None, true);
    assert!(matches!(endless, OpenError::Exchange { source: Fault::TooLong(_), .. }), "{endless}");
    let long = ask(&[0x81, 0x80, 0x04], None, true);
    assert!(matches!(long, OpenError::Exchange { source: Fault::TooLong(65_537), .. }), "{long}");
    let version = ask(&[4, 0x08, 0, 0x30, 2], Some((0, peer.replica())), true);
    assert!(matches!(version, OpenError::Exchange { source: Fault::Version(2), .. }), "{version}");
    let byte = ask(&SUCCESS, Some((2, peer.replica())), true);
    assert!(matches!(byte, OpenError::Exchange { source: Fault::Malformed(_), .. }), "{byte}");
    peer.leaves_nothing_open();
}

#[test]
fn each_status_has_its_error() {
    let peer = Peer::start();
    for (status, reason) in [(1, Reason::Refused), (5, Reason::Token), (7, Reason::Unsupported)] {
        let words = b"\x2a\x06why\n\tx";
        let reply = [&[10, 0x08, status][..], words].concat();
        let error = peer.ask(Script { reply, passed: None, hold: true }, false).unwrap_err();
        assert_eq!(error.reason(), reason, "{error}");
        assert!(error.to_string().contains("why") && !error.to_string().contains('\t'), "{error}");
    }
}

#[test]
fn a_segment_that_is_none_is_an_error() {
    let peer = Peer::start();
    // ShortCircuitShmResponseProto: SUCCESS and an id.
    let granted = vec![8, 0x08, 0, 0x1a, 4, 0x08, 1, 0x10, 2];
    let ask = |reply: &[u8], paths: Vec<PathBuf>| {
        let script = Script { reply: reply.to_vec(), passed: Some((0, paths)), hold: true };
        peer.ask(script, true).unwrap_err()
    };
    std::fs::write(peer.file("short"), [0; 63]).unwrap();
    for file in ["short+", "block"] {
        let error = ask(&granted, vec![peer.file(file)]);
        let OpenError::Exchange { action: "get shared memory", source, .. } = &error else {
            panic!("{error}")
        };
        assert!(matches!(source, Fault::Segment(_) | Fault::Io(_)), "{error}");
    }
    let error = ask(&granted, peer.replica());
    assert!(
        matches!(error, OpenError::Exchange { source: Fault::Descriptors { got: 2, wanted: 1 }, .. }),
        "{error}"
    );
    let error = ask(&[2, 0x08, 0], vec![peer.file("block+")]);
    assert!(matches!(error, OpenError::Exchange { source: Fault::Malformed(_), .. }), "{error}");
    peer.leaves_nothing_open();
}

/// A DataNode closes a connection that it thinks idle in the very moment of the next request.
#[test]
fn a_connection_that_ends_instead_of_answering_again_is_replaced() {
    let peer = Peer::start();
    let listener = UnixListener::bind(peer.file("dn.2")).unwrap();
    let (replica, accepted) = (peer.replica(), Arc::new(Mutex::new(0)));
    let count = Arc::clone(&accepted);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            *count.lock().unwrap() += 1;
            let passed = Some((0, replica.clone()));
            let script = Script { reply: SUCCESS.to_vec(), passed, hold: false };
            thread::spawn(move || {
                for _ in 0..2 {
                    play(stream.try_clone().unwrap(), script.clone(), &Mutex::default());
                }
                // The end comes once the client has asked for more, so it cannot see it before.
                let _ = { stream }.read(&mut [0; 1000]);
            });
        }
    });
    let mut settings = Settings::new(peer.file("dn._PORT").display().to_string());
    settings.slots = false;
    let local = ShortCircuit::new(settings);
    let open = |id| {
        let block = Block { pool: "BP-1".to_owned(), id, generation: 6, len: 100 };
        local.open(&block, &Token::default(), 2).unwrap()
    };
    assert!(open(1).is_valid() && open(2).is_valid());
    assert_eq!(*accepted.lock().unwrap(), 1, "the first connection is used again");
    assert!(open(3).is_valid());
    assert_eq!(*accepted.lock().unwrap(), 2);
    drop(local);
    peer.leaves_nothing_open();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_said_is_answered_in_time(
        whole: bool,
        noise in proptest::collection::vec(any::<u8>(), 0..40),
        flips in proptest::collection::vec((0usize..8, any::<u8>()), 0..3),
        cut in 0usize..60,
        passed in proptest::option::weighted(0.7, (0u8..3, 0usize..5)),
        hold in proptest::bool::weighted(0.05),
        slots: bool,
    ) {
        thread_local!(static PEER: Peer = Peer::start());
        PEER.with(|peer| {
            let mut reply = if whole { SUCCESS.to_vec() } else { noise };
            for (at, byte) in flips {
                if let Some(place) = reply.get_mut(at) {
                    *place ^= byte;
                }
            }
            reply.truncate(cut);
            let passed = passed.map(|(byte, count)| {
                (byte, peer.replica().into_iter().cycle().take(count).collect())
            });
            drop(peer.ask(Script { reply, passed, hold }, slots));
            peer.leaves_nothing_open();
        });
    }
}
