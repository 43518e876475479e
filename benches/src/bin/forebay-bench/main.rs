//! `forebay-bench`: Forebay and its peers on the same work, interleaved, as one table of ratios.
//!
//! Every round runs all contestants of a group once, every other round in the opposite order, so that a
//! machine that drifts drifts for all of them. Figures are medians; ratios are medians of per-round ratios.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod contest;
mod table;

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use forebay_fixtures::corpus::LogText;
use forebay_fixtures::{Hdfs, HdfsOptions};

use crate::contest::{Contestant, Group};

/// Compares `forebay feed` with the machine's limit and with peers.
#[derive(Debug, Parser)]
#[command(
    after_help = "Example:\n  cargo bench-all --rounds 9\n  cargo bench-all --only local --size-mib 4096"
)]
struct Args {
    /// Runs of each contestant
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Size of the input, in MiB
    #[arg(long, default_value_t = 1024)]
    size_mib: u64,
    /// One group only
    #[arg(long)]
    only: Option<Only>,
    /// Where the input is made
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    Local,
    Hdfs,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("forebay-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let bins = std::env::current_exe()?.parent().ok_or("no folder of binaries")?.to_owned();
    std::fs::create_dir_all(&args.folder)?;
    let file = args.folder.join(format!("text-{}.txt", args.size_mib));
    let size = args.size_mib << 20;
    if std::fs::metadata(&file).map_or(0, |meta| meta.len()) != size {
        eprintln!("making {} ...", file.display());
        LogText::new(1).write_to(&mut BufWriter::new(File::create(&file)?), size)?;
    }
    if args.only != Some(Only::Hdfs) {
        warm(&file)?;
        print!("{}", table::markdown(&local(&bins, &file).run(args.rounds, size)?));
    }
    if args.only != Some(Only::Local) {
        eprintln!("starting an HDFS ...");
        let hdfs = Hdfs::start(&HdfsOptions::default())?;
        hdfs.write_from("/bench.txt", File::open(&file)?, None)?;
        print!("{}", table::markdown(&on_hdfs(&bins, &hdfs).run(args.rounds, size)?));
    }
    Ok(())
}

/// Reads a file once, so that every contestant finds it in the page cache.
fn warm(file: &Path) -> std::io::Result<u64> {
    std::io::copy(&mut File::open(file)?, &mut std::io::sink())
}

fn local(bins: &Path, file: &Path) -> Group {
    let bin = |name: &str| bins.join(name).display().to_string();
    let file = file.display().to_string();
    let cat = format!("cat '{file}' | \"$0\" \"$1\"");
    Group {
        title: "Local file, warm → a worker's standard input",
        contestants: vec![
            Contestant::new("bare splice loop, 1 MiB pipe", &[&bin("bare-splice"), &file], &[]),
            Contestant::new(
                "forebay feed",
                &[&bin("forebay"), "feed", &file, "-q", "--report", "REPORT", "--"],
                &[],
            ),
            Contestant::new("cat, a pipe", &["sh", "-c", &cat], &[]),
        ],
    }
}

fn on_hdfs(bins: &Path, hdfs: &Hdfs) -> Group {
    let bin = |name: &str| bins.join(name).display().to_string();
    let conf = [("HADOOP_CONF_DIR", hdfs.conf_dir().display().to_string())];
    let uri = hdfs.uri();
    let whole = format!("{uri}/bench.txt");
    Group {
        title: "HDFS on this host → a worker's standard input",
        contestants: vec![
            Contestant::new(
                "plain hdfs-native loop, 1 MiB pipe",
                &[&bin("plain-hdfs-native"), &uri, "/bench.txt"],
                &conf,
            ),
            Contestant::new(
                "forebay feed",
                &[&bin("forebay"), "feed", &whole, "-q", "--report", "REPORT", "--"],
                &conf,
            ),
        ],
    }
}
