//! A client against a real ResourceManager: the cluster, applications handed over, listed and killed, and what containers are given.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::path::Path;
use std::process::Command as Process;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use common::yarn::{Cluster, script, until};
use forebay_fixtures::YarnOptions;
use forebay_hadoop::ipc::Login;
use forebay_hadoop::yarn::{
    ApplicationFilter, ApplicationReport, ApplicationState, AttemptState, Command, ContainerLaunchContext,
    ContainerState, FinalStatus, LocalResource, NodeLabel, NodeState, QueueState, RM_DELEGATION_TOKEN,
    Resource, ResourceManager,
};
use forebay_hadoop::{Configuration, Credentials, NameNode, Token};

/// Two nodes with GPUs, one of them with a label, and three queues; no test submits anything to `idle`.
fn cluster() -> Arc<Cluster> {
    static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let cluster = Arc::new(Cluster::start(&YarnOptions {
            separate_hosts: true,
            gpus_per_node: 2,
            labels: vec![("fast".into(), 1)],
            queues: vec![("default".into(), 60, 100), ("other".into(), 20, 50), ("idle".into(), 20, 50)],
            ..YarnOptions::default()
        }));
        *shared = Arc::downgrade(&cluster);
        cluster
    })
}

async fn end(cluster: &Cluster, id: forebay_hadoop::yarn::ApplicationId) -> ApplicationReport {
    until("the application's end", async || {
        let report = cluster.client.application_report(id).await.unwrap();
        report.state.is_final().then_some(report)
    })
    .await
}

#[test]
fn the_cluster_says_what_it_has() {
    let cluster = cluster();
    let hosts = [0, 1].map(|i| cluster.yarn.node_id(i));
    cluster.run(async {
        let client = &cluster.client;
        let mut nodes = client.cluster_nodes(&[NodeState::Running]).await.unwrap();
        nodes.sort_by(|a, b| a.node.cmp(&b.node));
        assert_eq!(nodes.iter().map(|node| node.node.to_string()).collect::<Vec<_>>(), hosts);
        for node in &nodes {
            assert_eq!(node.capability, Resource::new(4096, 8).with("yarn.io/gpu", 2));
            assert_eq!((node.state, node.rack.as_str()), (NodeState::Running, "/default-rack"));
        }
        assert_eq!(
            (nodes[0].labels.as_slice(), nodes[1].labels.as_slice()),
            (&[][..], &["fast".to_owned()][..])
        );
        assert!(client.cluster_nodes(&[NodeState::Lost]).await.unwrap().is_empty());
        assert_eq!(
            client.node_labels().await.unwrap(),
            [NodeLabel { name: "fast".into(), is_exclusive: true }]
        );
        let mut types: Vec<_> =
            client.resource_types().await.unwrap().into_iter().map(|kind| kind.name).collect();
        types.sort_unstable();
        assert_eq!(types, ["memory-mb", "vcores", "yarn.io/gpu"]);
        let new = client.get_new_application().await.unwrap();
        assert_eq!(new.maximum_capability, Resource::new(4096, 8).with("yarn.io/gpu", 2));

        // The scheduler hears of labels a moment after the nodes have them.
        let queue = until("the queue's share of the node without label", async || {
            let queue = client.queue_info("root.idle").await.unwrap().unwrap();
            let plain = queue.partitions.iter().find(|partition| partition.label.is_empty())?;
            // 20 % and 50 % of it.
            ((plain.guaranteed.memory_mib, plain.maximum.memory_mib) == (819, 2048)).then_some(queue)
        })
        .await;
        // Before Hadoop 3.4 a queue has no path.
        let path = cluster.yarn.queue("idle");
        let path = if path == "idle" { "" } else { &path };
        assert_eq!(
            (queue.name.as_str(), queue.path.as_str(), queue.state),
            ("idle", path, QueueState::Running)
        );
        assert!(
            (queue.capacity - 0.2).abs() < 1e-6 && (queue.maximum_capacity - 0.5).abs() < 1e-6,
            "{queue:?}"
        );
        assert_eq!(queue.statistics.pending_mib, 0);
        let mut children = client.queue_info("root").await.unwrap().unwrap().children;
        children.sort_unstable();
        assert_eq!(children, ["default", "idle", "other"]);
        assert_eq!(client.queue_info("nope").await.unwrap(), None);
    });
}

