//! An application master against a real ResourceManager and real NodeManagers: asks, containers, their ends, its own end.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use common::yarn::{Cluster, script, until};
use forebay_fixtures::YarnOptions;
use forebay_hadoop::yarn::{
    AllocateRequest, ApplicationState, Ask, Command, ContainerExitStatus, ContainerLaunchContext,
    ContainerState, FinalStatus, Finish, Heartbeat, Place, Presence, Priority, Resource,
};

/// Two nodes with hosts of their own, for all tests at a time that change nothing but their applications.
fn cluster() -> Arc<Cluster> {
    static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let cluster =
            Arc::new(Cluster::start(&YarnOptions { separate_hosts: true, ..YarnOptions::default() }));
        *shared = Arc::downgrade(&cluster);
        cluster
    })
}

fn asks(asks: impl IntoIterator<Item = Ask>) -> AllocateRequest {
    AllocateRequest { asks: asks.into_iter().collect(), ..AllocateRequest::default() }
}

#[test]
fn containers_are_asked_for_and_started_and_their_ends_are_told() {
    let cluster = cluster();
    cluster.run(async {
        let mut master = cluster.unmanaged().await;
        assert_eq!(master.am.attempt(), Some(master.id.attempt(1)));
        let registration = master.register().await;
        assert_eq!(registration.maximum_capability, Resource::new(4096, 8));
        assert_eq!(registration.queue, cluster.yarn.queue("default"));
        assert!(
            registration.resource_types.iter().any(|kind| kind.name == "memory-mb" && kind.units == "Mi")
        );
        assert!(registration.previous_containers.is_empty() && registration.nm_tokens.is_empty());

        let ask = Ask::any(Priority(3), Resource::new(100, 1), 3).with_id(7);
        let seen = master.listen(asks([ask.clone()]), |seen| seen.containers.len() == 3).await;
        assert_eq!(seen.last.cluster_nodes, 2);
        for container in &seen.containers {
            assert_eq!(container.resource, Resource::new(128, 1), "rounded up to multiples of 64");
            assert_eq!((container.priority, container.allocation_request_id), (Priority(3), Some(7)));
            assert_eq!(container.id.attempt(), master.id.attempt(1));
            assert!(container.node_http_address.contains(':'));
        }
        // The table's row is absolute: what it named is given, and the ask for none takes the rest back.
        master.beat(&asks([Ask { containers: 0, ..ask }])).await;

        let [failing, killed, stopped] = &seen.containers[..] else { panic!("{:?}", seen.containers) };
        master.start(failing, &script("echo said-on-stderr >&2; exit 3")).await;
        let sleep = ContainerLaunchContext::new(Command::new("sleep").arg("1000"));
        master.start(killed, &sleep).await;
        master.start(stopped, &sleep).await;
        master.runs(killed).await;
        master.runs(stopped).await;

        let again = master.node(killed).start(&[(killed, &sleep)]).await.unwrap();
        assert!(again.done.is_empty() && again.failed[0].is_already_started(), "{:?}", again.failed);
        let mut forged = killed.clone();
        forged.token.password = forebay_hadoop::credentials::Secret::new(&b"guess"[..]);
        let error = master.node(killed).start(&[(&forged, &sleep)]).await.unwrap_err();
        assert!(error.is_invalid_token(), "{error}");

        let status = master.node(killed).statuses(&[killed.id]).await.unwrap();
        assert_eq!(status.done[0].state, ContainerState::Running);
        assert_eq!(status.done[0].exit_status, ContainerExitStatus::INVALID);
        let done = master.node(stopped).stop(&[stopped.id]).await.unwrap();
        assert_eq!((done.done, done.failed.len()), (vec![stopped.id], 0));
        let pids = cluster.yarn.container_pids(None).remove(&killed.id.to_string()).unwrap();
        for pid in pids {
            // Some may have gone with their parent.
            let _ = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
        }

        let request = AllocateRequest { progress: 0.25, ..AllocateRequest::default() };
        let seen = master.listen(request, |seen| seen.completed.len() >= 3).await;
        let end = seen.completion(failing.id).unwrap();
        assert_eq!((end.exit_status, end.state), (ContainerExitStatus(3), ContainerState::Complete));
        assert!(end.diagnostics.contains("said-on-stderr"), "{}", end.diagnostics);
        assert_eq!(seen.completion(killed.id).unwrap().exit_status.signal(), Some(9));
        let end = seen.completion(stopped.id).unwrap();
        assert_eq!(end.exit_status, ContainerExitStatus::KILLED_BY_APPMASTER, "{}", end.diagnostics);

        let report = cluster.client.application_report(master.id).await.unwrap();
        assert_eq!((report.state, report.host.as_str()), (ApplicationState::Running, "here"));
        assert!((report.progress - 0.25).abs() < 1e-6 && report.is_unmanaged, "{report:?}");
        let end =
            master.am.finish(FinalStatus::Succeeded, "all is well", "http://127.0.0.1:1/x").await.unwrap();
        assert_eq!(end, Finish::Noted);
        let report = until("the application to be finished", async || {
            let report = cluster.client.application_report(master.id).await.unwrap();
            report.state.is_final().then_some(report)
        })
        .await;
        assert_eq!((report.state, report.final_status), (ApplicationState::Finished, FinalStatus::Succeeded));
        assert_eq!(report.diagnostics.trim(), "all is well");
        assert!(matches!(master.am.allocate(&AllocateRequest::default()).await.unwrap(), Heartbeat::Gone(_)));
    });
}

