//! What happens to a running application: its token is renewed, the ResourceManager is restarted or fails over, its master dies.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use std::time::Duration;

use common::yarn::{Cluster, Master, PATIENCE, until};
use forebay_fixtures::YarnOptions;
use forebay_hadoop::Token;
use forebay_hadoop::yarn::{
    AllocateRequest, ApplicationMaster, ApplicationState, Ask, Command, Container, ContainerLaunchContext,
    ContainerState, FinalStatus, Finish, Heartbeat, Presence, Priority, Resource,
};

fn one(priority: u16) -> AllocateRequest {
    let asks = vec![Ask::any(Priority(priority), Resource::new(64, 1), 1)];
    AllocateRequest { asks, ..AllocateRequest::default() }
}

fn sleep() -> ContainerLaunchContext {
    ContainerLaunchContext::new(Command::new("sleep").arg("1000"))
}

/// A container of this master's that runs.
async fn running(master: &mut Master) -> Container {
    let mut seen = master.listen(one(1), |seen| !seen.containers.is_empty()).await;
    let container = seen.containers.remove(0);
    master.start(&container, &sleep()).await;
    master.runs(&container).await;
    container
}

/// Heartbeats until the ResourceManager has forgotten the master's registration.
async fn resync(master: &mut Master) {
    until("word of the new ResourceManager", async || match master.am.allocate(&one(9)).await.unwrap() {
        Heartbeat::Resync => Some(()),
        Heartbeat::Answer(_) => None,
        Heartbeat::Gone(why) => panic!("{why}"),
    })
    .await;
}

async fn finish(cluster: &Cluster, master: &mut Master) {
    assert_eq!(master.am.finish(FinalStatus::Succeeded, "well", "").await.unwrap(), Finish::Noted);
    let report = until("the application to be finished", async || {
        let report = cluster.client.application_report(master.id).await.unwrap();
        report.state.is_final().then_some(report)
    })
    .await;
    assert_eq!((report.state, report.final_status), (ApplicationState::Finished, FinalStatus::Succeeded));
}

#[test]
fn the_newest_token_is_used_when_the_old_one_has_lost_its_worth() {
    // A busy machine may be silent for a while. Hadoop refuses a shorter interval than three expiries.
    let rolling = "yarn.resourcemanager.am-rm-tokens.master-key-rolling-interval-secs";
    let cluster = Cluster::start(&YarnOptions {
        nodemanagers: 1,
        am_expiry_ms: Some(30_000),
        yarn_properties: vec![(rolling.into(), "91".into())],
        ..YarnOptions::default()
    });
    cluster.run(async {
        let mut master = cluster.unmanaged().await;
        master.register().await;
        let old = master.am.token().clone();
        // A client of its own has a connection of its own, and has to log in.
        let anew = |token: &Token| ApplicationMaster::connect_with(&cluster.conf, token.clone()).unwrap();
        until("a new token", async || {
            master.beat(&AllocateRequest::default()).await.token_rolled.then_some(())
        })
        .await;
        let new = master.am.token().clone();
        assert_ne!(new, old);
        assert_eq!(master.am.attempt(), Some(master.id.attempt(1)));
        // By half as long again as the expiry, the old one is worthless.
        until("the old token's end", async || {
            master.beat(&AllocateRequest::default()).await;
            let error = anew(&old).register(&Presence::default()).await.unwrap_err();
            error.is_invalid_token().then_some(())
        })
        .await;
        let late = anew(&old).allocate(&AllocateRequest::default()).await.unwrap();
        assert!(matches!(late, Heartbeat::Gone(_)), "{late:?}");
        let error = anew(&new).register(&Presence::default()).await.unwrap_err();
        assert!(error.is_already_registered(), "{error}");
        master.beat(&AllocateRequest::default()).await;
        finish(&cluster, &mut master).await;
    });
}

