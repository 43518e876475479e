//! The status page, asked over TCP as a cluster's web proxy, or somebody else, would.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use forebay_am::{JobState, StatusPage};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const PROXY: Ipv4Addr = Ipv4Addr::LOCALHOST;
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// How long anything here may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_mins(1);

/// A job with two workers. Of its two secrets, none is to be seen.
fn state() -> Value {
    let worker = |index: u32| {
        json!({
            "index": index, "attempt": 2, "state": "running", "activity": "running", "restarts": 1, "max_restarts": 3,
            "leased": 2, "fed": 3, "done": 4, "agent_pid": 123_456, "worker_pid": 123_457, "host": "node-7.example",
            "progress": 0.25, "status": "epoch 3", "counters": [["group", "secret-counter", 1]],
            "figures": {
                "bytes": 2_500_000_000_u64, "seconds": 2.0, "gb_per_s": 1.25, "feed_waited_s": 0.1, "worker_waited_s": 0.2,
                "verdict": "feed-bound", "local_bytes": 1, "remote_bytes": 2, "copied_bytes": 3,
            },
            "failure": "was killed by signal 9\nlast output: secret-log",
        })
    };
    json!({
        "version": 1, "job": "job-1", "name": "count words", "folder": "/secret-folder", "pid": 123_455,
        "started": "2026-01-02T03:04:05Z", "updated": "2026-01-02T03:04:15Z", "seconds": 10.0, "phase": "running",
        "verdict": null, "input_mode": "stream", "worker_memory": null, "worker_cores": null, "files": 3,
        "bytes_planned": 10_000_000_000_u64, "epochs": 1,
        "units": { "total": 80, "waiting": 60, "leased": 4, "fed": 6, "done": 10 },
        "bytes": 5_000_000_000_u64, "bytes_stored": 5_000_000_000_u64, "bytes_moved": 6_000_000_000_u64, "gb_per_s": 2.5,
        "workers": [worker(0), worker(1)], "done_before": [], "fed_again": 0, "fed_again_first": [],
        "partly_read": 0, "partly_read_first": [], "outputs": ["hdfs:///secret-output"],
    })
}

/// A page that is served.
struct Site {
    address: SocketAddr,
    latest: watch::Sender<Arc<JobState>>,
    proxies: watch::Sender<Vec<IpAddr>>,
    serving: JoinHandle<()>,
}