#[test]
fn containers_come_on_the_hosts_that_were_asked_for_and_not_on_those_that_were_refused() {
    let cluster = cluster();
    let [first, second] = [0, 1].map(|i| cluster.yarn.host(i));
    cluster.run(async {
        let mut master = cluster.unmanaged().await;
        master.register().await;
        let racks: Vec<_> =
            cluster.client.cluster_nodes(&[]).await.unwrap().into_iter().map(|node| node.rack).collect();

        // Only on the second host.
        let any = Ask::any(Priority(1), Resource::new(64, 1), 4);
        let only = [
            any.at(Place::Host(second.clone())),
            any.at(Place::Rack(racks[0].clone())).strict(),
            any.clone().strict(),
        ];
        let seen = master.listen(asks(only.clone()), |seen| seen.containers.len() == 4).await;
        assert!(
            seen.containers.iter().all(|container| container.node.host == second),
            "{:?}",
            seen.containers
        );
        let none = only.map(|ask| Ask { containers: 0, ..ask });
        master.beat(&asks(none)).await;

        // Given back before they were started.
        let releases: Vec<_> = seen.containers.iter().map(|container| container.id).collect();
        let request = AllocateRequest { releases: releases.clone(), ..AllocateRequest::default() };
        let seen = master.listen(request, |seen| seen.completed.len() == 4).await;
        for id in releases {
            assert_eq!(seen.completion(id).unwrap().exit_status, ContainerExitStatus::ABORTED);
        }

        // Anywhere but there, though it would be liked.
        let any = Ask::any(Priority(2), Resource::new(64, 1), 4);
        let request = AllocateRequest {
            blacklist: vec![second.clone()],
            ..asks([any.at(Place::Host(second.clone())), any.at(Place::Rack(racks[0].clone())), any.clone()])
        };
        let seen = master.listen(request, |seen| seen.containers.len() == 4).await;
        assert!(
            seen.containers.iter().all(|container| container.node.host == first),
            "{:?}",
            seen.containers
        );

        // And there again.
        let request = AllocateRequest {
            unblacklist: vec![second.clone()],
            ..asks([
                Ask { containers: 0, ..any.at(Place::Host(second.clone())) },
                Ask { containers: 0, ..any.at(Place::Rack(racks[0].clone())) },
                Ask { containers: 0, ..any.clone() },
                Ask::any(Priority(3), Resource::new(64, 1), 1).at(Place::Host(second.clone())),
                Ask::any(Priority(3), Resource::new(64, 1), 1).at(Place::Rack(racks[0].clone())).strict(),
                Ask::any(Priority(3), Resource::new(64, 1), 1).strict(),
            ])
        };
        let seen = master.listen(request, |seen| !seen.containers.is_empty()).await;
        assert_eq!(seen.containers[0].node.host, second);
        master.am.finish(FinalStatus::Succeeded, "", "").await.unwrap();
    });
}

