//! Who may talk with a job: its own agents, and nobody else; and where its secret is: nowhere to be found.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod jobs;
mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use forebay_protocol::v1::application_master_client::ApplicationMasterClient;
use forebay_protocol::{Bootstrap, ChannelEnd, Token, v1};
use jobs::{Jobs, KEEP, assert_ok};
use support::{Running, run};
use tonic::Code;

/// A job that runs until `go` is there.
fn waiting(jobs: &Jobs) -> Running {
    let worker =
        "env > $ROOM/env; : > $ROOM/ready; until test -e $ROOM/go; do sleep 0.02; done; cat > output/got";
    let running = Running::start(jobs.run(&["--workers=2"], worker));
    jobs.0.wait_for("ready");
    running
}

fn bootstrap(socket: PathBuf, token: Token) -> Bootstrap {
    let folder = socket.parent().unwrap().to_owned();
    let channel = ChannelEnd::Socket { path: socket };
    Bootstrap {
        channel,
        token,
        index: 0,
        number: 1,
        job_id: "job".into(),
        job_folder: folder,
        container: None,
    }
}

#[test]
fn callers_without_the_token_are_refused_whatever_they_ask() {
    let jobs = Jobs::new();
    let running = waiting(&jobs);
    let socket = jobs.path("job/am.sock");
    assert_eq!(fs::metadata(jobs.path("job")).unwrap().mode() & 0o777, 0o700);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let attempt = Some(v1::Attempt { index: 0, number: 1 });
        let mut wrong = bootstrap(socket.clone(), Token::new([7; 32])).connect().await.unwrap();
        let refused =
            |code: Result<(), tonic::Status>| assert_eq!(code.unwrap_err().code(), Code::PermissionDenied);
        refused(wrong.register(v1::RegisterRequest { attempt, ..Default::default() }).await.map(drop));
        refused(wrong.lease(v1::LeaseRequest { attempt, max: 9, ..Default::default() }).await.map(drop));
        refused(wrong.heartbeat(v1::HeartbeatRequest { attempt, ..Default::default() }).await.map(drop));
        refused(wrong.exited(v1::ExitedRequest { attempt, ..Default::default() }).await.map(drop));
        refused(wrong.staged(v1::StagedRequest { attempt, ..Default::default() }).await.map(drop));
        refused(
            wrong.failed(v1::FailedRequest { attempt, fatal: true, ..Default::default() }).await.map(drop),
        );
        // And one without any token.
        let path = socket.clone();
        let connect = move |_: tonic::transport::Uri| {
            let path = path.clone();
            async move { tokio::net::UnixStream::connect(path).await.map(hyper_util::rt::TokioIo::new) }
        };
        let channel = tonic::transport::Endpoint::from_static("http://nobody")
            .connect_with_connector(tower::service_fn(connect))
            .await
            .unwrap();
        let mut without = ApplicationMasterClient::new(channel);
        refused(without.register(v1::RegisterRequest { attempt, ..Default::default() }).await.map(drop));
        refused(
            without.failed(v1::FailedRequest { attempt, fatal: true, ..Default::default() }).await.map(drop),
        );
    });
    jobs.0.file("go", "");
    assert_ok(&running.output());
    jobs.assert_exact();
    assert!(!socket.exists(), "the socket is left");
}

#[test]
fn the_token_is_in_no_file_argument_or_environment() {
    let jobs = Jobs::new();
    let running = waiting(&jobs);
    // A token is 64 hexadecimal digits; nothing that a job leaves about looks like one.
    let holds_token = |bytes: &[u8]| {
        let mut run = 0;
        bytes.iter().any(|byte| {
            run = if byte.is_ascii_digit() || (b'a'..=b'f').contains(byte) { run + 1 } else { 0 };
            run >= 64
        })
    };
    let processes = jobs.processes();
    assert!(processes.len() >= 7, "{processes:?}");
    for pid in processes {
        for name in ["cmdline", "environ"] {
            let path = format!("/proc/{}/{name}", pid.as_raw_nonzero());
            assert!(!holds_token(&fs::read(&path).unwrap_or_default()), "{path}");
        }
    }
    jobs.0.file("go", "");
    assert_ok(&running.output());
    let mut open = vec![jobs.path("job")];
    let mut files = 0;
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let meta = fs::symlink_metadata(entry.path()).unwrap();
            if meta.is_dir() {
                open.push(entry.path());
            } else if meta.is_file() {
                files += 1;
                assert!(!holds_token(&fs::read(entry.path()).unwrap()), "{:?}", entry.path());
            }
        }
    }
    assert!(files > 10, "{files}");
    assert!(!holds_token(&fs::read(jobs.path("env")).unwrap()));
}

/// Where the job's folder has a long path, the socket is elsewhere, and gone afterwards.
#[test]
fn a_job_in_a_folder_with_a_long_path_runs() {
    let jobs = Jobs::new();
    let deep = format!("{}/job", "x".repeat(120));
    let mut command = jobs.forebay(["run", "--input=in", "--output=out", "--workers=2"]);
    fs::create_dir(jobs.path("runtime")).unwrap();
    command.env("XDG_RUNTIME_DIR", jobs.path("runtime"));
    command.arg(format!("--job-dir={deep}")).args(["--", "sh", "-c", KEEP]);
    assert_ok(&run(command));
    jobs.assert_exact();
    assert_eq!(fs::read_dir(jobs.path("runtime")).unwrap().count(), 0);
}
