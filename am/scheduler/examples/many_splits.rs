//! What 100,000 splits and 1,000 workers cost: time of each call, bytes of memory; with and without three replicas of each split on as
//! many hosts as there are workers. Prints figures, checks nothing.
//!
//! `cargo run --release -p forebay-scheduler --example many_splits [SPLITS [EPOCHS [WORKERS]]]`
#![expect(clippy::print_stdout, reason = "it prints")]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use forebay_scheduler::{
    Ack, Action, Ask, Attempt, Begin, Config, End, Event, Granted, Lease, OnRestart, Places, Position,
    Scheduler, Skipped,
};

/// Bytes and records of every split.
const SPLIT: (u64, u64) = (128 << 20, 1_000_000);
/// Splits per lease.
const AHEAD: usize = 2;

struct Agent {
    attempt: Attempt,
    queue: VecDeque<u64>,
    granted: u64,
    begun: u64,
    at_end: bool,
}

impl Agent {
    fn new(attempt: Attempt) -> Self {
        Self { attempt, queue: VecDeque::new(), granted: 0, begun: 0, at_end: false }
    }

    fn ask(&self, at: Option<u32>) -> Ask {
        Ask { max: AHEAD, have: self.granted, ahead: self.granted - self.begun, at }
    }
}

#[derive(Default)]
struct Cost {
    calls: u32,
    sum: Duration,
    longest: Duration,
}

impl Cost {
    fn of<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = call();
        let took = start.elapsed();
        self.calls += 1;
        self.sum += took;
        self.longest = self.longest.max(took);
        result
    }

    fn print(&self, what: &str) {
        let mean = self.sum.as_secs_f64() * 1e6 / f64::from(self.calls.max(1));
        let longest = self.longest.as_secs_f64() * 1e6;
        println!("  {what:<28} {:>9} calls, mean {mean:>8.2} us, longest {longest:>10.1} us", self.calls);
    }
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok())
        .map_or(0, |kb: u64| kb << 10)
}

fn main() {
    let mut arguments = std::env::args().skip(1).map_while(|argument| argument.parse::<u64>().ok());
    let splits = arguments.next().unwrap_or(100_000);
    let epochs = arguments.next().unwrap_or(1);
    let workers = arguments.next().and_then(|n| u32::try_from(n).ok()).unwrap_or(1000);
    match arguments.next() {
        // A process each, so that none gets the memory that another has freed.
        None => {
            for case in 0..4u64 {
                let given = [splits, epochs, u64::from(workers), case].map(|n| n.to_string());
                let child = std::env::current_exe()
                    .and_then(|me| std::process::Command::new(me).args(given).status());
                if let Err(error) = child {
                    println!("cannot start this program again: {error}");
                }
            }
        }
        Some(0) => run(splits, epochs, workers, OnRestart::ReplayAll, true, false),
        Some(1) => run(splits, epochs, workers, OnRestart::FromAck, true, false),
        Some(2) => run(splits, epochs, workers, OnRestart::FromAck, false, false),
        Some(_) => run(splits, epochs, workers, OnRestart::ReplayAll, true, true),
    }
}

