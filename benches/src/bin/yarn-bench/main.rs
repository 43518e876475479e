//! `yarn-bench`: what a job on YARN costs besides its feed: from the submission to the first byte at a worker, from the last byte
//! to the client's return, the memory of application master and agent, and the feed's rate in a container against `forebay feed`.
//!
//! Each round runs both over the same file, every other round in the opposite order. Figures are medians; the ratio is the
//! median of per-round ratios.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod round;

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Parser;
use forebay_fixtures::corpus::LogText;
use forebay_fixtures::{Yarn, YarnOptions};
use serde_json::{Value, json};

use crate::round::{Bench, Round};

/// Measures jobs of one worker on a YARN of this machine.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  cargo bench-yarn --json figures.json
  cargo bench-yarn --heartbeat-ms 1000 --rounds 9 --size-mib 4096")]
struct Args {
    /// Runs of each, in turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Size of the input, in MiB
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u64).range(1..))]
    size_mib: u64,
    /// How often NodeManagers call the ResourceManager, each on a cluster of its own
    #[arg(long, value_delimiter = ',', default_values_t = [200, 1000], value_parser = clap::value_parser!(u32).range(1..))]
    heartbeat_ms: Vec<u32>,
    /// Writes all figures, with every single run, to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where the input is made
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
}

const INPUT: &str = "/bench.txt";

const HEAD: &str = "
| heartbeat | submit → first byte | last byte → client returns | whole job | GB/s in the container | GB/s feed | × | AM VmHWM | agent VmHWM | feed VmHWM |
|---|---|---|---|---|---|---|---|---|---|";

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("yarn-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let bins = built()?;
    std::fs::create_dir_all(&args.folder)?;
    let file = args.folder.join(format!("text-{}.txt", args.size_mib));
    let size = args.size_mib << 20;
    if std::fs::metadata(&file).map_or(0, |meta| meta.len()) != size {
        eprintln!("making {} ...", file.display());
        LogText::new(1).write_to(&mut BufWriter::new(File::create(&file)?), size)?;
    }
    let load = load();
    let mut groups = Vec::new();
    for &heartbeat in &args.heartbeat_ms {
        eprintln!("starting a YARN with a heartbeat of {heartbeat} ms ...");
        let yarn = Yarn::start(&YarnOptions { nm_heartbeat_ms: Some(heartbeat), ..YarnOptions::default() })?;
        yarn.hdfs().write_from(INPUT, File::open(&file)?, None)?;
        let bench = Bench::new(&yarn, &bins, INPUT, size)?;
        // The first reads the file and the program into the page cache.
        bench.feed()?;
        bench.job()?;
        let mut rounds = Vec::new();
        for round in 0..args.rounds {
            rounds.push(if round % 2 == 0 {
                let feed = bench.feed()?;
                Round { job: bench.job()?, feed }
            } else {
                Round { job: bench.job()?, feed: bench.feed()? }
            });
            eprintln!("heartbeat {heartbeat} ms: round {} of {}", round + 1, args.rounds);
        }
        groups.push((heartbeat, rounds));
    }
    println!(
        "{:.2} GB, {} rounds; load of the machine {load} before, {} after",
        size as f64 / 1e9,
        args.rounds,
        self::load()
    );
    println!("{HEAD}");
    for (heartbeat, rounds) in &groups {
        println!("{}", line(*heartbeat, rounds));
    }
    println!("\nMinimum / **median** / maximum; memory is the most of all runs, the agent's with its feed.");
    if let Some(path) = &args.json {
        let groups: Vec<Value> = groups
            .iter()
            .map(|(heartbeat, rounds)| json!({ "heartbeat_ms": heartbeat, "rounds": rounds }))
            .collect();
        let all = json!({ "bytes": size, "load": load, "groups": groups });
        std::fs::write(path, serde_json::to_vec_pretty(&all)?)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

/// A line of the table.
fn line(heartbeat: u32, rounds: &[Round]) -> String {
    let spread = |value: &dyn Fn(&Round) -> f64| {
        let [least, median, most] = spread(rounds.iter().map(value));
        format!("{least:.2} / **{median:.2}** / {most:.2}")
    };
    let most = |value: &dyn Fn(&Round) -> Option<u64>| {
        let most = rounds.iter().filter_map(value).max();
        most.map_or("–".into(), |bytes| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)))
    };
    format!(
        "| {heartbeat} ms | {} s | {} s | {} s | {} | {} | {} | {} | {} | {} |",
        spread(&|round| round.job.first_byte),
        spread(&|round| round.job.after_last_byte),
        spread(&|round| round.job.whole),
        spread(&|round| round.job.gb_per_s),
        spread(&|round| round.feed.gb_per_s),
        spread(&|round| round.job.gb_per_s / round.feed.gb_per_s),
        most(&|round| round.job.am_peak),
        most(&|round| round.job.agent_peak),
        most(&|round| round.feed.peak),
    )
}

/// Minimum, median and maximum.
fn spread(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    if n == 0 {
        [f64::NAN; 3]
    } else {
        [sorted[0], f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]), sorted[n - 1]]
    }
}

/// How many processes want the machine, over the last minute.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// The folder of binaries, after building those that are measured: a stale one must not be.
fn built() -> Result<PathBuf, Box<dyn Error>> {
    let bins = std::env::current_exe()?.parent().ok_or("no folder of binaries")?.to_owned();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--bin", "forebay", "--bin", "bench-sink"]);
    build.args(["-p", "forebay", "-p", "forebay-benches"]);
    // The profile's name is the folder's, but for the usual one.
    if let Some(profile) = bins.file_name().filter(|name| *name != "debug") {
        build.arg("--profile").arg(profile);
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = build.current_dir(here).stdin(Stdio::null()).status()?;
    if status.success() { Ok(bins) } else { Err("what is measured does not build".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_a_median_in_its_middle() {
        assert_eq!(
            spread([3.0, 1.0, 2.0, 8.0].into_iter()).map(f64::to_bits),
            [1.0, 2.5, 8.0].map(f64::to_bits)
        );
        assert!(spread(std::iter::empty())[1].is_nan());
    }
}
