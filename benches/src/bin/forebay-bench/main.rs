//! `forebay-bench`: Forebay and its peers on the same work, interleaved, as one table of ratios.
//!
//! Every round runs all contestants of a group once, every other round in the opposite order, so that a
//! machine that drifts drifts for all of them. Figures are medians; ratios are medians of per-round ratios.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod contest;
mod field;
mod machine;
mod process;
mod table;

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::rc::Rc;

use clap::Parser;
use forebay_fixtures::corpus::{LogText, tfrecord};
use forebay_fixtures::{Hdfs, HdfsOptions};
use serde_json::json;

use crate::contest::Group;
use crate::field::{Compressor, IDS, selected};
use crate::machine::Machine;

/// Compares `forebay feed` with the machine's limit and with peers.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  cargo bench-all --cold --json figures.json
  cargo bench-all --only local --size-mib 4096
  cargo bench-all --only hdfs/splice --only hdfs/feed --rounds 21")]
struct Args {
    /// Runs of each contestant
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Size of the input, in MiB
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u64).range(1..))]
    size_mib: u64,
    /// A group (local, tfrecord, gzip, zstd, bzip2, hdfs, slow) or a contestant's id (hdfs/feed), again for more; a wrong one
    /// lists all
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    /// Afterwards once more with an empty page cache in every run; needs root
    #[arg(long)]
    cold: bool,
    /// Writes all figures, with every single run, to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where the input is made
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
}

/// Bytes of a TFRecord beside its payload.
const FRAME: usize = 16;

const NOTES: &str = "
Minimum / **median** / maximum; the other figures are medians, VmHWM is the most of all runs and does not count the
worker. × compares with the first line, round by round. CPU is the feeding side's own, without worker and DataNode.
An empty page cache is also without the programs' own files.
¹ From the word to a JVM that has read the file once before, instead of from exec.
² Its sender's CPU counts as its own.
";

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
    let names_none = |word: &&String| !IDS.iter().any(|id| selected(std::slice::from_ref(*word), id));
    if let Some(wrong) = args.only.iter().find(names_none) {
        return Err(format!(
            "nobody is called {wrong}; there are local, tfrecord, gzip, zstd, bzip2, hdfs, slow, {}",
            IDS.join(", ")
        )
        .into());
    }
    if args.cold {
        contest::empty_page_cache()?;
    }
    let bins = built()?;
    std::fs::create_dir_all(&args.folder)?;
    let file = args.folder.join(format!("text-{}.txt", args.size_mib));
    let size = args.size_mib << 20;
    if std::fs::metadata(&file).map_or(0, |meta| meta.len()) != size {
        eprintln!("making {} ...", file.display());
        LogText::new(1).write_to(&mut BufWriter::new(File::create(&file)?), size)?;
    }
    let machine = Machine::look();
    println!("{machine}");
    let wants = |group: &str| IDS.iter().any(|id| id.starts_with(group) && selected(&args.only, id));
    let temperatures = if args.cold { &[false, true][..] } else { &[false] };
    let mut figures = Vec::new();
    let mut contest = |mut group: Group, size: u64| -> Result<(), Box<dyn Error>> {
        if let Some(unlisted) = group.contestants.iter().find(|contestant| !IDS.contains(&contestant.id)) {
            return Err(format!("{} is missing in the list of ids", unlisted.id).into());
        }
        group.contestants.retain(|contestant| selected(&args.only, contestant.id));
        let results = group.run(args.rounds, size)?;
        print!("{}", table::markdown(&results));
        figures.push(table::json(&results));
        Ok(())
    };
    if wants("local/") {
        warm(&file)?;
        for cold in temperatures {
            contest(field::local(&bins, &file, *cold), size)?;
        }
    }
    if wants("tfrecord/") {
        let (small, large) = (tfrecords(&file, size, 1 << 10)?, tfrecords(&file, size, 100 << 10)?);
        for file in [&file, &small, &large] {
            warm(file)?;
        }
        for cold in temperatures {
            contest(field::tfrecords(&bins, [&file, &small, &large], *cold), size)?;
        }
    }
    for tool in &field::COMPRESSORS {
        if wants(tool.group) {
            // The slowest of them reads some 30 MB/s.
            let size = (size / 8).max(1);
            let file = compressed(&file, size, tool)?;
            warm(&file)?;
            for cold in temperatures {
                contest(field::compressed(&bins, &file, tool, *cold), size)?;
            }
        }
    }
    if wants("hdfs/") {
        eprintln!("starting an HDFS ...");
        let hdfs = Hdfs::start(&HdfsOptions::default())?;
        hdfs.write_from(field::PATH, File::open(&file)?, None)?;
        let network_only = tempfile::tempdir()?;
        field::without_short_circuit(&hdfs, network_only.path())?;
        // Where the input lies, too; an absolute path.
        let cache = tempfile::tempdir_in(args.folder.canonicalize()?)?;
        if selected(&args.only, "hdfs/feed-cache") {
            field::fill_cache(&bins, &hdfs, (network_only.path(), cache.path()), size)?;
        }
        for cold in temperatures {
            let places = (&*file, network_only.path(), cache.path());
            contest(field::on_hdfs(&bins, &hdfs, places, *cold)?, size)?;
        }
    }
    if wants("slow/") {
        eprintln!("starting an HDFS of three DataNodes ...");
        let options =
            HdfsOptions { datanodes: 3, separate_hosts: true, relays: true, ..HdfsOptions::default() };
        let hdfs = Rc::new(Hdfs::start(&options)?);
        hdfs.write_from(field::PATH, File::open(&file)?, None)?;
        let network_only = tempfile::tempdir()?;
        field::without_short_circuit(&hdfs, network_only.path())?;
        contest(field::with_a_slow_datanode(&bins, &hdfs, network_only.path(), size)?, size)?;
    }
    print!("{NOTES}");
    if let Some(path) = &args.json {
        let all = json!({ "machine": machine, "rounds": args.rounds, "groups": figures });
        std::fs::write(path, serde_json::to_vec_pretty(&all)?)
            .map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    }
    Ok(())
}

