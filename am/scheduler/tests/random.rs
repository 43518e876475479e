//! Random orders of events in a small world: nothing is lost, nothing leased twice at once, all ends.

mod world;

use forebay_scheduler::{Config, EarlyExit, OnRestart};
use proptest::prelude::*;
use world::{Op, World};

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        14 => Just(Op::Register),
        20 => (1usize..4, 0u64..20, 0u64..20)
            .prop_map(|(max, deliver, consume)| Op::Feed { max, deliver, consume }),
        8 => (1usize..4).prop_map(Op::Lease),
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
    ]
}

fn ops_with_masters() -> impl Strategy<Value = Vec<(usize, Op)>> {
    let op = prop_oneof![
        100 => op(),
        1 => (0usize..6, 1u32..4).prop_map(|(after, workers)| Op::KillMaster { after, workers }),
        1 => Just(Op::Stop),
        1 => Just(Op::CommitFails),
    ];
    prop::collection::vec((0usize..6, op), 0..250)
}

fn config() -> impl Strategy<Value = Config> {
    (1u32..4, 0u64..9, 1u64..3, 1u32..12, any::<bool>()).prop_map(
        |(workers, splits, epochs, restarts, fail)| Config {
            max_restarts: restarts,
            early_exit: if fail { EarlyExit::Fail } else { EarlyExit::Ok },
            ..Config::new("job_1", workers, splits, epochs)
        },
    )
}

fn live(config: Config, ops: Vec<(usize, Op)>) {
    let mut world = World::new(config);
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
    fn replayed_input_is_committed_once(config in config(), ops in ops_with_masters()) {
        live(config, ops);
    }

    #[test]
    fn acknowledged_and_committed_input_cover_all_once(config in config(), ops in ops_with_masters()) {
        live(Config { on_restart: OnRestart::FromAck, ..config }, ops);
    }
}
