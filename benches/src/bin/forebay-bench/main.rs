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
    /// From HDFS with an empty page cache in every run; needs root
    #[arg(long)]
    cold: bool,
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
        let network_only = tempfile::tempdir()?;
        without_short_circuit(&hdfs, network_only.path())?;
        let group = on_hdfs(&bins, &hdfs, network_only.path(), args.cold)?;
        print!("{}", table::markdown(&group.run(args.rounds, size)?));
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
        cold: false,
        contestants: vec![
            Contestant::new("bare splice loop, 1 MiB pipe", &[&bin("bare-splice"), &file, "--"], &[]),
            Contestant::new(
                "forebay feed",
                &[&bin("forebay"), "feed", &file, "-q", "--report", "REPORT", "--"],
                &[],
            ),
            Contestant::new("cat, a pipe", &["sh", "-c", &cat], &[]),
        ],
    }
}

/// Files below a folder whose names are those of blocks.
fn block_files(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            files.extend(block_files(&path)?);
        } else if name.starts_with("blk_") && !name.contains(".meta") {
            files.push(path.display().to_string());
        }
    }
    files.sort();
    Ok(files)
}

/// `hdfs dfs -cat` of the bench's file, as a shell pipeline into the worker.
fn hadoop_cat(hdfs: &Hdfs, short_circuit: bool) -> Vec<String> {
    let cat = hdfs.java(
        "org.apache.hadoop.fs.FsShell",
        ["-D", &format!("dfs.client.read.shortcircuit={short_circuit}"), "-cat", "/bench.txt"],
    );
    let words = std::iter::once(cat.get_program()).chain(cat.get_args());
    let line: Vec<String> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
    ["sh".into(), "-c".into(), format!("{} | \"$0\" \"$1\"", line.join(" "))].into()
}

fn on_hdfs(bins: &Path, hdfs: &Hdfs, network_only: &Path, cold: bool) -> std::io::Result<Group> {
    let bin = |name: &str| bins.join(name).display().to_string();
    let conf = [("HADOOP_CONF_DIR", hdfs.conf_dir().display().to_string())];
    let network = [("HADOOP_CONF_DIR", network_only.display().to_string())];
    let uri = hdfs.uri();
    let whole = format!("{uri}/bench.txt");
    let feed = bin("forebay");
    let mut floor = vec![bin("bare-splice")];
    floor.extend(block_files(&hdfs.data_dir(0))?);
    floor.push("--".into());
    let contestant = |name, argv: Vec<String>, env: &[(&'static str, String)]| {
        Contestant::new(name, &argv.iter().map(String::as_str).collect::<Vec<_>>(), env)
    };
    let feed_with = |flags: &[&str]| {
        let mut argv =
            vec![feed.clone(), "feed".into(), whole.clone(), "-q".into(), "--report".into(), "REPORT".into()];
        argv.extend(flags.iter().map(ToString::to_string));
        argv.push("--".into());
        argv
    };
    let blocks = block_files(&hdfs.data_dir(0))?;
    let cat = format!("cat {} | \"$0\" \"$1\"", blocks.join(" "));
    let near = vec![
        contestant("bare splice of the block files, 1 MiB pipe", floor, &[]),
        contestant("forebay feed", feed_with(&[]), &conf),
        contestant("forebay feed --no-verify", feed_with(&["--no-verify"]), &conf),
        contestant("cat of the block files", ["sh".into(), "-c".into(), cat].into(), &[]),
    ];
    let plain = [bin("plain-hdfs-native"), uri, "/bench.txt".into()].into();
    let far = vec![
        contestant("forebay feed, short-circuit off", feed_with(&[]), &network),
        contestant("plain hdfs-native loop, 1 MiB pipe", plain, &conf),
        contestant("hdfs dfs -cat, short-circuit", hadoop_cat(hdfs, true), &[]),
        contestant("hdfs dfs -cat, TCP", hadoop_cat(hdfs, false), &[]),
    ];
    Ok(Group {
        title: if cold { "HDFS on this host, page cache empty" } else { "HDFS on this host, warm" },
        cold,
        contestants: if cold { near } else { near.into_iter().chain(far).collect() },
    })
}

/// A configuration like the cluster's, with short-circuit reads off.
fn without_short_circuit(hdfs: &Hdfs, folder: &Path) -> std::io::Result<()> {
    for name in ["core-site.xml", "hdfs-site.xml"] {
        let text = std::fs::read_to_string(hdfs.conf_dir().join(name))?;
        let off = "<property><name>dfs.client.read.shortcircuit</name><value>false</value></property></configuration>";
        std::fs::write(folder.join(name), text.replace("</configuration>", off))?;
    }
    Ok(())
}
