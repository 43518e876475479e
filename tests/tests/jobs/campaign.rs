//! Random deaths: kill -9 of workers, guards, agents and the application master at random times of a small job, which is
//! resumed when its application master was the victim.

use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::{Jobs, children};
use crate::support::{Running, code, is_alive};

/// A worker that takes its time, so that it can be met in the middle.
pub(crate) const SLOW: &str =
    "while head -c 30000 > part && test -s part; do cat part >> output/got; sleep 0.03; done";

/// How many runs: a few, or all of a long campaign.
pub(crate) fn runs(few: u64, all: u64) -> u64 {
    if std::env::var("FOREBAY_TESTS").is_ok_and(|tests| tests == "all") { all } else { few }
}

/// Random numbers from a seed (`SplitMix64`).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn one_of(&mut self, pids: &[Pid]) -> Option<Pid> {
        let at = self.below(pids.len().max(1) as u64);
        pids.get(usize::try_from(at).unwrap()).copied()
    }
}

/// How a job ended that met its deaths.
pub(crate) struct Ended {
    /// Its exit status.
    pub(crate) code: i32,
    /// What was done to it and what it said, for whoever has to find out why.
    pub(crate) story: String,
}

/// Runs `start` and kills some of its processes; goes on with `resume` (and so many workers) when nobody else would.
pub(crate) fn trial(seed: u64, start: Command, resume: impl Fn(u64) -> Command) -> Ended {
    let mut random = Random(seed);
    let mut story = vec![format!("seed {seed}")];
    let mut running = Running::start(start);
    for _ in 0..=random.below(4) {
        thread::sleep(Duration::from_millis(random.below(500)));
        if running.child().try_wait().unwrap().is_some() {
            break;
        }
        let victim = random.below(8);
        let master = running.pid();
        let pid = match victim {
            0 => Some(master),
            1 | 2 => random.one_of(&children(master)),
            3 => random.one_of(&below(&children(master))),
            _ => random.one_of(&below(&below(&children(master)))),
        };
        let name = ["the master", "an agent", "an agent", "a guard", "a worker"][victim.min(4) as usize];
        story.push(format!("kill {name} {pid:?}"));
        let Some(pid) = pid.filter(|&pid| is_alive(pid)) else { continue };
        let _ = kill_process(pid, Signal::KILL);
        if pid == master {
            story.push(said(running));
            let workers = 1 + random.below(4);
            story.push(format!("resume with {workers}"));
            running = Running::start(resume(workers));
        }
    }
    let output = running.output();
    story.push(forebay_tests::said(&output));
    Ended { code: code(&output), story: story.join("\n") }
}

fn said(running: Running) -> String {
    forebay_tests::said(&running.output())
}

fn below(pids: &[Pid]) -> Vec<Pid> {
    pids.iter().flat_map(|&pid| children(pid)).collect()
}

impl Ended {
    /// The first line that tells of the failure.
    pub(crate) fn why(&self) -> &str {
        self.story.lines().find(|line| line.starts_with("forebay: ")).unwrap_or(&self.story)
    }

    /// The job has committed all of its input, or nothing.
    pub(crate) fn check(&self, jobs: &Jobs, committed: &[Vec<u8>], visible: &[String]) -> bool {
        let story = &self.story;
        match self.code {
            0 => {
                let expected = jobs.lines();
                assert!(committed == expected, "{} lines of {}:\n{story}", committed.len(), expected.len());
                true
            }
            1 | 2 => {
                assert!(visible.is_empty(), "{visible:?} is there:\n{story}");
                // A job that was killed before it began, or that has used up its restarts.
                assert!(
                    ["is no job", "the job failed: worker", "cannot be resumed"]
                        .iter()
                        .any(|why| story.contains(why)),
                    "{story}"
                );
                false
            }
            code => panic!("status {code}:\n{story}"),
        }
    }
}
