//! Jobs of which processes die: workers, agents, the application master.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod jobs;
mod support;

use std::fs;
use std::os::unix::process::CommandExt;

use jobs::{Jobs, KEEP, assert_ok, assert_said, children};
use rustix::process::{Pid, Signal, kill_process};
use support::{Running, Stray, is_alive, run, text, wait_until};

/// The first attempt of worker 0 reads some of its input, then does `what`; all others keep everything. They begin when it has
/// some: what their pipes hold until then is not all that [`jobs`] has.
fn once(what: &str) -> String {
    format!(
        "if test $INDEX.$FOREBAY_ATTEMPT = 0.1; then head -c 100000 > output/got; : > $ROOM/begun; {what}; fi; \
         until test -e $ROOM/begun; do sleep 0.05; done; {KEEP}"
    )
}

/// With 4 MiB more of input.
fn jobs() -> Jobs {
    let jobs = Jobs::new();
    jobs.0.file("in/d", text(4 << 20));
    jobs
}

/// To be run by a worker: its agent's process id. The worker's parent is its guard, whose parent is the agent.
const AGENT: &str = "$(cut -d ' ' -f 4 /proc/$PPID/stat)";

#[test]
fn a_worker_killed_midway_is_replaced_and_every_record_is_there_once() {
    let jobs = jobs();
    let output = run(jobs.run(&["--workers=3"], &once("kill -9 $$")));
    assert_said(&output, 0, &["worker 0 (attempt 1) was killed by signal 9", "fed more than once: split "]);
    jobs.assert_exact();
    let state = jobs.state();
    let again: Vec<_> =
        state["fed_again_first"].as_array().unwrap().iter().map(|unit| unit["split"].clone()).collect();
    assert!(!again.is_empty(), "{state}");
    jobs.assert_nothing_runs();
}

#[test]
fn a_worker_that_fails_midway_leaves_nothing_in_a_streamed_output() {
    let jobs = Jobs::new();
    let worker = "if test $FOREBAY_ATTEMPT = 1; then head -c 70000; exit 5; fi; cat";
    let output = run(jobs.run(&["--workers=2", "--output-mode=stream"], worker));
    assert_said(&output, 0, &["ended with status 5"]);
    jobs.assert_exact();
}

#[test]
fn an_agent_killed_midway_takes_its_worker_along_and_is_replaced() {
    let jobs = jobs();
    let worker = once(&format!(
        "sleep 1000 & echo $! > $ROOM/pids; kill -9 {AGENT}; sleep 1000; echo bad >> output/got"
    ));
    let output = run(jobs.run(&["--workers=2"], &worker));
    assert_said(&output, 0, &["lost its agent, which was killed by signal 9", "fed more than once"]);
    jobs.assert_exact();
    let sleeper = Stray(jobs.0.pids("pids")[0]);
    assert!(!is_alive(sleeper.0), "a child of the dead agent's worker lives");
    jobs.assert_nothing_runs();
}

#[test]
fn a_guard_killed_midway_takes_its_worker_along_and_is_replaced() {
    let jobs = jobs();
    let worker = once("sleep 1000 & echo $! > $ROOM/pids; kill -9 $PPID; sleep 1000; echo bad >> output/got");
    assert_ok(&run(jobs.run(&["--workers=2"], &worker)));
    jobs.assert_exact();
    let sleeper = Stray(jobs.0.pids("pids")[0]);
    assert!(!is_alive(sleeper.0), "a child of the dead guard's worker lives");
    jobs.assert_nothing_runs();
}

/// It does not die, it only stops.
#[test]
fn an_agent_that_hangs_is_killed_and_replaced() {
    let jobs = jobs();
    let worker = once(&format!("kill -STOP {AGENT}; sleep 1000"));
    let output = run(jobs.run(&["--workers=2"], &worker));
    assert_said(&output, 0, &["was not heard of for"]);
    jobs.assert_exact();
    jobs.assert_nothing_runs();
}

/// Records acknowledged are not fed again, and what a restarted worker gets begins behind them, inside the split.
#[test]
fn acknowledged_records_are_not_fed_again() {
    let jobs = Jobs::new();
    let script = "import os, sys
kept = open('output/got', 'ab')
for n, line in enumerate(sys.stdin.buffer, 1):
    if os.environ['FOREBAY_ATTEMPT'] == '1' and n == 12345:
        os.kill(os.getpid(), 9)
    kept.write(line)
    kept.flush()
    print('reporter ack:records=%d' % n, file=sys.stderr, flush=True)";
    let options =
        ["run", "--job-dir=job", "--input=in", "--split-size=300K", "--output=out", "--on-restart=from-ack"];
    let mut command = jobs.forebay(options);
    command.args(["--keep-folder", "--", "python3", "-c", script]);
    assert_said(&run(command), 0, &["killed by signal 9"]);
    jobs.assert_exact();
    assert_eq!(
        fs::read(jobs.path("job/workers/0/2/stderr")).unwrap().split(|&b| b == b'\n').next().unwrap(),
        b"reporter ack:records=1"
    );
}