#[test]
fn an_application_is_submitted_found_and_killed() {
    let cluster = cluster();
    cluster.run(async {
        let client = &cluster.client;
        let mut application = cluster.new_application("a nap").await;
        application.application_type = "NAP".into();
        application.queue = "other".into();
        application.tags = vec!["Tag-One".into(), "two".into()];
        application.resource = Resource::new(100, 1).with("yarn.io/gpu", 1);
        application.container = Some(ContainerLaunchContext::new(Command::new("sleep").arg("1000")));
        let report = cluster.submit(&application).await;
        let user = Login::from_conf(&cluster.conf).unwrap().user().to_owned();
        assert_eq!(
            (report.id, report.user.as_str(), report.queue.as_str()),
            (application.id, user.as_str(), cluster.yarn.queue("other").as_str())
        );
        assert_eq!((report.name.as_str(), report.application_type.as_str()), ("a nap", "NAP"));
        let mut tags = report.tags.clone();
        tags.sort_unstable();
        assert_eq!(tags, ["tag-one", "two"]);
        assert_eq!((report.started > 1_600_000_000_000, report.finished), (true, 0), "{report:?}");
        // Again is no mistake.
        assert_eq!(client.submit(&application).await.unwrap().id, application.id);

        let report = until("the application master's container", async || {
            let report = client.application_report(application.id).await.unwrap();
            (report.usage.containers == Some(1)).then_some(report)
        })
        .await;
        assert_eq!((report.state, report.label.as_str()), (ApplicationState::Accepted, ""));
        assert_eq!(report.usage.used, Resource::new(128, 1).with("yarn.io/gpu", 1));
        assert_eq!(report.attempt, Some(application.id.attempt(1)));
        assert!(report.am_rm_token.is_none() && !report.is_unmanaged);
        let attempt = until("the attempt to be launched", async || {
            let attempts = client.attempts(application.id).await.unwrap();
            assert_eq!(attempts.len(), 1);
            attempts.into_iter().find(|attempt| attempt.state == AttemptState::Launched)
        })
        .await;
        let container = until("the container's report", async || {
            let containers = client.containers(attempt.id).await.unwrap();
            containers.into_iter().find(|container| container.state == ContainerState::Running)
        })
        .await;
        assert_eq!(Some(container.id), attempt.am_container);
        assert_eq!(container.resource.amount("yarn.io/gpu"), 1);
        assert_eq!(container.node.unwrap().to_string(), cluster.yarn.node_id(0));

        let found = |filter: ApplicationFilter| async move {
            let found = client.applications(&filter).await.unwrap();
            found.iter().any(|report| report.id == application.id)
        };
        let names = |name: &str| vec![name.to_owned()];
        let all = ApplicationFilter::default();
        assert!(found(all.clone()).await);
        assert!(found(ApplicationFilter { types: names("NAP"), users: names(&user), ..all.clone() }).await);
        assert!(found(ApplicationFilter { tags: names("Tag-One"), ..all.clone() }).await);
        assert!(
            found(ApplicationFilter {
                states: vec![ApplicationState::Accepted],
                queues: names("other"),
                ..all.clone()
            })
            .await
        );
        assert!(!found(ApplicationFilter { types: names("OTHER"), ..all.clone() }).await);
        assert!(!found(ApplicationFilter { users: names("stranger"), ..all.clone() }).await);
        assert!(!found(ApplicationFilter { states: vec![ApplicationState::Killed], ..all.clone() }).await);

        client.force_kill(application.id, "no more naps").await.unwrap();
        let report = client.application_report(application.id).await.unwrap();
        assert_eq!((report.state, report.final_status), (ApplicationState::Killed, FinalStatus::Killed));
        assert!(
            report.diagnostics.contains("no more naps") && report.finished > report.started,
            "{report:?}"
        );
        client.force_kill(application.id, "again").await.unwrap();
    });
}

