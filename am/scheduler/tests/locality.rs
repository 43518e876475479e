//! Splits go to whom they lie near, and a thousand agents through a hundred thousand of them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod job;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use forebay_scheduler::{
    Action, Ask, Attempt, Begin, ClusterEnd, Config, ConfigError, End, Event, Granted, Lease, LedgerRecord,
    Places, Position, Scheduler, Skipped, Verdict,
};
use proptest::prelude::*;

use job::*;

/// Hosts 0 and 1 on one rack, 2 and 3 on another.
fn places(splits: &[&[u32]]) -> Places {
    let mut places = Places::new(vec![7, 7, 9, 9]);
    for hosts in splits {
        places.push(hosts.iter().copied());
    }
    places
}

fn placed(config: Config, splits: &[&[u32]]) -> Job {
    let workers = config.workers;
    let mut scheduler = Scheduler::new(config).unwrap();
    scheduler.set_places(places(splits)).unwrap();
    let mut job = Job::of(scheduler);
    (0..workers).for_each(|index| job.tell(Event::Registered(attempt(index, 1))));
    job
}

fn at(job: &mut Job, whose: Attempt, max: usize, host: u32) -> Vec<u64> {
    match job.ask_at(whose, max, Some(host)) {
        Lease::Granted(granted) => granted.into_iter().map(|granted| granted.unit).collect(),
        Lease::EndOfInput => Vec::new(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn places_are_of_the_splits() {
    let mut scheduler = Scheduler::new(config(1, 2)).unwrap();
    let refused = scheduler.set_places(places(&[&[0]]));
    assert_eq!(refused, Err(ConfigError::Places { known: 1, splits: 2 }));
    let known = places(&[&[0, 3, 3, 9], &[], &[2]]);
    assert_eq!((known.hosts(), known.splits(), known.rack(3), known.rack(4)), (4, 3, Some(9), None));
    assert_eq!(
        [0, 1, 2, 3].map(|split| known.hosts_of(split).to_vec()),
        [vec![0, 3], vec![], vec![2], vec![]]
    );
}

#[test]
fn the_nearest_come_first_and_those_of_others_last() {
    // By the end of the first lease: B feeds on 1, C on 2.
    let splits: [&[u32]; 9] = [&[1], &[2], &[3], &[0, 1], &[], &[0], &[1, 3], &[1], &[3]];
    let mut job = placed(config(3, 9), &splits);
    let c = attempt(2, 1);
    assert_eq!((at(&mut job, B, 1, 1), at(&mut job, c, 1, 2)), (vec![0], vec![1]));
    // Its own; then what lies where nobody feeds; then its rack's, and those of others.
    assert_eq!(at(&mut job, A, 100, 0), [3, 5, 2, 4, 8, 6, 7]);
    job.killed(A, None);
    // Nobody feeds on 0 any more. C's rack is that of 3.
    assert_eq!(at(&mut job, c, 3, 2), [2, 8, 4]);
    assert_eq!(at(&mut job, c, 100, 2), [5, 6, 3, 7]);
}

#[test]
fn what_lay_near_one_that_is_gone_is_for_all() {
    let mut job = placed(config(2, 4), &[&[1], &[1], &[0], &[1]]);
    assert_eq!(at(&mut job, B, 1, 1), [0]);
    // While B feeds there, 1 and 3 are the last.
    assert_eq!(at(&mut job, A, 1, 0), [2]);
    job.exited(B, 0, complete(&[0]));
    assert_eq!(at(&mut job, A, 9, 0), [1, 3]);
    // Also where it was passed over before, and lies behind what is another's still.
    let mut job = placed(config(3, 5), &[&[3], &[2], &[2], &[3], &[]]);
    assert_eq!((at(&mut job, B, 1, 3), at(&mut job, attempt(2, 1), 1, 2)), (vec![0], vec![1]));
    assert_eq!(at(&mut job, A, 1, 0), [4]);
    job.exited(B, 0, complete(&[0]));
    assert_eq!(at(&mut job, A, 9, 0), [3, 2]);
}

#[test]
fn an_epoch_is_over_before_the_next_begins() {
    let mut job = placed(Config { epochs: 2, ..config(2, 3) }, &[&[0], &[1], &[0]]);
    assert_eq!(at(&mut job, A, 2, 0), [0, 2]);
    // Not the local ones of the next epoch.
    assert_eq!(at(&mut job, A, 2, 0), [1, 3]);
    // What comes back of the first epoch is the first again.
    job.killed(A, None);
    assert_eq!(at(&mut job, B, 9, 1), [1, 0, 2, 4, 3, 5]);
}

#[test]
fn a_host_that_nobody_knows_gets_the_lowest() {
    let mut job = placed(config(2, 3), &[&[1], &[0], &[1]]);
    assert_eq!((at(&mut job, A, 1, 99), job.lease(B, 9)), (vec![0], vec![1, 2]));
}

/// As the pages say it, with every unit looked at.
struct Model {
    splits: Vec<Vec<u32>>,
    racks: Vec<u32>,
    waiting: BTreeSet<u64>,
    feeding: BTreeMap<Attempt, u32>,
}

impl Model {
    fn next(&self, host: u32) -> Option<u64> {
        let first = *self.waiting.first()?;
        let epoch = first / self.splits.len() as u64;
        let end = (epoch + 1) * self.splits.len() as u64;
        let in_epoch: Vec<_> = self.waiting.range(..end).copied().collect();
        let hosts = |unit: u64| &self.splits[usize::try_from(unit % self.splits.len() as u64).unwrap()];
        let is_free = |unit: u64| !hosts(unit).iter().any(|host| self.feeding.values().any(|at| at == host));
        let rack = |host: u32| self.racks[host as usize];
        let near = |unit: u64| hosts(unit).iter().any(|&other| other != host && rack(other) == rack(host));
        let many = self.racks.iter().collect::<BTreeSet<_>>().len() > 1;
        let find = |is: &dyn Fn(u64) -> bool| in_epoch.iter().copied().find(|&unit| is(unit));
        find(&|unit| hosts(unit).contains(&host))
            .or_else(|| find(&|unit| many && near(unit) && is_free(unit)))
            .or_else(|| find(&is_free))
            .or_else(|| find(&|unit| many && near(unit)))
            .or(Some(first))
    }
}

proptest! {
    #[test]
    fn the_next_unit_is_the_one_that_looking_at_all_finds(
        racks in prop::collection::vec(0u32..3, 1..6),
        splits in prop::collection::vec(prop::collection::vec(0u32..6, 0..4), 1..12),
        epochs in 1u64..4,
        steps in prop::collection::vec((0u32..4, 0u32..6, 1usize..4, 0u32..6), 0..60),
    ) {
        let hosts = u32::try_from(racks.len()).unwrap();
        let splits: Vec<Vec<u32>> =
            splits.into_iter().map(|hosts_of| hosts_of.into_iter().filter(|&host| host < hosts).collect()).collect();
        let mut known = Places::new(racks.clone());
        for hosts in &splits {
            known.push(hosts.iter().copied());
        }
        let total = splits.len() as u64;
        let config = Config { epochs, max_restarts: 1000, first_backoff: Duration::ZERO, ..config(4, total) };
        let mut scheduler = Scheduler::new(config).unwrap();
        scheduler.set_places(known).unwrap();
        let mut job = Job::of(scheduler);
        let mut model = Model { splits, racks, waiting: (0..total * epochs).collect(), feeding: BTreeMap::new() };
        let mut workers: Vec<_> = (0..4).map(|index| (attempt(index, 1), BTreeSet::new())).collect();
        for &(whose, _) in &workers {
            job.tell(Event::Registered(whose));
        }
        for (index, host, max, what) in steps {
            let (whose, held) = &mut workers[index as usize];
            let host = *model.feeding.get(whose).unwrap_or(&(host % hosts));
            if what == 0 {
                job.killed(*whose, None);
                model.feeding.remove(whose);
                model.waiting.append(held);
                whose.number += 1;
                job.tell(Event::Tick);
                job.tell(Event::Registered(*whose));
                continue;
            }
            model.feeding.insert(*whose, host);
            let mut expected = Vec::new();
            while expected.len() < max && let Some(unit) = model.next(host) {
                model.waiting.remove(&unit);
                expected.push(unit);
            }
            prop_assert_eq!(at(&mut job, *whose, max, host), expected.clone());
            held.extend(expected);
        }
    }
}

/// Random numbers, the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn of(&mut self, n: usize) -> usize {
        usize::try_from(self.below(n as u64)).unwrap()
    }
}

/// An agent as the simulation needs it: all that it was granted, and how many of these are fed.
struct Agent {
    attempt: Attempt,
    host: u32,
    granted: Vec<Granted>,
    fed: usize,
    told: usize,
    over: bool,
}

impl Agent {
    /// A unit has as many bytes as its number modulo 3, and one.
    fn position(&self, from: usize) -> Position {
        let bytes = |granted: &[Granted]| granted.iter().map(|granted| granted.unit % 3 + 1).sum::<u64>();
        let mut at = bytes(&self.granted[..from]);
        let mut begins = Vec::new();
        for granted in &self.granted[from..self.fed] {
            begins.push(Begin { unit: granted.unit, bytes: at, records: 0, skipped: Skipped::default() });
            at += granted.unit % 3 + 1;
        }
        Position {
            begins,
            delivered: at,
            consumed: at,
            whole: true,
            complete: self.over,
            ..Position::default()
        }
    }
}

/// What a cluster of agents does with a job.
struct Cluster {
    scheduler: Scheduler,
    config: Config,
    places: Places,
    random: Random,
    now: Duration,
    agents: BTreeMap<u32, Agent>,
    records: Vec<LedgerRecord>,
    done: BTreeSet<u64>,
    verdict: Option<Verdict>,
    local: u64,
    granted: u64,
    losses: u32,
    masters: u32,
    staged: Vec<Attempt>,
}

impl Cluster {
    fn new(seed: u64, workers: u32, splits: u64) -> Self {
        let mut random = Random(seed);
        let mut places = Places::new((0..workers).map(|host| host / 40).collect());
        for _ in 0..splits {
            // As HDFS does it: one anywhere, two on another rack.
            let one = u32::try_from(random.below(u64::from(workers))).unwrap();
            let other = u32::try_from(random.below(u64::from(workers))).unwrap();
            places.push([one, other, other / 40 * 40 + (other + 1) % 40]);
        }
        let config = Config {
            max_restarts: 3,
            fair: true,
            gang: Some(forebay_scheduler::Gang { deadline: Duration::from_mins(10) }),
            ..Config::new("job_1", workers, splits, 1)
        };
        let mut scheduler = Scheduler::new(config.clone()).unwrap();
        scheduler.set_places(places.clone()).unwrap();
        let mut cluster = Self {
            scheduler,
            config,
            places,
            random,
            now: Duration::ZERO,
            agents: BTreeMap::new(),
            records: Vec::new(),
            done: BTreeSet::new(),
            verdict: None,
            local: 0,
            granted: 0,
            losses: 0,
            masters: 0,
            staged: Vec::new(),
        };
        cluster.tell(Event::Start);
        cluster
    }

    fn tell(&mut self, event: Event) {
        for action in self.scheduler.handle(self.now, event) {
            match action {
                Action::StartContainer(attempt) => {
                    let host = u32::try_from(self.random.below(self.places.hosts() as u64)).unwrap();
                    // The first attempts are spread evenly.
                    let host = if attempt.number == 1 { attempt.index } else { host };
                    let new = Agent { attempt, host, granted: Vec::new(), fed: 0, told: 0, over: false };
                    self.agents.insert(attempt.index, new);
                }
                Action::EndContainer(attempt, _) => {
                    self.agents.retain(|_, agent| agent.attempt != attempt);
                    self.tell(Event::ContainerEnded { attempt, how: End::Exit(0), position: None });
                }
                Action::StageOutput(attempt) => self.staged.push(attempt),
                Action::Record(record) => {
                    if let LedgerRecord::Done { units, .. } = &record {
                        for unit in units.iter().cloned().flatten() {
                            assert!(self.done.insert(unit), "unit {unit} is done twice");
                        }
                    }
                    self.records.push(record);
                }
                Action::Commit(attempts) => {
                    assert_eq!(attempts.len(), self.config.workers as usize);
                    self.verdict = Some(Verdict::Succeeded);
                }
                Action::Finish(verdict) => panic!("{verdict}"),
                Action::Abort | Action::DiscardOutput(_) | Action::GangReady | Action::Tell(_) => {}
            }
        }
        for attempt in std::mem::take(&mut self.staged) {
            self.tell(Event::Staged { attempt });
        }
    }

    /// One agent does a little.
    fn step(&mut self, index: u32) {
        let Some(agent) = self.agents.get_mut(&index) else { return };
        let (attempt, host) = (agent.attempt, agent.host);
        let mut granted = Vec::new();
        let (have, begun) = (agent.granted.len() as u64, agent.fed as u64);
        let ask = Ask { max: 4, have, ahead: have - begun, at: Some(host) };
        match self.scheduler.lease(self.now, attempt, ask) {
            Lease::Granted(new) => granted = new,
            Lease::EndOfInput => agent.over = true,
            Lease::Wait | Lease::Enough => {}
            Lease::Refused(_) => {
                for event in [Event::Launched(attempt), Event::Registered(attempt)] {
                    self.tell(event);
                }
                return;
            }
        }
        self.granted += granted.len() as u64;
        for granted in &granted {
            let split = usize::try_from(granted.unit).unwrap();
            self.local += u64::from(self.places.hosts_of(split).contains(&host));
        }
        agent.granted.extend(granted);
        let left = agent.granted.len() - agent.fed;
        agent.fed += if agent.over { left } else { left.min(1 + self.random.of(3)) };
        let position = agent.position(agent.told);
        agent.told = agent.fed;
        if agent.over {
            self.tell(Event::Exited { attempt, status: 0, position });
        } else {
            self.tell(Event::Heartbeat(attempt, position));
        }
    }

    fn lose(&mut self, index: u32, what: ClusterEnd) {
        let Some(agent) = self.agents.remove(&index) else { return };
        self.losses += 1;
        let how = End::Cluster { what, why: String::new() };
        self.tell(Event::ContainerEnded { attempt: agent.attempt, how, position: None });
    }

    /// Another application master; of the agents, one in a hundred is lost with the first.
    fn replace_master(&mut self) {
        self.masters += 1;
        self.scheduler = Scheduler::recover(self.config.clone(), self.records.clone()).unwrap();
        self.scheduler.set_places(self.places.clone()).unwrap();
        self.tell(Event::Start);
        for index in 0..self.config.workers {
            if self.random.below(100) == 0 {
                self.lose(index, ClusterEnd::NodeLost);
            } else if let Some(agent) = self.agents.get(&index) {
                // Half of what was fed need not be told from its neighbours.
                let (attempt, (fed, held)) = (agent.attempt, agent.granted.split_at(agent.fed / 2));
                let (position, held) = (agent.position(fed.len()), held.to_vec());
                let fed = fed.iter().map(|granted| granted.unit).collect();
                let exited = agent.over.then_some(0);
                self.tell(Event::Rejoined { attempt, fed, held, position, exited });
            }
        }
    }

    fn run(&mut self) {
        let workers = self.config.workers;
        for round in 1.. {
            assert!(round < 10_000, "{:?}", self.scheduler.view().units);
            for index in 0..workers {
                self.step(index);
            }
            if self.verdict.is_some() {
                return;
            }
            for _ in 0..self.random.of(workers as usize / 100 + 1) {
                let index = self.random.below(u64::from(workers));
                self.lose(u32::try_from(index).unwrap(), ClusterEnd::Preempted);
            }
            if round % 16 == 0 {
                self.replace_master();
            }
            self.now += Duration::from_secs(1);
            self.tell(Event::Tick);
        }
    }
}

/// With `FOREBAY_TESTS=all`, ten times, with other losses each time.
#[test]
fn a_thousand_agents_feed_a_hundred_thousand_splits_and_lose_none() {
    let all = std::env::var("FOREBAY_TESTS").is_ok_and(|which| which == "all");
    for seed in 0..if all { 10 } else { 1 } {
        let mut cluster = Cluster::new(seed, 1000, 100_000);
        cluster.run();
        assert_eq!(cluster.done.len(), 100_000);
        assert!(cluster.losses > 100 && cluster.masters > 1, "{} {}", cluster.losses, cluster.masters);
        let share = cluster.local as f64 / cluster.granted as f64;
        assert!(share > 0.9, "{share}");
    }
}
