//! Who gets through to whom.

use std::io;

use rcgen::{CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::SupportedProtocolVersion;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::TLS12;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tonic::transport::server::Connected;

use super::*;
use crate::{Acceptor, AmSecrets, Bootstrap, Caller, ChannelEnd, JobSecrets, Role};

fn job() -> JobSecrets {
    JobSecrets::make("application_1_0001").unwrap()
}

/// What becomes of a connection: whom the AM takes the caller for, and whether the caller hears from it.
async fn connect(am: &AmSecrets, config: Arc<ClientConfig>) -> (io::Result<Caller>, io::Result<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = Acceptor::new(am).unwrap();
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut peer = acceptor.accept(stream).await?;
        peer.write_all(b"hello").await?;
        peer.shutdown().await?;
        Ok(peer.connect_info())
    };
    let client = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from(AM_NAME).unwrap();
        let mut stream = TlsConnector::from(config).connect(name, stream).await?;
        // In TLS 1.3 the caller is done before the other end has looked at its certificate.
        stream.read_exact(&mut [0; 5]).await.map(drop)
    };
    tokio::join!(server, client)
}

async fn assert_refused(am: &AmSecrets, config: Arc<ClientConfig>) {
    let (caller, heard) = connect(am, config).await;
    assert!(caller.is_err() && heard.is_err(), "{caller:?} {heard:?}");
}

#[tokio::test]
async fn agents_and_clients_are_told_by_their_certificates() {
    let job = job();
    for (identity, role) in [(&job.agent, Role::Agent), (&job.client, Role::Client)] {
        let (caller, heard) = connect(&job.for_am(), client(identity).unwrap()).await;
        heard.unwrap();
        assert_eq!(caller.unwrap(), Caller(Some(role)));
    }
}

/// As ours, but with this authority alone in mind, and perhaps with another certificate or version.
fn other_client(
    ca: &str,
    shown: Option<&Identity>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let authority = Identity { ca: ca.into(), cert: String::new(), key: String::new() };
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots(&authority).unwrap());
    let mut config = match shown {
        Some(identity) => config
            .with_client_auth_cert(vec![certificate(&identity.cert).unwrap()], key(identity).unwrap())
            .unwrap(),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![HTTP2.to_vec()];
    Arc::new(config)
}

#[tokio::test]
async fn callers_without_the_jobs_certificates_are_refused() {
    let (job, other) = (job(), job());
    let am = job.for_am();
    assert_refused(&am, other_client(&job.ca, None, &[&TLS13])).await;
    assert_refused(&am, other_client(&job.ca, Some(&other.agent), &[&TLS13])).await;
    // Signed by the job's authority, and for servers.
    assert_refused(&am, other_client(&job.ca, Some(&job.am), &[&TLS13])).await;
    // The helper itself gets through with what is right.
    let (caller, heard) = connect(&am, other_client(&job.ca, Some(&job.agent), &[&TLS13])).await;
    assert!(caller.is_ok() && heard.is_ok());
}

#[tokio::test]
async fn only_the_newest_version_of_tls_is_spoken() {
    let job = job();
    assert_refused(&job.for_am(), other_client(&job.ca, Some(&job.agent), &[&TLS12])).await;
}

/// An authority as the job's, and who it vouches for.
fn vouched(change: impl Fn(&mut CertificateParams)) -> AmSecrets {
    let key = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, key()).unwrap();
    let issue = |names: &[&str], purpose, change: &dyn Fn(&mut CertificateParams)| {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let (mut params, key) = (CertificateParams::new(names).unwrap(), key());
        params.extended_key_usages = vec![purpose];
        change(&mut params);
        let cert = params.signed_by(&key, &authority).unwrap().pem();
        Identity { ca: authority.pem(), cert, key: key.serialize_pem() }
    };
    let agent = issue(&[], ExtendedKeyUsagePurpose::ClientAuth, &change);
    AmSecrets {
        token: job().token,
        am: issue(&[AM_NAME], ExtendedKeyUsagePurpose::ServerAuth, &|_| {}),
        client_cert: issue(&[], ExtendedKeyUsagePurpose::ClientAuth, &|_| {}).cert.clone(),
        agent,
    }
}

#[tokio::test]
async fn a_certificate_that_is_over_is_refused() {
    let good = vouched(|_| {});
    let (caller, heard) = connect(&good, client(&good.agent).unwrap()).await;
    assert!(caller.is_ok() && heard.is_ok(), "{caller:?} {heard:?}");
    let over = vouched(|params| params.not_after = date_time_ymd(2020, 1, 1));
    assert_refused(&over, client(&over.agent).unwrap()).await;
}

#[tokio::test]
async fn what_the_authority_has_signed_for_another_use_may_not_call() {
    let good = vouched(|_| {});
    // The agent's certificate is exchanged for another of the same authority.
    let other = AmSecrets { agent: good.am.clone(), ..good.clone() };
    assert_refused(&other, client(&good.agent).unwrap()).await;
}

/// Connects an agent to whoever shows this identity, and tells what the agent says of it.
async fn agent_meets(job: &JobSecrets, server_identity: &Identity) -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let config = server(server_identity).unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let accepted = TlsAcceptor::from(config).accept(stream).await;
        if let Ok(mut stream) = accepted {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    let channel =
        ChannelEnd::Tls { address, am_file: "hdfs://nobody/am.json".into(), identity: job.agent.clone() };
    let (token, job_folder) = (job.token.clone(), "job".into());
    let bootstrap =
        Bootstrap { channel, token, index: 0, number: 1, job_id: "job".into(), job_folder, container: None };
    let connected = bootstrap.connect().await.map(drop).map_err(|error| error.to_string());
    server.await.unwrap();
    connected
}

#[tokio::test]
async fn an_agent_speaks_with_the_application_master_of_its_job_alone() {
    let (job, other) = (job(), job());
    agent_meets(&job, &job.am).await.unwrap();
    let said = agent_meets(&job, &other.am).await.unwrap_err();
    assert!(said.starts_with("cannot reach the application master at 127.0.0.1:"), "{said}");
    assert!(said.contains("certificate"), "{said}");
    // Who has an agent's certificate is no application master.
    let said = agent_meets(&job, &job.agent).await.unwrap_err();
    assert!(said.contains("certificate"), "{said}");
}

#[tokio::test]
async fn nobody_there_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let said = job().for_clients().connect(&address).await.unwrap_err().to_string();
    assert!(said.contains(&address) && said.to_lowercase().contains("refused"), "{said}");
}