#[test]
fn what_cannot_be_is_refused_with_its_reason() {
    let cluster = cluster();
    cluster.run(async {
        let client = &cluster.client;
        let nap = ContainerLaunchContext::new(Command::new("sleep").arg("1000"));
        let mut application = cluster.new_application("nowhere").await;
        application.container = Some(nap.clone());
        application.queue = "nope".into();
        let report = client.submit(&application).await.unwrap();
        assert_eq!(report.state, ApplicationState::Failed);
        assert!(report.diagnostics.contains("unknown queue"), "{}", report.diagnostics);

        let mut application = cluster.new_application("too large").await;
        application.container = Some(nap.clone());
        application.resource = Resource::new(4097, 1);
        let error = client.submit(&application).await.unwrap_err();
        assert!(error.is_invalid_resource_request(), "{error}");
        application.resource = Resource::new(64, 1).with("yarn.io/gpu", 3);
        let error = client.submit(&application).await.unwrap_err();
        assert!(error.is_invalid_resource_request(), "{error}");
        let error = client.application_report(application.id).await.unwrap_err();
        assert!(
            error.is_application_not_found() && error.to_string().contains(&application.id.to_string()),
            "{error}"
        );
        let error = client.force_kill(application.id, "").await.unwrap_err();
        assert!(error.is_application_not_found(), "{error}");

        let mut application = cluster.new_application("no such label").await;
        application.container = Some(nap.clone());
        application.node_label = Some("nope".into());
        let error = client.submit(&application).await.unwrap_err();
        assert!(error.is_invalid_resource_request(), "{error}");

        // And where there is one, it is obeyed, for the application master alone if so wished.
        for own in [true, false] {
            let mut application = cluster.new_application("labelled").await;
            application.container = Some(nap.clone());
            if own {
                application.am_node_label = Some("fast".into());
            } else {
                application.node_label = Some("fast".into());
            }
            cluster.submit(&application).await;
            let node = until("its container", async || {
                client.containers(application.id.attempt(1)).await.ok()?.into_iter().find_map(|c| c.node)
            })
            .await;
            assert_eq!(node.to_string(), cluster.yarn.node_id(1), "{own}");
            client.force_kill(application.id, "").await.unwrap();
        }
    });
}

#[test]
fn a_delegation_token_does_for_its_owner() {
    let cluster = cluster();
    cluster.run(async {
        let client = &cluster.client;
        let user = Login::from_conf(&cluster.conf).unwrap().user().to_owned();
        let token = client.delegation_token(&user).await.unwrap();
        assert_eq!((token.kind.as_str(), &token.service), (RM_DELEGATION_TOKEN, &client.managers().name));
        let holder = |token: &Token| {
            let mut credentials = Credentials::new();
            credentials.add_token("t", token.clone());
            let login =
                Login::from_conf(&cluster.conf).unwrap().as_user("stranger").with_credentials(credentials);
            ResourceManager::connect_as(&cluster.conf, login).unwrap()
        };
        let id = holder(&token).get_new_application().await.unwrap().id;
        let mut application =
            forebay_hadoop::yarn::ApplicationSubmission::new(id, "by token", Resource::new(64, 1));
        application.container = Some(script("sleep 1000"));
        let report = holder(&token).submit(&application).await.unwrap();
        assert_eq!(report.user, user, "the token's owner, not who says to be someone");
        holder(&token).force_kill(id, "").await.unwrap();
        assert!(client.renew_delegation_token(&token).await.unwrap() > 1_600_000_000_000);
        client.cancel_delegation_token(&token).await.unwrap();
        let error = holder(&token).get_new_application().await.unwrap_err();
        assert!(error.is_invalid_token(), "{error}");
    });
}