/// A TFRecord file of `size` bytes, with payloads of `payload` bytes of the text but for the last one, made when it is first
/// needed.
fn tfrecords(text: &Path, size: u64, payload: usize) -> Result<PathBuf, Box<dyn Error>> {
    let path = text.with_extension(format!("{size}.{payload}.tfrecord"));
    if !path.exists() {
        eprintln!("making {} ...", path.display());
        let made = path.with_extension("made");
        let mut input = BufReader::new(File::open(text)?);
        let mut out = BufWriter::new(File::create(&made)?);
        let whole = (payload + FRAME) as u64;
        let mut left = size;
        while left > 0 {
            let len = if left < 2 * whole { usize::try_from(left)?.saturating_sub(FRAME) } else { payload };
            let mut bytes = Vec::new();
            (&mut input).take(len as u64).read_to_end(&mut bytes)?;
            out.write_all(&tfrecord(&bytes))?;
            left = left.saturating_sub((len + FRAME) as u64);
        }
        out.flush()?;
        std::fs::rename(made, &path)?;
    }
    Ok(path)
}

/// The beginning of the text as a tool compresses it, made when it is first needed.
fn compressed(text: &Path, size: u64, tool: &Compressor) -> Result<PathBuf, Box<dyn Error>> {
    let path = text.with_extension(format!("{size}.{}", tool.suffix));
    if !path.exists() {
        eprintln!("making {} ...", path.display());
        // Its last line is ended, so that what arrives is as long for everybody.
        let script = r#"head -c "$1" "$2"; echo"#;
        let mut head = Command::new("sh");
        head.args(["-c", script, "sh", &(size - 1).to_string()]).arg(text).stdout(Stdio::piped());
        let head = head.spawn()?;
        let input = head.stdout.ok_or("head without an output")?;
        let made = path.with_extension("made");
        let status = Command::new(tool.name).arg("-c").stdin(input).stdout(File::create(&made)?).status()?;
        if !status.success() {
            return Err(format!("{}: {status}", tool.name).into());
        }
        std::fs::rename(made, &path)?;
    }
    Ok(path)
}

/// The folder of binaries, after building those that are measured: a stale one must not be.
fn built() -> Result<PathBuf, Box<dyn Error>> {
    let bins = std::env::current_exe()?.parent().ok_or("no folder of binaries")?.to_owned();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--bins", "-p", "forebay", "-p", "forebay-benches"]);
    // The profile's name is the folder's, but for the usual one.
    if let Some(profile) = bins.file_name().filter(|name| *name != "debug") {
        build.arg("--profile").arg(profile);
    }
    let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null()).status()?;
    if status.success() { Ok(bins) } else { Err("the contestants do not build".into()) }
}

/// Reads a file once, so that every contestant finds it in the page cache.
fn warm(file: &Path) -> std::io::Result<u64> {
    std::io::copy(&mut File::open(file)?, &mut std::io::sink())
}