impl Site {
    async fn start(state: Value) -> Self {
        let listener = TcpListener::bind((PROXY, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (latest, seen) = watch::channel(Arc::new(serde_json::from_value(state).unwrap()));
        let (proxies, allowed) = watch::channel(vec![PROXY.into()]);
        let page = StatusPage::new(seen, allowed, "/proxy/application_1_0001");
        Self { address, latest, proxies, serving: tokio::spawn(page.serve(listener)) }
    }

    async fn connect(&self, from: Ipv4Addr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    /// Status line, headers and body of the answer to this request.
    async fn ask(&self, from: Ipv4Addr, request: &str) -> (String, String, String) {
        let mut stream = self.connect(from).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
        let (status, headers) = head.split_once("\r\n").unwrap();
        (status.to_owned(), headers.to_lowercase(), body.to_owned())
    }

    async fn get(&self, from: Ipv4Addr, path: &str) -> (String, String, String) {
        self.ask(from, &format!("GET {path} HTTP/1.1\r\nHost: page\r\n\r\n")).await
    }
}

#[tokio::test]
async fn a_proxy_gets_the_page_and_the_same_as_json() {
    let site = Site::start(state()).await;
    let (status, headers, body) = site.get(PROXY, "/").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(headers.contains("content-type: text/html; charset=utf-8"), "{headers}");
    assert!(headers.contains("content-security-policy: default-src 'none'"), "{headers}");
    for shown in [
        "count words",
        "job-1",
        "running",
        "10 of 80 done",
        "5.00 GB of 10.00 GB",
        "2.50 GB/s",
        "node-7.example",
        "25.0 %",
        "epoch 3",
        "1 of 3",
        "feed-bound",
        "was killed by signal 9",
        "href=\"/proxy/application_1_0001/status.json\"",
    ] {
        assert!(body.contains(shown), "no '{shown}' in {body}");
    }
    // What was asked with a query is the same page: the proxy passes queries on.
    assert_eq!(site.get(PROXY, "/?x=1").await.2, body);

    let (status, headers, json) = site.get(PROXY, "/status.json").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(headers.contains("content-type: application/json"), "{headers}");
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["units"]["done"], 10);
    assert_eq!(value["workers"][1]["host"], "node-7.example");
    for text in [&body, &json] {
        assert!(!text.contains("secret") && !text.contains("12345"), "{text}");
    }
}

#[tokio::test]
async fn the_page_follows_the_job() {
    let site = Site::start(state()).await;
    assert!(site.get(PROXY, "/").await.2.contains("http-equiv"));
    let mut over = state();
    over["phase"] = json!("finished");
    over["verdict"] = json!({ "verdict": "failed", "why": "worker 1 failed 4 times" });
    site.latest.send(Arc::new(serde_json::from_value(over).unwrap())).unwrap();
    let body = site.get(PROXY, "/").await.2;
    assert!(body.contains("the job failed: worker 1 failed 4 times"), "{body}");
    assert!(!body.contains("http-equiv"), "{body}");
}

#[tokio::test]
async fn others_than_the_proxies_are_told_why_they_see_nothing() {
    let site = Site::start(state()).await;
    for path in ["/", "/status.json", "/other"] {
        let (status, _, body) = site.get(STRANGER, path).await;
        assert_eq!(status, "HTTP/1.1 403 Forbidden");
        assert!(body.contains("127.0.0.2 is none of the cluster's web proxies"), "{body}");
        assert!(!body.contains("job-1"), "{body}");
    }
    // The list may change.
    site.proxies.send(vec![STRANGER.into()]).unwrap();
    assert_eq!(site.get(STRANGER, "/").await.0, "HTTP/1.1 200 OK");
    assert_eq!(site.get(PROXY, "/").await.0, "HTTP/1.1 403 Forbidden");
}

#[tokio::test]
async fn what_workers_say_is_text() {
    let mut state = state();
    let evil = "<script>alert('x')</script>&\"";
    state["name"] = json!(evil);
    for key in ["status", "host", "activity", "failure"] {
        state["workers"][0][key] = json!(evil);
    }
    state["workers"][0]["figures"]["verdict"] = json!(evil);
    state["workers"][1]["status"] = json!("long ".repeat(1000));
    let site = Site::start(state).await;
    let body = site.get(PROXY, "/").await.2;
    assert!(!body.contains("<script"), "{body}");
    // Title and heading, and five cells.
    assert_eq!(body.matches("&lt;script&gt;").count(), 7, "{body}");
    assert!(body.len() < 8000, "{} bytes", body.len());
}

#[tokio::test]
async fn nothing_but_reading_is_answered_with_a_reason() {
    let site = Site::start(state()).await;
    for (method, body) in [("POST", "x".repeat(60_000)), ("PUT", "{}".to_owned()), ("DELETE", String::new())]
    {
        let length = body.len();
        let request = format!("{method} / HTTP/1.1\r\nHost: page\r\nContent-Length: {length}\r\n\r\n{body}");
        let (status, headers, answer) = site.ask(PROXY, &request).await;
        assert_eq!(status, "HTTP/1.1 405 Method Not Allowed");
        assert!(headers.contains("allow: get, head"), "{headers}");
        assert!(answer.contains("can only be read"), "{answer}");
    }
    let (status, headers, body) = site.ask(PROXY, "HEAD / HTTP/1.1\r\nHost: page\r\n\r\n").await;
    assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 200 OK", ""));
    let length = site.get(PROXY, "/").await.2.len();
    assert!(headers.contains(&format!("content-length: {length}")), "{headers}");
    let (status, _, body) = site.get(PROXY, "/../etc/passwd").await;
    assert_eq!(status, "HTTP/1.1 404 Not Found");
    assert!(body.contains("/status.json"), "{body}");
}

#[tokio::test]
async fn callers_that_say_nothing_keep_nobody_waiting_and_are_hung_up_on() {
    let site = Site::start(state()).await;
    // More strangers than are let in, a byte each; and some from a proxy's host.
    let mut slow = Vec::new();
    for from in [STRANGER; 50].into_iter().chain([PROXY; 20]) {
        let mut stream = site.connect(from).await;
        // Who is turned away at once may not even get this far.
        let _ = stream.write_all(b"G").await;
        slow.push(stream);
    }
    assert_eq!(site.get(PROXY, "/").await.0, "HTTP/1.1 200 OK");
    for mut stream in slow {
        let mut rest = Vec::new();
        // An end or a reset, in time.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap();
        assert!(!String::from_utf8_lossy(&rest).contains("job-1"));
    }
    assert_eq!(site.get(STRANGER, "/").await.0, "HTTP/1.1 403 Forbidden");
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let site = Site::start(state()).await;
    let mut stream = site.connect(PROXY).await;
    let _ = stream.write_all(b"GET / HTTP/1.1\r\n").await;
    // Until the server has had enough.
    let pour = async { while stream.write_all(&[b'x'; 1024]).await.is_ok() {} };
    timeout(PATIENCE, pour).await.unwrap();
    assert_eq!(site.get(PROXY, "/").await.0, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_page_that_is_no_longer_served_is_gone_with_its_connections() {
    let site = Site::start(state()).await;
    let mut stream = site.connect(PROXY).await;
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert_eq!(site.get(PROXY, "/").await.0, "HTTP/1.1 200 OK");
    site.serving.abort();
    assert!(site.serving.await.unwrap_err().is_cancelled());
    assert!(TcpStream::connect(site.address).await.is_err());
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.is_empty());
}