fn run(splits: u64, epochs: u64, workers: u32, on_restart: OnRestart, acks: bool, placed: bool) {
    println!(
        "{splits} splits in {epochs} epochs, {workers} workers, {on_restart:?}, acknowledging: {acks}, by places: {placed}"
    );
    let before = resident();
    let config = Config { on_restart, ..Config::new("job_1", workers, splits, epochs) };
    let Ok(mut scheduler) = Scheduler::new(config) else { return };
    if placed && scheduler.set_places(places(splits, workers)).is_err() {
        return;
    }
    let at = |attempt: Attempt| placed.then_some(attempt.index);
    let (mut local, mut granted_in_all) = (0u64, 0u64);
    let now = Duration::ZERO;
    let (mut lease, mut heartbeat, mut other, mut view) =
        (Cost::default(), Cost::default(), Cost::default(), Cost::default());
    other.of(|| scheduler.handle(now, Event::Start));
    let mut agents: Vec<_> = (0..workers).map(|index| Agent::new(Attempt { index, number: 1 })).collect();
    for agent in &agents {
        other.of(|| scheduler.handle(now, Event::Registered(agent.attempt)));
    }
    let mut most = 0;
    while agents.iter().any(|agent| !agent.at_end) {
        for agent in &mut agents {
            let ask = agent.ask(at(agent.attempt));
            match lease.of(|| scheduler.lease(now, agent.attempt, ask)) {
                Lease::Granted(granted) => {
                    agent.granted += granted.len() as u64;
                    granted_in_all += granted.len() as u64;
                    let here = |granted: &&Granted| {
                        hosts(granted.unit % splits, workers).contains(&agent.attempt.index)
                    };
                    local += granted.iter().filter(here).count() as u64;
                    agent.queue.extend(granted.iter().map(|granted| granted.unit));
                }
                _ => agent.at_end = true,
            }
            let position = feed(agent, acks);
            heartbeat.of(|| scheduler.handle(now, Event::Heartbeat(agent.attempt, position)));
        }
        most = most.max(resident());
    }
    view.of(|| scheduler.view());
    if placed {
        println!("  granted where they lie: {:.1} %", 100.0 * local as f64 / granted_in_all.max(1) as f64);
    }
    println!("  memory when all is fed: {:.1} MiB", (resident().max(most) - before) as f64 / 1_048_576.0);
    // One worker dies and another attempt is fed what it had.
    let dead = agents[0].attempt;
    let position = Some(Position::of_journal(Vec::new(), None));
    other
        .of(|| scheduler.handle(now, Event::ContainerEnded { attempt: dead, how: End::Signal(9), position }));
    let later = Duration::from_secs(1);
    other.of(|| scheduler.handle(later, Event::Tick));
    agents[0] = Agent::new(Attempt { index: 0, number: 2 });
    other.of(|| scheduler.handle(later, Event::Registered(agents[0].attempt)));
    loop {
        let ask = agents[0].ask(at(agents[0].attempt));
        let Lease::Granted(granted) = lease.of(|| scheduler.lease(later, agents[0].attempt, ask)) else {
            break;
        };
        agents[0].granted += granted.len() as u64;
        agents[0].queue.extend(granted.iter().map(|granted| granted.unit));
    }
    let mut committed = false;
    for agent in &mut agents {
        let position = Position { complete: true, ..feed(agent, acks) };
        let (attempt, status) = (agent.attempt, 0);
        other.of(|| scheduler.handle(later, Event::Exited { attempt, status, position }));
        let actions = other.of(|| scheduler.handle(later, Event::Staged { attempt }));
        committed |= actions.iter().any(|action| matches!(action, Action::Commit(_)));
    }
    lease.print("lease of 2");
    heartbeat.print("heartbeat");
    view.print("view");
    other.print("other events");
    println!("  all delivered: {committed}");
}

/// The hosts of a split, as if by chance.
fn hosts(split: u64, hosts: u32) -> [u32; 3] {
    let mixed = split.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    [7, 23, 41].map(|shift| u32::try_from((mixed >> shift) % u64::from(hosts)).unwrap_or(0))
}

/// Racks of 40 hosts.
fn places(splits: u64, workers: u32) -> Places {
    let mut places = Places::new((0..workers).map(|host| host / 40).collect());
    for split in 0..splits {
        places.push(hosts(split, workers));
    }
    places
}

/// The agent feeds all it has.
fn feed(agent: &mut Agent, acks: bool) -> Position {
    let skipped = Skipped::default();
    let begin = |(at, unit): (u64, u64)| Begin { unit, bytes: at * SPLIT.0, records: at * SPLIT.1, skipped };
    let begins: Vec<_> = (agent.begun..).zip(agent.queue.drain(..)).map(begin).collect();
    agent.begun += begins.len() as u64;
    let (delivered, delivered_records) = (agent.begun * SPLIT.0, agent.begun * SPLIT.1);
    let ack = acks.then_some(Ack::Records(delivered_records.saturating_sub(SPLIT.1 / 2)));
    Position { begins, delivered, delivered_records, consumed: delivered, whole: true, complete: false, ack }
}
