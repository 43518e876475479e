//! Random orders of events in a small world: nothing is lost, nothing leased twice at once, all ends.

mod world;

use core::time::Duration;

use forebay_scheduler::{ClusterEnd, Config, EarlyExit, Gang, OnRestart, Places};
use proptest::prelude::*;
use world::{Op, World};

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => Just(Op::Launch),
        14 => Just(Op::Register),
        20 => (1usize..4, 0u64..20, 0u64..20)
            .prop_map(|(max, deliver, consume)| Op::Feed { max, deliver, consume }),
        8 => (1usize..4).prop_map(Op::Lease),
        3 => (1usize..4).prop_map(Op::LoseLease),
        10 => (1u64..12).prop_map(Op::Deliver),
        10 => (1u64..12).prop_map(Op::Consume),
        3 => (0u64..4).prop_map(Op::AckBytes),
        3 => (0u64..3).prop_map(Op::AckRecords),
        6 => Just(Op::Heartbeat),
        1 => Just(Op::StaleHeartbeat),
        1 => Just(Op::ExitWell),
        2 => Just(Op::ExitBadly),
        6 => Just(Op::SayExit),
        1 => Just(Op::Fail),
        2 => any::<bool>().prop_map(|known| Op::KillAgent { known }),
        1 => Just(Op::Hang),
        5 => Just(Op::Staged),
        1 => Just(Op::StageFailed),
        6 => Just(Op::ContainerEnds),
        3 => (0u64..3000).prop_map(Op::Pass),
        4 => Just(Op::Wake),
        2 => Just(Op::Repeat),
        6 => Just(Op::Rejoin),
        1 => (0u64..20).prop_map(Op::Lie),
        3 => Just(Op::NotThere),
        2 => (cluster_end(), any::<bool>()).prop_map(|(what, known)| Op::ClusterEnds { what, known }),
        1 => Just(Op::Shortage),
    ]
}

fn cluster_end() -> impl Strategy<Value = ClusterEnd> {
    prop::sample::select(vec![
        ClusterEnd::Preempted,
        ClusterEnd::NodeLost,
        ClusterEnd::DisksFailed,
        ClusterEnd::Released,
        ClusterEnd::NotStarted,
        ClusterEnd::OutOfMemory,
        ClusterEnd::Other(-100),
    ])
}

fn replaced() -> impl Strategy<Value = Op> {
    (0usize..6, any::<u8>(), any::<bool>(), 0usize..3).prop_map(|(after, lost, any, unheard)| {
        Op::ReplaceMaster { after, lost: if any { lost } else { 0 }, unheard }
    })
}

fn ops_with_masters() -> impl Strategy<Value = Vec<(usize, Op)>> {
    let op = prop_oneof![
        100 => op(),
        1 => (0usize..6, 1u32..4).prop_map(|(after, workers)| Op::KillMaster { after, workers }),
        3 => replaced(),
        1 => Just(Op::Stop),
        1 => Just(Op::CommitFails),
    ];
    prop::collection::vec((0usize..6, op), 0..250)
}

/// All workers run and have taken something; then application masters come and go.
fn ops_of_living_agents() -> impl Strategy<Value = Vec<(usize, Op)>> {
    let op = prop_oneof![60 => op(), 10 => Just(Op::Rejoin), 4 => replaced(), 1 => Just(Op::Stop)];
    prop::collection::vec((0usize..6, op), 0..150).prop_map(|ops| {
        let feed = Op::Feed { max: 1, deliver: 5, consume: 3 };
        let begin = [Op::Launch, Op::Register, feed];
        let begin = begin.into_iter().flat_map(|op| (0..3).map(move |who| (who, op)));
        begin.chain(ops).collect()
    })
}

fn config() -> impl Strategy<Value = Config> {
    (1u32..4, 0u64..9, 1u64..3, 1u32..12, any::<bool>(), any::<[bool; 2]>()).prop_map(
        |(workers, splits, epochs, restarts, fail, [gang, fair])| Config {
            gang: gang.then_some(Gang { deadline: Duration::from_secs(100) }),
            max_restarts: restarts,
            early_exit: if fail { EarlyExit::Fail } else { EarlyExit::Ok },
            fair,
            ..Config::new("job_1", workers, splits, epochs)
        },
    )
}

/// The hosts of each split, of three on two racks; and whether nothing is heard of how far living agents are.
fn surroundings() -> impl Strategy<Value = (Option<Vec<Vec<u32>>>, bool)> {
    let hosts = prop::collection::vec(0u32..3, 0..3);
    (prop::option::of(prop::collection::vec(hosts, 9)), any::<bool>())
}

fn live(config: Config, (hosts, lags): (Option<Vec<Vec<u32>>>, bool), ops: Vec<(usize, Op)>) {
    let places = hosts.map(|hosts| {
        let mut places = Places::new(vec![0, 0, 1]);
        for (_, hosts) in (0..config.splits_per_epoch).zip(hosts) {
            places.push(hosts);
        }
        places
    });
    let mut world = World::new(config, places, lags);
    for (who, op) in ops {
        world.step(who, op);
    }
    world.run_to_the_end();
    world.check();
    // Whatever can be resumed goes on to a good end.
    for _ in 0..3 {
        if !world.aborted {
            let workers = world.config.workers;
            world.resume(workers);
            world.run_to_the_end();
            world.check();
        }
    }
}

proptest! {
    #[test]
    fn replayed_input_is_committed_once(config in config(), around in surroundings(), ops in ops_with_masters()) {
        live(config, around, ops);
    }

    #[test]
    fn acknowledged_and_committed_input_cover_all_once(config in config(), around in surroundings(), ops in ops_with_masters()) {
        live(Config { on_restart: OnRestart::FromAck, ..config }, around, ops);
    }

    #[test]
    fn agents_that_live_through_application_masters_lose_nothing(
        config in config(), splits in 3u64..9, from_ack in any::<bool>(), around in surroundings(),
        ops in ops_of_living_agents(),
    ) {
        let on_restart = if from_ack { OnRestart::FromAck } else { OnRestart::ReplayAll };
        live(Config { splits_per_epoch: splits, on_restart, ..config }, around, ops);
    }
}