#[test]
fn a_restarted_resource_manager_is_told_everything_anew_and_containers_go_on() {
    let cluster = Cluster::start(&YarnOptions { nodemanagers: 1, ..YarnOptions::default() });
    let (mut master, mut other, container) = cluster.run(async {
        let mut master = cluster.sleeping(|_| {}).await;
        master.register().await;
        let container = running(&mut master).await;
        let mut other = cluster.sleeping(|_| {}).await;
        other.register().await;
        (master, other, container)
    });
    assert_eq!(container.id.epoch(), 0);

    cluster.yarn.resourcemanager().kill();
    master.am = master.am.with_deadline(Duration::from_secs(2));
    let error = cluster.run(master.am.allocate(&AllocateRequest::default())).unwrap_err();
    assert!(error.is_unanswered(), "{error}");
    cluster.yarn.resourcemanager().start().unwrap();
    cluster.yarn.wait_ready().unwrap();
    master.am = master.am.with_deadline(PATIENCE);

    cluster.run(async {
        // Nothing but its end is left to say, so nothing tells it to register again before.
        finish(&cluster, &mut other).await;
        resync(&mut master).await;
    });
    // It registers again, is heard, and does not wait for the answer.
    let presence = Presence { host: "again".into(), ..Presence::default() };
    let silent = cluster.yarn.resourcemanager().stop();
    let dropped = cluster
        .run(async { tokio::time::timeout(Duration::from_millis(300), master.am.register(&presence)).await });
    assert!(dropped.is_err());
    silent.cont();

    cluster.run(async {
        until("the registration to be heard", async || {
            let report = cluster.client.application_report(master.id).await.unwrap();
            (report.host == "again").then_some(())
        })
        .await;
        let error = master.am.register(&presence).await.unwrap_err();
        assert!(error.is_already_registered(), "{error}");
        let status = master.node(&container).statuses(&[container.id]).await.unwrap();
        assert_eq!(status.done[0].state, ContainerState::Running);
        let seen = master.listen(one(2), |seen| !seen.containers.is_empty()).await;
        let new = &seen.containers[0];
        assert_eq!((new.id.epoch(), new.id.attempt()), (1, container.id.attempt()));
        assert!(new.id.to_string().starts_with("container_e01_"), "{}", new.id);
        assert_eq!(new.id.to_string().parse(), Ok(new.id));
        master.start(new, &sleep()).await;
        // The NodeManager, too, reads its name so.
        master.runs(new).await;

        master.node(&container).stop(&[container.id]).await.unwrap();
        let seen = master.listen(AllocateRequest::default(), |seen| !seen.completed.is_empty()).await;
        assert_eq!(seen.completed[0].id, container.id);
        finish(&cluster, &mut master).await;
    });
}

#[test]
fn another_resource_manager_takes_over() {
    let cluster = Cluster::start(&YarnOptions { nodemanagers: 1, rm_ha: true, ..YarnOptions::default() });
    assert_eq!(cluster.client.managers().schedulers.len(), 2);
    let (mut master, container) = cluster.run(async {
        let mut master = cluster.sleeping(|_| {}).await;
        master.register().await;
        let container = running(&mut master).await;
        (master, container)
    });
    let first = cluster.client.active().cloned();
    cluster.yarn.fail_over(0, 1).unwrap();
    cluster.run(async {
        let report = cluster.client.application_report(master.id).await.unwrap();
        assert_eq!(report.id, master.id);
        assert_ne!(cluster.client.active().cloned(), first);
        resync(&mut master).await;
        master.register().await;
        let seen = master.listen(one(2), |seen| !seen.containers.is_empty()).await;
        assert!(seen.containers[0].id.epoch() > 0);
        let status = master.node(&container).statuses(&[container.id]).await.unwrap();
        assert_eq!(status.done[0].state, ContainerState::Running);
        finish(&cluster, &mut master).await;

        // A token is made out to both, and either takes it.
        let user = forebay_hadoop::ipc::Login::from_conf(&cluster.conf).unwrap().user().to_owned();
        let token = cluster.client.delegation_token(&user).await.unwrap();
        let managers = &cluster.client.managers().clients;
        let wanted: Vec<_> = managers.iter().map(ToString::to_string).collect();
        assert_eq!(token.service, wanted.join(","));
    });
}

#[test]
fn containers_outlive_their_master_and_are_handed_to_the_next() {
    let cluster = Cluster::start(&YarnOptions { nodemanagers: 1, ..YarnOptions::default() });
    cluster.run(async {
        let mut master = cluster
            .sleeping(|application| {
                application.keep_containers = true;
                application.max_attempts = Some(2);
            })
            .await;
        master.register().await;
        let container = running(&mut master).await;
        let attempts = cluster.client.attempts(master.id).await.unwrap();
        let am = attempts[0].am_container.expect("a container of the application master's");
        for pid in cluster.yarn.container_pids(None).remove(&am.to_string()).unwrap() {
            // Some may have gone with their parent.
            let _ = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
        }

        let mut next = cluster.attempt(master.id.attempt(2)).await;
        assert_eq!(next.am.attempt(), Some(master.id.attempt(2)));
        let registration = next.register().await;
        assert_eq!(registration.previous_containers.len(), 1);
        let kept = &registration.previous_containers[0];
        assert_eq!((kept.id, &kept.node, kept.priority), (container.id, &container.node, Priority(1)));
        assert_eq!(registration.nm_tokens.len(), 1);
        let stopped = next.node(kept).stop(&[kept.id]).await.unwrap();
        assert_eq!(stopped.done, [kept.id]);
        let seen = next.listen(AllocateRequest::default(), |seen| !seen.completed.is_empty()).await;
        assert_eq!(seen.completed[0].id, container.id);

        // The old one is told that it is.
        let old = master.am.allocate(&AllocateRequest::default()).await.unwrap();
        assert!(matches!(old, Heartbeat::Gone(_)), "{old:?}");
        finish(&cluster, &mut next).await;
    });
}