/// What an environment, an argument, a file's name and a token have to pass: two shells and the NodeManager's own signs.
#[test]
fn what_a_container_is_given_arrives_as_it_was() {
    let cluster = cluster();
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| folder.path().join(name);
    let values = [
        "plain",
        "",
        " two  spaces ",
        "it's \"quoted\"",
        "$HOME ${HOME} $(id) `id` $$ $1",
        "back\\slash \\\\ \\n \\$X \\",
        "two\nlines\n",
        "{{HOME}} }} {{{ <LOG_DIR> <CPS> <ADD_OPENS> < A",
        "ä€𝄞\t!*?[a]~;|&<>#%",
    ];
    archive(&out("files.tgz"), folder.path());
    cluster
        .yarn
        .hdfs()
        .write("/staging/tool.sh", &b"#!/bin/sh\nprintf 'tool %s' \"$1\"\n"[..], None)
        .unwrap();
    cluster.yarn.hdfs().write("/staging/files.tgz", std::fs::read(out("files.tgz")).unwrap(), None).unwrap();

    let text = "printf '%s\\0' \"$@\" >\"$OUT/args\"; env -0 >\"$OUT/env\"\n\
        cp \"$HADOOP_TOKEN_FILE_LOCATION\" \"$OUT/tokens\"\n\
        bin/run/tool 'me & you' >\"$OUT/tool\"; cat 'my files/inner/a file' >\"$OUT/unpacked\"\n\
        echo on-stdout; echo on-stderr >&2; echo \"$1\" >\"$OUT/done\"; exit 5\n";
    let mut command = Command::new("/bin/bash").arg("-c").arg(text).arg("name");
    for value in values {
        command = command.arg(value);
    }
    let command = command.arg_shell("$PWD/x").output_to("stdout", "stderr");
    let mut credentials = Credentials::new();
    credentials.add_secret("job", &b"\0\xff secret"[..]);
    let mut context = ContainerLaunchContext::new(command)
        .credentials(credentials)
        .env_literal("OUT", folder.path().to_str().unwrap())
        .env_shell("SHELL_VALUE", "<$PWD>:$VALUE_0");
    for (i, value) in values.iter().enumerate() {
        context = context.env_literal(format!("VALUE_{i}"), *value);
    }

    let report = cluster.run(async {
        let authority = cluster.yarn.hdfs().uri().strip_prefix("hdfs://").unwrap().to_owned();
        let namenode = NameNode::connect(&cluster.conf, "").unwrap();
        let resource = async |path: &str| {
            let status = namenode.file_info(path).await.unwrap().unwrap();
            LocalResource::hdfs(&authority, path, status.len, status.modified).unwrap()
        };
        let context = context
            .resource("bin/run/tool", resource("/staging/tool.sh").await)
            .resource("my files", resource("/staging/files.tgz").await.unpacked());
        let mut application = cluster.new_application("given").await;
        application.container = Some(context);
        application.max_attempts = Some(1);
        cluster.submit(&application).await;
        end(&cluster, application.id).await
    });
    assert!(report.diagnostics.contains("exitCode: 5"), "{}", report.diagnostics);

    let read = |name: &str| String::from_utf8(std::fs::read(out(name)).unwrap()).unwrap();
    let list = |name: &str| read(name).split_terminator('\0').map(str::to_owned).collect::<Vec<_>>();
    let environment = list("env");
    let variable = |name: &str| {
        let found = environment.iter().find_map(|entry| entry.strip_prefix(&format!("{name}=")));
        found.unwrap_or_else(|| panic!("no {name}")).to_owned()
    };
    let work = variable("PWD");
    let args = list("args");
    assert_eq!(args[..values.len()], values);
    assert_eq!(args[values.len()..], [format!("{work}/x")]);
    for (i, value) in values.iter().enumerate() {
        assert_eq!(variable(&format!("VALUE_{i}")), *value);
    }
    assert_eq!(variable("SHELL_VALUE"), format!("<{work}>:plain"));
    assert!(variable("CONTAINER_ID").parse::<forebay_hadoop::yarn::ContainerId>().is_ok());
    assert_eq!(read("tool"), "tool me & you");
    assert_eq!(read("unpacked"), "from the archive");
    let tokens = Credentials::read_file(&out("tokens")).unwrap();
    let (alias, secret) = tokens.secrets().next().unwrap();
    assert_eq!((alias, &secret.expose()[..]), ("job", &b"\0\xff secret"[..]));
    assert_eq!(tokens.of_kind(forebay_hadoop::yarn::AM_RM_TOKEN).count(), 1);
}

/// An archive with `inner/a file` in it.
fn archive(to: &Path, room: &Path) {
    std::fs::create_dir(room.join("inner")).unwrap();
    std::fs::write(room.join("inner/a file"), "from the archive").unwrap();
    let made = Process::new("tar").arg("-czf").arg(to).arg("-C").arg(room).arg("inner").status().unwrap();
    assert!(made.success());
}

#[test]
fn a_resource_manager_that_is_not_there_is_given_up_in_time() {
    let mut conf = Configuration::empty();
    // A port that nobody listens on.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    conf.set("yarn.resourcemanager.address", listener.local_addr().unwrap().to_string());
    drop(listener);
    let client = ResourceManager::connect(&conf).unwrap().with_deadline(std::time::Duration::from_secs(1));
    let error = common::blocking(client.get_new_application()).unwrap_err();
    assert!(error.is_unanswered() && error.to_string().contains("refused"), "{error}");
}
