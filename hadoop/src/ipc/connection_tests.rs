//! A connection's task against a server that does what real ones do seldom, over a pipe in memory.

use proptest::prelude::*;
use tokio::io::{DuplexStream, duplex};
use tokio::time::timeout;

use super::*;

const MOMENT: Duration = Duration::from_secs(10);

fn start() -> (Connection, DuplexStream) {
    start_idle(Duration::from_mins(1))
}

fn start_idle(max_idle: Duration) -> (Connection, DuplexStream) {
    let (client, server) = duplex(1 << 16);
    (Connection::start(client, Framing::new(1 << 20), max_idle), server)
}

/// A response of status SUCCESS whose message is one byte.
fn success(id: u8, body: u8) -> Vec<u8> {
    vec![0, 0, 0, 7, 4, 8, id, 0x10, 0, 1, body]
}

fn frame(byte: u8) -> Bytes {
    Bytes::copy_from_slice(&[byte])
}

async fn lost(result: impl Future<Output = Result<Bytes, Unanswered>>) -> (Lost, bool) {
    match timeout(MOMENT, result).await.unwrap() {
        Err(Unanswered::Lost(lost, sent)) => (lost, sent),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn answers_find_their_calls_in_any_order() {
    let (connection, mut server) = start();
    let (one, two) = (connection.call(1, frame(b'1')), connection.call(2, frame(b'2')));
    let serve = async {
        let mut asked = [0; 2];
        server.read_exact(&mut asked).await.unwrap();
        // In three pieces that end within frames.
        let both = [success(2, b'b'), success(1, b'a')].concat();
        for piece in [&both[..3], &both[3..12], &both[12..]] {
            server.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let (one, two, ()) = tokio::join!(one, two, serve);
    assert_eq!((&one.unwrap()[..], &two.unwrap()[..]), (&b"a"[..], &b"b"[..]));
}

#[tokio::test]
async fn an_answer_to_nothing_ends_the_connection() {
    let (connection, mut server) = start();
    let (end, ()) = tokio::join!(lost(connection.call(1, frame(1))), async {
        server.write_all(&success(9, 0)).await.unwrap();
    });
    assert!(matches!(end, (Lost::Frame(FrameError::UnknownCall(9)), _)), "{end:?}");
    assert!(!connection.is_open());
    let (_, sent) = lost(connection.call(2, frame(1))).await;
    assert!(!sent, "what comes too late is surely not carried out");
}

#[tokio::test]
async fn a_server_that_closes_leaves_nobody_waiting() {
    let (connection, mut server) = start();
    let (one, two) = (lost(connection.call(1, frame(1))), lost(connection.call(2, frame(2))));
    let (one, two, ()) = tokio::join!(one, two, async {
        server.read_exact(&mut [0; 2]).await.unwrap();
        // Half a frame is no answer.
        server.write_all(&success(1, 0)[..6]).await.unwrap();
        drop(server);
    });
    assert!(matches!((&one, &two), ((Lost::Closed, true), (Lost::Closed, true))), "{one:?} {two:?}");
}

#[tokio::test]
async fn who_gave_up_is_not_surprised_by_a_late_answer() {
    let (connection, mut server) = start();
    assert!(timeout(Duration::from_millis(10), connection.call(1, frame(1))).await.is_err());
    let (answer, ()) = tokio::join!(connection.call(2, frame(2)), async {
        // A server answers what it has read.
        server.read_exact(&mut [0; 2]).await.unwrap();
        server.write_all(&[success(1, b'a'), success(2, b'b')].concat()).await.unwrap();
    });
    assert_eq!(answer.unwrap(), "b");
}

#[tokio::test]
async fn the_task_ends_with_its_last_handle() {
    let (connection, mut server) = start();
    let _ = timeout(Duration::from_millis(10), connection.call(1, frame(1))).await;
    drop(connection);
    let mut rest = Vec::new();
    timeout(MOMENT, server.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest, [1]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_and_takes_no_more_calls() {
    let (connection, mut server) = start_idle(Duration::from_secs(10));
    let mut rest = Vec::new();
    server.read_to_end(&mut rest).await.unwrap();
    assert!(!connection.is_open());
    assert!(!lost(connection.call(1, frame(1))).await.1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_a_waiting_call_is_not_idle() {
    let (connection, mut server) = start_idle(Duration::from_secs(10));
    let (answer, ()) = tokio::join!(connection.call(1, frame(1)), async {
        tokio::time::sleep(Duration::from_secs(100)).await;
        server.write_all(&success(1, b'a')).await.unwrap();
    });
    assert_eq!(answer.unwrap(), "a");
    assert!(connection.is_open());
}

proptest! {
    #[test]
    fn no_bytes_hang_or_panic_it(bytes in proptest::collection::vec(any::<u8>(), 0..200), valid in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (connection, mut server) = start();
            let serve = async move {
                let _ = server.write_all(&bytes).await;
                if valid {
                    let _ = server.write_all(&success(1, 0)).await;
                }
            };
            let (answer, ()) = tokio::join!(timeout(MOMENT, connection.call(1, frame(1))), serve);
            assert!(answer.is_ok(), "it hangs");
        });
    }
}
