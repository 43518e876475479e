//! The job's page for browsers, behind the cluster's web proxy: read-only, plain, and for the proxy's eyes alone.
//!
//! YARN's web proxy asks who a user is and then calls this page by plain HTTP from its own address. So the address of the
//! caller is all there is to go by: whoever is no proxy gets told so and nothing else. The proxy needs every answer to have a body.

mod html;
mod serve;
mod shown;

use std::net::IpAddr;
use std::sync::Arc;

use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::JobState;
use shown::Shown;

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
/// No scripts, pictures, forms or frames from anywhere; the page's own style.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// A job's page: `/` for people, `/status.json` for programs. It shows no logs, environment, arguments or secrets.
#[derive(Debug, Clone)]
pub struct StatusPage {
    latest: watch::Receiver<Arc<JobState>>,
    proxies: watch::Receiver<Vec<IpAddr>>,
    base: String,
}

impl StatusPage {
    /// The page of the job whose state is `latest`, for callers from one of `proxies`. `base` is the path under which browsers
    /// reach it, without a slash at its end: what YARN calls `APPLICATION_WEB_PROXY_BASE`.
    pub fn new(
        latest: watch::Receiver<Arc<JobState>>,
        proxies: watch::Receiver<Vec<IpAddr>>,
        base: impl Into<String>,
    ) -> Self {
        Self { latest, proxies, base: base.into() }
    }

    /// Answers callers until it is dropped, and its connections with it.
    pub async fn serve(self, listener: TcpListener) {
        serve::serve(self, listener).await;
    }

    /// Whether the caller is one of the proxies; also where an IPv6 socket shows an IPv4 address in its own form.
    fn is_proxy(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.proxies.borrow().iter().any(|proxy| proxy.to_canonical() == peer)
    }

    fn answer(&self, peer: IpAddr, method: &Method, path: &str) -> Response<String> {
        if !self.is_proxy(peer) {
            let why = format!(
                "{peer} is none of the cluster's web proxies; open this page through the ResourceManager\n"
            );
            return response(StatusCode::FORBIDDEN, TEXT, why);
        }
        if method != Method::GET && method != Method::HEAD {
            let why = "this page can only be read: use GET\n".to_owned();
            let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, why);
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let state = Arc::clone(&self.latest.borrow());
        let shown = Shown::of(&state);
        match path {
            "/" => response(StatusCode::OK, HTML, html::page(&shown, &self.base)),
            "/status.json" => match serde_json::to_string(&shown) {
                Ok(json) => response(StatusCode::OK, JSON, json + "\n"),
                Err(error) => response(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    TEXT,
                    format!("cannot show the job: {error}\n"),
                ),
            },
            _ => {
                let why = "there is no such page; there are / and /status.json\n".to_owned();
                response(StatusCode::NOT_FOUND, TEXT, why)
            }
        }
    }
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