/// Workers wait at the gate until the test lets them go on.
fn waiting_job(jobs: &Jobs, workers: &str) -> Running {
    let worker = "head -c 60000 > output/got; : > $ROOM/ready.$INDEX; until test -e $ROOM/go; do sleep 0.02; done; cat >> output/got";
    let mut command = jobs.run(&[workers], worker);
    Running::start(command.process_group(0))
}

#[test]
fn a_job_whose_application_master_was_killed_goes_on_with_other_workers() {
    let jobs = Jobs::new();
    for workers in ["--workers=1", "--workers=4"] {
        let jobs = if workers == "--workers=1" { &jobs } else { &Jobs::new() };
        let running = waiting_job(jobs, "--workers=2");
        jobs.0.wait_for("ready.0");
        jobs.0.wait_for("ready.1");
        running.signal(Signal::KILL);
        drop(running);
        jobs.0.file("go", "");
        assert_said(&run(jobs.resume(&[workers])), 0, &["the job goes on with", "fed more than once"]);
        jobs.assert_exact();
        jobs.assert_nothing_runs();
    }
}

/// The output of a worker that was done before the application master died is kept, and its splits are not fed again.
#[test]
fn what_was_done_before_the_application_master_died_stays_done() {
    let jobs = Jobs::new();
    let worker =
        "if test $INDEX = 1 -a ! -e $ROOM/go; then : > $ROOM/ready; sleep 1000; fi; cat > output/got";
    let running = Running::start(jobs.run(&["--workers=2"], worker).process_group(0));
    jobs.0.wait_for("ready");
    wait_until("worker 0 to be done", || {
        fs::read_to_string(jobs.path("job/ledger.jsonl")).is_ok_and(|ledger| ledger.contains("\"done\""))
    });
    running.signal(Signal::KILL);
    drop(running);
    jobs.0.file("go", "");
    assert_ok(&run(jobs.resume(&[])));
    jobs.assert_exact();
    assert!(!jobs.path("job/workers/0/2").exists(), "a worker that was done was started again");
    assert_eq!(jobs.state()["done_before"].as_array().unwrap().len(), 1);
}

#[test]
fn a_running_job_is_not_resumed() {
    let jobs = Jobs::new();
    let running = waiting_job(&jobs, "--workers=1");
    jobs.0.wait_for("ready.0");
    assert_said(&run(jobs.resume(&[])), 1, &["still running"]);
    jobs.0.file("go", "");
    assert_ok(&running.output());
    jobs.assert_exact();
    // And one that has succeeded stays as it is.
    assert_ok(&run(jobs.resume(&[])));
    jobs.assert_exact();
}

#[test]
fn a_job_that_failed_is_not_resumed() {
    let jobs = Jobs::new();
    assert_said(&run(jobs.run(&["--max-restarts=0"], "exit 3")), 1, &["no restarts are allowed"]);
    assert_said(&run(jobs.resume(&[])), 1, &["cannot be resumed", "status 3"]);
    jobs.assert_untouched();
}

#[test]
fn an_input_file_that_has_changed_since_fails_the_resumed_job() {
    let jobs = Jobs::new();
    let running = waiting_job(&jobs, "--workers=1");
    jobs.0.wait_for("ready.0");
    running.signal(Signal::KILL);
    drop(running);
    jobs.0.file("in/new", "x\n");
    fs::rename(jobs.path("in/new"), jobs.path("in/b")).unwrap();
    jobs.0.file("go", "");
    assert_said(&run(jobs.resume(&[])), 1, &["in/b"]);
    jobs.assert_untouched();
    jobs.assert_nothing_runs();
}

/// Everything of a job ends with its application master, also what a worker has started in a session of its own.
#[test]
fn nothing_outlives_the_application_master() {
    let jobs = Jobs::new();
    let worker =
        "setsid sleep 1000 & python3 -c 'import time; open(\"ready\", \"w\"); time.sleep(1000)' & wait";
    let running = Running::start(jobs.run(&["--workers=2"], worker).process_group(0));
    for index in 0..2 {
        jobs.0.wait_for(&format!("job/workers/{index}/1/work/ready"));
    }
    assert_eq!(children(running.pid()).len(), 2);
    assert!(jobs.processes().len() >= 11, "{:?}", jobs.processes());
    running.signal(Signal::KILL);
    drop(running);
    jobs.assert_nothing_runs();
}

/// The application master and all agents at once, so that nobody is left to order anything.
#[test]
fn nothing_outlives_the_application_master_and_the_agents() {
    let jobs = Jobs::new();
    let running = waiting_job(&jobs, "--workers=2");
    jobs.0.wait_for("ready.0");
    jobs.0.wait_for("ready.1");
    let mut all: Vec<Pid> = children(running.pid());
    let guards: Vec<_> = all.iter().flat_map(|&agent| children(agent)).collect();
    all.extend(guards);
    running.signal(Signal::STOP);
    for pid in all {
        kill_process(pid, Signal::KILL).unwrap();
    }
    running.signal(Signal::KILL);
    drop(running);
    jobs.assert_nothing_runs();
    jobs.0.file("go", "");
    assert_ok(&run(jobs.resume(&[])));
    jobs.assert_exact();
}
