//! Connections: few, short and small, whoever calls and however slowly.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::StatusPage;

/// Connections at a time, of proxies and of others. Others have their own, so that they keep no proxy away.
const PROXIES: usize = 32;
const OTHERS: usize = 4;
/// A connection is one request and its answer, within so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// A request's line and headers come within so long, and are no longer than this (hyper asks for 8 KiB at least).
const HEAD_PATIENCE: Duration = Duration::from_secs(5);
const LONGEST_HEAD: usize = 16 << 10;
/// Before the next try, where connections cannot be accepted (no descriptor is left).
const PAUSE: Duration = Duration::from_millis(500);

pub(super) async fn serve(page: StatusPage, listener: TcpListener) {
    let page = Arc::new(page);
    let (proxies, others) = (Arc::new(Semaphore::new(PROXIES)), Arc::new(Semaphore::new(OTHERS)));
    // Ends its tasks when it is dropped.
    let mut connections = JoinSet::new();
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok((stream, peer)) => (stream, peer.ip()),
            Err(error) => {
                tracing::warn!("the status page cannot accept a connection: {error}");
                sleep(PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let places = if page.is_proxy(peer) { &proxies } else { &others };
        // Who finds no place is hung up on: to wait for one would keep the others waiting.
        let Ok(place) = Arc::clone(places).try_acquire_owned() else {
            tracing::debug!("the status page has too many callers; one from {peer} is turned away");
            continue;
        };
        let page = Arc::clone(&page);
        connections.spawn(async move {
            let _place = place;
            match timeout(PATIENCE, talk(&page, stream, peer)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!("the status page and {peer}: {error}"),
                Err(_) => tracing::debug!("the status page and {peer}: too slow"),
            }
        });
    }
}

/// One request and its answer.
async fn talk(page: &StatusPage, stream: TcpStream, peer: IpAddr) -> hyper::Result<()> {
    let service = service_fn(move |request: Request<Incoming>| async move {
        Ok::<_, Infallible>(page.answer(peer, request.method(), request.uri().path()))
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(LONGEST_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}
