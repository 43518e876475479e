//! Who may call what, what strangers may cost, and how long a dead end goes unnoticed.

use forebay_protocol::{ClientSecrets, JobSecrets, Token, v1};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::played::{Between, Served, heartbeat, in_time, offer, reading};
use crate::listen::{HANDSHAKE, STRANGERS};

fn assert_refused(answer: Result<(), Status>) {
    assert_eq!(answer.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn each_service_answers_its_own_callers_alone() {
    let am = Served::new().await;
    let (mut agent, mut client) = (am.agent().await, am.client().await);
    agent.register(v1::RegisterRequest::default()).await.unwrap();
    agent.rejoin(v1::RejoinRequest::default()).await.unwrap();
    assert_eq!(client.state(v1::StateRequest {}).await.unwrap().into_inner().json, b"{}");
    client.kill(v1::KillRequest { why: "enough".into() }).await.unwrap();
    assert_eq!(am.killed.lock().unwrap().take().as_deref(), Some("enough"));
    let calls = am.calls();

    let mut as_client = am.bootstrap(&am.secrets.client, &am.address).connect().await.unwrap();
    assert_refused(as_client.lease(v1::LeaseRequest::default()).await.map(drop));
    assert_refused(as_client.register(v1::RegisterRequest::default()).await.map(drop));
    assert_refused(as_client.logs(futures_util::stream::empty()).await.map(drop));
    let mut as_agent = am.client_as(&am.secrets.agent).await;
    assert_refused(as_agent.state(v1::StateRequest {}).await.map(drop));
    assert_refused(as_agent.kill(v1::KillRequest::default()).await.map(drop));
    assert_refused(as_agent.logs(v1::LogsRequest::default()).await.map(drop));
    assert_eq!(am.calls(), calls);
}

#[tokio::test]
async fn a_wrong_token_is_refused_whatever_the_certificate() {
    let am = Served::new().await;
    let mut bootstrap = am.bootstrap(&am.secrets.agent, &am.address);
    bootstrap.token = Token::new([7; 32]);
    let mut agent = bootstrap.connect().await.unwrap();
    assert_refused(agent.register(v1::RegisterRequest::default()).await.map(drop));
    let mut secrets = am.secrets.for_clients();
    secrets.token = Token::new([7; 32]);
    let mut client = secrets.connect(&am.address).await.unwrap();
    assert_refused(client.kill(v1::KillRequest::default()).await.map(drop));
    assert_eq!(am.calls(), 0);
}

#[tokio::test]
async fn strangers_reach_nothing() {
    let am = Served::new().await;
    // One of another job, who knows the token and trusts this application master.
    let other = JobSecrets::make("application_1700000000000_0008").unwrap();
    let mut identity = other.client.clone();
    identity.ca.clone_from(&am.secrets.ca);
    let secrets = ClientSecrets { token: am.secrets.token.clone(), client: identity };
    // He learns of his refusal when he connects, or when he calls.
    if let Ok(mut client) = secrets.connect(&am.address).await {
        in_time(client.kill(v1::KillRequest::default())).await.unwrap_err();
    }
    // One without TLS.
    let plain = tonic::transport::Endpoint::from_shared(format!("http://{}", am.address)).unwrap();
    if let Ok(channel) = plain.connect().await {
        let mut client = v1::job_client_client::JobClientClient::new(channel);
        in_time(client.kill(v1::KillRequest::default())).await.unwrap_err();
    }
    assert_eq!((am.calls(), am.killed.lock().unwrap().take()), (0, None));
}

#[tokio::test]
async fn many_strangers_who_say_nothing_keep_nobody_out_and_are_put_out() {
    let am = Served::new().await;
    let (mut strangers, since) = (Vec::new(), Instant::now());
    // More than have a place.
    for _ in 0..STRANGERS + 150 {
        strangers.push(in_time(TcpStream::connect(&am.address)).await.unwrap());
    }
    let mut agent = in_time(am.agent()).await;
    in_time(agent.heartbeat(heartbeat())).await.unwrap();
    let mut first_took = None;
    for mut stranger in strangers {
        // Closed, perhaps not without a word.
        let _ = in_time(stranger.read_to_end(&mut Vec::new())).await;
        first_took.get_or_insert_with(|| since.elapsed());
    }
    // While others waited for the place.
    assert!(first_took.is_some_and(|took| took < HANDSHAKE), "{first_took:?}");
    in_time(agent.heartbeat(heartbeat())).await.unwrap();
}

/// By both ends.
#[tokio::test]
async fn a_silent_host_is_noticed() {
    let am = Served::new().await;
    let between = Between::new(&am.address).await;
    let mut agent = am.bootstrap(&am.secrets.agent, &between.address).connect().await.unwrap();
    let (_offer, mut questions) = offer(&mut agent, 0, 1).await;
    let mut client = am.client().await;
    let mut log = reading(&mut client, "stdout", 0, true).await;
    assert!(in_time(questions.message()).await.unwrap().is_some());
    between.fall_silent();
    let (of_client, of_agent) = tokio::join!(in_time(log.message()), in_time(questions.message()));
    // Not the patience with an agent that does not answer, which would be a deadline that is exceeded.
    assert_eq!(of_client.unwrap_err().code(), Code::Unavailable);
    of_agent.unwrap_err();
}
