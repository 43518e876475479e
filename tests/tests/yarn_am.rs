//! Jobs on a real YARN, submitted by hand: the application master and its agents, without the client.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_am::launch::{Launch, Resource, ResourceKind, Visibility};
use forebay_am::{JobPlan, JobState};
use forebay_fixtures::{HdfsOptions, Yarn, YarnOptions};
use forebay_hadoop::yarn::{
    ApplicationSubmission, Command, ContainerLaunchContext, LocalResource, ResourceManager,
};
use forebay_hadoop::{Configuration, Credentials, yarn};
use forebay_job::Job;
use forebay_protocol::JobSecrets;
use hdfs_native::ClientBuilder;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::runtime::Runtime;

const PATIENCE: Duration = Duration::from_mins(6);

fn cluster() -> Yarn {
    let hdfs = HdfsOptions { datanodes: 2, block_size: 1 << 20, ..HdfsOptions::default() };
    // On a busy machine, an application master that is killed needs longer to clear away than the usual quarter of a second;
    // where it does not get that, clients clear away.
    let patient = ("yarn.nodemanager.sleep-delay-before-sigkill.ms".to_owned(), "20000".to_owned());
    let options =
        YarnOptions { hdfs, nm_memory_mib: 8192, yarn_properties: vec![patient], ..YarnOptions::default() };
    Yarn::start(&options).unwrap()
}

/// A cluster, and who submits to it.
struct Submitter {
    yarn: Yarn,
    runtime: Runtime,
    user: String,
}

impl Submitter {
    fn new(yarn: Yarn) -> Self {
        let user =
            std::env::var("USER").ok().filter(|user| !user.is_empty()).unwrap_or_else(|| "root".into());
        Self { yarn, runtime: Runtime::new().unwrap(), user }
    }

    fn conf(&self) -> Configuration {
        let mut conf = Configuration::from_folder(self.yarn.conf_dir()).unwrap();
        assert!(conf.add_named("yarn-site.xml").unwrap());
        conf
    }

    fn authority(&self) -> String {
        self.yarn.hdfs().uri().trim_start_matches("hdfs://").to_owned()
    }

    fn job_folder(&self, id: &str) -> String {
        format!("/user/{}/.forebay/jobs/{id}", self.user)
    }

    fn staging(&self, id: &str) -> String {
        format!("/user/{}/.forebay/staging/{id}", self.user)
    }

    /// Puts a file there, and says what YARN has to know of it.
    fn stage(&self, path: &str, link: &str, bytes: Bytes) -> Resource {
        let hdfs = self.yarn.hdfs();
        hdfs.write(path, bytes, None).unwrap();
        let client =
            self.runtime.block_on(async { ClientBuilder::new().with_url(hdfs.uri()).build() }).unwrap();
        let status = self.runtime.block_on(client.get_file_info(path)).unwrap();
        Resource {
            link: link.to_owned(),
            url: format!("{}{path}", hdfs.uri()),
            size: status.length as u64,
            timestamp: status.modification_time,
            kind: ResourceKind::File,
            visibility: Visibility::Application,
        }
    }

    /// What the client does.
    fn submit(&self, job: &str) -> String {
        let manager = ResourceManager::connect(&self.conf()).unwrap();
        let new = self.runtime.block_on(manager.get_new_application()).unwrap();
        let id = new.id.to_string();
        let (folder, staging) = (self.job_folder(&id), self.staging(&id));
        let job = Job::from_toml(job).unwrap();
        let plan = JobPlan::located(&id, &job).unwrap();
        let mut resources = Vec::new();
        let program = std::fs::read(forebay_tests::bin("forebay")).unwrap();
        resources.push(self.stage(&format!("{staging}/forebay"), "forebay", program.into()));
        for name in ["core-site.xml", "hdfs-site.xml", "yarn-site.xml"] {
            let bytes = std::fs::read(self.yarn.conf_dir().join(name)).unwrap();
            resources.push(self.stage(
                &format!("{staging}/conf/{name}"),
                &format!("conf/{name}"),
                bytes.into(),
            ));
        }
        let launch = Launch {
            version: forebay_am::launch::VERSION,
            resources: resources.clone(),
            links: Vec::new(),
            conf_dir: "conf".into(),
            user: self.user.clone(),
            staging,
            racks: std::collections::BTreeMap::new(),
            log: Some("info".into()),
        };
        let write = |name: &str, bytes: Vec<u8>| {
            self.yarn.hdfs().write(&format!("{folder}/{name}"), bytes, None).unwrap();
        };
        write("job.toml", job.to_toml().into_bytes());
        write("plan.json", plan.to_json().unwrap());
        write("launch.json", serde_json::to_vec(&launch).unwrap());
        let secrets = JobSecrets::make(&id).unwrap();
        let mut credentials = Credentials::new();
        credentials.add_secret("forebay.am", serde_json::to_vec(&secrets.for_am()).unwrap());
        let mut context =
            ContainerLaunchContext::new(Command::new("./forebay").arg("am").output_to("am.out", "am.log"))
                .env_shell("HADOOP_CONF_DIR", "$PWD/conf")
                .env_literal("HADOOP_USER_NAME", &self.user)
                .env_literal("FOREBAY_LOG", "info")
                .env_literal("FOREBAY_JOB_FOLDER", &folder)
                .credentials(credentials);
        for resource in &resources {
            let path = resource.url.trim_start_matches(&self.yarn.hdfs().uri());
            let local = LocalResource::hdfs(&self.authority(), path, resource.size, resource.timestamp);
            context = context.resource(&resource.link, local.unwrap());
        }
        let mut submission = ApplicationSubmission::new(new.id, "test", yarn::Resource::new(256, 1));
        submission.container = Some(context);
        submission.keep_containers = true;
        submission.max_attempts = Some(3);
        self.runtime.block_on(manager.submit(&submission)).unwrap();
        id
    }

