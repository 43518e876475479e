//! Agents in containers, and the application masters that they meet: over TLS, one after the other.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use forebay_hadoop::Credentials;
use forebay_hadoop::credentials::FileVersion;
use forebay_protocol::{Acceptor, Bootstrap, ChannelEnd, Container, JobSecrets};
use rustix::process::{Signal, kill_process_group};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::Server;

use super::{Played, Running};

/// The secrets of a played job, and what its containers are told.
pub(crate) struct Yarn<'a> {
    am: &'a Played,
    secrets: JobSecrets,
    /// Where `am.json` is.
    pub(crate) am_file: String,
    /// The job's history.
    pub(crate) history: String,
    pub(crate) links: Vec<String>,
    pub(crate) patience_s: u64,
    pub(crate) conf_dir: Option<PathBuf>,
}

/// An application master's process, so to speak.
pub(crate) struct Master {
    pub(crate) address: String,
    runtime: Runtime,
}

impl Master {
    /// It is gone at once, with all its connections.
    pub(crate) fn kill(self) {
        self.runtime.shutdown_timeout(super::PATIENCE);
    }
}

impl<'a> Yarn<'a> {
    pub(crate) fn new(am: &'a Played) -> Self {
        let mut secrets = JobSecrets::make("application_1_0001").unwrap();
        secrets.token = am.token.clone();
        Self {
            am,
            secrets,
            am_file: am.path("am.json").to_str().unwrap().to_owned(),
            history: am.path("history").to_str().unwrap().to_owned(),
            links: Vec::new(),
            patience_s: 60,
            conf_dir: None,
        }
    }

    /// Starts the application master of an attempt of the application.
    pub(crate) fn master(&self, attempt: u32) -> Master {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let context = runtime.enter();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let acceptor = Acceptor::new(&self.secrets.for_am()).unwrap();
        let incoming = futures_util::stream::unfold((listener, acceptor), |(listener, acceptor)| async {
            let (stream, _) = listener.accept().await.unwrap();
            Some((acceptor.accept(stream).await, (listener, acceptor)))
        });
        let service = self.am.service(attempt);
        runtime.spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        drop(context);
        Master { address, runtime }
    }

    /// What an application master writes when it begins.
    pub(crate) fn am_json(attempt: u32, address: &str) -> String {
        format!("{{\"version\":1,\"attempt\":{attempt},\"address\":\"{address}\"}}")
    }

    /// Says where the application master is, in a file of this machine.
    pub(crate) fn publish(&self, attempt: u32, address: &str) {
        let new = format!("{}.new", self.am_file);
        fs::write(&new, Self::am_json(attempt, address)).unwrap();
        fs::rename(new, &self.am_file).unwrap();
    }

    /// The folder of a container.
    pub(crate) fn folder(&self, index: u32, number: u32) -> PathBuf {
        self.am.path(&format!("container_{index}_{number}"))
    }

    /// Where its logs are.
    pub(crate) fn log(&self, index: u32, number: u32, name: &str) -> PathBuf {
        self.am.path(&format!("logs_{index}_{number}")).join(name)
    }

    /// Starts a container whose agent is told that the application master is at `address`.
    pub(crate) fn start(&self, index: u32, number: u32, address: &str) -> Running {
        let bootstrap = Bootstrap {
            channel: ChannelEnd::Tls {
                address: address.to_owned(),
                am_file: self.am_file.clone(),
                identity: self.secrets.agent.clone(),
            },
            token: self.am.token.clone(),
            index,
            number,
            job_id: "application_1_0001".into(),
            job_folder: "job".into(),
            container: Some(Container {
                links: self.links.clone(),
                history: self.history.clone(),
                memory_mib: 1024,
                am_patience_s: self.patience_s,
            }),
        };
        let folder = self.folder(index, number);
        fs::create_dir_all(&folder).unwrap();
        let mut credentials = Credentials::new();
        credentials.add_secret(Bootstrap::SECRET, serde_json::to_vec(&bootstrap).unwrap());
        let tokens = folder.join("container_tokens");
        credentials.write_file(&tokens, FileVersion::Writable).unwrap();
        let log = self.log(index, number, "agent.log");
        fs::create_dir_all(log.parent().unwrap()).unwrap();
        let mut command = Command::new(forebay_tests::bin("forebay"));
        command.arg("agent").current_dir(&folder).stdin(Stdio::null()).process_group(0);
        command.env_remove("FOREBAY_LOG").env_remove("HADOOP_CONF_DIR");
        command.envs(self.conf_dir.iter().map(|folder| ("HADOOP_CONF_DIR", folder)));
        command.env("CONTAINER_ID", "container_1_0001_01_000002").env("HADOOP_TOKEN_FILE_LOCATION", tokens);
        let logs = format!("{},{}", log.parent().unwrap().display(), self.am.path("other_logs").display());
        command.env("LOG_DIRS", logs);
        Running { child: command.spawn().unwrap(), stdin: None, log }
    }
}

impl Running {
    /// What a NodeManager does to a container.
    pub(crate) fn signal_group(&self, signal: Signal) {
        kill_process_group(self.pid(), signal).unwrap();
    }
}

/// Bytes of a file, 0 if it is not there.
pub(crate) fn len(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |facts| facts.len())
}
