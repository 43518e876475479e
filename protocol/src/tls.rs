//! TLS as the channel uses it: version 1.3 alone, HTTP/2 inside, both sides with certificates of the job's own authority.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio_rustls::rustls;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::Identity;

/// The AM's name in its certificate, whatever host it is on.
pub(crate) const AM_NAME: &str = "application-master.forebay.internal";

const HTTP2: &[u8] = b"h2";

/// Certificates and keys of a channel that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the job's certificates cannot be used: {why}")]
pub struct TlsError {
    why: String,
}

impl TlsError {
    fn of(what: &'static str) -> impl Fn(String) -> Self {
        move |why| Self { why: format!("{what}: {why}") }
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self { why: error.to_string() }
    }
}

/// How an agent or a client connects.
pub(crate) fn client(identity: &Identity) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots(identity)?)
        .with_client_auth_cert(vec![certificate(&identity.cert)?], key(identity)?)?;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// How the AM accepts connections.
pub(crate) fn server(identity: &Identity) -> Result<Arc<ServerConfig>, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(identity)?), provider())
        .build()
        .map_err(|error| TlsError::of("the authority's")(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate(&identity.cert)?], key(identity)?)?;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    // Connections last as long as the job: there is nothing to resume, and so nothing is kept for it.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// A certificate from its PEM form.
pub(crate) fn certificate(pem: &str) -> Result<CertificateDer<'static>, TlsError> {
    let malformed = TlsError::of("a certificate");
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| malformed(error.to_string()))
}

fn key(identity: &Identity) -> Result<PrivateKeyDer<'static>, TlsError> {
    let malformed = TlsError::of("a key");
    PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(|error| malformed(error.to_string()))
}

fn roots(identity: &Identity) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(&identity.ca)?)?;
    Ok(roots)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