    fn wait(&self, id: &str) -> Value {
        self.yarn.wait_application(id, PATIENCE).unwrap()
    }

    fn state(&self, id: &str) -> JobState {
        let text = self.yarn.hdfs().read(&format!("{}/state.json", self.job_folder(id))).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Kills all processes of a container.
    fn kill(&self, container: &str) {
        for pid in &self.yarn.container_pids(None)[container] {
            let pid = Pid::from_raw(i32::try_from(*pid).unwrap()).unwrap();
            // Its shell may have gone with it.
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// What containers have logged, for whoever looks at a test that failed.
    fn show(&self, id: &str) {
        let events =
            self.yarn.hdfs().read(&format!("{}/events.jsonl", self.job_folder(id))).unwrap_or_default();
        for line in events.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
            let told: Value = serde_json::from_slice(line).unwrap();
            eprintln!("{} {}", told["time"], told["text"]);
        }
        for i in 0..self.yarn.nodemanagers() {
            let logs = self.yarn.node_dir(i).join("logs");
            let found = std::process::Command::new("find")
                .arg(&logs)
                .args(["-name", "*.log", "-o", "-name", "stderr"])
                .output()
                .unwrap();
            for path in String::from_utf8_lossy(&found.stdout).lines() {
                eprintln!("== {path}\n{}", std::fs::read_to_string(path).unwrap_or_default());
            }
        }
    }
}

/// Numbered lines, about so many bytes of them.
fn lines(bytes: usize) -> Vec<u8> {
    (0..)
        .flat_map(|n: u64| format!("line {n:09} of the input\n").into_bytes())
        .take(bytes / 28 * 28)
        .collect()
}

fn sorted(text: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<_> = text.split_inclusive(|&b| b == b'\n').collect();
    lines.sort_unstable();
    lines
}

/// A job of three workers over `/<name>/in`, with output to `/<name>/out`.
struct OnYarn {
    submitter: &'static Submitter,
    name: &'static str,
    input: Vec<u8>,
}

impl OnYarn {
    fn new(name: &'static str) -> Self {
        static SHARED: OnceLock<Submitter> = OnceLock::new();
        Self::on(SHARED.get_or_init(|| Submitter::new(cluster())), name)
    }

    /// On a cluster of its own.
    fn on(submitter: &'static Submitter, name: &'static str) -> Self {
        let input = lines(3 << 20);
        submitter.yarn.hdfs().write(&format!("/{name}/in/file"), input.clone(), None).unwrap();
        Self { submitter, name, input }
    }

    fn submit(&self, command: &str, more: &str) -> String {
        let (uri, name) = (self.submitter.yarn.hdfs().uri(), self.name);
        self.submitter.submit(&format!(
            "name = '{name}'\ninput = ['{uri}/{name}/in']\noutput = ['{uri}/{name}/out']\nworkers = 3\n\
             worker-memory = '64M'\nsplit-size = '64K'\noutput-mode = 'stream'\n{more}\n\
             command = ['sh', '-c', '''{command}''']\n"
        ))
    }

    /// Waits for the end, which must be this one. Returns YARN's words.
    fn ends(&self, id: &str, status: &str) -> String {
        let end = self.submitter.wait(id);
        if end["finalStatus"] != *status || std::env::var_os("SHOW").is_some() {
            self.submitter.show(id);
        }
        assert_eq!(end["finalStatus"], *status, "{end}");
        end["diagnostics"].as_str().unwrap_or_default().to_owned()
    }

    fn output_is_exact(&self) {
        let hdfs = self.submitter.yarn.hdfs();
        let parts = hdfs.list(&format!("/{}/out", self.name)).unwrap();
        let mut output = Vec::new();
        for part in parts.iter().filter(|part| !part.ends_with("_SUCCESS")) {
            output.extend_from_slice(&hdfs.read(part).unwrap());
        }
        assert_eq!(parts.len(), 4, "{parts:?}");
        assert!(sorted(&output) == sorted(&self.input), "the output is not the input");
    }

    /// Nothing is staged, and nothing of the job's files is left.
    fn is_clear(&self, id: &str) -> bool {
        let hdfs = self.submitter.yarn.hdfs();
        let staged = hdfs.list(&format!("/{}/out", self.name)).unwrap();
        staged.is_empty() && hdfs.list(&self.submitter.staging(id)).unwrap().is_empty()
    }

    /// Waits until workers were fed something.
    fn is_fed(&self, id: &str) {
        until("workers to be fed", || {
            let path = format!("{}/state.json", self.submitter.job_folder(id));
            let state = self.submitter.yarn.hdfs().read(&path).ok();
            let state = state.and_then(|text| serde_json::from_slice::<JobState>(&text).ok());
            state.is_some_and(|state| state.units.fed > 0)
        });
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "still waiting: {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Passes everything on, slowly.
const SLOW: &str = r#"awk '{ print; if (NR % 500 == 0) system("sleep 0.3") }'"#;

#[test]
fn three_workers_share_a_file_and_their_output_is_there_once() {
    let job = OnYarn::new("three");
    let id = job.submit("cat", "");
    job.ends(&id, "SUCCEEDED");
    job.output_is_exact();
    let state = job.submitter.state(&id);
    assert_eq!(state.exit, Some(0));
    assert_eq!(state.cluster.unwrap().application, id);
    assert!(
        job.submitter.yarn.hdfs().list(&job.submitter.staging(&id)).unwrap().is_empty(),
        "staging is left"
    );
}

#[test]
fn an_application_master_that_is_killed_is_replaced_and_its_workers_live_on() {
    let job = OnYarn::new("killed-am");
    let id = job.submit(SLOW, "");
    job.is_fed(&id);
    let master = format!("{}_01_000001", id.replace("application", "container"));
    job.submitter.kill(&master);
    job.ends(&id, "SUCCEEDED");
    job.output_is_exact();
    let state = job.submitter.state(&id);
    assert_eq!(state.cluster.unwrap().attempt, 2);
    let attempts: Vec<_> = state.workers.iter().map(|worker| worker.attempt).collect();
    assert_eq!(attempts, [1, 1, 1], "no worker was restarted");
}

#[test]
fn a_worker_that_takes_too_much_memory_is_told_so() {
    let job = OnYarn::new("memory");
    let hog = r#"x=$(head -c 400000000 /dev/zero | tr "\000" x); sleep 100"#;
    let id = job.submit(hog, "max-restarts = 0");
    let words = job.ends(&id, "FAILED");
    assert!(words.contains("physical memory") && words.contains("--worker-memory"), "{words}");
    assert!(words.contains(&format!("forebay logs {id}")), "{words}");
    until("nothing to be left", || job.is_clear(&id));
}

#[test]
fn of_a_killed_application_nothing_is_left() {
    let job = OnYarn::new("killed-job");
    let id = job.submit(SLOW, "");
    job.is_fed(&id);
    job.submitter.yarn.kill_application(&id).unwrap();
    job.ends(&id, "KILLED");
    until("nothing to be left", || job.is_clear(&id));
}

#[test]
fn a_restarted_resource_manager_finds_the_job_running_and_restarts_what_has_died_meanwhile() {
    let job = OnYarn::on(Box::leak(Box::new(Submitter::new(cluster()))), "restarted-rm");
    let id = job.submit(SLOW, "");
    job.is_fed(&id);
    let manager = job.submitter.yarn.resourcemanager();
    manager.kill();
    job.submitter.kill(&format!("{}_01_000002", id.replace("application", "container")));
    thread::sleep(Duration::from_secs(3));
    manager.start().unwrap();
    until("the ResourceManager to be back", || job.submitter.yarn.application(&id).is_ok());
    job.ends(&id, "SUCCEEDED");
    job.output_is_exact();
    let state = job.submitter.state(&id);
    assert_eq!(state.cluster.unwrap().attempt, 1, "the application master lived on");
    let attempts: u32 = state.workers.iter().map(|worker| worker.attempt).sum();
    assert_eq!(attempts, 4, "one worker was restarted: {:?}", state.workers);
}
