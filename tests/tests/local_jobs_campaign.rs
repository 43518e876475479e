//! Random deaths in small jobs with local output: what is committed is exact, or nothing is. `FOREBAY_TESTS=all` runs 200.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod jobs;
mod support;

use std::fs;

use jobs::campaign::{SLOW, runs, trial};
use jobs::{Jobs, lines_below};

#[test]
fn whatever_is_killed_the_output_is_exact_or_untouched() {
    let (mut committed, mut failed) = (0, 0);
    for seed in 0..runs(6, 200) {
        let jobs = Jobs::new();
        let start = jobs.run(&["--workers=3", "--max-restarts=2"], SLOW);
        let ended = trial(seed, start, |workers| jobs.resume(&[&format!("--workers={workers}")]));
        jobs.assert_nothing_runs();
        let entries = fs::read_dir(jobs.path("out")).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        let visible: Vec<_> = names.filter(|name| name != "_temporary").collect();
        let lines = if ended.code == 0 { lines_below(&jobs.path("out")) } else { Vec::new() };
        if ended.check(&jobs, &lines, &visible) {
            assert!(jobs.path("out/_SUCCESS").is_file(), "{}", ended.story);
            committed += 1;
        } else {
            eprintln!("{}", ended.why());
            failed += 1;
        }
    }
    eprintln!("{committed} jobs have committed exact output, {failed} failed and left none");
    assert!(committed > 0);
}