#[test]
fn what_is_refused_is_told_by_its_kind_and_the_rest_goes_on() {
    let cluster = cluster();
    cluster.run(async {
        let mut master = cluster.unmanaged().await;
        let before = master.am.allocate(&AllocateRequest::default()).await.unwrap();
        assert_eq!(before, Heartbeat::Resync, "not registered yet");
        master.register().await;
        let error = master.am.register(&Presence::default()).await.unwrap_err();
        assert!(error.is_already_registered(), "{error}");

        let too_much = Ask::any(Priority(1), Resource::new(4097, 1), 1);
        let error = master.am.allocate(&asks([too_much])).await.unwrap_err();
        assert!(error.is_invalid_resource_request(), "{error}");
        let label = Ask { node_label: Some("gone".into()), ..Ask::any(Priority(1), Resource::new(64, 1), 1) };
        let error = master.am.allocate(&asks([label])).await.unwrap_err();
        assert!(error.is_invalid_resource_request(), "{error}");
        let seen = master
            .listen(asks([Ask::any(Priority(1), Resource::new(64, 1), 1)]), |seen| seen.containers.len() == 1)
            .await;

        // A container that cannot be started: the file is not there.
        let missing = forebay_hadoop::yarn::LocalResource::hdfs(
            cluster.yarn.hdfs().uri().strip_prefix("hdfs://").unwrap(),
            "/not/there",
            1,
            1,
        );
        master.start(&seen.containers[0], &script("true").resource("x", missing.unwrap())).await;
        let seen = master.listen(AllocateRequest::default(), |seen| !seen.completed.is_empty()).await;
        assert_eq!(seen.completed[0].exit_status, ContainerExitStatus::INVALID);
        assert!(seen.completed[0].diagnostics.contains("/not/there"), "{}", seen.completed[0].diagnostics);

        cluster.client.force_kill(master.id, "enough").await.unwrap();
        let gone = until("the end", async || match master.am.allocate(&AllocateRequest::default()).await {
            Ok(Heartbeat::Gone(why)) => Some(why),
            Ok(_) => None,
            Err(error) => panic!("{error}"),
        });
        assert!(gone.await.contains("appattempt_"));
        master.am.finish(FinalStatus::Failed, "", "").await.unwrap();
        let report = cluster.client.application_report(master.id).await.unwrap();
        assert_eq!((report.state, report.final_status), (ApplicationState::Killed, FinalStatus::Killed));
        assert!(report.diagnostics.contains("enough"), "{}", report.diagnostics);
    });
}

#[test]
fn heartbeats_that_nobody_answered_are_said_again() {
    let cluster = Cluster::start(&YarnOptions { nodemanagers: 1, ..YarnOptions::default() });
    let mut master = cluster.run(cluster.unmanaged());
    cluster.run(master.register());
    // Heard, but not answered in time: the ResourceManager is stopped meanwhile.
    let ask = |priority| asks([Ask::any(Priority(priority), Resource::new(64, 1), 1)]);
    cluster.run(master.beat(&AllocateRequest::default()));
    master.am = master.am.with_deadline(Duration::from_secs(2));
    let silent = cluster.yarn.resourcemanager().stop();
    let error = cluster.run(master.am.allocate(&ask(1))).unwrap_err();
    assert!(error.is_unanswered(), "{error}");
    // Given up by the caller; and so is its repetition.
    let dropped = cluster
        .run(async { tokio::time::timeout(Duration::from_millis(300), master.am.allocate(&ask(2))).await });
    assert!(dropped.is_err());
    silent.cont();
    master.am = master.am.with_deadline(common::yarn::PATIENCE);
    cluster.run(async {
        let seen = master.listen(ask(3), |seen| seen.containers.len() == 3).await;
        let mut priorities: Vec<_> = seen.containers.iter().map(|container| container.priority.0).collect();
        priorities.sort_unstable();
        assert_eq!(priorities, [1, 2, 3]);
    });

    // One of those that are said again is refused: none of them counts, and none is said later.
    let too_much = asks([Ask::any(Priority(4), Resource::new(4097, 1), 1)]);
    master.am = master.am.with_deadline(Duration::from_secs(2));
    let silent = cluster.yarn.resourcemanager().stop();
    for request in [&too_much, &ask(5)] {
        let error = cluster.run(master.am.allocate(request)).unwrap_err();
        assert!(error.is_unanswered(), "{error}");
    }
    silent.cont();
    master.am = master.am.with_deadline(common::yarn::PATIENCE);
    cluster.run(async {
        let error = master.am.allocate(&ask(6)).await.unwrap_err();
        assert!(error.is_invalid_resource_request(), "{error}");
        let seen = master.listen(ask(7), |seen| !seen.containers.is_empty()).await;
        let priorities: Vec<_> = seen.containers.iter().map(|container| container.priority.0).collect();
        assert_eq!(priorities, [7]);
        master.am.finish(FinalStatus::Succeeded, "", "").await.unwrap();
    });
}
